"""A real browser for the pages whose behaviour is in the browser. A test that takes `page` (or `browser`) needs Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from datasets.models import User

# Playwright's loop runs in this thread, and Django would take every query here for one inside a coroutine.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
expect.set_options(timeout=10_000)

NAMES = ("chromium", "chromium-browser", "google-chrome")
HINT = "Chromium is not installed: `apt-get install chromium`, or name one in CHROMIUM."


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a module: its loop must have ended before tests of other modules run coroutines."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(HINT) if os.environ.get("REQUIRE_BROWSER") else pytest.skip(HINT)
    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, live_server: object) -> Iterator[Page]:
    """An empty tab. The test fails if a page reports an error that the test did not expect."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, base_url=str(live_server))
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None)
    yield tab
    context.close()
    assert wrong == []


@pytest.fixture
def page_of(page: Page, live_server: object, client_of: Callable[[User], Client]) -> Callable[[User], Page]:
    """The tab, with that user logged in."""

    def logged_in(user: User) -> Page:
        cookie = client_of(user).cookies["sessionid"]
        page.context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": str(live_server)}])
        return page

    return logged_in
