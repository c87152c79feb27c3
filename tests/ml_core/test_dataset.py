"""From Kaggle's CSV to a snapshot, with the faults that the real file has."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ml_core.dataset import build_snapshot, grouped_parts
from ml_core.inputs import tidy
from ml_core.snapshot import Snapshot, SnapshotError

from .conftest import drawn_poster

COLUMNS = ["id", "title", "overview", "genres", "release_date", "original_language", "tagline"]
DRAMA = "[{'id': 18, 'name': 'Drama'}]"


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_rows_that_cannot_be_used_are_counted_by_reason_and_the_rest_is_written(tmp_path: Path) -> None:
    table = write_csv(
        tmp_path / "films.csv",
        [
            {"id": "1", "title": "One", "overview": "See https://example.org/x  now", "genres": DRAMA},
            {"id": "1", "title": "One again", "genres": DRAMA},
            {"id": "1997-08-20", "title": "Shifted", "genres": DRAMA},
            {"id": "2", "title": "Two", "overview": "nan", "genres": "[{'id': 10769, 'name': 'Foreign'}]"},
            {"id": "3", "title": "Three", "genres": "not a list"},
            {"id": "4", "title": "Four", "overview": "nan", "genres": DRAMA, "release_date": "1999-01-02"},
        ],
    )
    poster = drawn_poster(18, 1, "PNG")
    (tmp_path / "posters" / "04").mkdir(parents=True)
    (tmp_path / "posters" / "04" / "4.png").write_bytes(poster)
    report = build_snapshot(table=table, snapshot=tmp_path / "s", posters=tmp_path / "posters")
    assert (report.films, report.posters) == (2, 1)
    assert report.left_out == {
        "id seen before": 1,
        "id is not a number": 1,
        "none of the 18 genres": 1,
        "genres are not a list": 1,
    }
    snapshot = Snapshot.open(tmp_path / "s")
    assert snapshot.texts("overview") == ["See now", ""]
    assert snapshot.poster_bytes(1) == poster
    assert snapshot.films["year"].to_pylist() == [None, 1999]


def test_films_that_share_an_overview_or_title_and_year_are_one_group(tmp_path: Path) -> None:
    rows = [
        {
            "id": "1",
            "title": "Alpha",
            "overview": "Same words",
            "genres": DRAMA,
            "release_date": "1990-01-01",
        },
        {"id": "2", "title": "Beta", "overview": "same words", "genres": DRAMA, "release_date": "1991-01-01"},
        {"id": "3", "title": "beta", "overview": "Others", "genres": DRAMA, "release_date": "1991-05-05"},
        {"id": "4", "title": "Beta", "overview": "More", "genres": DRAMA, "release_date": "2001-01-01"},
    ]
    build_snapshot(table=write_csv(tmp_path / "films.csv", rows), snapshot=tmp_path / "s")
    assert Snapshot.open(tmp_path / "s").groups.tolist() == [1, 1, 1, 4]


def test_grouped_parts_never_part_a_group_and_keep_films_where_they_are() -> None:
    groups = {film: film // 3 for film in range(3000)}
    parts = grouped_parts(groups, seed=1)
    assert all(len({parts[film] for film in range(first, first + 3)}) == 1 for first in range(0, 3000, 3))
    assert 0.75 < sum(part == "train" for part in parts.values()) / 3000 < 0.85
    grown = grouped_parts(groups | {3000: 5000}, seed=1)
    assert {film: grown[film] for film in parts} == parts


def test_given_splits_are_followed_and_wrong_ones_refused(tmp_path: Path) -> None:
    rows = [{"id": str(n), "title": f"F{n}", "genres": DRAMA} for n in (1, 2, 3)]
    table = write_csv(tmp_path / "films.csv", rows)
    splits = tmp_path / "splits.csv"
    splits.write_text("id,split\n1,test\n2,train\n")
    report = build_snapshot(table=table, snapshot=tmp_path / "s", splits=splits)
    assert report.left_out == {"not in the splits file": 1}
    assert Snapshot.open(tmp_path / "s").films["part"].to_pylist() == ["test", "train"]
    splits.write_text("id,split\n1,exam\n")
    with pytest.raises(SnapshotError, match="exam"):
        build_snapshot(table=table, snapshot=tmp_path / "s", splits=splits)


def test_a_csv_without_the_needed_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_text("id,name\n1,One\n")
    with pytest.raises(SnapshotError, match="genres, overview, title"):
        build_snapshot(table=tmp_path / "films.csv", snapshot=tmp_path / "s")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("nan", ""), ("No overview found.", ""), ("  a\n b ", "a b"), ("at www.example.org today", "at today")],
)
def test_texts_are_tidied(text: str, expected: str) -> None:
    assert tidy(text) == expected
