"""How many films of each genre a list has: counted in a request of its own, and remembered for a while."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace

from django.core.cache import cache
from django.db.models import Count

from catalog.models import Film
from catalog.querysets import SEARCH_CANDIDATES
from predictor.browsing import BEST, FilmFilters, filtered_films
from predictor.models import ModelVersion

# Long enough to spare the database, short enough that an import shows while one watches.
CACHE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class FacetCounts:
    """Films in all and by TMDB genre.

    ``bounded`` says that a search matched more films than are ranked, so that the counts are of those.
    """

    total: int
    by_label: dict[int, int]
    bounded: bool = False


def facet_counts(filters: FilmFilters, version: ModelVersion | None) -> FacetCounts:
    """The counts for a list with these filters.

    Where any of the chosen genres will do, a genre's count is what choosing it would add or leave: the choice of
    genres itself is not applied. Where all are wanted it is.
    """
    filters = replace(filters, sort=BEST)
    key = f"facets:{version.pk if version else 0}:{filters.fingerprint()}"
    cached = cache.get(key)
    if cached is not None:
        return FacetCounts(**cached)
    counts = _count(filters, version)
    cache.set(key, asdict(counts), CACHE_SECONDS)
    return counts


def _count(filters: FilmFilters, version: ModelVersion | None) -> FacetCounts:
    chosen = set(filters.labels)
    applied = filters if filters.all_labels else replace(filters, labels=())
    films = filtered_films(applied, version)
    if filters.query:
        films = Film.objects.filter(id__in=films.search_candidates(filters.query))
    # Films with the same set of genres are counted together by the database: a million films have some two
    # thousand sets, and those are taken apart here.
    by_set = list(films.order_by().values_list("label_ids").annotate(films=Count("id")))
    by_label: Counter[int] = Counter()
    total = every = 0
    for label_ids, number in by_set:
        every += number
        if not chosen or filters.all_labels or chosen & set(label_ids):
            total += number
        for label in label_ids:
            by_label[label] += number
    bounded = bool(filters.query) and every >= SEARCH_CANDIDATES
    return FacetCounts(
        total=min(total, SEARCH_CANDIDATES) if bounded else total, by_label=dict(by_label), bounded=bounded
    )
