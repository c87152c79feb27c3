"""Whether a version may become the champion: not worse than the one there is, beyond what chance explains.

Both are compared on the same films that neither was trained or tuned on, film by film where their probabilities are at
hand: in their predictions of the catalog, or in the file of test films that artifacts carry since they are made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import structlog
from django.db import connection
from numpy.typing import NDArray

from ml_core.artifact import ArtifactError, read_test_probabilities
from ml_core.labels import LABEL_IDS
from predictor import artifact_storage
from predictor.models import ModelVersion

log = structlog.get_logger(__name__)

# Fewer films than this cannot tell two models apart.
FEWEST_FILMS = 200
FIGURE = "macro_roc_auc"
# Draws of the paired bootstrap: percentiles of 95 % are steady from a few hundred on, and a promotion takes 5 s at most.
_DRAWS = 400


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the comparison with the champion gave; the difference is the version's figure minus the champion's.

    ``verdict`` is "first" (there is no champion), "not_worse", "worse" or "too_few"; ``low`` and ``high`` bound the
    difference with 95 % confidence.
    """

    verdict: str
    champion_id: int | None = None
    films: int = 0
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    explanation: str = ""

    @property
    def opens(self) -> bool:
        """Whether the version may be promoted without a reason."""
        return self.verdict in {"first", "not_worse"}

    def as_json(self) -> dict[str, Any]:
        """As the promotion keeps it."""
        return asdict(self)


def judge(version: ModelVersion, champion: ModelVersion | None) -> GateReport:
    """Compare a version with the champion."""
    if champion is None or champion.pk == version.pk:
        return GateReport("first", explanation="There is no other champion to compare it with.")
    own, its = _probabilities(version), _probabilities(champion)
    films = sorted(set(own) & set(its) - _learned(version, champion))
    labels = _labels(films)
    films = [film for film in films if film in labels]
    if len(films) >= FEWEST_FILMS:
        return _paired(films, own, its, labels, champion)
    if _same_test_films(version, champion):
        return _by_intervals(version, champion)
    return GateReport(
        "too_few",
        champion_id=champion.pk,
        films=len(films),
        explanation=f"Too few to judge: both have probabilities for only {len(films)} films that neither was trained on;"
        f" {FEWEST_FILMS} are needed.",
    )


def _paired(
    films: list[int],
    own: Mapping[int, NDArray[np.float32]],
    its: Mapping[int, NDArray[np.float32]],
    labels: Mapping[int, list[int]],
    champion: ModelVersion,
) -> GateReport:
    from ml_core.bootstrap import bootstrap_figures
    from ml_core.weighted import WeightedFigures  # SciPy with it: only where it is needed

    truth = np.array([[label in labels[film] for label in LABEL_IDS] for film in films], dtype=np.float32)
    nothing = np.zeros(truth.shape, dtype=np.bool_)  # areas under curves know no thresholds
    first = WeightedFigures(np.stack([own[film] for film in films]), nothing, truth)
    second = WeightedFigures(np.stack([its[film] for film in films]), nothing, truth)

    def difference(weights: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        return {FIGURE: first.headline(weights)[FIGURE] - second.headline(weights)[FIGURE]}

    interval = bootstrap_figures(difference, films=len(films), n=_DRAWS)[FIGURE][0]
    verdict = "worse" if interval.high < 0 else "not_worse"
    return GateReport(
        verdict,
        champion_id=champion.pk,
        films=len(films),
        difference=round(interval.value, 5),
        low=round(interval.low, 5),
        high=round(interval.high, 5),
        explanation=f"On {len(films):,} films that neither was trained on, its macro ROC AUC is"
        f" {interval.value:+.4f} against the champion's (95 % interval {interval.low:+.4f} to {interval.high:+.4f}).",
    )


def _by_intervals(version: ModelVersion, champion: ModelVersion) -> GateReport:
    """Both artifacts' own figures, where they were judged on the same test films."""
    own, its = _figure(version), _figure(champion)
    if own is None or its is None or not own["films"] == its["films"] >= FEWEST_FILMS:
        return GateReport(
            "too_few",
            champion_id=champion.pk,
            explanation="Too few to judge: the artifacts have no figures of the same test films.",
        )
    worse = own["high"] < its["value"]
    return GateReport(
        "worse" if worse else "not_worse",
        champion_id=champion.pk,
        films=own["films"],
        difference=round(own["value"] - its["value"], 5),
        low=round(own["low"] - its["value"], 5),
        high=round(own["high"] - its["value"], 5),
        explanation=f"On the same {own['films']:,} test films, its macro ROC AUC is {own['value']:.4f} (95 % interval"
        f" {own['low']:.4f} to {own['high']:.4f}), the champion's {its['value']:.4f}.",
    )


def _figure(version: ModelVersion) -> dict[str, Any] | None:
    """Value and interval of the figure over all test films, and their number."""
    report = version.test_reports().get("all_films")
    interval = ((report or {}).get("intervals") or {}).get(FIGURE)
    if not report or not interval or None in interval.values():
        return None
    return {**interval, "films": report["films"]}


def _probabilities(version: ModelVersion) -> dict[int, NDArray[np.float32]]:
    """What a version says of films, by TMDB id, in the order of LABEL_IDS: from its predictions, and from its artifact."""
    order = [version.label_ids.index(label) for label in LABEL_IDS]
    said: dict[int, NDArray[np.float32]] = {}
    try:
        test = read_test_probabilities(artifact_storage.local(version))
    except ArtifactError as error:
        log.warning("no probabilities of test films", version=version.pk, error=str(error))
        test = None
    if test is not None:
        said = dict(zip(test.tmdb_ids.tolist(), test.probabilities[:, order], strict=True))
    with connection.cursor() as cursor:
        # Of films in nobody's training only, which the caller sees to; what a film's present inputs gave.
        cursor.execute(
            """
            SELECT f.tmdb_id, p.probabilities FROM predictor_prediction p
            JOIN catalog_film f ON f.id = p.film_id AND f.input_hash = p.input_hash
            WHERE p.version_id = %s AND f.tmdb_id IS NOT NULL AND f.label_ids <> '{}' AND p.part NOT IN ('train', 'val')
            """,
            [version.pk],
        )
        for tmdb_id, probabilities in cursor.fetchall():
            said[tmdb_id] = np.asarray(probabilities, dtype=np.float32)[order]
    return said


def _learned(*versions: ModelVersion) -> set[int]:
    """TMDB ids of the films that one of the versions was trained or tuned on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tmdb_id FROM predictor_versionfilm WHERE version_id = ANY(%s) AND part IN ('train', 'val')",
            [[version.pk for version in versions]],
        )
        return {row[0] for row in cursor.fetchall()}


def _same_test_films(*versions: ModelVersion) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(DISTINCT digest), count(*) FROM (
                SELECT md5(string_agg(tmdb_id::text, ' ' ORDER BY tmdb_id)) AS digest FROM predictor_versionfilm
                WHERE version_id = ANY(%s) AND part = 'test' GROUP BY version_id) AS sets
            """,
            [[version.pk for version in versions]],
        )
        return tuple(cursor.fetchone()) == (1, len(versions))


def _labels(tmdb_ids: list[int]) -> dict[int, list[int]]:
    """TMDB's labels as they are now, of films that have any."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tmdb_id, label_ids FROM catalog_film WHERE tmdb_id = ANY(%s) AND label_ids <> '{}'",
            [tmdb_ids],
        )
        return dict(cursor.fetchall())
