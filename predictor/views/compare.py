"""Model and TMDB compared in sum: where they agree, genre by genre, and which films surprise most."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from predictor.agreement import (
    FEW_FILMS_OF_A_GENRE,
    Agreement,
    Films,
    GenreAgreement,
    agreement,
    most_surprising,
)
from predictor.models import ModelVersion, Prediction
from predictor.panel import Outcome, film_panel, percent
from predictor.registry import displayed

_CHOICES = (
    (Films.TEST, "Test films", "never seen in training, and nothing was chosen by them"),
    (Films.HELD_OUT, "All held-out films", "test and validation films, and those the training never met"),
    (Films.ALL, "All films", "training films too, where agreement proves nothing"),
)
_ORDERS = {"genre": "Genre", "support": "Films", "precision": "Precision", "recall": "Recall", "f1": "F1"}


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """Agreement of the displayed version over the films that `films` names. 404 for a choice there is not."""
    try:
        films = Films(request.GET.get("films", Films.TEST))
    except ValueError:
        raise Http404("There is no such choice of films.") from None
    order = request.GET.get("order", "genre")
    if order not in _ORDERS:
        raise Http404("There is no such order.")
    version = displayed()
    context: dict[str, Any] = {
        "version": version,
        "films": films,
        "choices": [
            {"films": choice, "name": name, "about": about, "url": _here(choice, order)}
            for choice, name, about in _CHOICES
        ],
    }
    if version is not None:
        counted = agreement(version, films=films)
        context |= {
            "agreement": counted,
            "figures": {
                "agree": _percent(counted.agree_share),
                "disjoint": _percent(counted.disjoint_share),
                "samples_f1": _decimal(counted.samples_f1),
                "micro_f1": _decimal(counted.total.f1),
                "macro_f1": _decimal(counted.macro_f1),
            },
            "links": {
                "agrees": _browse(agreement="agrees"),
                "surprising": _browse(sort="surprising"),
            },
            "rows": [_row(genre) for genre in _ordered(counted, order)],
            "orders": [
                {"key": key, "name": name, "url": _here(films, key), "current": key == order}
                for key, name in _ORDERS.items()
            ],
            "few_of_a_genre": FEW_FILMS_OF_A_GENRE,
            "surprising": [
                _surprise(version, prediction) for prediction in most_surprising(version, films=films)
            ],
        }
    return render(request, "predictor/compare.html", context)


def _here(films: Films, order: str) -> str:
    return f"{reverse('compare')}?{urlencode({'films': films.value, 'order': order})}"


def _browse(**parameters: str | int) -> str:
    """The browse page with these filters."""
    return f"{reverse('browse')}?{urlencode(parameters)}"


def _ordered(counted: Agreement, order: str) -> list[GenreAgreement]:
    """The genres by name, or by a figure with the highest first and the unknown last."""
    if order == "genre":
        return list(counted.genres)
    return sorted(
        counted.genres,
        key=lambda genre: (
            getattr(genre.counts, order) is None,
            -(getattr(genre.counts, order) or 0),
            genre.name,
        ),
    )


def _row(genre: GenreAgreement) -> dict[str, Any]:
    """A genre's figures as they are shown: shares in percent, and a bar of hits, misses and extras, 100 wide."""
    counts = genre.counts
    widths = [100 * number / counts.named if counts.named else 0.0 for number in (counts.hits, counts.misses)]
    return {
        "genre": genre,
        "counts": counts,
        "links": {
            "genre": _browse(genre=genre.genre_id),
            "misses": _browse(genre=genre.genre_id, agreement="misses"),
            "extras": _browse(predicted=genre.genre_id, agreement="extras"),
        },
        "precision": _percent(counts.precision),
        "recall": _percent(counts.recall),
        "f1": _percent(counts.f1),
        "hits_width": f"{widths[0]:.2f}",
        "misses_x": f"{widths[0]:.2f}",
        "misses_width": f"{widths[1]:.2f}",
        "extras_x": f"{sum(widths):.2f}",
        "extras_width": f"{100 - sum(widths):.2f}" if counts.named else "0",
    }


def _percent(share: float | None) -> str:
    return "–" if share is None else percent(share)


def _decimal(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:.3f}"


def _surprise(version: ModelVersion, prediction: Prediction) -> dict[str, Any]:
    prediction.version = version
    panel = film_panel(prediction.film, prediction)
    return {
        "film": prediction.film,
        "hits": panel.names(Outcome.HIT),
        "misses": panel.names(Outcome.MISS),
        "extras": panel.names(Outcome.EXTRA),
    }
