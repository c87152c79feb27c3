from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nltk
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_core.text import (
    PADDING,
    UNKNOWN,
    CorpusMissing,
    Vocabulary,
    VocabularyError,
    clean,
    pad,
    require_corpora,
)

words = st.text("abcdefgh", min_size=1, max_size=3)
texts = st.lists(st.lists(words, max_size=12), max_size=8)


pytestmark = pytest.mark.usefixtures("miniature_corpora")


@pytest.mark.parametrize(
    ("overview", "cleaned"),
    [
        ("The Wolves, and the GHOSTS!", ["wolf", "ghost"]),
        ("men, children; cities", ["man", "child", "city"]),
        ("running from 28 wolves in 1999", ["running", "wolf"]),
        ("", []),
        ("  \n 42 -- ...", []),
        ("an ex-cop/spy", ["ex", "cop", "spy"]),
        ("See https://example.org/a?b=c#d or www.example.net, now: example.com.", ["see", "or", "now"]),
        ("Amélie in Cinéma Ωmega", ["amelie", "cinema", "mega"]),
    ],
)
def test_a_text_is_reduced_to_its_lemmas(overview: str, cleaned: list[str]) -> None:
    assert clean(overview) == cleaned


@pytest.mark.parametrize("apostrophe", ["'", "\u2019", "`"])
def test_contractions_are_stop_words_but_what_they_look_like_is_not(apostrophe: str) -> None:
    assert clean(f"He{apostrophe}ll don{apostrophe}t hell") == ["hell"]
    assert clean(f"the wolf{apostrophe}s city") == ["wolf", "city"]


@given(st.text(max_size=80))
def test_whatever_the_text_only_lower_case_words_come_out(overview: str) -> None:
    assert all(re.fullmatch("[a-z]+", word) for word in clean(overview))


@given(st.text("ab' wolveshtp:/.com-", max_size=60))
def test_cleaning_what_is_clean_changes_nothing(overview: str) -> None:
    once = clean(overview)
    assert clean(" ".join(once)) == once


def test_missing_corpora_are_named_with_the_way_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with pytest.raises(CorpusMissing, match=r"nltk\.download\('stopwords'\)") as missing:
        require_corpora()
    assert "NLTK_DATA" in str(missing.value)


def test_a_torn_corpus_is_missing_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nltk_miniature: Path
) -> None:
    shutil.copytree(nltk_miniature, tmp_path / "torn")
    (tmp_path / "torn/corpora/wordnet/noun.exc").unlink()
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "torn")])
    with pytest.raises(CorpusMissing, match="wordnet"):
        clean("wolves")


def test_corpora_that_are_there_are_accepted() -> None:
    require_corpora()


@given(texts)
def test_each_word_has_a_number_of_its_own(corpus: list[list[str]]) -> None:
    vocabulary = Vocabulary.fit(corpus, min_count=1)
    known = {word for words_ in corpus for word in words_}
    assert set(vocabulary.words) == known
    assert sorted(vocabulary.number(word) for word in known) == list(range(2, len(vocabulary)))
    for words_ in corpus:
        assert [vocabulary.words[number - 2] for number in vocabulary.encode(words_)] == words_


def test_words_that_only_test_films_have_are_unknown() -> None:
    vocabulary = Vocabulary.fit([["wolf", "city"], ["wolf", "city"]])
    assert vocabulary.encode(["wolf", "spaceship", "city"]) == [2 + 1, UNKNOWN, 2]
    assert "spaceship" not in vocabulary


def test_the_most_frequent_come_first_and_rare_words_are_left_to_unknown() -> None:
    vocabulary = Vocabulary.fit([["b", "a", "c", "c"], ["c", "b", "a", "once"]])
    assert vocabulary.words == ("c", "a", "b")
    assert len(vocabulary) == 5


@given(texts)
def test_a_vocabulary_survives_json(corpus: list[list[str]]) -> None:
    vocabulary = Vocabulary.fit(corpus, min_count=1)
    assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary


@pytest.mark.parametrize("damaged", [{}, {"words": "wolf"}, {"words": [1]}, {"words": ["a", "a"]}])
def test_a_damaged_vocabulary_is_refused(damaged: dict) -> None:
    with pytest.raises(VocabularyError):
        Vocabulary.from_json(damaged)


@given(st.lists(st.lists(st.integers(1, 99), max_size=9), max_size=6), st.none() | st.integers(0, 12))
def test_padding_keeps_every_word_in_order_and_adds_only_zeros(
    sequences: list[list[int]], length: int | None
) -> None:
    numbers, lengths = pad(sequences, length)
    for row, sequence in enumerate(sequences):
        kept = sequence if length is None else sequence[:length]
        assert numbers[row, : lengths[row]].tolist() == kept
        assert (numbers[row, lengths[row] :] == PADDING).all()
    assert numbers.shape == (
        len(sequences),
        max(map(len, sequences), default=0) if length is None else length,
    )
    assert numbers.dtype == lengths.dtype == np.int64


def test_a_sequence_is_as_long_as_its_words_are_many() -> None:
    """The article padded to 868, which is how many characters its longest overview has."""
    overview = "Ghosts and wolves running in the dark city"
    words_ = clean(overview)
    numbers, lengths = pad([Vocabulary.fit([words_], min_count=1).encode(words_)])
    assert lengths.tolist() == [5]
    assert numbers.shape == (1, 5)
    assert len(overview) > 40
