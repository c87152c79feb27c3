"""What a list of films is asked for: the browse page's own filters, and a page of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from catalog.models import Genre
from ml_core.labels import LABELS
from predictor.api.problems import InvalidInput
from predictor.browsing import PAGE_SIZE, FilmFilters
from predictor.filter_form import (
    AGREEMENT_CHOICES,
    FIRST_YEAR,
    LAST_YEAR,
    SORT_CHOICES,
    FilterForm,
)

MAX_PAGE_SIZE = 100
_LABEL_IDS = [label.tmdb_id for label in LABELS]
_PAGE_PARAMETERS = {"cursor", "page_size"}


@dataclass(frozen=True, slots=True)
class FilmList:
    """A list that was asked for. `extra` is what the address of the next page must repeat beside the filters."""

    filters: FilmFilters
    cursor: str
    page_size: int

    @property
    def extra(self) -> dict[str, str]:
        return {} if self.page_size == PAGE_SIZE else {"page_size": str(self.page_size)}


def parse_film_list(query: QueryDict) -> FilmList:
    """The list that the query string asks for. Raises InvalidInput, by parameter."""
    form = FilterForm(query, genres=Genre.objects.filter(is_label=True))
    errors: dict[str, Any] = {name: list(found) for name, found in form.errors.get_json_data().items()}
    for name in sorted(set(query) - set(form.fields) - _PAGE_PARAMETERS):
        errors[name[:80]] = [{"code": "unknown", "message": "There is no such parameter."}]
    size = query.get("page_size", str(PAGE_SIZE))
    if not (size.isascii() and size.isdecimal() and len(size) <= 4 and 1 <= int(size) <= MAX_PAGE_SIZE):
        errors["page_size"] = [{"code": "invalid", "message": f"Give a number from 1 to {MAX_PAGE_SIZE}."}]
    if errors:
        raise InvalidInput(errors)
    return FilmList(filters=form.filters(), cursor=query.get("cursor", ""), page_size=int(size))


def _parameter(name: str, kind: Any = str, description: str = "", **options: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, description=description, **options)


def _year(edge: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": FIRST_YEAR, "maximum": LAST_YEAR, "description": edge}


LIST_PARAMETERS = [
    _parameter("q", {"type": "string", "maxLength": 200}, "Words of title, original title or overview."),
    _parameter("genre", int, "Genres at TMDB; may be repeated.", many=True, enum=_LABEL_IDS),
    _parameter("match", str, "Whether any (default) or all of the genres are wanted.", enum=["any", "all"]),
    _parameter(
        "predicted", int, "Predicted genres, any of them; may be repeated.", many=True, enum=_LABEL_IDS
    ),
    _parameter(
        "agreement",
        str,
        "How the displayed version's prediction agrees with TMDB.",
        enum=[value for value, _ in AGREEMENT_CHOICES if value],
    ),
    _parameter("year_from", _year("first"), "Released in this year or later."),
    _parameter("year_to", _year("last"), "Released in this year or earlier."),
    _parameter("language", {"type": "string", "pattern": "^[a-z]{2,3}$"}, "Original language, ISO 639-1."),
    _parameter("rating", {"type": "number", "minimum": 0, "maximum": 10}, "Weighted rating at least."),
    _parameter("poster", str, "Whether there is a poster.", enum=["yes", "no"]),
    _parameter("prediction", str, "Whether there is a prediction.", enum=["yes", "no"]),
    _parameter("adult", str, "`yes` includes adult films.", enum=["yes"]),
    _parameter(
        "sort",
        str,
        "Default: the best match where there is a search, else the most popular first.",
        enum=[value for value, _ in SORT_CHOICES if value],
    ),
    _parameter("cursor", OpenApiTypes.STR, "From the `next` of the page before."),
    _parameter(
        "page_size",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
        "Films a page.",
    ),
]
