"""Trainings as they are asked for, cancelled, paused and resumed. `predictor.training.supervising` does what is asked here.

One runs at a time and others wait, which the database sees to: a unique index allows one RUNNING row, another one open row
for the same settings.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import redis
import structlog
from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import KombuError

from ledger import broker
from predictor import audit
from predictor.models import ModelVersion, ModelVersionQuerySet, Promotion, TrainingRun
from predictor.training.settings import InvalidSettingsError, TrainingSettings

log = structlog.get_logger(__name__)

QUEUE = "train"
TASK = "predictor.tasks.train"
MOST_WAITING = 20
_State, _Wish = TrainingRun.State, TrainingRun.Wish


class TooManyWaitingError(RuntimeError):
    """MOST_WAITING trainings wait already."""


class NotPossibleError(RuntimeError):
    """The run is not in a state in which that can be done; the message says in which it is."""


def request_training(*, asked: TrainingSettings, by: User | None = None) -> tuple[TrainingRun, bool]:
    """Have a network trained; returns the run, and whether it is new: the same settings give the same run while it is open.

    Raises:
        InvalidSettingsError: the teacher is no version that can teach it.
        TooManyWaitingError: MOST_WAITING wait already.
        ledger.broker.BrokerUnavailableError: no worker could be told.
    """
    check_teacher(asked)
    broker.require_broker()
    digest = asked.sha256()
    with transaction.atomic():
        _one_at_a_time()
        known = TrainingRun.objects.filter(request_hash=digest, state__in=TrainingRun.OPEN).first()
        if known is not None:
            return known, False
        if TrainingRun.objects.filter(state__in=TrainingRun.QUEUED).count() >= MOST_WAITING:
            raise TooManyWaitingError(
                f"{MOST_WAITING} trainings wait already. Cancel one, or wait until one has begun."
            )
        run = TrainingRun.objects.create(request=asked.as_json(), request_hash=digest, created_by=by)
        audit.record(by, run, "Asked for.", added=True)
        wake()
    log.info("training requested", run=run.pk, by=by.pk if by else None)
    return run, True


def teachers() -> ModelVersionQuerySet:
    """Versions that were trained here: of them it is known which split's test films they never saw."""
    return ModelVersion.objects.filter(training__settings__split__isnull=False)


def check_teacher(asked: TrainingSettings) -> None:
    """Raises InvalidSettingsError where the teacher was not trained here on the same split: it may have seen test films."""
    if asked.teacher is None:
        return
    if not teachers().filter(pk=asked.teacher, training__settings__split=asked.split).exists():
        raise InvalidSettingsError(
            {"teacher": [f"No version {asked.teacher} was trained here on the split {asked.split}."]}
        )


def request_scheduled() -> TrainingRun | None:
    """Ask for a training as it is by default where RETRAIN_EVERY_DAYS have passed since the last one was asked for.

    None where it is not due, where one is open, and where the site never trained nor promoted a model: then there is
    nothing to begin to count from.
    """
    days = settings.RETRAIN_EVERY_DAYS
    if days <= 0 or TrainingRun.objects.filter(state__in=TrainingRun.OPEN).exists():
        return None
    last = TrainingRun.objects.order_by("-created_at").values_list("created_at", flat=True).first()
    last = last or Promotion.objects.order_by("-at").values_list("at", flat=True).first()
    if last is None or timezone.now() < last + timedelta(days=days):
        return None
    try:
        return request_training(asked=TrainingSettings())[0]
    except broker.BrokerUnavailableError as error:
        log.warning("no scheduled training", error=str(error))
        return None


def cancel(run: TrainingRun, *, by: User | None = None) -> None:
    """End a run for good: at once where nobody works on it, else within the seconds its supervisor needs to see it.

    Raises:
        NotPossibleError: it had ended.
    """
    with transaction.atomic():
        _lock(run)
        if not run.is_open:
            raise NotPossibleError(f"Training {run.pk} had ended: it is {run.state}.")
        if run.state == _State.RUNNING:
            _wish(run, _Wish.CANCEL)
        else:
            TrainingRun.objects.filter(pk=run.pk).update(
                state=_State.CANCELLED, wish=_Wish.NOTHING, finished_at=Now()
            )
            run.refresh_from_db()
        audit.record(by, run, "Cancelled.")


def pause(run: TrainingRun, *, by: User | None = None) -> None:
    """Have a run stop after a checkpoint, to go on when it is resumed; one that waits just waits no longer.

    Raises:
        NotPossibleError: it is neither running nor queued.
    """
    with transaction.atomic():
        _lock(run)
        if run.state == _State.RUNNING and run.wish != _Wish.CANCEL:
            _wish(run, _Wish.PAUSE)
        elif run.state in TrainingRun.QUEUED:
            TrainingRun.objects.filter(pk=run.pk).update(state=_State.PAUSED)
            run.refresh_from_db()
        else:
            raise NotPossibleError(_not(run, "paused"))
        audit.record(by, run, "Paused.")


def resume(run: TrainingRun, *, by: User | None = None) -> None:
    """Put a paused run back into the queue; it goes on from its checkpoint. One about to pause goes on as it is.

    Raises:
        NotPossibleError: it is not paused.
        ledger.broker.BrokerUnavailableError: no worker could be told.
    """
    broker.require_broker()
    with transaction.atomic():
        _lock(run)
        if run.state == _State.RUNNING and run.wish == _Wish.PAUSE:
            _wish(run, _Wish.NOTHING)
        elif run.state == _State.PAUSED:
            TrainingRun.objects.filter(pk=run.pk).update(state=_State.WAITING)
            run.refresh_from_db()
        else:
            raise NotPossibleError(_not(run, "resumed"))
        audit.record(by, run, "Resumed.")
        wake()


def wake() -> None:
    """Tell a train worker, once the transaction is committed, to look for what waits. A lost message is sent again."""
    transaction.on_commit(partial(_send_wake))


def _send_wake() -> None:
    try:
        # A queue that nobody reads must not grow with every look.
        if not broker.client().llen(QUEUE):
            current_app.send_task(TASK, queue=QUEUE, retry=False)
    except (KombuError, redis.exceptions.RedisError, OSError) as error:
        log.warning("no train worker woken: broker unreachable", error=str(error))


def place_in_queue(run: TrainingRun) -> int | None:
    """How many come before a queued run, the one that is running included; None where it is not queued."""
    if run.state not in TrainingRun.QUEUED:
        return None
    before = TrainingRun.objects.filter(state=_State.INTERRUPTED)
    if run.state == _State.WAITING:
        before = before | TrainingRun.objects.filter(state=_State.WAITING, pk__lt=run.pk)
    else:
        before = before.filter(pk__lt=run.pk)
    return before.count() + TrainingRun.objects.filter(state=_State.RUNNING).count()


def _one_at_a_time() -> None:
    """Two requests at once: the second waits, and finds the first's run."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('request a training', 0))")


def _lock(run: TrainingRun) -> None:
    """The row as it is now, held until the transaction ends."""
    run.refresh_from_db(from_queryset=TrainingRun.objects.select_for_update())


def _wish(run: TrainingRun, wish: TrainingRun.Wish) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(wish=wish)
    run.wish = wish


def _not(run: TrainingRun, done: str) -> str:
    return f"Training {run.pk} cannot be {done}: it is {run.state}."
