"""TMDB's API v3, as far as an importer asks it: a path and a query in, a status and a JSON object out.

Shapes, messages and limits follow https://developer.themoviedb.org/reference and .../docs/errors.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.tmdb_stand_in.films import InventedFilm, genre_name
from tests.tmdb_stand_in.posters import SIZES
from tests.tmdb_stand_in.vocabulary import GENRES

PAGE, CHANGES_PAGE, LAST_PAGE, CHANGES_DAYS = 20, 100, 500, 14
# TMDB's own codes, with the HTTP status and message of each.
ERRORS: dict[int, tuple[int, str]] = {
    6: (404, "Invalid id: The pre-requisite id is invalid or not found."),
    7: (401, "Invalid API key: You must be granted a valid key."),
    9: (503, "Service offline: This service is temporarily offline, try again later."),
    11: (500, "Internal error: Something went wrong, contact TMDB."),
    20: (422, "Invalid date range: Should be a range no longer than 14 days."),
    22: (400, "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer."),
    23: (400, "Invalid date: Format needs to be YYYY-MM-DD."),
    25: (429, "Your request count (#) is over the allowed limit of (40)."),
    34: (404, "The resource you requested could not be found."),
}

Answer = tuple[int, dict[str, Any]]
Query = dict[str, str]


class RefusedError(Exception):
    """What was asked is refused, with one of TMDB's codes."""


def refusal(code: int) -> Answer:
    """TMDB's answer with that code of its own."""
    status, message = ERRORS[code]
    return status, {"success": False, "status_code": code, "status_message": message}


def today() -> date:
    """The day at TMDB, whose days are UTC's."""
    return datetime.now(UTC).date()


