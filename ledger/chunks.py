"""The work ledger: long jobs cut into chunks, each claimed, leased, and ended exactly once.

The rows are the truth. A claim is known by (worker, attempt), and every later write to the chunk names both, so a
worker that was given up for dead and comes back can end nothing that is another's by now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, QuerySet
from django.db.models.functions import Now

from ledger.handlers import run_end_of
from ledger.models import WorkChunk

log = structlog.get_logger(__name__)

# Once is bad luck (a deploy, a full memory), twice a coincidence, three times the chunk itself (promise 3).
MAX_ATTEMPTS = 3

_State = WorkChunk.State
_OPEN = (_State.WAITING, _State.LEASED, _State.PAUSED)


class ChunkInterruptedError(RuntimeError):
    """The chunk is not to be worked on any more, through no fault of its own."""


class LeaseLostError(ChunkInterruptedError):
    """The lease ran out and the chunk was given to another, or is open again."""


class RunCancelledError(ChunkInterruptedError):
    """Somebody cancelled the run."""


class RunPausedError(ChunkInterruptedError):
    """Somebody paused the run; the chunk waits with it."""


class WorkerStoppingError(ChunkInterruptedError):
    """The worker was asked to stop; the chunk is given back."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class ClaimedChunk:
    """A chunk that this worker holds a lease on: the keys ``first <= key < last`` of run `run`."""

    id: int
    kind: str
    run: int
    first: int
    last: int
    attempt: int
    worker: str
    stopping: Callable[[], bool] = field(default=_never, compare=False, repr=False)

    def still_ours(self) -> None:
        """Returns while the work should go on; one look at the database.

        Raises:
            RunCancelledError: the run was cancelled.
            RunPausedError: the run was paused.
            LeaseLostError: the chunk is another's by now.
            WorkerStoppingError: this worker was asked to stop.
        """
        if self.stopping():
            raise WorkerStoppingError(f"the worker stops; {self.kind} chunk {self.id} is given back")
        row = WorkChunk.objects.filter(pk=self.id).values_list("state", "worker", "attempts").first()
        if row is not None and row[0] == _State.CANCELLED:
            raise RunCancelledError(f"{self.kind} run {self.run} was cancelled")
        if row is not None and row[0] == _State.PAUSED:
            raise RunPausedError(f"{self.kind} run {self.run} was paused")
        if row != (_State.LEASED, self.worker, self.attempt):
            raise LeaseLostError(f"the lease on {self.kind} chunk {self.id} was lost")


