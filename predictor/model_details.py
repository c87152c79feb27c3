"""What the page of a model version tells beyond its main figures: curves, mistakes, and figures of some of the films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from catalog.languages import language_name
from predictor.charts import Chart
from predictor.model_charts import charts_of
from predictor.model_pages import INPUT_NAMES, Figure
from predictor.models import ModelVersion

log = structlog.get_logger(__name__)

_SLICES = {
    "genre": "By TMDB’s genre",
    "decade": "By decade",
    "language": "By original language",
    "overview_words": "By length of the overview, in words",
    "inputs": "By what there is of the film",
}
# Names in the reports of `ml_core.slices` and `ml_core.judging`, and as the page says them.
_FIGURES = {
    "macro_roc_auc": "Macro ROC AUC",
    "mean_average_precision": "mAP",
    "f1_micro": "Micro F1",
    "f1_macro": "Macro F1",
    "f1_samples": "Samples F1",
    "expected_calibration_error": "Calibration error",
}
SLICE_FIGURES = tuple(_FIGURES.values())


@dataclass(frozen=True, slots=True)
class SliceRow:
    """Some of the films; `figures` is empty where they are too few to judge by."""

    name: str
    films: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class SliceTable:
    """The films sliced in one way."""

    kind: str
    title: str
    rows: tuple[SliceRow, ...]


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much macro ROC AUC both inputs are better than one, and whether that is more than chance."""

    single: str
    auc: Figure
    is_above_zero: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A set of inputs that there are details of, and the number of test films."""

    inputs: str
    name: str
    films: int


@dataclass(frozen=True, slots=True)
class Details:
    """A version's details on test films of which it was shown `inputs`, one of `choices`."""

    inputs: str
    choices: list[Choice]
    charts: list[Chart]
    slices: tuple[SliceTable, ...]
    gains: tuple[Gain, ...]


def details(version: ModelVersion, inputs: str = "") -> Details | None:
    """The details for one set of inputs, the first that has any where none is named; None where there are none.

    Artifacts written before there were curves and slices have none.
    """
    test = version.test_reports()
    choices = [
        Choice(name, shown, int(test[name]["films"]))
        for name, shown in INPUT_NAMES.items()
        if test.get(name, {}).get("curves")
    ]
    chosen = inputs or next((choice.inputs for choice in choices), "")
    if chosen not in {choice.inputs for choice in choices}:
        return None
    report = test[chosen]
    try:
        return Details(
            inputs=chosen,
            choices=choices,
            charts=charts_of(report),
            slices=_slices(report.get("slices") or {}),
            gains=_gains(test.get("overview_poster", {}).get("differences") or {}),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        # The numbers came with the artifact, which another version of Genresite may have written.
        log.warning("figures of another form", version=version.pk, inputs=chosen, error=repr(error))
        return None


def _slices(slices: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[SliceTable, ...]:
    return tuple(
        SliceTable(
            kind=kind,
            title=title,
            rows=tuple(_slice(kind, entry) for entry in slices[kind]),
        )
        for kind, title in _SLICES.items()
        if slices.get(kind)
    )


def _slice(kind: str, entry: Mapping[str, Any]) -> SliceRow:
    name = str(entry["name"])
    if kind == "language" and len(name) == 2:
        name = language_name(name)
    figures = entry["figures"] or {}
    return SliceRow(
        name=name[:1].upper() + name[1:],
        films=int(entry["films"]),
        figures=tuple(_figure(shown, figures.get(key, {})) for key, shown in _FIGURES.items() if figures),
    )


def _gains(differences: Mapping[str, Mapping[str, Any]]) -> tuple[Gain, ...]:
    return tuple(
        Gain(
            single=single,
            auc=_figure("Macro ROC AUC", differences[single]["macro_roc_auc"]),
            is_above_zero=bool(differences[single]["macro_roc_auc"]["above_zero"]),
        )
        for single in ("overview", "poster")
        if single in differences
    )


def _figure(name: str, interval: Mapping[str, Any]) -> Figure:
    return Figure(name=name, value=interval.get("value"), low=interval.get("low"), high=interval.get("high"))
