"""One rate for all requests to TMDB, whichever worker on whichever machine makes them.

The broker keeps the time of the next free slot, by its own clock, and gives slots out one by one, evenly spaced (the
generic cell rate algorithm without burst). Whoever is told to wait by TMDB tells the broker, and then everybody waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import redis
import structlog
from django.conf import settings

from ledger import broker

log = structlog.get_logger(__name__)

_SLOT, _BLOCKED = "genresite:tmdb:slot", "genresite:tmdb:blocked"
# Of the configured rate: what is left out is room for requests that were granted evenly and arrive unevenly.
GRANTED_SHARE = 0.98
# Slots further ahead than this are not given out yet: whoever dies waiting must not waste many.
_HORIZON_SECONDS = 5.0
# Longer waits are cut into such pieces, between which the caller may be called off.
_STEP_SECONDS = 1.0
# An answer to wait that is longer than this is a fault of somebody's; TMDB's are seconds.
LONGEST_BLOCK_SECONDS = 3600.0

# KEYS: next free slot, end of the block (both microseconds of the broker's clock). ARGV: interval, horizon. Returns
# whether a slot was given, when it is, and how long to wait until then or until asking again.
_GRANT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local blocked = tonumber(redis.call('GET', KEYS[2]) or '0')
if blocked > now then return {0, string.format('%.0f', blocked), string.format('%.0f', blocked - now)} end
local slot = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = slot - now
if wait > tonumber(ARGV[2]) then
  return {0, string.format('%.0f', slot), string.format('%.0f', wait - tonumber(ARGV[2]))}
end
redis.call('SET', KEYS[1], string.format('%.0f', slot + tonumber(ARGV[1])), 'PX', 60000)
return {1, string.format('%.0f', slot), string.format('%.0f', wait)}
"""
# ARGV: how long to block. The longest block asked for stands.
_BLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local until_ = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now + tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%.0f', until_), 'PX', math.ceil((until_ - now) / 1000) + 1000)
return 1
"""


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to make one request at `slot`, in seconds of the broker's clock."""

    slot: float


def acquire(*, between: Callable[[], object] = _nothing, rate: float | None = None) -> Grant:
    """Wait for the next slot of ``rate`` requests a second (``TMDB_REQUESTS_PER_SECOND``), and return in it.

    ``between`` is called every second or so of a longer wait; what it raises ends the wait. A broker that cannot be
    reached is waited for: without it nobody knows what the others do.
    """
    interval = 1e6 / ((rate or settings.TMDB_REQUESTS_PER_SECOND) * GRANTED_SHARE)
    while True:
        between()
        try:
            given, slot, wait = cast(
                tuple[int, bytes, bytes],
                broker.client().register_script(_GRANT)(
                    keys=[_SLOT, _BLOCKED], args=[f"{interval:.0f}", f"{_HORIZON_SECONDS * 1e6:.0f}"]
                ),
            )
        except (redis.exceptions.RedisError, OSError) as error:
            log.warning("no request to TMDB: broker unreachable", error=str(error))
            time.sleep(_STEP_SECONDS)
            continue
        seconds = int(wait) / 1e6
        if not given:
            time.sleep(min(seconds, _STEP_SECONDS))
            continue
        _sleep(seconds, between)
        if seconds < _STEP_SECONDS / 20 or not blocked_seconds():
            return Grant(slot=int(slot) / 1e6)
        # Somebody was told to wait while we waited for our turn: it has lapsed.


def block(seconds: float) -> None:
    """Let nobody make a request for so long: TMDB said so, or does not answer."""
    wait = min(max(seconds, 0.0), LONGEST_BLOCK_SECONDS)
    try:
        broker.client().register_script(_BLOCK)(keys=[_BLOCKED], args=[f"{wait * 1e6:.0f}"])
    except (redis.exceptions.RedisError, OSError) as error:
        log.warning("nobody told to wait: broker unreachable", error=str(error))
        time.sleep(min(wait, _STEP_SECONDS))


def blocked_seconds() -> float:
    """How long nobody may make a request; 0 where they may."""
    try:
        pipeline = broker.client().pipeline(transaction=False)
        pipeline.get(_BLOCKED)
        pipeline.time()
        until, now = cast(tuple[bytes | None, tuple[int, int]], pipeline.execute())
    except (redis.exceptions.RedisError, OSError):
        return 0.0
    return max(0.0, int(until or 0) / 1e6 - (now[0] + now[1] / 1e6))


def _sleep(seconds: float, between: Callable[[], object]) -> None:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, _STEP_SECONDS))
        if left > _STEP_SECONDS:
            between()
