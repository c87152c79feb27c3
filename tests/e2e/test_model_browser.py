"""The page of a model version in a real browser: wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache

from tests.factories import make_version
from tests.ml_core.made_figures import report

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(
    ("width", "dark", "drawing"), [(390, True, "dark-narrow"), (1440, False, "light-wide")]
)
def test_its_charts_are_drawn_for_the_scheme_and_the_width_and_nothing_overflows(
    open_page: Callable[..., Any], width: int, dark: bool, drawing: str
) -> None:
    cache.clear()
    version = make_version(metrics={"test": {"overview_poster": report(150), "poster": report(60)}})
    page = open_page(f"/models/{version.pk}/", width=width, dark=dark)
    drawings = page.locator(".data__drawing")
    assert drawings.count() == 5
    for number in range(5):
        drawings.nth(number).scroll_into_view_if_needed()
        source, natural, shown = drawings.nth(number).evaluate(
            "async image => { await image.decode(); return [image.currentSrc, image.naturalWidth, image.offsetWidth] }"
        )
        assert drawing in source
        assert natural > 100
        assert shown <= width
    assert page.evaluate("document.documentElement.scrollWidth") == width
    decades = page.locator("details", has=page.locator("#slices-decade"))
    assert not decades.locator("table").is_visible()
    decades.locator("summary").click()
    assert decades.locator("table").is_visible()
    page.get_by_role("link", name="Poster alone").click()
    assert "poster/roc" in page.locator(".data__drawing").first.get_attribute("src")
