"""From the catalog to a dataset snapshot: the plain files that a training reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import structlog
from django.core.files.storage import default_storage
from django.db import connection

from ml_core.snapshot import Part, SnapshotFilm, SnapshotWriter
from predictor.splits import DEFAULT_SPLIT, assign_missing
from predictor.training.settings import TrainingSettings

log = structlog.get_logger(__name__)

# Films read at once: some 2 MB of texts.
_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What was written; ``posters_missing`` are those whose file is not in the storage."""

    films: int
    posters: int
    posters_missing: int
    newly_assigned: int
    sha256: str


def write_snapshot(
    folder: Path,
    *,
    split: str = DEFAULT_SPLIT,
    narrowed: TrainingSettings | None = None,
    on_film: Callable[[int], None] | None = None,
) -> SnapshotReport:
    """Write all films with labels, their parts and posters, as a snapshot; it appears complete or not at all.

    Films that the split does not have are assigned first, and kept so. ``narrowed`` leaves out films of train and val, as
    a training's settings say, and never one of test. ``on_film`` may raise to stop. Raises what `ml_core.snapshot.SnapshotWriter`
    raises, and `OSError` when there is no room.
    """
    newly_assigned = assign_missing(split=split)
    films = posters = missing = 0
    with SnapshotWriter(folder) as writer:
        for film, poster_file in _films(split, narrowed):
            content = None
            if poster_file:
                try:
                    with default_storage.open(poster_file) as file:
                        content = file.read()
                except FileNotFoundError:
                    missing += 1
                    log.warning("poster missing", film=film.film_id, file=poster_file)
            writer.add(film, content)
            films += 1
            posters += content is not None
            if on_film:
                on_film(films)
    return SnapshotReport(films, posters, missing, newly_assigned, writer.sha256)


def _films(split: str, narrowed: TrainingSettings | None) -> Iterator[tuple[SnapshotFilm, str]]:
    """Films of the split that have labels, by id, each with the name of its poster's file or ''."""
    after = 0
    while rows := _batch(split, narrowed, after):
        for film_id, tmdb_id, title, tagline, overview, year, language, labels, part, group, poster in rows:
            yield (
                SnapshotFilm(
                    film_id=film_id,
                    tmdb_id=tmdb_id,
                    title=title,
                    tagline=tagline,
                    overview=overview,
                    year=year,
                    language=language,
                    label_ids=tuple(labels),
                    part=cast(Part, part),
                    group=group,
                ),
                poster,
            )
        after = rows[-1][0]


@dataclass(frozen=True, slots=True)
class PartCounts:
    """Films of each part that a training would have, and how many of them have a poster."""

    train: int
    val: int
    test: int
    posters: int
    unassigned: int


def count_films(settings: TrainingSettings) -> PartCounts:
    """What a snapshot would hold if it were written now; ``unassigned`` are films that the split does not have yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT count(*) FILTER (WHERE s.part = 'train'), count(*) FILTER (WHERE s.part = 'val'),
                       count(*) FILTER (WHERE s.part = 'test'), count(f.poster_id),
                       count(*) FILTER (WHERE s.part IS NULL)
                FROM catalog_film f
                LEFT JOIN predictor_splitassignment s ON s.film_id = f.id AND s.split = %(split)s
                WHERE f.label_ids <> '{{}}' AND {_SHOWN}""",  # noqa: S608 - of constants
            _parameters(settings.split, settings),
        )
        return PartCounts(*cursor.fetchone())


# Which films a training's settings let into train and val.
_SHOWN = """(s.part = 'test' OR (
    (%(first_year)s::int IS NULL OR f.release_date >= make_date(%(first_year)s::int, 1, 1))
    AND (%(last_year)s::int IS NULL OR f.release_date <= make_date(%(last_year)s::int, 12, 31))
    AND (%(languages)s::text[] = '{}' OR f.original_language = ANY(%(languages)s::text[]))
    AND f.vote_count >= %(minimum_votes)s
    AND (%(genres)s::smallint[] = '{}' OR f.label_ids && %(genres)s::smallint[])))"""


def _parameters(split: str, narrowed: TrainingSettings | None) -> dict[str, Any]:
    narrowed = narrowed or TrainingSettings()
    return {
        "split": split,
        "first_year": narrowed.first_year,
        "last_year": narrowed.last_year,
        "languages": list(narrowed.languages),
        "minimum_votes": narrowed.minimum_votes,
        "genres": list(narrowed.genres),
    }


def _batch(split: str, narrowed: TrainingSettings | None, after: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT f.id, f.tmdb_id, f.title, f.tagline, f.overview, date_part('year', f.release_date)::int,
                      f.original_language, f.label_ids, s.part, s."group", coalesce(p.file, '')
               FROM catalog_film f
               JOIN predictor_splitassignment s ON s.film_id = f.id AND s.split = %(split)s
               LEFT JOIN catalog_poster p ON p.id = f.poster_id
               WHERE f.id > %(after)s AND f.label_ids <> '{{}}' AND {_SHOWN}
               ORDER BY f.id LIMIT %(limit)s""",  # noqa: S608 - of constants
            _parameters(split, narrowed) | {"after": after, "limit": _BATCH},
        )
        return cursor.fetchall()
