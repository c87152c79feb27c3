"""`manage.py worker_health`: what a container's health check asks."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command

from ledger.workers import say_alive


def health(queue: str, **options: Any) -> str:
    output = StringIO()
    call_command("worker_health", queue, stdout=output, **options)
    return output.getvalue()


def test_a_queue_without_a_worker_is_unhealthy(broker: redis.Redis) -> None:
    with pytest.raises(CommandError, match="No worker of queue io"):
        health("io")


def test_a_worker_is_healthy_for_its_queue_alone(
    start_worker: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    worker = start_worker("train")
    eventually(lambda: broker_knows("train"), seconds=10)
    assert "seen" in health("train")
    with pytest.raises(CommandError):
        health("predict")
    worker.kill()


def test_a_worker_elsewhere_does_not_make_this_machine_healthy(
    broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "elsewhere")
        say_alive(name="io@elsewhere", queues=["io"])
    with pytest.raises(CommandError):
        health("io")
    assert "io@elsewhere" in health("io", anywhere=True)


def broker_knows(queue: str) -> bool:
    from ledger.workers import live_workers

    return bool(live_workers(queue=queue))
