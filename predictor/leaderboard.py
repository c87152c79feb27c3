"""The leaderboard: every version in a row, by one figure on test films, and by what the version costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, FloatField, Max, Q
from django.db.models.functions import Cast, Extract

from predictor.model_pages import FIGURE_NAMES, INPUT_NAMES, Figure, Report, reports
from predictor.models import ModelPointers, ModelVersion, PredictionRun

# A site that retrains often still shows a page that one reads to its end; older versions stay in the admin.
MOST_VERSIONS = 50
# A shorter run measures how long a model takes to load.
_FEWEST_FOR_SPEED = 200
METRICS = {
    "auc": "Macro ROC AUC",
    "map": "mAP",
    "micro-f1": "Micro F1",
    "macro-f1": "Macro F1",
    "samples-f1": "Samples F1",
    "calibration": "Calibration error",
}
assert tuple(METRICS.values()) == FIGURE_NAMES
LOWER_IS_BETTER = {"calibration"}


@dataclass(frozen=True, slots=True)
class Row:
    """A version on the leaderboard. `figure` and `films` are None where it was not measured with these inputs.

    `speed` is in films a second, of its fastest prediction run on this site; None where it has had none of a fair length.
    """

    version: ModelVersion
    figure: Figure | None
    films: int | None
    speed: float | None
    is_champion: bool
    is_displayed: bool

    @property
    def made_at(self) -> datetime:
        """When it was trained or, where the artifact does not say, registered."""
        return self.version.trained_at or self.version.registered_at


# By what rows are sorted: the key, and whether the greatest comes first unless one asks otherwise.
SORTS: dict[str, tuple[Callable[[Row], Any], bool]] = {
    "name": (lambda row: row.version.name.casefold(), False),
    "quality": (lambda row: row.figure.value if row.figure else None, True),
    "films": (lambda row: row.films, True),
    "size": (lambda row: row.version.size, False),
    "speed": (lambda row: row.speed, True),
    "date": (lambda row: row.made_at, True),
}


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The rows in their order, and the sets of inputs that any of the versions was measured with."""

    rows: tuple[Row, ...]
    inputs: str
    input_names: dict[str, str]
    is_cut: bool


def leaderboard(*, inputs: str, metric: str, sort: str, descending: bool) -> Leaderboard | None:
    """The versions by `metric`, a key of METRICS, on test films of which they were shown `inputs`.

    Without `inputs`: the first set of them that any version was measured with. None where there is no such set. What a
    version lacks comes last in either direction, and the newest first among equals.
    """
    pointers = ModelPointers.objects.first() or ModelPointers()
    in_use = [key for key in (pointers.champion_id, pointers.displayed_id) if key]
    newest = list(ModelVersion.objects.values_list("pk", flat=True)[: MOST_VERSIONS + 1])
    versions = ModelVersion.objects.in_brief().filter(pk__in=[*newest[:MOST_VERSIONS], *in_use])
    measured = {version: {report.inputs: report for report in reports(version)} for version in versions}
    names = {
        key: name
        for key, name in INPUT_NAMES.items()
        if any(name in by_inputs for by_inputs in measured.values())
    }
    chosen = inputs or next(iter(names), "")
    if inputs and inputs not in names:
        return None
    speeds = _speeds([version.pk for version in measured])
    rows = [
        Row(
            version=version,
            figure=_figure(by_inputs.get(names.get(chosen, "")), metric),
            films=by_inputs[names[chosen]].films if names.get(chosen) in by_inputs else None,
            speed=speeds.get(version.pk),
            is_champion=version.pk == pointers.champion_id,
            is_displayed=version.pk == pointers.displayed_id,
        )
        for version, by_inputs in measured.items()
    ]
    key = SORTS[sort][0]
    known = [row for row in rows if key(row) is not None]
    unknown = [row for row in rows if key(row) is None]
    return Leaderboard(
        rows=(*sorted(known, key=key, reverse=descending), *unknown),
        inputs=chosen,
        input_names=names,
        is_cut=len(newest) > MOST_VERSIONS,
    )


def best_first(sort: str, metric: str) -> bool:
    """Whether the order in which the best comes first is the falling one."""
    return SORTS[sort][1] and not (sort == "quality" and metric in LOWER_IS_BETTER)


def _figure(report: Report | None, metric: str) -> Figure | None:
    if report is None:
        return None
    found = next(figure for figure in report.figures if figure.name == METRICS[metric])
    return found if isinstance(found.value, int | float) else None


def _speeds(versions: Sequence[int]) -> dict[int, float]:
    seconds = Cast(Extract(F("finished_at") - F("created_at"), "epoch"), FloatField())
    runs = PredictionRun.objects.filter(
        Q(finished_at__gt=F("created_at")),
        version_id__in=versions,
        state=PredictionRun.State.DONE,
        predicted__gte=_FEWEST_FOR_SPEED,
    )
    return dict(
        runs.order_by()
        .values("version_id")
        .annotate(speed=Max(F("predicted") / seconds, output_field=FloatField()))
        .values_list("version_id", "speed")
    )
