"""One rate for all requests to TMDB, whichever worker on whichever machine makes them.

The broker keeps two times, by its own clock: the next free place in the queue, which says how long to sleep, and when the
next request may be granted (the generic cell rate algorithm), which is asked on waking. So nobody polls, and one who
wakes late on a busy machine neither adds to the next second nor loses what can still be caught up. Whoever is told to wait
by TMDB tells the broker, and then everybody waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import redis
import structlog
from django.conf import settings

from ledger import broker

log = structlog.get_logger(__name__)

_PLACE, _GRANTED, _BLOCKED = "genresite:tmdb:place", "genresite:tmdb:granted", "genresite:tmdb:blocked"
# Of the configured rate. The rest is what a late request may catch up (`_TOLERANCE_SECONDS`) without there ever being
# more grants in a second than the rate allows: in any second there are at most (1 + tolerance) * share * rate + 1.
GRANTED_SHARE = 0.97
_TOLERANCE_SECONDS = 1 / GRANTED_SHARE - 1.001
# Places further ahead than this are not given out yet: whoever dies waiting must not waste many.
_HORIZON_SECONDS = 5.0
# Longer waits are cut into such pieces, between which the caller may be called off.
_STEP_SECONDS = 1.0
# An answer to wait that is longer than this is a fault of somebody's; TMDB's are seconds.
LONGEST_BLOCK_SECONDS = 3600.0

# Both return whether it was given, and how long to wait, in microseconds: until one's turn, or before asking again.
# KEYS: next free place, end of the block. ARGV: interval, horizon.
_TAKE_PLACE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local blocked = tonumber(redis.call('GET', KEYS[2]) or '0')
if blocked > now then return {0, string.format('%.0f', blocked - now)} end
local place = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = place - now
if wait > tonumber(ARGV[2]) then return {0, string.format('%.0f', wait - tonumber(ARGV[2]))} end
redis.call('SET', KEYS[1], string.format('%.0f', place + tonumber(ARGV[1])), 'PX', 60000)
return {1, string.format('%.0f', wait)}
"""
# KEYS: when the next is due, end of the block. ARGV: interval, tolerance. Also returns the moment of the grant.
_GRANT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local blocked = tonumber(redis.call('GET', KEYS[2]) or '0')
if blocked > now then return {0, string.format('%.0f', blocked - now), '0'} end
local due = tonumber(redis.call('GET', KEYS[1]) or '0')
if due - tonumber(ARGV[2]) > now then return {0, string.format('%.0f', due - tonumber(ARGV[2]) - now), '0'} end
redis.call('SET', KEYS[1], string.format('%.0f', math.max(due, now) + tonumber(ARGV[1])), 'PX', 60000)
return {1, '0', string.format('%.0f', now)}
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
    """Leave to make one request now; `at` is that moment in seconds of the broker's clock."""

    at: float


def acquire(*, between: Callable[[], object] = _nothing) -> Grant:
    """Wait for one's turn at ``TMDB_REQUESTS_PER_SECOND``, and return when the request may be made.

    ``between`` is called every second or so of a longer wait; what it raises ends the wait. A broker that cannot be
    reached is waited for: without it nobody knows what the others do.
    """
    interval = 1e6 / (settings.TMDB_REQUESTS_PER_SECOND * GRANTED_SHARE)
    in_place = False
    while True:
        between()
        try:
            if in_place:
                given, wait, moment = _ask(_GRANT, _GRANTED, interval, _TOLERANCE_SECONDS)
            else:
                given, wait = _ask(_TAKE_PLACE, _PLACE, interval, _HORIZON_SECONDS)
        except (redis.exceptions.RedisError, OSError) as error:
            log.warning("no request to TMDB: broker unreachable", error=str(error))
            time.sleep(_STEP_SECONDS)
            continue
        if in_place and given:
            return Grant(at=int(moment) / 1e6)
        in_place = in_place or bool(given)
        _sleep(int(wait) / 1e6, between)


def _ask(script: str, key: str, interval: float, seconds: float) -> tuple[Any, ...]:
    arguments = [f"{interval:.0f}", f"{seconds * 1e6:.0f}"]
    return tuple(broker.client().register_script(script)(keys=[key, _BLOCKED], args=arguments))


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
        between()
