"""What wakes workers. A message says only that there may be work; the ledger says what it is."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import redis
import structlog
from celery import shared_task
from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import Error, connection, transaction
from kombu.exceptions import KombuError

from ledger import broker, chunks
from ledger.handlers import Handler, UnknownKindError, handler_of, kinds
from ledger.models import WorkChunk
from ledger.workers import Heartbeat

log = structlog.get_logger(__name__)

# Seconds after which a worker lets the other messages of its queue have their turn: a run of a million films must not
# keep an uploaded file, or beat's look for new films, waiting for hours.
TURN_SECONDS = 20.0
# Messages a wake puts into a queue at most: as many as workers could take part at once.
MOST_MESSAGES = 16


def wake(kind: str, *, messages: int = MOST_MESSAGES) -> None:
    """Tell the workers of a kind, once the transaction is committed, that there is work.

    A broker that is down is no error here: the work is in the ledger, and the sweep wakes for it later. Whoever
    owes an answer asks `ledger.broker.require_broker` first.
    """
    transaction.on_commit(partial(_send_wakes, kind, messages))


def _send_wakes(kind: str, messages: int) -> None:
    queue = handler_of(kind).queue
    try:
        # A queue that nobody reads must not grow with every sweep; and whoever is down says so here, at once.
        waiting = broker.client().llen(queue)
        for _ in range(min(messages, MOST_MESSAGES) - int(waiting)):
            work.apply_async((kind,), queue=queue, retry=False)
    except (KombuError, redis.exceptions.RedisError, OSError) as error:
        log.warning("no worker woken: broker unreachable", kind=kind, error=str(error))


@shared_task(name="ledger.tasks.work")
def work(kind: str) -> int:
    """Work on chunks of a kind until none waits, or for TURN_SECONDS and then again after what else waits in the queue.

    Returns how many chunks were begun. Delivered twice, lost or late, it does no harm: what there is to do is claimed in the ledger.
    """
    handler = handler_of(kind)
    worker = f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}"
    begun = 0
    ends = time.monotonic() + TURN_SECONDS
    while not stopping():
        if begun and time.monotonic() > ends:
            work.apply_async((kind,), queue=handler.queue, retry=False)
            break
        chunks.release_expired(kind=kind)
        chunk = chunks.claim(kind=kind, worker=worker, stopping=stopping)
        if chunk is None:
            break
        begun += 1
        _work_on(chunk, handler)
    return begun


def _work_on(chunk: chunks.ClaimedChunk, handler: Handler) -> None:
    with structlog.contextvars.bound_contextvars(kind=chunk.kind, run=chunk.run, chunk=chunk.id):
        try:
            with _renewing(chunk):
                handler.function(chunk)
                chunks.finish(chunk)
        except chunks.WorkerStoppingError:
            chunks.give_back(chunk)
        except chunks.ChunkInterruptedError as interruption:
            log.info("chunk left", reason=str(interruption))
        except Exception as error:
            log.exception("chunk failed", attempt=chunk.attempt)
            # After a lost connection the ledger must hear of it over a new one.
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            chunks.fail(chunk, f"{type(error).__name__}: {error}"[:2000])


@contextlib.contextmanager
def _renewing(chunk: chunks.ClaimedChunk) -> Iterator[None]:
    """Renew the lease from a thread, every third of it, while the block runs."""
    ended = threading.Event()

    def renew() -> None:
        try:
            while not ended.wait(settings.LEASE_SECONDS / 3):
                try:
                    if not chunks.renew(chunk):
                        return
                except Error as error:
                    log.warning("lease not renewed", error=str(error))
                    connection.close()
        finally:
            connection.close()

    thread = threading.Thread(target=renew, name=f"lease-{chunk.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def stopping() -> bool:
    """Whether this process is a Celery worker that was asked to stop: the solo pool cannot tell a task."""
    state = sys.modules.get("celery.worker.state")
    return state is not None and (state.should_stop is not None or state.should_terminate is not None)


@shared_task(name="ledger.tasks.sweep")
def sweep() -> None:
    """Free what dead workers held, and wake workers for all that waits: messages may have been lost."""
    chunks.release_expired()
    waiting = WorkChunk.objects.filter(state=WorkChunk.State.WAITING)
    for kind in kinds():
        count = waiting.filter(kind=kind)[:MOST_MESSAGES].count()
        if count:
            wake(kind, messages=count)
    for kind in set(waiting.exclude(kind__in=kinds()).values_list("kind", flat=True).distinct()):
        log.error("chunks wait that nobody can work on", error=str(UnknownKindError(kind)))


_heartbeat: Heartbeat | None = None


@worker_ready.connect
def _worker_begins(sender: Any, **_: Any) -> None:
    """Say that this worker is alive, and look for work that no message told of."""
    global _heartbeat
    queues = list(sender.app.amqp.queues.consume_from)
    _heartbeat = Heartbeat(name=sender.hostname, queues=queues)
    _heartbeat.start()
    for kind in kinds():
        if handler_of(kind).queue in queues:
            _send_wakes(kind, 1)


@worker_shutdown.connect
def _worker_ends(**_: Any) -> None:
    if _heartbeat is not None:
        _heartbeat.stop()
