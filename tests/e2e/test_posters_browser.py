"""Which of a poster's sizes a real browser takes, in each place, on screens of every kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache

from catalog.models import Film
from tests.factories import jpeg, make_explanation, make_film, make_poster, make_prediction, make_version

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
OpenPage = Callable[..., Any]
# What an image is: the size it was taken in ("" for the poster itself), how wide it stands on the page, and how wide the
# page had said it would.
IMAGES = """async images => Promise.all(images.map(async image => {
    image.loading = "eager";
    await image.decode();
    const taken = image.currentSrc.match(/thumbnails\\/(\\d+)/);
    return [taken ? taken[1] : "", image.clientWidth, image.srcset ? image.naturalWidth : image.clientWidth];
}))"""


@pytest.fixture
def film(live_server: Any) -> Film:
    """The most popular of films with posters of several widths; the model knows it, and films like it."""
    cache.clear()
    version = make_version()
    films = [
        make_film(
            title=f"Film {width}",
            genres=["Drama"],
            popularity=2000 - width,
            poster=make_poster(jpeg(width=width, height=round(width * 1.47))),
        )
        for width in (140, 342, 500, 1000)
    ]
    for film in films:
        make_prediction(film, version, probabilities={"War": 0.9}, embedding=[1.0, *[0.0] * 255])
    make_explanation(
        films[2], version, probabilities={"Drama": 0.9}, cells={(0, 0): {"Drama": 1.0}}, words={}
    )
    return films[2]


@pytest.mark.parametrize(
    ("width", "density", "taken"),
    [
        (1440, 1, ["", "240", "240", "240"]),
        (1440, 2, ["", "342", "500", "500"]),
        (1440, 3, ["", "342", "500", "780"]),
        (390, 1, ["", "240", "240", "240"]),
        (390, 2, ["", "342", "342", "342"]),
        (390, 3, ["", "342", "500", "780"]),
    ],
)
def test_a_list_takes_no_more_than_the_screen_shows(
    film: Film, open_page: OpenPage, width: int, density: int, taken: list[str]
) -> None:
    page = open_page("/", width=width, device_scale_factor=density)
    images = page.locator(".card .art__poster").evaluate_all(IMAGES)
    assert [size for size, _, _ in images] == taken


@pytest.mark.parametrize("width", [360, 390, 640, 800, 1024, 1440, 1920])
@pytest.mark.parametrize("place", ["list", "film", "explanation", "comparison"])
def test_pages_say_truly_how_wide_posters_stand_on_them(
    film: Film, open_page: OpenPage, place: str, width: int
) -> None:
    address = film.get_absolute_url()
    address = {"list": "/", "film": address, "explanation": f"{address}why/", "comparison": "/compare/"}[
        place
    ]
    page = open_page(address, width=width)
    images = page.locator("main img:visible").evaluate_all(IMAGES)
    assert len(images) >= (1 if place == "explanation" else 4)
    for _, stands, said in images:
        # A list has as many columns as fit: a card is 168 to 232 pixels wide.
        assert said == pytest.approx(stands, rel=0.25 if place == "list" and width > 640 else 0.03)


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
@pytest.mark.parametrize("density", [1, 2])
def test_regions_of_an_explanation_lie_on_the_poster(
    film: Film, open_page: OpenPage, width: int, dark: bool, density: int
) -> None:
    page = open_page(f"{film.get_absolute_url()}why/", width=width, dark=dark, device_scale_factor=density)
    image = page.locator(".heat img").first
    [[taken, _, _]] = image.evaluate_all(IMAGES)
    assert taken == ("500" if density == 2 else "240")
    box, grid = image.bounding_box(), page.locator(".heat__grid").first.bounding_box()
    assert grid == pytest.approx(box, abs=0.5)
    assert box["height"] == pytest.approx(box["width"] * 735 / 500, abs=1)


def test_the_place_of_a_poster_is_kept_before_it_comes(film: Film, open_page: OpenPage) -> None:
    page = open_page(f"{film.get_absolute_url()}why/", width=390)
    page.locator(".heat img").first.evaluate_all(IMAGES)
    there = page.locator(".heat").first.bounding_box()
    page.route(re.compile("/media/"), lambda route: None)
    page.reload(wait_until="domcontentloaded")
    assert page.locator(".heat").first.bounding_box() == pytest.approx(there, abs=1)
