"""Browsing films: filters, sorts and pages, by facts of the catalog and by what the displayed version says.

Pages are keyset pages. A cursor holds the sort values of the last film shown, is signed, and is bound to the filters
and the sort that it was made for: page 10,000 is found as fast as page 1, and no film is lost or shown twice because
others came in between.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

from django.core import signing
from django.db.models import F, FilteredRelation, FloatField, OrderBy, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from catalog.models import Film
from catalog.querysets import FilmQuerySet
from predictor.models import ModelPointers, ModelVersion, RealField

# Rows of two, three, four, six and eight posters all come out even.
PAGE_SIZE = 24
BEST = "best"
RELEVANCE = "relevance"
_CURSOR_SALT = "predictor.browsing.cursor"


class CursorError(ValueError):
    """The cursor was not made here, or was made for other filters or another sort."""


@dataclass(frozen=True, slots=True)
class FilmFilters:
    """What films to show and in which order; the default is every film, the best first.

    Sequences are sorted tuples, so that equal filters are equal values.
    """

    query: str = ""
    labels: tuple[int, ...] = ()
    all_labels: bool = False
    predicted: tuple[int, ...] = ()
    agreement: str = ""
    first_year: int | None = None
    last_year: int | None = None
    language: str = ""
    min_rating: float | None = None
    has_poster: bool | None = None
    has_prediction: bool | None = None
    adult: bool = False
    sort: str = BEST

    @property
    def reads_predictions(self) -> bool:
        """Whether a film's prediction decides if or where it is shown."""
        return (
            bool(self.predicted or self.agreement or self.sort == "surprising")
            or self.has_prediction is not None
        )

    @property
    def count(self) -> int:
        """How many filters are set, the search not counted."""
        unset = FilmFilters()
        names = {f.name for f in fields(self)} - {"query", "sort", "all_labels"}
        names -= {"last_year"} if self.first_year is not None else set()
        return sum(getattr(self, name) != getattr(unset, name) for name in names)

    def parameters(self) -> list[tuple[str, str]]:
        """The query string's parameters that mean these filters; none for what is left at its default."""
        pairs: list[tuple[str, Any]] = [("q", self.query or None)]
        pairs += [("genre", label) for label in self.labels]
        pairs += [("match", "all" if self.all_labels and len(self.labels) > 1 else None)]
        pairs += [("predicted", label) for label in self.predicted]
        pairs += [
            ("agreement", self.agreement or None),
            ("year_from", self.first_year),
            ("year_to", self.last_year),
            ("language", self.language or None),
            ("rating", None if self.min_rating is None else f"{self.min_rating:g}"),
            ("poster", _YES_NO[self.has_poster]),
            ("prediction", _YES_NO[self.has_prediction]),
            ("adult", "yes" if self.adult else None),
            ("sort", None if self.sort == BEST else self.sort),
        ]
        return [(name, str(value)) for name, value in pairs if value is not None]

    def query_string(self, **extra: str) -> str:
        """The same as a query string, without question mark; empty for the default."""
        return urlencode([*self.parameters(), *extra.items()])

    def fingerprint(self) -> str:
        """Equal for equal filters and sort, in this process and any other."""
        return hashlib.sha256(self.query_string().encode()).hexdigest()[:16]


