"""The cache, which is never needed for an answer: when the broker is down, everything is simply not cached."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import redis
import structlog
from django.core.cache.backends.redis import RedisCache

log = structlog.get_logger(__name__)


def _failing_open(method: Callable[..., Any], answer: Callable[..., Any]) -> Callable[..., Any]:
    """`method`, but `answer(...)` with the same arguments where Redis cannot be reached."""

    @functools.wraps(method)
    def wrapped(self: RedisCache, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except (redis.exceptions.RedisError, OSError) as error:
            log.warning("cache unreachable", operation=method.__name__, error=str(error))
            return answer(*args, **kwargs)

    return wrapped


class FailOpenRedisCache(RedisCache):
    """Django's Redis cache that misses, instead of raising, while Redis is away (promise 8).

    `incr` still raises ValueError for a missing key, as Django's contract has it; throttles take that as
    "no limit".
    """

    get = _failing_open(RedisCache.get, lambda key, default=None, version=None: default)
    set = _failing_open(RedisCache.set, lambda *a, **k: None)
    add = _failing_open(RedisCache.add, lambda *a, **k: True)
    touch = _failing_open(RedisCache.touch, lambda *a, **k: False)
    delete = _failing_open(RedisCache.delete, lambda *a, **k: False)
    get_many = _failing_open(RedisCache.get_many, lambda *a, **k: {})
    set_many = _failing_open(RedisCache.set_many, lambda data, *a, **k: list(data))
    has_key = _failing_open(RedisCache.has_key, lambda *a, **k: False)
