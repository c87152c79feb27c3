"""Reading the catalog: filtering, sorting and searching films."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from django.contrib.postgres.search import SearchRank
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Case, ExpressionWrapper, F, Func, OrderBy, Q, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Greatest
from django.db.models.sql.compiler import SQLCompiler

from catalog.folding import sort_title
from catalog.search import search_query
from catalog.word_frequencies import matching_share

if TYPE_CHECKING:
    from catalog.models import Film  # noqa: F401 - named in quotes below

# Films of a search that are ranked: the most popular of those that match. Ranking reads each one's text, so that
# ranking every match of a common word takes a second at a million films, and nobody pages that far.
SEARCH_CANDIDATES = 500
# Of films with exactly the searched title, which count however unpopular they are.
_SAME_TITLE_CANDIDATES = 50
# Where more films match than this, walking past 1 / 0.02 films for each candidate is less than fetching all matches.
_WALK_SHARE = 0.02
# PostgreSQL's weights in the order D, C, B, A: a word in the title counts ten times one in the overview.
_RANK_WEIGHTS = [0.0, 0.0, 0.1, 1.0]
# What popularity adds to a rank (which is 0.6 for one word in a title): up to a half, half of that at 50 of TMDB's.
_HALF_KNOWN, _KNOWN_WEIGHT = 50.0, 0.5


class RowComparison(Func):
    """``(a, b) < (x, y)`` as PostgreSQL's row comparison, which walks an index on ``(a, b)``.

    Source: PostgreSQL documentation, 9.25.5 "Row Constructor Comparison".
    """

    output_field = models.BooleanField()

    def __init__(self, left: list[str | Combinable], operator: str, right: list[Combinable]) -> None:
        if operator not in {"<", ">"} or len(left) != len(right):
            raise ValueError("a row comparison takes < or > and two rows of one length")
        super().__init__(*left, *right)
        self.operator = operator

    def as_sql(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra_context: Any
    ) -> tuple[str, list[Any]]:
        """Django's contract of an expression: the SQL and its parameters."""
        parts = [compiler.compile(source) for source in self.source_expressions]
        half = len(parts) // 2
        left, right = (", ".join(sql for sql, _ in side) for side in (parts[:half], parts[half:]))
        return f"(({left}) {self.operator} ({right}))", [
            parameter for _, parameters in parts for parameter in parameters
        ]


class FilmQuerySet(models.QuerySet["Film"]):
    """Films, read."""

    def suitable(self, *, adult: bool = False) -> Self:
        """Without adult films, unless asked for."""
        return self if adult else self.filter(adult=False)

    def with_any_label(self, label_ids: Iterable[int]) -> Self:
        """Films that TMDB gives at least one of these genres; all of them must be labels."""
        return self.filter(label_ids__overlap=list(label_ids))

    def with_all_labels(self, label_ids: Iterable[int]) -> Self:
        """Films that TMDB gives every one of these genres; all of them must be labels."""
        return self.filter(label_ids__contains=list(label_ids))

    def released(self, *, first_year: int | None = None, last_year: int | None = None) -> Self:
        """Films of these years, both included. A film without a date is of no year."""
        films = self
        if first_year is not None or last_year is not None:
            # The first of January of the year 1 stands for "no date".
            films = films.filter(release_sort__gte=dt.date(max(first_year or 2, 2), 1, 1))
        if last_year is not None:
            films = films.filter(release_sort__lte=dt.date(last_year, 12, 31))
        return films

    def in_language(self, code: str) -> Self:
        """Films with this original language, as ISO 639-1 code."""
        return self.filter(original_language=code)

    def rated_at_least(self, rating: float) -> Self:
        """Films whose rating, drawn towards the mean where votes are few, is at least this; 0 to 10."""
        return self.filter(weighted_rating__gte=rating)

    def with_poster(self, has_poster: bool) -> Self:
        """Films that have a stored poster, or have none."""
        return self.filter(poster__isnull=not has_poster)

    def matching(self, text: str) -> Self:
        """Films whose titles or overview have every word of the text; none where the text has no word."""
        query = search_query(text)
        return self.none() if query is None else self.filter(search=query)

    def search_candidates(self, text: str) -> models.QuerySet[Any, Any]:
        """Of the films of this queryset, those worth ranking for the text: the most popular that match it.

        Returns ids (a queryset of one column); at most `SEARCH_CANDIDATES` and a few that have the very title.
        """
        matching = self.matching(text)
        popular = matching.order_by(*self._candidate_order(text)).values("id")[:SEARCH_CANDIDATES]
        namesakes = (
            matching.filter(title_sort=sort_title(text))
            .order_by("title_sort", "id")
            .values("id")[:_SAME_TITLE_CANDIDATES]
        )
        return popular.union(namesakes)

    @staticmethod
    def _candidate_order(text: str) -> list[OrderBy]:
        # Walking the films by popularity until enough match is fast for common words alone; for others the text
        # index is. The planner takes the walk too often, fetching many a film that does not match, so it is
        # offered that order only where it pays: a sum cannot be read from the index.
        if matching_share(text) >= _WALK_SHARE:
            return [F("popularity").desc(), F("id").desc()]
        return [(F("popularity") + Value(0.0)).desc(), F("id").desc()]

    def with_relevance(self, text: str) -> Self:
        """Annotates ``relevance`` (float): text search rank, and more where the title itself is what was typed.

        A film of that very title comes first, then titles that begin with it; among equals the better known.
        """
        query = search_query(text)
        if query is None:
            return self.annotate(relevance=Value(0.0, output_field=models.FloatField()))
        title = sort_title(text)
        # The rank is single precision; as double it reads back as the number that was compared.
        rank = Cast(SearchRank(F("search"), query, weights=_RANK_WEIGHTS), models.FloatField())
        by_title = Case(
            When(title_sort=title, then=Value(2.0)),
            When(title_sort__startswith=title, then=Value(1.0)),
            default=Value(0.0),
            output_field=models.FloatField(),
        )
        popularity = Greatest(F("popularity"), Value(0.0))
        known = popularity / (popularity + Value(_HALF_KNOWN)) * Value(_KNOWN_WEIGHT)
        return self.annotate(
            relevance=ExpressionWrapper(rank + by_title + known, output_field=models.FloatField())
        )

    def after(self, columns: list[str | Combinable], values: list[Combinable], *, descending: bool) -> Self:
        """Films that come after the one with these values, in the order of these columns."""
        return self.filter(Q(RowComparison(columns, "<" if descending else ">", values)))

    def languages(self) -> list[str]:
        """The original languages there are, sorted.

        Walks the index from one value to the next, so that it takes as many steps as there are languages and not as
        there are films (PostgreSQL wiki, "Loose indexscan").
        """
        with connections[self.db].cursor() as cursor:
            cursor.execute(
                """
                WITH RECURSIVE step AS (
                    (SELECT original_language FROM catalog_film ORDER BY original_language LIMIT 1)
                    UNION ALL
                    SELECT (SELECT original_language FROM catalog_film
                            WHERE original_language > step.original_language
                            ORDER BY original_language LIMIT 1)
                    FROM step WHERE step.original_language IS NOT NULL
                )
                SELECT original_language FROM step WHERE original_language <> ''
                """
            )
            return [code for (code,) in cursor.fetchall()]
