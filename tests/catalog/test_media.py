from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from PIL import Image

from catalog.thumbnails import thumbnail_name
from tests.factories import jpeg, make_poster

pytestmark = pytest.mark.django_db


def test_a_poster_is_served_for_good_under_its_hash(client: Client) -> None:
    poster = make_poster()
    response = client.get(poster.get_absolute_url())
    assert b"".join(response.streaming_content) == poster.file.read()
    assert response["Content-Type"] == "image/jpeg"
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["ETag"] == f'"{poster.sha256}"'
    assert "Set-Cookie" not in response


def test_a_poster_that_the_browser_has_is_not_sent_again(client: Client) -> None:
    poster = make_poster()
    response = client.get(poster.get_absolute_url(), headers={"if-none-match": f'"{poster.sha256}"'})
    assert response.status_code == 304
    assert not response.content


@pytest.mark.parametrize(
    "path",
    [
        f"/media/posters/00/{'0' * 64}.jpg",
        "/media/posters/00/../../../settings.py",
        f"/media/posters/00/{'0' * 64}.svg",
        "/media/imports/films.csv",
        f"/media/thumbnails/240/00/{'0' * 64}.webp",
    ],
)
def test_nothing_but_stored_posters_is_served(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_posters_are_only_read(client: Client) -> None:
    assert client.post(make_poster().get_absolute_url()).status_code == 405


def thumbnail(poster: Any, width: int | str = 240) -> str:
    return f"/media/thumbnails/{width}/{poster.sha256[:2]}/{poster.sha256}.webp"


@pytest.fixture
def poster() -> Any:
    return make_poster(jpeg(width=500, height=750))


def test_a_thumbnail_is_made_when_first_asked_for_and_then_served_for_good(
    client: Client, poster: Any
) -> None:
    name = thumbnail_name(poster.sha256, 240)
    assert not default_storage.exists(name)
    first = client.get(thumbnail(poster))
    content = b"".join(first.streaming_content)
    assert Image.open(io.BytesIO(content)).size == (240, 360)
    with default_storage.open(name) as file:
        assert file.read() == content
    second = client.get(thumbnail(poster))
    assert b"".join(second.streaming_content) == content
    for response in (first, second):
        assert response["Content-Type"] == "image/webp"
        assert response["Content-Length"] == str(len(content))
        assert response["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["ETag"] == f'"{poster.sha256}-240"'
        assert "Set-Cookie" not in response


def test_a_stored_thumbnail_costs_no_query(
    client: Client, poster: Any, django_assert_num_queries: Any
) -> None:
    client.get(thumbnail(poster)).close()
    with django_assert_num_queries(0):
        client.get(thumbnail(poster)).close()


def test_a_thumbnail_that_the_browser_has_is_not_sent_again(client: Client, poster: Any) -> None:
    etag = f'"{poster.sha256}-240"'
    response = client.get(thumbnail(poster), headers={"if-none-match": etag})
    assert (response.status_code, response["ETag"]) == (304, etag)
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    # The other size is another picture.
    response = client.get(thumbnail(poster, 342), headers={"if-none-match": etag})
    assert response.status_code == 200


def test_the_head_of_a_thumbnail_is_that_of_the_whole(client: Client, poster: Any) -> None:
    whole, head = client.get(thumbnail(poster)), client.head(thumbnail(poster))
    assert head.status_code == 200
    assert b"".join(head.streaming_content) == b""
    assert head.headers == whole.headers
    assert client.post(thumbnail(poster)).status_code == 405


def test_nobody_has_anything_made_but_a_known_posters_sizes(client: Client, poster: Any) -> None:
    wrong = [
        thumbnail(poster, 241),
        thumbnail(poster, "0240"),
        thumbnail(poster, 100_000),
        thumbnail(poster).replace(f"/{poster.sha256[:2]}/", f"/{'0f' if poster.sha256[0] != '0' else 'f0'}/"),
        thumbnail(poster).replace(".webp", ".jpg"),
        thumbnail(poster).upper(),
        thumbnail(make_poster(jpeg(width=140, height=210))),
    ]
    for address in wrong:
        assert client.get(address).status_code == 404, address
    assert "thumbnails" not in default_storage.listdir("")[0]


def test_a_thumbnail_of_a_lost_poster_is_not_found(client: Client, poster: Any) -> None:
    default_storage.delete(poster.file.name)
    assert client.get(thumbnail(poster)).status_code == 404


def test_a_poster_that_no_longer_is_an_image_is_shown_as_whatever_it_is(client: Client, poster: Any) -> None:
    with default_storage.open(poster.file.name, "wb") as file:
        file.write(b"no image at all")
    response = client.get(thumbnail(poster))
    assert (response.status_code, response["Location"]) == (302, poster.get_absolute_url())


def test_a_storage_that_cannot_be_read_is_a_503(client: Client, settings: Any) -> None:
    poster = make_poster()
    path = settings.MEDIA_ROOT / poster.file.name
    path.unlink()
    path.mkdir()
    response = client.get(poster.get_absolute_url())
    assert (response.status_code, response["Retry-After"]) == (503, "10")
