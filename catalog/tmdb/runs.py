"""Imports from TMDB as runs: asked for, planned in the ledger, watched, paused, resumed, cancelled, and tried again.

A run has two kinds of chunks: one that lists the ids, and, planned with its end, those that fetch the films.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.utils import timezone

from catalog.models import ImportBatch, ImportRejection, ImportRun
from catalog.runs import record_rejections
from catalog.tmdb import client, rate
from catalog.tmdb.asking import ImportRequest
from catalog.tmdb.errors import (
    TmdbError,
    TmdbKeyRefusedError,
    TmdbNotConfiguredError,
    TmdbRefusedError,
)
from catalog.tmdb.fetching import fetch_chunk
from catalog.tmdb.listing import ImportEstimate, estimate, listing
from catalog.tmdb.syncing import drop_outdated
from catalog.tmdb.transport import called_off_by
from ledger import chunks
from ledger.broker import require_broker
from ledger.chunks import ClaimedChunk, Progress, RunCancelledError
from ledger.handlers import handles, on_run_end
from ledger.tasks import wake

__all__ = [
    "ImportEstimate",
    "ImportProgress",
    "NothingToRetryError",
    "can_retry",
    "cancel",
    "estimate",
    "pause",
    "progress",
    "resume",
    "retry_failed",
    "start",
]

log = structlog.get_logger(__name__)

LIST, FETCH = "tmdb_list", "tmdb_fetch"
_State = ImportRun.State
_OPEN = (_State.WAITING, _State.RUNNING, _State.PAUSED)
# Films a chunk: at 40 requests a second two seconds' work for all workers together, and little lost by a kill. A short
# run is cut finer, so that several workers share it and its progress is seen.
CHUNK_FILMS, FEWEST_CHUNK_FILMS, CHUNKS_OF_A_SHORT_RUN = 80, 10, 16
_RATE_SECONDS = 60


class NothingToRetryError(ValueError):
    """Nothing in the run failed that another try could mend."""


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How a run is going. `rate` in films a second over the last minute; `seconds_left` is None where nobody can tell.

    `blocked_seconds`: for how long nobody may ask TMDB anything, since it said so or is not to be reached.
    """

    done: int
    total: int | None
    rate: float
    seconds_left: float | None
    blocked_seconds: float
    set_aside: int


def start(request: ImportRequest, *, by: Any = None, options: dict[str, Any] | None = None) -> ImportRun:
    """Plan an import; returns the waiting run.

    Raises `RequestError` for what cannot be asked, `TmdbNotConfiguredError` without a key, and
    `ledger.broker.BrokerUnavailableError` when no worker could be told.
    """
    request.checked()
    if not client.is_configured():
        raise TmdbNotConfiguredError("There is no key for TMDB's API: set TMDB_API_KEY.")
    require_broker()
    with transaction.atomic():
        run = ImportRun.objects.create(
            source=ImportRun.Source.TMDB,
            created_by=by,
            options={**(options or {}), "request": request.as_options()},
        )
        chunks.plan(kind=LIST, run=run.pk, spans=[(0, 1)])
        wake(LIST)
    return run


def pause(run: ImportRun) -> bool:
    """Let a run rest; what is in hand is given up within a second. Returns whether it could be paused."""
    with transaction.atomic():
        stopped = sum(chunks.pause_run(kind=kind, run=run.pk) for kind in (LIST, FETCH))
        if stopped:
            ImportRun.objects.filter(pk=run.pk, state__in=_OPEN).update(state=_State.PAUSED)
    return stopped > 0


def resume(run: ImportRun) -> bool:
    """Let a paused run go on. Returns whether it was paused. Raises `BrokerUnavailableError`."""
    require_broker()
    resumed = 0
    with transaction.atomic():
        for kind in (LIST, FETCH):
            if chunks.resume_run(kind=kind, run=run.pk):
                resumed += 1
                wake(kind)
        if resumed:
            began = _State.RUNNING if run.started_at else _State.WAITING
            ImportRun.objects.filter(pk=run.pk, state=_State.PAUSED).update(state=began)
    return resumed > 0


