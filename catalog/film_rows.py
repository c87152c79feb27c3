"""Films as rows: a batch of records compared with the catalog, and what differs written in three statements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.db import connection

from catalog.derived import derived_fields
from catalog.models import Genre
from catalog.records import FilmRecord

# Key of the advisory lock under which films are written: what a batch has read still holds when it writes.
_WRITING = 0x66696C6D

# The facts of a record that are columns of a film as they are, with their types in the database.
_FACTS = {
    "title": "text",
    "original_title": "text",
    "imdb_id": "text",
    "overview": "text",
    "tagline": "text",
    "release_date": "date",
    "runtime": "smallint",
    "original_language": "text",
    "popularity": "float8",
    "vote_average": "float8",
    "vote_count": "integer",
    "adult": "boolean",
    "poster_path": "text",
}
_DERIVED = {
    "input_hash": "text",
    "title_sort": "text",
    "folded_titles": "text",
    "folded_overview": "text",
    "label_ids": "text",
}
# What a column holds when nobody knows better.
_UNKNOWN: dict[str, Any] = {"popularity": 0.0, "vote_average": 0.0, "vote_count": 0, "adult": False}


def lock_writing() -> None:
    """Hold, until the transaction ends, the lock under which films are read in order to be written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_WRITING])


class GenreDirectory:
    """Genres by id and name. TMDB's own ids and names win; what it does not know becomes a genre that is no label."""

    def __init__(self) -> None:
        self._read()

    def _read(self) -> None:
        self._labels: set[int] = set()
        self._names: dict[str, int] = {}
        for id_, name, is_label in Genre.objects.values_list("id", "name", "is_label"):
            self._names[name] = id_
            if is_label:
                self._labels.add(id_)
        self._ids = set(self._names.values())

    def resolve(self, record: FilmRecord) -> tuple[int, ...]:
        """Ids of the record's genres, sorted; genres met for the first time are added."""
        found = set()
        for id_, name in zip(record.genre_ids, record.genre_names, strict=True):
            known = id_ if id_ in self._ids else self._names.get(name)
            if known is None:
                Genre.objects.bulk_create([Genre(id=id_, name=name)], ignore_conflicts=True)
                self._read()
                known = id_ if id_ in self._ids else self._names[name]
            found.add(known)
        return tuple(sorted(found))

    def labels(self, genre_ids: Iterable[int]) -> list[int]:
        """Those of the genres that models learn, sorted."""
        return sorted(self._labels.intersection(genre_ids))


def _is_unknown(name: str, value: object) -> bool:
    return value is None or value == "" or value == _UNKNOWN.get(name)


def filled(record: FilmRecord, other: FilmRecord) -> FilmRecord:
    """The record, with what it lacks taken from the other."""
    missing: dict[str, Any] = {
        name: getattr(other, name) for name in _FACTS if _is_unknown(name, getattr(record, name))
    }
    if not record.genre_ids:
        missing |= {"genre_ids": other.genre_ids, "genre_names": other.genre_names}
    return replace(record, **missing)


def write_batch(
    films: dict[int, FilmRecord], genres: GenreDirectory, repeats: set[int], *, from_api: bool = False
) -> tuple[int, int]:
    """Insert and update what differs from the catalog; returns how many were created and how many updated.

    ``repeats`` are ids whose records only fill what is empty. ``from_api`` says that the records came from TMDB's API
    just now, and not from a file.
    """
    if not films:
        return 0, 0
    lock_writing()
    known = _read_known(list(films))
    columns: dict[str, list[Any]] = {name: [] for name in ("tmdb_id", *_FACTS, *_DERIVED)}
    genres_of: dict[int, tuple[int, ...]] = {}
    relabelled: list[tuple[int, str, str]] = []
    created = 0
    for tmdb_id, record in films.items():
        before = known.get(tmdb_id)
        genre_ids = genres.resolve(record)
        facts = {name: getattr(record, name) for name in _FACTS}
        if before:
            fill_only = tmdb_id in repeats
            for name, value in before.items():
                if name in facts and (
                    _is_unknown(name, facts[name]) or (fill_only and not _is_unknown(name, value))
                ):
                    facts[name] = value
            genres_before = tuple(before["genre_ids"])
            if not genre_ids or (fill_only and genres_before):
                genre_ids = genres_before
            if genre_ids == genres_before and all(facts[name] == before[name] for name in _FACTS):
                continue
        else:
            created += 1
            facts |= {name: value for name, value in _UNKNOWN.items() if facts[name] is None}
        merged = replace(record, **facts)
        row = facts | derived_fields(merged, poster_sha256=before["poster_sha256"] if before else "")
        row["label_ids"] = _literal(genres.labels(genre_ids))
        if before and before["label_ids"] != genres.labels(genre_ids):
            relabelled.append((before["id"], _literal(before["label_ids"]), row["label_ids"]))
        row["tmdb_id"] = tmdb_id
        for name, values in columns.items():
            values.append(row[name])
        genres_of[tmdb_id] = genre_ids
    if genres_of:
        _write_rows(columns, genres_of)
    if relabelled:
        _keep_former_labels(relabelled)
    _note_origin(list(films), new=[tmdb_id for tmdb_id in films if tmdb_id not in known], from_api=from_api)
    return created, len(genres_of) - created


