"""TMDB's answers as typed values, and what is wrong with those that are not as its documentation has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeGuard

from catalog.cleaning import LONGEST, clean_overview, clean_text, clean_title
from catalog.records import FilmRecord, Rejection
from catalog.tmdb.errors import TmdbAnswerError

LARGEST_ID = 2**31 - 1
POSTER_PATH = re.compile(r"/[A-Za-z0-9_-]{1,100}\.(?:jpg|jpeg|png|webp)")


@dataclass(frozen=True, slots=True)
class TmdbFilm:
    """A film's facts, and notes on single values that had to be left out."""

    record: FilmRecord
    notes: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class FilmPage:
    """A page of a list: the films' ids in order, its number from 1, how many pages there are, and how many films."""

    ids: tuple[int, ...]
    number: int
    pages: int
    films: int


def film_of(answer: Mapping[str, Any], *, tmdb_id: int) -> TmdbFilm:
    """The film of an answer of ``/movie/ID``. Raises `TmdbAnswerError` where it has no id, no title, or another's id."""
    if answer.get("id") != tmdb_id:
        raise TmdbAnswerError(f"The answer is about film {answer.get('id')!r}, not {tmdb_id}.")
    values = _Values(answer, tmdb_id)
    original_title = clean_title(values.text("original_title"))
    title = clean_title(values.text("title", required=True)) or original_title
    if not title:
        raise TmdbAnswerError("The answer names no title.")
    overview = clean_overview(values.text("overview")) or _english_overview(answer)
    genres = values.genres()
    record = FilmRecord(
        tmdb_id=tmdb_id,
        title=title,
        original_title=original_title,
        imdb_id=values.matching("imdb_id", r"tt\d{5,10}"),
        overview=overview,
        tagline=clean_text(values.text("tagline"), addresses=False),
        release_date=values.day("release_date"),
        runtime=values.integer("runtime", most=2_000) or None,
        original_language=values.matching("original_language", r"[a-z]{2,3}"),
        popularity=values.number("popularity", most=1e9),
        vote_average=values.number("vote_average", most=10),
        vote_count=values.integer("vote_count", most=LARGEST_ID),
        adult=values.truth("adult"),
        poster_path=values.matching("poster_path", POSTER_PATH.pattern),
        genre_ids=tuple(id_ for id_, _ in genres),
        genre_names=tuple(name for _, name in genres),
    )
    for name, longest in LONGEST.items():
        if name != "genres" and len(getattr(record, name)) > longest:
            raise TmdbAnswerError(f"The {name.replace('_', ' ')} has more than {longest:,} characters.")
    return TmdbFilm(record, tuple(values.notes))


def page_of(answer: Mapping[str, Any]) -> FilmPage:
    """The page of an answer with ``results``. Raises `TmdbAnswerError` where it has none."""
    results = answer.get("results")
    if not isinstance(results, list):
        raise TmdbAnswerError("The answer has no list of results.")
    ids = (item.get("id") if isinstance(item, Mapping) else None for item in results)
    counts = {name: answer.get(f"answer_{name}") for name in ("page", "total_pages", "total_results")}
    number, pages, films = (count if isinstance(count, int) else 0 for count in counts.values())
    return FilmPage(
        ids=tuple(dict.fromkeys(id_ for id_ in ids if is_tmdb_id(id_))),
        number=number,
        pages=pages,
        films=films,
    )


def is_tmdb_id(value: object) -> TypeGuard[int]:
    """Whether that can be the id of a film."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_ID


def _english_overview(answer: Mapping[str, Any]) -> str:
    """The English overview among the translations that came with the film."""
    translations = answer.get("translations")
    found = translations.get("translations") if isinstance(translations, Mapping) else None
    for translation in found if isinstance(found, list) else []:
        if isinstance(translation, Mapping) and translation.get("iso_639_1") == "en":
            facts = translation.get("data")
            overview = facts.get("overview") if isinstance(facts, Mapping) else None
            if isinstance(overview, str) and (cleaned := clean_overview(overview)):
                return cleaned
    return ""


class _Values:
    """Single values of an answer. One that cannot be is left out with a note, for the film itself may be sound."""

    def __init__(self, answer: Mapping[str, Any], tmdb_id: int) -> None:
        self._answer, self._tmdb_id = answer, tmdb_id
        self.notes: list[Rejection] = []

    def text(self, name: str, *, required: bool = False) -> str:
        value = self._answer.get(name)
        if isinstance(value, str):
            return value
        if value is not None:
            if required:
                raise TmdbAnswerError(f"The {name} is no text: {value!r:.60}.")
            self._left_out(name, value, "no text")
        return ""

    def matching(self, name: str, pattern: str) -> str:
        value = self.text(name).strip()
        if not value or re.fullmatch(pattern, value):
            return value
        self._left_out(name, value, "not of its form")
        return ""

    def number(self, name: str, *, most: float) -> float | None:
        value = self._answer.get(name)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
            return float(value)
        self._left_out(name, value, f"not a number from 0 to {most:,.0f}")
        return None

    def integer(self, name: str, *, most: int) -> int | None:
        value = self.number(name, most=most)
        return None if value is None else round(value)

    def truth(self, name: str) -> bool | None:
        value = self._answer.get(name)
        return value if isinstance(value, bool) else None

    def day(self, name: str) -> date | None:
        value = self.text(name).strip()
        if not value:
            return None
        try:
            return date.fromisoformat(value)
        except ValueError:
            self._left_out(name, value, "not a date such as 1994-09-10")
            return None

    def genres(self) -> list[tuple[int, str]]:
        """Ids and names; a film that names none, or in no form we know, keeps those that the catalog has."""
        value = self._answer.get("genres")
        if not isinstance(value, list):
            self._left_out("genres", value, "no list")
            return []
        found = {}
        for item in value:
            id_, name = (item.get("id"), item.get("name")) if isinstance(item, Mapping) else (None, None)
            if (
                isinstance(id_, int)
                and not isinstance(id_, bool)
                and 0 < id_ < 2**15
                and isinstance(name, str)
            ):
                cleaned = clean_text(name)
                if 0 < len(cleaned) <= 40:
                    found[id_] = cleaned
                    continue
            self._left_out("genres", item, "no genre of TMDB's")
        return list(found.items())

    def _left_out(self, name: str, value: object, why: str) -> None:
        self.notes.append(
            Rejection(
                None,
                str(self._tmdb_id),
                f"value-{name}".replace("_", "-"),
                f"{name} {value!r:.60} is {why}; left out, the film is kept",
                value_only=True,
            )
        )
