from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.storage import default_storage

from catalog.models import ImportRun
from catalog.poster_folder import import_posters
from catalog.posters import store_poster
from tests.catalog.images import PNG, REFUSED, WEBP
from tests.factories import jpeg, make_film

pytestmark = pytest.mark.django_db


def test_equal_posters_are_stored_once_under_their_hash() -> None:
    content = jpeg(width=80, height=120)
    poster = store_poster(content)
    assert store_poster(content) == poster
    assert poster.file.name == f"posters/{poster.sha256[:2]}/{poster.sha256}.jpg"
    assert poster.file.read() == content
    assert (poster.format, poster.width, poster.height, poster.size) == ("jpeg", 80, 120, len(content))
    assert len(default_storage.listdir(f"posters/{poster.sha256[:2]}")[1]) == 1


def test_a_file_that_a_killed_process_left_half_is_replaced() -> None:
    content = jpeg()
    poster = store_poster(content)
    path = Path(poster.file.path)
    path.write_bytes(content[:100])
    poster.delete()
    assert Path(store_poster(content).file.path).read_bytes() == content


def posters_run() -> ImportRun:
    return ImportRun.objects.create(source=ImportRun.Source.KAGGLE)


def test_a_folder_of_posters_is_given_to_its_films_by_their_tmdb_id(tmp_path: Path) -> None:
    films = [make_film(tmdb_id=number) for number in (101, 202, 303, 404)]
    for name, content in {
        "01/101.jpg": jpeg(seed=1),
        "02/202.png": PNG,
        "303.webp": WEBP,
        "04/404.jpg": REFUSED["a JPEG cut in half"][0],
        "05/505.jpg": jpeg(seed=5),
        "06/notes.txt": b"not a poster",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    before = {film.pk: film.input_hash for film in films}
    run = posters_run()

    counts = import_posters(folder=tmp_path, run=run)

    assert (counts.read, counts.stored, counts.unknown, counts.rejected) == (5, 3, 1, 1)
    for film in films:
        film.refresh_from_db()
    assert [film.poster.format if film.poster else None for film in films] == ["jpeg", "png", "webp", None]
    assert [film.input_hash != before[film.pk] for film in films] == [True, True, True, False]
    rejection = run.rejections.get()
    assert (rejection.record, rejection.code) == ("404", "poster-truncated")
    run.refresh_from_db()
    assert run.posters_stored == 3

    again = import_posters(folder=tmp_path, run=posters_run())
    assert (again.stored, again.unchanged) == (0, 3)


def test_a_new_poster_in_the_folder_replaces_the_old_one(tmp_path: Path) -> None:
    film = make_film(tmdb_id=7)
    (tmp_path / "7.jpg").write_bytes(jpeg(seed=1))
    import_posters(folder=tmp_path, run=posters_run())
    (tmp_path / "7.jpg").write_bytes(jpeg(seed=2))
    assert import_posters(folder=tmp_path, run=posters_run()).stored == 1
    film.refresh_from_db()
    assert film.poster is not None
    assert film.poster.file.read() == jpeg(seed=2)


def test_a_file_too_large_is_not_read_into_memory(tmp_path: Path) -> None:
    make_film(tmdb_id=7)
    with (tmp_path / "7.jpg").open("wb") as file:
        file.truncate(2**34)
    run = posters_run()
    import_posters(folder=tmp_path, run=run)
    assert run.rejections.get().code == "poster-too-large"
