"""Recipes: how each network goes from a snapshot to an artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ml_core.losses import LossName
from ml_core.thresholds import Criterion
from ml_core.training import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """What a training is asked to do. ``None`` leaves the choice to the recipe.

    ``work`` holds caches and checkpoints; a training that is asked for again with the same ``work`` goes on from its
    last checkpoint. ``tune_epochs`` are passes over the films in which the encoders themselves are tuned, together with the
    fusion (0 leaves them as they came), ``tune_batch_size`` films at a time. ``poster_epochs`` are passes over the posters in
    which the image encoder is tuned on them alone, before all else (0 leaves that out). ``teacher`` is an artifact whose probabilities
    have a share in what every stage learns (:mod:`ml_core.teacher`). ``start`` is an artifact whose encoders and fusion the training goes on
    from: it has posters and heads behind it, and neither reads posters nor looks twice at them unless that is asked for again. ``read_posters`` teaches the model in the end to use what is written on a poster that comes
    with nothing else (:mod:`ml_core.reading`). ``second_image`` is an artifact whose tuned image encoder then looks at such posters, too
    (:mod:`ml_core.picture`). ``inputs`` other than both train a network that is shown nothing else, "overview"
    with the title beside it where the network reads titles. ``word_vectors`` is a file in word2vec's binary format for the article's network.
    """

    snapshot: Path
    artifact: Path
    work: Path
    name: str
    epochs: int | None = None
    poster_epochs: int = 0
    tune_epochs: int = 0
    teacher: Path | None = None
    start: Path | None = None
    read_posters: bool = False
    second_image: Path | None = None
    batch_size: int | None = None
    tune_batch_size: int | None = None
    seed: int = 0
    device: str | None = None
    criterion: Criterion = "f1"
    loss: LossName = "bce"
    inputs: Literal["both", "overview", "poster"] = "both"
    image_encoder: str = "efficientnet-lite0"
    word_vectors: Path | None = None
    progress: Progress | None = None
