"""The curves of a training, drawn on the server like all charts, anew with each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml_core.drawing import Scheme, rows
from predictor.charts import Chart

_STAGES = {
    "tune on posters": "posters",
    "train heads": "heads",
    "train lstm_cnn": "network",
    "tune encoders": "tuning",
}
_FIGURES = {
    "loss": ("Loss", "Mean binary cross-entropy of a genre: the lower, the better."),
    "macro_roc_auc": (
        "Macro ROC AUC",
        "How well it puts films of a genre before others: 0.5 is guessing, 1 perfect.",
    ),
    "f1_micro": ("Micro F1", "Of the genres it says and those it should say, with 0.5 as every threshold."),
}


def charts_of(curves: Sequence[dict[str, Any]]) -> list[Chart]:
    """Loss, ROC AUC and F1 by epoch, of films that it learns from and of films that it does not; none before the first."""
    # What is read on posters alone says little, and its figures are of those films: no continuation of the others' curves.
    curves = [entry for entry in curves if entry["stage"] in _STAGES]
    return [_chart(name, curves) for name in _FIGURES if any(f"val_{name}" in entry for entry in curves)]


def _chart(name: str, curves: Sequence[dict[str, Any]]) -> Chart:
    title, meaning = _FIGURES[name]
    shown = [entry for entry in curves if f"val_{name}" in entry]
    last = shown[-1][f"val_{name}"]
    best = (min if name == "loss" else max)(entry[f"val_{name}"] for entry in shown)
    return Chart(
        name=name.replace("_", "-"),
        title=title,
        finding=f"{meaning} On validation films {last:.4f} now, {best:.4f} at its best; the dashed line is of films that"
        " it learns from.",
        columns=("Epoch", "Validation", "Training"),
        rows=[
            (
                f"{_STAGES[entry['stage']]} {entry['epoch']}",
                f"{entry[f'val_{name}']:.4f}",
                f"{entry[f'train_{name}']:.4f}" if f"train_{name}" in entry else "–",
            )
            for entry in shown
        ],
        draw=lambda scheme, width: _lines(name, title, shown, scheme, width),
    )


def _lines(
    name: str, title: str, shown: Sequence[dict[str, Any]], scheme: Scheme, width: int
) -> dict[str, Any]:
    import altair as alt

    points = [
        (place, entry[f"{part}_{name}"], part)
        for place, entry in enumerate(shown, 1)
        for part in ("train", "val")
        if f"{part}_{name}" in entry
    ]
    base = alt.Chart(
        rows(
            epoch=[point[0] for point in points],
            value=[point[1] for point in points],
            part=["training films" if point[2] == "train" else "validation films" for point in points],
        )
    ).encode(
        x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d", grid=False)),
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
        color=alt.Color(
            "part:N",
            title=None,
            scale=alt.Scale(
                domain=["validation films", "training films"], range=[scheme.accent, scheme.soft]
            ),
            legend=alt.Legend(orient="top", direction="horizontal", symbolType="stroke"),
        ),
        strokeDash=alt.StrokeDash(
            "part:N",
            scale=alt.Scale(domain=["validation films", "training films"], range=[[1, 0], [5, 4]]),
            legend=None,
        ),
    )
    # A single epoch makes no line.
    chart = base.mark_line(strokeWidth=2) if len(shown) > 1 else base.mark_point(filled=True, size=60)
    return dict(chart.properties(width=width - 80, height=230).to_dict())
