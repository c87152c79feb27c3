"""Word vectors for the article's network: Word2Vec trained on the train part's overviews, or Google's.

The article starts its embedding from ``GoogleNews-vectors-negative300.bin`` (Mikolov et al., "Distributed
Representations of Words and Phrases and their Compositionality", 2013). That file is 3.6 GB and in few hands, so
without it the vectors are learnt from the overviews themselves.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ml_core.text import PADDING, Vocabulary

WORD_VECTOR_SIZE = 300

WordVectors = Mapping[str, NDArray[np.float32]]

# Longer than any of Google's phrases; what does not end by then is not a word.
_LONGEST_WORD = 1000


class WordVectorsError(ValueError):
    """A file of word vectors that cannot be read, or that has vectors of another size."""


def train_word_vectors(
    texts: Sequence[Sequence[str]],
    *,
    size: int = WORD_VECTOR_SIZE,
    window: int = 5,
    min_count: int = 2,
    epochs: int = 10,
    seed: int = 0,
) -> dict[str, NDArray[np.float32]]:
    """Word2Vec (skip-gram with negative sampling) learnt from cleaned texts of the train part: word -> ``(size,)``.

    The same texts and seed give the same vectors in any process: one thread, and a hash of words that does not
    depend on PYTHONHASHSEED. Texts without a word frequent enough give no vectors.
    """
    from gensim.models import Word2Vec

    model = Word2Vec(
        vector_size=size, window=window, min_count=min_count, sg=1, seed=seed, workers=1, hashfxn=_stable_hash
    )
    model.build_vocab(texts)
    if len(model.wv) == 0:
        return {}
    model.train(texts, total_examples=model.corpus_count, epochs=epochs)
    return {word: model.wv.vectors[row] for word, row in model.wv.key_to_index.items()}


def read_word_vectors(path: Path, vocabulary: Vocabulary) -> dict[str, NDArray[np.float32]]:
    """The vocabulary's words out of a file in word2vec's binary format, such as Google's (``.bin`` or ``.bin.gz``).

    Reads once through the file and keeps only what is asked for, so 3.6 GB of vectors need a few dozen MB.

    Raises:
        WordVectorsError: the file is not in that format, or ends early.
        OSError: it cannot be opened.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            words, size = (int(number) for number in file.readline(64).split())
        except ValueError as error:
            raise WordVectorsError(
                f"{path}: no word2vec file: the first line must give two counts"
            ) from error
        if words < 1 or not 1 <= size <= 4096:
            raise WordVectorsError(f"{path}: no word2vec file: {words} words of {size} numbers")
        return {word: vector for word, vector in _entries(file, path, words, size) if word in vocabulary}


def embedding_matrix(
    vocabulary: Vocabulary, vectors: WordVectors, *, size: int = WORD_VECTOR_SIZE, seed: int = 0
) -> NDArray[np.float32]:
    """Rows for ``torch.nn.Embedding``, shape ``(len(vocabulary), size)``: row n is the vector of word number n.

    Padding is zero. Unknown is the mean of the vectors; a word without a vector is drawn at random with the spread
    that the vectors have, so that it starts as far from the others as they are from each other. The draw depends on
    the word and the seed alone.

    Raises:
        WordVectorsError: a vector does not have ``size`` numbers.
    """
    known = [word for word in vocabulary.words if word in vectors]
    for word in known:
        if vectors[word].shape != (size,):
            raise WordVectorsError(f"the vector of {word!r} has shape {vectors[word].shape}, not ({size},)")
    found = np.array([vectors[word] for word in known], dtype=np.float32).reshape(-1, size)
    centre = found.mean(axis=0) if known else np.zeros(size, dtype=np.float32)
    # The spread of a Word2Vec before its first step, where there is nothing to measure it by.
    spread = float(found.std()) if known else 0.5 / size
    matrix = np.tile(centre, (len(vocabulary), 1)).astype(np.float32)
    matrix[PADDING] = 0
    for word in vocabulary.words:
        if word in vectors:
            matrix[vocabulary.number(word)] = vectors[word]
        else:
            random = np.random.default_rng([seed, _stable_hash(word)])
            matrix[vocabulary.number(word)] = random.normal(0, spread, size)
    return matrix


def _entries(
    file: BinaryIO | gzip.GzipFile, path: Path, words: int, size: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for entry in range(words):
        word = bytearray()
        while (byte := file.read(1)) != b" ":
            if not byte or len(word) > _LONGEST_WORD:
                raise WordVectorsError(f"{path}: damaged at word {entry + 1} of {words}")
            word += byte
        numbers = file.read(4 * size)
        if len(numbers) < 4 * size:
            raise WordVectorsError(f"{path}: ends within word {entry + 1} of {words}")
        # Some writers end each entry with a line feed, which then stands before the next word.
        yield (
            word.lstrip(b"\n").decode("utf-8", "replace"),
            np.frombuffer(numbers, dtype="<f4").astype(np.float32),
        )


def _stable_hash(word: str) -> int:
    return zlib.crc32(word.encode())
