"""A town officer sends the roll, sees what differs, decides and has the receipt, in a real Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mappings.catalogue import Catalogue
from tests.browser.conftest import Site, sign_in
from tests.browser.journey_site import audited
from tests.decisions import read
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
    page.click("nav >> text=镇街核对")
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
    taken_in = page.locator("tr", has_text="镇街采集减少人员").get_by_text("已入库")
    for _ in range(100):
        if taken_in.count():
            break
        page.wait_for_timeout(200)
        page.reload()
    decided_in_the_register(site, page.url.partition("/rolls/")[2][:36])


def decided_in_the_register(site: Site, roll_id: str) -> None:
    """Who is on no roll left by a submission of the town; what else differs is still open; the decision has its line."""
    items = read(
        site.hub, "SELECT kind, state, decision, submission_id IS NOT NULL FROM {d}.roll_item WHERE roll_id::text = :one",
        one=roll_id,
    )  # fmt: skip
    gone = [one for one in items if one[0] == "missing_there"]
    assert gone and set(gone) == {("missing_there", "decided", "roll", True)}
    assert {one[1] for one in items if one[0] != "missing_there"} == {"open"}
    sent = read(
        site.hub, "SELECT s.state, s.accepted, s.actor FROM {d}.submission s WHERE s.submission_id IN"
        " (SELECT submission_id FROM {d}.roll_item WHERE roll_id::text = :one)", one=roll_id,
    )  # fmt: skip
    assert sent == [("merged", len(gone), "qingxi")]
    left = read(site.hub, "SELECT count(*) FROM {d}.rec_town_departure WHERE NOT voided")
    assert left == [(len(gone),)]
    told = [one.facts for one in audited(site.hub, "qingxi", f"roll/{roll_id}")]
    assert [facts["items"] for facts in told if facts.get("what") == "decide"] == [len(gone)]
