"""What is written on a poster as evidence for genres: a head of its own beside the fusion, for films that come with nothing but a poster.

The head is not the fusion's text branch: what a machine reads on a poster is a title in large letters, half of them misread, in any
language, and now and then an actor. It is to say how much that is worth and no more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ml_core.labels import LABELS

_HIDDEN, _DROPOUT = 256, 0.3


class ReadingHead(nn.Module):
    """The sentence vectors of texts read on posters to logits; and to what they add to the logits of the picture.

    It begins by telling the genres' frequencies ``(18,)``, which stay in it as ``prior``, log-odds. ``weight`` is how much of what it
    says is added: two answers to one question are not independent, and together would be too sure.
    """

    def __init__(self, width: int, frequencies: Tensor | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Dropout(_DROPOUT),
            nn.Linear(width, _HIDDEN),
            nn.GELU(),
            nn.Dropout(_DROPOUT),
            nn.Linear(_HIDDEN, len(LABELS)),
        )
        self.prior: Tensor
        self.weight: Tensor
        if frequencies is None:
            frequencies = torch.full((len(LABELS),), 0.5)
        self.register_buffer("prior", torch.logit(frequencies.float().clamp(1e-3, 1 - 1e-3)))
        self.register_buffer("weight", torch.ones(1))

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors ``(batch, width)`` to logits ``(batch, 18)``."""
        logits: Tensor = self.prior + self.layers(vectors)
        return logits

    def evidence(self, vectors: Tensor) -> Tensor:
        """What is to be added to the picture's logits, ``(batch, 18)``."""
        added: Tensor = self.weight * self.layers(vectors)
        return added
