"""The leaderboard and two versions side by side in a real browser: wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache

from tests.factories import make_version
from tests.predictor.test_models_page import report
from tests.predictor.two_versions import made_answers, make_films, make_predictions

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(
    ("width", "dark", "drawing"), [(390, True, "dark-narrow"), (1440, False, "light-wide")]
)
def test_from_the_leaderboard_to_two_versions_side_by_side_and_nothing_overflows(
    open_page: Callable[..., Any], width: int, dark: bool, drawing: str
) -> None:
    cache.clear()
    labels, good = made_answers(210, noise=1.0)
    films = make_films(labels)
    for name, p in (("Worse, with a rather long name", made_answers(210, noise=2.5)[1]), ("Better", good)):
        version = make_version(name=name, metrics={"test": {"overview_poster": report(1648, 0.94)}})
        make_predictions(films, version, p, part="test")
    page = open_page("/models/", width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(".leaderboard thead").is_visible() == (width > 960)
    assert page.locator(".leaderboard__sorts").is_visible() == (width <= 960)
    page.locator("#version-a").select_option(label=page.locator("#version-a option").last.inner_text())
    page.locator("#version-b").select_option(label=page.locator("#version-b option").first.inner_text())
    page.get_by_role("button", name="Compare").click()
    assert page.locator("#figures").is_visible()
    assert page.locator(".pairs").first.locator(".versus__b").count() >= 2
    for number in range(3):
        chart = page.locator(".data__drawing").nth(number)
        chart.scroll_into_view_if_needed()
        source, natural = chart.evaluate(
            "async image => { await image.decode(); return [image.currentSrc, image.naturalWidth] }"
        )
        assert drawing in source
        assert natural > 100
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_role("link", name="All of them, with filters").click()
    page.locator("#right").select_option("b")
    page.get_by_role("button", name="Show").click()
    assert "right=b" in page.url
    assert page.locator(".surprise").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") == width
