"""A choice that sends its form: whoever goes through it with the arrows is not carried away before pressing Enter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Request

from tests.browser.conftest import Site
from tests.browser.hands import hand_of

pytestmark = pytest.mark.browser
BEGUN = "html[data-begun]"  # the script has done its first work: nothing here depends on when it came


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A clerk's."""
    page = hand_of(browser, site, "gongan").page
    yield page
    page.context.close()


class Asked:
    """The months the page was asked for, in order: a page that is left too early has asked for one too many."""

    def __init__(self, page: Page) -> None:
        self.months: list[str] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.is_navigation_request():
            self.months += parse_qs(urlsplit(request.url).query).get("month", [])


def months_of(page: Page) -> tuple[Locator, list[str], Asked]:
    page.goto("/month")
    page.locator(BEGUN).wait_for(state="attached")
    select = page.get_by_label("月份", exact=True)
    return select, [str(one.get_attribute("value")) for one in select.locator("option").all()], Asked(page)


def arrived_at(page: Page, month: str) -> None:
    page.wait_for_url(re.compile(rf"[?&]month={month}"), wait_until="domcontentloaded")
    page.locator(BEGUN).wait_for(state="attached")


def test_arrows_only_choose_enter_sends_and_a_mouses_choice_goes_at_once(page: Page) -> None:
    select, months, asked = months_of(page)
    select.focus()
    for month in months[1:4]:
        page.keyboard.press("ArrowDown")
        assert select.input_value() == month, "the arrow chose, and the page is still this one"
    assert asked.months == []
    page.keyboard.press("Enter")
    arrived_at(page, months[3])
    assert asked.months == [months[3]], "nothing was sent before Enter"

    select.focus()
    page.keyboard.press("ArrowUp")
    assert select.input_value() == months[2]
    select.dispatch_event("pointerdown")  # the hand goes to the mouse
    select.select_option(months[5])
    arrived_at(page, months[5])
    assert asked.months == [months[3], months[5]]


def test_the_button_beside_it_sends_what_the_arrows_chose(page: Page) -> None:
    select, months, asked = months_of(page)
    select.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    arrived_at(page, months[1])
    assert asked.months == [months[1]]
