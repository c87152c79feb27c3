"""The pages in a real browser: what is drawn, what works without scripts, and that nothing breaks our own policy."""

from __future__ import annotations

import re

import pytest

from tests.factories import make_film, make_poster, make_prediction, make_version

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
STORY = "A retired safecracker is talked into one last robbery by his daughter."


@pytest.fixture
def film(live_server):
    """A film with one hit, one miss and one extra, and some films beside it."""
    version = make_version(name="the-model")
    film = make_film(
        title="Rififi", overview=STORY, genres=["Crime", "Drama"], poster=make_poster(), popularity=9
    )
    make_prediction(film, version, probabilities={"Crime": 0.9, "Thriller": 0.6, "Drama": 0.25})
    for number in range(4):
        other = make_film(title=f"Another {number}", genres=["War"])
        make_prediction(other, version, probabilities={"War": 0.8})
    return film


def overflow(page) -> int:
    """Pixels by which the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
def test_no_page_overflows_or_breaks_the_security_policy(film, open_page, width, dark):
    page = open_page(film.get_absolute_url(), width=width, dark=dark)
    version = film.predictions.get().version_id
    for path in (None, "/", "/compare/?films=all", "/models/", f"/models/{version}/", "/try/", "/login/"):
        if path:
            page.goto(path)
        assert overflow(page) <= 0, page.url
        assert page.locator("h1").count() == 1, page.url


def test_a_bar_is_as_long_as_the_probability_and_the_mark_stands_at_the_threshold(film, open_page):
    page = open_page(film.get_absolute_url())
    row = page.get_by_role("row", name="Crime")
    track, fill = (row.locator(part).bounding_box() for part in (".bar__track", ".bar__fill"))
    assert fill["width"] / track["width"] == pytest.approx(0.9, abs=0.01)
    mark = row.locator(".bar__threshold").evaluate("line => line.getBoundingClientRect().x")
    assert (mark - track["x"]) / track["width"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("width", [390, 1440])
def test_the_comparison_is_read_as_a_table(film, open_page, width):
    page = open_page(film.get_absolute_url(), width=width)
    table = page.locator(".comparison").get_by_role("table").first
    assert table.get_by_role("rowheader").all_inner_texts() == ["Crime", "Thriller", "Drama"]
    outcomes = [re.sub(r"\s+", " ", text) for text in table.locator(".genre-row__outcome").all_inner_texts()]
    assert outcomes == ["✓ Hit", "+ Extra", "− Miss"]
    rest = page.locator(".comparison__rest")
    assert not rest.get_by_role("row").last.is_visible()
    rest.locator("summary").click()
    assert rest.locator("tbody").get_by_role("row").count() == 15
    assert rest.get_by_role("row").last.is_visible()


def test_from_film_to_film_to_the_films_of_a_genre(film, open_page):
    page = open_page(film.get_absolute_url())
    page.locator(".shelf").get_by_role("link").first.click()
    page.wait_for_url(re.compile(r"/films/\d+-another-\d/"))
    page.locator(".film__genres").get_by_role("link", name="War").click()
    page.wait_for_url("**/?genre=10752")
    assert page.get_by_role("link", name="Another 0").is_visible()


def test_it_all_works_without_scripts(film, open_page):
    page = open_page(film.get_absolute_url(), java_script_enabled=False, expect=(503,))
    page.locator(".comparison__rest summary").click()
    assert page.locator(".comparison__rest").get_by_role("row").last.is_visible()
    page.get_by_role("link", name="Change the overview").click()
    assert page.get_by_label("Overview").input_value() == STORY
    page.get_by_label("Overview").fill("Two strangers meet on a night train.")
    page.get_by_role("button", name="Predict its genres").click()
    assert page.get_by_role("heading", name="Not just now").is_visible()
    assert page.get_by_label("Overview").input_value() == "Two strangers meet on a night train."


def test_a_token_from_login_to_revocation(open_page, django_user_model):
    django_user_model.objects.create_user("ada", password="sunset-boulevard-1950")
    page = open_page("/tokens/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("sunset-boulevard-1950")
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    page.wait_for_url("**/tokens/")
    page.get_by_role("button", name="Issue a token").click()
    secret = page.locator(".token-issued__secret").inner_text().strip()
    assert re.fullmatch(r"[0-9a-f]{64}", secret)
    page.get_by_role("button", name=re.compile("Revoke")).click()
    page.get_by_text("The token was revoked.").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Log in").wait_for()


def test_the_keyboard_reaches_the_content_first(film, open_page):
    page = open_page(film.get_absolute_url())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_titles_are_text_wherever_they_stand(open_page, film):
    version = film.predictions.get().version
    nasty = make_film(title="<img src=x onerror=alert(1)>", overview="</script><b>", genres=["War"])
    make_prediction(nasty, version, probabilities={"Music": 0.9})
    page = open_page("/compare/?films=all")
    assert page.get_by_role("link", name="<img src=x onerror=alert(1)>").is_visible()
    page.goto(nasty.get_absolute_url())
    assert page.locator("h1").inner_text().startswith("<img")
