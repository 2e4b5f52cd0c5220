"""What clerks, towns and the bureau do, driven in a real Chromium against a real hub."""

from __future__ import annotations

import re
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import Site, sign_in, sign_out
from tests.doors import OTHER_VILLAGE, THIS_MONTH, csv_of, move_in

pytestmark = pytest.mark.browser

CHINESE = re.compile(r"[\u4e00-\u9fff]")
UNTRANSLATED = """() => {
    const found = [];
    const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, holder = node.parentElement;
        if (/[\\u4e00-\\u9fff]/.test(node.data) && !holder.closest("script,style,textarea,[data-text],[data-other-language]"))
            found.push(node.data.trim());
    }
    for (const one of document.querySelectorAll("[aria-label],[title],[alt],[placeholder]"))
        for (const name of ["aria-label", "title", "alt", "placeholder"])
            if (/[\\u4e00-\\u9fff]/.test(one.getAttribute(name) || "") && !one.closest("article"))
                found.push(one.getAttribute(name));
    return found;
}"""


@pytest.fixture
def moves(tmp_path: Path) -> Path:
    """A police station's list: four good rows, one with a wrong number, one without a date."""
    names = ("王小明", "李秀英", "赵国强")
    good = [move_in(serial, 姓名=name) for serial, name in enumerate(names, 1)]
    bad = [move_in(8, 公民身份号码="999001199003070000"), move_in(9, 迁入日期="2026-13-45")]
    elsewhere = move_in(20, 姓名="钱外地", **{"所属社区(村)": OTHER_VILLAGE})
    path = tmp_path / "迁入人员.csv"
    path.write_bytes(csv_of(*good, *bad, elsewhere))
    return path


def send(page: Page, path: Path) -> None:
    page.goto("/submissions/new")
    page.select_option("#record_type", "hukou_move_in")
    page.set_input_files("#file", path)
    page.click("main button[type=submit]")
    page.wait_for_url(re.compile(r"/submissions/[0-9a-f-]{36}"))


def wait_until_final(page: Page) -> None:
    expect(page.locator(".counts")).to_be_visible(timeout=120_000)


def counts(page: Page) -> list[int]:
    page.wait_for_load_state()
    return [int(text.replace(",", "")) for text in page.locator(".counts dd").all_inner_texts()]


def test_a_clerk_sends_a_file_sees_its_errors_and_keeps_the_receipt(page: Page, site: Site, moves: Path) -> None:
    sign_in(page, "gongan")
    send(page, moves)
    wait_until_final(page)
    assert counts(page) == [6, 4, 0, 1, 1]
    rows = page.locator("table.errors tbody tr")
    expect(rows).to_have_count(2)
    assert [row.locator("th").inner_text() for row in rows.all()] == ["5", "6"]
    assert [row.locator("td").nth(1).inner_text() for row in rows.all()] == ["B", "G"]
    page.click(".reasons a.error >> nth=0")
    expect(page.locator("table.errors tbody tr")).to_have_count(1)
    page.click("text=回执")
    expect(page.locator("h1")).to_have_text("数据报送回执")
    assert counts(page) == [6, 4, 0, 1, 1]
    assert page.evaluate("document.querySelector('.code img').naturalWidth") > 0


def test_the_same_file_again_gets_the_same_receipt(page: Page, site: Site, moves: Path) -> None:
    sign_in(page, "gongan")
    send(page, moves)
    wait_until_final(page)
    first = page.url
    send(page, moves)
    assert page.url.split("?")[0] == first.split("?")[0]
    expect(page.locator(".alert-box.note")).to_contain_text("没有重复处理")


