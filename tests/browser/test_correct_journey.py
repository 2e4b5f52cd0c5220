"""Upload, errors, corrected in the browser, accepted: by keyboard alone, and without JavaScript."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from hub.database import run_sql
from tests.browser.conftest import Site, sign_in
from tests.doors import csv_of, identity_number, move_in

pytestmark = pytest.mark.browser
SHORT = "9990011990030799"


@pytest.fixture
def moves(tmp_path: Path) -> Path:
    path = tmp_path / "迁入人员.csv"
    path.write_bytes(csv_of(move_in(1), move_in(2, 公民身份号码=SHORT), move_in(3, 迁入日期="2026-13-45")))
    return path


def registered(site: Site) -> list[str]:
    with site.hub.worker.begin() as connection:
        return [str(one) for (one,) in run_sql(connection, "SELECT id_no FROM {d}.rec_hukou_move_in ORDER BY 1")]


def test_a_file_goes_out_in_two_actions_and_its_bad_rows_are_mended_by_keyboard(
    page: Page, site: Site, moves: Path
) -> None:
    sign_in(page, "gongan")
    page.goto("/submissions/new")
    page.set_input_files("#file", moves)
    page.click("text=上传并取得回执")
    expect(page.locator(".alert-box.error h2")).to_contain_text("还有 2 行没有入库", timeout=60_000)
    expect(page.locator(".alert-box.error")).to_be_focused()
    for _ in range(2):  # the errors' list, then the button
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/correct$"))
    number = page.get_by_label("公民身份号码").first
    expect(number).to_have_value(SHORT)
    number.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(identity_number(2))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/submissions/[0-9a-f-]{36}$"))
    expect(page.locator(".counts")).to_be_visible(timeout=60_000)
    assert registered(site) == sorted((identity_number(1), identity_number(2)))


def test_without_javascript_it_is_the_same(browser: Browser, site: Site, moves: Path) -> None:
    context = browser.new_context(base_url=site.address, locale="zh-CN", java_script_enabled=False)
    page = context.new_page()
    site.watch(page)
    sign_in(page, "gongan")
    page.goto("/submissions/new")
    page.set_input_files("#file", moves)
    page.click("text=上传并取得回执")
    for _ in range(60):
        if page.locator(".counts").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    page.click("text=在网页上改（2 行）")
    page.get_by_label("迁入日期").last.fill("2026-11-02")
    page.click("text=送出改好的行并取得回执")
    page.wait_for_url(re.compile(r"/submissions/[0-9a-f-]{36}$"))
    for _ in range(60):
        if page.locator(".counts").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    assert registered(site) == sorted((identity_number(1), identity_number(3)))
    context.close()
