"""A slice from the request to the last line of the ledger of disclosures, in a real Chromium."""

from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path

import httpx
import openpyxl
import pytest
from playwright.sync_api import Browser, Page, expect

from hub.database import run_sql
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.registry.api_keys import issue_key
from hub.registry.permissions import ROLES, SYSTEM_ACTOR
from mappings.catalogue import Catalogue
from tests.browser.conftest import Site, sign_in
from tests.browser.journey_site import audited
from tests.decisions import read
from tests.district import GUANGMING
from tests.doors import THIS_MONTH, identity_number, open_account
from tests.staged import stage

pytestmark = pytest.mark.browser

NUMBER = identity_number(14)
MOVED = {
    "name": "周美丽", "id_no": NUMBER, "move_date": f"{THIS_MONTH}-01", "person_area": GUANGMING,
    "live_div": "999001001001",
}  # fmt: skip
TERMS = {
    "title": "迁入人员参保衔接", "purpose": "核对参保登记", "legal_basis": "社会保险法第五十八条", "scope": "本局参保登记科",
    "expires_on": (date.today() + timedelta(days=300)).isoformat(),
}  # fmt: skip


def prepare(site: Site, catalogue: Catalogue) -> str:
    """Somebody moved in; two data officers, and a key for the program that reads."""
    with site.hub.worker.begin() as connection:
        its = catalogue.record_types["hukou_move_in"]
        submission_id = stage(connection, its, [MOVED])
        apply_staged(connection, submission_id, "public_security", its, catalogue)
        number_changes(connection, submission_id)
    with site.hub.served.begin() as connection:
        open_account(connection, "renshe-sj", "labour", "data_officer")
        open_account(connection, "gongan-sj", "public_security", "data_officer")
        return issue_key(connection, SYSTEM_ACTOR, organisation="labour", title="参保", scopes=ROLES["integrator"]).text


def as_(browser: Browser, site: Site, login: str) -> Page:
    """Their own browser, without JavaScript, as on an old office computer."""
    page = browser.new_context(base_url=site.address, java_script_enabled=False).new_page()
    site.watch(page)
    sign_in(page, login)
    return page


def ask_for_slice(page: Page) -> str:
    page.goto("/licences/new")
    page.check("#type-hukou_move_in")
    page.click("button:text-is('选择数据项')")
    for name in ("name", "id_no", "move_date"):
        page.check(f"#field-hukou_move_in-{name}")
    for name, text in TERMS.items():
        page.fill(f"#{name}", text)
    page.click("button.btn:text-is('提交')")
    expect(page.locator(".alert-box.done")).to_be_visible()
    return page.url.partition("?")[0]


def approve(page: Page, place: str) -> None:
    page.click("nav >> text=数据共享")
    page.click("nav >> text=订阅申请")
    page.click(f"a[href='{place[place.index('/licences') :]}']")
    expect(page.locator("#preview")).to_contain_text("样例")
    assert NUMBER not in page.content()
    page.select_option("#outcome", "approved")
    page.click("button:text-is('答复')")
    expect(page.locator(".alert-box.done")).to_be_visible()


def take_along(page: Page, code: str, folder: Path) -> openpyxl.Workbook:
    page.goto(f"/subscriptions/{code}")
    page.check("input[name=wanted][value=since]")
    with page.expect_download() as download:
        page.click("button:text-is('生成并下载')")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return openpyxl.load_workbook(io.BytesIO(path.read_bytes()))


def test_a_slice_is_asked_for_approved_pulled_taken_along_signed_for_and_accounted_for(
    browser: Browser, site: Site, catalogue: Catalogue, tmp_path: Path
) -> None:
    key = prepare(site, catalogue)
    asks = as_(browser, site, "renshe-sj")
    place = ask_for_slice(asks)
    approve(as_(browser, site, "gongan-sj"), place)
    with site.hub.worker.read() as connection:
        code = str(run_sql(connection, "SELECT code FROM {d}.subscription WHERE organisation = 'labour'")[0][0])
    pulled = httpx.get(
        f"{site.address}/v1/subscriptions/{code}/changes", headers={"Authorization": f"Bearer {key}"}
    ).json()
    assert [one["after"]["id_no"] for one in pulled["data"]] == [NUMBER]

    clerk = as_(browser, site, "renshe")
    book = take_along(clerk, code, tmp_path)
    cover = {row[0]: row[1] for row in book.worksheets[0].iter_rows(values_only=True, max_col=2)}
    number = str(cover["导出编号"])
    assert cover["使用场景"] == TERMS["purpose"] and cover["下载人"] == "renshe"
    sheet = book.worksheets[1]
    assert NUMBER in {cell.value for row in sheet.iter_rows() for cell in row}
    assert sheet.oddHeader is not None and number in str(sheet.oddHeader.center.text)

    clerk.goto(f"/subscriptions/{code}")
    expect(clerk.locator("main")).to_contain_text(number)
    with clerk.expect_navigation():
        clerk.click("button:text-is('签收')")
    clerk.click("a:text-is('完整性证明') >> nth=-1")
    clerk.fill("#period", THIS_MONTH)
    clerk.click("button:text-is('出具并签名')")
    expect(clerk.locator("main [role=status]")).to_contain_text("已闭合")

    auditor = as_(browser, site, "shenji")
    auditor.click("nav >> text=信息去向")
    auditor.fill("#id_no", NUMBER)
    auditor.select_option("#purpose", index=1)
    auditor.fill("#reason", "核查信息去向")
    auditor.click("button:text-is('查询')")
    expect(auditor.locator("table")).to_contain_text("云岭区人社局")
    expect(auditor.locator("table")).to_contain_text(TERMS["purpose"])
    assert "周美丽" not in auditor.content()
    shared_in_the_register(site, code, number)


def shared_in_the_register(site: Site, code: str, number: str) -> None:
    """Asked for, approved by name, taken away under a number, signed for: each as a row and as a line of the audit."""
    assert read(
        site.hub, "SELECT r.state, r.asked_by, a.state, a.answered_by FROM {d}.licence_request r"
        " JOIN {d}.licence_answer a USING (request_id) WHERE r.subscription_code = :code", code=code,
    ) == [("approved", "renshe-sj", "approved", "gongan-sj")]  # fmt: skip
    assert read(
        site.hub, "SELECT form, rows, made_by FROM {d}.slice_export WHERE export_no = :number", number=number
    ) == [("xlsx", 1, "renshe")]
    taken = [one.facts for one in audited(site.hub, "renshe", code) if one.act == "pull-slice"]
    assert [facts["rows"] for facts in taken if facts.get("export_no") == number] == [1]
    assert [
        one.outcome for one in audited(site.hub, "gongan-sj", "licence-request/%") if one.facts["how"] == "approved"
    ] == ["done"]
    looked = [one for one in audited(site.hub, "shenji", "person/%") if one.act == "read-disclosures"]
    assert looked and all("周美丽" not in str(one.facts) for one in looked)
