"""Which workers are alive: each says so every few seconds in the broker.

A solo worker answers no Celery ping while it works, so liveness is told by a thread of its own.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import cast

import redis
import structlog

from ledger import broker

log = structlog.get_logger(__name__)

BEAT_SECONDS = 2.0
# Long enough for a worker whose interpreter is held up by loading a model; short enough to be news.
ALIVE_SECONDS = 30
_KEY = "genresite:workers"


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker that was heard of in the last ALIVE_SECONDS."""

    name: str
    queues: tuple[str, ...]
    host: str
    pid: int
    seen: float
    detail: str

    @property
    def age(self) -> float:
        """Seconds since it was last heard of."""
        return max(0.0, time.time() - self.seen)


def say_alive(*, name: str, queues: list[str], detail: str = "") -> None:
    """One sign of life; `detail` is free text, such as the model version that is loaded.

    Raises:
        redis.exceptions.RedisError: the broker cannot be reached.
    """
    life = {
        "queues": queues,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "seen": time.time(),
        "detail": detail,
    }
    broker.client().hset(_KEY, name, json.dumps(life))


def say_gone(*, name: str) -> None:
    """The worker stops in good order."""
    broker.client().hdel(_KEY, name)


def live_workers(*, queue: str | None = None) -> list[LiveWorker]:
    """The workers that are alive, of one queue or all; what is long dead is forgotten on the way.

    Raises:
        ledger.broker.BrokerUnavailableError: nobody can be asked.
    """
    try:
        lives = cast(dict[bytes, bytes], broker.client().hgetall(_KEY))
    except (redis.exceptions.RedisError, OSError) as error:
        raise broker.BrokerUnavailableError(f"The message broker cannot be reached ({error}).") from error
    found = []
    for name, content in lives.items():
        life = json.loads(content)
        if time.time() - life["seen"] > ALIVE_SECONDS:
            broker.client().hdel(_KEY, name)
            continue
        worker = LiveWorker(
            name=name.decode(),
            queues=tuple(life["queues"]),
            host=life["host"],
            pid=life["pid"],
            seen=life["seen"],
            detail=life["detail"],
        )
        if queue is None or queue in worker.queues:
            found.append(worker)
    return sorted(found, key=lambda worker: worker.name)


_detail = ""


def tell(detail: str) -> None:
    """What this process says of itself from now on with each sign of life, such as the model it has loaded."""
    global _detail
    _detail = detail


class Heartbeat:
    """Says every BEAT_SECONDS, from a daemon thread, that this worker is alive."""

    def __init__(self, *, name: str, queues: list[str]) -> None:
        self.name = name
        self.queues = queues
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin, with a first sign of life at once."""
        self._thread.start()

    def stop(self) -> None:
        """End in good order: nobody needs to wait for the silence to be noticed."""
        self._ended.set()
        try:
            say_gone(name=self.name)
        except (redis.exceptions.RedisError, OSError) as error:
            log.warning("no farewell: broker unreachable", error=str(error))

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                say_alive(name=self.name, queues=self.queues, detail=_detail)
            except (redis.exceptions.RedisError, OSError) as error:
                log.warning("no sign of life: broker unreachable", error=str(error))
            self._ended.wait(BEAT_SECONDS)
