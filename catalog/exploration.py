"""The catalog in numbers: the exploration that the article begins with, over the films that are here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Q
from django.db.models.functions import ExtractYear

from catalog.languages import language_name
from catalog.models import Film, Genre

CACHE_SECONDS = 600
# The numbers' shape: one cached by other code is not read.
_CACHE_KEY = "catalog:exploration:1"
WORDS_PER_BIN = 10
# Longer overviews share the last bin; TMDB allows 1,000 characters, some 180 words.
LAST_BIN_WORDS = 200


@dataclass(frozen=True, slots=True)
class Exploration:
    """Counts of films, each list in the order in which it is shown.

    ``together`` has, for the genres of ``by_genre`` in the same order, the films that have both; its diagonal the
    films that have the one. ``overview_words`` are (first word count of the bin, films), films without overview left
    out; ``median_words`` is over the same films.
    """

    films: int
    labelled: int
    by_genre: list[tuple[str, int]]
    together: list[list[int]]
    by_number_of_genres: list[tuple[int, int]]
    by_decade: list[tuple[int, int]]
    by_language: list[tuple[str, int]]
    overview_words: list[tuple[int, int]]
    median_words: int
    missing: list[tuple[str, int]]


def explore() -> Exploration:
    """The numbers, counted at most every ten minutes."""
    known = cache.get(_CACHE_KEY)
    if not isinstance(known, Exploration):
        known = count()
        cache.set(_CACHE_KEY, known, CACHE_SECONDS)
    return known


def count() -> Exploration:
    """The numbers, counted now."""
    films = Film.objects.order_by()
    sets = list(films.values_list("label_ids").annotate(films=Count("id")))
    by_genre, together = _genres(sets)
    numbers: Counter[int] = Counter()
    for labels, number in sets:
        numbers[len(labels)] += number
    years = films.filter(release_date__isnull=False).values_list(ExtractYear("release_date"))
    decades: Counter[int] = Counter()
    for year, number in years.annotate(films=Count("id")):
        decades[year // 10 * 10] += number
    languages = films.exclude(original_language="").values_list("original_language").annotate(n=Count("id"))
    words, median = _overview_words()
    total = sum(numbers.values())
    return Exploration(
        films=total,
        labelled=total - numbers[0],
        by_genre=by_genre,
        together=together,
        by_number_of_genres=sorted(numbers.items()),
        by_decade=sorted(decades.items()),
        by_language=[
            (language_name(code), number) for code, number in languages.order_by("-n", "original_language")
        ],
        overview_words=words,
        median_words=median,
        missing=_missing(),
    )


def _genres(sets: Sequence[tuple[list[int], int]]) -> tuple[list[tuple[str, int]], list[list[int]]]:
    single: Counter[int] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    for labels, number in sets:
        for label in labels:
            single[label] += number
        for pair in combinations(sorted(labels), 2):
            pairs[pair] += number
    labels_by_count = sorted(
        Genre.objects.filter(is_label=True), key=lambda genre: (-single[genre.pk], genre.name)
    )
    ids = [genre.pk for genre in labels_by_count]
    together = [
        [single[row] if row == column else pairs[min(row, column), max(row, column)] for column in ids]
        for row in ids
    ]
    return [(genre.name, single[genre.pk]) for genre in labels_by_count], together


def _overview_words() -> tuple[list[tuple[int, int]], int]:
    """Films by words of their overview, a word being what a blank ends; and the median."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT LEAST(length(overview) - length(replace(overview, ' ', '')) + 1, 1000) AS words, count(*)"
            " FROM catalog_film WHERE overview <> '' GROUP BY words ORDER BY words"
        )
        by_words: list[tuple[int, int]] = cursor.fetchall()
    bins: Counter[int] = Counter()
    for words, number in by_words:
        bins[min(words // WORDS_PER_BIN * WORDS_PER_BIN, LAST_BIN_WORDS)] += number
    half, seen, median = sum(bins.values()) / 2, 0, 0
    for words, number in by_words:
        seen += number
        if seen >= half:
            median = words
            break
    return [(start, bins[start]) for start in range(0, max(bins, default=0) + 1, WORDS_PER_BIN)], median


def _missing() -> list[tuple[str, int]]:
    lacks = {
        "Poster": Q(poster__isnull=True),
        "Overview": Q(overview=""),
        "Any of the 18 genres": Q(label_ids=[]),
        "Release date": Q(release_date__isnull=True),
        "Original language": Q(original_language=""),
        "Runtime": Q(runtime__isnull=True),
        "Popularity": Q(popularity=0),
        "Votes": Q(vote_count=0),
        "Both poster and overview": Q(poster__isnull=True, overview=""),
    }
    counts = Film.objects.aggregate(
        **{f"n{number}": Count("pk", filter=condition) for number, condition in enumerate(lacks.values())}
    )
    return [(name, counts[f"n{number}"]) for number, name in enumerate(lacks)]
