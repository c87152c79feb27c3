"""Pages of lists whose order is that of their keys: the next one goes on after the last key, however far that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.db.models import QuerySet
from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from predictor.api.problems import FieldErrors, InvalidInput

PAGE_SIZE, MAX_PAGE_SIZE = 24, 100
_SALT = "predictor.api.id_pages"

PAGE_PARAMETERS = [
    OpenApiParameter("cursor", OpenApiTypes.STR, description="From the `next` of the page before."),
    OpenApiParameter(
        "page_size",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
        description="Rows a page.",
    ),
]


@dataclass(frozen=True, slots=True)
class IdPage:
    """Some rows, and the address of the page after them; None on the last."""

    rows: list[Any]
    next: str | None


def id_page(rows: QuerySet[Any], request: Request, *, newest_first: bool = False) -> IdPage:
    """The page of `rows` that the query string asks for, by ascending key unless the newest come first.

    A cursor holds for the address that it was made for. Raises InvalidInput, by parameter.
    """
    after, size = _parse(request.query_params, request.path)
    ordered = rows.order_by("-pk" if newest_first else "pk")
    if after is not None:
        ordered = ordered.filter(**{"pk__lt" if newest_first else "pk__gt": after})
    found = list(ordered[: size + 1])
    if len(found) <= size:
        return IdPage(found, None)
    query = QueryDict(mutable=True)
    query["cursor"] = signing.Signer(salt=_SALT).sign_object([request.path, found[size - 1].pk])
    if size != PAGE_SIZE:
        query["page_size"] = str(size)
    return IdPage(found[:size], request.build_absolute_uri(f"{request.path}?{query.urlencode()}"))


def _parse(query: QueryDict, path: str) -> tuple[int | None, int]:
    errors: FieldErrors = {
        name[:80]: [{"code": "unknown", "message": "There is no such parameter."}]
        for name in sorted(set(query) - {"cursor", "page_size"})
    }
    size = query.get("page_size", str(PAGE_SIZE))
    if not (size.isascii() and size.isdecimal() and len(size) <= 4 and 1 <= int(size) <= MAX_PAGE_SIZE):
        errors["page_size"] = [{"code": "invalid", "message": f"Give a number from 1 to {MAX_PAGE_SIZE}."}]
    after = None
    if cursor := query.get("cursor"):
        try:
            made_for, after = signing.Signer(salt=_SALT).unsign_object(cursor)
        except (signing.BadSignature, ValueError):
            made_for = None
        if made_for != path:
            errors["cursor"] = [{"code": "cursor", "message": "This is no page of the list."}]
    if errors:
        raise InvalidInput(errors)
    return after, int(size)
