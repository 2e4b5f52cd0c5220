"""The town's desk in a real Chromium: nothing is lost or doubled when the connection goes; two officers; no script at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from hub.database import Database
from hub.embedded import Cluster
from hub.settings import load_settings
from mappings.catalogue import Catalogue
from tests.browser.conftest import Site, _served, _working, sign_in
from tests.browser.test_journeys import UNTRANSLATED
from tests.conftest import clone_template, execute
from tests.decisions import read, rows, send
from tests.doors import THIS_MONTH, TOWN, VILLAGE, founded_hub, identity_number, open_account
from tests.round_hub import items_of, open_month

pytestmark = pytest.mark.browser
ITEMS, REPORT = f"/rounds/{THIS_MONTH}/items", f"/rounds/{THIS_MONTH}/report"


@pytest.fixture(scope="module")
def site(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One hub for all journeys: each answers lines of its own."""
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    clone_template(cluster, "verdict_journeys")
    urls = cluster.urls("verdict_journeys")
    settings = load_settings(
        tmp_path_factory.mktemp("verdicts") / "home", database_url=urls.app, owner_url=urls.owner,
        worker_url=urls.worker, audit_url=urls.audit, accounts={"second_factor_roles": []},
        fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip
    database, app_database = (Database(url, settings.district) for url in (urls.worker, urls.app))
    with founded_hub(database, app_database, settings, catalogue) as hub:
        with hub.served.begin() as connection:
            open_account(connection, "qingxi2", TOWN, "town_officer")
        send(hub, catalogue, rows(1, 13))
        open_month(hub, catalogue)
        with _served(hub) as address, _working(hub):
            site = Site(hub, address)
            yield site
    database.close()
    app_database.close()
    execute(cluster, "DROP DATABASE verdict_journeys WITH (FORCE)")
    assert site.elsewhere == [], "the panel asked for something outside the hub"
    assert [one for one in site.complaints if "ERR_INTERNET_DISCONNECTED" not in one and "ERR_FAILED" not in one] == []


def line(page: Page, number: int) -> Locator:
    return page.locator(f"[data-line='{number}']")


def choose(page: Page, number: int, title: str) -> None:
    line(page, number).get_by_label(title, exact=True).check()


def save(page: Page, number: int) -> None:
    line(page, number).locator("[data-row-save]").click()


def told(site: Site, number: int) -> tuple[str | None, int]:
    """Verdict and how often it was answered, as the register has it."""
    found = next(one for one in items_of(site.hub) if one["number"] == number)
    return found["result"], found["answers"]


def sent(site: Site) -> int:
    return int(read(site.hub, "SELECT count(*) FROM {d}.submission WHERE record_type = 'town_verification'")[0][0])


def test_what_was_answered_without_a_connection_is_offered_again(
    page: Page, context: BrowserContext, site: Site
) -> None:
    """Offline, then the browser closed: what was typed is back, sent once, and was never readable on the disk."""
    sign_in(page, "qingxi")
    page.goto(ITEMS)
    page.fill("#verifier", "万和")
    choose(page, 1, "属实")
    save(page, 1)
    expect(line(page, 1).locator(".outcome")).to_have_text("已报送。")
    context.set_offline(True)
    choose(page, 2, "不属实")
    line(page, 2).get_by_label("实际情况").fill("已搬到外省")
    save(page, 2)
    expect(line(page, 2).locator(".row-told")).to_contain_text("已记在本机")
    choose(page, 3, "查无此人")
    expect(page.locator("form[data-kept='2']")).to_be_attached()
    assert "已搬到外省" not in str(page.evaluate("Object.values(localStorage)"))
    page.close()
    context.set_offline(False)
    page = context.new_page()
    site.watch(page)
    page.goto(f"{ITEMS}?state=all")
    expect(page.locator("#kept")).to_contain_text("2 项填好而没有报送")
    expect(line(page, 2).get_by_label("实际情况")).to_have_value("已搬到外省")
    assert (told(site, 2), sent(site)) == ((None, 0), 1)
    page.click("text=全部报送")
    expect(line(page, 3).locator(".outcome")).to_have_text("已报送。")
    expect(page.locator("form[data-kept='0']")).to_be_attached()
    assert [told(site, number) for number in (1, 2, 3)] == [("1", 1), ("2", 1), ("3", 1)]
    page.reload()
    expect(page.locator("form[data-begun]")).to_be_attached()
    expect(page.locator("#kept")).to_be_hidden()
    assert page.evaluate("Object.keys(localStorage).length") == 0

    choose(page, 10, "不属实")
    choose(page, 11, "属实")
    page.click("text=报送本页填好的结果")
    expect(line(page, 10)).to_contain_text("请填写更正内容，或说明实际情况")
    expect(line(page, 10)).to_be_focused()
    line(page, 10).get_by_label("更正：姓名").fill("李晓明")
    page.click("text=报送本页填好的结果")
    expect(line(page, 11).locator(".outcome")).to_have_text("已报送。")
    expect(page.locator("form[data-kept='0']")).to_be_attached()
    assert [told(site, number) for number in (10, 11)] == [("2", 1), ("1", 1)]
    assert page.evaluate("Object.keys(localStorage).length") == 0

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route(f"**{ITEMS}", lose, times=1)  # the hub has it, its answer never arrives
    choose(page, 4, "属实")
    save(page, 4)
    expect(line(page, 4).locator(".row-told")).to_contain_text("已记在本机")
    page.goto(f"{ITEMS}?state=all")
    expect(page.locator("#kept")).to_contain_text("1 项")
    page.click("text=全部报送")
    expect(line(page, 4).locator(".outcome")).to_have_text("已报送。")
    assert (told(site, 4), sent(site)) == (("1", 1), 5)


def test_what_is_left_is_counted_down_as_lines_are_answered(page: Page, site: Site) -> None:
    """By state, by village and in the heading; taken back by nobody's reload, and the village stays chosen."""
    sign_in(page, "qingxi")
    page.goto(f"{ITEMS}?state=open&village={VILLAGE}")
    open_now = page.locator("[data-counts='states'] [aria-current] b")
    left = int(open_now.inner_text())
    choose(page, 12, "属实")
    save(page, 12)
    expect(open_now).to_have_text(str(left - 1))
    expect(page.locator("[data-counts='progress']")).to_contain_text(f"还有 {left - 1} 项")
    expect(page.locator("#village option:checked")).to_have_text(f"光明社区（未核对 {left - 1}）")
    expect(line(page, 12)).to_be_visible()


def test_two_officers_answer_the_same_line_and_both_answers_are_shown(page: Page, browser: Browser, site: Site) -> None:
    """In English, on a narrow screen, by the keyboard alone; the other officer was first."""
    narrow = browser.new_context(base_url=site.address, viewport={"width": 390, "height": 800})
    other = narrow.new_page()
    site.watch(other)
    sign_in(other, "qingxi2")
    other.goto(f"/language/en?back={ITEMS}")
    sign_in(page, "qingxi")
    page.goto(ITEMS)
    choose(page, 6, "查无此人")
    save(page, 6)
    expect(line(page, 6).locator(".outcome")).to_have_text("已报送。")
    line(other, 6).get_by_label("True", exact=True).focus()
    other.keyboard.press("Space")
    other.keyboard.press("Tab")
    expect(line(other, 6).locator("[data-row-save]")).to_be_focused()
    other.keyboard.press("Enter")
    both = line(other, 6).locator(".both")
    expect(both).to_contain_text("No such person")
    assert other.evaluate(UNTRANSLATED) == []
    assert other.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing hangs over the edge"
    assert told(site, 6) == ("3", 1)
    both.get_by_text("Mine is right").click()
    expect(line(other, 6).locator(".outcome")).to_have_text("Sent.")
    assert told(site, 6) == ("1", 2)
    other.goto(REPORT)
    assert other.evaluate(UNTRANSLATED) == []
    assert other.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    narrow.close()


def test_the_desk_works_without_any_script(browser: Browser, site: Site, tmp_path: Path) -> None:
    plain = browser.new_context(base_url=site.address, locale="zh-CN", java_script_enabled=False)
    page = plain.new_page()
    site.watch(page)
    sign_in(page, "qingxi")
    page.goto(ITEMS)
    expect(line(page, 8).locator("[data-row-save]")).to_be_hidden()
    choose(page, 8, "属实")
    choose(page, 9, "非本辖区")
    page.click("text=报送本页填好的结果")
    expect(page.locator(".alert-box.error")).to_contain_text("请选择转派到哪个镇街")
    line(page, 9).get_by_label("转派到").select_option(label="白鹭镇")
    page.click("text=报送本页填好的结果")
    expect(page.locator(".alert-box.done")).to_contain_text("已报送 2 项")
    assert [told(site, number) for number in (8, 9)] == [("1", 1), ("4", 1)]
    page.goto(REPORT)
    page.get_by_label("村居").first.select_option(label="光明社区")
    gone = page.locator("section:has(#of-town_departure)")
    gone.get_by_label("减少类别").select_option(label="迁出")
    gone.get_by_label("变动日期").fill(f"{THIS_MONTH}-01")
    gone.get_by_label("姓名").fill("王小明")
    page.locator("#town_departure-id_no").fill(identity_number(1))
    page.click("main button:text-is('报送')")
    expect(page.locator(".alert-box.done")).to_contain_text("回执")
    plain.close()
