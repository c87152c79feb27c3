"""How common the words of a search are, from the statistics that PostgreSQL keeps for its planner."""

from __future__ import annotations

from django.core.cache import cache
from django.db import connection

from catalog.search import words

CACHE_SECONDS = 3600
# Rarer words are as good as not there for the choice that this is for.
MIN_SHARE = 0.002
# An English stem may be this much shorter than its word.
_ENDING = 3


def matching_share(text: str) -> float:
    """The share of films that match every word of the text, roughly: as if words were strewn independently.

    A word is as common as all known words that begin with it; where there is none, as its likely stem.
    """
    known: dict[str, float] = cache.get_or_set("catalog:common-words", _common_words, CACHE_SECONDS) or {}
    share = 1.0
    for word in words(text):
        beginning = sum(often for lexeme, often in known.items() if lexeme.startswith(word))
        share *= min(1.0, beginning or max((known.get(stem, 0.0) for stem in _stems(word)), default=0.0))
    return share


def _stems(word: str) -> list[str]:
    cut = [word[:-letters] for letters in range(1, _ENDING + 1) if len(word) > letters + 2]
    return [*cut, f"{word[:-1]}i"]  # story, stori


def _common_words() -> dict[str, float]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT word, share
            FROM pg_stats, unnest(most_common_elems::text::text[], most_common_elem_freqs) AS common (word, share)
            WHERE schemaname = current_schema() AND tablename = 'catalog_film' AND attname = 'search'
              AND word IS NOT NULL AND share >= %s
            """,
            [MIN_SHARE],
        )
        return dict(cursor.fetchall())
