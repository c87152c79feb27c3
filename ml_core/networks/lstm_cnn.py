"""The article's network: a stacked LSTM over the overview's words, convolutions over the poster, one head.

Sizes are the article's: embedding of 300, two LSTM layers of 64, a poster of 115 x 75 pixels through four 3x3
convolutions, 128 + 512 features concatenated, then 640 -> 256 -> 128 -> 18. Its published code is not followed where
it erred: the poster's channels are moved by transposition (its ``reshape`` scrambled the pixels), and the LSTM's last
step is the overview's last word and not the padding behind it. Both halves can be trained alone, which the article
wished for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml_core.inputs import Input
from ml_core.labels import LABELS
from ml_core.word_vectors import WORD_VECTOR_SIZE

POSTER_HEIGHT = 115
POSTER_WIDTH = 75

Inputs = Literal["both", "overview", "poster"]


def reads_of(inputs: Inputs) -> frozenset[Input]:
    """What a network for those inputs is shown; the article's never reads a title."""
    overview, poster = frozenset[Input]({"overview"}), frozenset[Input]({"poster"})
    return {"both": overview | poster, "overview": overview, "poster": poster}[inputs]


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmCnnConfig:
    """What the network is made of; all but the vocabulary's size as in the article."""

    vocabulary_size: int  # padding and unknown included; unused without the overview
    inputs: Inputs = "both"
    embedding: int = WORD_VECTOR_SIZE
    hidden: int = 64
    lstm_layers: int = 2
    lstm_dropout: float = 0.2  # between the layers
    branch_dropout: float = 0.1  # after the last step, and after the convolutions
    overview_features: int = 128
    channels: tuple[int, ...] = (32, 64, 128, 128)
    poster_features: int = 512
    head: tuple[int, ...] = (256, 128)
    labels: int = len(LABELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArticleRecipe:
    """How the article trained: Adam on binary cross-entropy, gradients clipped. The last epoch is not always the best."""

    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    clip_norm: float = 5.0
    epochs: int = 20


class LstmCnn(nn.Module):
    """Logits of 18 genres from an overview's word numbers and a poster's pixels."""

    def __init__(self, config: LstmCnnConfig, word_vectors: NDArray[np.float32] | None = None) -> None:
        """A new network; its embedding starts from ``word_vectors`` ``(vocabulary_size, embedding)`` where given.

        Raises:
            ValueError: the word vectors have another shape, or ``inputs`` is unknown.
        """
        super().__init__()
        if config.inputs not in {"both", "overview", "poster"}:
            raise ValueError(f"inputs must be both, overview or poster, not {config.inputs!r}")
        self.config = config
        features = 0
        self.overview: OverviewBranch | None = None
        self.poster: PosterBranch | None = None
        if config.inputs != "poster":
            self.overview = OverviewBranch(config, word_vectors)
            features += config.overview_features
        if config.inputs != "overview":
            self.poster = PosterBranch(config)
            features += config.poster_features
        layers: list[nn.Module] = []
        for width in config.head:
            layers += [nn.Linear(features, width), nn.ReLU()]
            features = width
        self.head = nn.Sequential(*layers, nn.Linear(features, config.labels))

    def forward(
        self, tokens: Tensor | None = None, lengths: Tensor | None = None, posters: Tensor | None = None
    ) -> Tensor:
        """Logits, ``(batch, 18)``. An input that the configuration leaves out may be None, and is not looked at.

        Args:
            tokens: word numbers ``(batch, steps)``, int64, zeros after each overview's end.
            lengths: how many of the steps are words ``(batch,)``; 0 for a film without overview.
            posters: ``(batch, 3, 115, 75)``, float, 0..1; all zero (black) for a film without poster.

        Raises:
            ValueError: an input that the configuration asks for is None.
        """
        features = []
        if self.overview is not None:
            if tokens is None or lengths is None:
                raise ValueError("this network reads overviews: tokens and lengths are needed")
            features.append(self.overview(tokens, lengths))
        if self.poster is not None:
            if posters is None:
                raise ValueError("this network reads posters")
            features.append(self.poster(posters))
        logits: Tensor = self.head(torch.cat(features, dim=1))
        return logits


class OverviewBranch(nn.Module):
    """Embedding, stacked LSTM, its state after the last word, 128 features."""

    def __init__(self, config: LstmCnnConfig, word_vectors: NDArray[np.float32] | None = None) -> None:
        super().__init__()
        shape = (config.vocabulary_size, config.embedding)
        self.embedding = nn.Embedding(*shape, padding_idx=0)
        if word_vectors is not None:
            if word_vectors.shape != shape:
                raise ValueError(f"word vectors of shape {word_vectors.shape}, expected {shape}")
            with torch.no_grad():
                self.embedding.weight.copy_(torch.from_numpy(word_vectors))
        self.lstm = nn.LSTM(
            config.embedding, config.hidden, config.lstm_layers, batch_first=True, dropout=config.lstm_dropout
        )
        self.features = nn.Sequential(
            nn.Dropout(config.branch_dropout), nn.Linear(config.hidden, config.overview_features), nn.ReLU()
        )

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """``(batch, steps)``, ``(batch,)`` -> ``(batch, 128)``."""
        if tokens.shape[1] == 0:
            tokens = tokens.new_zeros(tokens.shape[0], 1)
        states, _ = self.lstm(self.embedding(tokens))
        # One direction only: what follows the last word has not touched its state. No words, no state.
        last = (lengths - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, states.shape[2])
        state = states.gather(1, last).squeeze(1) * (lengths > 0).unsqueeze(1)
        features: Tensor = self.features(state)
        return features


class PosterBranch(nn.Module):
    """Four times convolution, ReLU and pooling, then 512 features."""

    def __init__(self, config: LstmCnnConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, height, width = 3, POSTER_HEIGHT, POSTER_WIDTH
        for wider in config.channels:
            layers += [nn.Conv2d(channels, wider, kernel_size=3), nn.ReLU(), nn.MaxPool2d(2)]
            # No padding, as in the article: each convolution takes a border of one pixel off.
            channels, height, width = wider, (height - 2) // 2, (width - 2) // 2
        self.convolutions = nn.Sequential(*layers)
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(config.branch_dropout),
            nn.Linear(channels * height * width, config.poster_features),
            nn.ReLU(),
        )

    def forward(self, posters: Tensor) -> Tensor:
        """``(batch, 3, 115, 75)`` -> ``(batch, 512)``."""
        # Channels last: a fifth less time in the convolutions on CPU.
        maps = self.convolutions(posters.contiguous(memory_format=torch.channels_last))
        features: Tensor = self.features(maps.contiguous())
        return features


def pixels(posters: NDArray[np.uint8]) -> Tensor:
    """Posters as ``ml_core.posters`` decodes them, uint8 ``(batch, 3, height, width)``, as float32 within 0..1."""
    return torch.tensor(posters, dtype=torch.float32) / 255
