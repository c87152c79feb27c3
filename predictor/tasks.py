"""Celery's doors to predictions, and what a predict worker starts beside its chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from celery import shared_task
from celery.signals import worker_ready, worker_shutdown
from django.core.cache import cache

from predictor import inference, registry
from predictor.comparison import recompare
from predictor.indexing import index_embeddings

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


_answering: AnsweringThread | None = None


@worker_ready.connect
def _predict_worker_begins(sender: Any, **_: Any) -> None:
    """Answer online requests from a thread of every worker of the queue `predict`."""
    global _answering
    if "predict" in sender.app.amqp.queues.consume_from:
        from predictor.answering import AnsweringThread

        _answering = AnsweringThread()
        _answering.start()


@worker_shutdown.connect
def _predict_worker_ends(**_: Any) -> None:
    if _answering is not None:
        _answering.stop()
