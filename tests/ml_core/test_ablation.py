"""The ablation table: each variant trained once, its figures those of its artifact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml_core.ablation import FIGURES_FILE, TABLE_FILE, UnknownVariantError, ablate
from ml_core.artifact import ArtifactDescription
from ml_core.recipes import TrainingRequest


def request(snapshot: Path, folder: Path) -> TrainingRequest:
    return TrainingRequest(
        snapshot=snapshot,
        artifact=folder / "out",
        work=folder / "work",
        name="ablation",
        epochs=1,
        device="cpu",
    )


def test_variants_are_trained_once_and_stand_in_the_table(tiny_snapshot: Path, tmp_path: Path) -> None:
    names = ["frozen-poster", "frozen-both", "frozen-balanced"]
    out = tmp_path / "out"
    table = ablate(request(tiny_snapshot, tmp_path), names=names, output=out)
    assert (out / TABLE_FILE).read_text() == table
    rows = json.loads((out / FIGURES_FILE).read_text())
    assert [(row["variant"], row["shown"]) for row in rows] == [
        ("frozen-poster", "poster, all else hidden"),
        *(
            (name, shown)
            for name in names[1:]
            for shown in ("overview and poster", "overview, poster hidden", "poster, all else hidden")
        ),
    ]
    both = ArtifactDescription.read(out / "frozen-both")
    assert rows[1]["macro_roc_auc"] == both.metrics["test"]["overview_poster"]["macro_roc_auc"]
    assert len({row["sha256"] for row in rows}) == 3
    written = {name: (out / name / "artifact.json").stat().st_mtime_ns for name in names}
    assert ablate(request(tiny_snapshot, tmp_path), names=names, output=out) == table
    assert written == {name: (out / name / "artifact.json").stat().st_mtime_ns for name in names}


def test_an_unknown_variant_is_told(tiny_snapshot: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownVariantError, match="no variant 'thawed'; there are: article-overview"):
        ablate(request(tiny_snapshot, tmp_path), names=["thawed"], output=tmp_path / "out")
