"""The label space: the 18 genres that the article predicts, by TMDB id.

TMDB's nineteenth film genre, "TV Movie" (10770), tells where a film was shown and not what it is, so the article
drops it; "Foreign" (10769) was withdrawn by TMDB itself. Everything that has a column per genre has them in the
order given here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Label:
    """A genre that is predicted: its id and its English name at TMDB."""

    tmdb_id: int
    name: str


# Alphabetical by TMDB's English name: an order that anyone can rebuild without a file.
LABELS: tuple[Label, ...] = (
    Label(28, "Action"),
    Label(12, "Adventure"),
    Label(16, "Animation"),
    Label(35, "Comedy"),
    Label(80, "Crime"),
    Label(99, "Documentary"),
    Label(18, "Drama"),
    Label(10751, "Family"),
    Label(14, "Fantasy"),
    Label(36, "History"),
    Label(27, "Horror"),
    Label(10402, "Music"),
    Label(9648, "Mystery"),
    Label(10749, "Romance"),
    Label(878, "Science Fiction"),
    Label(53, "Thriller"),
    Label(10752, "War"),
    Label(37, "Western"),
)

LABEL_IDS: tuple[int, ...] = tuple(label.tmdb_id for label in LABELS)
LABEL_NAMES: tuple[str, ...] = tuple(label.name for label in LABELS)

_COLUMN_BY_ID: dict[int, int] = {tmdb_id: column for column, tmdb_id in enumerate(LABEL_IDS)}


def is_label(tmdb_id: int) -> bool:
    """Whether the genre of that TMDB id is one of the 18."""
    return tmdb_id in _COLUMN_BY_ID


def multi_hot(ids: Iterable[int]) -> NDArray[np.float32]:
    """A film's genres as a vector of zeros and ones, shape ``(18,)``.

    Ids outside the label space (TV Movie, Foreign, a company that slipped into Kaggle's genres) are passed over, as
    the article does.
    """
    vector = np.zeros(len(LABELS), dtype=np.float32)
    for tmdb_id in ids:
        column = _COLUMN_BY_ID.get(tmdb_id)
        if column is not None:
            vector[column] = 1.0
    return vector
