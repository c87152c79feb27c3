from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.csv_rows import CsvError
from catalog.kaggle import read_films, read_splits
from catalog.records import FilmRecord, Rejection
from tests.catalog.dirty import BROKEN_ROWS, COLUMNS, HEADER, INVALID_GENRES, row, write_csv


def films_of(path: Path) -> list[FilmRecord]:
    return [item for item in read_films(path) if isinstance(item, FilmRecord)]


def rejections_of(path: Path) -> list[Rejection]:
    return [item for item in read_films(path) if isinstance(item, Rejection)]


def only_film(path: Path) -> FilmRecord:
    (film,) = films_of(path)
    return film


def test_a_sound_row_becomes_a_film_with_all_its_facts(tmp_path: Path) -> None:
    film = only_film(write_csv(tmp_path, row(2, title="Ariel", original_title="Ariel!", tagline="Go.")))
    assert film == FilmRecord(
        tmdb_id=2,
        title="Ariel",
        original_title="Ariel!",
        imdb_id="tt0000001",
        overview="Somebody walks through film 2, slowly.",
        tagline="Go.",
        release_date=date(1994, 9, 10),
        runtime=101,
        original_language="en",
        popularity=1.5,
        vote_average=7.1,
        vote_count=44,
        adult=False,
        poster_path="/abc.jpg",
        genre_ids=(18,),
        genre_names=("Drama",),
    )


@pytest.mark.parametrize("fault", BROKEN_ROWS)
def test_a_broken_row_is_refused_by_line_and_reason_and_its_neighbours_are_kept(
    fault: str, tmp_path: Path
) -> None:
    broken, code = BROKEN_ROWS[fault]
    path = write_csv(tmp_path, row(1), broken, row(3), row(4, overview="With, commas"), row(5))
    (rejection,) = rejections_of(path)
    assert (rejection.line, rejection.code) == (3, code)
    assert rejection.reason
    assert [film.tmdb_id for film in films_of(path)] == [1, 3, 4, 5]


def test_all_faults_in_one_file_cost_only_the_faulty_rows(tmp_path: Path) -> None:
    rows = [
        part for number, (broken, _) in enumerate(BROKEN_ROWS.values()) for part in (broken, row(number + 1))
    ]
    path = write_csv(tmp_path, *rows)
    assert [film.tmdb_id for film in films_of(path)] == list(range(1, len(BROKEN_ROWS) + 1))
    assert [rejection.code for rejection in rejections_of(path)] == [code for _, code in BROKEN_ROWS.values()]
    assert [rejection.line for rejection in rejections_of(path)] == list(
        range(2, 2 + 2 * len(BROKEN_ROWS), 2)
    )


def test_an_unclosed_quote_at_the_end_of_the_file_costs_one_row(tmp_path: Path) -> None:
    path = write_csv(tmp_path, row(1), BROKEN_ROWS["a quote that is never closed"][0])
    assert only_film(path).tmdb_id == 1
    assert [rejection.line for rejection in rejections_of(path)] == [3]


def test_a_record_may_span_lines_within_quotes(tmp_path: Path) -> None:
    path = write_csv(tmp_path, row(1, overview='A first line,\nand a "second".\r\n'), row(2), row("x"))
    assert films_of(path)[0].overview == 'A first line, and a "second".'
    assert rejections_of(path)[0].line == 6


def test_lines_may_end_as_windows_ends_them_and_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    content = (HEADER + row(1) + row(2)).replace(b"\n", b"\r\n")
    path = tmp_path / "films.csv"
    path.write_bytes(b"\xef\xbb\xbf" + content)
    assert [film.tmdb_id for film in films_of(path)] == [1, 2]


@pytest.mark.parametrize(
    ("given_overview", "kept"),
    [
        ("nan", ""),
        ("NaN", ""),
        ("", ""),
        ("   ", ""),
        ("No overview found.", ""),
        ("None", ""),
        ("Read http://a.example/b?c=1, or not.", "Read or not."),
        ("See www.a.example for more", "See for more"),
        ("One\x00 two\x07", "One two"),
        ("  Two   spaces\tand a tab ", "Two spaces and a tab"),
        ("Nan walks home.", "Nan walks home."),
    ],
)
def test_an_overview_is_cleaned(given_overview: str, kept: str, tmp_path: Path) -> None:
    assert only_film(write_csv(tmp_path, row(1, overview=given_overview))).overview == kept


