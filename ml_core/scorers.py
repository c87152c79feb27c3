"""How each network runs out of an artifact: texts and posters to features, features to logits and embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml_core.artifact import ArtifactDescription, ArtifactError, read_json
from ml_core.devices import autocast
from ml_core.inputs import Input
from ml_core.networks.fusion import FusionConfig, FusionNetwork
from ml_core.networks.image import POSTERS_ON_CPU, ImageEncoder
from ml_core.networks.picture import PictureHead
from ml_core.networks.pretrained import EncoderIdentity
from ml_core.networks.reading import ReadingHead
from ml_core.networks.sentence import SentenceEncoder, film_text, pad_tokens, tokenize
from ml_core.poster_views import encode_views
from ml_core.posters import Pixels, Size

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

# Texts in a forward pass on a CPU. Few on purpose: their states stay in its caches.
_TEXT_BATCH = 32
_GPU_BATCH = 256


@dataclass(frozen=True, slots=True)
class FilmText:
    """A film's texts, tidied; '' where there is none."""

    title: str
    overview: str
    tagline: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """Which inputs of ``n`` films a network is shown, masks ``(n,)``: any text, an overview in it, a poster.

    ``closely`` are posters whose features come from looking closely (:meth:`Scorer.encode_posters`), ``read`` those films whose
    text is what is written on their poster; there ``text`` is False.
    """

    text: Mask
    overview: Mask
    poster: Mask
    closely: Mask | None = None
    read: Mask | None = None


class Scorer(Protocol):
    """A network ready to run."""

    @property
    def reads(self) -> frozenset[Input]:
        """The inputs that it was trained on; it is not shown any other."""
        ...

    @property
    def reads_tagline(self) -> bool:
        """Whether a tagline is read beside the title."""
        ...

    @property
    def reads_poster_text(self) -> bool:
        """Whether what is written on a poster is of use to it where a film comes with nothing else."""
        ...

    @property
    def poster_size(self) -> Size:
        """Height and width in pixels that posters are decoded to."""
        ...

    def encode_texts(self, texts: Sequence[FilmText]) -> Tensor:
        """Text features, one row a film."""
        ...

    def encode_posters(
        self, pixels: Sequence[Pixels], has_poster: Mask, closely: Mask | None = None
    ) -> Tensor:
        """Poster features, one row a film, from the pixels of those films that have a poster; zeros elsewhere.

        Where ``closely`` ``(n,)`` says so, a network that reads posters looks at more than one view of them.
        """
        ...

    def score(self, text: Tensor, poster: Tensor, shown: Shown) -> tuple[Floats, Floats]:
        """Logits ``(n, 18)`` and embeddings ``(n, 256)`` with exactly those inputs shown."""
        ...


