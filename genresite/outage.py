"""A page whose database is away answers 503 and says when to come back, not 500."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

log = structlog.get_logger(__name__)

# A database that restarts is back within ten seconds; a second look halfway is no burden.
RETRY_SECONDS = 5


class DatabaseOutageMiddleware:
    """Turns a lost or refused database connection in a view into the 503 page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The page, for these exceptions alone. It is rendered without the request, whose user is in the database."""
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        log.error("database unreachable", path=request.path, error=str(exception))
        body = render_to_string(
            "503.html", {"reason": "The database cannot be reached.", "retry_after": RETRY_SECONDS}
        )
        return HttpResponse(
            body, status=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": str(RETRY_SECONDS)}
        )
