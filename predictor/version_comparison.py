"""Two model versions side by side: how well each does on films that neither was trained on, and what the difference is.

Both are judged by the predictions that this site holds of them, on the same films and by the labels that TMDB gives those
films now, so that versions trained on different films and on different days are still compared fairly.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db import connection
from django.utils import timezone
from numpy.typing import NDArray

from ml_core.bootstrap import Interval, bootstrap_figures
from ml_core.diagrams import curves
from ml_core.evaluation import evaluate
from ml_core.labels import LABEL_IDS, multi_hot
from predictor.agreement import FEW_FILMS, FEW_FILMS_OF_A_GENRE
from predictor.inference import catalog_writes
from predictor.keeping import kept
from predictor.models import ModelVersion
from predictor.registry import partition_of

# Films judged by at most: as many as the public test split has, and on a core with its intervals about a second's work.
MOST_FILMS = 5_000
# Draws of the bootstrap. Those of a report are 1,000; here one waits for them, and the bounds of 200 are known to about a
# tenth of the interval's width.
DRAWS = 200
# Predictions that are looked at for films that neither was trained on, where a version has more.
_MOST_READ = 4 * MOST_FILMS

FIGURE_NAMES = {
    "macro_roc_auc": "Macro ROC AUC",
    "mean_average_precision": "mAP",
    "f1_micro": "Micro F1",
    "f1_macro": "Macro F1",
    "f1_samples": "Samples F1",
    "expected_calibration_error": "Calibration error",
}
_LOWER_IS_BETTER = {"expected_calibration_error"}


class Basis(enum.StrEnum):
    """Which films both are judged by."""

    TEST = "test"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of both versions, and how much greater it is of the second, with its paired 95 % interval.

    `key` is its name in a report. The numbers are None where the figure is not defined. `better` is "a" or "b" where the interval leaves no doubt, and else "".
    """

    key: str
    name: str
    a: float | None
    b: float | None
    by: float | None
    low: float | None
    high: float | None
    better: str


@dataclass(frozen=True, slots=True)
class GenreDifference:
    """One genre's figures of both; `films` is how many of the films judged by have it at TMDB."""

    genre_id: int
    name: str
    films: int
    roc_auc: Difference
    average_precision: Difference
    f1: Difference

    @property
    def few(self) -> bool:
        """Whether too few films have the genre for its figures to mean much."""
        return self.films < FEW_FILMS_OF_A_GENRE


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """Two versions on the same films, none of which either was trained on.

    `is_sample` says that there were more films than are judged by: these are then drawn at random, always the same ones.
    On too few films there are no figures. `reports` are those of :func:`ml_core.evaluation.evaluate` with ``curves``, of
    the first and the second version; empty on too few films.
    """

    basis: Basis
    films: int
    is_sample: bool
    figures: tuple[Difference, ...]
    genres: tuple[GenreDifference, ...]
    reports: tuple[dict[str, Any], ...]
    counted_at: datetime

    @property
    def few(self) -> bool:
        """Whether there are too few films to judge by."""
        return self.films < FEW_FILMS


@dataclass(frozen=True, slots=True)
class _Answers:
    """What both versions say of ``n`` films, columns in the order of ``ml_core.labels.LABELS``, and TMDB's labels."""

    labels: NDArray[np.float32]
    probabilities: tuple[NDArray[np.float32], NDArray[np.float32]]
    thresholds: tuple[NDArray[np.float32], NDArray[np.float32]]


def version_comparison(a: ModelVersion, b: ModelVersion) -> VersionComparison:
    """How `b` compares with `a`, kept as `predictor.keeping` says while neither films nor predictions change."""
    state = f"{catalog_writes()} {_prediction_writes(a, b)}"
    return kept(f"version-comparison:1:{a.pk}:{b.pk}", lambda: compare_versions(a, b), state=state)


def compare_versions(a: ModelVersion, b: ModelVersion) -> VersionComparison:
    """The same, worked out now.

    On the films that were test films of both; where the site has fewer than 200 predictions of those, on films that
    neither was trained nor tuned on, whether test films or not.
    """
    basis, rows = Basis.TEST, _rows(_TEST, a, b)
    if len(rows) < FEW_FILMS:
        basis, rows = Basis.UNSEEN, _rows(_UNSEEN, a, b)
    if len(rows) < FEW_FILMS:
        return VersionComparison(basis, len(rows), False, (), (), (), timezone.now())
    answers = _answers(rows[:MOST_FILMS], a, b)
    reports = tuple(
        evaluate(p, answers.labels, t) | {"curves": curves(p, answers.labels)}
        for p, t in zip(answers.probabilities, answers.thresholds, strict=True)
    )
    differences = _differences(answers)
    return VersionComparison(
        basis=basis,
        films=len(answers.labels),
        is_sample=len(rows) > MOST_FILMS,
        figures=tuple(
            _difference(key, name, _figure(reports[0], key), _figure(reports[1], key), differences[key][0])
            for key, name in FIGURE_NAMES.items()
        ),
        genres=tuple(
            GenreDifference(
                genre_id=first["tmdb_id"],
                name=first["name"],
                films=first["support"],
                **{
                    key: _difference(key, key, first[key], second[key], differences[f"label_{key}"][k])
                    for key in ("roc_auc", "average_precision", "f1")
                },
            )
            for k, (first, second) in enumerate(zip(*(report["genres"] for report in reports), strict=True))
        ),
        reports=reports,
        counted_at=timezone.now(),
    )


