"""Predictions out of an artifact: films in, calibrated probabilities and embeddings out.

A batch is worked through in slices of constant size, so memory does not grow with it; the posters of the next slice are
decoded in threads while the encoders work on this one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from ml_core.artifact import WEIGHTS_FILE, ArtifactDescription, ArtifactError
from ml_core.calibration import Calibration, CalibrationError, calibration_from_json
from ml_core.devices import choose_device, keep_freed_memory
from ml_core.inputs import INPUT_SETS, Input, input_set, tidy
from ml_core.networks import UnknownNetworkError, network
from ml_core.networks.fusion import EMBEDDING_WIDTH
from ml_core.networks.pretrained import EncoderError
from ml_core.poster_text import PosterReader, shared_reader
from ml_core.posters import Pixels, PosterError, decode_poster
from ml_core.scorers import FilmText, Scorer, Shown
from ml_core.thresholds import DEFAULT_THRESHOLD

Floats = NDArray[np.float32]

# Films in a slice: enough for full batches of like length, and at most 30 MB of decoded posters.
_SLICE = 256
# Probabilities nearer to 0 or 1 than this are single-precision rounding: their log-odds are bounded by 14.
_SURE = 1e-6


@dataclass(frozen=True, slots=True)
class FilmInput:
    """What a prediction reads of a film; what is absent is '' or ``None``. Networks may leave the tagline unread."""

    title: str
    overview: str
    tagline: str = ""
    poster: bytes | None = None


@dataclass(frozen=True, slots=True)
class BatchPrediction:
    """Predictions for ``n`` films, columns in the order of the artifact's ``label_ids``.

    ``probabilities`` ``(n, 18)`` are calibrated and rest on ``inputs_used``; ``overview_probabilities`` rest on title
    and overview, NaN in rows without overview; ``poster_probabilities`` on the poster alone, NaN in rows without a
    usable one. Where a film comes with nothing but its poster and the model reads posters, ``poster_texts`` has what is written on
    it, and both its probabilities rest on that and the picture; elsewhere nothing is read ('') and ``poster_probabilities`` rest
    on the picture. ``predicted`` ``(n, 18)`` compares ``probabilities`` with ``thresholds`` ``(n, 18)``, those of the inputs
    used. ``embeddings`` ``(n, 256)`` have length one, or are zero for a film with no input at all, which gets the
    genres' prior. ``poster_errors`` says why a poster that was given could not be used.
    """

    probabilities: Floats
    overview_probabilities: Floats
    poster_probabilities: Floats
    embeddings: Floats
    predicted: NDArray[np.bool_]
    thresholds: Floats
    inputs_used: list[tuple[Input, ...]]
    poster_errors: list[str | None]
    poster_texts: list[str]


class Predictor:
    """A model in memory, ready to predict. Made by :meth:`load`; not to be shared between threads."""

    def __init__(
        self, description: ArtifactDescription, scorer: Scorer, reader: PosterReader | None = None
    ) -> None:
        self.description = description
        self.label_ids = description.label_ids
        self._scorer = scorer
        self._thresholds = {
            name: np.asarray(vector, dtype=np.float32) for name, vector in description.thresholds.items()
        }
        try:
            saved = description.config["calibration"]
            self._calibrations: dict[str, Calibration] = {
                name: calibration_from_json(saved[name]) for name in INPUT_SETS
            }
            # What a poster says beside a text is neither read nor looked at closely; other models never do so.
            self._calibrations["picture"] = calibration_from_json(saved.get("picture", saved["poster"]))
            self._prior = np.asarray(description.config["prior"], dtype=np.float32)
        except (KeyError, TypeError, ValueError, CalibrationError) as error:
            raise ArtifactError(f"{description.folder / 'config.json'}: {error!r}") from error
        self._pool = ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="decode")
        self._reader = reader or shared_reader()

    @classmethod
    def load(
        cls, folder: Path | str, *, device: str | None = None, reader: PosterReader | None = None
    ) -> Self:
        """Verify an artifact and put its model on a device (the first GPU, or the CPU). ``reader`` is for who has one already.

        Raises :class:`ArtifactError` when it is damaged, or stands on pretrained weights other than those installed.
        """
        description = ArtifactDescription.read(folder)
        keep_freed_memory()
        try:
            weights = load_file(description.folder / WEIGHTS_FILE)
            scorer = network(description.network).load_scorer()(description, weights, choose_device(device))
        except (SafetensorError, UnknownNetworkError, EncoderError) as error:
            raise ArtifactError(f"{description.folder}: {error}") from error
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, ArtifactError):
                raise
            raise ArtifactError(
                f"{description.folder}: weights and configuration do not fit ({error})"
            ) from error
        return cls(description, cast(Scorer, scorer), reader)

    def thresholds_for(self, inputs: Sequence[Input]) -> Floats:
        """The thresholds ``(18,)`` that hold for those inputs; 0.5 where there is none."""
        name = input_set(inputs)
        return self._thresholds[name] if name else np.full(len(self.label_ids), DEFAULT_THRESHOLD, np.float32)

    @property
    def scorer(self) -> Scorer:
        """The network itself, for those who ask it about variants of a film."""
        return self._scorer

    def log_odds(
        self, logits: Floats, inputs: Sequence[tuple[Input, ...]], *, bare: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Calibrated log-odds ``(n, 18)`` of logits that rest on those inputs; the prior's where there is no input.

        ``bare`` ``(n,)`` says where a poster was looked at closely and read, as that of a film that comes with nothing else.
        """
        probabilities = self._calibrate_by_set(logits, list(inputs), bare=bare).astype(np.float64)
        bounded = np.clip(probabilities, _SURE, 1 - _SURE)
        return np.log(bounded) - np.log1p(-bounded)

    def predict(self, films: Sequence[FilmInput]) -> BatchPrediction:
        """Predict every film, whatever it has. A poster that cannot be used is told in ``poster_errors``, not raised."""
        slices = [films[start : start + _SLICE] for start in range(0, len(films), _SLICE)]
        ahead = [self._decode(slices[0])] if slices else []
        parts = []
        for number, some in enumerate(slices):
            decoding = ahead.pop()
            if number + 1 < len(slices):
                ahead.append(self._decode(slices[number + 1]))
            parts.append(self._predict_slice(some, decoding))
        return _join(parts, len(self.label_ids))

    def _decode(self, films: Sequence[FilmInput]) -> list[Future[Pixels | PosterError | None]]:
        size = self._scorer.poster_size
        return [self._pool.submit(_attempt, film.poster, size) for film in films]

    def _predict_slice(
        self, films: Sequence[FilmInput], decoding: list[Future[Pixels | PosterError | None]]
    ) -> BatchPrediction:
        texts = [FilmText(tidy(film.title), tidy(film.overview), tidy(film.tagline)) for film in films]
        posters = [future.result() for future in decoding]
        has_poster = np.array(
            ["poster" in self._scorer.reads and isinstance(poster, np.ndarray) for poster in posters]
        )
        pixels = [poster for poster in posters if isinstance(poster, np.ndarray)] if has_poster.any() else []
        reads = self._scorer.reads
        has_title = np.array(["title" in reads and bool(film.title) for film in texts])
        has_overview = np.array(["overview" in reads and bool(film.overview) for film in texts])
        has_text = has_title | has_overview
        bare = has_poster & ~has_text & self._scorer.reads_poster_text
        poster = self._scorer.encode_posters(pixels, has_poster, bare)
        poster_texts = self._read(films, bare)
        has_read = np.array([bool(read) for read in poster_texts], dtype=np.bool_)
        text = self._scorer.encode_texts(
            [FilmText(read, "") if read else given for read, given in zip(poster_texts, texts, strict=True)]
        )
        nothing = np.zeros(len(films), dtype=np.bool_)
        shown = Shown(has_text, has_overview, has_poster, closely=bare, read=has_read)
        logits, embeddings = self._scorer.score(text, poster, shown)
        overview_logits, _ = self._scorer.score(text, poster, Shown(has_overview, has_overview, nothing))
        poster_logits, _ = self._scorer.score(text, poster, Shown(nothing, nothing, has_poster))
        used = [
            _inputs(title=title, overview=overview, poster=seen)
            for title, overview, seen in zip(has_title, has_overview, has_poster, strict=True)
        ]
        probabilities = self._calibrate_by_set(logits, used, bare=bare)
        poster_probabilities = self._calibrate(poster_logits, "picture", has_poster)
        poster_probabilities[bare] = probabilities[bare]
        thresholds = np.stack([self.thresholds_for(inputs) for inputs in used])
        embeddings[~(has_text | has_poster)] = 0.0
        return BatchPrediction(
            probabilities=probabilities,
            overview_probabilities=self._calibrate(overview_logits, "overview", has_overview),
            poster_probabilities=poster_probabilities,
            embeddings=embeddings,
            predicted=probabilities >= thresholds,
            thresholds=thresholds,
            inputs_used=used,
            poster_errors=[str(poster) if isinstance(poster, PosterError) else None for poster in posters],
            poster_texts=poster_texts,
        )

    def _read(self, films: Sequence[FilmInput], bare: NDArray[np.bool_]) -> list[str]:
        """What is written on the posters of those films that come with nothing else, '' for all others."""
        texts = [""] * len(films)
        rows = np.flatnonzero(bare).tolist()
        for row, text in zip(
            rows, self._reader.read_all([films[row].poster or b"" for row in rows]), strict=True
        ):
            texts[row] = text
        return texts

    def _calibrate(self, logits: Floats, name: str, rows: NDArray[np.bool_]) -> Floats:
        """Calibrated probabilities in those rows, NaN in the others."""
        probabilities = np.full_like(logits, np.nan)
        if rows.any():
            probabilities[rows] = self._calibrations[name].apply(logits[rows])
        return probabilities

    def _calibrate_by_set(
        self, logits: Floats, used: list[tuple[Input, ...]], *, bare: NDArray[np.bool_]
    ) -> Floats:
        names = np.array([input_set(inputs) or "" for inputs in used], dtype="<U20")
        names[(names == "poster") & ~bare] = "picture"
        probabilities = np.broadcast_to(self._prior, logits.shape).astype(np.float32)
        for name in self._calibrations:
            rows = names == name
            if rows.any():
                probabilities[rows] = self._calibrations[name].apply(logits[rows])
        return probabilities