class FusionScorer:
    """The fusion network with its two encoders."""

    def __init__(
        self, description: ArtifactDescription, weights: dict[str, Tensor], device: torch.device
    ) -> None:
        config = description.config
        encoders = config["encoders"]
        self.device = device
        self.reads = frozenset(config.get("reads", ("title", "overview", "poster")))
        self.reads_tagline = bool(config.get("reads_tagline", False))
        self.sentence_encoder = SentenceEncoder.pretrained()
        refuse_other_weights(SentenceEncoder.identity(), encoders["sentence"], description)
        self.image_encoder = tuned_image_encoder(description, "image", weights)
        height, width = config["poster_size"]
        self.poster_size: Size = (int(height), int(width))
        load_tuned(self.sentence_encoder, _below("sentence_encoder.", weights))
        self.network = FusionNetwork(FusionConfig(**config["network_config"]))
        self.network.load_state_dict({k: v.float() for k, v in _below("fusion.", weights).items()})
        self.reads_poster_text = bool(config.get("reads_poster_text", False))
        self.reading = ReadingHead(SentenceEncoder.width)
        if self.reads_poster_text:
            self.reading.load_state_dict({k: v.float() for k, v in _below("reading.", weights).items()})
        modules = [self.sentence_encoder, self.image_encoder, self.network, self.reading]
        self.second_image_encoder: ImageEncoder | None = None
        if "second_image" in encoders:
            self.second_image_encoder = tuned_image_encoder(description, "second_image", weights)
            self.picture = PictureHead(self.image_encoder.width + self.second_image_encoder.width)
            self.picture.load_state_dict({k: v.float() for k, v in _below("picture.", weights).items()})
            modules += [self.second_image_encoder, self.picture]
        for module in modules:
            module.to(device).eval().requires_grad_(False)

    def encode_texts(self, texts: Sequence[FilmText]) -> Tensor:
        """Sentence vectors ``(n, 384)``, the films sorted into batches of like length; zeros where there is no text."""
        vectors = torch.zeros(len(texts), SentenceEncoder.width, device=self.device)
        read = [
            film_text(text.title, text.overview, text.tagline if self.reads_tagline else "") for text in texts
        ]
        tokens = tokenize(read)
        present = [row for row, text in enumerate(read) if text]
        # The longest first: what their states free is then large enough for all that follows.
        present.sort(key=lambda row: -len(tokens[row]))
        size = _batch_size(self.device, _TEXT_BATCH)
        with torch.inference_mode(), autocast(self.device):
            for start in range(0, len(present), size):
                rows = present[start : start + size]
                padded, lengths = pad_tokens([tokens[row] for row in rows])
                lengths = None if lengths is None else lengths.to(self.device)
                vectors[rows] = self.sentence_encoder(padded.to(self.device), lengths).float()
        return vectors

    def encode_posters(
        self, pixels: Sequence[Pixels], has_poster: Mask, closely: Mask | None = None
    ) -> Tensor:
        """Image features ``(n, width)``; beside them those of the second image encoder, where there is one and looks."""
        second = self.second_image_encoder
        width = self.image_encoder.width + (second.width if second is not None else 0)
        features = torch.zeros(len(has_poster), width, device=self.device)
        rows = np.flatnonzero(has_poster)
        once = np.ones(len(rows), dtype=np.bool_) if closely is None else ~closely[rows]
        size = _batch_size(self.device, POSTERS_ON_CPU)
        with torch.inference_mode(), autocast(self.device):
            for views, places in ((False, np.flatnonzero(once)), (True, np.flatnonzero(~once))):
                for start in range(0, len(places), size):
                    some = places[start : start + size]
                    batch = torch.from_numpy(np.stack([pixels[place] for place in some])).to(self.device)
                    encoded = self._look_closely(batch) if views else self.image_encoder(batch)
                    features[rows[some], : encoded.shape[1]] = encoded.float()
        return features

    def _look_closely(self, batch: Tensor) -> Tensor:
        encoders = [self.image_encoder, self.second_image_encoder]
        return torch.cat([encode_views(encoder, batch) for encoder in encoders if encoder is not None], dim=1)

    def score(self, text: Tensor, poster: Tensor, shown: Shown) -> tuple[Floats, Floats]:
        """Logits and embeddings of the fusion network; where posters were looked at closely, with what the second look and what was
        read on them add to the logits.
        """
        masks = [
            torch.from_numpy(mask).to(self.device) for mask in (shown.text, shown.overview, shown.poster)
        ]
        own = poster[:, : self.image_encoder.width]
        with torch.inference_mode():
            logits, embeddings = self.network.score(text, masks[0], masks[1], own, masks[2])
            if self.second_image_encoder is not None and shown.closely is not None and shown.closely.any():
                rows = torch.from_numpy(np.flatnonzero(shown.closely)).to(self.device)
                logits[rows] = self.picture.mixed(logits[rows], poster[rows])
            if shown.read is not None and shown.read.any():
                rows = torch.from_numpy(np.flatnonzero(shown.read)).to(self.device)
                logits[rows] += self.reading.evidence(text[rows])
        return logits.float().cpu().numpy(), embeddings.float().cpu().numpy()


def refuse_other_weights(
    installed: EncoderIdentity, expected: dict[str, Any], description: ArtifactDescription
) -> None:
    """Raise :class:`ArtifactError` unless the installed pretrained weights are those the artifact was trained on."""
    if installed.sha256 != expected["sha256"]:
        raise ArtifactError(
            f"{description.folder} stands on {expected['package']} {expected['version']} (weights "
            f"{expected['sha256'][:12]}), but {installed.package} {installed.version} with weights "
            f"{installed.sha256[:12]} is installed; install the version it names"
        )


def tuned_image_encoder(
    description: ArtifactDescription, kind: str, weights: dict[str, Tensor]
) -> ImageEncoder:
    """The image encoder that the artifact calls "image" or "second_image", its tuned weights over the pretrained ones, on the CPU.

    Raises :class:`ArtifactError` where other pretrained weights are installed, ``KeyError`` where the tuned ones do not fit or are missing.
    """
    stored = description.config["encoders"][kind]
    encoder = ImageEncoder(stored["name"])
    refuse_other_weights(encoder.identity(), stored, description)
    tuned = _below(f"{kind}_encoder.", weights)
    if stored.get("tuned") and not tuned:
        raise KeyError(f"no weights of the encoder {kind!r}, which was tuned")
    load_tuned(encoder, tuned)
    return encoder