_YES_NO = {True: "yes", False: "no", None: None}


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of films: the column, its direction, and how a value of it travels in a cursor.

    The film's id is the tie-break, in the same direction.
    """

    name: str
    column: str
    descending: bool = True
    tie_break: str = "id"
    from_json: Callable[[Any], Combinable] = lambda value: Value(float(value), output_field=FloatField())


def _real(value: Any) -> Combinable:
    # Compared as the single precision that the column has: 0.1 as a double equals no real.
    return Cast(Value(float(value)), RealField())


SORTS = {
    sort.name: sort
    for sort in (
        Sort("popularity", "popularity"),
        Sort("rating", "weighted_rating"),
        Sort("newest", "release_sort", from_json=lambda value: Value(dt.date.fromisoformat(value))),
        Sort("title", "title_sort", descending=False, from_json=lambda value: Value(str(value))),
        Sort("added", "added_at", from_json=lambda value: Value(dt.datetime.fromisoformat(value))),
        Sort("surprising", "shown_surprise", tie_break="shown_film_id", from_json=_real),
        Sort(RELEVANCE, "relevance"),
    )
}


@dataclass(frozen=True, slots=True)
class FilmPage:
    """Some films and, where there are more, the cursor that goes on after them.

    Each film has the displayed version's ``predicted``, ``hits``, ``misses``, ``extras``, ``surprise`` and ``part``
    as ``shown_...`` attributes: None where there is no prediction.
    """

    films: list[Film]
    next_cursor: str | None


def displayed_version() -> ModelVersion | None:
    """The version whose predictions pages show; one query."""
    pointers = (
        ModelPointers.objects.select_related("displayed").defer("displayed__metrics").filter(id=1).first()
    )
    return pointers.displayed if pointers else None


def sort_of(filters: FilmFilters) -> Sort:
    """The order that the filters ask for: the best match first where there is a search, the best known elsewhere."""
    if filters.sort == BEST:
        return SORTS[RELEVANCE if filters.query else "popularity"]
    return SORTS[filters.sort]


_SHOWN = ("film_id", "predicted", "hits", "misses", "extras", "surprise", "part")


def _with_shown(version: ModelVersion | None) -> FilmQuerySet:
    """All films, with the version's prediction joined once, and its columns as ``shown_...``.

    Filters name those, never ``shown__...``: Django would join the table again for each call of ``filter``. They do
    so within `Q`, which the type checker does not take for a list of the model's own fields.
    """
    condition = Q(predictions__version_id=version.pk if version else 0)
    joined = Film.objects.alias(shown=FilteredRelation("predictions", condition=condition))
    return joined.annotate(**{f"shown_{name}": F(f"shown__{name}") for name in _SHOWN})


def filtered_films(filters: FilmFilters, version: ModelVersion | None) -> FilmQuerySet:
    """The films that the filters let through, unordered; the search and the sort are not applied.

    Without a version no film has a prediction. The predictions are joined only where they are read, so that the
    database can answer from one covering index.
    """
    films = _with_shown(version) if filters.reads_predictions else Film.objects.all()
    films = films.suitable(adult=filters.adult)
    if filters.labels:
        narrow = films.with_all_labels if filters.all_labels else films.with_any_label
        films = narrow(filters.labels)
    films = films.released(first_year=filters.first_year, last_year=filters.last_year)
    if filters.language:
        films = films.in_language(filters.language)
    if filters.min_rating is not None:
        films = films.rated_at_least(filters.min_rating)
    if filters.has_poster is not None:
        films = films.with_poster(filters.has_poster)
    return _by_prediction(films, filters)


def _by_prediction(films: FilmQuerySet, filters: FilmFilters) -> FilmQuerySet:
    if filters.has_prediction is not None:
        films = films.filter(Q(shown_film_id__isnull=not filters.has_prediction))
    if filters.predicted:
        films = films.filter(Q(shown_predicted__overlap=list(filters.predicted)))
    match filters.agreement:
        case "agrees":
            films = films.filter(Q(shown_misses=[], shown_extras=[]))
        case "misses":
            films = films.filter(Q(shown_misses__gt=[]))
        case "extras":
            films = films.filter(Q(shown_extras__gt=[]))
    return films


def ordered_films(filters: FilmFilters, version: ModelVersion | None) -> FilmQuerySet:
    """The list that the filters mean, in its order: as little of each film as decides that.

    A search ordered by relevance has its candidates only. A film that an order cannot place (no surprise, nothing to
    compare) is left out of that order.
    """
    films = filtered_films(filters, version)
    sort = sort_of(filters)
    if sort.name == RELEVANCE:
        candidates = films.search_candidates(filters.query)
        films = Film.objects.filter(id__in=candidates).with_relevance(filters.query)
    elif filters.query:
        films = films.matching(filters.query)
    if sort.name == "surprising":
        films = films.filter(Q(shown_surprise__isnull=False))
    return films.order_by(*_order(sort))


def _columns(sort: Sort) -> list[str]:
    return [sort.column, *(["popularity"] if sort.name == RELEVANCE else []), sort.tie_break]


def _order(sort: Sort) -> list[OrderBy]:
    return [
        OrderBy(F(column), descending=sort.descending, nulls_last=column == "shown_surprise" or None)
        for column in _columns(sort)
    ]


def film_page(
    filters: FilmFilters, version: ModelVersion | None, *, cursor: str = "", size: int = PAGE_SIZE
) -> FilmPage:
    """One page of films, in one query: which ones, from a covering index, and then what is shown of those.

    Raises:
        CursorError: the cursor belongs to other filters or another sort, or to nothing.
    """
    sort = sort_of(filters)
    films = ordered_films(filters, version)
    if cursor:
        films = films.after(
            [F(column) for column in _columns(sort)],
            _cursor_values(cursor, filters, sort),
            descending=sort.descending,
        )
    rows = list(shown_films(films.values("id")[: size + 1], filters, version))
    more = len(rows) > size
    del rows[size:]
    return FilmPage(films=rows, next_cursor=cursor_after(rows[-1], filters) if more else None)


def shown_films(ids: QuerySet[Any, Any], filters: FilmFilters, version: ModelVersion | None) -> FilmQuerySet:
    """The films of these ids with all but their long texts, in the order that the filters ask for."""
    sort = sort_of(filters)
    films = _with_shown(version).filter(id__in=ids)
    if sort.name == RELEVANCE:
        films = films.with_relevance(filters.query)
    return films.order_by(*_order(sort)).select_related("poster").defer(*_TEXTS)


# Long, and shown in no list.
_TEXTS = ("overview", "tagline", "search", "folded_titles", "folded_overview")


def cursor_after(film: Film, filters: FilmFilters) -> str:
    """The cursor of what comes after this film, one of `shown_films`, in the list of these filters."""
    values = [_json(getattr(film, column)) for column in _columns(sort_of(filters))]
    return signing.Signer(salt=_CURSOR_SALT).sign_object([filters.fingerprint(), *values])


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


def _cursor_values(cursor: str, filters: FilmFilters, sort: Sort) -> list[Combinable]:
    try:
        fingerprint, *values = signing.Signer(salt=_CURSOR_SALT).unsign_object(cursor)
    except (signing.BadSignature, ValueError) as error:
        raise CursorError("This is no page of the list.") from error
    if fingerprint != filters.fingerprint():
        raise CursorError("This page belongs to a list with other filters or another order.")
    first, *middle, film_id = values
    return [
        sort.from_json(first),
        *(Value(float(value), output_field=FloatField()) for value in middle),
        Value(int(film_id)),
    ]
