"""Imports from files, as runs: what an import reads, from its start to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.db import connection

from catalog.csv_rows import CsvError
from catalog.importing import end_run, start_run, upsert_films
from catalog.kaggle import count_lines, read_films
from catalog.models import ImportRun
from catalog.records import ImportCounts

# First key of the session lock that a run's process holds; the second is the run.
_RUNNING = 0x696D7072


class ImportCancelled(Exception):  # noqa: N818 - nothing went wrong
    """Raised between two batches by whoever is asked whether to go on."""


def import_kaggle(
    *, path: Path, run: ImportRun, on_batch: Callable[[ImportCounts], None] | None = None
) -> ImportCounts:
    """Import a CSV of Kaggle's shape as the given run; what ``on_batch`` raises ends it.

    Raises `CsvError` when the file is no such CSV and `OSError` when it cannot be read; the run is then failed with the
    reason. A process that was killed leaves its run to `close_interrupted_runs`; importing again finds what was written.
    """
    with _holding(run):
        start_run(run, total=count_lines(path) if path.is_file() else None)
        try:
            counts = upsert_films(read_films(path), run=run, on_batch=on_batch)
        except ImportCancelled:
            end_run(run, ImportRun.State.CANCELLED)
            raise
        except (CsvError, OSError) as error:
            end_run(run, ImportRun.State.FAILED, reason=str(error))
            raise
        end_run(run, ImportRun.State.DONE)
        return counts


def close_interrupted_runs() -> int:
    """Mark runs as failed whose process is gone, which shows by nobody holding their lock; returns how many."""
    closed = 0
    for run in ImportRun.objects.filter(state=ImportRun.State.RUNNING):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_RUNNING, run.pk])
            if cursor.fetchone()[0]:
                reason = (
                    "Its process ended before the import did. What it wrote is kept: import again to go on."
                )
                end_run(run, ImportRun.State.FAILED, reason=reason)
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_RUNNING, run.pk])
                closed += 1
    return closed


class _holding:  # noqa: N801 - reads as the statement it is
    """Hold the lock that says that a run's process lives. The database lets go of it when the process is gone."""

    def __init__(self, run: ImportRun) -> None:
        self._run = run

    def __enter__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [_RUNNING, self._run.pk])

    def __exit__(self, *_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_RUNNING, self._run.pk])
