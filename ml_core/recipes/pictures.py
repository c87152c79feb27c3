"""A stage of the fusion's recipe: what the pictures of posters that come with nothing else say, by one image encoder or by two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from ml_core import ranks
from ml_core.array_cache import HalfArray
from ml_core.artifact import WEIGHTS_FILE, ArtifactDescription
from ml_core.features import poster_features, state_sha256
from ml_core.heads import picture_logits
from ml_core.networks.fusion import FusionNetwork
from ml_core.networks.image import ImageEncoder
from ml_core.networks.picture import PictureHead
from ml_core.picture import PictureSource, choose_share, train_picture
from ml_core.posters import Size
from ml_core.scorers import tuned_image_encoder
from ml_core.snapshot import Snapshot
from ml_core.teacher import refuse_who_knows
from ml_core.training import Rows, TrainingError

if TYPE_CHECKING:
    from ml_core.recipes.fusion import Films


@dataclass(frozen=True)
class Lender:
    """A model that lends its image encoder, and that encoder."""

    description: ArtifactDescription
    encoder: ImageEncoder

    @classmethod
    def of(cls, artifact: Path, snapshot: Snapshot, *, poster_size: Size) -> Lender:
        """Read the artifact; ``poster_size`` is that of the training which is to use the encoder.

        Raises :class:`TrainingError` where it has no such encoder, :class:`ml_core.teacher.TeacherError` where that was tuned on films that
        are to validate or test this training, :class:`ml_core.artifact.ArtifactError` where it is damaged.
        """
        description = ArtifactDescription.read(artifact)
        refuse_who_knows(description, snapshot, role="lend its image encoder")
        if description.network != "fusion" or not description.config["encoders"]["image"]["tuned"]:
            raise TrainingError(f"{description.name} has no image encoder of its own to lend")
        if tuple(description.config["poster_size"]) != poster_size:
            raise TrainingError(f"{description.name} looks at posters of another size than this training")
        weights = load_file(description.folder / WEIGHTS_FILE)
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        return cls(description, tuned_image_encoder(description, "image", tensors))


@dataclass(frozen=True)
class SecondLook:
    """Whose image encoder looks, too, and the head on both encoders' features, with the figures of its epochs."""

    lender: Lender
    head: PictureHead
    epochs: list[dict[str, float]]

    def described(self) -> dict[str, Any]:
        """The encoder, for the artifact's configuration."""
        lender, encoder = self.lender.description, self.lender.encoder
        return encoder.identity().as_json() | {
            "name": encoder.name,
            "tuned": True,
            "lender": {"name": lender.name, "sha256": lender.sha256},
        }


@dataclass(frozen=True)
class Pictures:
    """What pictures alone say, looked at closely, as :class:`ml_core.scorers.FusionScorer` has it."""

    films: Films
    network: FusionNetwork
    second: SecondLook | None = None

    def logits(self, rows: Rows) -> NDArray[np.float32]:
        """Logits ``(rows, 18)``."""
        own = _features(self.films, rows, self.films.image, closely=True)
        logits = picture_logits(self.network, own.astype(np.float32), device=self.films.device)
        if self.second is None:
            return logits
        theirs = _features(self.films, rows, self.second.lender.encoder, closely=True)
        (features,) = PictureSource((own, theirs)).inputs(np.arange(len(rows)))
        with torch.inference_mode():
            mixed: NDArray[np.float32] = self.second.head.mixed(torch.from_numpy(logits), features).numpy()
        return mixed


def learn_second_look(films: Films, network: FusionNetwork) -> SecondLook | None:
    """Train a head on what the films' image encoder and the lender's make of posters; None where there is no lender.

    Raises :class:`TrainingError` where both are one encoder.
    """
    request, usable, lender = films.request, films.posters.usable, films.lender
    if lender is None:
        return None
    shas = [state_sha256(encoder)[:8] for encoder in (films.image, lender.encoder)]
    if shas[0] == shas[1]:
        raise TrainingError(
            f"{lender.description.name} has the very image encoder of this training: two looks would be one"
        )
    train, val = (rows[usable[rows]] for rows in (films.rows("train"), films.rows("val")))
    labels, both = films.snapshot.labels, np.concatenate([train, val])
    places = np.arange(len(both))
    features = []
    with ranks.leader_first():
        for looking in (films.image, lender.encoder):
            # Learned from posters seen once, judged as it will be asked: by several views.
            pieces = (
                _features(films, train, looking, closely=False),
                _features(films, val, looking, closely=True),
            )
            features.append(np.concatenate(pieces))
    source = PictureSource(tuple(features))
    head, result = train_picture(
        source,
        labels[both],
        train=places[: len(train)],
        val=places[len(train) :],
        seed=request.seed,
        device=films.device,
        targets=films.targets[both],
        checkpoint=request.work / f"second-look-{films.aim}-{'-'.join(shas)}.safetensors",
        progress=request.progress,
    )
    fused = picture_logits(network, features[0][len(train) :].astype(np.float32), device=films.device)
    choose_share(head, fused, source.inputs(places[len(train) :])[0], labels[val])
    # As it will be shipped.
    head.load_state_dict({name: tensor.half().float() for name, tensor in head.state_dict().items()})
    return SecondLook(lender, head, result.epochs)


def _features(films: Films, rows: Rows, encoder: ImageEncoder, *, closely: bool) -> HalfArray:
    return poster_features(
        films.posters,
        rows,
        encoder,
        closely=closely,
        snapshot_sha256=films.snapshot.sha256,
        cache_dir=films.request.work,
        device=films.device,
        progress=films.request.progress,
    )
