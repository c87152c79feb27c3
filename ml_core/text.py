"""The article's way from an overview to numbers: cleaning, vocabulary, padding.

Cleaning needs two corpora of NLTK's, its English stop words and WordNet, which are data and not part of the package.
Only the article's network reads text this way; the site's own model never needs them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

PADDING = 0
UNKNOWN = 1
_FIRST_WORD = 2

# With a scheme, with www, or a bare name under the domains that overviews mention.
_URL = re.compile(r"(?:https?://|www\.)\S+|\b[\w.-]{1,200}\.(?:com|org|net)\b(?:/\S*)?", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'"))


class CorpusMissing(RuntimeError):  # noqa: N818 - the state of the machine, not a fault of the program
    """A corpus of NLTK's is not on this machine, or not whole; the message says how to get it."""


class VocabularyError(ValueError):
    """A saved vocabulary that is damaged."""


def clean(text: str) -> list[str]:
    """A text's words as the article counts them: lower case, without punctuation, figures and stop words, as lemmas.

    URLs go first, or their pieces would count as words. Accents are folded ("Amélie" is "amelie"). Contractions are
    compared with the stop words before they are taken apart, so that "he'll" goes and "hell" stays. Lemmas are those
    of nouns, the lemmatizer's own choice and the article's ("wolves" is "wolf", "running" stays).

    Raises:
        CorpusMissing: see ``require_corpora``.
    """
    return _cleaner()(text)


def require_corpora() -> None:
    """Make sure that ``clean`` can work, before any work starts.

    Raises:
        CorpusMissing: the stop words or WordNet are found neither in the folders of ``NLTK_DATA`` nor where
            ``nltk.download`` puts them.
    """
    _cleaner()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that a network knows; ``words[i]`` has number ``i + 2``, after padding (0) and unknown (1)."""

    words: tuple[str, ...]
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = {word: number for number, word in enumerate(self.words, start=_FIRST_WORD)}
        if len(numbers) != len(self.words):
            raise VocabularyError("a word stands twice in the vocabulary")
        object.__setattr__(self, "_numbers", numbers)

    @classmethod
    def fit(cls, texts: Iterable[Sequence[str]], *, min_count: int = 2) -> Vocabulary:
        """The words that occur at least ``min_count`` times in cleaned texts, the most frequent first.

        Give it the train part and nothing else: a word that only test films have must be unknown to the network, as
        the words of tomorrow's films will be. Words below ``min_count`` are what "unknown" is learnt from.
        """
        counts = Counter(word for text in texts for word in text)
        kept = (word for word, count in counts.items() if count >= min_count)
        return cls(tuple(sorted(kept, key=lambda word: (-counts[word], word))))

    def __len__(self) -> int:
        """Rows of an embedding matrix: the words, padding and unknown."""
        return len(self.words) + _FIRST_WORD

    def __contains__(self, word: object) -> bool:
        return word in self._numbers

    def number(self, word: str) -> int:
        """The word's number, 1 if it is not known."""
        return self._numbers.get(word, UNKNOWN)

    def encode(self, words: Sequence[str]) -> list[int]:
        """One number for each word, in order."""
        return [self._numbers.get(word, UNKNOWN) for word in words]

    def to_json(self) -> dict[str, Any]:
        """What ``from_json`` reads back."""
        return {"words": list(self.words)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Vocabulary:
        """A vocabulary out of an artifact.

        Raises:
            VocabularyError: there is no list of different words.
        """
        words = saved.get("words")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise VocabularyError("a vocabulary is saved as a list of words")
        return cls(tuple(words))


def pad(
    sequences: Sequence[Sequence[int]], length: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sequences of word numbers as one array, zeros after each one's end, and how long each is.

    Lengths count words (the article padded to 868, its longest overview in characters). A sequence longer than
    ``length`` keeps its first words; without ``length`` the longest sequence sets it.

    Returns:
        numbers ``(n, length)``, and lengths ``(n,)``, each between 0 and ``length``.
    """
    if length is None:
        length = max((len(sequence) for sequence in sequences), default=0)
    numbers = np.full((len(sequences), length), PADDING, dtype=np.int64)
    lengths = np.array([min(len(sequence), length) for sequence in sequences], dtype=np.int64)
    for row, sequence in enumerate(sequences):
        numbers[row, : lengths[row]] = sequence[:length]
    return numbers, lengths


@cache
def _cleaner() -> Callable[[str], list[str]]:
    """``clean`` with both corpora in memory."""
    stop_words, lemma_of = _stop_words(), _noun_lemmas()

    @cache
    def pieces(word: str) -> tuple[str, ...]:
        if word in stop_words:
            return ()
        return tuple(lemma_of(piece) for piece in word.split("'") if piece not in stop_words)

    def clean_text(text: str) -> list[str]:
        folded = unicodedata.normalize("NFKD", _URL.sub(" ", text).translate(_APOSTROPHES)).lower()
        letters = "".join(c for c in folded if not unicodedata.combining(c))
        return [piece for word in _WORD.findall(letters) for piece in pieces(word)]

    return clean_text


def _stop_words() -> frozenset[str]:
    from nltk.corpus import stopwords

    with _missing_unless_loaded("stopwords"):
        return frozenset(stopwords.words("english"))


def _noun_lemmas() -> Callable[[str], str]:
    from nltk.stem import WordNetLemmatizer

    lemma_of: Callable[[str], str] = WordNetLemmatizer().lemmatize
    with _missing_unless_loaded("wordnet"):
        lemma_of("films")
    return lemma_of


@contextmanager
def _missing_unless_loaded(corpus: str) -> Iterator[None]:
    from nltk.corpus.reader.wordnet import WordNetError

    try:
        yield
    except (LookupError, OSError, WordNetError) as error:
        raise CorpusMissing(
            f"NLTK's corpus {corpus!r} is missing or not whole. Either run\n"
            f"    python -c \"import nltk; nltk.download('{corpus}')\"\n"
            "or set NLTK_DATA to a folder that has it under corpora/. Only the article's network (lstm_cnn) needs it."
        ) from error
