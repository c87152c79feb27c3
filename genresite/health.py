"""Is the process alive (/healthz), and is what it stands on there (/readyz)?

Readiness wants everything: database, broker, and the champion's files. Browsing goes on without the broker and
without a model, so a load balancer that should keep serving pages then asks /healthz.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ledger.broker import BrokerUnavailableError, require_broker
from ledger.workers import live_workers
from predictor.registry import model_ready

log = structlog.get_logger(__name__)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 for as long as this process answers requests; asks nothing of anything else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when every check passes, 503 otherwise; the checks by name, without inner details.

    `workers` is for information: how many workers of each queue were heard of lately. Without one for "predict"
    pages are served, but nothing is predicted.
    """
    checks: dict[str, Callable[[], dict[str, Any]]] = {
        "database": _database,
        "broker": _broker,
        "model": _model,
    }
    results: dict[str, dict[str, Any]] = {}
    for name, check in checks.items():
        try:
            results[name] = check()
        except (DatabaseError, BrokerUnavailableError) as error:
            log.warning("not ready", check=name, error=str(error))
            results[name] = {"ok": False, "reason": "cannot be reached"}
    ready = all(result["ok"] for result in results.values())
    return JsonResponse(
        {"status": "ready" if ready else "not ready", "checks": results, "workers": _workers()},
        status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
    )


def _database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"ok": True}


def _broker() -> dict[str, Any]:
    require_broker()
    return {"ok": True}


def _model() -> dict[str, Any]:
    found = model_ready()
    return {"ok": found.ready, "name": found.name, "sha256": found.sha256} | (
        {"reason": found.reason} if found.reason else {}
    )


def _workers() -> dict[str, int] | None:
    """Live workers by queue; None where the broker cannot be asked."""
    try:
        alive = live_workers()
    except BrokerUnavailableError:
        return None
    return {queue: sum(queue in worker.queues for worker in alive) for queue in ("io", "train", "predict")}
