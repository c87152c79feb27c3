from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml_core.text import PADDING, UNKNOWN, Vocabulary
from ml_core.word_vectors import (
    WordVectorsError,
    embedding_matrix,
    read_word_vectors,
    train_word_vectors,
)

SIZE = 4
words = st.text("abc", min_size=1, max_size=3)
vectors = st.dictionaries(words, arrays(np.float32, SIZE, elements=st.floats(-2, 2, width=32)), max_size=8)


def word2vec_file(path: Path, entries: dict[str, np.ndarray], *, line_feeds: bool = False) -> Path:
    """A file in the binary format of Google's vectors, which word2vec.c defines."""
    body = b"".join(
        word.encode() + b" " + vector.astype("<f4").tobytes() + (b"\n" if line_feeds else b"")
        for word, vector in entries.items()
    )
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as file:
        file.write(f"{len(entries)} {SIZE}\n".encode() + body)
    return path


@given(st.lists(words, max_size=12), vectors)
def test_each_word_gets_its_own_vector(corpus: list[str], known: dict[str, np.ndarray]) -> None:
    """The article gave each word the next word's: its tokenizer counts from 1, and it filled rows from 0."""
    vocabulary = Vocabulary.fit([corpus], min_count=1)
    matrix = embedding_matrix(vocabulary, known, size=SIZE)
    assert matrix.shape == (len(vocabulary), SIZE)
    assert matrix.dtype == np.float32
    for word in vocabulary.words:
        if word in known:
            np.testing.assert_array_equal(matrix[vocabulary.number(word)], known[word])
    assert (matrix[PADDING] == 0).all()
    assert np.isfinite(matrix).all()


def test_unknown_is_the_middle_of_the_vectors_and_a_word_without_one_starts_among_them() -> None:
    known = {word: np.full(SIZE, value, np.float32) for word, value in (("wolf", 1.0), ("city", 3.0))}
    vocabulary = Vocabulary(("wolf", "city", "ghost", "child"))
    matrix = embedding_matrix(vocabulary, known, size=SIZE)
    assert matrix[UNKNOWN] == pytest.approx(2.0)
    ghost, child = matrix[vocabulary.number("ghost")], matrix[vocabulary.number("child")]
    assert ghost.any()
    assert (ghost != child).all()
    # Whichever other words there are, a word is drawn the same.
    other = embedding_matrix(Vocabulary(("ghost", "wolf", "city")), known, size=SIZE)
    np.testing.assert_array_equal(other[2], ghost)


def test_vectors_of_another_size_are_refused() -> None:
    with pytest.raises(WordVectorsError, match="wolf"):
        embedding_matrix(Vocabulary(("wolf",)), {"wolf": np.zeros(3, np.float32)}, size=SIZE)


@pytest.mark.parametrize("name", ["google.bin", "google.bin.gz"])
@pytest.mark.parametrize("line_feeds", [False, True])
def test_only_the_vocabularys_words_are_read_from_googles_file(
    tmp_path: Path, name: str, line_feeds: bool
) -> None:
    entries = {
        word: np.arange(i, i + SIZE, dtype=np.float32)
        for i, word in enumerate(("in", "wolf", "ünter", "city"))
    }
    read = read_word_vectors(
        word2vec_file(tmp_path / name, entries, line_feeds=line_feeds), Vocabulary(("city", "wolf", "absent"))
    )
    assert set(read) == {"wolf", "city"}
    for word, vector in read.items():
        np.testing.assert_array_equal(vector, entries[word])


def test_gensim_reads_the_same_from_such_a_file(tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    entries = {"wolf": np.array([0.5, -1, 2, 3], np.float32), "city": np.array([9, 8, 7, 6], np.float32)}
    path = word2vec_file(tmp_path / "google.bin", entries)
    theirs = KeyedVectors.load_word2vec_format(path, binary=True)
    for word, vector in read_word_vectors(path, Vocabulary(("wolf", "city"))).items():
        np.testing.assert_array_equal(vector, theirs[word])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a word2vec file\n",
        b"2 -4\n",
        b"2 4\nwolf " + b"\0" * 16,
        b"1 4\nwolf \0\0",
        b"1 4\n" + b"w" * 5000,
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.bin"
    path.write_bytes(content)
    with pytest.raises(WordVectorsError, match=r"damaged\.bin"):
        read_word_vectors(path, Vocabulary(("wolf",)))


def corpus() -> list[list[str]]:
    """Two kinds of film whose words never meet."""
    random = np.random.default_rng(0)
    topics = [["wolf", "ghost", "dark", "blood", "scream"], ["love", "wedding", "dance", "paris", "kiss"]]
    return [random.permutation(topics[i % 2]).tolist() for i in range(400)]


def test_words_that_keep_company_end_up_near_each_other() -> None:
    learnt = train_word_vectors(corpus(), size=16, epochs=60)

    def likeness(a: str, b: str) -> float:
        return float(learnt[a] @ learnt[b] / np.linalg.norm(learnt[a]) / np.linalg.norm(learnt[b]))

    assert likeness("wolf", "ghost") > likeness("wolf", "wedding") + 0.1
    assert likeness("love", "kiss") > likeness("kiss", "blood") + 0.1


def test_the_same_texts_and_seed_give_the_same_vectors_in_any_process() -> None:
    program = (
        "from ml_core.word_vectors import train_word_vectors\n"
        "texts = [['wolf', 'ghost', 'dark'], ['love', 'paris', 'dark']] * 30\n"
        "vectors = train_word_vectors(texts, size=8, epochs=2, seed=5)\n"
        "print({word: vector.tobytes().hex() for word, vector in sorted(vectors.items())})"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert "wolf" in printed.pop()


def test_too_little_text_gives_no_vectors_and_the_network_starts_at_random() -> None:
    assert train_word_vectors([["wolf"], []]) == {}
    matrix = embedding_matrix(Vocabulary(("wolf",)), {}, size=SIZE)
    assert matrix[2].any()