def test_without_javascript_the_clerk_does_the_same(browser: Browser, site: Site, moves: Path) -> None:
    context = browser.new_context(base_url=site.address, java_script_enabled=False)
    page = context.new_page()
    site.watch(page)
    sign_in(page, "gongan")
    send(page, moves)
    for _ in range(240):
        if page.locator(".counts").count():
            break
        page.wait_for_timeout(500)
        with page.expect_navigation():
            page.click("text=刷新查看进度")
    assert counts(page) == [6, 4, 0, 1, 1]
    page.click("text=回执")
    expect(page.locator("h1")).to_have_text("数据报送回执")
    sign_out(page)
    expect(page.locator("h1")).to_have_text("登录")
    context.close()


def test_a_town_reads_and_downloads_the_list_of_its_own_area(
    page: Page, site: Site, moves: Path, tmp_path: Path
) -> None:
    sign_in(page, "gongan")
    send(page, moves)
    wait_until_final(page)
    sign_out(page)
    sign_in(page, "qingxi")
    page.click("nav >> text=镇街核对")
    page.click("nav >> text=变动清单")
    expect(page.locator("tbody th")).to_have_count(3)
    assert sorted(page.locator("tbody th").all_inner_texts()) == sorted(["王小明", "李秀英", "赵国强"])
    with page.expect_download() as download:
        page.click("text=下载 Excel")
    download.value.save_as(tmp_path / "list.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "list.xlsx").worksheets[0]
    assert {sheet.cell(row, 3).value for row in (4, 5, 6)} == {"王小明", "李秀英", "赵国强"}
    assert download.value.suggested_filename.endswith("人口变动清单.xlsx")


def test_the_bureau_goes_from_the_board_down_to_masked_rows(page: Page, site: Site, moves: Path) -> None:
    sign_in(page, "gongan")
    send(page, moves)
    wait_until_final(page)
    sign_out(page)
    sign_in(page, "quju")
    page.goto(f"/board?month={THIS_MONTH}")
    expect(page.locator("h1")).to_contain_text("月度总览")
    page.click(".chip a")
    page.click("tbody td.file a")
    expect(page.locator("table.errors")).not_to_contain_text("2026-13-45")
    page.click("text=查看入库行")
    expect(page.locator("tbody tr")).to_have_count(4)
    expect(page.locator("table")).to_contain_text("赵***")
    expect(page.locator("table")).not_to_contain_text("赵国强")


def test_the_session_is_new_at_sign_in_and_a_foreign_one_is_not_accepted(
    page: Page, site: Site, context: BrowserContext
) -> None:
    address = site.address.replace("http:", "https:")  # a Secure cookie is planted for https; it goes to loopback too
    planted = {"name": "__Host-sid", "value": "planted", "url": address, "secure": True, "httpOnly": True}
    context.add_cookies([planted])  # type: ignore[list-item]
    page.goto("/sign-in")
    before = session_of(context)
    assert before != "planted"
    sign_in(page, "gongan")
    assert session_of(context) not in (before, "planted")


def session_of(context: BrowserContext) -> str:
    return next(cookie["value"] for cookie in context.cookies() if cookie["name"] == "__Host-sid")


def test_no_page_is_left_untranslated(page: Page, site: Site, moves: Path) -> None:
    page.goto("/language/en?back=/sign-in")
    pages = {"gongan": ["/submissions", "/submissions/new", "/password", "/nothing", "/board"], "shenji": ["/"]}
    left = {"/sign-in": page.evaluate(UNTRANSLATED)}
    sign_in(page, "gongan")
    send(page, moves)
    wait_until_final(page)
    receipt = page.locator(".actions a").first.get_attribute("href") or ""
    pages |= {
        "gongan": [*pages["gongan"], page.url, receipt],
        "qingxi": ["/changes"],
        "quju": ["/board", f"{page.url}/rows"],
    }
    for login, paths in pages.items():
        page.goto("/")
        sign_out(page)
        sign_in(page, login)
        for path in paths:
            page.goto(path)
            left[f"{login} {path}"] = page.evaluate(UNTRANSLATED)
    assert {place: texts for place, texts in left.items() if texts} == {}
    assert not CHINESE.search(page.title())
