"""TMDB's API through tmdbv3api: its endpoints behind functions that return frozen values.

Of the library (read from its source, version 1.10) we use the endpoints and their parameters. What it lacks or does
unsafely stays out of the way: its cache of whole responses is off, key and language come from here instead of the process's
environment, and what it takes for its session is our `Transport`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from django.conf import settings
from django.core.cache import cache
from tmdbv3api import Change, Configuration, Discover, Find, Movie, Search
from tmdbv3api.exceptions import TMDbException

from catalog.tmdb.answers import FilmPage, TmdbFilm, film_of, is_tmdb_id, page_of
from catalog.tmdb.errors import TmdbAnswerError, TmdbNotConfiguredError, TmdbRefusedError
from catalog.tmdb.transport import Transport

ListName = Literal["popular", "top_rated", "now_playing", "upcoming"]
# Of any list but that of changes, as TMDB's documentation has it; a later page is answered 400.
FILMS_A_PAGE, MOST_PAGES = 20, 500
# TMDB asks to keep its configuration for a few days.
_CONFIGURATION_SECONDS = 24 * 3600


def is_configured() -> bool:
    """Whether there is a key."""
    return bool(settings.TMDB_API_KEY)


def film(tmdb_id: int) -> TmdbFilm:
    """A film's facts in `TMDB_LANGUAGE`, with the English overview where that language has none: one request.

    Raises a kind of `TmdbError`, as everything here does.
    """
    english = settings.TMDB_LANGUAGE.lower().startswith("en")
    answer = _call(Movie, "details", tmdb_id, append_to_response="" if english else "translations")
    return film_of(answer, tmdb_id=tmdb_id)


def search(query: str, *, year: int | None = None, page: int = 1) -> FilmPage:
    """Films whose titles match, most popular first."""
    return page_of(_call(Search, "movies", query, year=year, page=page))


def discover(conditions: Mapping[str, str | int], *, page: int = 1) -> FilmPage:
    """Films that meet conditions, named as TMDB's documentation of ``/discover/movie`` names them."""
    return page_of(_call(Discover, "discover_movies", {**conditions, "page": page}))


def listed(name: ListName, *, page: int = 1) -> FilmPage:
    """One of TMDB's own lists."""
    return page_of(_call(Movie, name, page=page))


def find_imdb(imdb_id: str) -> int | None:
    """The TMDB id of the film with that IMDb id; None where TMDB knows none."""
    answer = _call(Find, "find_by_imdb_id", imdb_id)
    films = answer.get("movie_results")
    if not isinstance(films, list):
        raise TmdbAnswerError("The answer has no list of films.")
    ids = [item.get("id") for item in films if isinstance(item, Mapping)]
    return next((id_ for id_ in ids if is_tmdb_id(id_)), None)


def changes(*, first: date, last: date, page: int = 1) -> FilmPage:
    """Films that changed on those days, at most 14 of them, 100 films a page."""
    return page_of(
        _call(Change, "movie_change_list", start_date=first.isoformat(), end_date=last.isoformat(), page=page)
    )


def poster_sizes() -> tuple[str, ...]:
    """Names of the sizes that TMDB has posters in, such as ``w342``; asked for once a day."""
    found = cache.get("tmdb:poster-sizes")
    if found is None:
        images = _call(Configuration, "api_configuration").get("images")
        sizes = images.get("poster_sizes") if isinstance(images, Mapping) else None
        if not isinstance(sizes, list) or not all(isinstance(size, str) for size in sizes):
            raise TmdbAnswerError("TMDB's configuration names no sizes of posters.")
        found = tuple(sizes)
        cache.set("tmdb:poster-sizes", found, timeout=_CONFIGURATION_SECONDS)
    return tuple(found)


def check_key() -> None:
    """Returns where TMDB accepts our key. Raises `TmdbKeyRefusedError` where it does not."""
    _call(Configuration, "api_configuration")


# tmdbv3api ------------------------------------------------------------------------------------------------


def _call(kind: type[Any], method: str, *arguments: Any, **named: Any) -> dict[str, Any]:
    if not is_configured():
        raise TmdbNotConfiguredError(
            "There is no key for TMDB's API: set TMDB_API_KEY (free, from your account's settings at TMDB)."
        )
    endpoint = _endpoint(
        kind,  # type: ignore[arg-type]  # a class is hashable, whatever its metaclass might be
        settings.TMDB_API_BASE.rstrip("/"),
        settings.TMDB_API_KEY,
        settings.TMDB_LANGUAGE,
    )
    try:
        answer = getattr(endpoint, method)(*arguments, **named)
    except TMDbException as error:
        # What the library raises for a word "errors" or "success: false" in an answer with status 200.
        raise TmdbRefusedError(f"TMDB refuses: {error!s:.200}") from error
    # The library's objects lose what a key of the answer collides with; the decoded answer itself does not.
    content: dict[str, Any] = answer._json
    return content


@functools.lru_cache(maxsize=64)
def _endpoint(kind: type[Any], base: str, key: str, language: str) -> Any:
    """An object of the library's, told everything that it would look up in the environment."""

    def begin(self: Any) -> None:
        kind.__init__(self, obj_cached=False, session=_transport(key))
        self._base = base

    # The key stays with the transport; the library only insists on there being one.
    members = {"__init__": begin, "api_key": "-", "language": language, "proxies": None, "_session": None}
    return type(f"Our{kind.__name__}", (kind,), members)()


@functools.lru_cache(maxsize=8)
def _transport(key: str) -> Transport:
    return Transport(key=key)
