from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from catalog.models import Film
from predictor import splits
from predictor.models import SplitAssignment
from predictor.splits import SplitError, assign_missing, import_splits
from tests.factories import make_film

pytestmark = pytest.mark.django_db


def parts(split: str = "default") -> dict[int, str]:
    return dict(SplitAssignment.objects.filter(split=split).values_list("film__tmdb_id", "part"))


def drama(tmdb_id: int, **facts: object) -> Film:
    return make_film(tmdb_id=tmdb_id, title=f"Film {tmdb_id}", genres=["Drama"], **facts)


def test_films_are_assigned_by_their_tmdb_id() -> None:
    for number in (1, 2, 3):
        drama(number)
    counts = import_splits([(1, "train"), (2, "test"), (9, "val")])
    assert (counts.assigned, counts.unchanged, counts.unknown) == (2, 0, 1)
    assert parts() == {1: "train", 2: "test"}


def test_importing_a_split_again_changes_nothing() -> None:
    drama(1)
    import_splits([(1, "test")])
    before = list(SplitAssignment.objects.values_list())
    counts = import_splits([(1, "test")])
    assert (counts.assigned, counts.unchanged) == (0, 1)
    assert list(SplitAssignment.objects.values_list()) == before


def test_a_split_is_frozen_and_a_contradiction_assigns_nothing() -> None:
    drama(1)
    drama(2)
    import_splits([(1, "test")])
    with pytest.raises(SplitError, match="Film 1 is in test"):
        import_splits([(2, "val"), (1, "train")])
    assert parts() == {1: "test"}
    import_splits([(1, "train")], split="another")
    assert parts("another") == {1: "train"}


def test_films_that_share_an_overview_or_title_and_year_are_one_group() -> None:
    same_overview = [drama(number, overview="The very same.") for number in (1, 2)]
    same_title = [
        make_film(title="Twin", release_date=date(1990, 1, number), genres=["War"]) for number in (1, 2)
    ]
    # One film links both groups.
    link = make_film(title="Twin", release_date=date(1990, 5, 5), overview="the VERY same.", genres=["War"])
    other_year = make_film(title="Twin", release_date=date(1991, 1, 1), genres=["War"])
    without_overview = [drama(number, overview="") for number in (8, 9)]
    assign_missing()
    group = dict(SplitAssignment.objects.values_list("film_id", "group"))
    together = [*same_overview, *same_title, link]
    assert {group[film.pk] for film in together} == {min(film.pk for film in together)}
    assert [group[film.pk] for film in [other_year, *without_overview]] == [
        other_year.pk,
        *(film.pk for film in without_overview),
    ]


def test_a_new_split_never_parts_a_group_and_has_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "_BATCH", 7)
    for number in range(1, 61):
        drama(number, overview=f"Overview {number % 30}")
    assert assign_missing() == 60
    held = parts()
    assert all(held[number] == held[number + 30] for number in range(1, 31))
    assert set(held.values()) == {"train", "val", "test"}


def test_a_new_film_joins_train_or_the_films_it_belongs_to() -> None:
    drama(1, overview="Of a test film.")
    drama(2, overview="Of a train film.")
    import_splits([(1, "test"), (2, "train")])
    drama(3)
    drama(4, overview="Of a test film.")
    drama(5, overview="Of a train film.")
    assert assign_missing() == 3
    assert parts() == {1: "test", 2: "train", 3: "train", 4: "test", 5: "train"}
    groups = dict(SplitAssignment.objects.values_list("film__tmdb_id", "group"))
    assert groups[1] == groups[4]


def test_a_new_film_that_links_two_parts_is_not_learned() -> None:
    drama(1, overview="Of a test film.")
    make_film(tmdb_id=2, title="Twin", release_date=date(1990, 1, 1), genres=["War"])
    import_splits([(1, "test"), (2, "train")])
    make_film(
        tmdb_id=3, title="Twin", release_date=date(1990, 1, 1), overview="Of a test film.", genres=["War"]
    )
    assign_missing()
    assert parts()[3] == "test"


def test_a_film_without_labels_is_assigned_when_it_has_some() -> None:
    make_film(tmdb_id=1)
    assert assign_missing() == 0


def test_the_command_says_what_it_assigned_and_warns_of_parted_groups(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        drama(number, overview="The same.")
    path = tmp_path / "splits.csv"
    path.write_text("id,split\n1,train\n2,test\n3,val\n")
    call_command("import_splits", str(path), name="mine")
    captured = capsys.readouterr()
    assert "Split mine: 2 films assigned, 0 unchanged, 1 not in the catalog." in captured.out
    assert "but not their part: 1." in captured.err


@pytest.mark.parametrize("content", ["id,split\n1,test\nx,train\n", "id,split\n1,test\n2,both\n", "film\n"])
def test_the_command_refuses_a_broken_file_as_a_whole(content: str, tmp_path: Path) -> None:
    drama(1)
    path = tmp_path / "splits.csv"
    path.write_text(content)
    with pytest.raises(CommandError):
        call_command("import_splits", str(path))
    assert parts() == {}
