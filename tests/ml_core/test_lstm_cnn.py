from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ml_core.networks.lstm_cnn import (
    POSTER_HEIGHT,
    POSTER_WIDTH,
    ArticleRecipe,
    LstmCnn,
    LstmCnnConfig,
    pixels,
)
from ml_core.posters import decode_poster
from ml_core.text import Vocabulary, pad
from ml_core.word_vectors import embedding_matrix

WORDS = 50


@pytest.fixture
def network() -> LstmCnn:
    torch.manual_seed(0)
    return LstmCnn(LstmCnnConfig(vocabulary_size=WORDS)).eval()


def posters(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((n, 3, POSTER_HEIGHT, POSTER_WIDTH), generator=torch.Generator().manual_seed(seed))


def test_the_sizes_are_the_articles(network: LstmCnn) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in network.named_parameters()}
    assert shapes["overview.embedding.weight"] == (WORDS, 300)
    assert shapes["overview.lstm.weight_ih_l0"] == (4 * 64, 300)
    assert shapes["overview.lstm.weight_ih_l1"] == (4 * 64, 64)
    assert "overview.lstm.weight_ih_l2" not in shapes
    assert "overview.lstm.weight_ih_l0_reverse" not in shapes
    linear = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [
        (64, 128),
        (1280, 512),
        (640, 256),
        (256, 128),
        (128, 18),
    ]
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size) for m in convolutions] == [
        (3, 32, (3, 3)),
        (32, 64, (3, 3)),
        (64, 128, (3, 3)),
        (128, 128, (3, 3)),
    ]
    assert sum(isinstance(m, torch.nn.MaxPool2d) for m in network.modules()) == 4
    assert network.overview is not None
    assert network.overview.lstm.dropout == 0.2
    assert [m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)] == [0.1, 0.1]


def test_the_recipe_is_the_articles() -> None:
    recipe = ArticleRecipe()
    assert (recipe.batch_size, recipe.learning_rate, recipe.weight_decay) == (64, 1e-3, 1e-5)
    assert (recipe.clip_norm, recipe.epochs) == (5.0, 20)


def test_eighteen_logits_for_each_film(network: LstmCnn) -> None:
    logits = network(torch.randint(2, WORDS, (3, 7)), torch.tensor([7, 2, 0]), posters(3))
    assert logits.shape == (3, 18)
    assert logits.dtype == torch.float32


def test_the_last_step_is_the_last_word_and_not_the_padding(network: LstmCnn) -> None:
    tokens, lengths = pad([[5, 6, 7], [8]])
    longer, _ = pad([[5, 6, 7], [8]], 40)
    short = network(torch.from_numpy(tokens), torch.from_numpy(lengths), posters(2))
    padded = network(torch.from_numpy(longer), torch.from_numpy(lengths), posters(2))
    torch.testing.assert_close(short, padded)
    alone = network(torch.tensor([[8]]), torch.tensor([1]), posters(2)[1:])
    torch.testing.assert_close(short[1:], alone)


def test_every_word_and_every_pixel_counts(network: LstmCnn) -> None:
    lengths = torch.tensor([3])
    base = network(torch.tensor([[5, 6, 7]]), lengths, posters(1))
    for place in range(3):
        changed = torch.tensor([[5, 6, 7]])
        changed[0, place] = 9
        assert not torch.equal(network(changed, lengths, posters(1)), base)
    assert not torch.equal(network(torch.tensor([[5, 6, 7]]), lengths, posters(1, seed=1)), base)


def test_a_film_without_overview_is_answered_the_same_whatever_stands_in_its_padding(
    network: LstmCnn,
) -> None:
    nothing = torch.tensor([0])
    by_padding = network(torch.zeros((1, 4), dtype=torch.int64), nothing, posters(1))
    by_garbage = network(torch.full((1, 4), 9), nothing, posters(1))
    by_no_step = network(torch.zeros((1, 0), dtype=torch.int64), nothing, posters(1))
    torch.testing.assert_close(by_padding, by_garbage)
    torch.testing.assert_close(by_padding, by_no_step)


