"""Predictions as a table, for whoever works on with them elsewhere."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq
from django.db import connection

from catalog.models import Genre
from ml_core.snapshot import sync
from predictor.models import ModelVersion

# Rows read, and written as one Parquet row group, at once.
_BATCH = 5_000
_AFTER_PROBABILITIES = ("predicted_genres", "tmdb_genres", "inputs", "split", "model_version")


class ExportError(ValueError):
    """A table that cannot be written; the message says why."""


def export_predictions(
    file: Path, *, version: ModelVersion, on_batch: Callable[[int], None] | None = None
) -> int:
    """Write a version's predictions, one row a film by film id, to a ``.csv`` or ``.parquet``; returns the rows.

    Columns: ``id`` is the TMDB id, empty (CSV) or null (Parquet) for a film that has none; then one column of
    probability for each genre, named as TMDB names it, in the version's order; ``predicted_genres``, ``tmdb_genres`` (the
    labels only) and ``inputs`` are lists, in a CSV joined by ``|``; ``split`` is the part of the version's own training,
    empty for a film that it never met; ``model_version`` is name and SHA-256. Constant memory; the file appears complete
    or not at all. Raises `ExportError` for another extension.
    """
    names = dict(Genre.objects.values_list("id", "name"))
    genres = [names[label] for label in version.label_ids]
    label = f"{version.name} ({version.sha256})"
    rows = 0
    with _open(file, genres) as table:
        for batch in _batches(version):
            table.write(
                [
                    (
                        tmdb_id,
                        *probabilities,
                        [names[genre] for genre in predicted],
                        [names[genre] for genre in tmdb],
                        inputs,
                        part,
                        label,
                    )
                    for _, tmdb_id, probabilities, predicted, tmdb, inputs, part in batch
                ]
            )
            rows += len(batch)
            if on_batch:
                on_batch(rows)
    return rows


def _batches(version: ModelVersion) -> Iterator[list[tuple[Any, ...]]]:
    after = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT p.film_id, f.tmdb_id, p.probabilities, p.predicted, f.label_ids, p.inputs, p.part
                   FROM predictor_prediction p JOIN catalog_film f ON f.id = p.film_id
                   WHERE p.version_id = %s AND p.film_id > %s ORDER BY p.film_id LIMIT %s""",
                [version.pk, after, _BATCH],
            )
            rows = cursor.fetchall()
        if not rows:
            return
        yield rows
        after = rows[-1][0]


class _Table(Protocol):
    def write(self, rows: Sequence[tuple[Any, ...]]) -> None: ...


@contextmanager
def _open(file: Path, genres: list[str]) -> Iterator[_Table]:
    """A table written beside its name, synced, and renamed when all went well."""
    kinds: dict[str, Callable[[Path, list[str]], _CsvTable | _ParquetTable]] = {
        ".csv": _CsvTable,
        ".parquet": _ParquetTable,
    }
    if file.suffix.lower() not in kinds:
        raise ExportError(f"{file.name}: the extension says the format; give .csv or .parquet")
    aside = file.with_name(f".{file.name}.writing-{os.getpid()}")
    try:
        with kinds[file.suffix.lower()](aside, genres) as table:
            yield table
        sync(aside)
        aside.replace(file)
        sync(file.parent)
    finally:
        aside.unlink(missing_ok=True)


class _CsvTable:
    def __init__(self, path: Path, genres: list[str]) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(["id", *genres, *_AFTER_PROBABILITIES])

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for tmdb_id, *values in rows:
            self._writer.writerow(["" if tmdb_id is None else tmdb_id, *map(_cell, values)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class _ParquetTable:
    def __init__(self, path: Path, genres: list[str]) -> None:
        texts = pa.list_(pa.string())
        types = dict.fromkeys(genres, pa.float32()) | dict.fromkeys(_AFTER_PROBABILITIES[:3], texts)
        types |= dict.fromkeys(_AFTER_PROBABILITIES[3:], pa.string())
        self._schema = pa.schema({"id": pa.int64(), **types})
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        columns = [
            pa.array(column, type=field.type)
            for column, field in zip(zip(*rows, strict=True), self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def _cell(value: Any) -> str:
    # Seven digits hold every single-precision number.
    if isinstance(value, float):
        return f"{value:.7g}"
    return "|".join(value) if isinstance(value, list) else str(value)
