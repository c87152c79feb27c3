from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from catalog.folding import fold, sort_title
from catalog.importing import derived_fields, input_hash, set_poster, upsert_films
from catalog.models import Film, Genre, ImportRun
from catalog.records import FilmRecord
from catalog.runs import close_interrupted_runs, holding
from tests.catalog.dirty import BROKEN_ROWS, row, write_csv
from tests.conftest import PROJECT, process_environment
from tests.factories import jpeg, make_film, make_poster

pytestmark = pytest.mark.django_db


def record(tmdb_id: int = 1, **facts: Any) -> FilmRecord:
    return FilmRecord(
        **{"tmdb_id": tmdb_id, "title": "Ariel", "genre_ids": (18, 80), "genre_names": ("Drama", "Crime")}
        | facts
    )


def upsert(*records: FilmRecord, **options: Any) -> dict[str, int]:
    run = ImportRun.objects.create(source=ImportRun.Source.KAGGLE)
    return upsert_films(records, run=run, **options).as_dict()


def row_versions() -> list[tuple]:
    """Where every row of the catalog lies: any write moves it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'film', id, ctid::text, xmin::text FROM catalog_film")
        films = cursor.fetchall()
        cursor.execute("SELECT 'link', id, ctid::text, xmin::text FROM catalog_film_genres")
        return sorted(films + cursor.fetchall())


def test_a_new_film_is_created_with_its_genres_and_all_that_is_derived() -> None:
    counts = upsert(record(title="The Élan", original_title="L'Élan", overview="Un été."))
    assert counts == {"read": 1, "created": 1, "updated": 0, "unchanged": 0, "rejected": 0}
    film = Film.objects.get(tmdb_id=1)
    assert [genre.name for genre in film.genres.all()] == ["Crime", "Drama"]
    assert film.label_ids == [18, 80]
    assert film.title_sort == "elan"
    assert film.folded_titles == "the elan l'elan"
    assert film.folded_overview == "Un ete."
    assert film.input_hash == input_hash(title="The Élan", overview="Un été.", tagline="", poster_sha256="")
    assert (film.popularity, film.vote_average, film.vote_count, film.adult) == (0, 0, 0, False)


def test_importing_the_same_again_writes_no_row() -> None:
    records = [record(number, overview=f"Overview {number}") for number in range(1, 20)]
    upsert(*records)
    before = row_versions()
    assert upsert(*records)["unchanged"] == 19
    assert row_versions() == before


def test_a_changed_fact_rewrites_that_film_alone() -> None:
    upsert(record(1), record(2))
    before = dict.fromkeys(row_versions())
    counts = upsert(record(1), record(2, overview="New."))
    assert (counts["updated"], counts["unchanged"]) == (1, 1)
    moved = [version for version in row_versions() if version not in before]
    assert [version[:2] for version in moved] == [("film", Film.objects.get(tmdb_id=2).pk)]
    assert Film.objects.get(tmdb_id=2).input_hash != Film.objects.get(tmdb_id=1).input_hash


def test_genres_and_label_ids_change_together() -> None:
    upsert(record())
    upsert(record(genre_ids=(18, 10770), genre_names=("Drama", "TV Movie")))
    film = Film.objects.get(tmdb_id=1)
    assert sorted(film.genres.values_list("id", flat=True)) == [18, 10770]
    assert film.label_ids == [18]


def test_an_empty_value_never_erases_a_known_one() -> None:
    facts = {
        "overview": "Long.",
        "runtime": 90,
        "vote_count": 7,
        "release_date": date(1990, 1, 2),
        "adult": True,
    }
    upsert(record(**facts))
    counts = upsert(record(genre_ids=(), genre_names=()))
    assert counts["unchanged"] == 1
    film = Film.objects.get(tmdb_id=1)
    assert {name: getattr(film, name) for name in facts} == facts
    assert film.label_ids == [18, 80]


@pytest.mark.parametrize("batch_films", [1, 2, 100])
def test_of_a_repeated_id_the_first_stands_and_later_ones_fill_what_it_lacks(batch_films: int) -> None:
    records = [
        record(1, title="First", overview="", vote_count=0),
        record(2),
        record(1, title="Second", overview="From the second.", vote_count=9),
        record(1, overview="From the third."),
    ]
    counts = upsert(*records, batch_films=batch_films)
    assert (counts["read"], counts["created"]) == (4, 2)
    film = Film.objects.get(tmdb_id=1)
    assert (film.title, film.overview, film.vote_count) == ("First", "From the second.", 9)
    before = row_versions()
    assert upsert(*records, batch_films=batch_films)["unchanged"] == 4
    assert row_versions() == before


def test_a_genre_that_tmdb_does_not_list_becomes_one_that_is_no_label() -> None:
    upsert(record(genre_ids=(18, 321), genre_names=("Drama", "Sport")))
    assert Genre.objects.get(pk=321).is_label is False
    assert Film.objects.get(tmdb_id=1).label_ids == [18]


def test_a_known_name_under_another_id_is_the_known_genre() -> None:
    upsert(record(genre_ids=(999,), genre_names=("Drama",)))
    assert Film.objects.get(tmdb_id=1).label_ids == [18]
    assert not Genre.objects.filter(pk=999).exists()


def test_an_import_leaves_the_poster_and_hashes_it_with_the_texts() -> None:
    upsert(record())
    poster = make_poster()
    film = Film.objects.get(tmdb_id=1)
    set_poster(film, poster)
    upsert(record(overview="New."))
    film.refresh_from_db()
    assert film.poster == poster
    assert film.input_hash == input_hash(
        title="Ariel", overview="New.", tagline="", poster_sha256=poster.sha256
    )


def test_setting_and_taking_a_poster_changes_what_a_prediction_reads() -> None:
    film = make_film()
    without = film.input_hash
    set_poster(film, make_poster())
    assert film.input_hash != without
    set_poster(film, None)
    assert film.input_hash == without


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_input_hashes_are_equal_only_for_equal_texts(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    def digest(texts: tuple[str, str, str]) -> str:
        return input_hash(title=texts[0], overview=texts[1], tagline=texts[2], poster_sha256="")

    assert (digest(first) == digest(second)) == (first == second)
    assert re.fullmatch("[0-9a-f]{32}", digest(first))


@pytest.mark.parametrize(
    ("title", "folded"),
    [
        ("Amélie", "amelie"),
        ("AMELIE", "amelie"),
        ("Smørrebrød", "smorrebrod"),
        ("Straße", "strasse"),
        ("Ｗｉｄｅ", "wide"),
        ("Łódź", "lodz"),
        ("七人の侍", "七人の侍"),
    ],
)
def test_folding_takes_accents_and_case_away(title: str, folded: str) -> None:
    assert fold(title) == folded


@pytest.mark.parametrize(
    ("title", "sorted_by"),
    [
        ("The Matrix", "matrix"),
        ("A Bug's Life", "bug's life"),
        ("A", "a"),
        ("The", "the"),
        ("...And Justice for All", "and justice for all"),
        ("Theodora", "theodora"),
        ("!!!", "!!!"),
    ],
)
def test_titles_sort_without_article_and_leading_marks(title: str, sorted_by: str) -> None:
    assert sort_title(title) == sorted_by


@given(st.text(min_size=1))
def test_folding_twice_changes_no_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_the_longest_titles_fit_whatever_folding_makes_of_them() -> None:
    upsert(record(title="ﷺ" * 500, original_title="ß" * 500))
    assert len(Film.objects.get(tmdb_id=1).title_sort) == 500


def test_the_command_imports_a_dirty_file_and_says_what_it_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = [row(number) for number in range(1, 6)]
    path = write_csv(
        tmp_path, *sound, *(broken for broken, _ in BROKEN_ROWS.values()), row(3), row(6, runtime="9e9")
    )
    call_command("import_kaggle", str(path))
    run = ImportRun.objects.get()
    assert run.state == ImportRun.State.DONE
    assert (run.created, run.unchanged, run.rejected) == (6, 1, len(BROKEN_ROWS))
    assert run.read == run.total == 7 + len(BROKEN_ROWS)
    assert run.rejections.count() == len(BROKEN_ROWS) + 1
    assert (
        run.rejections.get(code="id", line=7).reason
        == "the id is a date (1997-08-20): the columns are shifted"
    )
    output = capsys.readouterr().out
    assert "line 7: the id is a date" in output
    assert "6 films created" in output


def test_the_command_skips_files_that_it_imported_before_if_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_csv(tmp_path, row(1))
    posters = tmp_path / "posters"
    posters.mkdir()
    (posters / "1.jpg").write_bytes(jpeg())

    def films_read() -> int:
        call_command("import_kaggle", str(path), posters=posters, skip_if_done=True)
        skipped = "imported before" in capsys.readouterr().out
        run = ImportRun.objects.first()
        return 0 if skipped or run is None else run.read

    assert films_read() == 1
    assert films_read() == 0
    (posters / "1.jpg").write_bytes(jpeg(seed=9))
    assert films_read() == 1
    write_csv(tmp_path, row(1), row(2))
    assert films_read() == 2
    call_command("import_kaggle", str(path), posters=posters)
    assert "2 unchanged" in capsys.readouterr().out


def test_the_command_refuses_what_is_no_csv_of_films(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(CommandError, match="lacks id, title, overview, genres"):
        call_command("import_kaggle", str(path))
    assert ImportRun.objects.get().state == ImportRun.State.FAILED
    with pytest.raises(CommandError, match="no folder of posters"):
        call_command("import_kaggle", str(write_csv(tmp_path, row(1))), posters=tmp_path / "absent")
    assert not Film.objects.exists()
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_kaggle", str(tmp_path / "absent.csv"))


def many_records(number: int) -> Iterator[FilmRecord]:
    for tmdb_id in range(1, number + 1):
        yield record(tmdb_id, overview=f"Overview of film {tmdb_id}. " * 10)


def test_memory_does_not_grow_with_the_number_of_films(settings: Any) -> None:
    settings.DEBUG = True  # when Django keeps what is sent to the database

    def peak(number: int) -> int:
        gc.collect()
        tracemalloc.start()
        upsert_films(
            many_records(number),
            run=ImportRun.objects.create(source=ImportRun.Source.KAGGLE),
            batch_films=50,
        )
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(50)  # what is loaded once
    # Five times the films; what the garbage collector leaves for later makes some difference.
    assert peak(1_000) < 2.5 * peak(200)


@pytest.mark.django_db(transaction=True)
def test_an_import_killed_in_the_middle_goes_on_where_it_was(
    tmp_path: Path, settings: Any, eventually: Any
) -> None:
    films = 6_000
    path = write_csv(tmp_path, *(row(number) for number in range(1, films + 1)))
    process = subprocess.Popen(
        [sys.executable, "manage.py", "import_kaggle", str(path)],
        cwd=PROJECT,
        env=process_environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        eventually(Film.objects.exists)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    written = Film.objects.count()
    assert 0 < written < films
    killed = ImportRun.objects.get()
    assert (killed.state, killed.created) == (ImportRun.State.RUNNING, written)
    before = row_versions()

    eventually(close_interrupted_runs)  # the database has noticed that the process is gone
    killed.refresh_from_db()
    assert killed.state == ImportRun.State.FAILED
    assert "import again" in killed.reason

    call_command("import_kaggle", str(path))
    again = ImportRun.objects.first()
    assert again is not None
    assert (again.created, again.unchanged) == (films - written, written)
    assert set(before) <= set(row_versions())
    assert Film.objects.count() == films


@pytest.mark.django_db(transaction=True)
def test_an_import_whose_process_lives_is_not_taken_for_an_interrupted_one() -> None:
    run = ImportRun.objects.create(source=ImportRun.Source.KAGGLE, state=ImportRun.State.RUNNING)

    def elsewhere() -> int:
        try:
            return close_interrupted_runs()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as another_connection:
        with holding(run):
            assert another_connection.submit(elsewhere).result() == 0
        assert another_connection.submit(elsewhere).result() == 1


def test_derived_fields_of_a_film_are_those_of_its_record() -> None:
    facts = {"title": "Élan", "overview": "Ça.", "tagline": "!", "original_title": ""}
    assert derived_fields(Film(**facts)) == derived_fields(record(**facts), poster_sha256="")
