"""From a folder of films - Kaggle's CSV with its posters - to a snapshot, without any site or database.

The CSV has the columns of "The Movies Dataset" (``movies_metadata.csv``); posters lie in ``<folder>/NN/<id>.jpg`` where
``NN`` is the TMDB id modulo 100. Films left without any of the 18 genres are no training examples and stay out.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ml_core.inputs import tidy
from ml_core.labels import is_label
from ml_core.snapshot import (
    PARTS,
    Part,
    Snapshot,
    SnapshotError,
    SnapshotFilm,
    SnapshotWriter,
)

__all__ = [
    "Snapshot",
    "SnapshotError",
    "SnapshotFilm",
    "SnapshotWriter",
    "build_snapshot",
    "grouped_parts",
]

_POSTER_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# Shares of the parts when no split is given: those of the article (80/20, then 90/10), with the test part smaller.
TRAIN_SHARE, VAL_SHARE, TEST_SHARE = 0.80, 0.09, 0.11


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What became of the rows of a CSV: films written, posters found, and rows left out by reason."""

    films: int
    posters: int
    left_out: dict[str, int]
    sha256: str


def build_snapshot(
    *,
    table: Path,
    snapshot: Path,
    posters: Path | None = None,
    splits: Path | None = None,
    seed: int = 0,
) -> BuildReport:
    """Write a snapshot from a CSV of films, a folder of posters, and a CSV ``id,split``.

    Without ``splits`` the films are parted by :func:`grouped_parts`. Rows that cannot be used are counted by reason.
    Raises :class:`SnapshotError` when the CSV lacks a needed column or the splits name an unknown part.
    """
    left_out: dict[str, int] = {}
    films = list(_read_films(table, left_out))
    groups = _group(films)
    parts = _read_splits(splits) if splits else grouped_parts(groups, seed=seed)
    written = found = 0
    with SnapshotWriter(snapshot) as writer:
        for film in films:
            tmdb_id = film.tmdb_id
            assert tmdb_id is not None  # _read_films yields no film without one
            if tmdb_id not in parts:
                left_out["not in the splits file"] = left_out.get("not in the splits file", 0) + 1
                continue
            poster = _poster_bytes(posters, tmdb_id) if posters else None
            writer.add(replace(film, part=parts[tmdb_id], group=groups[tmdb_id]), poster)
            written += 1
            found += poster is not None
    return BuildReport(written, found, left_out, writer.sha256)


def grouped_parts(groups: Mapping[int, int], *, seed: int = 0) -> dict[int, Part]:
    """Part films (id -> group) into train, val and test so that a group is never parted.

    Each group goes where a hash of its number and the seed sends it: adding films later moves none of the old ones.
    """
    parts: dict[int, Part] = {}
    for film, group in groups.items():
        digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        parts[film] = "train" if share < TRAIN_SHARE else "val" if share < TRAIN_SHARE + VAL_SHARE else "test"
    return parts


def _read_films(table: Path, left_out: dict[str, int]) -> Iterator[SnapshotFilm]:
    """The usable rows of the CSV, each TMDB id once; the rest is counted in ``left_out``."""

    def leave_out(reason: str) -> None:
        left_out[reason] = left_out.get(reason, 0) + 1

    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    seen: set[int] = set()
    with table.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"id", "title", "overview", "genres"} - set(reader.fieldnames or ())
        if missing:
            raise SnapshotError(f"{table}: column {', '.join(sorted(missing))} is missing from the header")
        for row in reader:
            number = (row["id"] or "").strip()
            if not number.isdecimal() or not 0 < int(number) < 2**31:
                leave_out("id is not a number")
                continue
            tmdb_id = int(number)
            genres = _genres(row["genres"])
            if genres is None:
                leave_out("genres are not a list")
            elif not any(is_label(genre) for genre in genres):
                leave_out("none of the 18 genres")
            elif tmdb_id in seen:
                leave_out("id seen before")
            else:
                seen.add(tmdb_id)
                year = (row.get("release_date") or "")[:4]
                yield SnapshotFilm(
                    tmdb_id=tmdb_id,
                    title=tidy(row["title"] or ""),
                    overview=tidy(row["overview"] or ""),
                    tagline=tidy(row.get("tagline") or ""),
                    year=int(year) if year.isdecimal() and len(year) == 4 else None,
                    language=(row.get("original_language") or "").strip()[:8],
                    label_ids=genres,
                    part="train",
                    group=tmdb_id,
                )


def _genres(literal: str | None) -> tuple[int, ...] | None:
    """TMDB genre ids from Kaggle's Python literal ``[{'id': 18, 'name': 'Drama'}]``; None when it is none."""
    try:
        genres = ast.literal_eval(literal or "[]")
        return tuple(int(genre["id"]) for genre in genres)
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        return None


def _group(films: list[SnapshotFilm]) -> dict[int, int]:
    """TMDB id -> group: films that share an overview, or title and year, get the smallest id among them."""
    parent: dict[int, int] = {}

    def root(film: int) -> int:
        while parent[film] != film:
            parent[film] = parent[parent[film]]
            film = parent[film]
        return film

    first: dict[tuple[str, str], int] = {}
    for film in films:
        tmdb_id = film.tmdb_id or 0
        parent[tmdb_id] = tmdb_id
        keys = [("title", f"{film.title.casefold()}|{film.year}")] if film.title else []
        if film.overview:
            keys.append(("overview", film.overview.casefold()))
        for key in keys:
            one, other = sorted((root(first.setdefault(key, tmdb_id)), root(tmdb_id)))
            parent[other] = one
    return {tmdb_id: root(tmdb_id) for tmdb_id in parent}


def _read_splits(path: Path) -> dict[int, Part]:
    """``id,split`` as a mapping. Raises :class:`SnapshotError` at a line that is not that."""
    parts: dict[int, Part] = {}
    names: dict[str, Part] = {part: part for part in PARTS}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            number, name = row.get("id") or "", row.get("split") or ""
            if not number.isdecimal() or name not in names:
                raise SnapshotError(f"{path}: expected a line 'id,train|val|test', got {number!r},{name!r}")
            parts[int(number)] = names[name]
    return parts


def _poster_bytes(folder: Path, tmdb_id: int) -> bytes | None:
    """The poster file of a film, whatever its format, or None."""
    for suffix in _POSTER_SUFFIXES:
        path = folder / f"{tmdb_id % 100:02d}" / f"{tmdb_id}{suffix}"
        if path.is_file():
            return path.read_bytes()
    return None