def load_tuned(module: torch.nn.Module, tuned: dict[str, Tensor]) -> None:
    """Put tuned weights over pretrained ones. Raises ``KeyError`` for a name that the module does not have."""
    unknown = set(tuned) - set(module.state_dict())
    if unknown:
        raise KeyError(f"no such weight: {min(unknown)}")
    module.load_state_dict({name: tensor.float() for name, tensor in tuned.items()}, strict=False)


def _below(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def _batch_size(device: torch.device, on_cpu: int) -> int:
    return on_cpu if device.type == "cpu" else _GPU_BATCH


class LstmCnnScorer:
    """The article's network with its vocabulary. It reads no titles; an absent poster is a black one, as in training."""

    reads_tagline = False
    reads_poster_text = False

    def __init__(
        self, description: ArtifactDescription, weights: dict[str, Tensor], device: torch.device
    ) -> None:
        from ml_core.networks.lstm_cnn import LstmCnn, LstmCnnConfig, reads_of
        from ml_core.text import Vocabulary, VocabularyError, require_corpora

        require_corpora()
        config = dict(description.config["network_config"])
        for name in ("channels", "head"):
            config[name] = tuple(config[name])
        self.device = device
        height, width = description.config["poster_size"]
        self.poster_size: Size = (int(height), int(width))
        try:
            self.vocabulary = Vocabulary.from_json(read_json(description.folder, "vocabulary.json"))
        except VocabularyError as error:
            raise ArtifactError(f"{description.folder / 'vocabulary.json'}: {error}") from error
        self.network = LstmCnn(LstmCnnConfig(**config))
        self.network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        self.network.to(device).eval().requires_grad_(False)
        self.reads = reads_of(self.network.config.inputs)
        with torch.inference_mode():
            zero = torch.zeros(1, dtype=torch.long, device=device)
            self._no_overview = self._overview_features(zero[:, None], zero)
            self._no_poster = self._poster_features(torch.zeros(1, 3, *self.poster_size, device=device))

    def _overview_features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What the LSTM says of overviews; nothing where the network has none."""
        if self.network.overview is None:
            return torch.zeros(len(tokens), 0, device=self.device)
        features: Tensor = self.network.overview(tokens, lengths)
        return features

    def _poster_features(self, pixels: Tensor) -> Tensor:
        """What the convolutions say of posters; nothing where the network has none."""
        if self.network.poster is None:
            return torch.zeros(len(pixels), 0, device=self.device)
        features: Tensor = self.network.poster(pixels)
        return features

    def encode_texts(self, texts: Sequence[FilmText]) -> Tensor:
        """The LSTM's features ``(n, 128)`` of the cleaned overviews."""
        from ml_core.text import clean, pad

        sequences = [self.vocabulary.encode(clean(text.overview)) for text in texts]
        order = sorted(range(len(texts)), key=lambda row: len(sequences[row]))
        features = torch.zeros(len(texts), self._no_overview.shape[1], device=self.device)
        with torch.inference_mode():
            for start in range(0, len(order), _TEXT_BATCH):
                rows = order[start : start + _TEXT_BATCH]
                tokens, lengths = pad([sequences[row] for row in rows])
                given = torch.from_numpy(tokens).to(self.device), torch.from_numpy(lengths).to(self.device)
                features[rows] = self._overview_features(*given)
        return features

    def encode_posters(
        self, pixels: Sequence[Pixels], has_poster: Mask, closely: Mask | None = None
    ) -> Tensor:
        """The convolutions' features ``(n, 512)``."""
        from ml_core.networks.lstm_cnn import pixels as scaled

        features = torch.zeros(len(has_poster), self._no_poster.shape[1], device=self.device)
        rows = np.flatnonzero(has_poster).tolist()
        with torch.inference_mode():
            for start in range(0, len(rows), _GPU_BATCH):
                batch = scaled(np.stack(pixels[start : start + _GPU_BATCH])).to(self.device)
                features[rows[start : start + _GPU_BATCH]] = self._poster_features(batch)
        return features

    def score(self, text: Tensor, poster: Tensor, shown: Shown) -> tuple[Floats, Floats]:
        """Logits, and the head's first layer (256 units) as the embedding."""
        told = torch.from_numpy(shown.overview & shown.text).to(self.device)[:, None]
        seen = torch.from_numpy(shown.poster).to(self.device)[:, None]
        with torch.inference_mode():
            joined = torch.cat(
                [torch.where(told, text, self._no_overview), torch.where(seen, poster, self._no_poster)],
                dim=1,
            )
            hidden = self.network.head[:2](joined)
            logits = self.network.head[2:](hidden)
            embeddings = torch.nn.functional.normalize(hidden, dim=1)
        return logits.cpu().numpy(), embeddings.cpu().numpy()
