"""Tuning from end to end: its three views of a film, its rates, its batches, and that an interruption changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ml_core.film_texts import FilmTexts
from ml_core.fit_config import FitConfig
from ml_core.networks.fusion import FusionConfig, FusionNetwork
from ml_core.networks.image import ImageEncoder
from ml_core.networks.sentence import MASK_TOKEN, SentenceEncoder
from ml_core.posters import DecodedPosters, decode_all
from ml_core.snapshot import Snapshot
from ml_core.training import FitResult, fit
from ml_core.tuning import FilmNetwork, FilmSource, learning_rate_share

SIZE = (64, 32)
CONFIG = FitConfig(
    epochs=2,
    batch_size=8,
    learning_rate=1e-3,
    average=0.9,
    schedule="cosine",
    warmup=0.1,
    checkpoint_seconds=0.0,
)


@pytest.fixture(scope="module")
def films(
    tiny_snapshot: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Snapshot, FilmTexts, DecodedPosters]:
    snapshot = Snapshot.open(tiny_snapshot)
    return snapshot, FilmTexts.of(snapshot), decode_all(snapshot, SIZE, tmp_path_factory.mktemp("posters"))


def new_network(*, tune_image: bool = True) -> FilmNetwork:
    torch.manual_seed(0)
    image = ImageEncoder()
    fusion = FusionNetwork(FusionConfig(poster_width=image.width, hidden=16, dropout=0.0))
    return FilmNetwork(SentenceEncoder.pretrained(dropout=0.0), image, fusion, tune_image=tune_image)


def test_in_training_a_film_is_answered_from_all_from_its_text_and_from_its_poster(films) -> None:
    snapshot, texts, posters = films
    source, network = FilmSource(texts, posters), new_network()
    rows = np.arange(8)
    inputs = source.inputs(rows)
    with torch.no_grad():
        joint = network.eval()(*inputs)
        network.train()
        network.image.eval()  # EfficientNet leaves out blocks at random in training
        views = network(*inputs)
    has_text, has_poster = inputs[2], inputs[5]
    both = has_text & has_poster
    assert joint.shape == (8, 18)
    assert views.shape == (8, 3, 18)
    assert torch.allclose(views[:, 0], joint, atol=1e-3)
    # A film without poster has one answer; one with both has three.
    assert 0 < both.sum() < 8
    assert torch.equal(views[~both, 1], views[~both, 0])
    assert torch.equal(views[~both, 2], views[~both, 0])
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (views[both, first] - views[both, second]).abs().max() > 1e-3
    assert snapshot.has_poster[rows].tolist() == has_poster.tolist()


def test_the_poster_view_does_not_know_the_text_nor_the_text_view_the_poster(films) -> None:
    _, texts, posters = films
    rows = np.flatnonzero(posters.usable & texts.has_overview)[:4]
    tokens, lengths, has_text, has_overview, pixels, has_poster = FilmSource(texts, posters).inputs(rows)
    network = new_network().train()
    network.image.eval()
    with torch.no_grad():
        views = network(tokens, lengths, has_text, has_overview, pixels, has_poster)
        other_text = network(
            tokens.flip(0),
            lengths if lengths is None else lengths.flip(0),
            has_text,
            has_overview,
            pixels,
            has_poster,
        )
        other_poster = network(tokens, lengths, has_text, has_overview, 255 - pixels, has_poster)
    assert torch.allclose(views[:, 2], other_text[:, 2], atol=1e-5)
    assert torch.allclose(views[:, 1], other_poster[:, 1], atol=1e-5)
    assert not torch.allclose(views[:, 2], other_poster[:, 2], atol=1e-3)


def test_training_inputs_hide_parts_and_mask_words_as_the_generator_says(films) -> None:
    _, texts, posters = films
    source, rows = FilmSource(texts, posters), np.arange(48)
    first, again, other = (source.inputs(rows, generator=torch.Generator().manual_seed(n)) for n in (3, 3, 4))
    assert torch.equal(first[0], again[0])
    assert first[0].shape != other[0].shape or not torch.equal(first[0], other[0])
    assert (first[0] == MASK_TOKEN).any()
    assert not (first[0][:, 0] == MASK_TOKEN).any()
    hidden = texts.has_overview[rows] & ~first[3].numpy()
    assert 0 < hidden.sum() < 24
    assert not (source.inputs(rows)[0] == MASK_TOKEN).any()


def test_each_film_is_in_one_batch_of_an_epoch_with_others_of_its_length(films) -> None:
    snapshot, texts, posters = films
    rows = snapshot.rows("train")
    batches = FilmSource(texts, posters).order(rows, batch_size=8, generator=np.random.default_rng(0))
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
    spread = np.mean([np.ptp(texts.lengths[batch]) for batch in batches if len(batch) == 8])
    assert spread < np.ptp(texts.lengths[rows])


def test_lower_layers_learn_more_slowly_and_embeddings_not_at_all() -> None:
    network = new_network()
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert not any(
        name.startswith(("sentence.words", "sentence.positions", "sentence.norm")) for name in trained
    )
    shares = [learning_rate_share(f"sentence.layers.{layer}.qkv.weight") for layer in range(6)]
    assert shares == sorted(shares)
    image = "image.network._conv_head.weight"
    assert shares[-1] < learning_rate_share(image) < learning_rate_share("fusion.gate.bias")


def test_an_image_encoder_that_stays_as_it_is_leaves_no_block_out_and_is_not_trained() -> None:
    network = new_network(tune_image=False)
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert not any(name.startswith("image.") for name in trained)
    assert {name.partition(".")[0] for name in trained} == {"sentence", "fusion"}
    pixels = torch.randint(0, 256, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0))
    everyone = torch.ones(2, dtype=torch.bool)
    with torch.no_grad():
        said = network.train()._encode(pixels, everyone)
        assert torch.equal(said, network._encode(pixels, everyone))
        tuned_one = new_network().train()
        assert not torch.equal(tuned_one._encode(pixels, everyone), tuned_one._encode(pixels, everyone))


class InterruptionError(Exception):
    """What stops a training in these tests."""


def tuned(films, checkpoint: Path, *, stop_after: int | None = None) -> FitResult:
    snapshot, texts, posters = films

    def progress(line: dict) -> None:
        if stop_after is not None and (line["epoch"], line["step"]) >= (0, stop_after):
            raise InterruptionError

    return fit(
        new_network(),
        FilmSource(texts, posters),
        snapshot.labels,
        train=snapshot.rows("train")[:20],
        val=snapshot.rows("val"),
        config=CONFIG,
        device=torch.device("cpu"),
        checkpoint=checkpoint,
        progress=progress,
        rate_of=learning_rate_share,
    )


def test_an_interrupted_tuning_goes_on_to_the_same_weights(films, tmp_path: Path) -> None:
    whole = tuned(films, tmp_path / "whole.safetensors")
    with pytest.raises(InterruptionError):
        tuned(films, tmp_path / "parts.safetensors", stop_after=2)
    parts = tuned(films, tmp_path / "parts.safetensors")
    assert parts.epochs == whole.epochs
    assert set(parts.state) == set(whole.state)
    assert all(torch.equal(parts.state[name], tensor) for name, tensor in whole.state.items())
    start = new_network().state_dict()
    moved = [name for name, tensor in whole.state.items() if not torch.equal(tensor, start[name])]
    for part in ("sentence.layers.0.", "image.", "fusion."):
        assert any(name.startswith(part) for name in moved)
