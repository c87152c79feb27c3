"""What sources hand to the importer: films' facts, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmRecord:
    """A film's facts as a source gives them. Empty texts and ``None`` mean that the source does not know."""

    tmdb_id: int
    title: str
    original_title: str = ""
    imdb_id: str = ""
    overview: str = ""
    tagline: str = ""
    release_date: date | None = None
    runtime: int | None = None
    original_language: str = ""
    popularity: float | None = None
    vote_average: float | None = None
    vote_count: int | None = None
    adult: bool | None = None
    poster_path: str = ""
    genre_ids: tuple[int, ...] = ()
    genre_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a source holds that the catalog does not take: a record, or (``value_only``) one value of a kept record."""

    line: int | None
    record: str
    code: str
    reason: str
    value_only: bool = False


@dataclass(slots=True)
class ImportCounts:
    """What became of the records so far; the same numbers as the columns of `ImportRun`."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0

    def as_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


class SeenIds:
    """The ids met so far, a bit each: 1,000,000 of TMDB's take some 200 kB."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, number: int) -> bool:
        """Whether the id is new."""
        page = self._pages.setdefault(number >> 16, bytearray(8192))
        place, bit = (number & 0xFFFF) >> 3, 1 << (number & 7)
        new = not page[place] & bit
        page[place] |= bit
        return new