@pytest.mark.parametrize("name", INVALID_GENRES)
def test_the_invalid_genres_are_dropped_and_the_film_and_its_other_genres_are_kept(
    name: str, tmp_path: Path
) -> None:
    genres = f"[{{'id': 11176, 'name': {name!r}}}, {{'id': 18, 'name': 'Drama'}}]"
    assert only_film(write_csv(tmp_path, row(1, genres=genres))).genre_names == ("Drama",)
    assert only_film(write_csv(tmp_path, row(1, genres=f"[{{'id': 1, 'name': {name!r}}}]"))).genre_ids == ()


def test_a_film_without_genre_is_kept(tmp_path: Path) -> None:
    path = write_csv(tmp_path, row(1, genres="[]"), row(2, genres=""), row(3, genres="nan"))
    assert [film.genre_ids for film in films_of(path)] == [(), (), ()]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("runtime", "99999"),
        ("runtime", "-5"),
        ("runtime", "inf"),
        ("runtime", "an hour"),
        ("vote_average", "11"),
        ("vote_average", "False"),
        ("vote_count", "-1"),
        ("vote_count", "1e300"),
        ("popularity", "Beware Of Frost Bites"),
        ("release_date", "1997-13-45"),
        ("release_date", "1"),
        ("imdb_id", "0113002"),
        ("original_language", "104.0"),
        ("poster_path", "../../etc/passwd"),
    ],
)
def test_a_value_that_cannot_be_is_left_out_with_a_note_and_the_film_is_kept(
    column: str, value: str, tmp_path: Path
) -> None:
    path = write_csv(tmp_path, row(7, **{column: value}))
    film = only_film(path)
    assert getattr(film, column) in {None, ""}
    assert film.overview
    (note,) = rejections_of(path)
    assert (note.line, note.record, note.value_only) == (2, "7", True)
    assert column in note.reason


def test_zero_and_missing_values_are_unknown_without_a_note(tmp_path: Path) -> None:
    path = write_csv(tmp_path, row(7, runtime="0.0", imdb_id="0", vote_average="nan", release_date=""))
    film = only_film(path)
    assert (film.runtime, film.imdb_id, film.vote_average, film.release_date) == (None, "", None, None)
    assert rejections_of(path) == []


def test_a_film_called_none_keeps_its_name_and_a_missing_title_is_taken_from_the_original(
    tmp_path: Path,
) -> None:
    path = write_csv(tmp_path, row(1, title="None"), row(2, title="", original_title="Ariel"))
    assert [film.title for film in films_of(path)] == ["None", "Ariel"]


def test_columns_that_are_not_needed_may_be_absent(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    path.write_text("Title,overview,ID,genres\nAriel,A film.,2,[]\n")
    assert only_film(path) == FilmRecord(tmdb_id=2, title="Ariel", overview="A film.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lacks id, title, overview, genres"),
        (b"id,title\n1,Ariel\n", "lacks overview, genres"),
        (b"id,title,overview,genres,id\n", "names id more than once"),
        ("id,title".encode("utf-16"), "no header of a CSV in UTF-8"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no header of a CSV in UTF-8"),
        (b'"id,title\n', "no header of a CSV"),
    ],
)
def test_a_file_that_is_no_csv_of_films_is_refused_as_a_whole(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "films.csv"
    path.write_bytes(content)
    with pytest.raises(CsvError, match=message):
        list(read_films(path))


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.just(row(1)), st.just(b'"'), st.just(b"\n")), max_size=12)
)
def test_whatever_the_bytes_every_sound_row_on_lines_of_its_own_is_read(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    path = write_csv(tmp_path_factory.mktemp("any"), *[part + b"\n" for part in parts], row(2))
    assert films_of(path)[-1].tmdb_id == 2


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40), min_size=1, max_size=8
    )
)
def test_what_the_csv_module_writes_is_read_back_field_by_field(
    tmp_path_factory: pytest.TempPathFactory, overviews: list[str]
) -> None:
    path = tmp_path_factory.mktemp("any") / "films.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for number, overview in enumerate(overviews, start=1):
            writer.writerow({"id": number, "title": "T", "genres": "[]", "overview": overview})
    assert [film.tmdb_id for film in films_of(path)] == list(range(1, len(overviews) + 1))


def test_splits_are_pairs_of_id_and_part(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("id,split\n2,test\n5,train\n6,val\n")
    assert list(read_splits(path)) == [(2, "test"), (5, "train"), (6, "val")]


@pytest.mark.parametrize("line", ["x,train", "5,", "5,training", "5"])
def test_a_split_that_is_none_is_refused_by_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text(f"id,split\n2,test\n{line}\n")
    with pytest.raises(CsvError, match="line 3"):
        list(read_splits(path))
