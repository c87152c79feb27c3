"""The charts of a model's figures, from a report of :func:`ml_core.judging.judge`: for its report, and for the site.

Each function takes a colour scheme and a width in pixels (below 400 for a phone) and returns a Vega-Lite specification
without the general look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ml_core.drawing import Scheme, flat_bars, heat_map, rows

Report = Mapping[str, Any]

PAIRS_SHOWN = 15


def roc_curves(report: Report, scheme: Scheme, width: int) -> dict[str, Any]:
    """A small ROC curve of each genre, with its area, the diagonal of chance, and the point of its threshold."""
    panels = []
    for curve, genre in _curves(report):
        negatives = report["films"] - genre["support"]
        extras = (
            genre["support"] * genre["recall"] * (1 / genre["precision"] - 1) if genre["precision"] else 0.0
        )
        panels.append(
            _Panel(
                title=f"{curve['name']} {genre['roc_auc']:.3f}",
                curve=(curve["roc"]["false_positive_rate"], curve["roc"]["true_positive_rate"]),
                chance=(0.0, 1.0),
                point=(extras / negatives, genre["recall"]),
            )
        )
    return _small_multiples(
        panels, scheme, width, x="false positive rate", y="true positive rate", interpolate="linear"
    )


def precision_recall_curves(report: Report, scheme: Scheme, width: int) -> dict[str, Any]:
    """A small precision-recall curve of each genre, with its average precision, its frequency (which is what chance
    reaches), and the point of its threshold.
    """
    panels = []
    for curve, genre in _curves(report):
        frequency = genre["support"] / report["films"]
        panels.append(
            _Panel(
                title=f"{curve['name']} {genre['average_precision']:.3f}",
                curve=(curve["precision_recall"]["recall"], curve["precision_recall"]["precision"]),
                chance=(frequency, frequency),
                point=(genre["recall"], genre["precision"]),
            )
        )
    return _small_multiples(panels, scheme, width, x="recall", y="precision", interpolate="step-before")


def reliability_diagram(report: Report, scheme: Scheme, width: int) -> dict[str, Any]:
    """How often a probability comes true, in bins; a dot's area is the number of answers in its bin."""
    import altair as alt

    side = 400 if width > 400 else width - 70
    unit = alt.Scale(domain=[0, 1], nice=False)
    bins = report["reliability"]
    axis = alt.Axis(format=".0%", tickCount=5)
    dots = alt.Chart(
        rows(
            x=[b["mean_probability"] for b in bins],
            y=[b["frequency"] for b in bins],
            count=[b["count"] for b in bins],
        )
    ).encode(
        x=alt.X("x:Q", scale=unit, axis=axis, title="probability"),
        y=alt.Y("y:Q", scale=unit, axis=axis, title="how often it is so"),
    )
    diagonal = (
        alt.Chart(rows(x=[0, 1], y=[0, 1]))
        .mark_line(color=scheme.soft, strokeDash=[4, 4], strokeWidth=1)
        .encode(x="x:Q", y="y:Q")
    )
    sized = dots.mark_circle(color=scheme.accent, opacity=1).encode(
        size=alt.Size("count:Q", scale=alt.Scale(type="sqrt", range=[25, 400]), legend=None)
    )
    lined = dots.mark_line(color=scheme.accent, strokeWidth=1.5)
    return dict((diagonal + lined + sized).properties(width=side, height=side).to_dict())


def cooccurrence_map(report: Report, scheme: Scheme, width: int) -> dict[str, Any]:
    """Of the films that TMDB gives the row's genre, the share that the model gives the column's."""
    return heat_map(genre_names(report), predicted_shares(report), scheme, width, domain=(0.35, 0.8))


def mistaken_pairs(report: Report, scheme: Scheme, width: int) -> dict[str, Any]:
    """The commonest pairs of a genre missed and another one predicted instead, in films."""
    pairs = missed_extra_pairs(report)[:PAIRS_SHOWN]
    return flat_bars(
        [f"{missed} → {extra}" for missed, extra, _ in pairs],
        [films for _, _, films in pairs],
        [f"{films:,}" for _, _, films in pairs],
        width if width > 400 else width - 40,
    )


def genre_names(report: Report) -> list[str]:
    """The names of the genres, in the order of the report's matrices."""
    return [genre["name"] for genre in report["genres"]]


def predicted_shares(report: Report) -> list[list[float | None]]:
    """Row by row, of the films with the row's genre the share that is predicted the column's; None without such films."""
    found = report["cooccurrence"]
    return [
        [films / found["labelled"][i][i] if found["labelled"][i][i] else None for films in line]
        for i, line in enumerate(found["predicted"])
    ]


def missed_extra_pairs(report: Report) -> list[tuple[str, str, int]]:
    """(genre missed, genre predicted that is not the film's, films), the commonest first."""
    names = genre_names(report)
    pairs = [
        (names[i], names[j], films)
        for i, line in enumerate(report["cooccurrence"]["missed_extra"])
        for j, films in enumerate(line)
        if films
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One of small multiples: a curve, what chance reaches at either end of the axis, and the chosen point."""

    title: str
    curve: tuple[list[float], list[float]]
    chance: tuple[float, float]
    point: tuple[float, float]


def _curves(report: Report) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The curves, each with its genre's figures."""
    genres = {genre["tmdb_id"]: genre for genre in report["genres"]}
    return [(curve, genres[curve["tmdb_id"]]) for curve in report["curves"]]


def _small_multiples(
    panels: list[_Panel],
    scheme: Scheme,
    width: int,
    *,
    x: str,
    y: str,
    interpolate: Literal["linear", "step-before"],
) -> dict[str, Any]:
    import altair as alt

    wide = width > 400
    side = 128 if wide else 66
    points: dict[str, list[Any]] = {"panel": [], "kind": [], "step": [], "x": [], "y": []}
    for panel in panels:
        (start, end), (at_x, at_y) = panel.chance, panel.point
        for kind, xs, ys in (
            ("curve", *panel.curve),
            ("chance", [0, 1], [start, end]),
            ("point", [at_x], [at_y]),
        ):
            points["panel"] += [panel.title] * len(xs)
            points["kind"] += [kind] * len(xs)
            points["step"] += range(len(xs))
            points["x"] += xs
            points["y"] += ys
    axis = alt.Axis(values=[0, 0.5, 1], format=".1~f", labelFontSize=10)
    unit = alt.Scale(domain=[0, 1], nice=False)
    base = alt.Chart().encode(
        x=alt.X("x:Q", scale=unit, axis=axis, title=None), y=alt.Y("y:Q", scale=unit, axis=axis, title=None)
    )
    layers = alt.layer(
        base.mark_line(color=scheme.soft, strokeDash=[3, 3], strokeWidth=1).transform_filter(
            "datum.kind === 'chance'"
        ),
        base.mark_line(color=scheme.accent, strokeWidth=1.75, interpolate=interpolate)
        .encode(order="step:Q")
        .transform_filter("datum.kind === 'curve'"),
        base.mark_circle(color=scheme.ink, size=36 if wide else 24, opacity=1).transform_filter(
            "datum.kind === 'point'"
        ),
    ).properties(width=side, height=side)
    header = alt.Header(title=f"across: {x}, up: {y}", labelFontSize=12 if wide else 9, labelPadding=3)
    chart = layers.facet(
        facet=alt.Facet("panel:N", sort=[panel.title for panel in panels], header=header),
        columns=6 if wide else 3,
        data=rows(**points),
        spacing=18 if wide else 10,
    )
    return dict(chart.to_dict())
