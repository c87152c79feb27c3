"""The charts of a model version's page, from its report on test films."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_core.drawing import Scheme
from ml_core.metric_charts import (
    PAIRS_SHOWN,
    cooccurrence_map,
    genre_names,
    missed_extra_pairs,
    mistaken_pairs,
    precision_recall_curves,
    predicted_shares,
    reliability_diagram,
    roc_curves,
)
from predictor.charts import Chart

Report = Mapping[str, Any]


def charts_of(report: Report) -> list[Chart]:
    """The charts that a report has the numbers for, in the page's order; reports of older artifacts have few or none."""
    charts = []
    if report.get("curves"):
        charts += [_roc(report), _precision_recall(report)]
    if report.get("reliability"):
        charts.append(_reliability(report))
    if report.get("cooccurrence"):
        if missed_extra_pairs(report):
            charts.append(_mistaken(report))
        charts.append(_cooccurrence(report))
    return charts


def _roc(report: Report) -> Chart:
    genres = sorted(_drawn_genres(report), key=lambda genre: genre["roc_auc"])
    last, first = genres[0], genres[-1]
    return Chart(
        name="roc",
        title="ROC curves",
        finding="Films of the genre that it finds (upwards), against other films that it takes for it (to the right), for"
        " every threshold there could be; the dot is the one it uses, the dashed line guessing. It tells"
        f" {first['name']} best ({first['roc_auc']:.3f}) and {last['name']} worst ({last['roc_auc']:.3f}).",
        columns=("Genre", "Films", "ROC AUC"),
        rows=[(genre["name"], genre["support"], f"{genre['roc_auc']:.3f}") for genre in reversed(genres)],
        draw=_drawing(roc_curves, report),
        drawn=report["curves"],
        wide=True,
    )


def _precision_recall(report: Report) -> Chart:
    genres = sorted(_drawn_genres(report), key=lambda genre: -genre["average_precision"])
    return Chart(
        name="precision-recall",
        title="Precision and recall",
        finding="Of the films that it gives the genre, the share that has it (upwards), against the share of the genre’s"
        " films that it finds (to the right); the dot is the threshold it uses, the dashed line guessing. A rare genre"
        " starts from a low line.",
        columns=("Genre", "Films", "Average precision", "Precision", "Recall", "F1"),
        rows=[
            (
                genre["name"],
                genre["support"],
                *(f"{genre[name]:.3f}" for name in ("average_precision", "precision", "recall", "f1")),
            )
            for genre in genres
        ],
        draw=_drawing(precision_recall_curves, report),
        drawn=report["curves"],
        wide=True,
    )


def _reliability(report: Report) -> Chart:
    error = report["expected_calibration_error"]
    return Chart(
        name="reliability",
        title="Can its percentages be believed?",
        finding="How often a genre is TMDB’s, by the probability it was given; on the dashed line they are the same. The"
        f" larger a dot, the more answers. On average they part by {100 * error:.1f} points.",
        columns=("Probability", "Answers", "Mean probability", "TMDB’s genre"),
        rows=[
            (
                f"{b['low']:.0%} to {b['high']:.0%}",
                b["count"],
                f"{b['mean_probability']:.1%}",
                f"{b['frequency']:.1%}",
            )
            for b in report["reliability"]
        ],
        draw=_drawing(reliability_diagram, report),
    )


def _cooccurrence(report: Report) -> Chart:
    names = genre_names(report)
    return Chart(
        name="cooccurrence",
        title="What it predicts for the films of a genre",
        finding="Of the films that TMDB gives the row’s genre, the share that the model gives the column’s. On the diagonal"
        " it agrees; elsewhere stand genres that go together, and those it mistakes.",
        columns=("TMDB’s genre", *names),
        rows=[
            (name, *("–" if share is None else f"{share:.0%}" for share in line))
            for name, line in zip(names, predicted_shares(report), strict=True)
        ],
        draw=_drawing(cooccurrence_map, report),
        wide=True,
    )


def _mistaken(report: Report) -> Chart:
    pairs = missed_extra_pairs(report)[:PAIRS_SHOWN]
    missed, extra, films = pairs[0]
    return Chart(
        name="mistaken",
        title="One genre for another",
        finding="Films by a genre of theirs that it missed and one that it predicted instead. Most often it misses"
        f" {missed} and says {extra}: {films:,} films.",
        columns=("Missed → predicted instead", "Films"),
        rows=[(f"{missed} → {extra}", films) for missed, extra, films in pairs],
        draw=_drawing(mistaken_pairs, report),
    )


def _drawn_genres(report: Report) -> list[Mapping[str, Any]]:
    """The genres that have a curve."""
    drawn = {curve["tmdb_id"] for curve in report["curves"]}
    return [genre for genre in report["genres"] if genre["tmdb_id"] in drawn]


def _drawing(
    draw: Callable[[Report, Scheme, int], dict[str, Any]], report: Report
) -> Callable[[Scheme, int], dict[str, Any]]:
    return lambda scheme, width: draw(report, scheme, width)
