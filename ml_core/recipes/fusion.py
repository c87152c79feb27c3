"""Train the fusion network: encode every film once, then train the heads on the features; tune the encoder before it.

Every stage leaves its result in ``work`` and is skipped when that is there, so an interrupted training goes on.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml_core.devices import choose_device
from ml_core.features import FeatureSource, film_features, state_sha256
from ml_core.inputs import InputSet
from ml_core.networks.encoders import ImageEncoder, SentenceEncoder
from ml_core.networks.fusion import FusionConfig, FusionNetwork, initialise_output
from ml_core.recipes import TrainingRequest
from ml_core.recipes.finishing import finish, half
from ml_core.scorers import load_tuned
from ml_core.sentence_tuning import FilmStates, film_states, tune_sentence_encoder
from ml_core.snapshot import Snapshot
from ml_core.training import FitConfig, Rows, fit

# Height and width of a poster for the image encoder: TMDB's are 2:3, and both sides must be divisible by 32.
POSTER_SIZE = (224, 160)
# Two of the sentence encoder's six layers: tuning them costs a third of tuning all.
TUNED_LAYERS = 2
_EPOCHS = 20


def train_fusion(request: TrainingRequest) -> str:
    """Train from a snapshot to an artifact; returns the artifact's SHA-256."""
    snapshot = Snapshot.open(request.snapshot)
    labels = snapshot.labels
    device = choose_device(request.device)
    states = film_states(
        snapshot, tuned_layers=TUNED_LAYERS, cache_dir=request.work, device=device, progress=request.progress
    )
    sentence_encoder, tuning = _sentence_encoder(request, snapshot, states, device)
    image_encoder = ImageEncoder(request.image_encoder)
    features = film_features(
        snapshot,
        states,
        sentence_encoder,
        image_encoder,
        tuned_layers=TUNED_LAYERS,
        poster_size=POSTER_SIZE,
        cache_dir=request.work,
        device=device,
        progress=request.progress,
    )
    # A checkpoint belongs to the films and to the encoders whose output the heads read.
    encoders = f"{state_sha256(sentence_encoder)[:8]}-{state_sha256(image_encoder)[:8]}"
    torch.manual_seed(request.seed)
    config = FusionConfig(poster_width=image_encoder.width)
    network = FusionNetwork(config)
    train, val = snapshot.rows("train"), snapshot.rows("val")
    initialise_output(network, torch.from_numpy(labels[train].mean(axis=0)))
    source = FeatureSource(features)
    result = fit(
        network,
        source,
        labels,
        train=train,
        val=val,
        config=FitConfig(
            epochs=request.epochs or _EPOCHS,
            batch_size=request.batch_size or 256,
            learning_rate=1e-3,
            weight_decay=0.05,
            clip=1.0,
            schedule="cosine",
            warmup=0.05,
            average=0.998,
            seed=request.seed,
        ),
        device=device,
        checkpoint=request.work / f"heads-{snapshot.sha256[:16]}-{encoders}.safetensors",
        progress=request.progress,
        stage="train heads",
    )
    network.to(device).eval()

    def logits(rows: Rows, inputs: InputSet) -> NDArray[np.float32]:
        everyone, nobody = np.ones(len(rows), dtype=np.bool_), np.zeros(len(rows), dtype=np.bool_)
        given = source.given(
            rows,
            has_text=nobody if inputs == "poster" else everyone,
            has_overview=everyone if inputs in {"overview", "overview_poster"} else nobody,
            has_poster=nobody if inputs in {"overview", "title"} else everyone,
        )
        with torch.inference_mode():
            return network(*(tensor.to(device) for tensor in given)).float().cpu().numpy()  # type: ignore[no-any-return]

    weights = half(network.state_dict(), "fusion.")
    if tuning is not None:
        weights |= half(_tuned(sentence_encoder), "sentence_encoder.")
    return finish(
        request,
        snapshot=snapshot,
        logits=logits,
        has_poster=features.poster_places >= 0,
        reads_title=True,
        network="fusion",
        network_config=asdict(config),
        weights=weights,
        training={"heads": result.epochs, "sentence_encoder": tuning or []},
        config={
            "poster_size": list(POSTER_SIZE),
            "encoders": {
                "sentence": SentenceEncoder.identity().as_json() | {"tuned": tuning is not None},
                "image": image_encoder.identity().as_json() | {"name": image_encoder.name, "tuned": False},
            },
        },
    )


def _sentence_encoder(
    request: TrainingRequest, snapshot: Snapshot, states: FilmStates, device: torch.device
) -> tuple[SentenceEncoder, list[dict[str, Any]] | None]:
    """The encoder as it came, or tuned; with the tuning's figures by epoch."""
    encoder = SentenceEncoder.pretrained()
    if not request.tune_epochs:
        return encoder, None
    encoder, result = tune_sentence_encoder(
        snapshot,
        states,
        tuned_layers=TUNED_LAYERS,
        config=FitConfig(
            epochs=request.tune_epochs,
            batch_size=32,
            learning_rate=1e-4,
            weight_decay=0.01,
            clip=1.0,
            schedule="cosine",
            warmup=0.05,
            seed=request.seed,
        ),
        device=device,
        checkpoint=request.work / f"sentence-encoder-{snapshot.sha256[:16]}.safetensors",
        progress=request.progress,
    )
    # The features are made with the weights as they will be shipped: rounded to half precision.
    load_tuned(encoder, {name: tensor.half() for name, tensor in _tuned(encoder).items()})
    return encoder, [dict(epoch) for epoch in result.epochs]


def _tuned(encoder: SentenceEncoder) -> dict[str, Tensor]:
    """What tuning changes: the last layers."""
    kept = len(encoder.layers) - TUNED_LAYERS
    below = tuple(f"layers.{number}." for number in range(kept, len(encoder.layers)))
    return {name: tensor for name, tensor in encoder.state_dict().items() if name.startswith(below)}
