"""From films in the database to predictions in the database, a chunk at a time. Runs in predict workers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone
from numpy.typing import NDArray

from ml_core.devices import choose_device
from ml_core.predictor import BatchPrediction, FilmInput
from predictor.comparison import Comparison, compare
from predictor.models import EMBEDDING_DIMENSIONS, ModelVersion
from predictor.serving import models, turns

# Films between two looks at who wants the next turn: as many as fill the encoders' batches, and on two cores about
# half a second, which is what an online request waits for at most.
SUB_BATCH = 64
# A GPU is through with this many in less time, and idles on fewer.
GPU_SUB_BATCH = 512

_pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="read-posters")


@dataclass(frozen=True, slots=True)
class CatalogFilm:
    """What of a film a prediction reads and is compared with; `poster_file` is '' where it has none."""

    id: int
    title: str
    overview: str
    tagline: str
    label_ids: list[int]
    input_hash: str
    poster_file: str
    part: str


@dataclass(frozen=True, slots=True)
class FilmPrediction:
    """One film's row of a batch, compared with TMDB's labels."""

    film: CatalogFilm
    comparison: Comparison
    probabilities: NDArray[np.float32]
    overview_probabilities: NDArray[np.float32] | None
    poster_probabilities: NDArray[np.float32] | None
    thresholds: NDArray[np.float32]
    embedding: NDArray[np.float32]
    inputs: tuple[str, ...]
    poster_error: str


def read_films(*, version: ModelVersion, first: int, last: int) -> list[CatalogFilm]:
    """The films ``first <= id < last`` that lack a current prediction of a version."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT f.id, f.title, f.overview, f.tagline, f.label_ids, f.input_hash,
                   coalesce(poster.file, ''), coalesce(seen.part, '')
            FROM catalog_film f
            LEFT JOIN catalog_poster poster ON poster.id = f.poster_id
            LEFT JOIN predictor_versionfilm seen
                ON seen.version_id = %(version)s AND seen.tmdb_id = f.tmdb_id
            LEFT JOIN predictor_prediction p
                ON p.version_id = %(version)s AND p.film_id = f.id AND p.input_hash = f.input_hash
            WHERE f.id >= %(first)s AND f.id < %(last)s AND p.film_id IS NULL
            """,
            {"version": version.pk, "first": first, "last": last},
        )
        return [CatalogFilm(*row) for row in cursor.fetchall()]


def predict_films(
    films: Sequence[CatalogFilm], *, version: ModelVersion, between: Callable[[], None]
) -> Iterator[FilmPrediction]:
    """Predict films in sub-batches of like length; `between` is called before each and may raise to stop."""
    predictor = models.get(version)
    # Like lengths together: a batch costs as much as its longest text.
    ordered = sorted(films, key=lambda film: len(film.title) + len(film.overview))
    size = GPU_SUB_BATCH if choose_device(None).type != "cpu" else SUB_BATCH
    batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    reading = [_read_posters(batches[0])] if batches else []
    for number, batch in enumerate(batches):
        between()
        posters = [future.result() for future in reading.pop()]
        if number + 1 < len(batches):
            reading.append(_read_posters(batches[number + 1]))
        inputs = [
            FilmInput(title=film.title, overview=film.overview, tagline=film.tagline, poster=content)
            for film, (content, _) in zip(batch, posters, strict=True)
        ]
        with turns.batch():
            predictions = predictor.predict(inputs)
        yield from _compared(batch, predictions, predictor.label_ids, [error for _, error in posters])


def _read_posters(films: Sequence[CatalogFilm]) -> list[Future[tuple[bytes | None, str]]]:
    """Begin to read posters, ahead of their sub-batch."""
    return [_pool.submit(_read_poster, film.poster_file) for film in films]


def _read_poster(name: str) -> tuple[bytes | None, str]:
    """A stored poster's bytes, or why there are none: a lost file costs the film its poster, not its prediction.

    Raises `ConnectionError` where the whole storage is away: the chunk is then done later, and not without any poster.
    """
    if not name:
        return None, ""
    try:
        with default_storage.open(name) as file:
            return file.read(), ""
    except ConnectionError:
        raise
    except OSError as error:
        return None, f"the stored poster cannot be read ({error.strerror or error})"


def _compared(
    films: Sequence[CatalogFilm],
    batch: BatchPrediction,
    label_ids: Sequence[int],
    storage_errors: Sequence[str],
) -> Iterator[FilmPrediction]:
    comparisons = compare(
        probabilities=batch.probabilities,
        predicted=batch.predicted,
        label_ids=label_ids,
        film_labels=[film.label_ids for film in films],
    )
    for row, (film, comparison) in enumerate(zip(films, comparisons, strict=True)):
        inputs = batch.inputs_used[row]
        yield FilmPrediction(
            film=film,
            comparison=comparison,
            probabilities=batch.probabilities[row],
            overview_probabilities=batch.overview_probabilities[row] if "overview" in inputs else None,
            poster_probabilities=batch.poster_probabilities[row] if "poster" in inputs else None,
            thresholds=batch.thresholds[row],
            embedding=batch.embeddings[row],
            inputs=inputs,
            poster_error=batch.poster_errors[row] or storage_errors[row],
        )


_COLUMNS = (
    "film_id, label_ids, input_hash, part, probabilities, overview_probabilities, poster_probabilities, thresholds,"
    " embedding, inputs, poster_error, predicted, hits, misses, extras, surprise"
)
# A real and a smallint survive this; a half keeps three digits.
_REAL, _HALF = "%.9g", "%.5g"


def write_predictions(predictions: Sequence[FilmPrediction], *, version: ModelVersion) -> int:
    """Write predictions in bulk, in the caller's transaction; returns how many were written.

    A film that was deleted, or changed in what its prediction rests on or is compared with, is passed over: the
    next run finds it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE TEMPORARY TABLE IF NOT EXISTS new_prediction (
                film_id bigint, label_ids smallint[], input_hash text, part text, probabilities real[],
                overview_probabilities real[], poster_probabilities real[], thresholds real[],
                embedding halfvec, inputs varchar(8)[], poster_error text, predicted smallint[],
                hits smallint[], misses smallint[], extras smallint[], surprise real
            ) ON COMMIT DELETE ROWS
            """
        )
        cursor.execute("DELETE FROM new_prediction")  # of an earlier call in the same transaction
        with cursor.copy(f"COPY new_prediction ({_COLUMNS}) FROM STDIN") as copy:
            for prediction in predictions:
                copy.write_row(_row(prediction))
        values = _COLUMNS.replace("label_ids, ", "")
        updates = ", ".join(f"{name} = excluded.{name}" for name in values.split(", ") if name != "film_id")
        cursor.execute(  # every name in it is one of ours
            f"""
            INSERT INTO predictor_prediction (version_id, predicted_at, {values})
            SELECT %s, %s, n.{values.replace(", ", ", n.")}
            FROM new_prediction n JOIN catalog_film f ON f.id = n.film_id
            WHERE f.input_hash = n.input_hash AND f.label_ids = n.label_ids
            ORDER BY n.film_id
            ON CONFLICT (version_id, film_id) DO UPDATE SET predicted_at = excluded.predicted_at, {updates}
            """,  # noqa: S608
            [version.pk, timezone.now()],
        )
        return int(cursor.rowcount)


def _row(prediction: FilmPrediction) -> tuple[object, ...]:
    film, comparison = prediction.film, prediction.comparison
    embedding = np.nan_to_num(prediction.embedding.astype(np.float64)).tolist()
    return (
        film.id,
        _integers(film.label_ids),
        film.input_hash,
        film.part,
        _reals(prediction.probabilities),
        _reals(prediction.overview_probabilities),
        _reals(prediction.poster_probabilities),
        _reals(prediction.thresholds),
        "[" + (",".join([_HALF] * EMBEDDING_DIMENSIONS) % tuple(embedding)) + "]",
        "{" + ",".join(prediction.inputs) + "}",
        prediction.poster_error,
        _integers(comparison.predicted),
        _integers(comparison.hits),
        _integers(comparison.misses),
        _integers(comparison.extras),
        comparison.surprise,
    )


def _reals(values: NDArray[np.float32] | None) -> str | None:
    if values is None:
        return None
    return "{" + (",".join([_REAL] * len(values)) % tuple(values.tolist())) + "}"


def _integers(values: Sequence[int] | None) -> str | None:
    return None if values is None else "{" + ",".join(map(str, values)) + "}"
