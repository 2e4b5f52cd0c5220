"""A browser as slow as a town's old computer on a bad line, for the whole of the browser tests.

``HUB_TEST_SLOW_BROWSER=8``: the pages' processor is eight times slower, and styles and scripts come 0.3 to 0.8 s late.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send
from playwright.sync_api import Browser, BrowserContext, Page

TIMES_SLOWER = int(os.environ.get("HUB_TEST_SLOW_BROWSER") or "1")
_LATE_SECONDS = (0.3, 0.8)


def with_late_files(app: ASGIApp) -> ASGIApp:
    """The hub; what its pages load comes when the pages can be seen and worked at already."""
    if TIMES_SLOWER == 1:
        return app

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path", "").startswith("/static/"):
            await asyncio.sleep(random.uniform(*_LATE_SECONDS))
        await app(scope, receive, send)

    return answer


def slowed(browser: Browser) -> Browser:
    """Every page that will be opened in it is slow from its beginning."""
    if TIMES_SLOWER == 1:
        return browser
    new_context = browser.new_context

    def new_slow_context(**options: Any) -> BrowserContext:
        context = new_context(**options)
        new_page = context.new_page
        context.new_page = lambda: _throttled(new_page())  # type: ignore[method-assign]
        return context

    browser.new_context = new_slow_context  # type: ignore[method-assign]
    return browser


def _throttled(page: Page) -> Page:
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": TIMES_SLOWER})
    return page
