"""The article's network from a snapshot to an artifact and back, trained for one epoch on films made here."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import nltk
import numpy as np
import pytest
from PIL import Image

from ml_core.predictor import FilmInput, Predictor
from ml_core.recipes import TrainingRequest
from ml_core.recipes.article import train_lstm_cnn
from ml_core.snapshot import SnapshotFilm, SnapshotWriter
from ml_core.text import CorpusMissing

# A word that only this part's overviews have.
OWN_WORD = {"train": "lighthouse", "val": "spaceship", "test": "volcano"}


def red_poster() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (60, 90), (200, 20, 20)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def article(tmp_path: Path) -> TrainingRequest:
    """One epoch over 24 films, half of them for training."""
    with SnapshotWriter(tmp_path / "snapshot") as writer:
        for number in range(24):
            part = ("train", "train", "val", "test")[number % 4]
            told = "Ghosts and wolves in the dark city" if number % 3 else "Children at a wedding"
            film = SnapshotFilm(
                tmdb_id=1 + number,
                title=f"Film {number}",
                overview=f"{told}, and a {OWN_WORD[part]}.",
                label_ids=(27,) if number % 3 else (35, 18),
                part=part,  # type: ignore[arg-type]
                group=number,
            )
            writer.add(film, red_poster())
    return TrainingRequest(
        snapshot=tmp_path / "snapshot",
        artifact=tmp_path / "artifact",
        work=tmp_path / "work",
        name="article",
        epochs=1,
        batch_size=6,
    )


@pytest.mark.usefixtures("miniature_corpora")
def test_words_of_test_films_are_unknown_to_the_trained_network(article: TrainingRequest) -> None:
    """The article fitted its tokenizer on all films, those of the test part included."""
    train_lstm_cnn(article)
    words = json.loads((article.artifact / "vocabulary.json").read_text())["words"]
    assert {"wolf", "ghost", "city", "child", "lighthouse"} <= set(words)
    assert not {"spaceship", "volcano"} & set(words)
    films = [
        FilmInput(title="", overview="wolves and a volcano", poster=red_poster()),
        FilmInput(title="", overview="wolves and an eclipse", poster=red_poster()),
        FilmInput(title="", overview="wolves and a lighthouse", poster=red_poster()),
    ]
    volcano, eclipse, lighthouse = Predictor.load(article.artifact).predict(films).probabilities
    np.testing.assert_array_equal(volcano, eclipse)
    assert (volcano != lighthouse).any()


def test_without_nltks_corpora_nothing_is_begun(
    article: TrainingRequest, miniature_corpora: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "empty")])
    with pytest.raises(CorpusMissing, match="NLTK_DATA"):
        train_lstm_cnn(article)
    assert not article.work.exists()
    assert not article.artifact.exists()


@pytest.mark.usefixtures("miniature_corpora")
@pytest.mark.parametrize("inputs", ["overview", "poster"])
def test_either_half_alone_becomes_an_artifact_that_predicts(article: TrainingRequest, inputs: str) -> None:
    train_lstm_cnn(replace(article, inputs=inputs))  # type: ignore[arg-type]
    predictor = Predictor.load(article.artifact)
    film = FilmInput("Night", "Ghosts in the dark city", poster=red_poster())
    result = predictor.predict([film])
    assert result.inputs_used == [(inputs,)]
    assert not np.isnan(result.probabilities).any()
    assert result.embeddings.shape == (1, 256)
