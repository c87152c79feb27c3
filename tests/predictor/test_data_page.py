"""The data page and its charts."""

from __future__ import annotations

import datetime as dt
import html
import re
import xml.etree.ElementTree as ET

import pytest
from django.core.cache import cache
from django.test import Client

from catalog.exploration import count
from ml_core.drawing import SCHEMES
from predictor.charts import WIDTHS
from tests.factories import make_film, make_poster

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


@pytest.fixture
def some_films() -> None:
    make_film(
        genres=["Drama", "War"], release_date=dt.date(1957, 1, 1), original_language="en", overview="a b c"
    )
    make_film(
        genres=["Drama"], release_date=dt.date(1959, 1, 1), original_language="fr", poster=make_poster()
    )
    make_film(genres=[], overview="", original_language="", runtime=90)


@pytest.mark.usefixtures("some_films")
class TestNumbers:
    def test_films_by_genre_and_pairs(self) -> None:
        numbers = count()
        assert numbers.by_genre[:2] == [("Drama", 2), ("War", 1)]
        assert numbers.together[0][:2] == [2, 1]
        assert numbers.together[1][:2] == [1, 1]
        assert numbers.by_number_of_genres == [(0, 1), (1, 1), (2, 1)]
        assert (numbers.films, numbers.labelled) == (3, 2)

    def test_films_by_decade_and_language(self) -> None:
        numbers = count()
        assert numbers.by_decade == [(1950, 2)]
        assert numbers.by_language == [("English", 1), ("French", 1)]

    def test_words_of_overviews_without_those_that_are_empty(self) -> None:
        numbers = count()
        assert sum(n for _, n in numbers.overview_words) == 2
        assert numbers.median_words == 3

    def test_what_is_missing(self) -> None:
        missing = dict(count().missing)
        assert missing["Poster"] == 2
        assert missing["Overview"] == 1
        assert missing["Any of the 18 genres"] == 1
        assert missing["Runtime"] == 2
        assert missing["Both poster and overview"] == 1


@pytest.mark.usefixtures("some_films")
class TestPage:
    def test_each_chart_has_words_a_table_and_a_drawing_for_every_scheme_and_width(
        self, client: Client
    ) -> None:
        content = client.get("/data/").content.decode()
        pictures = re.findall(r"<picture>.*?</picture>", content, re.DOTALL)
        assert len(pictures) == content.count("<table>") == 7
        for picture in pictures:
            assert re.search(r'alt="Chart: [^"]{40,}"', picture)
            assert len(set(re.findall(r'(?:src|srcset)="([^"]+)"', picture))) == len(SCHEMES) * len(WIDTHS)

    def test_drawings_are_svg_that_the_policy_allows_and_may_be_kept_for_good(self, client: Client) -> None:
        content = client.get("/data/").content.decode()
        addresses = sorted({html.unescape(a) for a in re.findall(r'srcset="([^"]+)"', content)})
        for address in [a for a in addresses if "dark-narrow" in a]:
            response = client.get(address)
            assert response["Content-Type"] == "image/svg+xml"
            assert "immutable" in response["Cache-Control"]
            drawing = response.content.decode()
            assert ET.fromstring(drawing).tag.endswith("svg")
            assert not re.search(r"<style|\sstyle=|<script|\son\w+=|<foreignObject", drawing)

    def test_the_address_changes_with_the_numbers(self, client: Client) -> None:
        before = re.findall(r'srcset="(/data/genres/[^"]+)"', client.get("/data/").content.decode())
        make_film(genres=["Drama"])
        cache.clear()
        after = re.findall(r'srcset="(/data/genres/[^"]+)"', client.get("/data/").content.decode())
        assert set(before).isdisjoint(after)

    def test_an_address_of_old_numbers_draws_the_new_ones_and_is_not_kept(self, client: Client) -> None:
        response = client.get("/data/genres/light-wide.svg?v=old")
        assert response.status_code == 200
        assert response["Cache-Control"] == "no-cache"

    @pytest.mark.parametrize("drawing", ["genres/light-huge", "genres/pink-wide", "nothing/light-wide"])
    def test_what_is_not_drawn_is_not_found(self, client: Client, drawing: str) -> None:
        assert client.get(f"/data/{drawing}.svg").status_code == 404


def test_an_empty_catalog_says_so(client: Client) -> None:
    response = client.get("/data/")
    assert response.status_code == 200
    assert "No films yet" in response.content.decode()


def test_a_catalog_of_one_bare_film_is_drawn(client: Client) -> None:
    make_film(overview="")
    assert client.get("/data/").status_code == 200
    for name in ("genres", "together", "genres-per-film", "decades", "languages", "overviews", "missing"):
        assert client.get(f"/data/{name}/dark-wide.svg").status_code == 200
