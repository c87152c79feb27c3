"""The texts of a snapshot's films as word pieces, to be put together as a training shows them: whole, or with parts hidden."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml_core.networks.sentence import SentenceEncoder, joined_pieces, word_pieces
from ml_core.snapshot import Snapshot


@dataclass(frozen=True)
class FilmTexts:
    """Word pieces of each film's title, tagline and overview; empty lists where there is none.

    What :meth:`shown` puts together is piece by piece what ``tokenize(film_text(...))`` gives.
    """

    titles: list[list[int]]
    taglines: list[list[int]]
    overviews: list[list[int]]

    @classmethod
    def of(cls, snapshot: Snapshot) -> FilmTexts:
        """Cut every text of a snapshot into its pieces."""
        titles, taglines, overviews = (
            word_pieces(snapshot.texts(name)) for name in ("title", "tagline", "overview")
        )
        return cls(titles, taglines, overviews)

    def shown(
        self, row: int, *, title: bool = True, tagline: bool = True, overview: bool = True
    ) -> list[int]:
        """Token ids of those parts of a film's text, [CLS] and [SEP] included."""
        parts = [
            pieces
            for shown, pieces in (
                (title, self.titles[row]),
                (tagline, self.taglines[row]),
                (overview, self.overviews[row]),
            )
            if shown and pieces
        ]
        return joined_pieces(parts)

    def hidden(self) -> FilmTexts:
        """The same films without any text."""
        nothing: list[list[int]] = [[] for _ in self.titles]
        return FilmTexts(nothing, nothing, nothing)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each film's whole text ``(films,)``, as far as the encoder reads."""
        counts = [
            sum(len(pieces) + 1 for pieces in film if pieces)
            for film in zip(self.titles, self.taglines, self.overviews, strict=True)
        ]
        # One full stop fewer than parts, and [CLS] and [SEP].
        return np.clip(np.array(counts, dtype=np.int64) + 1, 2, SentenceEncoder.max_tokens)

    @cached_property
    def has_title(self) -> NDArray[np.bool_]:
        """Whether a film has a title, ``(films,)``."""
        return np.array([bool(pieces) for pieces in self.titles])

    @cached_property
    def has_overview(self) -> NDArray[np.bool_]:
        """Whether a film has an overview, ``(films,)``."""
        return np.array([bool(pieces) for pieces in self.overviews])
