"""A film's page: poster, facts, overview, the comparison, similar films."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from catalog.languages import language_name
from catalog.models import Film
from ml_core.labels import LABELS
from predictor.panel import shown
from predictor.similarity import similar_films

SHOWN_CHANGES = 5
_LABEL_NAMES = {label.tmdb_id: label.name for label in LABELS}
_IMDB_TITLE = re.compile(r"tt\d{5,10}")


@require_safe
def film(request: HttpRequest, film_id: int, slug: str = "") -> HttpResponse:
    """The film; with another slug than its own, where its page is. 404 where there is no such film."""
    film = get_object_or_404(
        Film.objects.select_related("poster")
        .prefetch_related("genres")
        .defer("folded_titles", "folded_overview", "search"),
        pk=film_id,
    )
    if slug != film.slug:
        return HttpResponsePermanentRedirect(film.get_absolute_url())
    found = shown(film)
    return render(
        request,
        "predictor/film.html",
        {
            "film": film,
            "language": language_name(film.original_language),
            "runtime": _duration(film.runtime),
            "imdb_url": f"https://www.imdb.com/title/{film.imdb_id}/"
            if _IMDB_TITLE.fullmatch(film.imdb_id)
            else "",
            "tmdb_url": f"https://www.themoviedb.org/movie/{film.tmdb_id}" if film.tmdb_id else "",
            "label_changes": _label_changes(film),
            "shown": found,
            "similar": similar_films(found.prediction) if found.prediction else [],
        },
    )


@dataclass(frozen=True, slots=True)
class _LabelChange:
    """A change of TMDB's labels, by name."""

    changed_at: datetime
    before: list[str]
    after: list[str]


def _label_changes(film: Film) -> list[_LabelChange]:
    """How TMDB's labels of the film were changed, the last few, newest first."""
    return [
        _LabelChange(change.changed_at, _names(change.before), _names(change.after))
        for change in film.label_changes.all()[:SHOWN_CHANGES]
    ]


def _names(label_ids: list[int]) -> list[str]:
    return sorted(_LABEL_NAMES.get(label_id, str(label_id)) for label_id in label_ids)


def _duration(minutes: int | None) -> str:
    """152 as "2 h 32 min"."""
    hours, rest = divmod(minutes or 0, 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{rest} min"] if rest else [])])