def _attempt(poster: bytes | None, size: tuple[int, int]) -> Pixels | PosterError | None:
    if poster is None:
        return None
    try:
        return decode_poster(poster, size)
    except PosterError as error:
        return error


def _inputs(*, title: bool, overview: bool, poster: bool) -> tuple[Input, ...]:
    present: list[tuple[Input, bool]] = [("title", title), ("overview", overview), ("poster", poster)]
    return tuple(name for name, there in present if there)


def _join(parts: list[BatchPrediction], labels: int) -> BatchPrediction:
    """Slices one after the other; also for no film at all."""

    def joined(name: str) -> list[Any]:
        return [value for part in parts for value in getattr(part, name)]

    def stack(name: str, width: int, kind: type[np.generic]) -> NDArray[Any]:
        return np.concatenate([np.zeros((0, width), kind), *(getattr(part, name) for part in parts)])

    return BatchPrediction(
        probabilities=stack("probabilities", labels, np.float32),
        overview_probabilities=stack("overview_probabilities", labels, np.float32),
        poster_probabilities=stack("poster_probabilities", labels, np.float32),
        embeddings=stack("embeddings", EMBEDDING_WIDTH, np.float32),
        predicted=stack("predicted", labels, np.bool_),
        thresholds=stack("thresholds", labels, np.float32),
        inputs_used=joined("inputs_used"),
        poster_errors=joined("poster_errors"),
        poster_texts=joined("poster_texts"),
    )