def _read_known(tmdb_ids: list[int]) -> dict[int, dict[str, Any]]:
    """The catalog's rows of these films, with their genres (sorted) and the hash of their poster."""
    facts = ", ".join(f"f.{name}" for name in _FACTS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT f.id, f.tmdb_id, {facts}, f.label_ids, coalesce(p.sha256, '') AS poster_sha256,
                       ARRAY(SELECT genre_id FROM catalog_film_genres WHERE film_id = f.id ORDER BY genre_id)
                         AS genre_ids
                FROM catalog_film f LEFT JOIN catalog_poster p ON p.id = f.poster_id
                WHERE f.tmdb_id = ANY(%s)""",  # noqa: S608 - the names are constants of this module
            [tmdb_ids],
        )
        names = [column[0] for column in cursor.description]
        return {row[1]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}


def _literal(numbers: Iterable[int]) -> str:
    """Numbers as PostgreSQL writes an array: arrays of arrays must not differ in length, arrays of texts may."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _keep_former_labels(changes: list[tuple[int, str, str]]) -> None:
    """Note labels that changed, each as (film, before, after)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO catalog_labelchange (film_id, before, after)
               SELECT film_id, before::smallint[], after::smallint[]
               FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS given (film_id, before, after)""",
            [list(column) for column in zip(*changes, strict=True)],
        )


def _note_origin(tmdb_ids: list[int], *, new: list[int], from_api: bool) -> None:
    """Keep apart what only TMDB's API gave, which may not be kept for good, from what a file gave."""
    with connection.cursor() as cursor:
        if from_api:
            cursor.execute(
                """UPDATE catalog_film
                   SET synced_at = now(), tmdb_deleted_at = NULL,
                       from_api_alone = from_api_alone OR tmdb_id = ANY(%s)
                   WHERE tmdb_id = ANY(%s)""",
                [new, tmdb_ids],
            )
        else:
            cursor.execute(
                "UPDATE catalog_film SET from_api_alone = false WHERE from_api_alone AND tmdb_id = ANY(%s)",
                [tmdb_ids],
            )


def _write_rows(columns: dict[str, list[Any]], genres_of: dict[int, tuple[int, ...]]) -> None:
    types = {"tmdb_id": "integer", **_FACTS, **_DERIVED}
    given = ", ".join(f"%s::{types[name]}[]" for name in columns)
    chosen = ", ".join("label_ids::smallint[]" if name == "label_ids" else name for name in columns)
    updates = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "tmdb_id")
    names = ", ".join(columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO catalog_film ({names}, added_at)
                SELECT {chosen}, now() FROM unnest({given}) AS given ({names})
                ON CONFLICT (tmdb_id) DO UPDATE SET {updates}
                RETURNING id, tmdb_id""",  # noqa: S608 - the names are constants of this module
            list(columns.values()),
        )
        pairs = [(id_, genre) for id_, tmdb_id in cursor.fetchall() for genre in genres_of[tmdb_id]]
        film_ids = [pair[0] for pair in pairs]
        genre_ids = [pair[1] for pair in pairs]
        cursor.execute(
            """DELETE FROM catalog_film_genres link
               USING catalog_film f
               WHERE link.film_id = f.id AND f.tmdb_id = ANY(%s)
                 AND NOT EXISTS (SELECT FROM unnest(%s::bigint[], %s::smallint[]) AS given (film_id, genre_id)
                                 WHERE given.film_id = link.film_id AND given.genre_id = link.genre_id)""",
            [list(genres_of), film_ids, genre_ids],
        )
        cursor.execute(
            """INSERT INTO catalog_film_genres (film_id, genre_id)
               SELECT * FROM unnest(%s::bigint[], %s::smallint[]) ON CONFLICT DO NOTHING""",
            [film_ids, genre_ids],
        )