def _differences(answers: _Answers) -> dict[str, list[Interval]]:
    """Second minus first of every figure and of those by label, over the same draws of films for both."""
    # Imported where it is used: scipy is 50 MB that a web process does without until somebody compares.
    from ml_core.weighted import WeightedFigures

    first, second = (
        WeightedFigures(p, p >= t, answers.labels)
        for p, t in zip(answers.probabilities, answers.thresholds, strict=True)
    )

    def difference(weights: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        of_first, of_second = first.headline_by_label(weights), second.headline_by_label(weights)
        return {name: of_second[name] - of_first[name] for name in of_first}

    return bootstrap_figures(difference, films=len(answers.labels), n=DRAWS)


def _difference(key: str, name: str, a: float | None, b: float | None, interval: Interval) -> Difference:
    bounds = interval.to_json()
    better = ""
    if interval.low > 0 or interval.high < 0:
        better = "b" if (interval.low > 0) != (key in _LOWER_IS_BETTER) else "a"
    return Difference(
        key=key,
        name=name,
        a=a,
        b=b,
        by=bounds["value"],
        low=bounds["low"],
        high=bounds["high"],
        better=better,
    )


def _figure(report: dict[str, Any], key: str) -> float | None:
    value: float | None = report["f1"][key.removeprefix("f1_")] if key.startswith("f1_") else report.get(key)
    return value


def _answers(rows: Sequence[tuple[Any, ...]], a: ModelVersion, b: ModelVersion) -> _Answers:
    labels, *columns = zip(*rows, strict=True)
    # The registry takes no artifact whose labels are not these, but any may have them in an order of its own.
    orders = [[version.label_ids.index(label) for label in LABEL_IDS] for version in (a, b)]
    p_a, t_a, p_b, t_b = (
        np.array(column, dtype=np.float32)[:, order]
        for column, order in zip(columns, (orders[0], orders[0], orders[1], orders[1]), strict=True)
    )
    return _Answers(np.stack([multi_hot(ids) for ids in labels]), (p_a, p_b), (t_a, t_b))


def _rows(query: str, a: ModelVersion, b: ModelVersion) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            query,
            {
                "a": a.pk,
                "b": b.pk,
                "films": MOST_FILMS + 1,
                "read": _MOST_READ,
                "partition": partition_of(a),
            },
        )
        return cursor.fetchall()


def _prediction_writes(*versions: ModelVersion) -> str:
    """A figure that changes with every write to these versions' predictions: see `catalog_writes`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables
            WHERE relid = ANY(%s::regclass[]) ORDER BY relid
            """,
            [[partition_of(version) for version in versions]],
        )
        return str(cursor.fetchall())


# Both: (labels, probabilities and thresholds of a, those of b) a film, of predictions of the film as it is now. Films are
# taken in the order of a hash of their ids, so that those taken are no older or better known than the others.
_PREDICTIONS = """
    SELECT f.label_ids, pa.probabilities, pa.thresholds, pb.probabilities, pb.thresholds
"""
# By the lists of test films that came with the artifacts: however many films the site has, only these are looked up.
_TEST = f"""
    {_PREDICTIONS}
    FROM (
        SELECT f.id, f.label_ids, f.input_hash
        FROM predictor_versionfilm seen_a
        JOIN predictor_versionfilm seen_b ON seen_b.tmdb_id = seen_a.tmdb_id
        JOIN catalog_film f ON f.tmdb_id = seen_a.tmdb_id
        WHERE seen_a.version_id = %(a)s AND seen_a.part = 'test'
          AND seen_b.version_id = %(b)s AND seen_b.part = 'test' AND f.label_ids <> '{{}}'
        ORDER BY hashint8(f.id), f.id LIMIT %(read)s
    ) f
    JOIN predictor_prediction pa
        ON pa.version_id = %(a)s AND pa.film_id = f.id AND pa.input_hash = f.input_hash
    JOIN predictor_prediction pb
        ON pb.version_id = %(b)s AND pb.film_id = f.id AND pb.input_hash = f.input_hash
    ORDER BY hashint8(f.id), f.id LIMIT %(films)s
"""  # noqa: S608 - of constants
# Of a version with more predictions than are to be read, only those in a random share of its table's pages, always the
# same ones: how many there are is the planner's estimate (-1 for a table it has not looked at yet).
_UNSEEN = f"""
    {_PREDICTIONS}
    FROM predictor_prediction pa TABLESAMPLE SYSTEM (
        (SELECT least(100, 100.0 * %(read)s / greatest(reltuples, 1)) FROM pg_class
         WHERE oid = %(partition)s::regclass)
    ) REPEATABLE (0)
    JOIN predictor_prediction pb ON pb.version_id = %(b)s AND pb.film_id = pa.film_id
    JOIN catalog_film f ON f.id = pa.film_id
    WHERE pa.version_id = %(a)s AND pa.input_hash = f.input_hash AND pb.input_hash = f.input_hash
      AND f.label_ids <> '{{}}'
      AND NOT EXISTS (
          SELECT 1 FROM predictor_versionfilm seen
          WHERE seen.version_id IN (%(a)s, %(b)s) AND seen.tmdb_id = f.tmdb_id AND seen.part <> 'test'
      )
    ORDER BY hashint8(f.id), f.id LIMIT %(films)s
"""  # noqa: S608 - of constants
