"""Tuning both encoders and the fusion together, from end to end, on the films' own genres.

Starts from heads that were trained on the encoders as they came (Kumar et al. 2022: a random head would tear pretrained
features apart in its first steps). Each film is encoded once and answered three times - from all it has, from its text and
from its poster - so that no input leans back because the other one explains the labels (Wang et al. 2020).
"""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ml_core.augmentation import augment_posters
from ml_core.film_texts import FilmTexts
from ml_core.networks.fusion import FusionNetwork
from ml_core.networks.image import POSTERS_ON_CPU, ImageEncoder
from ml_core.networks.sentence import MASK_TOKEN, SentenceEncoder, pad_tokens
from ml_core.posters import DecodedPosters
from ml_core.training import Rows

# How often, in training, a film with an overview is shown without it, and without its title or tagline.
_NO_OVERVIEW, _NO_TITLE, _NO_TAGLINE = 0.12, 0.1, 0.3
# Word pieces that are masked in training.
_MASKED = 0.08
# Batches are cut from runs of this many batches sorted by length: less padding, and still a shuffle.
_BATCHES_IN_A_RUN = 50
# Shares of the learning rate. Each layer of the sentence encoder moves less than the one above it (Howard & Ruder 2018).
_SENTENCE_RATE, _LAYER_DECAY = 0.2, 0.85
_IMAGE_RATE = 0.5


class FilmNetwork(nn.Module):
    """Tokens and pixels to logits: both encoders and the fusion, to be trained from end to end.

    Without ``tune_image`` the image encoder stays as it is, as one does that was tuned on posters before: only reading them is
    much less work than training on them.
    """

    def __init__(
        self,
        sentence: SentenceEncoder,
        image: ImageEncoder,
        fusion: FusionNetwork,
        *,
        tune_image: bool = True,
    ) -> None:
        super().__init__()
        self.sentence, self.image, self.fusion, self.tune_image = sentence, image, fusion, tune_image
        sentence.layers.requires_grad_(True)
        image.requires_grad_(tune_image)

    def train(self, mode: bool = True) -> Self:
        """Training mode, in which an image encoder that stays as it is leaves none of its blocks out."""
        super().train(mode)
        self.image.train(mode and self.tune_image)
        return self

    def forward(  # noqa: PLR0917 - in the order in which FilmSource gives them
        self,
        tokens: Tensor,
        lengths: Tensor | None,
        has_text: Tensor,
        has_overview: Tensor,
        pixels: Tensor,
        has_poster: Tensor,
    ) -> Tensor:
        """Logits ``(batch, 18)``, or in training ``(batch, 3, 18)``: from all inputs, from the text, from the poster.

        ``tokens`` are ``(batch, length)``; ``pixels`` ``(posters, 3, height, width)`` are those of the films that have a
        poster, in their order. A view that a film lacks the input for is the joint one again: all films weigh the same.
        """
        text = self.sentence(tokens, lengths)
        poster = self._encode(pixels, has_poster)
        joint: Tensor = self.fusion(text, has_text, has_overview, poster, has_poster)
        if not self.training:
            return joint
        nobody = torch.zeros_like(has_text)
        both = (has_text & has_poster)[:, None]
        from_text = torch.where(both, self.fusion(text, has_text, has_overview, poster, nobody), joint)
        from_poster = torch.where(both, self.fusion(text, nobody, nobody, poster, has_poster), joint)
        return torch.stack([joint, from_text, from_poster], dim=1)

    def _encode(self, pixels: Tensor, has_poster: Tensor) -> Tensor:
        features = torch.zeros(len(has_poster), self.image.width, device=pixels.device)
        if not len(pixels):
            return features
        if self.image.training and pixels.device.type == "cpu":
            # The backward pass of depthwise convolutions is faster in float32.
            with torch.autocast("cpu", enabled=False):
                encoded = self.image(pixels)
        else:
            size = POSTERS_ON_CPU if pixels.device.type == "cpu" else len(pixels)
            encoded = torch.cat([self.image(part) for part in torch.split(pixels, size)])
        return features.masked_scatter(has_poster[:, None], encoded)


class FilmSource:
    """Tokens and pixels of films, in batches of like length."""

    def __init__(self, texts: FilmTexts, posters: DecodedPosters) -> None:
        self.texts, self.posters = texts, posters

    def order(self, rows: Rows, *, batch_size: int, generator: np.random.Generator) -> list[Rows]:
        """Shuffled batches of films whose texts are about equally long."""
        mixed = generator.permutation(rows)
        lengths = self.texts.lengths
        whole, run = len(mixed) // batch_size * batch_size, batch_size * _BATCHES_IN_A_RUN
        batches: list[Rows] = [] if whole == len(mixed) else [mixed[whole:]]
        for start in range(0, whole, run):
            part = mixed[start : min(start + run, whole)]
            part = part[np.argsort(lengths[part], kind="stable")]
            batches += [part[first : first + batch_size] for first in range(0, len(part), batch_size)]
        return [batches[place] for place in generator.permutation(len(batches))]

    def inputs(self, rows: Rows, *, generator: torch.Generator | None = None) -> tuple[Tensor | None, ...]:
        """What :meth:`FilmNetwork.forward` takes."""
        has_overview, has_title = self.texts.has_overview[rows], self.texts.has_title[rows]
        has_text, has_poster = has_overview | has_title, self.posters.usable[rows]
        title = tagline = np.ones(len(rows), dtype=np.bool_)
        if generator is not None:
            draws = torch.rand(3, len(rows), generator=generator).numpy()
            has_overview = has_overview & ((draws[0] >= _NO_OVERVIEW) | ~has_title)
            title, tagline = (
                (draws[1] >= _NO_TITLE) | ~has_overview,
                (draws[2] >= _NO_TAGLINE) | ~has_overview,
            )
        tokens, lengths = pad_tokens(
            [
                self.texts.shown(
                    row, title=bool(title[n]), tagline=bool(tagline[n]), overview=bool(has_overview[n])
                )
                for n, row in enumerate(rows.tolist())
            ]
        )
        pixels = torch.from_numpy(self.posters.batch(rows[has_poster]))
        if generator is not None:
            masked = torch.rand(tokens.shape, generator=generator) < _MASKED
            masked[:, 0] = False
            tokens = tokens.masked_fill(masked, MASK_TOKEN)
            pixels = augment_posters(pixels, generator) if len(pixels) else pixels
        shown = (torch.from_numpy(mask) for mask in (has_text, has_overview, has_poster))
        has_text_, has_overview_, has_poster_ = shown
        return tokens, lengths, has_text_, has_overview_, pixels, has_poster_


def learning_rate_share(name: str) -> float:
    """The share of the learning rate at which :class:`FilmNetwork`'s parameter of that name is trained."""
    if name.startswith("sentence.layers."):
        above = 5 - int(name.split(".")[2])
        return _SENTENCE_RATE * _LAYER_DECAY**above
    return _IMAGE_RATE if name.startswith("image.") else 1.0
