"""Two versions side by side, the films where they differ, and a way to have one predict the catalog first."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from ledger.broker import BrokerUnavailableError, require_broker
from ledger.workers import live_workers
from ml_core.labels import LABELS
from predictor import inference
from predictor.agreement import FEW_FILMS, FEW_FILMS_OF_A_GENRE
from predictor.browsing import CursorError
from predictor.charts import with_addresses
from predictor.differing_films import (
    MOST_LOOKED_AT,
    DifferenceFilters,
    DifferingFilm,
    Right,
    differing_films,
)
from predictor.leaderboard import MOST_VERSIONS
from predictor.models import ModelVersion, PredictionRun
from predictor.panel import signed
from predictor.version_charts import comparison_charts
from predictor.version_choice import VersionChoiceError, chosen_versions, suggested_pair
from predictor.version_comparison import Difference, VersionComparison, version_comparison
from predictor.views.charts import drawing

_GENRES = {label.tmdb_id: label.name for label in LABELS}
# On the page of figures; all of them have a page of their own.
_FIRST_FILMS = 6
_RIGHT_NAMES = {
    Right.A: "A is nearer to TMDB",
    Right.B: "B is nearer to TMDB",
    Right.NEITHER: "Both are as near",
}


@require_safe
def compare_versions(request: HttpRequest) -> HttpResponse:
    """The versions `a` and `b` compared; without them, a form to choose them by."""
    try:
        a, b = _asked(request)
    except VersionChoiceError as error:
        return _choice(request, error)
    found = version_comparison(a, b)
    films = differing_films(a, b, DifferenceFilters(), size=_FIRST_FILMS)
    context = {
        "a": a,
        "b": b,
        "pair": _pair(a, b),
        "comparison": found,
        "figures": [_figure(figure) for figure in found.figures],
        "genres": [
            {
                "name": genre.name,
                "films": genre.films,
                "few": genre.few,
                "figures": [_figure(figure) for figure in (genre.roc_auc, genre.average_precision, genre.f1)],
            }
            for genre in found.genres
        ],
        "few_films": FEW_FILMS,
        "few_of_a_genre": FEW_FILMS_OF_A_GENRE,
        "unpredicted": _unpredicted(request, found, a, b),
        "charts": with_addresses(
            comparison_charts(found, a, b),
            lambda *drawn: reverse("compare-versions-chart", args=(a.pk, b.pk, *drawn)),
        ),
        "films": [_film(film) for film in films.films],
        "all_films": _films_address(a, b, DifferenceFilters()),
        "here": _address("compare-versions", a, b),
        "turned": _address("compare-versions", b, a),
    }
    return render(request, "predictor/version_comparison.html", context)


@require_safe
def compare_versions_chart(request: HttpRequest, a: int, b: int, **drawn: str) -> HttpResponse:
    """A chart of both as an SVG file; `drawn` says which, as `drawing` takes it."""
    first, second = (get_object_or_404(ModelVersion.objects.defer("metrics"), pk=key) for key in (a, b))
    return drawing(request, comparison_charts(version_comparison(first, second), first, second), **drawn)


@require_safe
def differing(request: HttpRequest) -> HttpResponse:
    """A page of the films of which `a` and `b` say different things, filtered by `genre`, `right` and `unseen`."""
    try:
        a, b = _asked(request)
    except VersionChoiceError as error:
        return _choice(request, error)
    filters = _filters(request)
    context: dict[str, Any] = {
        "a": a,
        "b": b,
        "filters": filters,
        "genres": _GENRES.items(),
        "rights": _RIGHT_NAMES.items(),
        "looked_at": MOST_LOOKED_AT,
        "comparison_address": _address("compare-versions", a, b),
        "first_page": _films_address(a, b, filters or DifferenceFilters()),
    }
    if filters is None:
        context["error"] = "There is no such filter."
        return render(request, "predictor/differing_films.html", context, status=400)
    cursor = request.GET.get("after", "")
    try:
        page = differing_films(a, b, filters, cursor=cursor)
    except CursorError as error:
        context["error"] = str(error)
        return render(request, "predictor/differing_films.html", context, status=400)
    context |= {
        "films": [_film(film) for film in page.films],
        "next": _films_address(a, b, filters, after=page.next_cursor) if page.next_cursor else "",
        "continued": bool(cursor),
    }
    return render(request, "predictor/differing_films.html", context)


@require_POST
@staff_member_required
@permission_required("predictor.add_predictionrun", raise_exception=True)
def have_predicted(request: HttpRequest, version_id: int) -> HttpResponse:
    """Have a version predict all films that lack its current prediction; then back to `next`."""
    version = get_object_or_404(ModelVersion.objects.defer("metrics"), pk=version_id)
    try:
        require_broker()
        run = inference.start_run(version=version, by=cast(User, request.user))
    except BrokerUnavailableError as error:
        messages.error(request, f"No prediction was started. {error}")
    else:
        messages.success(request, f"{version.name}: run {run.pk}, {run.total:,} films to predict.")
        if run.state == PredictionRun.State.RUNNING and not live_workers(queue="predict"):
            messages.warning(request, "No prediction worker is running; the run waits for one.")
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else reverse("model", args=(version.pk,)))


def _asked(request: HttpRequest) -> tuple[ModelVersion, ModelVersion]:
    return chosen_versions(request.GET.get("a", ""), request.GET.get("b", ""))


def _choice(request: HttpRequest, error: VersionChoiceError) -> HttpResponse:
    """The form, with what is wrong with the choice: nothing where none was made yet."""
    asked = bool(request.GET.get("a") or request.GET.get("b"))
    context = {"pair": suggested_pair(list(_versions())), "error": str(error) if asked else ""}
    status = (404 if error.code == "unknown" else 400) if asked else 200
    return render(request, "predictor/version_choice_page.html", context, status=status)


def _versions() -> QuerySet[ModelVersion]:
    return ModelVersion.objects.defer("metrics")[:MOST_VERSIONS]


def _pair(a: ModelVersion, b: ModelVersion) -> dict[str, Any]:
    versions = {version.pk: version for version in [*_versions(), a, b]}
    return {
        "versions": sorted(versions.values(), key=lambda version: -version.pk),
        "a": a.pk,
        "b": b.pk,
    }


def _address(name: str, a: ModelVersion, b: ModelVersion) -> str:
    return f"{reverse(name)}?{urlencode({'a': a.pk, 'b': b.pk})}"


def _films_address(a: ModelVersion, b: ModelVersion, filters: DifferenceFilters, **extra: str) -> str:
    parameters = [("a", a.pk), ("b", b.pk), *filters.parameters(), *extra.items()]
    return f"{reverse('differing-films')}?{urlencode(parameters)}"


def _filters(request: HttpRequest) -> DifferenceFilters | None:
    """The filters asked for; None where one is not to be understood."""
    genre, right, unseen = (request.GET.get(name, "") for name in ("genre", "right", "unseen"))
    known = {str(key): key for key in _GENRES}
    if (genre and genre not in known) or (right and right not in set(Right)) or unseen not in {"", "yes"}:
        return None
    return DifferenceFilters(
        genre=known.get(genre), right=Right(right) if right else None, unseen=unseen == "yes"
    )


def _unpredicted(
    request: HttpRequest, comparison: VersionComparison, *versions: ModelVersion
) -> list[dict[str, Any]]:
    """The versions that lack predictions here, where that may be why there are too few films to judge by."""
    if not comparison.few:
        return []
    found = []
    for version in versions:
        run = version.prediction_runs.filter(state=PredictionRun.State.RUNNING).first()
        if run is None and not inference.any_lacking(version):
            continue
        found.append(
            {
                "version": version,
                "run": run,
                "has_any": version.predictions.exists(),
                "may_start": request.user.is_staff and request.user.has_perm("predictor.add_predictionrun"),
            }
        )
    return found


def _figure(figure: Difference) -> dict[str, str]:
    """A figure of both as it is shown."""
    interval = f"{signed(figure.low)} to {signed(figure.high)}" if figure.low is not None else ""
    return {
        "name": figure.name,
        "a": _decimals(figure.a),
        "b": _decimals(figure.b),
        "by": signed(figure.by),
        "interval": interval,
        "better": figure.better,
    }


def _decimals(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:.3f}"


def _film(film: DifferingFilm) -> dict[str, Any]:
    """A film as the list shows it: every genre that TMDB or a version names, and who names it."""
    tmdb = set(film.film.label_ids)
    first, second = film.predicted
    named = sorted(tmdb | first | second, key=lambda genre: _GENRES.get(genre, ""))
    return {
        "film": film.film,
        "right": film.right,
        "difference": film.difference,
        "surprise": film.surprise,
        "trained_on": film.trained_on,
        "genres": [
            {
                "name": _GENRES.get(genre, str(genre)),
                "tmdb": genre in tmdb,
                "a": genre in first,
                "b": genre in second,
            }
            for genre in named
        ],
    }
