"""A CSV as rows, each with its line number, from files that are partly broken."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from catalog.records import Rejection

# A line, and a record of several lines, longer than this is no film: TMDB's longest overviews have 1,000 characters.
LONGEST_LINE = 1_000_000
LONGEST_RECORD_LINES = 100
LONGEST_RECORD = 200_000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class CsvError(ValueError):
    """A file that is no CSV of films at all; the message says what is wrong and what is expected."""


class RowError(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Row:
    """A record of the file: the line it begins at, and its fields by column."""

    line: int
    fields: dict[str, str]


def check_header(file: IO[bytes], *, required: tuple[str, ...]) -> None:
    """Raises `CsvError` when the file's first line is no header with these columns."""
    header = _Lines(file).next()
    _header(header[1] if header else b"", required)


def read_rows(file: IO[bytes], *, required: tuple[str, ...]) -> Iterator[Row | Rejection]:
    """Split a file in records, finding its feet again after a quote that was never closed.

    A record over several lines that does not parse is refused at its first line, and reading goes on with its second:
    so a stray quote costs one film, and not all that follow it.
    """
    lines = _Lines(file)
    header = lines.next()
    columns = _header(header[1] if header else b"", required)
    while (current := lines.next()) is not None:
        number, content = current
        if not content.strip():
            continue
        following: list[tuple[int, bytes]] = []
        try:
            fields = _parse(content, len(columns))
            while fields is None:
                more = lines.next()
                if more is None or len(following) >= LONGEST_RECORD_LINES or len(content) > LONGEST_RECORD:
                    if more is not None:
                        following.append(more)
                    raise RowError("quote", "a quote is opened and never closed")
                following.append(more)
                content += b"\n" + more[1]
                # Only a line with an odd number of quotes can close the field.
                if more[1].count(b'"') % 2:
                    fields = _parse(content, len(columns))
        except RowError as error:
            lines.back(following)
            yield Rejection(number, shown(content[:80].decode(errors="replace")), error.code, str(error))
        else:
            yield Row(number, dict(zip(columns, fields, strict=True)))


class _Lines:
    """The lines of a file with their numbers; lines can be put back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._number = 0
        self._back: list[tuple[int, bytes]] = []

    def next(self) -> tuple[int, bytes] | None:
        if self._back:
            return self._back.pop()
        line = self._file.readline(LONGEST_LINE)
        if not line:
            return None
        self._number += 1
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            # Read past the rest without keeping it. The stump has too few columns and is refused.
            while (rest := self._file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            line = line[:200]
        return self._number, line.rstrip(b"\r\n")

    def back(self, lines: list[tuple[int, bytes]]) -> None:
        self._back.extend(reversed(lines))


def _header(line: bytes, required: tuple[str, ...]) -> list[str]:
    try:
        text = line.decode("utf-8-sig")
        columns = [name.strip().lower() for name in next(csv.reader([text], strict=True), [])]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CsvError(f"the first line is no header of a CSV in UTF-8 ({error})") from error
    missing = [name for name in required if name not in columns]
    if missing:
        raise CsvError(
            f"the header lacks {', '.join(missing)}; expected a CSV with at least the columns "
            f"{', '.join(required)}, as movies_metadata.csv has them"
        )
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise CsvError(f"the header names {', '.join(repeated)} more than once")
    return columns


def _parse(content: bytes, columns: int) -> list[str] | None:
    """The fields of a record; None while a quote is open. Raises `RowError` when it can be no record."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        if content.count(b'"') % 2:
            return None
        raise RowError(
            "encoding", f"byte {error.start + 1} of the row ({content[error.start]:#04x}) is not UTF-8"
        ) from error
    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
        raise RowError("quote", f"the quotes do not fit ({error})") from error
    if len(fields) != columns:
        raise RowError("columns", f"{len(fields)} columns where the header has {columns}")
    return fields


def shown(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()[:80]
