"""What the encoders make of the films of a snapshot, computed once and mapped from disk afterwards.

A cache file is named by the snapshot's hash, the encoder's, the films and the settings that shape its output, so that
none is ever read for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml_core.array_cache import HalfArray, cached_array
from ml_core.devices import autocast
from ml_core.film_texts import FilmTexts
from ml_core.networks.image import POSTERS_ON_CPU, ImageEncoder
from ml_core.networks.sentence import SentenceEncoder, pad_tokens
from ml_core.poster_views import encode_views
from ml_core.posters import DecodedPosters
from ml_core.stopping import stop_if_asked
from ml_core.training import Progress, Rows, shuffled

_TEXT_BATCH, _POSTER_BATCH = 64, 32
_TELL_EVERY = 64  # batches


@dataclass(frozen=True, slots=True)
class FilmFeatures:
    """Encoder outputs for films of a snapshot, by row of the snapshot; rows that were not asked for are zeros.

    ``whole`` and ``titles`` are ``(films, 384)``: of all of a film's text, and of title and tagline alone. ``posters`` is
    ``(films, width)``.
    """

    whole: HalfArray
    titles: HalfArray
    posters: HalfArray
    has_title: NDArray[np.bool_]
    has_overview: NDArray[np.bool_]
    has_poster: NDArray[np.bool_]


def film_features(
    texts: FilmTexts,
    posters: DecodedPosters,
    sentence_encoder: SentenceEncoder,
    image_encoder: ImageEncoder,
    *,
    rows: Rows,
    snapshot_sha256: str,
    cache_dir: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> FilmFeatures:
    """Encode the texts and posters of those films, or map what was encoded before."""
    films = len(posters.places)
    shown = [rows, *(mask[rows] for mask in (texts.has_title, texts.has_overview, posters.usable))]
    digest = hashlib.sha256(b"".join(part.tobytes() for part in shown)).hexdigest()
    of = f"{snapshot_sha256[:16]}-{digest[:8]}"
    text_key = f"{of}-{state_sha256(sentence_encoder)[:16]}"
    height, width = posters.pixels.shape[2:]
    poster_key = f"{of}-{state_sha256(image_encoder)[:16]}-{height}x{width}"

    def encoded(name: str, overview: bool) -> HalfArray:
        def fill(out: HalfArray) -> None:
            tokens = [texts.shown(row, overview=overview) for row in rows.tolist()]
            _encode_texts(tokens, rows, sentence_encoder, out, device=device, progress=progress, name=name)

        path = cache_dir / f"vectors-{name}-{text_key}.npy"
        return cached_array(path, (films, sentence_encoder.width), fill)

    return FilmFeatures(
        whole=encoded("texts", True),
        titles=encoded("titles", False),
        posters=cached_array(
            cache_dir / f"poster-features-{poster_key}.npy",
            (films, image_encoder.width),
            lambda out: _encode_posters(posters, rows, image_encoder, out, device=device, progress=progress),
        ),
        has_title=texts.has_title,
        has_overview=texts.has_overview,
        has_poster=posters.usable,
    )


def token_vectors(
    tokens: list[list[int]],
    encoder: SentenceEncoder,
    *,
    cache_dir: Path,
    device: torch.device,
    name: str,
    progress: Progress | None = None,
) -> HalfArray:
    """What the sentence encoder makes of those texts, ``(texts, 384)``, computed or mapped; ``name`` is what they are called."""
    digest = hashlib.sha256(repr(tokens).encode()).hexdigest()
    return cached_array(
        cache_dir / f"vectors-{name.replace(' ', '-')}-{digest[:16]}-{state_sha256(encoder)[:16]}.npy",
        (len(tokens), encoder.width),
        lambda out: _encode_texts(
            tokens, np.arange(len(tokens)), encoder, out, device=device, progress=progress, name=name
        ),
    )


def poster_features(
    posters: DecodedPosters,
    rows: Rows,
    encoder: ImageEncoder,
    *,
    closely: bool,
    snapshot_sha256: str,
    cache_dir: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> HalfArray:
    """What the image encoder makes of those films' posters, ``(rows, width)``, computed or mapped: once each, or ``closely``, as the mean of
    several views (:mod:`ml_core.poster_views`). Every one of the films must have a usable poster.
    """
    height, width = posters.pixels.shape[2:]
    digest = hashlib.sha256(rows.tobytes()).hexdigest()
    named = f"{snapshot_sha256[:16]}-{digest[:8]}-{state_sha256(encoder)[:16]}-{height}x{width}"
    places: Rows = np.arange(len(rows))

    def encode(some: Rows) -> Tensor:
        pixels = torch.from_numpy(posters.batch(rows[some])).to(device)
        features: Tensor = encode_views(encoder, pixels) if closely else encoder(pixels)
        return features

    def fill(out: HalfArray) -> None:
        encoder.to(device).eval()
        _in_batches(
            places,
            places,
            POSTERS_ON_CPU if closely else _POSTER_BATCH,
            encode,
            out,
            device=device,
            progress=progress,
            stage="encode views of posters" if closely else "encode posters",
        )

    path = cache_dir / f"{'views' if closely else 'posters'}-{named}.npy"
    return cached_array(path, (len(rows), encoder.width), fill)


def state_sha256(module: nn.Module) -> str:
    """SHA-256 over a module's weights, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _encode_texts(
    tokens: list[list[int]],
    rows: Rows,
    encoder: SentenceEncoder,
    out: HalfArray,
    *,
    device: torch.device,
    progress: Progress | None,
    name: str,
) -> None:
    # The longest first: what their states free is then large enough for all that follows.
    order: Rows = np.argsort([-len(ids) for ids in tokens], kind="stable")

    def encode(some: Rows) -> Tensor:
        padded, lengths = pad_tokens([tokens[place] for place in some.tolist()])
        vectors: Tensor = encoder(padded.to(device), None if lengths is None else lengths.to(device))
        return vectors

    encoder.to(device).eval()
    _in_batches(
        order, rows, _TEXT_BATCH, encode, out, device=device, progress=progress, stage=f"encode {name}"
    )


