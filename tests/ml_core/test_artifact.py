"""Artifacts: what is written is described, and nothing that was changed, added or left out afterwards is accepted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml_core.artifact import ArtifactDescription, ArtifactError, write_artifact
from ml_core.inputs import INPUT_SETS, input_set
from ml_core.labels import LABEL_IDS

FILMS = {"train": [3, 1], "val": [5], "test": []}


def config(**changes: Any) -> dict[str, Any]:
    made = {
        "name": "small",
        "network": "fusion",
        "label_ids": list(LABEL_IDS),
        "thresholds": {name: [0.25] * 18 for name in INPUT_SETS},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return made | changes


def write(folder: Path, **changes: Any) -> str:
    weights = {"layer": np.arange(6, dtype=np.float16)}
    card = "# small\n"
    made = config(**changes)
    return write_artifact(
        folder, config=made, metrics={"test": {}}, films=FILMS, weights=weights, model_card=card
    )


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write(tmp_path / "small")
    return tmp_path / "small"


def test_it_describes_what_was_written(artifact: Path) -> None:
    description = ArtifactDescription.read(artifact)
    assert (description.name, description.network) == ("small", "fusion")
    assert description.label_ids == LABEL_IDS
    assert description.thresholds["overview_poster"] == (0.25,) * 18
    assert description.films == {"train": [1, 3], "val": [5], "test": []}
    assert description.size_bytes == sum(path.stat().st_size for path in artifact.iterdir())
    assert len(description.sha256) == 64


def test_the_same_content_has_the_same_name_and_other_content_another(artifact: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "again")
    assert ArtifactDescription.read(artifact).sha256 == again
    assert write(tmp_path / "other", name="other") != again


def test_writing_replaces_an_older_artifact_and_leaves_nothing_aside(artifact: Path) -> None:
    sha256 = write(artifact, name="newer")
    assert ArtifactDescription.read(artifact).sha256 == sha256
    assert [path.name for path in artifact.parent.iterdir()] == ["small"]


def test_describing_needs_no_torch(artifact: Path) -> None:
    code = (
        "import sys; from ml_core.artifact import ArtifactDescription\n"
        f"ArtifactDescription.read({str(artifact)!r}); print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "metrics.json", "films.json.gz", "MODEL_CARD.md"]
)
def test_a_changed_file_is_refused_by_name(artifact: Path, name: str) -> None:
    content = bytearray((artifact / name).read_bytes())
    content[-1] ^= 1
    (artifact / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name} was changed"):
        ArtifactDescription.read(artifact)


def test_a_missing_file_is_refused_by_name(artifact: Path) -> None:
    (artifact / "metrics.json").unlink()
    with pytest.raises(ArtifactError, match=r"metrics.json is missing"):
        ArtifactDescription.read(artifact)


@pytest.mark.parametrize("name", ["model.pt", "weights.pkl", "code.py", "more.json"])
def test_a_file_that_was_added_is_refused(artifact: Path, name: str) -> None:
    (artifact / name).write_bytes(b"{}")
    with pytest.raises(ArtifactError, match=name):
        ArtifactDescription.read(artifact)


@pytest.mark.parametrize("name", ["model.pt", "../outside.json", "a/b.json", ".hidden.json"])
def test_a_manifest_cannot_name_other_kinds_of_file_or_reach_outside(artifact: Path, name: str) -> None:
    manifest = json.loads((artifact / "artifact.json").read_text())
    manifest["files"][name] = "0" * 64
    (artifact / "artifact.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="not a kind of file"):
        ArtifactDescription.read(artifact)


def test_a_link_in_the_place_of_a_file_is_refused(artifact: Path, tmp_path: Path) -> None:
    (artifact / "MODEL_CARD.md").rename(tmp_path / "card")
    (artifact / "MODEL_CARD.md").symlink_to(tmp_path / "card")
    with pytest.raises(ArtifactError, match="not a plain file"):
        ArtifactDescription.read(artifact)


def test_another_format_version_is_refused(artifact: Path) -> None:
    manifest = json.loads((artifact / "artifact.json").read_text()) | {"format_version": 2}
    (artifact / "artifact.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="artifact format 2, this Genresite reads 1"):
        ArtifactDescription.read(artifact)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_ids": [1] * 18}, "not the 18 genres"),
        ({"thresholds": {}}, "missing or malformed"),
        ({"thresholds": {name: [0.5] for name in INPUT_SETS}}, "not 18 finite numbers"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write(tmp_path / "small", **changes)
    with pytest.raises(ArtifactError, match=message):
        ArtifactDescription.read(tmp_path / "small")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_json_object_is_refused(artifact: Path, content: bytes) -> None:
    (artifact / "artifact.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"artifact\.json"):
        ArtifactDescription.read(artifact)


def test_a_folder_that_is_no_artifact_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is this an artifact"):
        ArtifactDescription.read(tmp_path)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (("title", "overview", "poster"), "overview_poster"),
        (("overview",), "overview"),
        (("title", "poster"), "title_poster"),
        (("title",), "title"),
        (("poster",), "poster"),
        ((), None),
    ],
)
def test_inputs_belong_to_a_set(inputs: tuple[Any, ...], expected: str | None) -> None:
    assert input_set(inputs) == expected
