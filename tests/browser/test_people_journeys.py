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
from playwright.sync_api import Browser, Page, expect

from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.people.attributes import derive
from hub.people.comparison import compare
from hub.people.pairs import find_pairs
from hub.settings import load_settings
from mappings.catalogue import Catalogue
from tests.browser.conftest import Site, _served, _working, sign_in, sign_out
from tests.browser.test_journeys import UNTRANSLATED
from tests.conftest import clone_template, execute
from tests.district import GUANGMING
from tests.doors import THIS_MONTH, csv_of, founded_hub, identity_number
from tests.quality_months import Months
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
        moved = {"name": "周美丽", "id_no": identity_number(14), "move_date": f"{THIS_MONTH}-01"}
        Months(catalogue).send(connection, "public_security", "hukou_move_in", THIS_MONTH, moved)
        for source, code, rows in (
            ("public_security", "resident_roll", ROLL),
            ("health", "death_certificate", (DEATH,)),
        ):
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


def reload_until(page: Page, text: str) -> None:
    """The worker goes on while one looks."""
    for _ in range(100):
        if page.locator("main", has_text=text).count():
            return
        page.wait_for_timeout(200)
        page.reload()
    raise AssertionError(f"{text} never came: {page.inner_text('main')}")


def test_the_bureau_judges_a_pair_and_takes_it_back(page: Page, site: Site) -> None:
    sign_in(page, "quju")
    page.click("nav >> text=核实")
    page.click("nav >> text=疑似同一人")
    page.click("td >> text=对照")
    page.fill("#reason", REASON)
    page.click("main button[type=submit]")
    expect(page.locator("table.dense")).to_contain_text("陈***")
    assert [number for number in (CHEN, CHEN_OLD, "陈建国") if number in page.content()] == []
    page.check("#right-first")
    page.click("button:text-is('同一人')")
    page.click(".alert-box.done >> text=身份认定")
    page.wait_for_url(re.compile("/identity$"))
    reload_until(page, "已生效")
    expect(page.locator("form table.dense >> nth=0")).to_contain_text("已更正")
    page.fill("input[placeholder=理由]", "户口底册上是兄弟二人")
    with page.expect_navigation():
        page.click("button:text-is('撤回')")
    reload_until(page, "已撤回")
    expect(page.locator("form table.dense >> nth=0")).not_to_contain_text("已更正")


def test_a_town_reads_a_timeline_with_where_it_comes_from(browser: Browser, site: Site) -> None:
    """Without JavaScript, as on an old office computer."""
    context = browser.new_context(base_url=site.address, java_script_enabled=False)
    page = context.new_page()
    site.watch(page)
    sign_in(page, "qingxi")
    page.click("nav >> text=人员")
    page.click("nav >> text=人员查找")
    page.fill("#name", "赵德")
    page.select_option("#area", label="清溪街道 光明社区")
    page.select_option("#purpose", label="核对信息")
    page.click("main button[type=submit]")
    page.click("text=查看档案")
    expect(page.locator("main")).to_contain_text("本次查阅已记录")
    timeline = page.locator("table.dense").last
    expect(timeline.locator("tr", has_text="云岭区卫健局")).to_contain_text("死亡")
    expect(timeline.locator("tr", has_text="云岭区公安分局")).to_contain_text("实有人口名册")
    assert ZHAO not in page.content()
    assert ZHAO not in page.url and "赵" not in page.url
    context.close()


def test_a_comparison_is_closed_by_its_unit_with_evidence(page: Page, site: Site) -> None:
    sign_in(page, "gongan")
    page.click("nav >> text=核实")
    page.click("nav >> text=比对")
    page.click("table.list >> text=已死亡未销户")
    expect(page.locator("main")).to_contain_text("死亡医学证明")
    page.select_option("#outcome", label="情况属实，无须更正")
    page.fill("#evidence", "户籍在外地，已电话核实")
    page.click("button:text-is('办结')")
    expect(page.locator(".alert-box.done")).to_contain_text("已办结")
    expect(page.locator("main")).to_contain_text("处理结果：情况属实，无须更正 · 核实依据：户籍在外地，已电话核实")
    page.click("text=返回比对")
    expect(page.locator(".empty")).to_be_visible()
    page.click(".reasons >> text=已办结")
    expect(page.locator("table.list")).to_contain_text("已死亡未销户")


def test_a_quality_figure_opens_its_rows(page: Page, site: Site) -> None:
    sign_in(page, "gongan")
    page.click("nav >> text=核实")
    page.click("nav >> text=质量")
    page.click("tr:has-text('户口迁入') >> td.bad a >> nth=0")
    expect(page.locator("h1")).to_have_text("完整率（首次）：户口迁入")
    expect(page.locator("table.dense")).to_contain_text(re.compile("空缺：.*户籍地村居"))
    assert "周美丽" not in page.content()


def test_a_list_is_verified_and_only_answers_come_back(page: Page, site: Site, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (("姓名", "公民身份号码", "电话"), ("王小明", WANG, "19900000000"), ("李四", STRANGER, "")):
        book.worksheets[0].append(row)
    book.save(tmp_path / "名单.xlsx")
    sign_in(page, "renshe")
    page.click("nav >> text=人员")
    page.click("nav >> text=身份核验")
    page.fill("#purpose", "核发失业补助")
    page.set_input_files("#file", tmp_path / "名单.xlsx")
    with page.expect_download() as download:
        page.click("text=核验并下载结果")
    download.value.save_as(tmp_path / "结果.xlsx")
    answers = openpyxl.load_workbook(tmp_path / "结果.xlsx")["核验结果"]
    assert list(answers.values) == [("行号", "核验结果"), (2, "一致"), (3, "查无此号")]


def test_the_pages_are_english_when_asked_and_fit_a_telephone(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/language/en?back=/sign-in")
    seen = {}
    for login, paths in {
        "gongan": ("/held", "/comparisons", "/quality", "/verify"),
        "qingxi": ("/people", "/pairs", "/comparisons?state=closed"),
    }.items():
        sign_in(page, login)
        for path in paths:
            page.goto(path)
            wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            seen[f"{login} {path}"] = (page.evaluate(UNTRANSLATED), wide)
        sign_out(page)
    assert {place: found for place, found in seen.items() if found != ([], False)} == {}
