"""What a prediction rests on: a film's texts made tidy, and which of its inputs there are.

Thresholds and calibration are chosen for each set of inputs apart: a model that sees an overview and a poster is surer than one that sees a title, so one threshold vector for both would
fit neither.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

Input = Literal["title", "overview", "poster"]
InputSet = Literal["overview_poster", "overview", "title_poster", "title", "poster"]

INPUT_SETS: tuple[InputSet, ...] = ("overview_poster", "overview", "title_poster", "title", "poster")

# What a model is judged with: each set of inputs, and every film with whatever it has; and how it is called there. "picture" is told
# of models that read what is written on a poster where there is nothing else.
JUDGED: dict[str, str] = {
    "overview_poster": "overview and poster",
    "overview": "overview and title, poster hidden",
    "title_poster": "poster and title (films without overview)",
    "title": "title alone, all else hidden",
    "poster": "poster alone, all else hidden",
    "picture": "poster alone, what is written on it unread",
    "all_films": "all films, each with what it has",
}


def input_set(inputs: Collection[Input]) -> InputSet | None:
    """The set whose thresholds hold for those inputs; a title beside an overview makes no difference of its own.

    ``None`` when there is no input at all: then only the genres' prior can be told.
    """
    poster = "poster" in inputs
    if "overview" in inputs:
        return "overview_poster" if poster else "overview"
    if "title" in inputs:
        return "title_poster" if poster else "title"
    return "poster" if poster else None


_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def tidy(text: str) -> str:
    """A text as networks read it: URLs out, white space single, Kaggle's "nan" and TMDB's placeholders empty."""
    text = _SPACE.sub(" ", _URL.sub(" ", text)).strip()
    return "" if text.casefold() in {"nan", "none", "no overview found.", "no overview"} else text
