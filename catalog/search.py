"""What a visitor types, as a PostgreSQL text search query over `Film.search`."""

from __future__ import annotations

import functools
import operator
import re
from typing import Any

from django.contrib.postgres.search import SearchQuery
from django.db.models import Value

from catalog.folding import fold

MAX_WORDS = 12
MAX_WORD_LENGTH = 60
# A shorter beginning matches too much of a million films to be of use, and costs accordingly.
MIN_PREFIX_LENGTH = 3

_WORD = re.compile(r"[^\W_]+")
# The overview is indexed as English, which drops these (PostgreSQL's english.stop); a query that required them would
# find titles only. "It" and "Them!" are still found: where nothing else is asked for, they count.
_ENGLISH_STOP = """i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her
    hers herself it its itself they them their theirs themselves what which who whom this that these those am is are
    was were be been being have has had having do does did doing a an the and but if or because as until while of at
    by for with about against between into through during before after above below to from up down in out on off over
    under again further then once here there when where why how all any both each few more most other some such no
    nor not only own same so than too very s t can will just don should now"""
_STOP_WORDS = frozenset(_ENGLISH_STOP.split())


def words(text: str) -> list[str]:
    """The words of a search, folded as the index is; the last one may be a beginning only."""
    return [word[:MAX_WORD_LENGTH] for word in _WORD.findall(fold(text))[:MAX_WORDS]]


def search_query(text: str) -> Any | None:
    """Films with every word of the text, in a title as written or in the overview as English; None without words.

    The last word also matches as a beginning, from three characters on: a visitor may still be typing it. Shorter
    than that it is asked of no film, unless it is all there is; a film of that very title is first by its rank.
    """
    all_words = words(text)
    if not all_words:
        return None
    typed = all_words[-1]
    content = [word for word in all_words if word not in _STOP_WORDS]
    if len(content) > 1 and content[-1] == typed and len(typed) < MIN_PREFIX_LENGTH and typed.isascii():
        content.pop()
    return functools.reduce(operator.and_, [_either(word, typed) for word in content or all_words])


def _either(word: str, typed: str) -> Any:
    """The word in a title as it stands, or in the overview by its stem."""
    beginning = word == typed and (len(word) >= MIN_PREFIX_LENGTH or not word.isascii())
    raw = Value(f"'{word}':*" if beginning else f"'{word}'")
    simple, english = (SearchQuery(raw, config=name, search_type="raw") for name in ("simple", "english"))
    return simple | english
