"""What a person does before the scripts of a page have come is not lost: every script is held until the hand has acted."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from hub.embedded import Cluster
from hub.registry.areas import load_area_index
from mappings.catalogue import Catalogue
from tests.browser.hands import SUBMISSION, hand_of
from tests.browser.journey_site import Ground, journey_ground
from tests.decisions import rows, send
from tests.doors import OTHER_VILLAGE, THIS_MONTH, VILLAGE, Hub, csv_of, move_in
from tests.round_hub import open_month

pytestmark = pytest.mark.browser
ITEMS, SECOND_VILLAGE = f"/rounds/{THIS_MONTH}/items", "999001001002"
PANEL_BEGUN, DESK_BEGUN = "html[data-begun]", "form[data-lines][data-begun]"


@pytest.fixture(scope="module")
def ground(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = tmp_path_factory.mktemp("slow_scripts") / "home"
    with journey_ground(cluster, catalogue, home, "slow_scripts", settle) as ground:
        yield ground


def settle(hub: Hub, catalogue: Catalogue) -> None:
    """Two villages of one town with three changes each, and one of another with eight."""
    send(hub, catalogue, rows(1, 4))
    send(hub, catalogue, rows(11, 14, **{"所属社区(村)": SECOND_VILLAGE}))
    send(hub, catalogue, rows(21, 29, **{"所属社区(村)": OTHER_VILLAGE}))
    open_month(hub, catalogue)


class Late:
    """A page whose scripts are on their way until they are let through; then they come, and all later ones at once."""

    def __init__(self, page: Page) -> None:
        self.page, self._waiting, self._through = page, list[Route](), False
        page.route(re.compile(r"/static/.*\.js"), self._meet)

    def _meet(self, route: Route) -> None:
        if self._through:
            route.continue_()
        else:
            self._waiting.append(route)

    def open(self, path: str) -> None:
        """Without waiting for what is held."""
        self._through = False
        self.page.goto(path, wait_until="commit")

    def let_through(self, begun: str = "") -> None:
        """``begun``: what the page shows when the script has done its first work."""
        self._through = True
        while self._waiting:
            self._waiting.pop().continue_()
        if begun:
            self.page.locator(begun).wait_for(state="attached")


@pytest.fixture
def late(browser: Browser, ground: Ground, request: pytest.FixtureRequest) -> Iterator[Late]:
    page = hand_of(browser, ground.site, request.param).page
    yield Late(page)
    page.context.close()


def at(login: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("late", [login], indirect=True)


def line(late: Late, number: int) -> Locator:
    return late.page.locator(f"[data-line='{number}']")


def find(late: Late, number: int, actual: str) -> None:
    line(late, number).get_by_label("不属实", exact=True).check()
    line(late, number).get_by_label("实际情况").fill(actual)


def given(ground: Ground, village: str) -> list[tuple[Any, ...]]:
    """The verdicts of a village, with who was there and how."""
    with ground.whole.read() as connection:
        area = load_area_index(connection).codes[village]
    return ground.rows(
        "SELECT i.result, v.verifier, v.method FROM {d}.round_item i"
        " JOIN {d}.rec_town_verification v ON v.source_record_id = i.record_id::text AND NOT v.voided"
        " WHERE i.village = :area ORDER BY i.number",
        area=area,
    )


# ---- choosing from a list ----


@at("qingxi")
def test_a_village_chosen_early_is_shown_as_soon_as_the_script_is_there(late: Late) -> None:
    page = late.page
    late.open(ITEMS)
    page.select_option("#village", VILLAGE)
    assert "village=" not in page.url, "nothing has heard it yet"
    late.let_through()
    page.wait_for_url(re.compile(f"village={VILLAGE}"))
    expect(page.locator("#whole")).to_contain_text("光明社区")
    page.go_back()
    expect(page.locator(PANEL_BEGUN)).to_be_attached()
    expect(page.locator("#village")).to_have_value("")
    expect(page.locator("#whole")).to_have_count(0)


@at("qingxi")
def test_a_village_reached_by_the_arrows_waits_for_enter(late: Late) -> None:
    page = late.page
    late.open(ITEMS)
    page.locator(".reasons a").last.focus()
    page.keyboard.press("Tab")
    expect(page.locator("#village")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#village")).not_to_have_value("")
    late.let_through(PANEL_BEGUN)
    page.keyboard.press("ArrowDown")
    expect(page.locator("#village")).to_have_value(SECOND_VILLAGE)
    assert "village=" not in page.url
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"village={SECOND_VILLAGE}"))


@at("qingxi")
def test_whoever_has_gone_on_to_another_field_keeps_the_page(late: Late) -> None:
    page = late.page
    late.open(ITEMS)
    page.select_option("#village", VILLAGE)
    page.locator("#verifier").press_sequentially("万")
    late.let_through(DESK_BEGUN)
    page.locator("#verifier").press_sequentially("和")
    expect(page.locator("#verifier")).to_have_value("万和")
    assert "village=" not in page.url
    page.get_by_role("button", name="筛选").click()
    page.wait_for_url(re.compile(f"village={VILLAGE}"))


@at("quju")
def test_a_month_chosen_early_is_shown(late: Late) -> None:
    late.open("/board")
    month = late.page.locator("#month option").nth(1).get_attribute("value") or ""
    late.page.select_option("#month", month)
    late.let_through()
    late.page.wait_for_url(re.compile(f"/board\\?.*month={month}"))


# ---- the town's desk ----


@at("qingxi")
def test_a_village_is_confirmed_with_what_was_typed_though_no_script_ever_came(late: Late, ground: Ground) -> None:
    """By the button in one village, by Enter in the other."""
    page = late.page
    for village, verifier in ((VILLAGE, "万和"), (SECOND_VILLAGE, "郑海")):
        late.open(f"{ITEMS}?village={village}")
        page.fill("#verifier", verifier)
        page.select_option("#method", index=1)
        method = page.locator("#method").input_value()
        page.fill("#count", "3")
        if village == VILLAGE:
            page.get_by_role("button", name="未核对的全部属实").click()
        else:
            page.press("#count", "Enter")
        expect(page.locator(".alert-box.done")).to_contain_text("已报送 3 项")
        assert given(ground, village) == [("1", verifier, method)] * 3
        late.let_through()


@at("bailu")
def test_a_verdict_given_early_is_kept_and_sent(late: Late, ground: Ground) -> None:
    """Ticked and typed before the script; kept by it at once, sent by the button it brings; another without it."""
    page = late.page
    late.open(ITEMS)
    page.fill("#verifier", "万和")
    find(late, 1, "已搬到外省")
    expect(line(late, 1).locator("[data-row-save]")).to_be_hidden()
    late.let_through(DESK_BEGUN)
    expect(page.locator("form[data-kept='1']")).to_be_attached()
    expect(page.locator("#kept")).to_be_hidden()
    line(late, 1).locator("[data-row-save]").click()
    expect(line(late, 1).locator(".outcome")).to_have_text("已报送。")
    late.open(ITEMS)
    line(late, 2).get_by_label("属实", exact=True).check()
    page.get_by_role("button", name="报送本页填好的结果").click()
    expect(page.locator(".alert-box.done")).to_contain_text("已报送 1 项")
    assert [row[:2] for row in given(ground, OTHER_VILLAGE)] == [("2", "万和"), ("1", "万和")]


@at("bailu")
def test_what_was_kept_does_not_come_over_what_is_being_typed(late: Late) -> None:
    page = late.page
    late.open(f"{ITEMS}?state=all")
    late.let_through(DESK_BEGUN)
    for number in (4, 5):
        find(late, number, "上次填的")
    expect(page.locator("form[data-kept='2']")).to_be_attached()
    page.goto("/")
    late.open(f"{ITEMS}?state=all")
    find(late, 4, "这次填的")
    late.let_through(DESK_BEGUN)
    expect(page.locator("#kept")).to_be_visible()
    expect(line(late, 4).get_by_label("实际情况")).to_have_value("这次填的")
    expect(line(late, 5).get_by_label("实际情况")).to_have_value("上次填的")


@at("bailu")
def test_what_is_typed_while_the_line_is_being_sent_stays(late: Late, ground: Ground) -> None:
    page, sending = late.page, list[Route]()
    late.open(ITEMS)
    late.let_through(DESK_BEGUN)
    page.route(f"**{ITEMS}", lambda route: sending.append(route))
    find(late, 6, "搬走")
    with page.expect_request(f"**{ITEMS}"):
        line(late, 6).locator("[data-row-save]").click()
    line(late, 6).get_by_label("实际情况").press("End")
    page.keyboard.type("了")
    page.unroute(f"**{ITEMS}")
    sending.pop().continue_()
    expect(line(late, 6).locator(".outcome")).to_have_text("已报送。")
    page.keyboard.type("吗")
    expect(line(late, 6).get_by_label("实际情况")).to_have_value("搬走了吗")
    expect(page.locator("form[data-kept='1']")).to_be_attached()


# ---- sending a file ----


@at("gongan")
def test_a_file_is_sent_and_followed_with_late_scripts(
    late: Late, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is being typed when it is done is not loaded away."""
    page, path = late.page, tmp_path / "迁入人员.csv"
    path.write_bytes(csv_of(move_in(41), move_in(42)))
    late.open("/submissions/new")
    page.select_option("#record_type", "hukou_move_in")
    expect(page.locator("#templates a")).to_have_count(1)
    late.let_through(PANEL_BEGUN)
    expect(page.locator("#templates a")).to_have_count(2)
    late.open("/submissions/new")
    page.select_option("#record_type", "hukou_move_in")
    page.set_input_files("#file", path)
    rest(monkeypatch)
    page.locator("form[data-upload] button[type=submit]").first.click()
    page.wait_for_url(SUBMISSION, wait_until="commit")
    page.fill("#find", "回执")
    monkeypatch.undo()
    late.let_through(PANEL_BEGUN)
    for _ in range(2):  # after the first the page would be gone
        with page.expect_response(lambda answer: answer.headers.get("hx-refresh") == "true"):
            pass
    expect(page.locator("#find")).to_have_value("回执")
    page.fill("#find", "")
    expect(page.locator(".counts")).to_be_visible()
    expect(page.locator(".alert-box.done")).to_contain_text("没有差错")


def rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker does nothing from here on."""
    resting = threading.Event()
    monkeypatch.setattr(Hub, "work", lambda hub: resting.set())
    assert resting.wait(60)


# ---- the focus ----


@at("gongan")
def test_a_late_script_does_not_take_the_focus_from_who_types(late: Late) -> None:
    """A message takes it only when nobody has it."""
    page = late.page
    late.let_through()
    page.goto("/password")
    refuse_password(page)
    expect(page.locator(".alert-box[data-focus]")).to_be_focused()
    late.open("/password")
    refuse_password(page)
    expect(page.locator(".alert-box[data-focus]")).to_be_visible()
    page.locator("#old").press_sequentially("half")
    late.let_through(PANEL_BEGUN)
    page.keyboard.type("-way")
    expect(page.locator("#old")).to_have_value("half-way")


def refuse_password(page: Page) -> None:
    for name in ("old", "new", "again"):
        page.fill(f"#{name}", f"no-such-{name}-Password-7")
    page.locator("main button[type=submit]").click()
