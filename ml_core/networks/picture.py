"""A second look at posters that come with nothing else: one linear layer on what two image encoders make of them.

Encoders that were tuned in different ways err on different posters, so both together rank films better than either; that takes twice the
time of encoding, and is for the films that have nothing but a picture to go by.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ml_core.labels import LABELS

_DROPOUT = 0.5


class PictureHead(nn.Module):
    """The features of both encoders side by side, ``width`` in all, to logits; and those mixed with the fusion's.

    It begins by telling the genres' frequencies ``(18,)``. ``share`` is its share in the picture's logits, the fusion has the rest.
    """

    def __init__(self, width: int, frequencies: Tensor | None = None) -> None:
        super().__init__()
        output = nn.Linear(width, len(LABELS))
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Dropout(_DROPOUT), output)
        self.share: Tensor
        self.register_buffer("share", torch.full((1,), 0.5))
        if frequencies is not None:
            nn.init.zeros_(output.weight)
            with torch.no_grad():
                output.bias.copy_(torch.logit(frequencies.float().clamp(1e-3, 1 - 1e-3)))

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(batch, width)`` to logits ``(batch, 18)``."""
        logits: Tensor = self.layers(features)
        return logits

    def mixed(self, logits: Tensor, features: Tensor) -> Tensor:
        """The picture's logits ``(batch, 18)``: the fusion's, ``logits``, and its own by their shares."""
        mixed: Tensor = torch.lerp(logits, self.layers(features), self.share)
        return mixed