class Api:
    """Answers from a set of films that may change under it, and the days on which films changed."""

    def __init__(self, films: dict[int, InventedFilm], changed: dict[int, date], image_base: str) -> None:
        self.films = films
        self.changed = changed
        self.image_base = image_base

    def answer(self, path: str, query: Query) -> Answer:
        """The answer to a GET of `path`, which is without the leading ``/3``."""
        try:
            content = self._content(path.strip("/").split("/"), query)
        except RefusedError as error:
            return refusal(error.args[0])
        return 200, content

    def _content(self, parts: list[str], query: Query) -> dict[str, Any]:
        match parts:
            case ["configuration"]:
                content = self._configuration()
            case ["authentication"]:
                content = {"success": True, "status_code": 1, "status_message": "Success."}
            case ["genre", "movie", "list"]:
                names = {pk: genre_name(pk, query.get("language", "")) for pk in GENRES}
                content = {"genres": [{"id": pk, "name": name} for pk, name in names.items()]}
            case ["search", "movie"]:
                content = self._search(query)
            case ["discover", "movie"]:
                content = self._discover(query)
            case ["find", imdb_id]:
                content = self._find(imdb_id, query)
            case ["movie", "changes"]:
                content = self._changes(query)
            case ["movie", "popular" | "top_rated" | "now_playing" | "upcoming" as name]:
                content = self._list(name, query)
            case ["movie", film_id, *rest]:
                content = self._film(film_id, rest, query)
            case _:
                raise RefusedError(34)
        return content

    def export(self) -> bytes:
        """The daily file of ids: gzip of JSON lines. Adult films have a file of their own at TMDB."""
        lines = (
            json.dumps(
                {
                    "adult": False,
                    "id": film.id,
                    "original_title": film.original_title,
                    "popularity": film.popularity,
                    "video": False,
                },
                ensure_ascii=False,
                separators=(",", ":"),
            )
            for _, film in sorted(self.films.items())
            if not film.adult
        )
        return gzip.compress("".join(f"{line}\n" for line in lines).encode(), compresslevel=5)

    def _configuration(self) -> dict[str, Any]:
        return {
            "images": {
                "base_url": self.image_base,
                "secure_base_url": self.image_base,
                "backdrop_sizes": ["w300", "w780", "w1280", "original"],
                "logo_sizes": ["w45", "w92", "w154", "w185", "w300", "w500", "original"],
                "poster_sizes": list(SIZES),
                "profile_sizes": ["w45", "w185", "h632", "original"],
                "still_sizes": ["w92", "w185", "w300", "original"],
            },
            "change_keys": [
                "adult",
                "genres",
                "images",
                "overview",
                "release_dates",
                "title",
                "translations",
            ],
        }

    def _film(self, film_id: str, rest: list[str], query: Query) -> dict[str, Any]:
        if not film_id.isdecimal():
            raise RefusedError(6)
        film = self.films.get(int(film_id))
        if film is None:
            raise RefusedError(34)
        more: dict[str, Callable[[], dict[str, Any]]] = {
            "translations": film.translated,
            "release_dates": film.released,
        }
        match rest:
            case []:
                appended = query.get("append_to_response", "").split(",")
                details = film.details(query.get("language", ""))
                return details | {name: more[name]() for name in appended if name in more}
            case [name] if name in more:
                return {"id": film.id} | more[name]()
        raise RefusedError(34)

    def _find(self, imdb_id: str, query: Query) -> dict[str, Any]:
        if query.get("external_source") != "imdb_id":
            raise RefusedError(6)
        language = query.get("language", "")
        found = [film for film in list(self.films.values()) if film.imdb_id == imdb_id]
        return {
            "movie_results": [film.listed(language) | {"media_type": "movie"} for film in found],
            "person_results": [],
            "tv_results": [],
            "tv_episode_results": [],
            "tv_season_results": [],
        }

    def _search(self, query: Query) -> dict[str, Any]:
        words = query.get("query", "").lower().split()

        def fits(film: InventedFilm) -> bool:
            titles = f"{film.texts(query.get('language', '')).title} {film.original_title}".lower()
            return all(word in titles for word in words) and film.release_date.startswith(
                query.get("year", "")
            )

        return self._page(filter(fits, self._shown(query)) if words else (), query)

    def _discover(self, query: Query) -> dict[str, Any]:
        wanted = query.get("with_genres", "")
        any_of = {int(pk) for pk in wanted.split("|") if pk.strip()} if "|" in wanted else set()
        all_of = {int(pk) for pk in wanted.split(",") if pk.strip()} if not any_of else set()
        first, last = query.get("primary_release_date.gte", ""), query.get("primary_release_date.lte", "9999")
        language = query.get("with_original_language", "")
        votes = int(query.get("vote_count.gte", 0))
        rating = float(query.get("vote_average.gte", 0))

        def fits(film: InventedFilm) -> bool:
            genres = set(film.genre_ids)
            dated = "primary_release_date.gte" in query or "primary_release_date.lte" in query
            return (
                all_of <= genres
                and (not any_of or bool(any_of & genres))
                and (not dated or (film.release_date != "" and first <= film.release_date <= last))
                and film.release_date.startswith(query.get("primary_release_year", ""))
                and language in {"", film.original_language}
                and film.vote_count >= votes
                and film.vote_average >= rating
            )

        name, _, direction = query.get("sort_by", "popularity.desc").partition(".")
        fact = {"primary_release_date": "release_date"}.get(name, name)
        if fact not in {"popularity", "vote_average", "vote_count", "release_date", "revenue", "title"}:
            fact = "popularity"
        return self._page(filter(fits, self._shown(query)), query, by=fact, descending=direction != "asc")

    def _list(self, name: str, query: Query) -> dict[str, Any]:
        films = self._shown(query)
        if name == "popular":
            return self._page(films, query)
        if name == "top_rated":
            return self._page((film for film in films if film.vote_count >= 200), query, by="vote_average")
        from_day, to_day = (-42, 0) if name == "now_playing" else (1, 28)
        days = [(today() + timedelta(days=day)).isoformat() for day in (from_day, to_day)]
        page = self._page((film for film in films if days[0] <= film.release_date <= days[1]), query)
        return {"dates": {"maximum": days[1], "minimum": days[0]}} | page

    def _changes(self, query: Query) -> dict[str, Any]:
        try:
            last = date.fromisoformat(query["end_date"]) if query.get("end_date") else today()
            first = (
                date.fromisoformat(query["start_date"])
                if query.get("start_date")
                else last - timedelta(days=1)
            )
        except ValueError as error:
            raise RefusedError(23) from error
        if not timedelta(0) <= last - first <= timedelta(days=CHANGES_DAYS):
            raise RefusedError(20)
        # A film that was deleted is told with null for "adult".
        results = [
            {"id": pk, "adult": self.films[pk].adult if pk in self.films else None}
            for pk, day in sorted(self.changed.items())
            if first <= day <= last
        ]
        return _paged(results, query, CHANGES_PAGE)

    def _shown(self, query: Query) -> list[InventedFilm]:
        adults = query.get("include_adult", "false") == "true"
        return [film for film in list(self.films.values()) if adults or not film.adult]

    def _page(
        self, films: Iterable[InventedFilm], query: Query, *, by: str = "popularity", descending: bool = True
    ) -> dict[str, Any]:
        ordered = sorted(films, key=lambda film: (getattr(film, by), film.id), reverse=descending)
        page = _paged(ordered, query, PAGE)
        return page | {"results": [film.listed(query.get("language", "")) for film in page["results"]]}


def _paged(results: list[Any], query: Query, size: int) -> dict[str, Any]:
    number = query.get("page", "1")
    if not (number.isdecimal() and 1 <= int(number) <= LAST_PAGE):
        raise RefusedError(22)
    page = int(number)
    return {
        "page": page,
        "results": results[(page - 1) * size : page * size],
        "total_pages": max(1, -(-len(results) // size)),
        "total_results": len(results),
    }
