"""Train the fusion network: encode every film once and train the heads on that; then tune encoders and heads together.
Where it is asked for, the image encoder is tuned on posters alone before.

Every stage leaves its result in ``work`` and is skipped when that is there, so an interrupted training goes on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml_core import poster_text, poster_tuning, ranks
from ml_core.artifact import ArtifactDescription
from ml_core.devices import choose_device
from ml_core.features import FeatureSource, FilmFeatures, film_features, state_sha256
from ml_core.film_texts import FilmTexts
from ml_core.fit_config import FitConfig
from ml_core.heads import fusion_logits, new_fusion
from ml_core.inputs import Input, InputSet
from ml_core.networks.fusion import FusionNetwork
from ml_core.networks.image import ImageEncoder
from ml_core.networks.sentence import SentenceEncoder
from ml_core.poster_tuning import PosterNetwork, PosterSource
from ml_core.posters import DecodedPosters, decode_all
from ml_core.recipes import TrainingRequest
from ml_core.recipes.finishing import finish, half
from ml_core.recipes.pictures import Lender, Pictures, learn_second_look
from ml_core.recipes.reading import learn_to_read
from ml_core.recipes.running import tell_unusable_posters
from ml_core.recipes.starting import Start
from ml_core.scorers import load_tuned
from ml_core.snapshot import Part, Snapshot
from ml_core.teacher import softened_labels
from ml_core.training import FitResult, Rows, TrainingError, fit
from ml_core.tuning import FilmNetwork, FilmSource, learning_rate_share

# Height and width of a poster for the image encoder: TMDB's are 2:3, and both sides must be divisible by 32.
POSTER_SIZE = (224, 160)
EPOCHS = 20
HEADS_BATCH_SIZE, TUNE_BATCH_SIZE = 256, 32
_ENCODERS = ("sentence_encoder", "image_encoder")
_READS: dict[str, frozenset[Input]] = {
    "both": frozenset({"title", "overview", "poster"}),
    "overview": frozenset({"title", "overview"}),
    "poster": frozenset({"poster"}),
}


@dataclass(frozen=True)
class Films:
    """A snapshot's films, ready to be encoded, and the encoders that read them."""

    request: TrainingRequest
    snapshot: Snapshot
    device: torch.device
    texts: FilmTexts
    posters: DecodedPosters
    sentence: SentenceEncoder
    image: ImageEncoder
    targets: NDArray[np.float32]
    teacher: ArtifactDescription | None
    start: Start | None
    lender: Lender | None

    @classmethod
    def of(cls, request: TrainingRequest) -> Films:
        """Open the snapshot, cut its texts into word pieces, decode its posters, load the encoders as they came."""
        snapshot = Snapshot.open(request.snapshot)
        start = None
        if request.start is not None:
            start = Start.of(
                request.start,
                snapshot,
                inputs=_READS[request.inputs],
                image_encoder=request.image_encoder,
                poster_size=POSTER_SIZE,
            )
        lender = None
        if request.second_image is not None:
            lender = Lender.of(request.second_image, snapshot, poster_size=POSTER_SIZE)
        texts = FilmTexts.of(snapshot)
        with ranks.leader_first():
            posters = decode_all(snapshot, POSTER_SIZE, request.work)
        tell_unusable_posters(posters, snapshot, request.progress)
        device = choose_device(request.device)
        targets = snapshot.labels
        if request.teacher is not None:
            with ranks.leader_first():
                targets = softened_labels(
                    request.teacher,
                    snapshot,
                    snapshot.rows("train"),
                    cache_dir=request.work,
                    device=device,
                    progress=request.progress,
                )
        return cls(
            request,
            snapshot,
            device,
            texts if request.inputs != "poster" else texts.hidden(),
            posters if request.inputs != "overview" else posters.hidden(),
            start.scorer.sentence_encoder if start else SentenceEncoder.pretrained(),
            start.scorer.image_encoder if start else ImageEncoder(request.image_encoder),
            targets,
            ArtifactDescription.read(request.teacher) if request.teacher else None,
            start,
            lender,
        )

    def features(self, rows: Rows) -> FilmFeatures:
        """What the encoders, as they are now, make of those films."""
        with ranks.leader_first():
            return film_features(
                self.texts,
                self.posters,
                self.sentence,
                self.image,
                rows=rows,
                snapshot_sha256=self.snapshot.sha256,
                cache_dir=self.request.work,
                device=self.device,
                progress=self.request.progress,
            )

    def rows(self, part: Part) -> Rows:
        """Rows of that part that have an input to be shown."""
        rows = self.snapshot.rows(part)
        shown = self.texts.has_title | self.texts.has_overview | self.posters.usable
        return rows[shown[rows]]

    @property
    def aim(self) -> str:
        """What a checkpoint's name says of the films and of what they are held against."""
        taught = f"-{self.teacher.sha256[:8]}" if self.teacher else ""
        return f"{self.request.loss}-{self.snapshot.sha256[:16]}{taught}"

    def all_rows(self) -> Rows:
        """Every film."""
        return np.arange(len(self.snapshot))