def test_a_word_is_looked_up_as_its_own_vector() -> None:
    """From text to the network's first layer: the article's embedding held each next word's vector."""
    vocabulary = Vocabulary.fit([["wolf", "city", "ghost"]], min_count=1)
    vectors = {word: np.full(300, len(word) + 0.25, np.float32) for word in ("wolf", "city", "ghost")}
    config = LstmCnnConfig(vocabulary_size=len(vocabulary))
    network = LstmCnn(config, embedding_matrix(vocabulary, vectors))
    assert network.overview is not None
    for word, vector in vectors.items():
        looked_up = network.overview.embedding(torch.tensor(vocabulary.encode([word])))[0]
        np.testing.assert_array_equal(looked_up.detach().numpy(), vector)
    assert network.overview.embedding.weight.requires_grad
    assert not network.overview.embedding.weight[0].any()


def test_padding_stays_zero_while_training(network: LstmCnn) -> None:
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    network(torch.tensor([[5, 0, 0]]), torch.tensor([1]), posters(1)).sum().backward()
    optimizer.step()
    assert network.overview is not None
    assert not network.overview.embedding.weight[0].any()


def test_a_posters_pixels_reach_the_network_where_they_were() -> None:
    """Left half red, right half blue, top row green: reshaping instead of transposing would scramble them."""
    drawn = Image.new("RGB", (POSTER_WIDTH, POSTER_HEIGHT), (255, 0, 0))
    drawn.paste((0, 0, 255), (40, 0, POSTER_WIDTH, POSTER_HEIGHT))
    drawn.paste((0, 255, 0), (0, 0, POSTER_WIDTH, 1))
    file = io.BytesIO()
    drawn.save(file, "PNG")
    seen = pixels(decode_poster(file.getvalue(), (POSTER_HEIGHT, POSTER_WIDTH))[None])
    assert seen.shape == (1, 3, POSTER_HEIGHT, POSTER_WIDTH)
    assert seen.dtype == torch.float32
    red, green, blue = seen[0]
    assert (red[1:, :40] == 1).all()
    assert (red[:, 40:] == 0).all()
    assert (blue[1:, 40:] == 1).all()
    assert (blue[:, :40] == 0).all()
    assert (green[0] == 1).all()
    assert (green[1:] == 0).all()
    scrambled = np.asarray(drawn).reshape(3, POSTER_HEIGHT, POSTER_WIDTH) / 255
    assert not np.allclose(scrambled, seen[0].numpy())


@pytest.mark.parametrize(("inputs", "features"), [("overview", 128), ("poster", 512)])
def test_each_half_can_stand_alone(inputs: str, features: int) -> None:
    network = LstmCnn(LstmCnnConfig(vocabulary_size=WORDS, inputs=inputs)).eval()
    first = next(m for m in network.head if isinstance(m, torch.nn.Linear))
    assert first.in_features == features
    tokens, lengths = torch.tensor([[5, 6]]), torch.tensor([2])
    both = network(tokens, lengths, posters(1))
    assert both.shape == (1, 18)
    alone = network(tokens, lengths) if inputs == "overview" else network(posters=posters(1))
    torch.testing.assert_close(alone, both)
    with pytest.raises(ValueError, match="this network reads"):
        network() if inputs == "overview" else network(tokens, lengths)


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match="both, overview or poster"):
        LstmCnn(LstmCnnConfig(vocabulary_size=WORDS, inputs="title"))
    with pytest.raises(ValueError, match="word vectors of shape"):
        LstmCnn(LstmCnnConfig(vocabulary_size=WORDS), np.zeros((WORDS - 1, 300), np.float32))


def test_it_learns_from_words_and_pixels() -> None:
    """Genre 0 is told by a word, genre 1 by the colour of the poster; sixty steps suffice."""
    torch.manual_seed(0)
    network = LstmCnn(LstmCnnConfig(vocabulary_size=WORDS))
    random = np.random.default_rng(0)
    scary, red = random.random(12) < 0.5, random.random(12) < 0.5
    tokens = torch.from_numpy(np.where(scary[:, None], 5, 6) * np.ones((1, 4), np.int64))
    lengths = torch.full((12,), 4)
    pictures = posters(12) * 0.2
    pictures[torch.from_numpy(red), 0] += 0.8
    labels = torch.zeros((12, 18))
    labels[:, 0], labels[:, 1] = torch.from_numpy(scary), torch.from_numpy(red)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            network(tokens, lengths, pictures), labels
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    predicted = network(tokens, lengths, pictures) > 0
    assert torch.equal(predicted, labels.bool())
