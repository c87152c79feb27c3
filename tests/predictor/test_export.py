from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ml_core.labels import LABEL_NAMES
from predictor import export
from predictor.export import ExportError, export_predictions
from predictor.models import ModelVersion
from tests.factories import make_film, make_poster, make_prediction, make_version

pytestmark = pytest.mark.django_db

COLUMNS = ["id", *LABEL_NAMES, "predicted_genres", "tmdb_genres", "inputs", "split", "model_version"]


@pytest.fixture
def version() -> ModelVersion:
    version = make_version(name="fusion")
    film = make_film(tmdb_id=155, genres=["Drama", "Crime"], poster=make_poster())
    make_prediction(film, version, probabilities={"Drama": 0.9, "Action": 0.625}, part="val")
    make_prediction(make_film(tmdb_id=None), version, part="")
    make_prediction(make_film(tmdb_id=603, genres=["War"]), version, part="train")
    make_film(tmdb_id=604)
    return version


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of either format, a CSV's texts turned into what they stand for."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        assert table.column_names == COLUMNS
        return table.to_pylist()
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == COLUMNS
        rows = []
        for row in reader:
            values: dict[str, Any] = dict(row)
            values["id"] = int(row["id"]) if row["id"] else None
            values |= {name: float(row[name]) for name in LABEL_NAMES}
            for name in ("predicted_genres", "tmdb_genres", "inputs"):
                values[name] = row[name].split("|") if row[name] else []
            rows.append(values)
        return rows


@pytest.mark.parametrize("name", ["predictions.csv", "predictions.parquet", "PREDICTIONS.CSV"])
def test_each_predicted_film_is_a_row_with_what_the_model_and_tmdb_say(
    name: str, version: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_BATCH", 2)
    assert export_predictions(tmp_path / name, version=version) == 3
    rows = read((tmp_path / name).rename(tmp_path / name.lower()))
    assert [row["id"] for row in rows] == [155, None, 603]
    first = rows[0]
    assert first["Drama"] == pytest.approx(0.9, abs=1e-6)
    assert first["Action"] == 0.625
    assert first["Western"] == pytest.approx(0.02, abs=1e-6)
    assert sorted(first["predicted_genres"]) == ["Action", "Drama"]
    assert sorted(first["tmdb_genres"]) == ["Crime", "Drama"]
    assert first["inputs"] == ["title", "overview", "poster"]
    assert first["model_version"] == f"fusion ({version.sha256})"
    assert [row["split"] for row in rows] == ["val", "", "train"]
    assert rows[1]["tmdb_genres"] == []


def test_another_extension_is_refused_before_anything_is_written(
    version: ModelVersion, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=r"give \.csv or \.parquet"):
        export_predictions(tmp_path / "predictions.xlsx", version=version)
    assert list(tmp_path.glob("*predictions*")) == []


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_an_export_that_fails_leaves_the_older_file(name: str, version: ModelVersion, tmp_path: Path) -> None:
    (tmp_path / name).write_text("before")

    def stop(rows: int) -> None:
        raise RuntimeError("no more room")

    with pytest.raises(RuntimeError):
        export_predictions(tmp_path / name, version=version, on_batch=stop)
    assert (tmp_path / name).read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if "writing" in path.name] == []


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_a_version_without_predictions_gives_a_table_without_rows(name: str, tmp_path: Path) -> None:
    assert export_predictions(tmp_path / name, version=make_version()) == 0
    assert read(tmp_path / name) == []


def test_the_command_takes_the_displayed_version_unless_told_another(
    version: ModelVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = make_version(displayed=False)
    call_command("export_predictions", str(tmp_path / "shown.csv"))
    captured = capsys.readouterr()
    assert f"3 films, predicted by {version}" in captured.out
    assert "1 films have no prediction" in captured.err
    for model in (str(candidate.pk), candidate.sha256[:12]):
        call_command("export_predictions", str(tmp_path / "candidate.csv"), model=model)
        assert f"0 films, predicted by {candidate}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table.txt"], r"give \.csv or \.parquet"),
        (["absent/table.csv"], "No such file"),
        (["table.csv", "--model", "999999"], "no one model version"),
        (["table.csv", "--model", "x"], "no one model version"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str], message: str, version: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match=message):
        call_command("export_predictions", *arguments)


def test_without_a_displayed_version_the_command_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No model is displayed"):
        call_command("export_predictions", str(tmp_path / "table.csv"))
