"""TMDB's daily file of all film ids: gzip over lines of JSON, more than a million, read as they arrive."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from http import HTTPStatus

import requests
from django.conf import settings
from django.utils import timezone

from catalog.tmdb.answers import is_tmdb_id
from catalog.tmdb.errors import TmdbAnswerError, TmdbNotFoundError, TmdbUnavailableError

CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
# TMDB keeps the files of three months; today's appears at 8:00 UTC.
_DAYS_BACK = 3
# Ten times what TMDB has: whatever claims to be more is no list of films.
MOST_LINES = 20_000_000
_LONGEST_LINE = 100_000


@dataclass(frozen=True, slots=True)
class ExportedFilm:
    """A line of the file."""

    tmdb_id: int
    popularity: float
    adult: bool
    video: bool


def exported_films() -> Iterator[ExportedFilm]:
    """All films of the newest file, in constant memory. Raises a kind of `TmdbError`."""
    today = timezone.now().date()
    for days in range(_DAYS_BACK):
        try:
            yield from _films_of(today - timedelta(days=days))
            return
        except TmdbNotFoundError:
            continue
    raise TmdbUnavailableError(f"TMDB has no file of film ids of the last {_DAYS_BACK} days.")


def _films_of(day: date) -> Iterator[ExportedFilm]:
    address = f"{settings.TMDB_EXPORT_BASE.rstrip('/')}/movie_ids_{day:%m_%d_%Y}.json.gz"
    for number, line in enumerate(_lines(address), 1):
        if number > MOST_LINES:
            raise TmdbAnswerError(f"TMDB's file of film ids has more than {MOST_LINES:,} lines.")
        try:
            item = json.loads(line)
        except ValueError as error:
            raise TmdbAnswerError(f"Line {number:,} of TMDB's file of film ids is no JSON.") from error
        if not isinstance(item, dict) or not is_tmdb_id(item.get("id")):
            raise TmdbAnswerError(f"Line {number:,} of TMDB's file of film ids names no film.")
        popularity = item.get("popularity")
        yield ExportedFilm(
            tmdb_id=item["id"],
            popularity=float(popularity) if isinstance(popularity, int | float) else 0.0,
            adult=item.get("adult") is True,
            video=item.get("video") is True,
        )


def _lines(address: str) -> Iterator[bytes]:
    rest = b""
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    for block in _blocks(address):
        while block:
            try:
                rest += unzip.decompress(block, 1 << 20)
            except zlib.error as error:
                raise TmdbAnswerError("TMDB's file of film ids is no gzip file.") from error
            block = unzip.unconsumed_tail  # noqa: PLW2901 - the rest of this very block
            *lines, rest = rest.split(b"\n")
            yield from (line for line in lines if line.strip())
            if len(rest) > _LONGEST_LINE:
                raise TmdbAnswerError("TMDB's file of film ids has a line that is far too long.")
    if not unzip.eof:
        raise TmdbUnavailableError("TMDB's file of film ids came cut short.")
    if rest.strip():
        yield rest


def _blocks(address: str) -> Iterator[bytes]:
    try:
        with requests.get(
            address, timeout=(CONNECT_SECONDS, READ_SECONDS), stream=True, allow_redirects=False
        ) as response:
            if response.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
                raise TmdbNotFoundError("TMDB has no file of film ids of that day.")
            if response.status_code != HTTPStatus.OK:
                raise TmdbUnavailableError(f"TMDB's file server answered with status {response.status_code}.")
            # The file is gzip; should a server also declare it as the encoding, then it is still what we read.
            response.raw.decode_content = False
            yield from response.raw.stream(1 << 16)
    except (requests.RequestException, OSError) as error:
        raise TmdbUnavailableError(
            f"TMDB's file server could not be reached ({type(error).__name__})."
        ) from error
