"""Tuning the sentence encoder's layers on the films' own genres, before the fusion is trained on its vectors.

The word embeddings stay those of the package. In training each overview is left out now and then, so that the encoder
also learns what a bare title says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml_core.labels import LABELS
from ml_core.networks.encoders import SentenceEncoder, film_text, pad_tokens, tokenize
from ml_core.snapshot import Snapshot
from ml_core.training import FitConfig, FitResult, Progress, Rows, fit

# How often a film with an overview is shown by its title alone.
_TITLE_ALONE = 0.15
# Batches are cut from runs of this many batches sorted by length: less padding, and still a shuffle.
_BATCHES_IN_A_RUN = 50


class SentenceClassifier(nn.Module):
    """The sentence encoder with a linear layer on top: what is tuned."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.output = nn.Linear(encoder.width, len(LABELS))

    def forward(self, tokens: Tensor, lengths: Tensor | None) -> Tensor:
        """Tokens ``(batch, length)`` to logits ``(batch, 18)``."""
        logits: Tensor = self.output(self.encoder(tokens, lengths))
        return logits


class TextSource:
    """Token ids of titles and overviews, in batches of like length."""

    def __init__(self, snapshot: Snapshot) -> None:
        titles, overviews = snapshot.texts("title"), snapshot.texts("overview")
        self.whole = tokenize([film_text(title, text) for title, text in zip(titles, overviews, strict=True)])
        self.titles = tokenize(titles)
        self.lengths = np.array([len(ids) for ids in self.whole])

    def order(self, rows: Rows, *, batch_size: int, generator: np.random.Generator) -> list[Rows]:
        """Shuffled batches of films whose texts are about equally long."""
        mixed = generator.permutation(rows)
        run = batch_size * _BATCHES_IN_A_RUN
        batches: list[Rows] = []
        rest = len(mixed) % batch_size
        for start in range(0, len(mixed) - rest, run):
            part = mixed[start : min(start + run, len(mixed) - rest)]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            batches += [part[first : first + batch_size] for first in range(0, len(part), batch_size)]
        if rest:
            batches.append(mixed[-rest:])
        return [batches[place] for place in generator.permutation(len(batches))]

    def inputs(self, rows: Rows, *, training: bool) -> tuple[Tensor | None, ...]:
        """Tokens and lengths of those films."""
        alone = torch.rand(len(rows)).numpy() < (_TITLE_ALONE if training else 0.0)
        tokens = [
            self.titles[row] if bare and len(self.titles[row]) > 2 else self.whole[row]
            for row, bare in zip(rows.tolist(), alone.tolist(), strict=True)
        ]
        return pad_tokens(tokens)


def tune_sentence_encoder(
    snapshot: Snapshot,
    labels: NDArray[np.float32],
    *,
    config: FitConfig,
    device: torch.device,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[SentenceEncoder, FitResult]:
    """Tune the encoder on the films of the train part that have a title or an overview; the best epoch is kept."""
    torch.manual_seed(config.seed)
    model = SentenceClassifier(SentenceEncoder.pretrained())
    nn.init.zeros_(model.output.weight)
    nn.init.constant_(
        model.output.bias, -2.0
    )  # about the share of films that have a label: sigmoid(-2) = 0.12
    source = TextSource(snapshot)
    told = source.lengths > 2  # more than [CLS] and [SEP]
    train, val = snapshot.rows("train"), snapshot.rows("val")
    result = fit(
        model,
        source,
        labels,
        train=train[told[train]],
        val=val[told[val] & snapshot.has_overview[val]],
        config=config,
        device=device,
        checkpoint=checkpoint,
        progress=progress,
        stage="tune sentence encoder",
    )
    return model.encoder.to("cpu").eval(), result
