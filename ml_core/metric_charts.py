"""The charts of a model's figures, from a report of :func:`ml_core.judging.judge`: for its report, and for the site.

Each function takes a colour scheme and a width in pixels (below 400 for a phone) and returns a Vega-Lite specification
without the general look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ml_core.drawing import Scheme, flat_bars, heat_map, rows

Report = Mapping[str, Any]
Pair = tuple[Report, Report]

PAIRS_SHOWN = 15
_FALSE_RATE, _TRUE_RATE = "false positive rate", "true positive rate"


def roc_curves(report: Report, scheme: Scheme, width: int) -> dict[str, Any]:
    """A small ROC curve of each genre, with its area, the diagonal of chance, and the point of its threshold."""
    panels = [
        _Panel(
            title=f"{curve['name']} {genre['roc_auc']:.3f}",
            lines=(_roc(report, curve, genre),),
            chance=(0, 1),
        )
        for curve, genre in _curves(report)
    ]
    return _small_multiples(panels, scheme, width, x=_FALSE_RATE, y=_TRUE_RATE, interpolate="linear")


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
                lines=(_precision_recall(curve, genre),),
                chance=(frequency, frequency),
            )
        )
    return _small_multiples(panels, scheme, width, x="recall", y="precision", interpolate="step-before")


def roc_curves_of_two(reports: Pair, names: tuple[str, str], scheme: Scheme, width: int) -> dict[str, Any]:
    """The same of two models on the same films, one over the other."""
    panels = [
        _Panel(
            title=first[0]["name"],
            lines=(_roc(reports[0], *first), _roc(reports[1], *second)),
            chance=(0, 1),
        )
        for first, second in zip(*map(_curves, reports), strict=True)
    ]
    return _small_multiples(
        panels, scheme, width, x=_FALSE_RATE, y=_TRUE_RATE, interpolate="linear", names=names
    )


def precision_recall_curves_of_two(
    reports: Pair, names: tuple[str, str], scheme: Scheme, width: int
) -> dict[str, Any]:
    """The same of two models on the same films, one over the other."""
    panels = []
    for first, second in zip(*map(_curves, reports), strict=True):
        frequency = first[1]["support"] / reports[0]["films"]
        panels.append(
            _Panel(
                title=first[0]["name"],
                lines=(_precision_recall(*first), _precision_recall(*second)),
                chance=(frequency, frequency),
            )
        )
    return _small_multiples(
        panels, scheme, width, x="recall", y="precision", interpolate="step-before", names=names
    )


def reliability_diagram(report: Report, scheme: Scheme, width: int) -> dict[str, Any]:
    """How often a probability comes true, in bins; a dot's area is the number of answers in its bin."""
    return _reliability([report], scheme, width, names=("",))


def reliability_diagram_of_two(
    reports: Pair, names: tuple[str, str], scheme: Scheme, width: int
) -> dict[str, Any]:
    """The same of two models on the same films, one over the other."""
    return _reliability(reports, scheme, width, names=names)


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


@dataclass(frozen=True, slots=True)
class _Line:
    """A model's curve, and the point on it that its threshold is."""

    curve: tuple[list[float], list[float]]
    point: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One of small multiples: a line of each model, and what chance reaches at either end of the axis."""

    title: str
    lines: tuple[_Line, ...]
    chance: tuple[float, float]


def _curves(report: Report) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The curves, each with its genre's figures."""
    genres = {genre["tmdb_id"]: genre for genre in report["genres"]}
    return [(curve, genres[curve["tmdb_id"]]) for curve in report["curves"]]


def _roc(report: Report, curve: Mapping[str, Any], genre: Mapping[str, Any]) -> _Line:
    negatives = report["films"] - genre["support"]
    extras = genre["support"] * genre["recall"] * (1 / genre["precision"] - 1) if genre["precision"] else 0.0
    return _Line(
        curve=(curve["roc"]["false_positive_rate"], curve["roc"]["true_positive_rate"]),
        point=(extras / negatives, genre["recall"]),
    )


def _precision_recall(curve: Mapping[str, Any], genre: Mapping[str, Any]) -> _Line:
    return _Line(
        curve=(curve["precision_recall"]["recall"], curve["precision_recall"]["precision"]),
        point=(genre["recall"], genre["precision"]),
    )


