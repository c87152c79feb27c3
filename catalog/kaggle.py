"""Reading ``movies_metadata.csv`` of Kaggle's "The Movies Dataset", and every file of that shape, dirt and all.

A file of this kind has rows torn by line breaks, columns shifted so that a date stands where the id belongs, companies
among the genres, "nan" for what is missing, and addresses of web sites in overviews. Each row that cannot be trusted is
refused with its line number and the reason; nothing beside it is lost.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path

from catalog.cleaning import LONGEST, clean_overview, clean_text, clean_title
from catalog.csv_rows import CsvError, Row, RowError, read_rows, shown
from catalog.records import FilmRecord, Rejection

REQUIRED = ("id", "title", "overview", "genres")
# The article's list: twelve companies that shifted columns put among the genres, and two of TMDB's that say how
# or where a film was shown rather than what it is.
INVALID_GENRES = frozenset(
    {
        "Aniplex",
        "BROSTA TV",
        "Carousel Productions",
        "Foreign",
        "GoHands",
        "Mardock Scramble Production Committee",
        "Odyssey Media",
        "Pulser Productions",
        "Rogue State",
        "Sentai Filmworks",
        "TV Movie",
        "Telescene Film Group Productions",
        "The Cartel",
        "Vision View Entertainment",
    }
)

_LARGEST_INTEGER = 2**31 - 1


def read_films(path: Path) -> Iterator[FilmRecord | Rejection]:
    """The films of a CSV, cleaned, and what was refused, in the order of the file and in constant memory.

    Raises `CsvError` before the first film when the file has no header with the columns ``id``, ``title``,
    ``overview`` and ``genres``.
    """
    with path.open("rb") as file:
        for item in read_rows(file, required=REQUIRED):
            if isinstance(item, Rejection):
                yield item
                continue
            notes: list[Rejection] = []
            try:
                record = _film(item, notes)
            except RowError as error:
                yield Rejection(item.line, shown(item.fields["id"]), error.code, str(error))
            else:
                yield record
                yield from notes


def read_splits(path: Path) -> Iterator[tuple[int, str]]:
    """Pairs of TMDB id and part from a CSV with the columns ``id`` and ``split`` (or ``part``).

    Raises `CsvError` with the line number at the first row that is none.
    """
    with path.open("rb") as file:
        for item in read_rows(file, required=("id",)):
            if isinstance(item, Rejection):
                raise CsvError(f"{path.name}, line {item.line}: {item.reason}")
            part = item.fields.get("split", item.fields.get("part", "")).strip()
            try:
                tmdb_id = _tmdb_id(item.fields["id"])
            except RowError as error:
                raise CsvError(f"{path.name}, line {item.line}: {error}") from error
            if part not in {"train", "val", "test"}:
                raise CsvError(
                    f"{path.name}, line {item.line}: the part {shown(part)!r} is none of train, val, test"
                )
            yield tmdb_id, part


def count_lines(path: Path) -> int:
    """Lines of a file after the first: how many records to expect, at most."""
    with path.open("rb") as file:
        return max(sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1, 0)


# From rows to films ---------------------------------------------------------------------------------------


def _film(row: Row, notes: list[Rejection]) -> FilmRecord:
    """The film of a row; values that cannot be are left out and noted. Raises `RowError` for a broken row."""
    fields = row.fields
    tmdb_id = _tmdb_id(fields["id"])
    for name, longest in LONGEST.items():
        if len(fields.get(name, "")) > longest:
            raise RowError("length", f"{name} has {len(fields[name]):,} characters, at most {longest:,} fit")
    adult = clean_text(fields.get("adult", ""))
    if adult.casefold() not in {"", "true", "false"}:
        raise RowError("adult", f"adult is {shown(adult)!r}, neither True nor False: the columns are shifted")
    original_title = clean_title(fields.get("original_title", ""))
    title = clean_title(fields["title"]) or original_title
    if not title:
        raise RowError("title", "the film has no title")
    genres = _genres(clean_text(fields["genres"]))
    values = _Values(row, tmdb_id, notes)
    return FilmRecord(
        tmdb_id=tmdb_id,
        title=title,
        original_title=original_title,
        imdb_id=values.matching("imdb_id", r"tt\d{5,10}"),
        overview=clean_overview(fields["overview"]),
        tagline=clean_text(fields.get("tagline", ""), addresses=False),
        release_date=values.day("release_date"),
        runtime=values.integer("runtime", most=2_000),
        original_language=values.matching("original_language", r"[a-z]{2,3}"),
        popularity=values.number("popularity", most=1e9),
        vote_average=values.number("vote_average", most=10),
        vote_count=values.integer("vote_count", most=_LARGEST_INTEGER),
        adult=adult.casefold() == "true" if adult else None,
        poster_path=values.matching("poster_path", r"/[\w.-]{1,190}"),
        genre_ids=tuple(id_ for id_, _ in genres),
        genre_names=tuple(name for _, name in genres),
    )


def _tmdb_id(text: str) -> int:
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,10}(\.0)?", text) and 0 < int(text.removesuffix(".0")) <= _LARGEST_INTEGER:
        return int(text.removesuffix(".0"))
    if re.fullmatch(r"\d{4}-\d\d?-\d\d?", text):
        raise RowError("id", f"the id is a date ({text}): the columns are shifted")
    raise RowError("id", f"the id {shown(text)!r} is no TMDB id (a whole number from 1)")


@lru_cache(maxsize=8192)
def _genres(text: str) -> tuple[tuple[int, str], ...]:
    """Ids and names of the genres in a Python literal such as ``[{'id': 18, 'name': 'Drama'}]``."""
    if not text:
        return ()
    try:
        literal = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise RowError("genres", f"genres is no list of genres: {shown(text)!r}") from error
    if not isinstance(literal, list):
        raise RowError("genres", f"genres is no list of genres: {shown(text)!r}")
    genres = []
    for item in literal:
        id_, name = (item.get("id"), item.get("name")) if isinstance(item, dict) else (None, None)
        if not isinstance(id_, int) or isinstance(id_, bool) or not isinstance(name, str):
            raise RowError("genres", f"a genre needs an id and a name: {shown(repr(item))}")
        name = clean_text(name)
        if name in INVALID_GENRES:
            continue
        if not (0 < id_ < 2**15 and 0 < len(name) <= 40):
            raise RowError("genres", f"no genre of TMDB's: {shown(repr(item))}")
        genres.append((id_, name))
    return tuple(dict(genres).items())


class _Values:
    """Single values of a row. One that cannot be is left out with a note, for the film itself may be sound."""

    def __init__(self, row: Row, tmdb_id: int, notes: list[Rejection]) -> None:
        self._row, self._tmdb_id, self._notes = row, tmdb_id, notes

    def matching(self, name: str, pattern: str) -> str:
        text = clean_text(self._row.fields.get(name, ""))
        if not text or re.fullmatch(pattern, text):
            return text
        # Kaggle's way of saying that there is none.
        if text != "0":
            self._left_out(name, text, "not of its form")
        return ""

    def number(self, name: str, *, most: float) -> float | None:
        text = clean_text(self._row.fields.get(name, ""))
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if 0 <= value <= most:
            return value
        self._left_out(name, text, f"not a number from 0 to {most:,.0f}")
        return None

    def integer(self, name: str, *, most: int) -> int | None:
        value = self.number(name, most=most)
        # Kaggle writes 0 minutes where the runtime is not known.
        return None if value is None or (name == "runtime" and value < 1) else round(value)

    def day(self, name: str) -> date | None:
        text = clean_text(self._row.fields.get(name, ""))
        if not text:
            return None
        try:
            return date.fromisoformat(text)
        except ValueError:
            self._left_out(name, text, "not a date such as 1994-09-10")
            return None

    def _left_out(self, name: str, text: str, why: str) -> None:
        self._notes.append(
            Rejection(
                self._row.line,
                str(self._tmdb_id),
                f"value-{name}".replace("_", "-"),
                f"{name} {shown(text)!r} is {why}; left out, the film is kept",
                value_only=True,
            )
        )