def cancel(run: ImportRun) -> bool:
    """Stop a run for good; what it wrote is kept. Returns whether there was something to stop."""
    with transaction.atomic():
        return sum(chunks.cancel_run(kind=kind, run=run.pk) for kind in (LIST, FETCH)) > 0


def retry_failed(run: ImportRun, *, by: Any = None) -> ImportRun:
    """A run of the films that another failed to fetch, or whose posters it did, and of those it set aside.

    Films that TMDB does not have are left out. A run that could not even list its films is asked for as it was. Raises
    `NothingToRetryError` and what `start` raises.
    """
    if not can_retry(run):
        raise NothingToRetryError(f"Import {run.pk} has nothing left that another try could mend.")
    request = ImportRequest.from_options(run.options.get("request", {"what": "ids"}))
    if not _was_never_listed(run):
        ids = [int(record) for record in _retriable(run).values_list("record", flat=True)]
        for batch in ImportBatch.objects.filter(run=run):
            ids += batch.tmdb_ids
        request = ImportRequest(what="ids", tmdb_ids=tuple(dict.fromkeys(ids)), posters=request.posters)
    return start(request, by=by, options={"retry_of": run.pk})


def can_retry(run: ImportRun) -> bool:
    """Whether `retry_failed` has something to try again."""
    if run.source != ImportRun.Source.TMDB or run.state in _OPEN:
        return False
    return _was_never_listed(run) or ImportBatch.objects.filter(run=run).exists() or _retriable(run).exists()


def _was_never_listed(run: ImportRun) -> bool:
    """A refused key or TMDB away: nobody came to know which films it was about."""
    return run.total is None and run.state in (_State.FAILED, _State.CANCELLED)


def _retriable(run: ImportRun) -> QuerySet[ImportRejection]:
    """What was refused of films that TMDB has: all but single values, which another try would find as they are."""
    listed = run.rejections.exclude(code="not-found").exclude(code__startswith="value-")
    return listed.filter(record__regex=r"^[0-9]+$")


def progress(run: ImportRun) -> ImportProgress:
    """How a run is going."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(sum(cardinality(b.tmdb_ids)), 0),
                      extract(epoch FROM least(clock_timestamp() - %s, %s * interval '1 second'))
               FROM ledger_workchunk c JOIN catalog_importbatch b ON b.run_id = c.run AND b.number = c.first
               WHERE c.kind = %s AND c.run = %s AND c.state = 'done'
                 AND c.finished_at > clock_timestamp() - %s * interval '1 second'""",
            [run.started_at, _RATE_SECONDS, FETCH, run.pk, _RATE_SECONDS],
        )
        films, seconds = cursor.fetchone()
    running = run.state == _State.RUNNING
    speed = films / max(float(seconds), 1.0) if running and seconds else 0.0
    left = max(run.total - run.read, 0) if run.total is not None else None
    return ImportProgress(
        done=run.read,
        total=run.total,
        rate=speed,
        seconds_left=left / speed if left is not None and speed else None,
        blocked_seconds=rate.blocked_seconds() if running else 0.0,
        set_aside=chunks.progress(kind=FETCH, run=run.pk).set_aside,
    )


# What workers do ------------------------------------------------------------------------------------------


