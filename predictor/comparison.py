"""What a prediction and TMDB's labels have in common, film by film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

# Keeps the logarithm finite where a probability was rounded to 0 or 1: at most 13.8 nats a label.
_SMALLEST = 1e-6


@dataclass(frozen=True, slots=True)
class Comparison:
    """One film's prediction beside TMDB's labels. Genres are TMDB ids, sorted.

    All but `predicted` are None where TMDB gives the film no label: there is nothing to compare with.
    `surprise` is the mean log-loss of TMDB's labels under the probabilities, in nats a label.
    """

    predicted: tuple[int, ...]
    hits: tuple[int, ...] | None
    misses: tuple[int, ...] | None
    extras: tuple[int, ...] | None
    surprise: float | None


def compare(
    *,
    probabilities: NDArray[np.float32],
    predicted: NDArray[np.bool_],
    label_ids: Sequence[int],
    film_labels: Sequence[Sequence[int]],
) -> list[Comparison]:
    """Compare ``n`` predictions with TMDB's labels.

    `probabilities` ``(n, labels)`` are calibrated, `predicted` ``(n, labels)`` says which reached their
    thresholds; columns are in `label_ids` order. `film_labels` has each film's labels as TMDB ids; ids that
    the version does not predict are passed over.
    """
    columns = {label: column for column, label in enumerate(label_ids)}
    truth = np.zeros(predicted.shape, dtype=np.bool_)
    for row, labels in enumerate(film_labels):
        truth[row, [columns[label] for label in labels if label in columns]] = True
    p = np.clip(probabilities.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    surprise = -np.log(np.where(truth, p, 1 - p)).mean(axis=1)
    ids = np.asarray(label_ids)
    order = np.argsort(ids)
    ids = ids[order]

    def genres(mask: NDArray[np.bool_]) -> tuple[int, ...]:
        return tuple(ids[mask[order]].tolist())

    return [
        Comparison(
            predicted=genres(said),
            hits=genres(said & true) if true.any() else None,
            misses=genres(~said & true) if true.any() else None,
            extras=genres(said & ~true) if true.any() else None,
            surprise=float(bits) if true.any() else None,
        )
        for said, true, bits in zip(predicted, truth, surprise, strict=True)
    ]


# Predictions read, compared and written at a time.
_BATCH = 5000

_STALE = """
    SELECT p.version_id, p.film_id, p.probabilities, p.predicted, v.label_ids, f.label_ids
    FROM predictor_prediction p
    JOIN catalog_film f ON f.id = p.film_id
    JOIN predictor_modelversion v ON v.id = p.version_id
    WHERE (p.version_id, p.film_id) > (%(version)s, %(film)s)
      AND (%(films)s::bigint[] IS NULL OR p.film_id = ANY(%(films)s))
      AND CASE WHEN p.hits IS NULL THEN f.label_ids <> '{}'
          ELSE NOT (p.hits || p.misses @> f.label_ids AND p.hits || p.misses <@ f.label_ids) END
    ORDER BY p.version_id, p.film_id LIMIT %(limit)s
"""


def recompare(*, film_ids: Sequence[int] | None = None) -> int:
    """Compare again what was compared with other labels than TMDB gives the film now, of all versions.

    A film's hits and misses together are the labels it was compared with, so no more is kept to find the stale
    ones by. Looks at `film_ids`, or at all films. Returns how many predictions were out of date.
    """
    films = None if film_ids is None else list(film_ids)
    after, stale = (0, 0), 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_STALE, {"version": after[0], "film": after[1], "films": films, "limit": _BATCH})
            rows = cursor.fetchall()
            if not rows:
                return stale
            cursor.executemany(
                """
                UPDATE predictor_prediction SET hits = %s, misses = %s, extras = %s, surprise = %s
                WHERE version_id = %s AND film_id = %s AND predicted = %s::smallint[]
                """,
                [_compared_again(row) for row in rows],
            )
        stale += len(rows)
        after = rows[-1][:2]


def _compared_again(row: tuple[int, int, list[float], list[int], list[int], list[int]]) -> tuple[Any, ...]:
    version, film, probabilities, predicted, label_ids, film_labels = row
    comparison = compare(
        probabilities=np.array([probabilities], dtype=np.float32),
        predicted=np.isin(np.array([label_ids]), predicted),
        label_ids=label_ids,
        film_labels=[film_labels],
    )[0]
    sets = [
        None if genres is None else list(genres)
        for genres in (comparison.hits, comparison.misses, comparison.extras)
    ]
    return (*sets, comparison.surprise, version, film, predicted)
