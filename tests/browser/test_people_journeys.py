"""Who is who: a doubtful row is decided, a pair judged, a person read, a comparison closed, in a real Chromium."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from playwright.sync_api import Page, expect

from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.people.attributes import derive
from hub.people.comparison import compare
from hub.people.pairs import find_pairs
from hub.settings import load_settings
from mappings.catalogue import Catalogue
from tests.browser.conftest import Site, _served, _working, sign_in
from tests.browser.test_journeys import counts, send, wait_until_final
from tests.conftest import clone_template, execute
from tests.district import GUANGMING
from tests.doors import csv_of, founded_hub, identity_number, move_in
from tests.staged import stage

pytestmark = pytest.mark.browser

WANG, MISTYPED = identity_number(1), identity_number(5)
CHEN, CHEN_OLD = identity_number(21, "19850612"), identity_number(25, "19850612")
ZHAO, STRANGER = identity_number(41, "19410203"), identity_number(77, "19770707")
HOME = {"person_area": GUANGMING, "live_div": "999001001001"}
_CHEN = {"name": "陈建国", "birth_date": "1985-06-12", "sex": "1", "phone": "19900001234", "household_no": "7", **HOME}
ROLL: tuple[dict[str, Any], ...] = (
    {"name": "王小明", "birth_date": "1990-03-07", "sex": "1", "household_no": "3", "id_no": WANG, **HOME},
    {"id_no": CHEN, **_CHEN},
    {"id_no": CHEN_OLD, **_CHEN},
    {"name": "赵德福", "birth_date": "1941-02-03", "sex": "1", "household_no": "9", "id_no": ZHAO, **HOME},
)
DEATH = {
    "cert_no": "D1", "death_date": datetime.now(UTC).date() - timedelta(days=200), "id_no": ZHAO, "name": "赵德福",
    "person_area": GUANGMING,
}  # fmt: skip
REASON = "已查户口底册"


@pytest.fixture(scope="module")
def site(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One hub for all journeys: each goes its own way through the same register."""
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    clone_template(cluster, "people_journeys")
    urls = cluster.urls("people_journeys")
    settings = load_settings(
        tmp_path_factory.mktemp("people") / "home", database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker,
        audit_url=urls.audit, accounts={"second_factor_roles": []}, fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip
    database, app_database = (Database(url, settings.district) for url in (urls.worker, urls.app))
    with founded_hub(database, app_database, settings, catalogue) as hub:
        settle(database, catalogue)
        with _served(hub) as address, _working(hub):
            site = Site(hub, address)
            yield site
    database.close()
    app_database.close()
    execute(cluster, "DROP DATABASE people_journeys WITH (FORCE)")
    assert site.elsewhere == [], "the panel asked for something outside the hub"
    assert site.complaints == [], "the browser complained"


def settle(database: Database, catalogue: Catalogue) -> None:
    """The roll of a village, one man there twice, one who died and is still registered; then a night's work."""
    with database.begin() as connection:
        for source, code, rows in (("public_security", "resident_roll", ROLL), ("health", "death_certificate", (DEATH,))):
            its = catalogue.record_types[code]
            submission_id = stage(connection, its, list(rows))
            apply_staged(connection, submission_id, source, its, catalogue)
            number_changes(connection, submission_id)
        derive(connection, catalogue, [row[0] for row in run_sql(connection, "SELECT person_id FROM {d}.person")])  # type: ignore[misc]
        compare(connection, catalogue, datetime.now(UTC))
    with database.begin() as connection:
        assert find_pairs(connection, catalogue) == 1


def moves(path: Path, *rows: dict[str, str]) -> Path:
    path.write_bytes(csv_of(*rows))
    return path


def test_a_doubtful_row_is_decided_by_its_sender(page: Page, tmp_path: Path) -> None:
    """A man of the village, one digit of his number mistyped: seen beside himself, masked, chosen, let pass."""
    sign_in(page, "gongan")
    send(page, moves(tmp_path / "迁入人员.csv", move_in(3, 姓名="李秀英"), move_in(5)))
    wait_until_final(page)
    assert counts(page) == [2, 1, 0, 1, 0]
    page.click("nav >> text=待核")
    page.click("tr:has-text('不能确定是哪一个人') >> text=查看")
    row = page.url
    candidate = page.locator("table.samples tbody tr").first
    expect(candidate).to_contain_text("王小明")
    expect(candidate).to_contain_text("仅顺序码一位不同")
    assert [number for number in (WANG, MISTYPED, WANG[6:14] + "0") if number in page.content()] == []
    page.click("button:text-is('先看影响')")
    wait_until_settled(page, "试检完成|试检，不入库")
    page.click("text=逐行查看影响")
    expect(page.locator("main")).to_contain_text("王小明")
    page.goto(row)
    page.check("input[type=radio] >> nth=0")
    page.click("button:text-is('采纳')")
    wait_until_settled(page, "已入库")
    assert counts(page) == [1, 1, 0, 0, 0]
    page.click(".actions >> text=回执")
    expect(page.locator("h1")).to_have_text("数据报送回执")
    page.goto(row)
    expect(page.locator(".alert-box.note")).to_contain_text("已采纳")
