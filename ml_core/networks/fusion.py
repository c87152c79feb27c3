"""Ours: what the encoders say of a film's text and poster, weighed by a learned gate. Any input may be missing.

Read from the top: a projection for each input, the gate between them, the fused layer whose direction is the film's
embedding, and 18 logits. A missing input is not zeros put in its place but a gate that is shut on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml_core.labels import LABELS

# By contract, whatever the network: the width of a film's embedding (the site's vector index has it).
EMBEDDING_WIDTH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionConfig:
    """Sizes of the network. The widths are those of the encoders' outputs; ``hidden`` is the projections'."""

    text_width: int = 384
    poster_width: int = 2560
    hidden: int = 512
    dropout: float = 0.3


class FusionNetwork(nn.Module):
    """Text and poster features to logits and an embedding."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.text = _projection(config.text_width, config)
        self.poster = _projection(config.poster_width, config)
        # The gate also reads whether the text has an overview: a bare title is to be trusted less.
        self.gate = nn.Linear(2 * config.hidden + 1, config.hidden)
        self.fused = nn.Sequential(
            nn.Linear(config.hidden, EMBEDDING_WIDTH), nn.GELU(), nn.LayerNorm(EMBEDDING_WIDTH)
        )
        self.output = nn.Linear(EMBEDDING_WIDTH, len(LABELS))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, text: Tensor, has_text: Tensor, has_overview: Tensor, poster: Tensor, has_poster: Tensor
    ) -> Tensor:
        """Features ``(batch, text_width)`` and ``(batch, poster_width)``, and bool ``(batch,)`` each, to logits."""
        return self.score(text, has_text, has_overview, poster, has_poster)[0]

    def score(
        self, text: Tensor, has_text: Tensor, has_overview: Tensor, poster: Tensor, has_poster: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits ``(batch, 18)`` and embeddings ``(batch, 256)`` of length one."""
        text_here, poster_here = has_text[:, None].to(text.dtype), has_poster[:, None].to(text.dtype)
        from_text = self.text(text) * text_here
        from_poster = self.poster(poster) * poster_here
        told = has_overview[:, None].to(text.dtype)
        weight = torch.sigmoid(self.gate(torch.cat([from_text, from_poster, told], dim=1)))
        # With one input alone the gate stands open for it: neither is ever mixed with an absence.
        weight = torch.where(has_poster[:, None], weight, 1.0) * text_here
        hidden = self.fused(weight * from_text + (1.0 - weight) * from_poster)
        return self.output(self.dropout(hidden)), functional.normalize(hidden.float(), dim=1)


def _projection(width: int, config: FusionConfig) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Dropout(config.dropout),
        nn.Linear(width, config.hidden),
        nn.GELU(),
        nn.LayerNorm(config.hidden),
        nn.Dropout(config.dropout),
    )


def initialise_output(network: FusionNetwork, frequencies: Tensor) -> None:
    """Start the output at the genres' frequencies ``(18,)``, so that the first steps need not learn them."""
    with torch.no_grad():
        network.output.bias.copy_(torch.logit(frequencies.clamp(1e-3, 1 - 1e-3)))
        network.output.weight.mul_(0.1)
