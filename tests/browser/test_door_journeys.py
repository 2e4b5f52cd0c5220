"""A workbook goes back and forth, columns are explained once, a colleague releases what is unusual: in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, sign_in, sign_out
from tests.browser.journey_site import audited
from tests.browser.test_journeys import counts, send, wait_until_final
from tests.decisions import read
from tests.doors import HEADERS, csv_of, identity_number, move_in, open_account

pytestmark = pytest.mark.browser


def sheet(path: Path, rows: Iterable[dict[str, str]]) -> Path:
    book = openpyxl.Workbook()
    page = book.worksheets[0]
    page.append(list(HEADERS))
    for row in rows:
        page.append([row[header] for header in HEADERS])
    book.save(path)
    return path


def change_account(page: Page, login: str) -> None:
    sign_out(page)
    sign_in(page, login)


def test_a_workbook_goes_back_and_forth_until_every_row_is_in(page: Page, site: Site, tmp_path: Path) -> None:
    """The bad rows are corrected where the hub marked them, in the very workbook it gave back."""
    bad = [
        move_in(8, 姓名="孙丽华", 公民身份号码="999001199003070000"),
        move_in(9, 姓名="郑海涛", 迁入日期="2026-13-45"),
    ]
    sign_in(page, "gongan")
    send(page, sheet(tmp_path / "迁入人员.xlsx", [move_in(1), move_in(2), *bad]))
    wait_until_final(page)
    assert counts(page) == [4, 2, 0, 1, 1]
    with page.expect_download() as download:
        page.click("text=下载带标注的原表")
    returned = tmp_path / download.value.suggested_filename
    download.value.save_as(returned)
    book = openpyxl.load_workbook(returned)
    cells = {cell.value: cell for row in book.worksheets[0] for cell in row}
    assert cells["999001199003070000"].fill.fgColor.rgb != "00000000" and cells["2026-13-45"].comment is not None
    cells["999001199003070000"].value = identity_number(8)
    cells["2026-13-45"].value = move_in(9)["迁入日期"]
    book.save(returned)
    send(page, returned)
    wait_until_final(page)
    assert counts(page) == [4, 2, 2, 0, 0]
    expect(page.locator(".thread li")).to_have_count(2)
    expect(page.locator(".alert-box.done")).to_contain_text("没有差错。")
    ledger = read(site.hub, "SELECT state, received, accepted, unchanged FROM {d}.submission ORDER BY received_at")
    assert ledger == [("merged", 4, 2, 0), ("merged", 4, 2, 2)]
    assert read(site.hub, "SELECT count(*) FROM {d}.rec_hukou_move_in") == [(4,)]
    taken = [one.facts["sha256"] for one in audited(site.hub, "gongan", "submission/%") if "record_type" in one.facts]
    assert len(taken) == len({*taken}) == 2


def test_columns_are_explained_once_and_a_colleague_releases_what_is_unusual(
    page: Page, site: Site, tmp_path: Path
) -> None:
    with site.hub.served.begin() as connection:
        open_account(connection, "gongan2", "public_security", "department_clerk")
    path = tmp_path / "名称不同.csv"
    path.write_bytes(csv_of(move_in(1)).decode().replace("公民身份号码", "公民身份证号").encode())
    sign_in(page, "gongan")
    send(page, path)
    expect(page.locator(".alert-box.wait")).to_be_visible(timeout=60_000)
    page.click(".alert-box >> text=确认列名")
    assert page.input_value("#column-0") == ""
    page.select_option("#column-0", "id_no")
    page.click("main button[type=submit]")
    wait_until_final(page)
    path.write_bytes(csv_of(move_in(2, 姓名="李秀英")).decode().replace("公民身份号码", "公民身份证号").encode())
    page.goto("/submissions/new")
    page.select_option("#record_type", "hukou_move_in")
    expect(page.locator("#templates a")).to_have_count(2)
    page.click("form[data-upload] summary")
    page.check("#backfill")
    page.set_input_files("#file", path)
    page.click("text=上传并取得回执")
    expect(page.locator(".alert-box.wait h2")).to_contain_text("第二人复核", timeout=60_000)
    place = page.url
    page.click("text=查看影响")
    expect(page.locator("main")).to_contain_text("报送人不能放行自己的报送")
    change_account(page, "gongan2")
    page.goto("/submissions")
    page.click(".alert-box.wait a")
    page.click("tbody td.file a")
    page.wait_for_url(place)
    page.click("text=查看影响并复核")
    expect(page.locator("table.samples")).to_contain_text("李秀英")
    page.click("button:text-is('放行')")
    page.wait_for_url(re.compile(r"/submissions/[0-9a-f-]{36}$"))
    wait_until_final(page)
    assert counts(page) == [1, 1, 0, 0, 0]
    expect(page.locator(".stages")).to_contain_text("gongan2")
