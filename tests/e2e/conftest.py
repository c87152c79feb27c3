"""A real Chromium that looks at a live server. Without one, tests that ask for it are skipped and say so."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, one for all tests."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as patch:
        # Playwright keeps an event loop in this thread; Django would take that for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
            yield browser
            browser.close()


@pytest.fixture
def open_page(chromium: Any, live_server: Any) -> Iterator[Callable[..., Any]]:
    """``open_page("/", width=390, dark=True)``: a page in a fresh window, as a new visitor sees it.

    At the end of the test nothing may stand on the console: no script error, nothing that the content security
    policy stopped, nothing that could not be loaded. ``expect=[503]`` allows for the line of that status.
    """
    said: list[str] = []
    contexts: list[Any] = []

    def open_(
        path: str, *, width: int = 1440, dark: bool = False, expect: tuple[int, ...] = (), **options: Any
    ) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            base_url=live_server.url,
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()

        def note(kind: str, words: str) -> None:
            if not any(f"status of {status}" in words for status in expect):
                said.append(f"{page.url}: {kind}: {words}")

        page.on("console", lambda message: note(message.type, message.text))
        page.on("pageerror", lambda error: note("error", str(error)))
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not said, "\n".join(said)
