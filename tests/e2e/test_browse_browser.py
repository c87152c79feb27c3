"""Browse and data pages in a real browser: with scripts and without, wide and narrow, light and dark."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from playwright.sync_api import expect

from ledger.workers import say_alive
from predictor.browsing import PAGE_SIZE
from tests.factories import make_film, make_poster, make_prediction, make_version

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
FILMS = PAGE_SIZE * 2 + 5
OpenPage = Callable[..., Any]


@pytest.fixture
def films(live_server: Any) -> None:
    """Three pages of films, the first with a poster, and predictions of some."""
    cache.clear()
    version = make_version()
    for number in range(FILMS):
        genres = ["Drama"] if number % 2 else ["War", "History"]
        film = make_film(
            title=f"Film {number:02}",
            genres=genres,
            popularity=1000 - number,
            poster=None if number else make_poster(),
        )
        if number < 4:
            make_prediction(film, version, probabilities={"War": 0.9})
    make_film(title="Rashomon", genres=["Drama"], popularity=1)


def cards(page: Any) -> Any:
    return page.locator(".card")


def test_films_come_as_one_scrolls(films: None, open_page: OpenPage) -> None:
    page = open_page("/")
    assert cards(page).count() == PAGE_SIZE
    while page.locator("#more").count():
        shown = cards(page).count()
        page.locator("#more").scroll_into_view_if_needed()
        expect(cards(page)).to_have_count(min(shown + PAGE_SIZE, FILMS + 1))
    titles = page.locator(".card__title").all_inner_texts()
    assert len(titles) == len(set(titles)) == FILMS + 1


def test_without_javascript_everything_is_links_and_a_form(films: None, open_page: OpenPage) -> None:
    page = open_page("/", java_script_enabled=False)
    page.get_by_role("link", name="Next films").click()
    assert page.locator(".card__title").first.inner_text() == f"Film {PAGE_SIZE:02}"
    page.goto("/")
    page.get_by_role("checkbox", name="History").check()
    page.get_by_role("combobox", name="Sort by").select_option("title")
    page.get_by_role("button", name="Show films").click()
    assert "genre=36" in page.url
    assert "sort=title" in page.url
    assert page.get_by_role("checkbox", name="History").is_checked()
    assert page.locator(".card__title").first.inner_text() == "Film 00"


def test_results_follow_what_is_typed_and_the_address_follows_them(films: None, open_page: OpenPage) -> None:
    page = open_page("/")
    page.get_by_role("searchbox", name="Search films").press_sequentially("rash")
    page.wait_for_url("**/?q=rash")
    expect(cards(page)).to_have_count(1)
    assert page.locator(".card__title").inner_text() == "Rashomon"
    expect(page.locator("#total")).to_have_text("1 film")
    page.get_by_role("link", name=re.compile("rash.*remove")).click()
    page.wait_for_url(re.compile(r"/$"))
    assert cards(page).count() == PAGE_SIZE


def test_a_filter_applies_at_once_with_counts_beside_it(films: None, open_page: OpenPage) -> None:
    page = open_page("/")
    expect(page.locator("#total")).not_to_be_empty()
    assert page.locator("#count-36").inner_text() == str((FILMS + 1) // 2)
    page.get_by_role("radio", name="Model misses a genre").check()
    page.wait_for_url("**/?agreement=misses")
    expect(cards(page)).to_have_count(4)
    page.reload()
    assert cards(page).count() == 4
    page.go_back()
    expect(cards(page)).to_have_count(PAGE_SIZE)


def test_a_wrong_value_is_explained_in_place(films: None, open_page: OpenPage) -> None:
    page = open_page("/", expect=(400,))
    page.get_by_role("spinbutton", name="Released from").fill("2000")
    page.get_by_role("spinbutton", name="Released to").fill("1990")
    page.get_by_role("spinbutton", name="Released to").press("Tab")
    page.get_by_role("alert").wait_for()
    assert "ends before it begins" in page.get_by_role("alert").inner_text()


def test_on_a_phone_filters_are_folded_away_and_nothing_overflows(films: None, open_page: OpenPage) -> None:
    page = open_page("/", width=390, dark=True)
    assert not page.locator("#filters").is_visible()
    page.locator(".filters__summary").click()
    assert page.locator("#filters").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_keyboard_reaches_the_films_past_the_header(films: None, open_page: OpenPage) -> None:
    page = open_page("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize(
    ("width", "dark", "drawn"), [(1440, False, "light-wide"), (390, True, "dark-narrow")]
)
def test_charts_are_drawn_for_the_scheme_and_the_width(
    films: None, open_page: OpenPage, width: int, dark: bool, drawn: str
) -> None:
    page = open_page("/data/", width=width, dark=dark)
    drawings = page.locator(".data__drawing")
    for number in range(drawings.count()):
        drawings.nth(number).scroll_into_view_if_needed()
        source, natural = drawings.nth(number).evaluate(
            "async image => { await image.decode(); return [image.currentSrc, image.naturalWidth] }"
        )
        assert drawn in source
        assert natural > 100
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1440])
def test_lettering_of_title_cards_stays_on_them(live_server: Any, open_page: OpenPage, width: int) -> None:
    cache.clear()
    for title in ("KPop Demon Hunters", "WALL·E", "MMMM WWWW", "The Lord of the Rings", "千と千尋の神隠し"):
        make_film(title=title, genres=["Drama"])
    page = open_page("/", width=width)
    ends = page.locator(".art__lettering text").evaluate_all("""texts => texts.map(text => {
        const card = text.ownerSVGElement.getBoundingClientRect(), line = text.getBoundingClientRect();
        return (line.right - card.left) / card.width })""")
    assert len(ends) >= 5
    assert max(ends) <= 0.97


def test_a_button_of_the_filters_is_one_line_high(films: None, open_page: OpenPage) -> None:
    page = open_page("/")
    heights = page.locator(".filters__buttons > *").evaluate_all("them => them.map(one => one.offsetHeight)")
    assert max(heights) < 48


def test_the_ledger_in_the_admin_does_not_overflow_a_phone(
    live_server: Any, open_page: OpenPage, broker: Any, django_user_model: Any, client: Any
) -> None:
    say_alive(name="predict@a-machine-with-a-long-name.example", queues=["predict"])
    client.force_login(django_user_model.objects.create_superuser("boss"))
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    page = open_page(
        "/admin/ledger/workchunk/", width=390, storage_state={"cookies": [cookie], "origins": []}
    )
    assert page.get_by_text("Heard of").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
