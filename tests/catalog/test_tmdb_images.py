"""Where posters are fetched from, and from nowhere else (promise 12)."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from catalog.posters import PosterError
from catalog.tmdb.images import download_poster, image_base
from tests.tmdb_stand_in import StandIn


@pytest.mark.parametrize(
    "base",
    [
        "https://image.tmdb.org/t/p/",
        "https://image.tmdb.org/t/p",
        "http://127.0.0.1:8900/t/p/",
        "http://[::1]:1/",
    ],
)
def test_https_is_taken_and_http_from_this_machine(settings: Any, base: str) -> None:
    settings.TMDB_IMAGE_BASE = base
    assert image_base() == base.rstrip("/") + "/"


@pytest.mark.parametrize(
    "base",
    [
        "http://image.tmdb.org/t/p/",
        "http://169.254.169.254/latest/",
        "http://localhost.example.org/",
        "https://user:secret@image.tmdb.org/",
        "https://image.tmdb.org/?x=",
        "ftp://127.0.0.1/",
        "file:///etc/",
        "",
    ],
)
def test_any_other_base_is_refused(settings: Any, base: str) -> None:
    settings.TMDB_IMAGE_BASE = base
    with pytest.raises(ImproperlyConfigured):
        image_base()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a.jpg",
        "//evil.example/a.jpg",
        "/../a.jpg",
        "/a/b.jpg",
        "/a.jpg?x=1",
        "/a.svg",
        "/@evil.example/a.jpg",
        "/a.jpg\n",
    ],
)
def test_a_path_that_tmdb_never_has_is_not_asked_for(tmdb: StandIn, path: str) -> None:
    with pytest.raises(PosterError) as refused:
        download_poster(path, size="w342")
    assert refused.value.code == "path"
    assert tmdb.requests("image") == []


@pytest.mark.parametrize("size", ["", "w", "342", "w342/..", "W342", "big"])
def test_a_size_that_tmdb_never_has_is_not_asked_for(tmdb: StandIn, size: str) -> None:
    with pytest.raises(PosterError):
        download_poster("/a.jpg", size=size)
    assert tmdb.requests("image") == []


def test_the_size_asked_for_comes(tmdb: StandIn) -> None:
    film_id = next(i for i in tmdb.film_ids if tmdb.film(i).poster_path)
    small = download_poster(tmdb.film(film_id).poster_path, size="w92")
    large = download_poster(tmdb.film(film_id).poster_path, size="w500")
    assert len(small) < len(large)
    assert [request.path.split("/")[1] for request in tmdb.requests("image")] == ["w92", "w500"]
