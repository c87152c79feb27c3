"""What the encoders make of every film of a snapshot, computed once and mapped from disk afterwards.

A cache file is named by the snapshot's hash, the encoder's and the settings that shape its output, so that none is ever
read for another.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml_core.array_cache import HalfArray, cached_array
from ml_core.devices import autocast
from ml_core.networks.encoders import ImageEncoder, SentenceEncoder
from ml_core.posters import Pixels, PosterError, Size, decode_in_threads
from ml_core.sentence_tuning import FilmStates, encode_states
from ml_core.snapshot import Snapshot
from ml_core.training import Progress, Rows, shuffled

_POSTER_BATCH = 32


@dataclass(frozen=True, slots=True)
class FilmFeatures:
    """Encoder outputs for all films of a snapshot.

    ``whole`` and ``titles`` are ``(films, 384)``: of title and overview together, and of the title alone. ``posters`` is
    ``(posters, width)``, and ``poster_places`` ``(films,)`` has each film's place in it or -1.
    """

    whole: HalfArray
    titles: HalfArray
    has_title: NDArray[np.bool_]
    has_overview: NDArray[np.bool_]
    posters: HalfArray
    poster_places: NDArray[np.int64]


def film_features(
    snapshot: Snapshot,
    states: FilmStates,
    sentence_encoder: SentenceEncoder,
    image_encoder: ImageEncoder,
    *,
    tuned_layers: int,
    poster_size: Size,
    cache_dir: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> FilmFeatures:
    """Encode every text (from its lower layers' states) and every poster, or map what was encoded before."""
    text_key = f"{snapshot.sha256[:16]}-{state_sha256(sentence_encoder)[:16]}"
    poster_key = (
        f"{snapshot.sha256[:16]}-{state_sha256(image_encoder)[:16]}-{poster_size[0]}x{poster_size[1]}"
    )
    image_encoder.to(device).eval()
    rows = np.flatnonzero(snapshot.has_poster)
    places = np.full(len(snapshot), -1, dtype=np.int64)
    posters = cached_array(
        cache_dir / f"poster-features-{poster_key}.npy",
        (len(rows), image_encoder.width),
        lambda out: _encode_posters(
            snapshot, rows, image_encoder, size=poster_size, out=out, device=device, progress=progress
        ),
    )
    usable = np.isfinite(posters[:, 0])
    places[rows[usable]] = np.flatnonzero(usable)
    vectors = {
        name: encode_states(
            texts,
            sentence_encoder,
            tuned_layers=tuned_layers,
            path=cache_dir / f"vectors-{name}-{text_key}.npy",
            device=device,
            progress=progress,
            stage=f"upper layers, {name}",
        )
        for name, texts in (("titles", states.titles), ("whole", states.whole))
    }
    return FilmFeatures(
        whole=vectors["whole"],
        titles=vectors["titles"],
        has_title=np.array([bool(title) for title in snapshot.texts("title")]),
        has_overview=snapshot.has_overview,
        posters=posters,
        poster_places=places,
    )


def state_sha256(module: nn.Module) -> str:
    """SHA-256 over a module's weights, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _encode_posters(
    snapshot: Snapshot,
    rows: Rows,
    encoder: ImageEncoder,
    *,
    size: Size,
    out: HalfArray,
    device: torch.device,
    progress: Progress | None,
) -> None:
    """Features of the posters in those rows; NaN where one cannot be used. Decoding runs ahead in threads."""
    ahead = 8 * _POSTER_BATCH
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool, torch.inference_mode(), autocast(device):
        for start in range(0, len(rows), ahead):
            some = rows[start : start + ahead].tolist()
            decoded = list(decode_in_threads((snapshot.poster_bytes(row) for row in some), size, pool))
            out[start : start + len(some)] = np.nan
            good: list[tuple[int, Pixels]] = [
                (place, pixels)
                for place, pixels in enumerate(decoded, start)
                if pixels is not None and not isinstance(pixels, PosterError)
            ]
            for first in range(0, len(good), _POSTER_BATCH):
                batch = good[first : first + _POSTER_BATCH]
                stacked = torch.from_numpy(np.stack([pixels for _, pixels in batch])).to(device)
                out[[place for place, _ in batch]] = encoder(stacked).float().cpu().numpy()
            if progress is not None:
                progress({"stage": "encode posters", "done": start + len(some), "total": len(rows)})


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

    def inputs(self, rows: Rows, *, training: bool) -> tuple[Tensor, ...]:
        """Text features, has text, has overview, poster features, has poster."""
        has_poster = self.features.poster_places[rows] >= 0
        has_overview = self.features.has_overview[rows]
        has_text = has_overview | self.features.has_title[rows]
        if training:
            draw = torch.rand(len(rows)).numpy()
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
        if len(self.features.posters):
            poster = self.features.posters[np.maximum(self.features.poster_places[rows], 0)].astype(
                np.float32
            )
        else:
            poster = np.zeros((len(rows), self.features.posters.shape[1]), dtype=np.float32)
        poster[~has_poster] = 0.0  # also the NaN of posters that could not be decoded
        return (
            torch.from_numpy(text.astype(np.float32)),
            torch.from_numpy(has_text),
            torch.from_numpy(has_overview),
            torch.from_numpy(poster),
            torch.from_numpy(has_poster),
        )
