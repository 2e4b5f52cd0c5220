"""A real hub on 127.0.0.1 with a real worker, and a real Chromium that may go nowhere else."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from hub.database import Database
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.browser.slow_browser import slowed, with_late_files
from tests.doors import PASSWORD, Hub, founded_hub

expect.set_options(timeout=30_000)  # milliseconds; how long a page takes is measured elsewhere

# without a window's furniture a page takes two thirds of the work
_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
]


@dataclass
class Site:
    """Where the hub is served, and what the browser complained about or asked for elsewhere."""

    hub: Hub
    address: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        expected = "Failed to load resource: the server responded with a status of 4"  # a refusal is an answer
        if message.type in ("error", "warning") and not message.text.startswith(expected):
            self.complaints.append(message.text)

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.elsewhere.append(request.url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if chromium is None and os.environ.get("HUB_REQUIRE_BROWSER"):
        pytest.fail("HUB_REQUIRE_BROWSER is set and this machine has no Chromium")
    if chromium is None:
        pytest.skip("no Chromium on this machine: the browser journeys were not driven")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield slowed(browser)
        browser.close()


@pytest.fixture
def site(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Site]:
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    with founded_hub(database, app_database, settings, catalogue) as hub, _served(hub) as address, _working(hub):
        site = Site(hub, address)
        yield site
    assert site.elsewhere == [], "the panel asked for something outside the hub"
    assert site.complaints == [], "the browser complained"


@pytest.fixture
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=site.address, locale="zh-CN", viewport={"width": 1280, "height": 860})
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Page:
    page = context.new_page()
    site.watch(page)
    return page


def sign_in(page: Page, login: str) -> None:
    page.goto("/sign-in")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url(lambda url: "/sign-in" not in url)


def sign_out(page: Page) -> None:
    """Whoever goes elsewhere at once may not have been signed out yet."""
    page.locator("header form[action='/sign-out'] button").click()
    expect(page.locator("#login")).to_be_visible()


class _served:  # noqa: N801 -- read as a word: with served(hub) as address
    def __init__(self, hub: Hub) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(with_late_files(hub.app), log_level="warning", lifespan="on", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


class _working:  # noqa: N801
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(0.1):
            self._hub.work()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)
