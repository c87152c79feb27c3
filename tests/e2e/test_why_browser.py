"""Why?, in a real browser: loaded in place where there are scripts, a page of its own where there are none."""

from __future__ import annotations

import re

import pytest

from tests.factories import make_explanation, make_film, make_poster, make_prediction, make_version

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
STORY = "A retired safecracker is talked into one last robbery by his daughter."
PROBABILITIES = {"Crime": 0.9, "Thriller": 0.6, "Drama": 0.25}


@pytest.fixture
def film(live_server, broker):
    """A film that was predicted, and explained before."""
    version = make_version(name="the-model")
    film = make_film(title="Rififi", overview=STORY, genres=["Crime", "Drama"], poster=make_poster())
    make_prediction(film, version, probabilities=PROBABILITIES)
    make_explanation(
        film,
        version,
        probabilities=PROBABILITIES,
        words={"robbery": {"Crime": 2.0}, "daughter": {"Crime": -0.9, "Drama": 1.5}},
        cells={(0, 0): {"Crime": 0.6}, (5, 3): {"Crime": -0.4}},
        inputs={"texts": {"Crime": 3.0, "Drama": 1.0}, "poster": {"Crime": 1.0, "Drama": -0.5}},
    )
    return film


def overflow(page) -> int:
    """Pixels by which the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
def test_it_is_loaded_in_place_and_read_on_from_its_heading(film, open_page, width, dark):
    page = open_page(film.get_absolute_url(), width=width, dark=dark)
    page.get_by_role("link", name="Why does the model say so?").click()
    page.get_by_role("heading", name=re.compile("What spoke for Crime")).wait_for()
    assert page.url.endswith(film.get_absolute_url())
    assert page.evaluate("document.activeElement.id") == "why-heading"
    assert page.locator("mark.word--for").first.inner_text() == "robbery"
    assert overflow(page) <= 0


def test_one_genre_is_open_at_a_time(film, open_page):
    page = open_page(f"{film.get_absolute_url()}why/")
    crime, drama = (
        page.locator(".why__genre").filter(has=page.get_by_text(n, exact=True)) for n in ("Crime", "Drama")
    )
    assert crime.locator(".heat").is_visible()
    drama.locator("summary").click()
    assert drama.locator("mark", has_text="daughter").is_visible()
    assert not crime.locator(".heat").is_visible()


def test_a_region_lies_over_the_poster_where_it_should(film, open_page):
    page = open_page(f"{film.get_absolute_url()}why/")
    poster = page.locator(".heat img").first.bounding_box()
    cell = page.locator(".heat__cell--against rect").first.bounding_box()
    assert (cell["x"] - poster["x"]) / poster["width"] == pytest.approx(3 / 4, abs=0.02)
    assert (cell["y"] - poster["y"]) / poster["height"] == pytest.approx(5 / 6, abs=0.02)
    assert cell["height"] / poster["height"] == pytest.approx(1 / 6, abs=0.02)


def test_without_scripts_it_is_a_page_of_its_own(film, open_page):
    page = open_page(film.get_absolute_url(), java_script_enabled=False)
    page.get_by_role("link", name="Why does the model say so?").click()
    page.wait_for_url("**/why/")
    assert page.locator("mark.word--for").first.inner_text() == "robbery"
    page.get_by_role("link", name="Back to the film").click()
    page.wait_for_url(f"**{film.get_absolute_url()}")


def test_where_nobody_answers_the_reason_stands_in_place_and_one_may_ask_again(film, open_page):
    other = make_film(title="Another", overview=STORY)
    make_prediction(other, film.predictions.get().version, probabilities={"War": 0.8})
    page = open_page(other.get_absolute_url(), expect=(503,))
    page.get_by_role("link", name="Why does the model say so?").click()
    page.get_by_role("heading", name="Not just now").wait_for()
    assert page.get_by_text("No prediction worker is running.").is_visible()
    page.get_by_role("link", name="Ask again").click()
    page.get_by_role("heading", name="Not just now").wait_for()
    assert page.url.endswith(other.get_absolute_url())
