"""Going on from a model that was trained before: its encoders and its fusion instead of pretrained encoders and a random fusion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from ml_core.artifact import WEIGHTS_FILE, ArtifactDescription
from ml_core.labels import LABEL_IDS
from ml_core.scorers import FusionScorer
from ml_core.snapshot import Snapshot
from ml_core.teacher import refuse_who_knows
from ml_core.training import TrainingError


@dataclass(frozen=True)
class Start:
    """The model, ready on the CPU, and its weights as they are stored, by name."""

    description: ArtifactDescription
    scorer: FusionScorer
    weights: dict[str, NDArray[Any]]

    @classmethod
    def of(
        cls,
        artifact: Path,
        snapshot: Snapshot,
        *,
        inputs: frozenset[str],
        image_encoder: str,
        poster_size: tuple[int, int],
    ) -> Start:
        """Read the artifact; ``inputs``, ``image_encoder`` and ``poster_size`` are those of the training that is to go on from it.

        Raises :class:`TrainingError` where it is another kind of model, :class:`ml_core.teacher.TeacherError` where it was trained on
        films that are to validate or test this training, :class:`ml_core.artifact.ArtifactError` where it is damaged.
        """
        description = ArtifactDescription.read(artifact)
        config = description.config
        refuse_who_knows(description, snapshot, role="be the start")
        if description.network != "fusion" or description.label_ids != LABEL_IDS:
            raise TrainingError(f"{description.name} is no network of ours, so no training can go on from it")
        theirs = (
            frozenset(config["reads"]),
            config["encoders"]["image"]["name"],
            tuple(config["poster_size"]),
        )
        if theirs != (inputs, image_encoder, poster_size):
            raise TrainingError(
                f"{description.name} reads other inputs, or posters by another encoder or of another size, than this training"
            )
        stored = load_file(description.folder / WEIGHTS_FILE)
        tensors = {name: torch.from_numpy(array) for name, array in stored.items()}
        return cls(description, FusionScorer(description, tensors, torch.device("cpu")), stored)

    def tuned(self, encoder: str) -> bool:
        """Whether that encoder, "sentence" or "image", is no longer the one that came pretrained."""
        return bool(self.description.config["encoders"][encoder]["tuned"])
