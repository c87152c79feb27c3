"""The states of all films' tokens half way up the sentence encoder, computed once and mapped from disk.

Layers that are not tuned give the same states in every epoch. Kept, they spare two thirds of the work of a pass over the
films when the last two of six layers are tuned. They take 768 bytes a token: 2 GB for 44,000 films.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml_core.array_cache import cached_array
from ml_core.devices import autocast
from ml_core.networks.encoders import SentenceEncoder, pad_tokens, tokenize
from ml_core.training import Progress

_BATCH = 64


@dataclass(frozen=True, slots=True)
class TextStates:
    """States of texts, end to end: ``states`` ``(tokens of all texts, 384)``, text ``i`` between two ``offsets``."""

    states: NDArray[np.float16]
    offsets: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, [CLS] and [SEP] included."""
        return np.diff(self.offsets)

    def text(self, row: int) -> NDArray[np.float16]:
        """States ``(tokens, 384)`` of one text."""
        return self.states[self.offsets[row] : self.offsets[row + 1]]


def text_states(
    texts: Sequence[str],
    encoder: SentenceEncoder,
    *,
    layers: int,
    path: Path,
    device: torch.device,
    progress: Progress | None = None,
    stage: str = "lower layers",
) -> TextStates:
    """States of the texts after the first ``layers`` layers, computed or mapped from ``path``."""
    tokens = tokenize(texts)
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in tokens])]).astype(np.int64)

    def fill(out: NDArray[np.float16]) -> None:
        encoder.to(device).eval()
        # The longest first: what they free is then large enough for all that follows.
        order = np.argsort([-len(ids) for ids in tokens], kind="stable")
        with torch.inference_mode(), autocast(device):
            for start in range(0, len(order), _BATCH):
                rows = order[start : start + _BATCH].tolist()
                padded, lengths = pad_tokens([tokens[row] for row in rows])
                lengths = None if lengths is None else lengths.to(device)
                states = encoder.lower(padded.to(device), lengths, layers=layers).half().cpu().numpy()
                for place, row in enumerate(rows):
                    out[offsets[row] : offsets[row + 1]] = states[place, : len(tokens[row])]
                if progress is not None and (start // _BATCH % 32 == 31 or start + _BATCH >= len(order)):
                    progress({"stage": stage, "done": start + len(rows), "total": len(order)})

    return TextStates(cached_array(path, (int(offsets[-1]), encoder.width), fill), offsets)


def pad_states(texts: Sequence[NDArray[np.float16]]) -> tuple[Tensor, Tensor | None]:
    """States as ``(batch, longest, 384)`` float32 and lengths ``(batch,)``, ``None`` where all are equally long."""
    lengths = [len(states) for states in texts]
    padded = np.zeros((len(texts), max(lengths), texts[0].shape[1]), dtype=np.float32)
    for row, states in enumerate(texts):
        padded[row, : len(states)] = states
    return torch.from_numpy(padded), None if min(lengths) == max(lengths) else torch.tensor(lengths)
