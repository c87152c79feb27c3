"""Frozen splits: which films a model learns from, and which it is judged by.

Films that share an overview, or title and year, are one group, and a group is never parted: a model would be judged by
films that it has in effect learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from django.db import connection, transaction

from ml_core.dataset import grouped_parts
from predictor.models import Part, SplitAssignment

DEFAULT_SPLIT = "default"
_BATCH = 5_000
# A new film that belongs to films of several parts goes where it cannot be learned.
_MOST_PROTECTED = (Part.TEST.value, Part.VAL.value, Part.TRAIN.value)


class SplitError(ValueError):
    """An assignment that would change a frozen split; the message names the film."""


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Films newly assigned, films assigned before, ids that the catalog does not know, and groups that are parted."""

    assigned: int
    unchanged: int
    unknown: int
    parted_groups: int


def import_splits(
    rows: Iterable[tuple[int, str]],
    *,
    split: str = DEFAULT_SPLIT,
    on_batch: Callable[[int], None] | None = None,
) -> SplitCounts:
    """Assign films by TMDB id to the parts given; all of them or, on an error, none.

    Raises `SplitError` when a film already has another part in that split: a split is frozen, for what was measured on it
    to stay true.
    """
    assigned = unchanged = unknown = read = 0
    source = iter(rows)
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(split)
        while batch := dict(islice(source, _BATCH)):
            cursor.execute(
                """SELECT f.id, f.tmdb_id, s.part FROM catalog_film f
                   LEFT JOIN predictor_splitassignment s ON s.film_id = f.id AND s.split = %s
                   WHERE f.tmdb_id = ANY(%s)""",
                [split, list(batch)],
            )
            new: list[tuple[int, int, str]] = []
            for film, tmdb_id, part in cursor.fetchall():
                if part is None:
                    new.append((film, film, batch.pop(tmdb_id)))
                elif part == batch.pop(tmdb_id):
                    unchanged += 1
                else:
                    raise SplitError(
                        f"Film {tmdb_id} is in {part} of the split {split!r}, which is frozen. Give the new split "
                        "another name."
                    )
            _insert(split, new)
            assigned += len(new)
            unknown += len(batch)
            read += len(new) + len(batch)
            if on_batch:
                on_batch(assigned + unchanged + unknown)
        _regroup(split, _groups())
    return SplitCounts(assigned, unchanged, unknown, _parted_groups(split))


def assign_missing(*, split: str = DEFAULT_SPLIT, seed: int = 0) -> int:
    """Assign the films with labels that the split does not have yet; returns how many.

    Into a split that has films already, new ones join train, or the part of the films they belong together with. A split
    that has none is made: 80 % train, 9 % validation, 11 % test, whole groups at a time.
    """
    assigned = 0
    with transaction.atomic():
        _lock(split)
        is_new = not SplitAssignment.objects.filter(split=split).exists()
        groups = _groups()
        parts = {} if is_new else _parts_of_groups(split, groups)
        for films in _unassigned(split):
            if is_new:
                part_of = grouped_parts({film: groups.get(film, film) for film in films}, seed=seed)
                rows = [(film, groups.get(film, film), str(part_of[film])) for film in films]
            else:
                rows = [
                    (film, group, parts.get(group, Part.TRAIN.value))
                    for film, group in ((film, groups.get(film, film)) for film in films)
                ]
            _insert(split, rows)
            assigned += len(rows)
        _regroup(split, groups)
    return assigned


def _lock(split: str) -> None:
    """One writer of a split at a time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"split {split}"])


def _groups() -> dict[int, int]:
    """Films that belong together with others, each with its group: the smallest id among them."""
    parent: dict[int, int] = {}

    def root(film: int) -> int:
        while parent.setdefault(film, film) != film:
            parent[film] = parent[parent[film]]
            film = parent[film]
        return film

    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT array_agg(id) FROM catalog_film WHERE overview <> ''
               GROUP BY md5(lower(overview)) HAVING count(*) > 1
               UNION ALL
               SELECT array_agg(id) FROM catalog_film WHERE release_date IS NOT NULL
               GROUP BY md5(lower(title)), date_part('year', release_date) HAVING count(*) > 1"""
        )
        for (films,) in cursor.fetchall():
            for film in films[1:]:
                one, other = sorted((root(films[0]), root(film)))
                parent[other] = one
    return {film: root(film) for film in parent}


def _parts_of_groups(split: str, groups: dict[int, int]) -> dict[int, str]:
    """The part that films joining each group go to."""
    parts: dict[int, set[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT film_id, part FROM predictor_splitassignment WHERE split = %s AND film_id = ANY(%s)",
            [split, list(groups)],
        )
        for film, part in cursor.fetchall():
            parts.setdefault(groups[film], set()).add(part)
    return {group: next(part for part in _MOST_PROTECTED if part in held) for group, held in parts.items()}


def _unassigned(split: str) -> Iterator[list[int]]:
    """Films with labels that the split lacks, by id, batch by batch."""
    after = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT id FROM catalog_film f
                   WHERE id > %s AND label_ids <> '{}'
                     AND NOT EXISTS (SELECT FROM predictor_splitassignment WHERE split = %s AND film_id = f.id)
                   ORDER BY id LIMIT %s""",
                [after, split, _BATCH],
            )
            films = [row[0] for row in cursor.fetchall()]
        if not films:
            return
        yield films
        after = films[-1]


def _insert(split: str, rows: list[tuple[int, int, str]]) -> None:
    """Rows are (film, group, part)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO predictor_splitassignment (split, film_id, "group", part)
               SELECT %s, given.* FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS given""",
            [split, *([row[column] for row in rows] for column in range(3))],
        )


def _regroup(split: str, groups: dict[int, int]) -> None:
    """Number the groups anew where films that came later have joined them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE predictor_splitassignment s SET "group" = given.number
               FROM unnest(%s::bigint[], %s::bigint[]) AS given (film, number)
               WHERE s.split = %s AND s.film_id = given.film AND s."group" <> given.number""",
            [list(groups), list(groups.values()), split],
        )


def _parted_groups(split: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM (SELECT FROM predictor_splitassignment WHERE split = %s
               GROUP BY "group" HAVING count(DISTINCT part) > 1) parted""",
            [split],
        )
        return int(cursor.fetchone()[0])
