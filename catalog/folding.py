"""Texts as search and sorting see them: without accents, without case."""

from __future__ import annotations

import re
import unicodedata

# Letters that Unicode's compatibility decomposition leaves alone, though readers type them without the stroke.
_STROKES = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H"}
    | {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th", "ı": "i", "ŧ": "t", "Ŧ": "T"}
    | {"’": "'", "‘": "'", "ʼ": "'"}
)
_ARTICLE = re.compile(r"(?:the|an|a)\s+(?=\S)")
_LEADING_MARKS = re.compile(r"^[^\w]+")


def without_accents(text: str) -> str:
    """The text with its accents and compatibility forms folded away, its case kept."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text.translate(_STROKES))
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def fold(text: str) -> str:
    """The text without accents and in lower case: "Amélie" and "AMELIE" are both "amelie"."""
    return without_accents(text).casefold()


def sort_title(title: str) -> str:
    """What a title is sorted by: folded, without leading marks and without a leading English article."""
    folded = fold(title).strip()
    bare = _LEADING_MARKS.sub("", folded) or folded
    return _ARTICLE.sub("", bare, count=1) if _ARTICLE.match(bare) else bare
