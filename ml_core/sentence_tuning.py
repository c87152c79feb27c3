"""Tuning the sentence encoder's last layers on the films' own genres, before the fusion is trained on its vectors.

The layers below stay as they came and are computed once (:mod:`ml_core.text_states`). In training each overview is left
out now and then, so that the encoder also learns what a bare title says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml_core.array_cache import HalfArray, cached_array
from ml_core.devices import autocast
from ml_core.labels import LABELS
from ml_core.networks.encoders import SentenceEncoder, film_text
from ml_core.snapshot import Snapshot
from ml_core.text_states import TextStates, pad_states, text_states
from ml_core.training import FitConfig, FitResult, Progress, Rows, fit

# How often a film with an overview is shown by its title alone.
_TITLE_ALONE = 0.15
# Batches are cut from runs of this many batches sorted by length: less padding, and still a shuffle.
_BATCHES_IN_A_RUN = 50
# [CLS] and [SEP], which even an empty text has.
_TOKENS_OF_NOTHING = 2
_ENCODE_BATCH = 64


@dataclass(frozen=True, slots=True)
class FilmStates:
    """Token states of all films below the tuned layers: of title and overview together, and of the title alone."""

    whole: TextStates
    titles: TextStates


def film_states(
    snapshot: Snapshot,
    *,
    tuned_layers: int,
    cache_dir: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> FilmStates:
    """The states of every film's texts, computed or mapped."""
    encoder = SentenceEncoder.pretrained()
    layers = len(encoder.layers) - tuned_layers
    key = f"{snapshot.sha256[:16]}-{SentenceEncoder.identity().sha256[:16]}-{layers}"
    titles, overviews = snapshot.texts("title"), snapshot.texts("overview")
    whole = [film_text(title, overview) for title, overview in zip(titles, overviews, strict=True)]
    made = {
        name: text_states(
            texts,
            encoder,
            layers=layers,
            path=cache_dir / f"states-{name}-{key}.npy",
            device=device,
            progress=progress,
            stage=f"lower layers, {name}",
        )
        for name, texts in (("titles", titles), ("whole", whole))
    }
    return FilmStates(made["whole"], made["titles"])


class SentenceClassifier(nn.Module):
    """The encoder's last layers with a linear layer on top: what is tuned."""

    def __init__(self, encoder: SentenceEncoder, tuned_layers: int) -> None:
        super().__init__()
        self.encoder, self.tuned_layers = encoder, tuned_layers
        encoder.requires_grad_(False)
        encoder.layers[len(encoder.layers) - tuned_layers :].requires_grad_(True)
        self.output = nn.Linear(encoder.width, len(LABELS))
        nn.init.zeros_(self.output.weight)
        nn.init.constant_(
            self.output.bias, -2.0
        )  # about the share of films that have a label: sigmoid(-2) = 0.12

    def forward(self, states: Tensor, lengths: Tensor | None) -> Tensor:
        """States ``(batch, length, 384)`` to logits ``(batch, 18)``."""
        logits: Tensor = self.output(self.encoder.upper(states, lengths, layers=self.tuned_layers))
        return logits


class StateSource:
    """States of titles and overviews, in batches of like length."""

    def __init__(self, states: FilmStates) -> None:
        self.states = states

    def order(self, rows: Rows, *, batch_size: int, generator: np.random.Generator) -> list[Rows]:
        """Shuffled batches of films whose texts are about equally long."""
        mixed = generator.permutation(rows)
        lengths = self.states.whole.lengths
        whole, run = len(mixed) // batch_size * batch_size, batch_size * _BATCHES_IN_A_RUN
        batches: list[Rows] = [] if whole == len(mixed) else [mixed[whole:]]
        for start in range(0, whole, run):
            part = mixed[start : min(start + run, whole)]
            part = part[np.argsort(lengths[part], kind="stable")]
            batches += [part[first : first + batch_size] for first in range(0, len(part), batch_size)]
        return [batches[place] for place in generator.permutation(len(batches))]

    def inputs(self, rows: Rows, *, training: bool) -> tuple[Tensor | None, ...]:
        """States and lengths of those films."""
        whole, titles = self.states.whole, self.states.titles
        alone = (torch.rand(len(rows)).numpy() < (_TITLE_ALONE if training else 0.0)) & (
            titles.lengths[rows] > _TOKENS_OF_NOTHING
        )
        return pad_states(
            [
                titles.text(row) if bare else whole.text(row)
                for row, bare in zip(rows.tolist(), alone.tolist(), strict=True)
            ]
        )


def tune_sentence_encoder(
    snapshot: Snapshot,
    states: FilmStates,
    *,
    tuned_layers: int,
    config: FitConfig,
    device: torch.device,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[SentenceEncoder, FitResult]:
    """Tune the last layers on the train films that have a title or an overview; the best epoch is kept."""
    torch.manual_seed(config.seed)
    model = SentenceClassifier(SentenceEncoder.pretrained(), tuned_layers)
    told = states.whole.lengths > _TOKENS_OF_NOTHING
    train, val = snapshot.rows("train"), snapshot.rows("val")
    result = fit(
        model,
        StateSource(states),
        snapshot.labels,
        train=train[told[train]],
        val=val[snapshot.has_overview[val]],
        config=config,
        device=device,
        checkpoint=checkpoint,
        progress=progress,
        stage="tune sentence encoder",
    )
    return model.encoder.to("cpu").eval(), result


def encode_states(
    states: TextStates,
    encoder: SentenceEncoder,
    *,
    tuned_layers: int,
    path: Path,
    device: torch.device,
    progress: Progress | None = None,
    stage: str = "encode texts",
) -> HalfArray:
    """Vectors ``(texts, 384)`` of the encoder from its lower layers' states, computed or mapped from ``path``."""

    def fill(out: HalfArray) -> None:
        encoder.to(device).eval()
        order: NDArray[np.int64] = np.argsort(-states.lengths, kind="stable")
        with torch.inference_mode(), autocast(device):
            for start in range(0, len(order), _ENCODE_BATCH):
                rows = order[start : start + _ENCODE_BATCH]
                padded, lengths = pad_states([states.text(row) for row in rows.tolist()])
                lengths = None if lengths is None else lengths.to(device)
                vectors = encoder.upper(padded.to(device), lengths, layers=tuned_layers)
                out[rows] = vectors.float().cpu().numpy()
                if progress is not None and (
                    start // _ENCODE_BATCH % 64 == 63 or start + _ENCODE_BATCH >= len(order)
                ):
                    progress({"stage": stage, "done": start + len(rows), "total": len(order)})

    return cached_array(path, (len(states.lengths), encoder.width), fill)
