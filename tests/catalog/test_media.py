from __future__ import annotations

import pytest
from django.test import Client

from tests.factories import make_poster

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
    ],
)
def test_nothing_but_stored_posters_is_served(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_posters_are_only_read(client: Client) -> None:
    assert client.post(make_poster().get_absolute_url()).status_code == 405