@handles(LIST, queue="io")
def list_films(chunk: ClaimedChunk) -> None:
    """Find out which films a run is about, and plan their chunks with the end of this one."""
    run = ImportRun.objects.get(pk=chunk.run)
    ImportRun.objects.filter(pk=run.pk, state=_State.WAITING).update(
        state=_State.RUNNING, started_at=timezone.now()
    )
    request = ImportRequest.from_options(run.options["request"])
    try:
        with called_off_by(chunk.still_ours):
            size = _poster_size() if request.posters else None
            found = listing(request, between=chunk.still_ours)
    except (TmdbKeyRefusedError, TmdbNotConfiguredError, TmdbRefusedError) as error:
        # No other attempt would be answered otherwise.
        _fail(run, error)
    with transaction.atomic():
        films = found.tmdb_ids
        each = min(max(len(films) // CHUNKS_OF_A_SHORT_RUN, FEWEST_CHUNK_FILMS), CHUNK_FILMS)
        batches = [films[start : start + each] for start in range(0, len(films), each)]
        ImportBatch.objects.bulk_create(
            (ImportBatch(run=run, number=n, tmdb_ids=list(ids)) for n, ids in enumerate(batches)),
            batch_size=2_000,
        )
        chunks.plan(kind=FETCH, run=run.pk, spans=[(n, n + 1) for n in range(len(batches))])
        chunks.finish(chunk)
        record_rejections(run, found.rejections)
        ImportRun.objects.filter(pk=run.pk).update(
            total=len(films) + len(found.rejections),
            read=len(found.rejections),
            rejected=len(found.rejections),
            options={**run.options, "poster_size": size},
        )
        if batches:
            wake(FETCH)
        else:
            _end(run.pk, _State.DONE)


@handles(FETCH, queue="io")
def fetch_films(chunk: ClaimedChunk) -> None:
    """Fetch and write the films of one batch."""
    # Without the options, which may hold 200,000 ids: they were read when the films were listed.
    run = (
        ImportRun.objects.defer("options").annotate(poster_size=KT("options__poster_size")).get(pk=chunk.run)
    )
    try:
        fetch_chunk(chunk, run=run, poster_size=run.poster_size)
    except TmdbKeyRefusedError as error:
        _fail(run, error)


@on_run_end(LIST)
def end_listing(run_id: int, done: Progress) -> None:
    """Close a run whose films could not even be listed."""
    if done.cancelled:
        _end(run_id, _State.CANCELLED)
    elif done.set_aside:
        _end(run_id, _State.FAILED, " ".join(done.reasons))


@on_run_end(FETCH)
def end_fetching(run_id: int, done: Progress) -> None:
    """Close a run when its last chunk has ended."""
    if done.cancelled:
        _end(run_id, _State.CANCELLED)
    elif done.set_aside:
        reason = f"{done.set_aside} of {done.total} chunks were set aside: {' '.join(done.reasons)}"
        _end(run_id, _State.FAILED, reason)
    else:
        _end(run_id, _State.DONE)
    aside = chunks.set_aside_keys(kind=FETCH, run=run_id)
    ImportBatch.objects.filter(run=run_id).exclude(number__in=aside).delete()


def _end(run_id: int, state: ImportRun.State, reason: str = "") -> None:
    run = ImportRun.objects.select_for_update().get(pk=run_id)
    if run.state not in _OPEN:
        return
    run.state, run.reason, run.finished_at = state, reason[:2000], timezone.now()
    run.save(update_fields=["state", "reason", "finished_at"])
    log.info("import from TMDB ended", run=run_id, state=str(state), reason=reason)
    if state == _State.DONE and run.options.get("request", {}).get("what") == "sync":
        transaction.on_commit(drop_outdated)


def _fail(run: ImportRun, error: TmdbError) -> NoReturn:
    """End the whole run, for a reason that all its films would meet."""
    with transaction.atomic():
        if cancel(run):
            ImportRun.objects.filter(pk=run.pk, state=_State.CANCELLED).update(
                state=_State.FAILED, reason=str(error)[:2000]
            )
    raise RunCancelledError(str(error)) from error


def _poster_size() -> str:
    """The size that is set. Raises `TmdbRefusedError` where TMDB has no such size."""
    sizes = client.poster_sizes()
    if settings.TMDB_POSTER_SIZE not in sizes:
        raise TmdbRefusedError(
            f"TMDB has no posters in size {settings.TMDB_POSTER_SIZE!r} (TMDB_POSTER_SIZE); it has {', '.join(sizes)}."
        )
    return str(settings.TMDB_POSTER_SIZE)
