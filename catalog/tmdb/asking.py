"""What an import from TMDB may be asked for, checked before it starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any, Literal, get_args

from catalog.models import Genre
from catalog.tmdb.answers import LARGEST_ID
from catalog.tmdb.client import ListName

What = Literal["ids", "search", "discover", "list", "export", "sync"]
# As TMDB's documentation of /discover/movie names them.
Sort = Literal[
    "popularity.desc",
    "vote_count.desc",
    "vote_average.desc",
    "primary_release_date.desc",
    "primary_release_date.asc",
]
MOST_IDS = 200_000
FIRST_YEAR = 1874  # of the oldest film that TMDB has
_ID = re.compile(r"(?:https?://(?:www\.)?themoviedb\.org/movie/)?(\d{1,10})(?:-[^\s,;]*)?/?")
_IMDB_ID = re.compile(r"(?:https?://(?:www\.|m\.)?imdb\.com/title/)?(tt\d{5,10})/?")


class RequestError(ValueError):
    """Something that cannot be asked for; `field` names which field of the request it is about."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """Which films to import: by `what`, with the fields that belong to it.

    ``ids``: `tmdb_ids` and `imdb_ids`; ``search``: `query`, `year`; ``discover``: `genres` (all of them), `year_from`,
    `year_to`, `language` (ISO 639-1, of the original), `min_votes`, `sort`; ``list``: `list_name`; ``export``: TMDB's daily list
    of all films, with `min_popularity`; ``sync``: what changed at TMDB, which no one but the schedule needs to ask for.
    At most `most` films. With `skip_known` films that the catalog has are left alone.
    """

    what: What
    tmdb_ids: tuple[int, ...] = ()
    imdb_ids: tuple[str, ...] = ()
    query: str = ""
    year: int | None = None
    genres: tuple[int, ...] = ()
    year_from: int | None = None
    year_to: int | None = None
    language: str = ""
    min_votes: int = 0
    sort: Sort = "popularity.desc"
    list_name: ListName = "popular"
    min_popularity: float = 0.0
    most: int | None = None
    skip_known: bool = False
    posters: bool = True

    def as_options(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON has it."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != _DEFAULTS.get(name)
        }

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> ImportRequest:
        """The request of a run's options."""
        known = {field.name for field in fields(cls)}
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in options.items()
            if name in known
        }
        return cls(**given)

    def checked(self) -> ImportRequest:
        """The request itself. Raises `RequestError` for the first thing that is wrong with it."""
        if self.what not in get_args(What):
            raise RequestError("what", f"{self.what!r} is none of {', '.join(get_args(What))}.")
        checks = {"ids": self._check_ids, "search": self._check_search, "discover": self._check_discover}
        if self.what in checks:
            checks[self.what]()
        if self.what == "list" and self.list_name not in get_args(ListName):
            raise RequestError(
                "list_name", f"TMDB has no list {self.list_name!r}: {', '.join(get_args(ListName))}."
            )
        if self.min_popularity < 0:
            raise RequestError("min_popularity", "Popularity is never below 0.")
        if self.most is not None and not 1 <= self.most <= LARGEST_ID:
            raise RequestError("most", "The most films to import is a whole number from 1.")
        return self

    def _check_ids(self) -> None:
        if not self.tmdb_ids and not self.imdb_ids:
            raise RequestError("ids", "Give at least one id.")
        if len(self.tmdb_ids) + len(self.imdb_ids) > MOST_IDS:
            raise RequestError("ids", f"At most {MOST_IDS:,} ids at once; TMDB's daily export has all films.")
        for tmdb_id in self.tmdb_ids:
            if not 0 < tmdb_id <= LARGEST_ID:
                raise RequestError("ids", f"{tmdb_id} is no TMDB id.")
        for imdb_id in self.imdb_ids:
            if not re.fullmatch(r"tt\d{5,10}", imdb_id):
                raise RequestError("ids", f"{imdb_id[:40]!r} is no IMDb id, such as tt0083658.")

    def _check_search(self) -> None:
        if not self.query.strip() or len(self.query) > 200:
            raise RequestError("query", "Give a title, or part of one, of at most 200 characters.")
        self._check_year("year", self.year)

    def _check_discover(self) -> None:
        known = set(Genre.objects.values_list("id", flat=True))
        for genre in self.genres:
            if genre not in known:
                raise RequestError("genres", f"{genre} is no genre of TMDB's.")
        self._check_year("year_from", self.year_from)
        self._check_year("year_to", self.year_to)
        if self.year_from and self.year_to and self.year_from > self.year_to:
            raise RequestError("year_to", "The last year is before the first.")
        if self.language and not re.fullmatch(r"[a-z]{2}", self.language):
            raise RequestError("language", "A language is two small letters of ISO 639-1, such as de.")
        if self.min_votes < 0:
            raise RequestError("min_votes", "There are no fewer votes than 0.")
        if self.sort not in get_args(Sort):
            raise RequestError("sort", f"TMDB has no order {self.sort!r}.")

    @staticmethod
    def _check_year(field: str, year: int | None) -> None:
        if year is not None and not FIRST_YEAR <= year <= date.today().year + 20:  # noqa: DTZ011 - a year
            raise RequestError(field, f"{year} is no year of films.")


_DEFAULTS = {field.name: field.default for field in fields(ImportRequest)}


def parse_ids(text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """TMDB ids and IMDb ids from text: numbers, ``tt...``, or addresses of either site, between spaces, commas or lines.

    Raises `RequestError` for the first that is neither.
    """
    tmdb_ids: dict[int, None] = {}
    imdb_ids: dict[str, None] = {}
    for word in re.split(r"[\s,;]+", text.strip()):
        if match := _IMDB_ID.fullmatch(word.partition("?")[0]):
            imdb_ids[match[1]] = None
        elif (match := _ID.fullmatch(word.partition("?")[0])) and 0 < int(match[1]) <= LARGEST_ID:
            tmdb_ids[int(match[1])] = None
        elif word:
            raise RequestError(
                "ids", f"{word[:40]!r} is neither a TMDB id (27205) nor an IMDb id (tt1375666)."
            )
    return tuple(tmdb_ids), tuple(imdb_ids)