def _model_colours(names: Sequence[str], scheme: Scheme) -> Any:
    """The colour of each model, with a legend where there are several."""
    import altair as alt

    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolStrokeWidth=3, labelLimit=240)
    return alt.Color(
        "model:N",
        scale=alt.Scale(domain=list(names), range=[scheme.accent, scheme.second][: len(names)]),
        legend=legend if len(names) > 1 else None,
    )


def _small_multiples(
    panels: list[_Panel],
    scheme: Scheme,
    width: int,
    *,
    x: str,
    y: str,
    interpolate: Literal["linear", "step-before"],
    names: tuple[str, ...] = ("",),
) -> dict[str, Any]:
    import altair as alt

    wide = width > 400
    side = 128 if wide else 66
    points: dict[str, list[Any]] = {"panel": [], "kind": [], "model": [], "step": [], "x": [], "y": []}

    def add(panel: _Panel, kind: str, model: str, xs: Sequence[float], ys: Sequence[float]) -> None:
        points["panel"] += [panel.title] * len(xs)
        points["kind"] += [kind] * len(xs)
        points["model"] += [model] * len(xs)
        points["step"] += range(len(xs))
        points["x"] += xs
        points["y"] += ys

    for panel in panels:
        add(panel, "chance", "", [0, 1], panel.chance)
        for line, name in zip(panel.lines, names, strict=True):
            add(panel, "curve", name, *line.curve)
            add(panel, "point", name, *([value] for value in line.point))
    axis = alt.Axis(values=[0, 0.5, 1], format=".1~f", labelFontSize=10)
    unit = alt.Scale(domain=[0, 1], nice=False)
    base = alt.Chart().encode(
        x=alt.X("x:Q", scale=unit, axis=axis, title=None), y=alt.Y("y:Q", scale=unit, axis=axis, title=None)
    )
    colour = _model_colours(names, scheme)
    dots = base.mark_circle(size=36 if wide else 24, opacity=1)
    dots = dots.encode(color=alt.value(scheme.ink) if len(names) == 1 else colour)
    layers = alt.layer(
        base.mark_line(color=scheme.soft, strokeDash=[3, 3], strokeWidth=1).transform_filter(
            "datum.kind === 'chance'"
        ),
        base.mark_line(strokeWidth=1.75, interpolate=interpolate)
        .encode(order="step:Q", color=colour)
        .transform_filter("datum.kind === 'curve'"),
        dots.transform_filter("datum.kind === 'point'"),
    ).properties(width=side, height=side)
    header = alt.Header(title=f"across: {x}, up: {y}", labelFontSize=12 if wide else 9, labelPadding=3)
    chart = layers.facet(
        facet=alt.Facet("panel:N", sort=[panel.title for panel in panels], header=header),
        columns=6 if wide else 3,
        data=rows(**points),
        spacing=18 if wide else 10,
    )
    return dict(chart.to_dict())


def _reliability(
    reports: Sequence[Report], scheme: Scheme, width: int, *, names: tuple[str, ...]
) -> dict[str, Any]:
    import altair as alt

    side = 400 if width > 400 else width - 70
    unit = alt.Scale(domain=[0, 1], nice=False)
    bins = [(name, b) for report, name in zip(reports, names, strict=True) for b in report["reliability"]]
    axis = alt.Axis(format=".0%", tickCount=5)
    dots = alt.Chart(
        rows(
            model=[name for name, _ in bins],
            x=[b["mean_probability"] for _, b in bins],
            y=[b["frequency"] for _, b in bins],
            count=[b["count"] for _, b in bins],
        )
    ).encode(
        x=alt.X("x:Q", scale=unit, axis=axis, title="probability"),
        y=alt.Y("y:Q", scale=unit, axis=axis, title="how often it is so"),
        color=_model_colours(names, scheme),
    )
    diagonal = (
        alt.Chart(rows(x=[0, 1], y=[0, 1]))
        .mark_line(color=scheme.soft, strokeDash=[4, 4], strokeWidth=1)
        .encode(x="x:Q", y="y:Q")
    )
    sized = dots.mark_circle(opacity=1).encode(
        size=alt.Size("count:Q", scale=alt.Scale(type="sqrt", range=[25, 400]), legend=None)
    )
    lined = dots.mark_line(strokeWidth=1.5)
    return dict((diagonal + lined + sized).properties(width=side, height=side).to_dict())
