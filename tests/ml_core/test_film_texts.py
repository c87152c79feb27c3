"""Texts put together from their parts: word piece by word piece what the whole text gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core.film_texts import FilmTexts
from ml_core.networks.sentence import SentenceEncoder, film_text, tokenize, word_pieces
from ml_core.snapshot import Snapshot, SnapshotFilm, SnapshotWriter

TITLE, TAGLINE, OVERVIEW = "Heat", "A Los Angeles crime saga", "A thief plans one last job."


@pytest.fixture
def texts(tmp_path: Path) -> FilmTexts:
    with SnapshotWriter(tmp_path / "snapshot") as writer:
        for number, (title, tagline, overview) in enumerate(
            [
                (TITLE, TAGLINE, OVERVIEW),
                (TITLE, "", ""),
                ("", "", OVERVIEW),
                ("", "", ""),
                (TITLE, "", "thief " * 500),
            ]
        ):
            film = SnapshotFilm(
                tmdb_id=number + 1,
                title=title,
                tagline=tagline,
                overview=overview,
                label_ids=(18,),
                part="train",
                group=number,
            )
            writer.add(film)
    return FilmTexts.of(Snapshot.open(tmp_path / "snapshot"))


def test_the_whole_text(texts: FilmTexts) -> None:
    assert texts.shown(0) == tokenize([film_text(TITLE, OVERVIEW, TAGLINE)])[0]
    assert texts.lengths.tolist() == [len(texts.shown(row)) for row in range(5)]
    assert texts.has_title.tolist() == [True, True, False, False, True]
    assert texts.has_overview.tolist() == [True, False, True, False, True]


def test_parts_can_be_hidden(texts: FilmTexts) -> None:
    assert texts.shown(0, overview=False) == tokenize([film_text(TITLE, "", TAGLINE)])[0]
    assert texts.shown(0, title=False, tagline=False) == tokenize([OVERVIEW])[0]
    assert texts.shown(1, title=False) == texts.shown(3) == tokenize([""])[0]


def test_a_long_text_is_cut_where_the_encoder_cuts_it(texts: FilmTexts) -> None:
    assert len(texts.shown(4)) == texts.lengths[4] == SentenceEncoder.max_tokens
    assert texts.shown(4) == tokenize([film_text(TITLE, "thief " * 500)])[0]


@settings(deadline=None)
@given(*[st.text(max_size=40)] * 3)
def test_any_parts_make_the_pieces_of_the_whole(title: str, tagline: str, overview: str) -> None:
    title, tagline, overview = (" ".join(text.split()) for text in (title, tagline, overview))
    parts = FilmTexts(*([pieces] for pieces in word_pieces([title, tagline, overview])))
    # A character that the tokenizer drops leaves a text without pieces, but not without its full stop.
    if all(
        parts_of[0] or not text
        for parts_of, text in zip(
            (parts.titles, parts.taglines, parts.overviews), (title, tagline, overview), strict=True
        )
    ):
        assert parts.shown(0) == tokenize([film_text(title, overview, tagline)])[0]
