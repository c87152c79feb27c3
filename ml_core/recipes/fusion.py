"""Train the fusion network: encode every film once and train the heads on that; then tune encoders and heads together.

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
from ml_core.features import FeatureSource, FilmFeatures, film_features, state_sha256
from ml_core.film_texts import FilmTexts
from ml_core.inputs import InputSet
from ml_core.networks.encoders import ImageEncoder, SentenceEncoder
from ml_core.networks.fusion import FusionConfig, FusionNetwork, initialise_output
from ml_core.posters import DecodedPosters, decode_all
from ml_core.recipes import TrainingRequest
from ml_core.recipes.finishing import finish, half
from ml_core.scorers import load_tuned
from ml_core.snapshot import Snapshot
from ml_core.training import FitConfig, FitResult, Rows, fit
from ml_core.tuning import FilmNetwork, tune

# Height and width of a poster for the image encoder: TMDB's are 2:3, and both sides must be divisible by 32.
POSTER_SIZE = (224, 160)
_EPOCHS = 20


def train_fusion(request: TrainingRequest) -> str:
    """Train from a snapshot to an artifact; returns the artifact's SHA-256."""
    snapshot = Snapshot.open(request.snapshot)
    device = choose_device(request.device)
    texts, posters = FilmTexts.of(snapshot), decode_all(snapshot, POSTER_SIZE, request.work)
    sentence, image = SentenceEncoder.pretrained(), ImageEncoder(request.image_encoder)
    encoders = {
        "sentence": SentenceEncoder.identity().as_json() | {"tuned": request.tune_epochs > 0},
        "image": image.identity().as_json() | {"name": image.name, "tuned": request.tune_epochs > 0},
    }

    def features(rows: Rows) -> FilmFeatures:
        return film_features(
            texts,
            posters,
            sentence,
            image,
            rows=rows,
            snapshot_sha256=snapshot.sha256,
            cache_dir=request.work,
            device=device,
            progress=request.progress,
        )

    torch.manual_seed(request.seed)
    network = FusionNetwork(FusionConfig(poster_width=image.width))
    initialise_output(network, torch.from_numpy(snapshot.labels[snapshot.rows("train")].mean(axis=0)))
    judged = np.sort(np.concatenate([snapshot.rows("val"), snapshot.rows("test")]))
    seen = features(np.arange(len(snapshot)))
    heads = _train_heads(request, snapshot, seen, network, f"{state_sha256(image)[:16]}", device)
    training = {"heads": heads.epochs}
    weights: dict[str, NDArray[Any]] = {}
    if request.tune_epochs:
        training["end_to_end"] = _tune(
            request, snapshot, texts, posters, sentence, image, network, device
        ).epochs
        weights = half(_tuned(sentence), "sentence_encoder.") | half(image.state_dict(), "image_encoder.")
        # The films are judged by the weights as they will be shipped: rounded to half precision.
        load_tuned(sentence, {name: tensor.half() for name, tensor in _tuned(sentence).items()})
        load_tuned(image, {name: tensor.half() for name, tensor in image.state_dict().items()})
        seen = features(judged)
    network.to(device).eval()
    source = FeatureSource(seen)

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

    return finish(
        request,
        snapshot=snapshot,
        logits=logits,
        has_poster=posters.usable,
        reads_title=True,
        network="fusion",
        network_config=asdict(network.config),
        weights=weights | half(network.state_dict(), "fusion."),
        training=training,
        config={"poster_size": list(POSTER_SIZE), "encoders": encoders, "reads_tagline": True},
    )


def _train_heads(
    request: TrainingRequest,
    snapshot: Snapshot,
    features: FilmFeatures,
    network: FusionNetwork,
    encoder: str,
    device: torch.device,
) -> FitResult:
    """Train the fusion on what the encoders, as they came, make of the films."""
    return fit(
        network,
        FeatureSource(features),
        snapshot.labels,
        train=snapshot.rows("train"),
        val=snapshot.rows("val"),
        config=FitConfig(
            epochs=request.epochs or _EPOCHS,
            batch_size=request.batch_size or 256,
            learning_rate=1e-3,
            weight_decay=0.05,
            clip=1.0,
            schedule="cosine",
            warmup=0.05,
            average=0.998,
            loss=request.loss,
            seed=request.seed,
        ),
        device=device,
        # A checkpoint belongs to the films and to the encoders whose output the heads read.
        checkpoint=request.work / f"heads-{request.loss}-{snapshot.sha256[:16]}-{encoder}.safetensors",
        progress=request.progress,
        stage="train heads",
    )


def _tune(
    request: TrainingRequest,
    snapshot: Snapshot,
    texts: FilmTexts,
    posters: DecodedPosters,
    sentence: SentenceEncoder,
    image: ImageEncoder,
    network: FusionNetwork,
    device: torch.device,
) -> FitResult:
    """Tune all three from end to end; their weights are the best epoch's afterwards."""
    film_network = FilmNetwork(sentence, image, network)
    result = tune(
        film_network,
        texts,
        posters,
        snapshot.labels,
        train=snapshot.rows("train"),
        val=snapshot.rows("val"),
        config=FitConfig(
            epochs=request.tune_epochs,
            batch_size=32,
            learning_rate=5e-4,
            weight_decay=0.02,
            clip=1.0,
            schedule="cosine",
            warmup=0.05,
            average=0.999,
            loss=request.loss,
            seed=request.seed,
            checkpoint_seconds=300.0,
        ),
        device=device,
        checkpoint=request.work / f"end-to-end-{request.loss}-{snapshot.sha256[:16]}.safetensors",
        progress=request.progress,
    )
    for module in (sentence, image, network):
        module.to("cpu").requires_grad_(False)
    return result


def _tuned(encoder: SentenceEncoder) -> dict[str, Tensor]:
    """What tuning changes of the sentence encoder: its layers."""
    return {name: tensor for name, tensor in encoder.state_dict().items() if name.startswith("layers.")}
