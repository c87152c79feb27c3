"""The snapshot's format: what is written is read, torn folders are refused, and the hash is of the films alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ml_core.labels import LABEL_IDS
from ml_core.snapshot import Snapshot, SnapshotError, SnapshotFilm, SnapshotWriter

from .conftest import film, write_films


def test_what_is_written_is_read(tiny_snapshot: Path) -> None:
    snapshot = Snapshot.open(tiny_snapshot)
    assert len(snapshot) == 48
    for number in (0, 4, 6, 47):
        made, poster = film(number)
        assert snapshot.tmdb_ids[number] == made.tmdb_id
        assert snapshot.texts("overview")[number] == made.overview
        assert snapshot.poster_bytes(number) == poster
        assert snapshot.has_poster[number] == (poster is not None)
        assert snapshot.has_overview[number] == bool(made.overview)
        assert {LABEL_IDS[c] for c in np.flatnonzero(snapshot.labels[number])} == set(made.label_ids)
    parts = np.concatenate([snapshot.rows(part) for part in ("train", "val", "test")])
    assert sorted(parts.tolist()) == list(range(48))
    assert snapshot.counts["train"] == len(snapshot.rows("train")) == 24


def test_the_hash_does_not_depend_on_the_order_of_writing_but_on_every_film(tmp_path: Path) -> None:
    forwards = write_films(tmp_path / "a", [1, 2, 3])
    backwards = write_films(tmp_path / "b", [3, 2, 1])
    fewer = write_films(tmp_path / "c", [1, 2])
    assert forwards == backwards
    assert fewer != forwards
    made, poster = film(3)
    with SnapshotWriter(tmp_path / "d") as writer:
        writer.add(*film(1))
        writer.add(*film(2))
        writer.add(made, (poster or b"") + b"\0")
    assert writer.sha256 != forwards


def test_a_writing_that_fails_leaves_the_old_snapshot_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    before = write_films(folder, [1, 2])
    nameless = SnapshotFilm(title="No id", overview="", label_ids=(18,), part="train", group=1)

    def write() -> None:
        with SnapshotWriter(folder) as writer:
            writer.add(*film(3))
            writer.add(nameless)

    with pytest.raises(SnapshotError, match="neither a film id nor a TMDB id"):
        write()
    assert Snapshot.open(folder).sha256 == before
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot"]


def test_a_snapshot_without_any_poster_opens(tmp_path: Path) -> None:
    with SnapshotWriter(tmp_path / "s") as writer:
        writer.add(film(4)[0])
    snapshot = Snapshot.open(tmp_path / "s")
    assert not snapshot.has_poster.any()
    assert snapshot.poster_bytes(0) is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "dataset.json").unlink(), "not a readable snapshot"),
        (lambda f: (f / "films.parquet").write_bytes(b"PAR1"), "not a readable snapshot"),
        (lambda f: (f / "posters.bin").write_bytes(b"short"), "shorter than its index"),
        (lambda f: _edit(f, format_version=99), "snapshot format 99"),
        (lambda f: _edit(f, label_ids=[1, 2]), "label order"),
        (lambda f: _edit(f, counts={"films": 1, "posters": 0}), "counts"),
    ],
)
def test_a_damaged_snapshot_is_refused_with_a_reason(
    tmp_path: Path, tiny_snapshot: Path, damage, message: str
) -> None:
    folder = tmp_path / "snapshot"
    shutil.copytree(tiny_snapshot, folder)
    damage(folder)
    with pytest.raises(SnapshotError, match=message):
        Snapshot.open(folder)


def _edit(folder: Path, **changes: object) -> None:
    description = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(description | changes))
