"""Tuning the image encoder on posters alone, before anything else is trained on what it says of them.

The batch norms are in place and at work here: a convolution with its norm folded in has channels of very different scale, which
one learning rate suits badly. They are folded when the stage is over (:meth:`ml_core.networks.image.ImageEncoder.fold`).

Of several ranks each normalises by its own share of a batch; the running statistics are the mean of all ranks'.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ml_core.augmentation import augment_posters
from ml_core.devices import autocast
from ml_core.labels import LABELS
from ml_core.networks.image import POSTERS_ON_CPU, ImageEncoder
from ml_core.posters import DecodedPosters
from ml_core.training import Rows

# Beta of mixup; Zhang et al. (2018) found 0.1 to 0.4 to help on ImageNet.
MIXUP = 0.2
_DROPOUT = 0.3
# Of the side. More is cut off than where a poster is seen beside its text: here it is seen more often.
_SMALLEST_CROP = 0.65
# Posters are a seventh smaller here than where they are read. What random crops show appears enlarged, by about as much
# (Touvron et al. 2019), and a step is faster.
SHRINK = 6 / 7
# Share of the learning rate: the linear layer starts from nothing, the encoder does not.
_IMAGE_RATE = 0.2


class PosterNetwork(nn.Module):
    """Pixels to logits: an image encoder, its batch norms in place, and one linear layer, to be trained together.

    The encoder's first blocks stay as they are: edges and colours are those of ImageNet's photographs, and their states, the largest,
    make a step slow (`benchmarks.encoder_speed`).
    """

    def __init__(self, image: ImageEncoder, frequencies: Tensor) -> None:
        super().__init__()
        self.image = image.requires_grad_(True)
        image.freeze_lower()
        self.dropout = nn.Dropout(_DROPOUT)
        self.output = nn.Linear(image.width, len(LABELS))
        # It begins by telling the genres' frequencies (18,), whatever the poster.
        nn.init.zeros_(self.output.weight)
        with torch.no_grad():
            self.output.bias.copy_(torch.logit(frequencies.clamp(1e-3, 1 - 1e-3)))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels ``(batch, 3, height, width)``, 0 to 255, to logits ``(batch, 18)``."""
        on_cpu = pixels.device.type == "cpu"
        # Norms at work need the whole batch.
        size = POSTERS_ON_CPU if on_cpu and not self.training else len(pixels)
        features = torch.cat([self._features(part) for part in torch.split(pixels, size)])
        logits: Tensor = self.output(self.dropout(features))
        return logits

    def _features(self, pixels: Tensor) -> Tensor:
        device = pixels.device
        with autocast(device):
            states = self.image.lower(pixels)
        if device.type == "cpu" and self.training:
            # The backward pass of depthwise convolutions is faster in float32.
            with torch.autocast("cpu", enabled=False):
                return self.image.upper(states.float())
        with autocast(device):
            return self.image.upper(states)


class PosterSource:
    """Pixels of films that have a poster."""

    def __init__(self, posters: DecodedPosters) -> None:
        self.posters = posters

    def order(self, rows: Rows, *, batch_size: int, generator: np.random.Generator) -> list[Rows]:
        """Shuffled batches of about one size: none is so small that its norms would be taken over a few posters."""
        return np.array_split(generator.permutation(rows), -(-len(rows) // batch_size))

    def inputs(self, rows: Rows, *, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """What :meth:`PosterNetwork.forward` takes."""
        pixels = torch.from_numpy(self.posters.batch(rows))
        if generator is None:
            return (pixels,)
        return (augment_posters(pixels, generator, smallest_crop=_SMALLEST_CROP, shrink=SHRINK),)


def learning_rate_share(name: str) -> float:
    """The share of the learning rate at which :class:`PosterNetwork`'s parameter of that name is trained."""
    return _IMAGE_RATE if name.startswith("image.") else 1.0