def heads_config(request: TrainingRequest) -> FitConfig:
    """How the heads are trained."""
    return FitConfig(
        epochs=request.epochs or EPOCHS,
        batch_size=request.batch_size or HEADS_BATCH_SIZE,
        learning_rate=1e-3,
        weight_decay=0.05,
        clip=1.0,
        schedule="cosine",
        warmup=0.05,
        average=0.998,
        loss=request.loss,
        seed=request.seed,
    )


def train_fusion(request: TrainingRequest) -> str:
    """Train from a snapshot to an artifact; returns the artifact's SHA-256, or '' in a rank that does not lead."""
    _refuse_contradictions(request)
    films = Films.of(request)
    snapshot, sentence, image, start = films.snapshot, films.sentence, films.image, films.start
    reads = _READS[request.inputs]
    posters_tuned = start.tuned("image") if start else request.poster_epochs > 0 and "poster" in reads
    training: dict[str, list[dict[str, float]]] = {}
    weights: dict[str, NDArray[Any]] = {}
    if start is not None:
        network = start.scorer.network
        training = dict(start.description.metrics.get("training", {}))
        for stage in ("second_look", "reading"):
            training.pop(stage, None)
        weights = {name: array for name, array in start.weights.items() if name.split(".")[0] in _ENCODERS}
    else:
        if posters_tuned:
            training["posters"] = _tune_on_posters(films).epochs
            weights = half(image.state_dict(), "image_encoder.")
        features = films.features(films.all_rows())
        network, training["heads"] = _train_heads(films, features)
    if request.tune_epochs:
        training["end_to_end"] = _tune(films, network, posters_tuned=posters_tuned).epochs
        weights = half(_layers(sentence), "sentence_encoder.") | half(image.state_dict(), "image_encoder.")
        # The films are judged by the weights as they will be shipped: rounded to half precision.
        load_tuned(sentence, {name: tensor.half() for name, tensor in _layers(sentence).items()})
        load_tuned(image, {name: tensor.half() for name, tensor in image.state_dict().items()})
    if request.tune_epochs or start is not None:
        features = films.features(np.sort(np.concatenate([films.rows("val"), films.rows("test")])))
    encoders = {
        "sentence": SentenceEncoder.identity().as_json() | {"tuned": _tuned(weights, "sentence")},
        "image": image.identity().as_json() | {"name": image.name, "tuned": _tuned(weights, "image")},
    }
    second = learn_second_look(films, network)
    reading = learn_to_read(films, Pictures(films, network, second)) if request.read_posters else None
    if reading is not None:
        training["reading"] = reading.epochs
        weights |= half(reading.head.state_dict(), "reading.")
        if second is not None:
            training["second_look"] = second.epochs
            weights |= half(second.lender.encoder.state_dict(), "second_image_encoder.")
            weights |= half(second.head.state_dict(), "picture.")
            encoders["second_image"] = second.described()

    if ranks.rank() > 0:
        return ""

    def logits(rows: Rows, inputs: InputSet) -> NDArray[np.float32]:
        return fusion_logits(network, features, rows, inputs, device=films.device)

    return finish(
        request,
        snapshot=snapshot,
        logits=logits,
        bare_logits=reading.bare_logits if reading else None,
        reader=reading.reader if reading else None,
        has_poster=films.posters.usable,
        reads=reads,
        network="fusion",
        network_config=asdict(network.config),
        weights=weights | half(network.state_dict(), "fusion."),
        training=training,
        config={
            "poster_size": list(POSTER_SIZE),
            "encoders": encoders,
            "teacher": films.teacher and {"name": films.teacher.name, "sha256": films.teacher.sha256},
            "start": start
            and {
                "name": start.description.name,
                "sha256": start.description.sha256,
                "command": start.description.config.get("command"),
                "teacher": start.description.config.get("teacher"),
            },
            "reads": sorted(reads),
            "reads_tagline": "title" in reads,
            "reads_poster_text": reading is not None,
            "reader": poster_text.identity() if reading else None,
        },
    )


