"""Imports in the admin in a real browser: the form shows what belongs together, a run's page moves by itself."""

from __future__ import annotations

import re

import pytest
from django.conf import settings as django_settings

from catalog.models import ImportRun

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
RUNS = "/admin/catalog/importrun/"


@pytest.fixture
def open_admin(open_page, admin_client, live_server):
    """``open_admin("/admin/", dark=True)``: a page as an admin who is logged in sees it."""

    def open_(path, **options):
        page = open_page("/login/", **options)
        session = {
            "name": django_settings.SESSION_COOKIE_NAME,
            "value": admin_client.cookies[django_settings.SESSION_COOKIE_NAME].value,
            "url": live_server.url,
        }
        page.context.add_cookies([session])
        page.goto(path)
        return page

    return open_


def overflow(page) -> int:
    """Pixels by which the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_the_form_shows_only_what_belongs_to_the_kind_that_is_chosen(open_admin, tmdb):
    page = open_admin(f"{RUNS}import-tmdb/")
    assert page.get_by_label("Ids or addresses").is_visible()
    assert not page.get_by_label("Title", exact=True).is_visible()
    page.get_by_label("What a search finds").check()
    assert page.get_by_label("Title", exact=True).is_visible()
    assert not page.get_by_label("Ids or addresses").is_visible()
    assert page.get_by_label("Most").is_visible()


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
def test_an_import_is_asked_for_priced_and_watched_until_it_is_done(
    open_admin, tmdb, start_worker, width, dark
):
    tmdb.latency = 0.2
    for film_id in tmdb.film_ids[:3]:
        tmdb.fault(film_id, "missing-fields")
    page = open_admin(f"{RUNS}import-tmdb/", width=width, dark=dark)
    assert overflow(page) <= 0
    page.get_by_label("Ids or addresses").fill(" ".join(map(str, tmdb.film_ids[:40])))
    page.get_by_role("button", name="Say what it costs").click()
    assert page.get_by_text(re.compile("About 40 films, 40 requests, 1 s at 40 a second")).is_visible()
    assert overflow(page) <= 0
    page.get_by_role("button", name="Back").click()
    assert page.get_by_label("Ids or addresses").input_value().split() == [str(k) for k in tmdb.film_ids[:40]]
    page.get_by_role("button", name="Say what it costs").click()
    page.get_by_role("button", name="Import", exact=True).click()
    assert page.get_by_text("Waiting", exact=True).is_visible()
    assert page.get_by_text("No worker of the queue io").is_visible()
    page.evaluate("window.same = true")
    start_worker("io")
    page.get_by_text("Done", exact=True).wait_for(timeout=60_000)
    assert page.evaluate("window.same"), "the page was not loaded anew"
    assert page.locator(".import-refused > li").count() == 3
    assert page.get_by_role("button", name="Retry the failed").is_visible()
    assert not page.get_by_role("button", name="Cancel").is_visible()
    assert overflow(page) <= 0
    # What has ended is asked for no more.
    assert page.locator("[hx-trigger]").count() == 0


def test_a_run_is_paused_and_resumed_from_its_page(open_admin, tmdb, broker, admin_client):
    admin_client.post(f"{RUNS}import-tmdb/", {"what": "ids", "ids": str(tmdb.film_ids[0]), "step": "import"})
    page = open_admin(f"{RUNS}{ImportRun.objects.get().pk}/change/")
    page.get_by_role("button", name="Pause").click()
    assert page.get_by_text("Paused", exact=True).is_visible()
    page.get_by_role("button", name="Resume").click()
    assert page.get_by_text("Waiting", exact=True).is_visible()