def _encode_posters(
    posters: DecodedPosters,
    rows: Rows,
    encoder: ImageEncoder,
    out: HalfArray,
    *,
    device: torch.device,
    progress: Progress | None,
) -> None:
    usable = rows[posters.usable[rows]]

    def encode(some: Rows) -> Tensor:
        pixels = torch.from_numpy(posters.batch(usable[some])).to(device)
        features: Tensor = encoder(pixels)
        return features

    encoder.to(device).eval()
    order: Rows = np.arange(len(usable))
    _in_batches(
        order, usable, _POSTER_BATCH, encode, out, device=device, progress=progress, stage="encode posters"
    )


def _in_batches(
    order: Rows,
    rows: Rows,
    size: int,
    encode: Callable[[Rows], Tensor],
    out: HalfArray,
    *,
    device: torch.device,
    progress: Progress | None,
    stage: str,
) -> None:
    """Fill ``out[rows[order]]`` with what ``encode`` makes of batches of places in ``rows``."""
    with torch.inference_mode(), autocast(device):
        for number, start in enumerate(range(0, len(order), size), 1):
            stop_if_asked()
            some = order[start : start + size]
            out[rows[some]] = encode(some).float().cpu().numpy()
            if progress is not None and (number % _TELL_EVERY == 0 or start + size >= len(order)):
                progress({"stage": stage, "done": start + len(some), "total": len(order)})


class FeatureSource:
    """Batches of encoder outputs for the fusion network, with modality dropout in training.

    Each film is shown with all it has most of the time, and else without its poster, without its overview (title
    alone), or as its bare poster, so that each of these is answered by a network that was trained on it.
    """

    def __init__(
        self,
        features: FilmFeatures,
        *,
        no_poster: float = 0.2,
        no_overview: float = 0.1,
        no_text: float = 0.2,
    ) -> None:
        self.features = features
        self.shares = np.cumsum([no_poster, no_overview, no_text])

    def order(self, rows: Rows, *, batch_size: int, generator: np.random.Generator) -> list[Rows]:
        """Shuffled batches."""
        return shuffled(rows, batch_size=batch_size, generator=generator)

    def inputs(self, rows: Rows, *, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """Text features, has text, has overview, poster features, has poster."""
        has_poster = self.features.has_poster[rows]
        has_overview = self.features.has_overview[rows]
        has_text = has_overview | self.features.has_title[rows]
        if generator is not None:
            draw = torch.rand(len(rows), generator=generator).numpy()
            first, second, third = self.shares
            has_poster = has_poster & ~((draw < first) & has_text)
            has_overview = has_overview & ~((draw >= first) & (draw < second) & self.features.has_title[rows])
            has_text = has_text & ~((draw >= second) & (draw < third) & has_poster)
        return self.given(
            rows, has_text=has_text, has_overview=has_overview & has_text, has_poster=has_poster
        )

    def given(
        self,
        rows: Rows,
        *,
        has_text: NDArray[np.bool_],
        has_overview: NDArray[np.bool_],
        has_poster: NDArray[np.bool_],
    ) -> tuple[Tensor, ...]:
        """The same five tensors with exactly these inputs shown; each mask is ``(len(rows),)``."""
        text = np.where(has_overview[:, None], self.features.whole[rows], self.features.titles[rows])
        return (
            torch.from_numpy(text.astype(np.float32)),
            torch.from_numpy(has_text),
            torch.from_numpy(has_overview),
            torch.from_numpy(
                np.where(has_poster[:, None], self.features.posters[rows], 0).astype(np.float32)
            ),
            torch.from_numpy(has_poster),
        )
