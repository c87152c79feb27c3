"""The rate that all workers of all machines keep together (PROMISES.md: the TMDB line of "Speed")."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from catalog.tmdb import rate
from ledger import broker as broker_connection

pytestmark = pytest.mark.usefixtures("broker")


def most_in_a_second(grants: list[float]) -> int:
    return max(sum(start <= at < start + 1 for at in grants) for start in grants)


@pytest.mark.parametrize("requests_a_second", [4.0, 40.0])
def test_no_second_of_the_brokers_clock_has_more_grants_than_the_rate(
    settings: Any, requests_a_second: float
) -> None:
    """Whether the threads come in time or late, as they do on a busy machine."""
    settings.TMDB_REQUESTS_PER_SECOND = requests_a_second
    late = random.Random(0)

    def request(_: int) -> float:
        at = rate.acquire().at
        time.sleep(late.choice((0.0, 0.0, 0.05)))
        return at

    with ThreadPoolExecutor(8) as pool:
        grants = list(pool.map(request, range(int(3 * requests_a_second))))
    assert most_in_a_second(grants) <= requests_a_second


def test_what_was_not_used_is_not_saved_up(settings: Any) -> None:
    settings.TMDB_REQUESTS_PER_SECOND = 20.0
    rate.acquire()
    time.sleep(0.5)
    began = time.monotonic()
    for _ in range(5):
        rate.acquire()
    assert time.monotonic() - began >= 4 / 20


def test_a_block_holds_up_who_waits_for_a_slot_already(settings: Any) -> None:
    settings.TMDB_REQUESTS_PER_SECOND = 4.0
    for _ in range(2):
        rate.acquire()
    passed: list[float] = []
    waiting = threading.Thread(target=lambda: (rate.acquire(), passed.append(time.monotonic())))
    waiting.start()
    told = time.monotonic()
    rate.block(1.5)
    waiting.join()
    assert passed[0] - told >= 1.5


def test_the_longest_block_stands_and_then_it_is_over(settings: Any) -> None:
    settings.TMDB_REQUESTS_PER_SECOND = 100.0
    rate.block(0.6)
    rate.block(0.1)
    assert 0.4 < rate.blocked_seconds() <= 0.6
    rate.acquire()
    assert rate.blocked_seconds() == 0.0


def test_a_wait_that_is_called_off_ends_within_a_second(settings: Any) -> None:
    rate.block(600)
    began = time.monotonic()

    def between() -> None:
        if time.monotonic() - began > 0.3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        rate.acquire(between=between)
    assert time.monotonic() - began < 2


def test_a_broker_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what the others do, so nobody asks TMDB anything; and then it goes on."""
    there = broker_connection.client()
    away = redis.Redis.from_url("redis://127.0.0.1:1/0")
    monkeypatch.setattr(rate, "_STEP_SECONDS", 0.1)
    monkeypatch.setattr(broker_connection, "client", lambda: away)
    granted = threading.Event()
    threading.Thread(target=lambda: (rate.acquire(), granted.set()), daemon=True).start()
    assert not granted.wait(0.5)
    monkeypatch.setattr(broker_connection, "client", lambda: there)
    assert granted.wait(5)
