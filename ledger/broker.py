"""The broker, asked directly: whether it is there, and short conversations with it that never hang."""

from __future__ import annotations

import functools

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

# Whoever asks for work is told within 2 s that the broker is away (promise 8): connect and answer, 1 s each.
CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 1.0


class BrokerUnavailableError(RuntimeError):
    """The broker cannot be reached, so no work can be asked for just now."""


@functools.lru_cache(maxsize=8)
def _client(url: str, answer_seconds: float) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=answer_seconds,
        # The library's own retries would turn one refusal into many seconds.
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )


def client(*, answer_seconds: float = ANSWER_SECONDS) -> redis.Redis:
    """A client of the site's broker, pooled and safe to share between threads."""
    return _client(settings.REDIS_URL, answer_seconds)


def require_broker() -> None:
    """Ask the broker *before* the commit of what asks for work.

    Raises:
        BrokerUnavailableError: within 2 seconds.
    """
    try:
        client().ping()
    except (redis.exceptions.RedisError, OSError) as error:
        raise BrokerUnavailableError(f"The message broker cannot be reached ({error}).") from error
