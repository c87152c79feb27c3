"""How a module is trained: the settings of :func:`ml_core.training.fit`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ml_core.losses import LossName


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How a module is trained.

    ``average`` is the decay of an exponential moving average of the weights, which is then what is evaluated and kept
    (0 switches it off). ``warmup`` is the share of all steps over which the learning rate rises. Gradients are clipped
    to the norm ``clip``. ``mixup`` is the Beta of mixup (Zhang et al. 2018; 0 switches it off), for modules whose inputs are
    numbers, a row a film. With a ``patience`` above 0 a training ends after so many epochs without a better one. A checkpoint
    is written at each epoch's end and every ``checkpoint_seconds`` between.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    decoupled_decay: bool = True
    clip: float = 5.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = 0.0
    average: float = 0.0
    loss: LossName = "bce"
    mixup: float = 0.0
    patience: int = 0
    seed: int = 0
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.learning_rate <= 0:
            raise ValueError("epochs and batch size must be at least 1 and the learning rate above 0")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate at a step of so many."""
        warm = int(self.warmup * steps)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
