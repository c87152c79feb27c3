from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from django.core.management import call_command

from ml_core.snapshot import Snapshot
from predictor import snapshots
from predictor.snapshots import write_snapshot
from predictor.splits import import_splits
from tests.conftest import PROJECT
from tests.factories import jpeg, make_film, make_poster

pytestmark = pytest.mark.django_db


def test_a_snapshot_holds_the_films_with_labels_their_parts_and_posters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "_BATCH", 2)
    content = jpeg(seed=1)
    first = make_film(
        tmdb_id=11,
        title="Élan",
        overview="Un été.",
        tagline="!",
        release_date=date(1990, 5, 1),
        original_language="fr",
        genres=["War", "Drama"],
        poster=make_poster(content),
    )
    make_film(tmdb_id=12, genres=[])
    make_film(tmdb_id=13, genres=["Comedy"], overview="")
    own = make_film(tmdb_id=None, genres=["Horror"])
    import_splits([(11, "test"), (13, "val")])

    report = write_snapshot(tmp_path / "snapshot")

    assert (report.films, report.posters, report.posters_missing, report.newly_assigned) == (3, 1, 0, 1)
    snapshot = Snapshot.open(tmp_path / "snapshot")
    assert snapshot.sha256 == report.sha256
    rows = snapshot.films.to_pylist()
    assert rows[0] == {
        "film_id": first.pk,
        "tmdb_id": 11,
        "title": "Élan",
        "tagline": "!",
        "overview": "Un été.",
        "year": 1990,
        "language": "fr",
        "label_ids": [18, 10752],
        "part": "test",
        "group": first.pk,
        "poster": 0,
    }
    assert snapshot.poster_bytes(0) == content
    assert [(row["tmdb_id"], row["part"]) for row in rows[1:]] == [(13, "val"), (None, "train")]
    assert rows[2]["film_id"] == own.pk


def test_the_same_catalog_gives_the_same_hash_and_a_changed_one_another(tmp_path: Path) -> None:
    film = make_film(genres=["Drama"])
    first = write_snapshot(tmp_path / "snapshot").sha256
    assert write_snapshot(tmp_path / "snapshot").sha256 == first
    film.overview = "Another."
    film.save()
    assert write_snapshot(tmp_path / "snapshot").sha256 != first


def test_a_poster_without_its_file_is_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poster = make_poster()
    make_film(genres=["Drama"], poster=poster)
    Path(poster.file.path).unlink()
    call_command("write_snapshot", str(tmp_path / "snapshot"))
    captured = capsys.readouterr()
    assert "1 films, 0 posters" in captured.out
    assert "1 posters have no file" in captured.err
    assert not Snapshot.open(tmp_path / "snapshot").has_poster.any()


def test_a_snapshot_that_fails_leaves_the_older_one(tmp_path: Path) -> None:
    make_film(genres=["Drama"])
    before = write_snapshot(tmp_path / "snapshot").sha256

    def stop(done: int) -> None:
        raise RuntimeError("no more room")

    with pytest.raises(RuntimeError):
        write_snapshot(tmp_path / "snapshot", on_film=stop)
    assert Snapshot.open(tmp_path / "snapshot").sha256 == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_writing_snapshots_and_tables_needs_no_torch() -> None:
    program = (
        "import os, sys; os.environ.update(DJANGO_SETTINGS_MODULE='genresite.settings', GENRESITE_NO_SECRETS='1',"
        " HTTPS='0'); import django; django.setup(); import predictor.snapshots, predictor.export, predictor.splits;"
        " sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True)
