"""The films of which two versions say different things, the most different first.

How different is the difference of the two surprises: by how much more likely the one finds TMDB's labels than the other.
It is a fact of two rows in two tables, which no index holds; but it is never more than the greater of both surprises,
and each version's films are indexed by those. So the films that either finds most surprising are looked at, a fixed number
of them however many there are: beyond those, no film differs by more than the least surprise among them.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core import signing
from django.db import connection

from catalog.models import Film
from predictor.browsing import PAGE_SIZE, CursorError
from predictor.models import ModelVersion, Part

# Films looked at, of each version.
MOST_LOOKED_AT = 5_000
_CURSOR_SALT = "predictor.differing_films.cursor"


class Right(enum.StrEnum):
    """Whose genres are nearer to TMDB's: those with fewer misses and extras."""

    A = "a"
    B = "b"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class DifferenceFilters:
    """Which of the films to list: those where one version alone predicts `genre`, where `right` is right, and, `unseen`,
    those that neither version was trained or tuned on.
    """

    genre: int | None = None
    right: Right | None = None
    unseen: bool = False

    def parameters(self) -> list[tuple[str, str]]:
        """As parameters of a query string; none for what is not set."""
        pairs = [
            ("genre", str(self.genre) if self.genre is not None else ""),
            ("right", str(self.right) if self.right is not None else ""),
            ("unseen", "yes" if self.unseen else ""),
        ]
        return [(name, value) for name, value in pairs if value]


@dataclass(frozen=True, slots=True)
class DifferingFilm:
    """A film with what each version says of it. Genres are TMDB ids; `difference` is in nats a label."""

    film: Film
    difference: float
    predicted: tuple[frozenset[int], frozenset[int]]
    surprise: tuple[float, float]
    errors: tuple[int, int]
    trained_on: tuple[bool, bool]

    @property
    def right(self) -> Right:
        """Whose genres are nearer to TMDB's."""
        first, second = self.errors
        return Right.NEITHER if first == second else Right.A if first < second else Right.B


@dataclass(frozen=True, slots=True)
class DifferencePage:
    """Some of the films and, where there are more, the cursor that goes on after them."""

    films: list[DifferingFilm]
    next_cursor: str | None


def differing_films(
    a: ModelVersion, b: ModelVersion, filters: DifferenceFilters, *, cursor: str = "", size: int = PAGE_SIZE
) -> DifferencePage:
    """One page of the list, in two queries. Adult films are left out, and those that TMDB gives no label.

    Raises:
        CursorError: the cursor belongs to other versions or filters, or to nothing.
    """
    fingerprint = _fingerprint(a, b, filters)
    after = _after(cursor, fingerprint)
    with connection.cursor() as database:
        database.execute(
            _SQL,
            {
                "a": a.pk,
                "b": b.pk,
                "looked_at": MOST_LOOKED_AT,
                "genre": filters.genre,
                "right": filters.right,
                "unseen": filters.unseen,
                "difference": after[0],
                "film": after[1],
                "size": size + 1,
            },
        )
        rows = database.fetchall()
    more = len(rows) > size
    del rows[size:]
    films = Film.objects.select_related("poster").defer(
        "overview", "tagline", "search", "folded_titles", "folded_overview"
    )
    by_id = films.in_bulk([row[0] for row in rows])
    next_cursor = None
    if more:
        film, difference = rows[-1][:2]
        next_cursor = signing.Signer(salt=_CURSOR_SALT).sign_object([fingerprint, difference, film])
    return DifferencePage([_film(row, by_id) for row in rows if row[0] in by_id], next_cursor)


def _film(row: tuple[Any, ...], by_id: Mapping[int, Film]) -> DifferingFilm:
    film, difference, *of_both = row
    predicted, surprise, errors, parts = (tuple(of_both[i : i + 2]) for i in range(0, 8, 2))
    return DifferingFilm(
        film=by_id[film],
        difference=difference,
        predicted=(frozenset(predicted[0]), frozenset(predicted[1])),
        surprise=surprise,
        errors=errors,
        trained_on=(parts[0] == Part.TRAIN, parts[1] == Part.TRAIN),
    )


def _fingerprint(a: ModelVersion, b: ModelVersion, filters: DifferenceFilters) -> str:
    return hashlib.sha256(f"{a.pk} {b.pk} {urlencode(filters.parameters())}".encode()).hexdigest()[:16]


def _after(cursor: str, fingerprint: str) -> tuple[float | None, int | None]:
    if not cursor:
        return None, None
    try:
        bound_to, difference, film = signing.Signer(salt=_CURSOR_SALT).unsign_object(cursor)
    except (signing.BadSignature, ValueError) as error:
        raise CursorError("This is no page of the list.") from error
    if bound_to != fingerprint:
        raise CursorError("This page belongs to a list of other versions or with other filters.")
    return float(difference), int(film)


# One row a film: (film, difference, predicted, surprise, errors and part, each of a and then of b). Candidates are read from
# the index on surprise alone; rows of either version are then found by their keys.
_SQL = """
WITH candidate AS MATERIALIZED (
    (SELECT film_id FROM predictor_prediction WHERE version_id = %(a)s AND surprise IS NOT NULL
     ORDER BY surprise DESC NULLS LAST, film_id DESC LIMIT %(looked_at)s)
    UNION
    (SELECT film_id FROM predictor_prediction WHERE version_id = %(b)s AND surprise IS NOT NULL
     ORDER BY surprise DESC NULLS LAST, film_id DESC LIMIT %(looked_at)s)
), differing AS (
    SELECT f.id, abs(pa.surprise - pb.surprise)::float8 AS difference,
           pa.predicted AS predicted_a, pb.predicted AS predicted_b,
           pa.surprise::float8 AS surprise_a, pb.surprise::float8 AS surprise_b,
           cardinality(pa.misses) + cardinality(pa.extras) AS errors_a,
           cardinality(pb.misses) + cardinality(pb.extras) AS errors_b,
           pa.part AS part_a, pb.part AS part_b
    FROM candidate
    JOIN predictor_prediction pa ON pa.version_id = %(a)s AND pa.film_id = candidate.film_id
    JOIN predictor_prediction pb ON pb.version_id = %(b)s AND pb.film_id = candidate.film_id
    JOIN catalog_film f ON f.id = candidate.film_id
    WHERE pa.predicted <> pb.predicted AND pa.surprise IS NOT NULL AND pb.surprise IS NOT NULL AND NOT f.adult
      AND pa.input_hash = f.input_hash AND pb.input_hash = f.input_hash
      AND (%(genre)s::smallint IS NULL
           OR (%(genre)s::smallint = ANY(pa.predicted)) <> (%(genre)s::smallint = ANY(pb.predicted)))
      AND (NOT %(unseen)s OR NOT EXISTS (
          SELECT 1 FROM predictor_versionfilm seen
          WHERE seen.version_id IN (%(a)s, %(b)s) AND seen.tmdb_id = f.tmdb_id AND seen.part <> 'test'))
)
SELECT id, difference, predicted_a, predicted_b, surprise_a, surprise_b, errors_a, errors_b, part_a, part_b
FROM differing
WHERE CASE %(right)s::text WHEN 'a' THEN errors_a < errors_b WHEN 'b' THEN errors_b < errors_a
      WHEN 'neither' THEN errors_a = errors_b ELSE true END
  AND (%(film)s::bigint IS NULL OR (difference, id) < (%(difference)s::float8, %(film)s::bigint))
ORDER BY difference DESC, id DESC LIMIT %(size)s
"""
