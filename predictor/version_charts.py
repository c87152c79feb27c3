"""The charts of two versions' comparison: the curves of both, one over the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_core.drawing import Scheme
from ml_core.metric_charts import (
    precision_recall_curves_of_two,
    reliability_diagram_of_two,
    roc_curves_of_two,
)
from predictor.charts import Chart
from predictor.models import ModelVersion
from predictor.version_comparison import VersionComparison

Report = Mapping[str, Any]


def comparison_charts(comparison: VersionComparison, a: ModelVersion, b: ModelVersion) -> list[Chart]:
    """The charts, in the page's order; none where there are too few films."""
    if not comparison.reports:
        return []
    first, second = comparison.reports
    names = (f"A: {a.name}", f"B: {b.name}")

    def drawing(
        draw: Callable[[tuple[Report, Report], tuple[str, str], Scheme, int], dict[str, Any]],
    ) -> Callable[[Scheme, int], dict[str, Any]]:
        return lambda scheme, width: draw((first, second), names, scheme, width)

    drawn = [names, first["curves"], second["curves"]]
    return [
        Chart(
            name="roc",
            title="ROC curves of both",
            finding="Films of the genre found (upwards), against other films taken for it (to the right), for every threshold"
            " there could be; the dots are the thresholds used, the dashed line is guessing. Higher is better.",
            columns=("Genre", "Films", "ROC AUC of A", "of B"),
            rows=_genre_rows(first, second, "roc_auc"),
            draw=drawing(roc_curves_of_two),
            drawn=drawn,
            wide=True,
        ),
        Chart(
            name="precision-recall",
            title="Precision and recall of both",
            finding="Of the films given the genre, the share that has it (upwards), against the share of the genre’s films"
            " that are found (to the right); the dots are the thresholds used, the dashed line is guessing.",
            columns=("Genre", "Films", "Average precision of A", "of B"),
            rows=_genre_rows(first, second, "average_precision"),
            draw=drawing(precision_recall_curves_of_two),
            drawn=drawn,
            wide=True,
        ),
        Chart(
            name="reliability",
            title="Whose percentages can be believed?",
            finding="How often a genre is TMDB’s, by the probability it was given; on the dashed line they are the same."
            f" On average they part by {100 * first['expected_calibration_error']:.1f} points with A and"
            f" {100 * second['expected_calibration_error']:.1f} with B.",
            columns=("Probability", "Answers of A", "TMDB’s genre", "Answers of B", "TMDB’s genre"),
            rows=_reliability_rows(first, second),
            draw=drawing(reliability_diagram_of_two),
            drawn=[names, first["reliability"], second["reliability"]],
        ),
    ]


def _genre_rows(first: Report, second: Report, figure: str) -> list[tuple[Any, ...]]:
    return [
        (of_a["name"], of_a["support"], *(_decimals(genre[figure]) for genre in (of_a, of_b)))
        for of_a, of_b in zip(first["genres"], second["genres"], strict=True)
    ]


def _reliability_rows(first: Report, second: Report) -> list[tuple[Any, ...]]:
    by_bin = [{b["low"]: b for b in report["reliability"]} for report in (first, second)]
    edges = {low: high for bins in by_bin for low, high in ((b["low"], b["high"]) for b in bins.values())}
    rows: list[tuple[Any, ...]] = []
    for low, high in sorted(edges.items()):
        cells = [
            cell
            for bins in by_bin
            for cell in ((bins[low]["count"], f"{bins[low]['frequency']:.1%}") if low in bins else (0, "–"))
        ]
        rows.append((f"{low:.0%} to {high:.0%}", *cells))
    return rows


def _decimals(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:.3f}"
