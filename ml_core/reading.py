"""Teaching a model to use what is written on posters, after all else is trained: a small head on the sentence encoder's vectors.

It learns from what was read on posters of train films, and as many titles as there are: those are what would be read were they
read without a fault. How much its word counts beside the picture's is chosen on validation films.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml_core.evaluation import macro_roc_auc
from ml_core.fit_config import FitConfig
from ml_core.networks.reading import ReadingHead
from ml_core.poster_text import MOST_READ, PosterReader
from ml_core.snapshot import Snapshot
from ml_core.stopping import stop_if_asked
from ml_core.training import FitResult, Progress, Rows, fit, shuffled

CACHE_FILE = "poster-texts.json"
EPOCHS = 6
# A text that was read counts as so many titles: those are many more, and easier.
_READ_WEIGHT = 3
_WEIGHTS = tuple(round(0.1 * step, 1) for step in range(16))
_AT_A_TIME = 64
_KEPT_EVERY = 20  # times _AT_A_TIME


@dataclass(frozen=True)
class ReadPosters:
    """What is written on the posters of ``rows``, those on which anything could be read alone, and its sentence vectors."""

    rows: Rows
    texts: list[str]
    vectors: NDArray[np.float32]


def read_posters(
    reader: PosterReader, snapshot: Snapshot, rows: Rows, *, progress: Progress | None = None
) -> list[str]:
    """The texts on the posters of those films, '' where there is none. What was read is kept, also when it is stopped midway."""
    texts: list[str] = []
    try:
        for number, start in enumerate(range(0, len(rows), _AT_A_TIME), 1):
            stop_if_asked()
            some = rows[start : start + _AT_A_TIME].tolist()
            texts += reader.read_all([snapshot.poster_bytes(row) or b"" for row in some])
            if number % _KEPT_EVERY == 0:
                reader.keep()
            if progress is not None:
                progress({"stage": "read posters", "done": len(texts), "total": len(rows)})
    finally:
        reader.keep()
    return texts


def some_of(rows: Rows, *, seed: int) -> Rows:
    """At most :data:`MOST_READ` of those films, drawn at random, in their order."""
    drawn = np.random.default_rng(seed).permutation(rows)[:MOST_READ]
    return np.sort(drawn)


class VectorSource:
    """Batches of sentence vectors."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors

    def order(self, rows: Rows, *, batch_size: int, generator: np.random.Generator) -> list[Rows]:
        """Shuffled batches."""
        return shuffled(rows, batch_size=batch_size, generator=generator)

    def inputs(self, rows: Rows, *, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """What :meth:`ReadingHead.forward` takes."""
        return (torch.from_numpy(self.vectors[rows]),)


def train_reading(
    titles: NDArray[np.float32],
    title_rows: Rows,
    train: ReadPosters,
    val: ReadPosters,
    labels: NDArray[np.float32],
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[ReadingHead, FitResult]:
    """A head trained on titles' vectors ``(title_rows, width)`` and on what was read; ``labels`` ``(films, 18)`` are all films'.

    The epoch that does best on what was read on posters of validation films is kept.
    """
    vectors = np.concatenate([titles, train.vectors, val.vectors]).astype(np.float32)
    of_film = np.concatenate([title_rows, train.rows, val.rows])
    read = len(titles) + np.arange(len(train.rows))
    torch.manual_seed(seed)
    head = ReadingHead(vectors.shape[1], torch.from_numpy(labels[title_rows].mean(axis=0)))
    result = fit(
        head,
        VectorSource(vectors),
        labels[of_film],
        train=np.concatenate([np.arange(len(titles)), *[read] * _READ_WEIGHT]),
        val=len(titles) + len(train.rows) + np.arange(len(val.rows)),
        config=FitConfig(
            epochs=EPOCHS,
            batch_size=256,
            learning_rate=2e-3,
            weight_decay=0.05,
            clip=1.0,
            schedule="cosine",
            warmup=0.05,
            average=0.99,
            seed=seed,
        ),
        device=device,
        checkpoint=checkpoint,
        progress=progress,
        stage="train reading",
    )
    head.to("cpu").eval().requires_grad_(False)
    return head, result


def choose_weight(
    head: ReadingHead, picture: NDArray[np.float32], read: ReadPosters, labels: NDArray[np.float32]
) -> float:
    """Set the head's weight to that with which picture and text together rank the films of ``read`` best, by macro ROC AUC.

    ``picture`` ``(read, 18)`` are the logits of what the pictures alone say, ``labels`` those films' labels.
    """
    with torch.inference_mode():
        evidence = head.layers(torch.from_numpy(read.vectors)).numpy()
    scores = [macro_roc_auc(picture + weight * evidence, labels) for weight in _WEIGHTS]
    # Where no genre can be ranked, the first: nothing is added.
    best = _WEIGHTS[int(np.argmax(np.nan_to_num(scores, nan=-1.0)))]
    head.weight.fill_(best)
    return best
