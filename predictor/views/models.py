"""Model versions: which there are, how well they do, and one of them in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from predictor.charts import with_addresses
from predictor.leaderboard import (
    LOWER_IS_BETTER,
    METRICS,
    MOST_VERSIONS,
    SORTS,
    Row,
    best_first,
    leaderboard,
)
from predictor.model_details import SLICE_FIGURES, details
from predictor.model_pages import FIGURE_NAMES, CardUnreadable, card, reports
from predictor.models import ModelPointers, ModelVersion
from predictor.version_choice import suggested_pair
from predictor.views.charts import drawing

_DEFAULTS = {"inputs": "", "metric": "auc", "sort": "quality"}
_COLUMNS = {
    "name": "Version",
    "quality": "",  # the metric's own name
    "films": "Test films",
    "size": "Size",
    "speed": "Films a second",
    "date": "Trained",
}


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """The leaderboard of versions, by `metric` on test films of which they were shown `inputs`, in the order of `sort`.

    A minus before the sort turns it around. 404 for a choice there is not.
    """
    asked = {name: request.GET.get(name, default) for name, default in _DEFAULTS.items()}
    sort, turned = asked["sort"].removeprefix("-"), asked["sort"].startswith("-")
    if asked["metric"] not in METRICS or sort not in SORTS:
        raise Http404("There is no such figure or order.")
    descending = best_first(sort, asked["metric"]) != turned
    board = leaderboard(inputs=asked["inputs"], metric=asked["metric"], sort=sort, descending=descending)
    if board is None:
        raise Http404("No version was measured with these inputs.")
    metric = METRICS[asked["metric"]]
    context = {
        "rows": _with_intervals(board.rows),
        "columns": [
            {
                "key": key,
                "name": name or metric,
                "url": _leaderboard(asked, sort=f"-{key}" if key == sort and not turned else key),
                "direction": ("descending" if descending else "ascending") if key == sort else "",
            }
            for key, name in _COLUMNS.items()
        ],
        "metric": metric,
        "lower_is_better": asked["metric"] in LOWER_IS_BETTER,
        "inputs": board.input_names.get(board.inputs, ""),
        "metrics": [
            {"name": name, "url": _leaderboard(asked, metric=key), "current": key == asked["metric"]}
            for key, name in METRICS.items()
        ],
        "input_choices": [
            {"name": name, "url": _leaderboard(asked, inputs=key), "current": key == board.inputs}
            for key, name in board.input_names.items()
        ],
        "is_cut": board.is_cut,
        "most": MOST_VERSIONS,
        "pair": suggested_pair([row.version for row in board.rows]),
    }
    return render(request, "predictor/models.html", context)


def _leaderboard(asked: dict[str, str], **changes: str) -> str:
    """The leaderboard's address with these choices, without those that are the default."""
    chosen = {name: value for name, value in (asked | changes).items() if value != _DEFAULTS[name]}
    return reverse("models") + (f"?{urlencode(chosen)}" if chosen else "")


def _with_intervals(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows, each with the places of its figure and interval on an axis that all share, in percent of its length."""
    figures = [row.figure for row in rows if row.figure is not None]
    ends = [end for figure in figures for end in (figure.low, figure.value, figure.high) if end is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    length = (high - low) or 1.0

    def place(value: float | None) -> str:
        return "" if value is None else f"{4 + 92 * (value - low) / length:.2f}"

    return [
        {"row": row}
        | (
            {"value": place(row.figure.value), "low": place(row.figure.low), "high": place(row.figure.high)}
            if row.figure is not None
            else {}
        )
        for row in rows
    ]


@require_safe
def model(request: HttpRequest, version_id: int) -> HttpResponse:
    """One version: all figures, by what `inputs` it was shown, thresholds, model card. 404 where there is no such version."""
    version = get_object_or_404(ModelVersion, pk=version_id)
    asked = request.GET.get("inputs", "")
    found = details(version, asked)
    if asked and found is None:
        raise Http404("This model has no such figures.")
    entry = _entry(version, ModelPointers.objects.first())
    try:
        entry["card"] = card(version)
    except CardUnreadable:
        entry["card"] = None
    if found is not None:
        entry["details"] = found
        entry["charts"] = with_addresses(
            found.charts, lambda *drawn: reverse("model-chart", args=(version.pk, found.inputs, *drawn))
        )
    return render(
        request,
        "predictor/model.html",
        {**entry, "figure_names": FIGURE_NAMES, "slice_figures": SLICE_FIGURES},
    )


@require_safe
def model_chart(request: HttpRequest, version_id: int, inputs: str, **drawn: str) -> HttpResponse:
    """A chart of a version as an SVG file; `drawn` says which, as `drawing` takes it."""
    found = details(get_object_or_404(ModelVersion, pk=version_id), inputs)
    if found is None:
        raise Http404("This model has no such figures.")
    return drawing(request, found.charts, **drawn)


def _entry(version: ModelVersion, pointers: ModelPointers | None) -> dict[str, Any]:
    found = reports(version)
    return {
        "version": version,
        "reports": found,
        "main": found[0] if found else None,
        "is_champion": pointers is not None and pointers.champion_id == version.pk,
        "is_displayed": pointers is not None and pointers.displayed_id == version.pk,
    }
