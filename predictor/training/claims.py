"""Who works on which training: claimed by one supervisor at a time, held by its heartbeat, freed when that falls silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self, TypeVar

import structlog
from django.conf import settings
from django.db import Error, IntegrityError, connection, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Coalesce, Now

from predictor.models import TrainingRun

log = structlog.get_logger(__name__)

# How often a training goes on by itself after it was killed, or lost its supervisor or its machine.
MOST_INTERRUPTIONS = 2
# A database that restarts is back by then.
_DATABASE_SECONDS = 60.0
_State, _Wish = TrainingRun.State, TrainingRun.Wish
_T = TypeVar("_T")


class ClaimLostError(RuntimeError):
    """Another supervisor has the run, or it has ended: whoever finds out must leave it alone."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that is ours: its `number`-th claim."""

    run_id: int
    number: int

    def update(self, **changes: Any) -> None:
        """Write to the run.

        Raises:
            ClaimLostError: it is not ours any more.
        """
        if not self._ours().update(**changes):
            raise ClaimLostError(f"training {self.run_id} is not ours any more")

    def wish(self) -> str:
        """What the supervisor is asked to do. Raises ClaimLostError."""
        found = self._ours().values_list("wish", flat=True).first()
        if found is None:
            raise ClaimLostError(f"training {self.run_id} is not ours any more")
        return found

    def _ours(self) -> Any:
        return TrainingRun.objects.filter(pk=self.run_id, claims=self.number, state=_State.RUNNING)


def claim_next(*, worker: str) -> Claim | None:
    """Take up the run that is to go on or has waited longest; None where none waits or one is running already."""
    try:
        with transaction.atomic():
            run = (
                TrainingRun.objects.select_for_update(skip_locked=True)
                .filter(state__in=TrainingRun.QUEUED)
                .defer("curves", "log")
                .order_by(Case(When(state=_State.INTERRUPTED, then=0), default=1), "pk")
                .first()
            )
            if run is None or TrainingRun.objects.filter(state=_State.RUNNING).exists():
                return None
            TrainingRun.objects.filter(pk=run.pk).update(
                state=_State.RUNNING,
                wish=_Wish.NOTHING,
                claims=F("claims") + 1,
                worker=worker,
                heartbeat=Now(),
                started_at=Coalesce("started_at", Now()),
                finished_at=None,
            )
            return Claim(run.pk, run.claims + 1)
    except IntegrityError:  # another worker was faster, with another run
        return None


def interrupt(claim: Claim, reason: str, *, counted: bool = True, **changes: Any) -> str:
    """Leave a run to whoever takes it up next, or end it when it was interrupted too often; returns its new state."""
    with transaction.atomic():
        run = TrainingRun.objects.select_for_update().defer("curves", "log").get(pk=claim.run_id)
        interruptions = run.interruptions + counted
        if interruptions > MOST_INTERRUPTIONS:
            claim.update(
                state=_State.FAILED,
                finished_at=Now(),
                reason=f"It was interrupted {interruptions} times and is not tried again. The last time: {reason}",
                **changes,
            )
            return str(_State.FAILED)
        state = {_Wish.PAUSE: _State.PAUSED, _Wish.CANCEL: _State.CANCELLED}.get(
            _Wish(run.wish), _State.INTERRUPTED
        )
        ended = {"finished_at": Now()} if state == _State.CANCELLED else {}
        claim.update(
            state=state, interruptions=interruptions, wish=_Wish.NOTHING, reason=reason, **ended, **changes
        )
        return str(state)


def release_lost() -> int:
    """Free the runs whose supervisor was not heard of for LEASE_SECONDS; returns how many.

    Their children ended with it: each holds a lifeline that its supervisor's death closes.
    """
    silent = Now() - Value(timedelta(seconds=settings.LEASE_SECONDS))
    lost = TrainingRun.objects.filter(state=_State.RUNNING, heartbeat__lt=silent)
    released = 0
    for run in lost.defer("curves", "log"):
        try:
            state = interrupt(
                Claim(run.pk, run.claims),
                f"The worker {run.worker} was lost while it supervised the training.",
            )
        except ClaimLostError:
            continue
        log.warning("training lost its supervisor", run=run.pk, worker=run.worker, state=state)
        released += 1
    return released


class Heartbeat:
    """Says from a thread that a run's supervisor lives, whatever it is busy with."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"training-{claim.run_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        try:
            while not self._ended.wait(min(5.0, settings.LEASE_SECONDS / 3)):
                try:
                    self._claim.update(heartbeat=Now())
                except ClaimLostError:
                    return
                except Error as error:
                    log.warning("no sign of life of a training: database unreachable", error=str(error))
                    connection.close()
        finally:
            connection.close()


def persistently(write: Callable[[], _T]) -> _T:
    """Write to the database, again where it is away for a moment: how a run ended must not be lost with a restart."""
    deadline = time.monotonic() + _DATABASE_SECONDS
    while True:
        try:
            return write()
        except Error:
            if time.monotonic() > deadline:
                raise
            connection.close()
            time.sleep(1)
