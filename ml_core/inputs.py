"""Which inputs a prediction rests on. Thresholds and calibration are chosen for each set of inputs apart.

A model that sees an overview and a poster is surer than one that sees a title, so one threshold vector for both would
fit neither.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

Input = Literal["title", "overview", "poster"]
InputSet = Literal["overview_poster", "overview", "title_poster", "title", "poster"]

INPUT_SETS: tuple[InputSet, ...] = ("overview_poster", "overview", "title_poster", "title", "poster")


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
