"""The life of an import run: started, counted, ended; and what it refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.models import F
from django.utils import timezone

from catalog.models import ImportRejection, ImportRun
from catalog.records import Rejection

# First key of the session lock that a run's process holds; the second is the run.
_RUNNING = 0x696D7072


def start_run(run: ImportRun, *, total: int | None = None) -> None:
    """Mark a run as running. One that starts again after its worker died counts from the beginning."""
    run.rejections.all().delete()
    for name in ("read", "created", "updated", "unchanged", "rejected", "posters_stored"):
        setattr(run, name, 0)
    run.state, run.reason, run.total = ImportRun.State.RUNNING, "", total
    run.started_at, run.finished_at = timezone.now(), None
    run.save()


def end_run(run: ImportRun, state: ImportRun.State, *, reason: str = "") -> None:
    """Mark a run as done, failed or cancelled, with the reason."""
    ImportRun.objects.filter(pk=run.pk).update(
        state=state, reason=reason[:2000], finished_at=timezone.now(), total=F("read")
    )
    run.refresh_from_db()


def record_rejections(run: ImportRun, rejections: Iterable[Rejection]) -> None:
    """Keep what was refused, so that an admin can read it beside the run."""
    ImportRejection.objects.bulk_create(
        ImportRejection(
            run=run, line=item.line, record=item.record[:200], code=item.code, reason=item.reason[:1000]
        )
        for item in rejections
    )


@contextmanager
def holding(run: ImportRun) -> Iterator[None]:
    """Hold the lock that says that a run's process lives. The database lets go of it when the process is gone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [_RUNNING, run.pk])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_RUNNING, run.pk])


def close_interrupted_runs() -> int:
    """Mark runs as failed whose process is gone, which shows by nobody holding their lock; returns how many.

    Uploads and imports from TMDB are left alone: the ledger gives them to another worker.
    """
    closed = 0
    running = ImportRun.objects.filter(state=ImportRun.State.RUNNING)
    for run in running.exclude(source=ImportRun.Source.TMDB).exclude(options__has_key="upload"):
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
