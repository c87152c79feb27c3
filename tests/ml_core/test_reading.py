"""What is written on posters: read, learned from, shipped, and used only where a film comes with nothing else."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from ml_core.artifact import ArtifactDescription, ArtifactError
from ml_core.explain import explain
from ml_core.networks.image import ImageEncoder
from ml_core.poster_text import MOST_READ, PosterReader, spaced
from ml_core.poster_views import encode_views
from ml_core.predictor import FilmInput, Predictor
from ml_core.reading import read_posters, some_of
from ml_core.snapshot import Snapshot
from ml_core.stopping import TrainingStopped
from tests.lettering import lettered
from tests.ml_core.lettered_films import LETTERING, train


@pytest.fixture(scope="module")
def reader() -> PosterReader:
    return PosterReader()


def test_the_largest_lines_are_read_in_their_order(reader: PosterReader) -> None:
    assert reader.read(lettered(["HAUNTED", "HOUSE"])) == "HAUNTED HOUSE"
    assert reader.read(lettered(["HAUNTED"], kind="JPEG")) == "HAUNTED"
    image = Image.open(io.BytesIO(lettered(["FEAR"], size=46)))
    ImageDraw.Draw(image).text((8, 190), "a film by somebody", fill="white", font=ImageFont.load_default(8))
    file = io.BytesIO()
    image.save(file, "PNG")
    assert reader.read(file.getvalue()) == "FEAR"


@pytest.mark.parametrize("poster", [lettered([]), b"", b"no image", lettered(["HAUNTED"])[:400]])
def test_where_there_is_nothing_to_read_nothing_is(reader: PosterReader, poster: bytes) -> None:
    assert not reader.read(poster)


def test_many_are_read_in_threads_in_their_order(reader: PosterReader) -> None:
    words = [word for lines in LETTERING.values() for word in lines] * 2
    assert reader.read_all([lettered([word], seed=n) for n, word in enumerate(words)]) == words
    assert reader.read_all([]) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("MIAMIVICE", "MIAMI VICE"),
        ("alwayswanted toknow", "always wanted to know"),
        ("HAUNTED", "HAUNTED"),
        ("ZOMBIE!", "ZOMBIE!"),
        ("K-PAX 2", "K-PAX 2"),
        ("", ""),
    ],
)
def test_english_words_that_were_read_as_one_are_parted(line: str, expected: str) -> None:
    assert spaced(line) == expected


def test_what_was_read_is_remembered_in_a_file(tmp_path: Path, reader: PosterReader) -> None:
    poster, file = lettered(["WEDDING"]), tmp_path / "texts.json"
    first = PosterReader(file)
    assert first.read(poster) == "WEDDING"
    first.keep()
    kept = json.loads(file.read_text())
    kept["texts"] = {key: f"{text} as it was kept" for key, text in kept["texts"].items()}
    file.write_text(json.dumps(kept))
    assert PosterReader(file).read(poster) == "WEDDING as it was kept"
    # Another version may read otherwise, and a damaged file is none.
    file.write_text(json.dumps(kept | {"reader": {"package": "another", "version": "1"}}))
    assert PosterReader(file).read(poster) == "WEDDING"
    file.write_text("{")
    assert PosterReader(file).read(poster) == "WEDDING"


def test_a_reading_that_was_stopped_keeps_what_it_has(
    lettered_films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, file = Snapshot.open(lettered_films), tmp_path / "texts.json"
    rows = np.arange(len(snapshot))

    def stop() -> None:
        if len(asked) == 1:
            raise TrainingStopped
        asked.append(True)

    asked: list[bool] = []
    monkeypatch.setattr("ml_core.reading.stop_if_asked", stop)
    with pytest.raises(TrainingStopped):
        read_posters(PosterReader(file), snapshot, rows)
    assert len(json.loads(file.read_text())["texts"]) == 64


def test_of_many_posters_some_are_drawn() -> None:
    rows = np.arange(3 * MOST_READ)
    some = some_of(rows, seed=0)
    assert len(some) == len(np.unique(some)) == MOST_READ
    assert (np.diff(some) > 0).all()
    assert not np.array_equal(some, some_of(rows, seed=1))
    assert np.array_equal(some_of(rows[:5], seed=0), rows[:5])


def test_views_of_a_poster_do_not_depend_on_its_mirroring() -> None:
    encoder = ImageEncoder()
    pixels = torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8)
    with torch.inference_mode():
        seen, mirrored = encode_views(encoder, pixels), encode_views(encoder, pixels.flip(3))
        once = encoder(pixels)
    assert seen.shape == once.shape
    assert torch.allclose(seen, mirrored, atol=1e-3)
    assert not torch.allclose(once, encoder(pixels.flip(3)), atol=1e-3)


def test_it_learns_what_lettering_says_and_posters_that_are_read_are_ranked_by_it(reading: Path) -> None:
    metrics = ArtifactDescription.read(reading).metrics["test"]
    assert metrics["poster"]["macro_roc_auc"] > 0.9
    assert metrics["poster"]["macro_roc_auc"] > metrics["picture"]["macro_roc_auc"] + 0.05
    predictor = Predictor.load(reading, device="cpu")
    result = predictor.predict(
        [FilmInput("", "", poster=lettered([word], seed=900)) for word in ("DEMON", "WEDDING")]
    )
    assert result.poster_texts == ["DEMON", "WEDDING"]
    assert result.inputs_used == [("poster",)] * 2
    horror = result.probabilities[:, predictor.label_ids.index(27)]
    assert horror[0] > horror[1] + 0.2
    # What the poster alone says is what the film is answered by.
    assert np.array_equal(result.poster_probabilities, result.probabilities)


def test_a_poster_beside_a_text_is_not_read(reading: Path, start: Path) -> None:
    films = [
        FilmInput("Film", "", poster=lettered(["DEMON"])),
        FilmInput("", "Somebody goes.", poster=lettered(["DEMON"])),
        FilmInput("Film", ""),
        FilmInput("", ""),
    ]
    result, before = (Predictor.load(folder, device="cpu").predict(films) for folder in (reading, start))
    assert result.poster_texts == [""] * 4
    # Its calibration was fitted again, on the weights as they are stored: rounded to half precision.
    for name in ("probabilities", "poster_probabilities"):
        assert np.allclose(getattr(result, name), getattr(before, name), atol=1e-3, equal_nan=True)


def test_a_bare_poster_without_lettering_is_answered_by_its_picture(reading: Path) -> None:
    result = Predictor.load(reading, device="cpu").predict([FilmInput("", "", poster=lettered([]))])
    assert result.poster_texts == [""]
    assert result.inputs_used == [("poster",)]
    assert np.isfinite(result.probabilities).all()


def test_an_explanation_adds_up_to_what_was_read_too(reading: Path) -> None:
    predictor = Predictor.load(reading, device="cpu")
    explanation = explain(predictor, FilmInput("", "", poster=lettered(["DEMON"])))
    assert explanation.prediction.poster_texts == ["DEMON"]
    assert not explanation.words
    assert np.abs(explanation.from_texts).max() < 1e-6
    probabilities = 1 / (1 + np.exp(-(explanation.prior + explanation.from_texts + explanation.from_poster)))
    assert np.allclose(probabilities, explanation.prediction.probabilities[0], atol=1e-4)
    assert explanation.regions is not None


def test_all_else_stays_as_it_was_at_the_start(reading: Path, start: Path) -> None:
    before, after = ArtifactDescription.read(start), ArtifactDescription.read(reading)
    for shown in ("overview_poster", "overview", "all_films"):
        figures, earlier = (
            description.metrics["test"][shown]["macro_roc_auc"] for description in (after, before)
        )
        assert figures == pytest.approx(earlier, abs=0.002)
    assert after.metrics["training"]["heads"] == before.metrics["training"]["heads"]
    assert len(after.metrics["training"]["reading"]) == 6
    assert after.config["start"]["sha256"] == before.sha256
    card = (reading / "MODEL_CARD.md").read_text()
    assert "--start START --read-posters" in card
    assert f"START is `start` with SHA-256 `{before.sha256}`" in card
    assert "poster alone, what is written on it unread" in card


@pytest.mark.slow
def test_a_training_goes_on_from_tuned_encoders(lettered_films: Path, start: Path, tmp_path: Path) -> None:
    tune = ("--tune-epochs", "1", "--tune-batch-size", "16")
    assert train(lettered_films, tmp_path / "tuned", "--start", start, *tune) == 0
    assert train(lettered_films, tmp_path / "again", "--start", tmp_path / "tuned") == 0
    tuned, again = (ArtifactDescription.read(tmp_path / name) for name in ("tuned", "again"))
    assert tuned.config["encoders"]["sentence"]["tuned"]
    assert again.files["model.safetensors"] == tuned.files["model.safetensors"]
    for shown in ("overview_poster", "poster", "all_films"):
        figures, earlier = (
            description.metrics["test"][shown]["macro_roc_auc"] for description in (again, tuned)
        )
        assert figures == pytest.approx(earlier, abs=0.002)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--epochs", "1"), "behind it"),
        (("--poster-epochs", "1"), "behind it"),
        (("--inputs", "overview"), "reads other inputs"),
        (("--network", "lstm_cnn"), "--start is for the network fusion alone"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert train(start.parent / "snapshot", tmp_path / "refused", "--start", start, *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()


def test_who_was_trained_on_films_that_test_this_training_is_no_start(
    start: Path, tiny_snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tiny_snapshot, tmp_path / "refused", "--start", start) == 2
    assert "cannot be the start here" in capsys.readouterr().err


def test_reading_is_for_models_of_both_inputs(
    lettered_films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(lettered_films, tmp_path / "refused", "--read-posters", "--inputs", "poster") == 2
    assert "both inputs alone" in capsys.readouterr().err


def test_where_hardly_anything_is_legible_the_model_goes_without(tiny_snapshot: Path, tmp_path: Path) -> None:
    assert train(tiny_snapshot, tmp_path / "model", "--epochs", "1", "--read-posters") == 0
    description = ArtifactDescription.read(tmp_path / "model")
    assert not description.config["reads_poster_text"]
    assert "picture" not in description.metrics["test"]


def test_a_head_that_is_missing_is_told(reading: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.numpy import load_file

    from ml_core.artifact import write_artifact

    folder = tmp_path / "headless"
    shutil.copytree(reading, folder)
    description = ArtifactDescription.read(folder)
    weights = {
        name: array
        for name, array in load_file(folder / "model.safetensors").items()
        if not name.startswith("reading.")
    }
    config = {name: value for name, value in description.config.items() if name != "format_version"}
    write_artifact(
        folder,
        config=config,
        metrics=description.metrics,
        films=description.films,
        weights=weights,
        model_card="-",
    )
    with pytest.raises(ArtifactError, match="do not fit"):
        Predictor.load(folder, device="cpu")
