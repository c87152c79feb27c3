"""Who may ask the model how often. Without the broker there is no limit: throttling fails open."""

from __future__ import annotations

import re
import time
from typing import Any

import redis
import structlog
from django.conf import settings
from django.core.cache import cache
from rest_framework.throttling import BaseThrottle

log = structlog.get_logger(__name__)

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def parse_rate(rate: str) -> tuple[int, int]:
    """``"30/min"`` as (30, 60): so many requests in so many seconds. Raises ValueError."""
    if not (match := re.fullmatch(r"(\d+)/(s|min|h|d)", rate)):
        raise ValueError(f"{rate!r} is no rate; write it as 30/min, with s, min, h or d")
    return int(match[1]), SECONDS[match[2]]


def take(*, scope: str, who: str, rate: str) -> float | None:
    """Count one request of `who`. None where it is within the rate, else seconds until it would be.

    Windows are fixed and counted by an atomic increment, so that requests at the same moment cannot slip
    through together; at worst twice the rate passes around the turn of a window.
    """
    limit, seconds = parse_rate(rate)
    now = time.time()
    window = int(now // seconds)
    key = f"throttle:{scope}:{who}:{window}"
    try:
        cache.add(key, 0, timeout=2 * seconds)
        count = cache.incr(key)
    except (ValueError, redis.RedisError, OSError) as error:
        log.warning("not throttling: no broker", error=str(error))
        return None
    return None if count <= limit else (window + 1) * seconds - now


class PredictThrottle(BaseThrottle):
    """Online predictions: by address for anonymous clients, by account, and more, for users."""

    wait_seconds: float | None = None

    def allow_request(self, request: Any, view: Any) -> bool:
        """Whether this request is within its rate. Also works on a plain Django request."""
        user = request.user
        if user.is_authenticated:
            who, rate = f"user:{user.pk}", settings.PREDICT_RATE_USER
        else:
            who, rate = f"address:{self.get_ident(request)}", settings.PREDICT_RATE_ANONYMOUS
        self.wait_seconds = take(scope="predict", who=who, rate=rate)
        return self.wait_seconds is None

    def wait(self) -> float | None:
        return self.wait_seconds
