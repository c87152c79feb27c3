"""Celery's doors to predictions and trainings, and what workers start with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from celery import shared_task
from celery.signals import worker_ready, worker_shutdown
from django.core.cache import cache

from predictor import inference, registry
from predictor.comparison import recompare
from predictor.indexing import index_embeddings
from predictor.models import TrainingRun
from predictor.training import runs as training
from predictor.training import supervising
from predictor.training.claims import release_lost

if TYPE_CHECKING:
    from predictor.answering import AnsweringThread

log = structlog.get_logger(__name__)

_SEEN = "predictor:catalog-seen"


@shared_task(name="predictor.tasks.start_missing_predictions")
def start_missing_predictions() -> None:
    """Have the champion predict films that are new or have changed, and compare anew those whose genres have;
    then see to what follows a complete catalog: what is shown, and the index of its embeddings.

    A catalog that nobody wrote to since the last look is not looked at again: at a million films a look costs
    seconds.
    """
    version = registry.champion()
    if version is None:
        return
    writes = f"{version.pk} {inference.catalog_writes()}"
    if cache.get(_SEEN) == writes:
        return
    recompare()
    if inference.is_paused(version):
        return
    if inference.any_lacking(version):
        inference.start_run(version=version, automatic=True)
    else:
        registry.show_champion_if_complete()
        index_embeddings(version)
        cache.set(_SEEN, writes, timeout=3600)


@shared_task(name=training.TASK)
def train() -> int:
    """Supervise the trainings that wait, one after the other. Delivered twice, lost or late, it does no harm."""
    return supervising.work()


@shared_task(name="predictor.tasks.tend_trainings")
def tend_trainings() -> None:
    """Free trainings whose supervisor died, ask for one that is due by schedule, and wake the train worker for what waits:
    messages may have been lost.
    """
    release_lost()
    training.request_scheduled()
    if TrainingRun.objects.filter(state__in=TrainingRun.QUEUED).exists():
        training.wake()


_answering: AnsweringThread | None = None


@worker_ready.connect
def _worker_begins(sender: Any, **_: Any) -> None:
    """A worker of the queue `train` looks for what waits; one of `predict` answers online requests from a thread."""
    global _answering
    if training.QUEUE in sender.app.amqp.queues.consume_from:
        training.wake()
    if "predict" in sender.app.amqp.queues.consume_from:
        from predictor.answering import AnsweringThread

        _answering = AnsweringThread()
        _answering.start()


@worker_shutdown.connect
def _worker_ends(**_: Any) -> None:
    if _answering is not None:
        _answering.stop()
