"""A challenge from side to side: the source answers it, who raised it accepts the answer, in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from hub.casework.challenges import Raised, raise_challenges
from hub.database import run_sql, utc_now
from hub.exchange.changelog import number_changes
from hub.exchange.dispute_submission import lift_settled
from hub.exchange.pipeline import apply_staged
from mappings.catalogue import Catalogue
from tests.browser.conftest import Site, sign_in
from tests.district import GUANGMING
from tests.doors import THIS_MONTH, TOWN, identity_number
from tests.staged import stage

pytestmark = pytest.mark.browser

NUMBER = identity_number(14)
MOVED = {
    "name": "周美丽", "id_no": NUMBER, "move_date": f"{THIS_MONTH}-01", "person_area": GUANGMING,
    "live_div": "999001001001",
}  # fmt: skip


def challenge(site: Site, catalogue: Catalogue) -> None:
    """The town says it is not true that she moved in."""
    with site.hub.worker.begin() as connection:
        its = catalogue.record_types["hukou_move_in"]
        submission_id = stage(connection, its, [MOVED])
        apply_staged(connection, submission_id, "public_security", its, catalogue)
        number_changes(connection, submission_id)
        ((record, person),) = run_sql(connection, "SELECT record_id, person_ref FROM {d}.rec_hukou_move_in")
        said = Raised(
            kind="untrue", record_type="hukou_move_in", record_id=record, person_id=person, raised_by=TOWN,  # type: ignore[arg-type]
            raised_by_name="清溪街道", against="public_security", reason="入户核实，并未迁入",
        )  # fmt: skip
        raise_challenges(connection, site.hub.settings, utc_now(), [said])
    assert lift_settled(site.hub.worker, site.hub.settings, catalogue) == 1


def test_a_source_answers_and_the_town_accepts(browser: Browser, site: Site, catalogue: Catalogue) -> None:
    """Without JavaScript, as on an old office computer."""
    challenge(site, catalogue)
    context = browser.new_context(base_url=site.address, java_script_enabled=False)
    page = context.new_page()
    site.watch(page)
    sign_in(page, "gongan")
    page.click("nav >> text=核实")
    page.click("nav >> text=校核")
    page.click("table.list >> text=不属实")
    expect(page.locator("main")).to_contain_text("周美丽")
    expect(page.locator("main")).to_contain_text("记录在各接收单位标为存疑")
    assert NUMBER not in page.content()
    page.select_option("#answer", label="记录无误")
    page.fill("#text-answer", "已调阅底册，迁入属实")
    page.click("button:text-is('答复')")
    expect(page.locator(".alert-box.done")).to_contain_text("已答复")
    context.close()
    context = browser.new_context(base_url=site.address)
    page = context.new_page()
    site.watch(page)
    sign_in(page, "qingxi")
    page.click("nav >> text=核实")
    page.click("nav >> text=校核")
    page.click("table.list >> text=不属实")
    expect(page.locator("main")).to_contain_text("已调阅底册，迁入属实")
    page.click("button:text-is('认可答复，办结')")
    expect(page.locator(".alert-box.done")).to_contain_text("已办结")
    context.close()
