"""Every error under /api/ is a problem detail (RFC 9457), `application/problem+json`.

Besides the members of the RFC an answer may have `code`, a word for programs to branch on, and `errors`: by name
of the field, a list of ``{"code", "message"}``. `type` is "about:blank", so `title` is HTTP's own phrase.
"""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Any, TypeAlias

import structlog
from django.core import signals
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse, UnreadablePostError
from rest_framework import exceptions

log = structlog.get_logger(__name__)

PROBLEM_JSON = "application/problem+json"
# How long a client should wait for a database that restarts; ours is back within 10 s.
DATABASE_RETRY_SECONDS = 5

FieldErrors: TypeAlias = dict[str, list[dict[str, str]]]


class PayloadTooLarge(exceptions.APIException):
    """The body, or the poster in it, has more bytes than are taken."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "The request body is too large."


class Conflict(exceptions.APIException):
    """The request is right, but not in the state things are in."""

    status_code = HTTPStatus.CONFLICT
    default_code = "conflict"
    default_detail = "The request conflicts with the present state."


class BadGateway(exceptions.APIException):
    """Somebody else, whose answer ours rests on, refused or answered nonsense."""

    status_code = HTTPStatus.BAD_GATEWAY
    default_code = "bad_gateway"
    default_detail = "What this rests on was refused elsewhere."


class FieldProblem(exceptions.APIException):
    """What one field holds is refused with a status of its own, such as 422 for an image that is none."""

    def __init__(self, *, status: int, field: str, code: str, message: str) -> None:
        super().__init__(detail=message, code=code)
        self.status_code = status
        self.errors: FieldErrors = {field: [{"code": code, "message": message}]}


class InvalidInput(exceptions.APIException):
    """Parameters that cannot be used, by name."""

    status_code = HTTPStatus.BAD_REQUEST
    default_code = "invalid"
    default_detail = "Some of what was given cannot be used; `errors` says what, by field."

    def __init__(self, errors: FieldErrors) -> None:
        super().__init__()
        self.errors = errors


class Unavailable(exceptions.APIException):
    """Something that the answer needs is busy or away; try again after `retry_after` seconds."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_code = "unavailable"

    def __init__(self, detail: str, *, retry_after: float, code: str = "unavailable") -> None:
        super().__init__(detail=detail, code=code)
        self.wait = retry_after


def problem_response(
    *,
    status: int,
    detail: str,
    instance: str,
    code: str = "",
    errors: FieldErrors | None = None,
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """The problem detail as an HTTP answer. `instance` is the path that was asked for."""
    body = problem_body(status=status, detail=detail, instance=instance, code=code, errors=errors)
    return HttpResponse(body, status=status, content_type=PROBLEM_JSON, headers=headers)


def problem_body(
    *, status: int, detail: str, instance: str, code: str = "", errors: FieldErrors | None = None
) -> bytes:
    """The problem detail as JSON."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "instance": instance,
    }
    if code:
        problem["code"] = code
    if errors:
        problem["errors"] = errors
    return json.dumps(problem, ensure_ascii=True).encode()


def exception_handler(exception: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's EXCEPTION_HANDLER: any exception of an API view as a problem detail.

    One that nobody foresaw is logged and answered 500 without a word of what it was.
    """
    request = context["request"]
    known = _as_api_exception(exception)
    if known is None:
        log.error("unhandled error", path=request.path, exc_info=exception)
        signals.got_request_exception.send(sender=exception_handler, request=request._request)
        return problem_response(
            status=HTTPStatus.INTERNAL_SERVER_ERROR,
            detail="Something went wrong here. It has been logged.",
            instance=request.path,
            code="error",
        )
    errors: FieldErrors | None = getattr(known, "errors", None)
    if isinstance(known, exceptions.ValidationError):
        errors = field_errors(known.get_full_details())
        detail, code = InvalidInput.default_detail, InvalidInput.default_code
    else:
        detail, code = str(known.detail), _code(known)
    return problem_response(
        status=known.status_code,
        detail=detail,
        instance=request.path,
        code=code,
        errors=errors,
        headers=_headers(known),
    )


def _as_api_exception(exception: Exception) -> exceptions.APIException | None:
    known: exceptions.APIException | None = None
    match exception:
        case exceptions.APIException():
            known = exception
        case Http404():
            known = exceptions.NotFound()
        case DjangoPermissionDenied():
            known = exceptions.PermissionDenied()
        case RequestDataTooBig():
            known = PayloadTooLarge()
        case DjangoValidationError():
            known = exceptions.ValidationError(exception.messages)
        case SuspiciousOperation() | BadRequest() | UnreadablePostError():
            known = exceptions.ParseError()
        case OperationalError() | InterfaceError():
            log.warning("database unreachable", error=str(exception))
            known = Unavailable("The database cannot be reached.", retry_after=DATABASE_RETRY_SECONDS)
    return known


def _code(exception: exceptions.APIException) -> str:
    codes = exception.get_codes()
    return codes if isinstance(codes, str) else exception.default_code


def _headers(exception: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(exception, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if (wait := getattr(exception, "wait", None)) is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return headers


def field_errors(details: Any, path: str = "") -> FieldErrors:
    """DRF's nested full details, flat: ``{"genres.0": [{"code": "invalid", "message": "…"}]}``.

    What concerns no single field is under "body".
    """
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        message = {"code": str(details["code"]), "message": str(details["message"])}
        return {path or "body": [message]}
    found: FieldErrors = {}
    nested = details.items() if isinstance(details, dict) else enumerate(details)
    for key, value in nested:
        leaf = isinstance(value, dict) and set(value) == {"message", "code"}
        if key == "non_field_errors" or (leaf and isinstance(key, int)):
            inner = path
        else:
            inner = f"{path}.{key}" if path else str(key)
        for name, messages in field_errors(value, inner).items():
            found.setdefault(name, []).extend(messages)
    return found
