"""Three ways of working at the panel: by mouse, by keyboard alone, and without JavaScript; each action is counted."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, FileChooser, Locator, Page, expect
from sqlalchemy import select

from hub.database import utc_now
from hub.registry.sessions import open_session
from hub.tables import account
from tests.browser.conftest import Site
from tests.browser.every_page import keep_session
from tests.browser.test_every_page import TELL
from tests.doors import PASSWORD, Hub

Way = Literal["mouse", "keyboard", "plain"]
Name = str | re.Pattern[str]
WAYS: tuple[Way, ...] = ("mouse", "keyboard", "plain")
SUBMISSION = re.compile(r"/submissions/[0-9a-f-]{36}(\?repeated=true)?(#main)?$")
_PATIENCE = 60_000  # milliseconds until the worker has done its part
_WHERE_FOCUS_IS = """one => document.activeElement === one ? "here"
    : document.activeElement.type === "radio" && document.activeElement.name === one.name ? "group"
    : document.activeElement.matches(".skip") && one.closest("main") ? "skip" : "on" """
_MOST_TABS = 250


class Counted:
    """A page and whoever works at it: a click, a file, a choice, a text and a key are one action each."""

    def __init__(self, page: Page) -> None:
        self.page, self.actions, self._began = page, 0, time.monotonic()

    def begin(self) -> None:
        self.actions, self._began = 0, time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def sign_in(self, login: str, password: str = PASSWORD) -> None:
        self.page.goto("/sign-in")
        self.write(self.field("登录名"), login)
        self.write(self.field("密码"), password)
        self.click(self.button("登录"))
        self.arrive(re.compile(r"^(?!.*/sign-in)"))
        self.begin()

    # ---- what is on the page, by the names a person reads ----

    def link(self, name: Name) -> Locator:
        return self.page.get_by_role("link", name=name).first

    def button(self, name: Name) -> Locator:
        return self.page.locator("main").get_by_role("button", name=name, exact=True).first

    def field(self, label: Name) -> Locator:
        return self.page.locator("main").get_by_label(label).first

    def read(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    # ---- what is done with it ----

    def click(self, target: Locator) -> None:
        self.actions += 1
        target.click()

    def write(self, target: Locator, text: str) -> None:
        self.actions += 1
        target.fill(text)

    def choose(self, target: Locator, label: str) -> None:
        self.actions += 1
        target.select_option(label=label)

    def tick(self, target: Locator) -> None:
        self.actions += 1
        target.check()

    def pick_file(self, target: Locator, path: Path) -> None:
        self.actions += 1
        with self.page.expect_file_chooser() as asked:
            target.click()
        self._give(asked.value, path)

    def _give(self, asked: FileChooser, path: Path) -> None:
        asked.set_files(path)

    # ---- what is waited for ----

    def arrive(self, place: re.Pattern[str]) -> None:
        self.page.wait_for_url(place, wait_until="domcontentloaded")

    def wait_for(self, target: Locator) -> None:
        expect(target).to_be_visible(timeout=_PATIENCE)

    def load_until(self, target: Locator) -> None:
        """What a page shows that does not look again by itself."""
        until = time.monotonic() + _PATIENCE / 1000
        while not target.is_visible():
            assert time.monotonic() < until, f"{target} never came: {self.page.inner_text('main')}"
            self.page.wait_for_timeout(200)
            self.page.reload()


class Keyboard(Counted):
    """Tab, Enter, Space, arrows and letters; nothing is focused but by Tab, or by the page itself."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.keys = 0

    def strike(self, key: str) -> None:
        self.keys += 1
        self.page.keyboard.press(key)

    def reach(self, target: Locator, *, group: bool = False) -> None:
        """Tab by Tab; past the navigation by the link that is there for it."""
        for _ in range(_MOST_TABS):
            found = target.evaluate(_WHERE_FOCUS_IS)
            if found == "here" or (group and found == "group"):
                return
            self.strike("Enter" if found == "skip" else "Tab")
        raise AssertionError(f"the keyboard never came to {target}")

    def click(self, target: Locator) -> None:
        self.actions += 1
        self.reach(target)
        self.strike("Enter")

    def write(self, target: Locator, text: str) -> None:
        self.actions += 1
        self.reach(target)
        self.strike("Control+A")
        self.keys += len(text)
        self.page.keyboard.type(text)

    def choose(self, target: Locator, label: str) -> None:
        self.actions += 1
        self.reach(target)
        self.strike("Home")
        for _ in range(target.locator("option").count()):
            if target.evaluate("one => one.selectedOptions[0].label.trim()") == label:
                return
            self.strike("ArrowDown")
        raise AssertionError(f"{target} offers no {label}")

    def tick(self, target: Locator) -> None:
        """A box by Space; of a group of buttons by the arrows, which tick as they go."""
        self.actions += 1
        self.reach(target, group=True)
        for _ in range(20):
            if target.evaluate(_WHERE_FOCUS_IS) == "here":
                break
            self.strike("ArrowDown")
        if not target.is_checked():
            self.strike("Space")
        assert target.is_checked()

    def pick_file(self, target: Locator, path: Path) -> None:
        self.actions += 1
        self.reach(target)
        with self.page.expect_file_chooser() as asked:
            self.strike("Space")
        self._give(asked.value, path)


class Plain(Counted):
    """No script runs: whoever waits for something loads the page again."""

    def wait_for(self, target: Locator) -> None:
        self.load_until(target)


_HANDS: dict[Way, type[Counted]] = {"mouse": Counted, "keyboard": Keyboard, "plain": Plain}


def hand_of(browser: Browser, site: Site, login: str, way: Way = "mouse") -> Counted:
    """Somebody at a browser of their own, at their inbox; what the page's policy refuses is heard as a complaint.

    Who has only the keyboard signs in with it; the others' sessions are opened for them: the door has tests of its own.
    """
    hand = _HANDS[way](page_of(browser, site, way))
    if way == "keyboard":
        hand.sign_in(login)
    else:
        keep_session(hand.page, _session_of(site.hub, login))
        hand.page.goto("/")
        hand.begin()
    return hand


def page_of(browser: Browser, site: Site, way: Way = "mouse") -> Page:
    """A browser of their own, where nobody is signed in."""
    context = browser.new_context(
        base_url=site.address,
        locale="zh-CN",
        viewport={"width": 1280, "height": 860},
        java_script_enabled=way != "plain",
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.add_init_script(TELL)
    site.watch(page)
    return page


def _session_of(hub: Hub, login: str) -> str:
    with hub.served.begin() as connection:
        account_id = connection.execute(select(account.c.account_id).where(account.c.login == login)).scalar_one()
        return open_session(connection, account_id, utc_now())
