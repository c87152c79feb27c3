"""The API's documentation page in a real Chromium, under the site's own content security policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_it_renders_every_operation_asks_nothing_of_anybody_else_and_breaks_no_rule(
    open_page: Callable[..., Any], live_server: Any
) -> None:
    page = open_page("/login/")
    elsewhere: list[str] = []
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((live_server.url, "data:", "blob:"))
            else elsewhere.append(request.url)
        ),
    )
    page.goto("/api/v1/docs/")
    page.wait_for_selector("#operations-predictions-predict", timeout=60_000)
    page.click("#operations-predictions-predict .opblock-summary-control")
    page.wait_for_selector("#operations-predictions-predict .responses-table")
    page.click("#operations-predictions-predict .try-out__btn")
    page.wait_for_selector("#operations-predictions-predict .execute")
    operations = sum(
        len({"get", "post", "put", "patch", "delete"} & set(item))
        for item in SchemaGenerator().get_schema(public=True)["paths"].values()
    )
    assert page.locator(".opblock").count() == operations >= 35
    assert not elsewhere


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_dark_where_dark_pages_are_wanted(open_page: Callable[..., Any], dark: bool) -> None:
    page = open_page("/api/v1/docs/", dark=dark)
    page.wait_for_selector(".swagger-ui .opblock", timeout=60_000)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in ground.strip("rgb()").split(",")) / 3
    assert (light < 64) is dark
