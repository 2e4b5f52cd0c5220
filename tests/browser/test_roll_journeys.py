"""A town officer sends the roll, sees what differs, decides and has the receipt, in a real Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mappings.catalogue import Catalogue
from tests.browser.conftest import Site, sign_in
from tests.doors import identity_number
from tests.test_rolls import Town, file_of, month, person

pytestmark = pytest.mark.browser


def test_a_town_sends_its_roll_and_works_off_what_differs(
    page: Page, site: Site, catalogue: Catalogue, tmp_path: Path
) -> None:
    Town(site.hub, catalogue).known(*month())
    roll = tmp_path / "光明社区名册.csv"
    roll.write_bytes(file_of(*month(4), person(8)))
    sign_in(page, "qingxi")
    page.click("nav >> text=名册比对")
    page.set_input_files("#file", roll)
    page.click("button:text-is('上传并比对')")
    expect(page.locator("table.dense")).to_contain_text("王业")
    expect(page.locator("table.dense")).to_contain_text("全区未登记")
    assert identity_number(4) not in page.content()
    page.click("ul.reasons >> text=错登")
    page.check("input[name=all]")
    page.select_option("#decision", "roll")
    page.click("button:text-is('核定')")
    expect(page.locator(".alert-box.error")).to_contain_text("迁出还是错登")
    page.select_option("#left_as", "2")
    page.click("button:text-is('核定')")
    expect(page.locator("main")).to_contain_text("镇街采集减少人员")
    with page.expect_download() as taken:
        page.click("text=下载差异清单")
    assert taken.value.suggested_filename.startswith("清溪街道名册比对差异清单")
