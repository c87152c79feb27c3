"""The fusion network: an input that is hidden has no say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ml_core.networks.fusion import EMBEDDING_WIDTH, FusionConfig, FusionNetwork, initialise_output

FILMS = 6


@pytest.fixture(scope="module")
def network() -> FusionNetwork:
    torch.manual_seed(0)
    return FusionNetwork(FusionConfig(poster_width=32, hidden=16)).eval()


def features(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(FILMS, 384, generator=generator), torch.randn(FILMS, 32, generator=generator)


YES, NO = torch.ones(FILMS, dtype=torch.bool), torch.zeros(FILMS, dtype=torch.bool)


def test_logits_and_embeddings_of_length_one(network: FusionNetwork) -> None:
    text, poster = features(0)
    logits, embeddings = network.score(text, YES, YES, poster, YES)
    assert logits.shape == (FILMS, 18)
    assert embeddings.shape == (FILMS, EMBEDDING_WIDTH) == (FILMS, 256)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(FILMS))


def test_a_hidden_poster_or_text_has_no_influence(network: FusionNetwork) -> None:
    (text, poster), (other_text, other_poster) = features(0), features(1)
    assert torch.equal(network(text, YES, YES, poster, NO), network(text, YES, YES, other_poster, NO))
    assert torch.equal(network(text, NO, NO, poster, YES), network(other_text, NO, NO, poster, YES))


def test_each_shown_input_has_influence(network: FusionNetwork) -> None:
    (text, poster), (other_text, other_poster) = features(0), features(1)
    both = network(text, YES, YES, poster, YES)
    assert not torch.allclose(both, network(other_text, YES, YES, poster, YES))
    assert not torch.allclose(both, network(text, YES, YES, other_poster, YES))


def test_a_film_is_answered_alike_alone_and_among_others(network: FusionNetwork) -> None:
    text, poster = features(0)
    shown = torch.tensor([True, False, True, False, True, False])
    together = network(text, YES, shown, poster, shown)
    for film in range(FILMS):
        one = slice(film, film + 1)
        alone = network(text[one], YES[one], shown[one], poster[one], shown[one])
        assert torch.allclose(alone, together[one], atol=1e-6)


def test_the_output_starts_near_the_genres_frequencies() -> None:
    torch.manual_seed(0)
    network = FusionNetwork(FusionConfig(poster_width=32, hidden=16)).eval()
    frequencies = torch.linspace(0.02, 0.5, 18)
    initialise_output(network, frequencies)
    text, poster = features(0)
    assert torch.allclose(network(text, YES, YES, poster, YES).sigmoid().mean(dim=0), frequencies, atol=0.1)
