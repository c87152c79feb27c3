"""The columns of a film that follow from its texts and its poster."""

from __future__ import annotations

import hashlib
from typing import Protocol

from catalog.folding import fold, sort_title, without_accents
from catalog.models import Poster


class _Texts(Protocol):
    @property
    def title(self) -> str: ...
    @property
    def original_title(self) -> str: ...
    @property
    def overview(self) -> str: ...
    @property
    def tagline(self) -> str: ...


def input_hash(*, title: str, overview: str, tagline: str, poster_sha256: str) -> str:
    """32 hexadecimal digits that change when, and only when, something changes that a prediction reads."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (title, overview, tagline, poster_sha256):
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()


def derived_fields(film: _Texts, *, poster_sha256: str | None = None) -> dict[str, str]:
    """The columns of a film that follow from its texts and its poster.

    Without ``poster_sha256`` the poster is that of the film, which then must be a `Film`.
    """
    if poster_sha256 is None:
        poster: Poster | None = getattr(film, "poster", None)
        poster_sha256 = poster.sha256 if poster else ""
    overview = without_accents(film.overview)
    return {
        "input_hash": input_hash(
            title=film.title, overview=film.overview, tagline=film.tagline, poster_sha256=poster_sha256
        ),
        "title_sort": sort_title(film.title)[:500],
        "folded_titles": fold(f"{film.title} {film.original_title}".strip()),
        "folded_overview": "" if overview == film.overview else overview,
    }
