"""``python -m ml_core`` as an operator meets it: exit codes, and one line for what can be mended."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml_core.__main__ import main
from ml_core.artifact import read_test_probabilities

from .conftest import drawn_poster

DRAMA, COMEDY = "[{'id': 18, 'name': 'Drama'}]", "[{'id': 35, 'name': 'Comedy'}]"


def ml_core(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command run in this process, which has torch loaded; the lifeline's test runs a real one."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


def test_from_a_csv_to_a_prediction(tmp_path: Path) -> None:
    posters = tmp_path / "posters"
    lines = ["id,title,overview,genres"]
    for number in range(1, 41):
        folder = posters / f"{number:02d}"
        folder.mkdir(parents=True)
        genre, name, text = (18, DRAMA, "A family grieves.") if number % 2 else (35, COMEDY, "Friends joke.")
        (folder / f"{number}.jpg").write_bytes(drawn_poster(genre, number))
        lines.append(f'{number},Film {number},{text} {number},"{name}"')
    (tmp_path / "films.csv").write_text("\n".join(lines))
    splits = ["id,split", *(f"{n},{('train', 'train', 'val', 'test')[n // 2 % 4]}" for n in range(1, 41))]
    (tmp_path / "splits.csv").write_text("\n".join(splits))

    written = ml_core(
        "snapshot",
        tmp_path / "films.csv",
        tmp_path / "s",
        "--posters",
        posters,
        "--splits",
        tmp_path / "splits.csv",
    )
    assert "40 films with 40 posters" in written.stdout

    trained = ml_core(
        *("train", tmp_path / "s", tmp_path / "model", "--epochs", "2", "--threads", "1", "--device", "cpu"),
        *("--progress", tmp_path / "progress.jsonl"),
    )
    assert trained.returncode == 0, trained.stderr
    progress = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    epochs = [line for line in progress if line["stage"] == "train heads" and "val_loss" in line]
    assert [line["epoch"] for line in epochs] == [1, 2]
    assert {"step", "loss", "val_macro_roc_auc", "time"} <= set(epochs[0])
    assert progress[0]["stage"] == "start"
    assert progress[0]["device"] == "CPU, 1 threads"
    assert {"stage": "decode posters", "total": 40, "unusable": 0}.items() <= progress[1].items()
    assert progress[-1]["stage"] == "done"
    said = read_test_probabilities(tmp_path / "model")
    assert said is not None
    assert said.probabilities.shape == (10, 18)

    described = json.loads(ml_core("describe", tmp_path / "model", "--json").stdout)
    assert described["sha256"] == progress[-1]["sha256"]
    assert described["label_names"][0] == "Action"
    assert len(described["thresholds"]["overview_poster"]) == 18
    assert described["films"] == {"train": 20, "val": 10, "test": 10}

    predicted = json.loads(
        ml_core(
            *("predict", tmp_path / "model", "--title", "New", "--overview", "A family grieves."),
            *("--poster", posters / "01" / "1.jpg", "--json"),
        ).stdout
    )
    assert predicted["inputs_used"] == ["title", "overview", "poster"]
    assert len(predicted["genres"]) == 18

    evaluated = ml_core("evaluate", tmp_path / "model", tmp_path / "s", "--threads", "1", "--device", "cpu")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "overview_poster" in evaluated.stdout
    report = tmp_path / "model.evaluation"
    assert str(report / "report.md") in evaluated.stdout
    figures = json.loads((report / "metrics.json").read_text())
    assert figures["artifact"] == {"name": "model", "sha256": described["sha256"]}
    assert figures["test"]["overview_poster"]["films"] == 10
    assert figures["test"] == described["metrics"]["test"]

    ml_core(
        *("evaluate", tmp_path / "model", tmp_path / "s", "--part", "val", "--output", tmp_path / "there"),
        *("--threads", "1", "--device", "cpu"),
    )
    val = json.loads((tmp_path / "there" / "metrics.json").read_text())["val"]
    for name, short in described["metrics"]["val"].items():
        assert short == {key: val[name][key] for key in short}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("describe", "no-such-folder"), "is this an artifact"),
        (("train", "no-such-folder", "somewhere"), "not a readable snapshot"),
        (("snapshot", "no-such.csv", "somewhere"), "no-such.csv"),
        (("train", "a", "b", "--epochs", "0"), "0 is not above 0"),
        (("train", "a", "b", "--network", "transformer"), "invalid choice"),
    ],
)
def test_what_the_caller_can_mend_is_said_in_one_line_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = ml_core(*arguments)
    assert answer.returncode == 2
    assert message in answer.stderr.splitlines()[-1]
    assert "Traceback" not in answer.stderr


def test_the_articles_network_says_what_it_lacks_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    command = [
        sys.executable,
        "-m",
        "ml_core",
        "train",
        tmp_path / "s",
        tmp_path / "model",
        "--network",
        "lstm_cnn",
    ]
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "nltk" in answer.stderr.lower()


def test_two_trainings_do_not_share_a_work_folder(tmp_path: Path) -> None:
    from ml_core.recipes.running import alone_in

    with alone_in(tmp_path / "work"):
        answer = ml_core("train", tmp_path / "s", tmp_path / "model", "--work", tmp_path / "work")
    assert answer.returncode == 2
    assert "another training is at work" in answer.stderr


def test_a_training_ends_with_the_process_that_holds_its_lifeline(
    tiny_snapshot: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "ml_core", "train", tiny_snapshot, tmp_path / "model", "--lifeline"]
    child = subprocess.Popen(
        [*map(str, command), "--epochs", "100000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert "stage" in child.stdout.readline()
    child.stdin.close()
    assert child.wait(timeout=30) == 3
    child.stdout.close()