@dataclass(frozen=True, slots=True)
class Progress:
    """How many chunks of a run are in each state, and why some were set aside."""

    waiting: int = 0
    leased: int = 0
    paused: int = 0
    done: int = 0
    set_aside: int = 0
    cancelled: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All chunks of the run."""
        return self.waiting + self.leased + self.paused + self.done + self.set_aside + self.cancelled

    @property
    def ended(self) -> bool:
        """Nothing is left to do."""
        return not (self.waiting or self.leased or self.paused)


def plan(*, kind: str, run: int, spans: Iterable[tuple[int, int]]) -> int:
    """Write a run's chunks, each ``(first, last)`` with `last` exclusive; planning twice adds nothing.

    Returns how many spans were given. Wake the workers (`ledger.tasks.wake`) on commit.
    """
    rows = [WorkChunk(kind=kind, run=run, first=first, last=last) for first, last in spans]
    WorkChunk.objects.bulk_create(rows, batch_size=1000, ignore_conflicts=True)
    return len(rows)


def claim(
    *, kind: str, worker: str, lease_seconds: float | None = None, stopping: Callable[[], bool] = _never
) -> ClaimedChunk | None:
    """Take the next waiting chunk of a kind, or None. Chunks that failed before come last."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE ledger_workchunk
            SET state = 'leased', attempts = attempts + 1, worker = %s,
                lease_until = clock_timestamp() + %s * interval '1 second'
            WHERE id = (
                SELECT id FROM ledger_workchunk WHERE kind = %s AND state = 'waiting'
                ORDER BY attempts, id LIMIT 1 FOR UPDATE SKIP LOCKED
            )
            RETURNING id, kind, run, first, last, attempts, worker
            """,
            [worker, settings.LEASE_SECONDS if lease_seconds is None else lease_seconds, kind],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    key, kind, run, first, last, attempts, holder = row
    return ClaimedChunk(
        id=key, kind=kind, run=run, first=first, last=last, attempt=attempts, worker=holder, stopping=stopping
    )


def renew(chunk: ClaimedChunk) -> bool:
    """Hold the chunk for another lease; False when it is not ours any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE ledger_workchunk SET lease_until = clock_timestamp() + %s * interval '1 second'
            WHERE id = %s AND state = 'leased' AND worker = %s AND attempts = %s
            """,
            [settings.LEASE_SECONDS, chunk.id, chunk.worker, chunk.attempt],
        )
        return cursor.rowcount == 1


def finish(chunk: ClaimedChunk) -> None:
    """The chunk's work is done. Doing so again for the same claim changes nothing.

    Raises:
        RunCancelledError, LeaseLostError: it is not ours to finish; what was written in the same transaction
            must not be committed.
    """
    with transaction.atomic():
        if _leave(chunk, _State.DONE):
            _end_run_if_last(chunk.kind, chunk.run)
        elif not _claimed(chunk).filter(state=_State.DONE).exists():
            chunk.still_ours()
            raise LeaseLostError(f"the lease on {chunk.kind} chunk {chunk.id} was lost")


def fail(chunk: ClaimedChunk, reason: str) -> None:
    """An attempt failed: the chunk waits for another, or is set aside after MAX_ATTEMPTS.

    Nothing happens when the chunk is not ours any more.
    """
    with transaction.atomic():
        last = chunk.attempt >= MAX_ATTEMPTS
        if _leave(chunk, _State.SET_ASIDE if last else _State.WAITING, reason=reason) and last:
            log.error("chunk set aside", kind=chunk.kind, run=chunk.run, chunk=chunk.id, reason=reason)
            _end_run_if_last(chunk.kind, chunk.run)


def give_back(chunk: ClaimedChunk) -> None:
    """Let another worker have the chunk; this attempt does not count."""
    _claimed(chunk).filter(state=_State.LEASED).update(
        state=_State.WAITING, attempts=chunk.attempt - 1, lease_until=None, worker=""
    )


def release_expired(*, kind: str | None = None) -> int:
    """Free the chunks of dead workers: their leases ran out. Returns how many there were.

    A chunk whose worker died MAX_ATTEMPTS times is set aside, so that it cannot kill workers for ever.
    """
    released = _expire(kind=kind, state=_State.WAITING)
    worn_out = WorkChunk.objects.filter(
        state=_State.LEASED,
        lease_until__lt=Now(),
        attempts__gte=MAX_ATTEMPTS,
        **({"kind": kind} if kind else {}),
    )
    # The run's lock before its rows, as everywhere: one run a transaction.
    for chunk_kind, run in sorted(set(worn_out.values_list("kind", "run"))):
        with transaction.atomic():
            _lock_run(chunk_kind, run)
            set_aside = _expire(kind=chunk_kind, run=run, state=_State.SET_ASIDE)
            if set_aside:
                _end_run_if_last(chunk_kind, run)
            released += set_aside
    return released


def _expire(*, kind: str | None, state: WorkChunk.State, run: int | None = None) -> int:
    """Take expired leases away, of chunks that may be tried again (waiting) or not (set aside)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH expired AS (
                SELECT id FROM ledger_workchunk
                WHERE state = 'leased' AND lease_until < clock_timestamp()
                  AND (attempts >= %(most)s) = (%(state)s = 'set_aside')
                  AND (%(kind)s::text IS NULL OR kind = %(kind)s) AND (%(run)s::bigint IS NULL OR run = %(run)s)
                FOR UPDATE SKIP LOCKED
            )
            UPDATE ledger_workchunk c
            SET state = %(state)s, lease_until = NULL,
                finished_at = CASE WHEN %(state)s = 'set_aside' THEN clock_timestamp() END,
                reason = format('The worker %%s was lost while it worked on this (attempt %%s of %%s).',
                                c.worker, c.attempts, %(most)s::text)
            FROM expired WHERE c.id = expired.id
            RETURNING c.kind, c.run, c.id, c.reason
            """,
            {"kind": kind, "run": run, "state": str(state), "most": MAX_ATTEMPTS},
        )
        rows = cursor.fetchall()
    for row_kind, row_run, chunk, reason in rows:
        log.warning("lease ran out", kind=row_kind, run=row_run, chunk=chunk, state=str(state), reason=reason)
    return len(rows)


def cancel_run(*, kind: str, run: int) -> int:
    """Cancel what is left of a run; a worker in the middle of a chunk notices at its next look.

    Returns how many chunks were still open.
    """
    with transaction.atomic():
        _lock_run(kind, run)
        count = WorkChunk.objects.filter(kind=kind, run=run, state__in=_OPEN).update(
            state=_State.CANCELLED, lease_until=None
        )
        if count:
            _end_run_if_last(kind, run)
    return count


def pause_run(*, kind: str, run: int) -> int:
    """Let what is left of a run wait until `resume_run`; a worker in the middle of a chunk leaves it at its next look.

    A chunk that is left so loses no attempt. Returns how many chunks were stopped.
    """
    with transaction.atomic():
        _lock_run(kind, run)
        rows = WorkChunk.objects.filter(kind=kind, run=run)
        held = rows.filter(state=_State.LEASED).update(
            state=_State.PAUSED, attempts=F("attempts") - 1, lease_until=None, worker=""
        )
        return held + rows.filter(state=_State.WAITING).update(state=_State.PAUSED)


def resume_run(*, kind: str, run: int) -> int:
    """Let a paused run go on. Returns how many chunks wait for workers now; wake them (`ledger.tasks.wake`)."""
    with transaction.atomic():
        _lock_run(kind, run)
        return WorkChunk.objects.filter(kind=kind, run=run, state=_State.PAUSED).update(state=_State.WAITING)


def progress(*, kind: str, run: int) -> Progress:
    """How far a run is."""
    rows = WorkChunk.objects.filter(kind=kind, run=run)
    counts = dict(rows.values_list("state").annotate(n=Count("id")))
    aside = rows.filter(state=_State.SET_ASIDE).order_by("first")
    return Progress(
        **counts,
        reasons=tuple(f"{c.first} to {c.last - 1}: {c.reason}" for c in aside[:20])
        if counts.get(_State.SET_ASIDE)
        else (),
    )


def set_aside_keys(*, kind: str, run: int) -> list[int]:
    """Where the chunks of a run begin that were set aside."""
    rows = WorkChunk.objects.filter(kind=kind, run=run, state=_State.SET_ASIDE)
    return list(rows.order_by("first").values_list("first", flat=True))


def _claimed(chunk: ClaimedChunk) -> QuerySet[WorkChunk]:
    return WorkChunk.objects.filter(pk=chunk.id, worker=chunk.worker, attempts=chunk.attempt)


def _leave(chunk: ClaimedChunk, state: WorkChunk.State, *, reason: str = "") -> bool:
    """Move a chunk that is still ours out of its lease. In a transaction: takes the run's lock where it ends."""
    if state != _State.WAITING:
        _lock_run(chunk.kind, chunk.run)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE ledger_workchunk
            SET state = %s, lease_until = NULL, reason = CASE WHEN %s = '' THEN reason ELSE %s END,
                finished_at = CASE WHEN %s THEN NULL ELSE clock_timestamp() END
            WHERE id = %s AND state = 'leased' AND worker = %s AND attempts = %s
            """,
            [state, reason, reason, state == _State.WAITING, chunk.id, chunk.worker, chunk.attempt],
        )
        return cursor.rowcount == 1


def _lock_run(kind: str, run: int) -> None:
    """One chunk of a run ends at a time, so that exactly one of them is the last. Freed by the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"ledger {kind} {run}"])


def _end_run_if_last(kind: str, run: int) -> None:
    _lock_run(kind, run)
    if WorkChunk.objects.filter(kind=kind, run=run, state__in=_OPEN).exists():
        return
    callback = run_end_of(kind)
    if callback is not None:
        callback(run, progress(kind=kind, run=run))
