"""Learning from a model that was trained before: what the targets become, who may not teach, and what the artifact tells."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ml_core.__main__ import main
from ml_core.artifact import ArtifactDescription
from ml_core.predictor import FilmInput, Predictor
from ml_core.snapshot import Snapshot, SnapshotWriter
from ml_core.teacher import TeacherError, softened_labels

from .conftest import film

CPU = torch.device("cpu")


def train(snapshot: Path, artifact: Path, *more: str | Path) -> int:
    arguments = ("train", snapshot, artifact, "--epochs", "2", "--batch-size", "8", "--device", "cpu")
    return main([str(argument) for argument in (*arguments, "--threads", "1", *more)])


@pytest.fixture(scope="module")
def teacher(tiny_snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    assert train(tiny_snapshot, folder / "teacher") == 0
    return folder / "teacher"


def test_targets_are_half_the_labels_and_half_what_the_teacher_says(
    teacher: Path, opened: Snapshot, tmp_path: Path
) -> None:
    rows, lines = opened.rows("train"), []
    targets = softened_labels(teacher, opened, rows, cache_dir=tmp_path, device=CPU, progress=lines.append)
    titles, overviews = opened.texts("title"), opened.texts("overview")
    said = Predictor.load(teacher, device="cpu").predict(
        [FilmInput(titles[row], overviews[row], poster=opened.poster_bytes(row)) for row in rows.tolist()]
    )
    expected = (opened.labels[rows] + said.probabilities) / 2
    assert np.abs(targets[rows] - expected).max() < 1e-3
    others = np.setdiff1d(np.arange(len(opened)), rows)
    assert np.array_equal(targets[others], opened.labels[others])
    assert set(np.unique(opened.labels)) == {0, 1}
    assert [line["done"] for line in lines] == [len(rows)]
    # It is asked once: what it said is kept.
    again = softened_labels(teacher, opened, rows, cache_dir=tmp_path, device=CPU, progress=lines.append)
    assert np.array_equal(again, targets)
    assert len(lines) == 1


def test_who_was_trained_on_films_that_test_this_training_does_not_teach_it(
    teacher: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "other-split"
    with SnapshotWriter(folder) as writer:
        for number in range(48):
            made, poster = film(number)
            other = {"train": "test", "test": "train", "val": "val"}[made.part]
            writer.add(replace(made, part=other), poster)
    snapshot = Snapshot.open(folder)
    with pytest.raises(TeacherError, match=r"trained on \d+ of the films that validate or test"):
        softened_labels(teacher, snapshot, snapshot.rows("train"), cache_dir=tmp_path, device=CPU)


def test_the_command_trains_all_stages_by_it_and_the_artifact_names_it(
    teacher: Path, tiny_snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = ("--work", tmp_path / "work", "--tune-epochs", "1", "--tune-batch-size", "8")
    progress = tmp_path / "progress.jsonl"
    taught = (*work, "--teacher", teacher, "--progress", progress)
    assert train(tiny_snapshot, tmp_path / "taught", *taught) == 0
    assert train(tiny_snapshot, tmp_path / "untaught", *work) == 0
    description = ArtifactDescription.read(tmp_path / "taught")
    assert description.config["teacher"] == {
        "name": "teacher",
        "sha256": ArtifactDescription.read(teacher).sha256,
    }
    assert "--teacher TEACHER" in description.config["command"]
    assert "teacher" in (tmp_path / "taught" / "MODEL_CARD.md").read_text()
    stages = [json.loads(line)["stage"] for line in progress.read_text().splitlines()]
    assert stages.index("ask the teacher") < stages.index("train heads")
    untaught = ArtifactDescription.read(tmp_path / "untaught")
    assert untaught.config["teacher"] is None
    for stage in ("heads", "end_to_end"):
        # Another training's checkpoint was not taken up, and the loss is that of other targets.
        assert description.metrics["training"][stage] != untaught.metrics["training"][stage]
    assert train(tiny_snapshot, tmp_path / "none", "--teacher", tmp_path / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--teacher", "--poster-epochs", "--tune-epochs", "--loss"])
def test_what_is_for_our_network_alone_is_refused_with_the_articles(
    tiny_snapshot: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    value = {"--teacher": teacher, "--loss": "balanced"}.get(option, "1")
    assert train(tiny_snapshot, tmp_path / "article", "--network", "lstm_cnn", option, value) == 2
    assert capsys.readouterr().err == f"ml_core: {option} is for the network fusion alone\n"