def _refuse_contradictions(request: TrainingRequest) -> None:
    if request.start is not None and (request.epochs or request.poster_epochs):
        raise TrainingError(
            "a training that goes on from a model has its posters and heads behind it: ask for no epochs of them"
        )
    if request.read_posters and request.inputs != "both":
        raise TrainingError("what is written on posters is read by a model of both inputs alone")
    if request.second_image is not None and not request.read_posters:
        raise TrainingError(
            "a second image encoder is for posters that are read: ask for that, too (--read-posters)"
        )


def _tuned(weights: dict[str, NDArray[Any]], encoder: str) -> bool:
    return any(name.startswith(f"{encoder}_encoder.") for name in weights)


def _train_heads(films: Films, features: FilmFeatures) -> tuple[FusionNetwork, list[dict[str, float]]]:
    """A new fusion trained on what the encoders make of the films, and its epochs' figures."""
    request, labels, train = films.request, films.snapshot.labels, films.rows("train")
    network = new_fusion(features, labels, train=train, seed=request.seed)
    result = fit(
        network,
        FeatureSource(features),
        labels,
        train=train,
        val=films.rows("val"),
        config=heads_config(request),
        device=films.device,
        targets=films.targets,
        # A checkpoint belongs to the films and to the encoders whose output the heads read.
        checkpoint=request.work / f"heads-{request.inputs}-{films.aim}-{_both_sha256(films)}.safetensors",
        progress=request.progress,
        stage="train heads",
    )
    return network, result.epochs


def _both_sha256(films: Films) -> str:
    """What the encoders are, in short."""
    return f"{state_sha256(films.sentence)[:8]}-{state_sha256(films.image)[:8]}"


def _tune_on_posters(films: Films) -> FitResult:
    """Tune the image encoder on posters alone; folded and rounded to half precision, it is the films' afterwards."""
    request, snapshot, usable = films.request, films.snapshot, films.posters.usable
    train, val = (rows[usable[rows]] for rows in (films.rows("train"), films.rows("val")))
    image = ImageEncoder(films.image.name, folded=False)
    result = fit(
        PosterNetwork(image, torch.from_numpy(snapshot.labels[train].mean(axis=0))),
        PosterSource(films.posters),
        snapshot.labels,
        train=train,
        val=val,
        config=FitConfig(
            epochs=request.poster_epochs,
            # A norm is better taken over more posters than a step of the sentence encoder needs texts.
            batch_size=2 * (request.tune_batch_size or TUNE_BATCH_SIZE),
            learning_rate=2e-3,
            weight_decay=0.05,
            clip=1.0,
            schedule="cosine",
            warmup=0.1,
            average=0.998,
            loss=request.loss,
            mixup=poster_tuning.MIXUP,
            seed=request.seed,
        ),
        device=films.device,
        targets=films.targets,
        checkpoint=request.work / f"posters-{films.aim}-{state_sha256(image)[:8]}.safetensors",
        progress=request.progress,
        stage="tune on posters",
        rate_of=poster_tuning.learning_rate_share,
    )
    image.to("cpu").fold()
    load_tuned(films.image, {name: tensor.half() for name, tensor in image.state_dict().items()})
    return result


def _tune(films: Films, network: FusionNetwork, *, posters_tuned: bool) -> FitResult:
    """Tune encoders and heads from end to end; their weights are the best epoch's afterwards."""
    request, snapshot = films.request, films.snapshot
    # Named by the encoders it starts from, too: nothing in a checkpoint tells whether they were tuned on posters before.
    checkpoint = f"end-to-end-{request.inputs}-{films.aim}-{_both_sha256(films)}"
    result = fit(
        FilmNetwork(films.sentence, films.image, network, tune_image=not posters_tuned),
        FilmSource(films.texts, films.posters),
        snapshot.labels,
        train=films.rows("train"),
        val=films.rows("val"),
        config=FitConfig(
            epochs=request.tune_epochs,
            batch_size=request.tune_batch_size or TUNE_BATCH_SIZE,
            learning_rate=5e-4,
            weight_decay=0.02,
            clip=1.0,
            schedule="cosine",
            warmup=0.05,
            average=0.999,
            loss=request.loss,
            seed=request.seed,
            # A checkpoint has 300 MB; writing one takes a second or two.
            checkpoint_seconds=300.0,
        ),
        device=films.device,
        targets=films.targets,
        checkpoint=request.work / f"{checkpoint}.safetensors",
        progress=request.progress,
        stage="tune encoders",
        rate_of=learning_rate_share,
    )
    for module in (films.sentence, films.image, network):
        module.to("cpu").requires_grad_(False)
    return result


def _layers(encoder: SentenceEncoder) -> dict[str, Tensor]:
    """What tuning changes of the sentence encoder."""
    return {name: tensor for name, tensor in encoder.state_dict().items() if name.startswith("layers.")}
