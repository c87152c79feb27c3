"""Is the process alive (/healthz), and is what it stands on there (/readyz)?

Readiness wants everything: database, broker, and the champion's files. Browsing goes on without the broker and
without a model, so a load balancer that should keep serving pages then asks /healthz.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from predictor.registry import model_ready

log = structlog.get_logger(__name__)

# A probe is answered within 2 s even where the broker's machine swallows packets.
BROKER_SECONDS = 1.0


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 for as long as this process answers requests; asks nothing of anything else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when every check passes, 503 otherwise; the checks by name, without inner details."""
    checks: dict[str, Callable[[], str]] = {"database": _database, "broker": _broker, "model": _model}
    results: dict[str, dict[str, Any]] = {}
    for name, check in checks.items():
        try:
            problem = check()
        except (DatabaseError, redis.RedisError, OSError) as error:
            log.warning("not ready", check=name, error=str(error))
            problem = "cannot be reached"
        results[name] = {"ok": not problem} | ({"reason": problem} if problem else {})
    ready = all(result["ok"] for result in results.values())
    return JsonResponse(
        {"status": "ready" if ready else "not ready", "checks": results},
        status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
    )


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def _broker() -> str:
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=BROKER_SECONDS, socket_connect_timeout=BROKER_SECONDS
    ) as client:
        client.ping()
    return ""


def _model() -> str:
    return model_ready()
