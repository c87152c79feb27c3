"""Texts as sources give them, made fit for the catalog: what stands for nothing is nothing, and spaces are spaces."""

from __future__ import annotations

import re

# Characters a text may have. What is longer is no film: TMDB's longest overviews have some 1,000.
LONGEST = {"title": 500, "original_title": 500, "overview": 20_000, "tagline": 2_000, "genres": 10_000}

_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SPACE = re.compile(r"\s+")
_MISSING = {"", "nan", "none", "null", "n/a"}
_NO_OVERVIEW = {"no overview found.", "no overview found", "no overview", "no overview yet."}


def clean_title(text: str) -> str:
    """The text without control characters and runs of spaces. Films are called "None" and "Null"; none is "nan"."""
    text = _SPACE.sub(" ", _CONTROL.sub(" ", text)).strip()
    return "" if text == "nan" else text


def clean_text(text: str, *, addresses: bool = True) -> str:
    """The same, and empty where the source says in words that there is nothing; without ``addresses``, without them."""
    text = clean_title(text if addresses else _URL.sub(" ", text))
    return "" if text.lower() in _MISSING else text


def clean_overview(text: str) -> str:
    """An overview without addresses of web sites, and empty where it says that there is none."""
    text = clean_text(text, addresses=False)
    return "" if text.casefold() in _NO_OVERVIEW else text
