"""A second image encoder, borrowed from another model, which looks at posters that come with nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from ml_core.artifact import ArtifactDescription, ArtifactError, write_artifact
from ml_core.evaluation import macro_roc_auc
from ml_core.explain import explain
from ml_core.labels import LABELS
from ml_core.networks.picture import PictureHead
from ml_core.picture import PictureSource, choose_share, train_picture
from ml_core.predictor import FilmInput, Predictor
from tests.lettering import lettered
from tests.ml_core.lettered_films import train

CPU = torch.device("cpu")
BARE = [FilmInput("", "", poster=lettered(["DEMON"])), FilmInput("", "", poster=lettered([]))]


@pytest.fixture(scope="module")
def lender(lettered_films: Path, start: Path) -> Path:
    """A model whose image encoder was tuned, beside one whose encoder was not."""
    folder = lettered_films.parent / "lender"
    assert train(lettered_films, folder, "--epochs", "1", "--poster-epochs", "1") == 0
    return folder


@pytest.fixture(scope="module")
def looking_twice(lettered_films: Path, start: Path, lender: Path) -> Path:
    """A model that reads and has borrowed that encoder."""
    folder = lettered_films.parent / "twice"
    borrow = ("--read-posters", "--second-image-encoder", lender)
    assert train(lettered_films, folder, "--start", start, *borrow) == 0
    return folder


def two_encoders(films: int = 3200) -> tuple[PictureSource, np.ndarray]:
    """Features of two encoders, of which each tells one genre and nothing of the other."""
    draw = np.random.default_rng(0)
    labels = np.zeros((films, len(LABELS)), dtype=np.float32)
    labels[:, :2] = draw.integers(0, 2, (films, 2))
    features = []
    for genre in (0, 1):
        noise = draw.normal(0, 1, (films, 12))
        noise[:, 0] += 4 * labels[:, genre]
        features.append(noise.astype(np.float16))
    return PictureSource(tuple(features)), labels


def test_a_head_on_two_encoders_knows_what_each_of_them_knows() -> None:
    source, labels = two_encoders()
    train_rows, val = np.arange(2400), np.arange(2400, 3200)
    head, result = train_picture(source, labels, train=train_rows, val=val, seed=0, device=CPU)
    assert result.best_val_macro_roc_auc > 0.95
    for number in (0, 1):
        one = PictureSource((source.features[number],))
        _, alone = train_picture(one, labels, train=train_rows, val=val, seed=0, device=CPU)
        assert alone.best_val_macro_roc_auc < result.best_val_macro_roc_auc - 0.1
    # Of its share nothing is left where the fusion ranks the films rightly, and all is where that only guesses.
    features = source.inputs(val)[0]
    right = labels[val] * 8 - 4
    guessed = np.random.default_rng(1).normal(0, 1, right.shape).astype(np.float32)
    assert choose_share(head, right, features, labels[val]) == 0.0
    assert torch.equal(head.mixed(torch.from_numpy(right), features), torch.from_numpy(right))
    assert choose_share(head, guessed, features, labels[val]) >= 0.9
    mixed = head.mixed(torch.from_numpy(guessed), features).numpy()
    assert macro_roc_auc(mixed, labels[val]) > 0.95


def test_a_head_begins_with_the_frequencies_of_the_genres() -> None:
    frequencies = torch.linspace(0.0, 0.9, len(LABELS))
    said = torch.sigmoid(PictureHead(8, frequencies).eval()(torch.randn(3, 8)))
    assert torch.allclose(said, frequencies.clamp(1e-3).expand(3, -1), atol=1e-5)


def test_only_what_is_said_of_posters_alone_changes(looking_twice: Path, reading: Path) -> None:
    twice, once = (Predictor.load(folder, device="cpu") for folder in (looking_twice, reading))
    told = [
        FilmInput("Film", "", poster=lettered(["DEMON"])),
        FilmInput("", "Somebody goes.", poster=lettered(["DEMON"])),
        FilmInput("Film", "Somebody goes."),
        FilmInput("", ""),
    ]
    for name in ("probabilities", "poster_probabilities"):
        ours, theirs = (getattr(model.predict([*told, *BARE]), name) for model in (twice, once))
        assert np.allclose(ours[: len(told)], theirs[: len(told)], atol=1e-3, equal_nan=True)
        assert np.isfinite(ours[len(told) :]).all()
        if float(twice.scorer.picture.share) > 0:  # type: ignore[attr-defined]
            assert not np.allclose(ours[len(told) :], theirs[len(told) :], atol=1e-3)
    assert twice.predict(BARE).poster_texts == ["DEMON", ""]


def test_two_encoders_look_and_the_head_has_its_share(looking_twice: Path, lender: Path) -> None:
    scorer = Predictor.load(looking_twice, device="cpu").scorer
    theirs = Predictor.load(lender, device="cpu").scorer
    pixels = [np.random.default_rng(seed).integers(0, 256, (3, 224, 160), np.uint8) for seed in (0, 1)]
    everyone, second = np.ones(2, dtype=np.bool_), np.array([False, True])
    features = scorer.encode_posters(pixels, everyone, second)
    width = theirs.encode_posters(pixels, everyone).shape[1]
    assert features.shape == (2, 2 * width)
    assert not features[0, width:].any()
    # Whose encoder it is: what it sees is what the lender's sees.
    (seen,) = theirs._look_closely(torch.from_numpy(pixels[1][None]))  # type: ignore[attr-defined]
    assert torch.allclose(features[1, width:], seen, atol=1e-4)


def test_an_explanation_adds_up_to_both_looks(looking_twice: Path) -> None:
    predictor = Predictor.load(looking_twice, device="cpu")
    for film in BARE:
        explanation = explain(predictor, film)
        log_odds = explanation.prior + explanation.from_texts + explanation.from_poster
        assert np.allclose(1 / (1 + np.exp(-log_odds)), explanation.prediction.probabilities[0], atol=1e-4)
        assert explanation.regions is not None


def test_the_artifact_names_who_lent_the_encoder(
    looking_twice: Path, lender: Path, start: Path, lettered_films: Path, tmp_path: Path
) -> None:
    description, lent = ArtifactDescription.read(looking_twice), ArtifactDescription.read(lender)
    second = description.config["encoders"]["second_image"]
    assert second["lender"] == {"name": "lender", "sha256": lent.sha256}
    assert len(description.metrics["training"]["second_look"]) == 8
    card = (looking_twice / "MODEL_CARD.md").read_text()
    assert "--read-posters --second-image-encoder LENDER" in card
    assert f"LENDER is `lender` with SHA-256 `{lent.sha256}`" in card
    assert "by two image encoders" in card
    assert "- second image encoder: `" in card
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (looking_twice, lender))
    for name, array in theirs.items():
        if name.startswith("image_encoder."):
            assert np.array_equal(ours[f"second_{name}"], array)
    # Who goes on from it looks and reads no more, unless that is asked for again.
    assert train(lettered_films, tmp_path / "on", "--start", looking_twice) == 0
    on = ArtifactDescription.read(tmp_path / "on")
    assert set(on.config["encoders"]) == {"sentence", "image"}
    assert not {"second_look", "reading"} & set(on.metrics["training"])
    assert on.files["model.safetensors"] == ArtifactDescription.read(start).files["model.safetensors"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--second-image-encoder", "lender"), "ask for that, too"),
        (("--read-posters", "--second-image-encoder", "start"), "no image encoder of its own"),
        (("--read-posters", "--second-image-encoder", "nowhere"), "cannot be read"),
        (
            ("--network", "lstm_cnn", "--second-image-encoder", "lender"),
            "--second-image-encoder is for the network fusion alone",
        ),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(
    lender: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    start = lender.parent / "start"
    folders = {"lender": lender, "start": start, "nowhere": tmp_path / "nowhere"}
    given = [folders.get(option, option) for option in options]
    if "lstm_cnn" not in options:
        given += ["--start", start]
    assert train(start.parent / "snapshot", tmp_path / "refused", *given) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()


def test_the_very_same_encoder_is_no_second_one(
    lender: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--start", lender, "--read-posters", "--second-image-encoder", lender)
    assert train(lender.parent / "snapshot", tmp_path / "refused", *options) == 2
    assert "two looks would be one" in capsys.readouterr().err


def test_who_was_tuned_on_films_that_test_this_training_lends_nothing(
    lender: Path, tiny_snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--epochs", "1", "--read-posters", "--second-image-encoder", lender)
    assert train(tiny_snapshot, tmp_path / "refused", *options) == 2
    assert "cannot lend its image encoder here" in capsys.readouterr().err
    # It is told before anything is trained.
    assert not list((tmp_path / "refused.work").glob("*.safetensors"))


def test_an_encoder_that_is_missing_is_told(looking_twice: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one-eyed"
    shutil.copytree(looking_twice, folder)
    description = ArtifactDescription.read(folder)
    weights = load_file(folder / "model.safetensors")
    write_artifact(
        folder,
        config={name: value for name, value in description.config.items() if name != "format_version"},
        metrics=description.metrics,
        films=description.films,
        weights={
            name: array for name, array in weights.items() if not name.startswith("second_image_encoder.")
        },
        model_card="-",
    )
    with pytest.raises(ArtifactError, match="no weights of the encoder 'second_image'"):
        Predictor.load(folder, device="cpu")
