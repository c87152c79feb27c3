"""Checkpoints of a training: one safetensors file, written aside, synced and renamed.

The optimizer's state is flattened into named tensors and the counters go into the file's metadata as JSON, so that
reading a checkpoint can never run code.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

_SEPARATOR = "::"


class CheckpointError(RuntimeError):
    """A checkpoint that is broken, or belongs to another training. The message says what to delete or change."""


@dataclass(slots=True)
class Checkpoint:
    """All that a training needs to go on as if it had never stopped.

    ``tensors`` maps a group ("model", "average", "best") to a state dict, ``optimizer`` is a torch optimizer's state
    dict, ``counters`` is JSON: the epoch and step to go on from, the best score so far, the training's fingerprint.
    """

    tensors: dict[str, dict[str, Tensor]]
    optimizer: dict[str, Any]
    counters: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint so that the file is always a whole one, the old or the new."""
    flat: dict[str, Tensor] = {}
    for group, state in checkpoint.tensors.items():
        for name, tensor in state.items():
            flat[f"{group}{_SEPARATOR}{name}"] = tensor.detach().cpu().contiguous().clone()
    for parameter, state in checkpoint.optimizer["state"].items():
        for name, value in state.items():
            flat[f"optimizer{_SEPARATOR}{parameter}{_SEPARATOR}{name}"] = (
                torch.as_tensor(value).cpu().contiguous().clone()
            )
    metadata = {
        "counters": json.dumps(checkpoint.counters),
        "param_groups": json.dumps(checkpoint.optimizer["param_groups"]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.writing")
    save_file(flat, aside, metadata=metadata)
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint in that file, or None where there is none. Raises :class:`CheckpointError` for a broken one."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        counters = json.loads(metadata["counters"])
        optimizer: dict[str, Any] = {"state": {}, "param_groups": json.loads(metadata["param_groups"])}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({error}); delete it to start over"
        ) from error
    tensors: dict[str, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        group, _, rest = name.partition(_SEPARATOR)
        if group == "optimizer":
            parameter, _, key = rest.partition(_SEPARATOR)
            optimizer["state"].setdefault(int(parameter), {})[key] = tensor
        else:
            tensors.setdefault(group, {})[rest] = tensor
    return Checkpoint(tensors, optimizer, counters)
