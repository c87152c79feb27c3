"""From a request to the ids of films, page by page; and beforehand what it would cost."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil

from django.conf import settings
from django.utils import timezone

from catalog.models import Film
from catalog.records import Rejection, SeenIds
from catalog.tmdb import client
from catalog.tmdb.answers import FilmPage
from catalog.tmdb.asking import FIRST_YEAR, ImportRequest
from catalog.tmdb.exports import exported_films
from catalog.tmdb.rate import GRANTED_SHARE
from catalog.tmdb.syncing import films_to_sync

_KNOWN_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class ImportEstimate:
    """What an import will cost. ``None`` where nobody can know before it begins."""

    films: int | None
    requests: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The films to fetch, each once, and what was asked for but is not there."""

    tmdb_ids: array[int]
    rejections: tuple[Rejection, ...]


def estimate(request: ImportRequest) -> ImportEstimate:
    """Films, requests and seconds of an import, of TMDB's own count where it is a list: one request, or for a sync those for its changes.

    Films that are in the catalog already and would be skipped are counted only where ids were given. Raises a kind of
    `TmdbError`.
    """
    films: int | None
    if request.what == "ids":
        known = _known(request.tmdb_ids) if request.skip_known else set()
        films = len(set(request.tmdb_ids) - known) + len(request.imdb_ids)
        pages = len(request.imdb_ids)
    elif request.what == "export":
        films, pages = request.most, 0
    elif request.what == "sync":
        films, pages = len(films_to_sync(timezone.now())), 0
    else:
        page = _first_page(request)
        films = page.films
        if request.what != "discover":
            films = min(films, client.MOST_PAGES * client.FILMS_A_PAGE)
        if request.most is not None:
            films = min(films, request.most)
        pages = ceil(films / client.FILMS_A_PAGE)
    if films is None:
        return ImportEstimate(None, None, None)
    requests = films + pages
    return ImportEstimate(films, requests, requests / (settings.TMDB_REQUESTS_PER_SECOND * GRANTED_SHARE))


def listing(request: ImportRequest, *, between: Callable[[], object]) -> Listing:
    """The ids that a request stands for. ``between`` is called now and then. Raises a kind of `TmdbError`."""
    ids: array[int] = array("i")
    rejections: list[Rejection] = []
    seen = SeenIds()
    size = client.FILMS_A_PAGE if request.what in ("search", "list", "discover") else _KNOWN_AT_ONCE
    for found in _batches(_ids(request, rejections), size, between):
        new = [tmdb_id for tmdb_id in found if seen.add(tmdb_id)]
        known = _known(new) if request.skip_known else set()
        ids.extend(tmdb_id for tmdb_id in new if tmdb_id not in known)
        if request.most is not None and len(ids) >= request.most:
            return Listing(ids[: request.most], tuple(rejections))
    return Listing(ids, tuple(rejections))


def _ids(request: ImportRequest, rejections: list[Rejection]) -> Iterator[int]:
    match request.what:
        case "ids":
            yield from request.tmdb_ids
            for imdb_id in request.imdb_ids:
                tmdb_id = client.find_imdb(imdb_id)
                if tmdb_id is None:
                    rejections.append(
                        Rejection(None, imdb_id, "not-found", "TMDB knows no film with that IMDb id.")
                    )
                else:
                    yield tmdb_id
        case "search":
            yield from _paged(lambda page: client.search(request.query, year=request.year, page=page))
        case "list":
            yield from _paged(lambda page: client.listed(request.list_name, page=page))
        case "discover":
            yield from _discovered(request)
        case "export":
            for film in exported_films():
                if not film.adult and not film.video and film.popularity >= request.min_popularity:
                    yield film.tmdb_id
        case "sync":
            yield from films_to_sync(timezone.now())


def _first_page(request: ImportRequest) -> FilmPage:
    if request.what == "search":
        return client.search(request.query, year=request.year)
    if request.what == "list":
        return client.listed(request.list_name)
    return client.discover(_conditions(request, *_years(request)))


def _paged(page_of: Callable[[int], FilmPage], first: FilmPage | None = None) -> Iterator[int]:
    """The films of all pages that TMDB gives out."""
    page = first or page_of(1)
    pages = min(page.pages, client.MOST_PAGES)
    yield from page.ids
    for number in range(2, pages + 1):
        yield from page_of(number).ids


def _discovered(request: ImportRequest) -> Iterator[int]:
    """The films that meet conditions. Where they are more than TMDB gives out, in stretches of days that have fewer."""
    windows = [_years(request)]
    while windows:
        first_day, last_day = windows.pop()
        conditions = _conditions(request, first_day, last_day)
        page = client.discover(conditions)
        more_than_given = page.pages > client.MOST_PAGES
        # With a limit the first pages are what was asked for: the most popular, or whatever the order is.
        enough = request.most is not None and request.most <= client.MOST_PAGES * client.FILMS_A_PAGE
        if more_than_given and not enough:
            first, last = first_day or date(FIRST_YEAR, 1, 1), last_day or _end_of_films()
            if first < last:
                middle = first + (last - first) // 2
                windows += [(first, middle), (middle + timedelta(days=1), last)]
                continue
        yield from _paged(lambda number, c=conditions: client.discover(c, page=number), page)  # type: ignore[misc]


def _years(request: ImportRequest) -> tuple[date | None, date | None]:
    """The days that the asked-for years begin and end with."""
    return (
        date(request.year_from, 1, 1) if request.year_from else None,
        date(request.year_to, 12, 31) if request.year_to else None,
    )


def _conditions(
    request: ImportRequest, first_day: date | None, last_day: date | None
) -> dict[str, str | int]:
    conditions: dict[str, str | int] = {"sort_by": request.sort, "include_adult": "false"}
    if request.genres:
        conditions["with_genres"] = ",".join(map(str, request.genres))
    if request.language:
        conditions["with_original_language"] = request.language
    if request.min_votes:
        conditions["vote_count.gte"] = request.min_votes
    if first_day:
        conditions["primary_release_date.gte"] = first_day.isoformat()
    if last_day:
        conditions["primary_release_date.lte"] = last_day.isoformat()
    return conditions


def _end_of_films() -> date:
    """Films are announced years ahead."""
    return date(timezone.now().year + 20, 12, 31)


def _known(tmdb_ids: tuple[int, ...] | list[int]) -> set[int]:
    return set(Film.objects.filter(tmdb_id__in=tmdb_ids).values_list("tmdb_id", flat=True))  # type: ignore[arg-type]


def _batches(ids: Iterator[int], size: int, between: Callable[[], object]) -> Iterator[list[int]]:
    batch: list[int] = []
    for tmdb_id in ids:
        batch.append(tmdb_id)
        if len(batch) >= size:
            between()
            yield batch
            batch = []
    yield batch
