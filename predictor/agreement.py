"""How model and TMDB agree over many films: counted in SQL, by genre and in all.

Precision, recall and F1 take TMDB's labels for the truth, as a model card does; which of the two is right about a
film is another question.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import F
from django.utils import timezone

from ml_core.labels import LABELS
from predictor.keeping import kept
from predictor.models import ModelVersion, Part, Prediction

# Below so many films an average says more about which films they are than about the model; below so many films
# that TMDB gives a genre, the same holds of the genre. At 30 a share near 0.7 is known to about 0.16 either way.
FEW_FILMS = 200
FEW_FILMS_OF_A_GENRE = 30


class Films(enum.StrEnum):
    """Which films are counted, by their part in the version's training."""

    TEST = "test"
    HELD_OUT = "held-out"
    ALL = "all"

    @property
    def parts(self) -> tuple[str, ...]:
        """As `Prediction.part` has them; empty is a film that the training never met."""
        if self is Films.TEST:
            return (Part.TEST,)
        if self is Films.HELD_OUT:
            return (Part.TEST, Part.VAL, "")
        return (Part.TEST, Part.VAL, "", Part.TRAIN)


@dataclass(frozen=True, slots=True)
class Counts:
    """Hits (both say so), misses (TMDB alone) and extras (the model alone), with the figures that follow from them."""

    hits: int
    misses: int
    extras: int

    @property
    def support(self) -> int:
        """How often TMDB says so."""
        return self.hits + self.misses

    @property
    def named(self) -> int:
        """How often either says so."""
        return self.hits + self.misses + self.extras

    @property
    def precision(self) -> float | None:
        """Of what the model says, the share that TMDB says too; None where it says nothing."""
        return _share(self.hits, self.hits + self.extras)

    @property
    def recall(self) -> float | None:
        """Of what TMDB says, the share that the model says too; None where TMDB says nothing."""
        return _share(self.hits, self.support)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where neither says anything."""
        return _share(2 * self.hits, 2 * self.hits + self.misses + self.extras)


@dataclass(frozen=True, slots=True)
class GenreAgreement:
    """One genre's counts, in films."""

    genre_id: int
    name: str
    counts: Counts

    @property
    def few(self) -> bool:
        """Whether TMDB gives the genre to too few of the films for the figures to mean much."""
        return self.counts.support < FEW_FILMS_OF_A_GENRE


@dataclass(frozen=True, slots=True)
class Agreement:
    """A version's agreement with TMDB over the films that were asked for and have both a prediction and a label.

    `genres` has all labels, alphabetically. `samples_f1` is the mean of the films' own F1, `macro_f1` the mean over
    the genres that either names at least once, both None without films. `agree` counts films with neither miss nor
    extra, `disjoint` those without any hit.
    """

    films: int
    agree: int
    disjoint: int
    samples_f1: float | None
    total: Counts
    genres: tuple[GenreAgreement, ...]
    counted_at: datetime

    @property
    def macro_f1(self) -> float | None:
        scores = [genre.counts.f1 for genre in self.genres if genre.counts.f1 is not None]
        return sum(scores) / len(scores) if scores else None

    @property
    def few(self) -> bool:
        """Whether there are too few films for the figures to mean much."""
        return self.films < FEW_FILMS

    @property
    def agree_share(self) -> float | None:
        return _share(self.agree, self.films)

    @property
    def disjoint_share(self) -> float | None:
        return _share(self.disjoint, self.films)


def agreement(version: ModelVersion, *, films: Films) -> Agreement:
    """The version's agreement with TMDB, cached; `counted_at` tells how old it is.

    Counting a million predictions takes a second or so, of a dozen thousand some milliseconds: see `predictor.keeping`.
    """
    return kept(f"agreement:2:{version.pk}:{films}", lambda: count_agreement(version, parts=films.parts))


def count_agreement(version: ModelVersion, *, parts: Sequence[str]) -> Agreement:
    """The same of films in these parts of its training, counted now, in one query: one pass over its predictions.

    Equal outcomes are gathered first: a million films have some ten thousand different ones, and only those are
    taken apart by genre.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SQL, {"version": version.pk, "parts": list(parts)})
        rows = cursor.fetchall()
    summary = next(row for row in rows if row[0] is None)
    by_genre = {
        row[0]: Counts(hits=row[1], misses=row[2], extras=row[3]) for row in rows if row[0] is not None
    }
    nothing = Counts(hits=0, misses=0, extras=0)
    _, hits, misses, extras, count, agree, disjoint, f1_sum = summary
    return Agreement(
        films=count,
        agree=agree,
        disjoint=disjoint,
        samples_f1=_share(f1_sum, count),
        total=Counts(hits=hits, misses=misses, extras=extras),
        genres=tuple(
            GenreAgreement(
                genre_id=label.tmdb_id, name=label.name, counts=by_genre.get(label.tmdb_id, nothing)
            )
            for label in LABELS
        ),
        counted_at=timezone.now(),
    )


def most_surprising(version: ModelVersion, *, films: Films, count: int = 12) -> Sequence[Prediction]:
    """The films whose labels the version finds least likely, the least likely first, with their posters.

    Adult films are left out. Read from the index on surprise.
    """
    return list(
        Prediction.objects.filter(
            version=version, surprise__isnull=False, part__in=films.parts, film__adult=False
        )
        .select_related("film__poster")
        .defer("embedding", "film__overview", "film__folded_overview", "film__folded_titles", "film__search")
        .order_by(F("surprise").desc(nulls_last=True), F("film_id").desc())[:count]
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


# One row a genre, and one with genre NULL for all films: (genre, hits, misses, extras, films, agree, disjoint, sum of F1).
_SQL = """
WITH outcome AS MATERIALIZED (
    SELECT hits, misses, extras, count(*) AS films
    FROM predictor_prediction
    WHERE version_id = %(version)s AND part = ANY(%(parts)s) AND hits IS NOT NULL
    GROUP BY hits, misses, extras
), named AS (
    SELECT unnest(hits) AS genre, films AS hits, 0 AS misses, 0 AS extras FROM outcome
    UNION ALL SELECT unnest(misses), 0, films, 0 FROM outcome
    UNION ALL SELECT unnest(extras), 0, 0, films FROM outcome
)
SELECT genre, sum(hits)::bigint, sum(misses)::bigint, sum(extras)::bigint, 0, 0, 0, 0::float
FROM named GROUP BY genre
UNION ALL
SELECT NULL,
       coalesce(sum(films * cardinality(hits)), 0)::bigint,
       coalesce(sum(films * cardinality(misses)), 0)::bigint,
       coalesce(sum(films * cardinality(extras)), 0)::bigint,
       coalesce(sum(films), 0)::bigint,
       coalesce(sum(films) FILTER (WHERE cardinality(misses) + cardinality(extras) = 0), 0)::bigint,
       coalesce(sum(films) FILTER (WHERE cardinality(hits) = 0), 0)::bigint,
       coalesce(sum(films * 2.0 * cardinality(hits)
                    / (2 * cardinality(hits) + cardinality(misses) + cardinality(extras))), 0)::float
FROM outcome
"""
