"""The three main journeys, each by mouse, by keyboard alone and without JavaScript, from the inbox into the database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from hub.casework.rounds import open_round
from hub.database import run_sql
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.people.attributes import derive
from hub.registry.areas import load_area_index
from hub.registry.month_calendar import month_after
from hub.registry.permissions import SYSTEM_ACTOR
from mappings.catalogue import Catalogue
from tests.browser.hands import SUBMISSION, WAYS, Counted, Keyboard, Way, hand_of
from tests.browser.journey_site import Ground, id_in, journey_ground
from tests.district import GUANGMING
from tests.doors import OTHER_TOWN, OTHER_VILLAGE, THIS_MONTH, Hub, csv_of, identity_number, move_in
from tests.round_hub import AFTER_THE_MONTH
from tests.staged import stage

pytestmark = pytest.mark.browser
SHORT = "9990011990030799"
NAMES = {"mouse": "王小明", "keyboard": "李建军", "plain": "赵国强"}
FIRST = {"mouse": 100, "keyboard": 200, "plain": 300}  # serials of the people of each way


@pytest.fixture(scope="module")
def ground(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = tmp_path_factory.mktemp("three_ways") / "home"
    with journey_ground(cluster, catalogue, home, "three_ways", settle) as ground:
        yield ground


def settle(hub: Hub, catalogue: Catalogue) -> None:
    """A roll with one man for each way, in the village where he will move in again under a mistyped number."""
    its = catalogue.record_types["resident_roll"]
    people = [
        {"name": NAMES[way], "id_no": identity_number(FIRST[way] + 1), "birth_date": "1990-03-07", "sex": "1",
         "household_no": str(FIRST[way]), "person_area": GUANGMING, "live_div": "999001001001"}
        for way in WAYS
    ]  # fmt: skip
    with hub.worker.begin() as connection:
        submission_id = stage(connection, its, people)
        apply_staged(connection, submission_id, "public_security", its, catalogue)
        number_changes(connection, submission_id)
        derive(connection, catalogue, [row[0] for row in run_sql(connection, "SELECT person_id FROM {d}.person")])  # type: ignore[misc]


def upload(hand: Counted, path: Path) -> str:
    """From the inbox; the hub sees by itself what the file is."""
    hand.click(hand.page.locator("a.main-work"))
    hand.arrive(re.compile(r"/submissions/new$"))
    hand.pick_file(hand.field("文件"), path)
    hand.click(hand.button("上传并取得回执"))
    hand.arrive(SUBMISSION)
    hand.wait_for(hand.page.locator(".counts"))
    return hand.page.url


# ---- one: a file with errors ----


@pytest.mark.parametrize("way", WAYS)
def test_a_file_with_errors_is_mended_in_the_page_and_accepted(
    browser: Browser, ground: Ground, tmp_path: Path, way: Way
) -> None:
    first, path = FIRST[way] + 30, tmp_path / "迁入人员.csv"
    path.write_bytes(
        csv_of(move_in(first), move_in(first + 1, 公民身份号码=SHORT), move_in(first + 2, 迁入日期="2026-13-45"))
    )
    hand = hand_of(browser, ground.site, "gongan", way)
    sent = upload(hand, path)
    assert ground.submission(sent) == ("regular", "merged", 3, 1, 0, 0, 2)
    hand.click(hand.link("在网页上改"))
    hand.arrive(re.compile(r"/correct$"))
    hand.write(hand.page.locator(".cells").get_by_label("公民身份号码"), identity_number(first + 1))
    hand.write(hand.page.locator(".cells").get_by_label("迁入日期"), f"{THIS_MONTH}-02")
    hand.click(hand.button("送出改好的行并取得回执"))
    hand.arrive(SUBMISSION)
    hand.wait_for(hand.page.locator(".alert-box.done", has_text="没有差错。"))
    again = hand.page.url
    assert ground.submission(again) == ("regular", "merged", 2, 2, 0, 0, 0)
    mended_in_the_register(ground, id_in(sent), id_in(again), first)
    hand.page.context.close()


def mended_in_the_register(ground: Ground, sent: str, again: str, first: int) -> None:
    """Three people once each, the second submission in the first one's thread, and who did it."""
    numbers = [identity_number(serial) for serial in range(first, first + 3)]
    found = ground.rows(
        "SELECT id_no, count(*) FROM {d}.rec_hukou_move_in WHERE id_no = ANY(:numbers) GROUP BY 1 ORDER BY 1",
        numbers=numbers,
    )
    assert found == [(number, 1) for number in sorted(numbers)]
    assert ground.rows("SELECT thread_id::text FROM {d}.submission WHERE submission_id::text = :one", one=again) == [
        (sent,)
    ]
    read = [facts for act, outcome, facts in ground.audited("gongan", f"submission/{sent}%") if "rows" in facts]
    assert any(facts.get("what") == "rows to correct" and facts["rows"] == 2 for facts in read)
    assert [act for act, outcome, _ in ground.audited("gongan", f"submission/{again}") if outcome == "done"]


# ---- five: a town's month ----


@pytest.mark.parametrize("way", WAYS)
def test_a_town_gives_its_verdicts_and_the_bureau_closes_the_month(browser: Browser, ground: Ground, way: Way) -> None:
    month = open_with_four(ground, way)
    town = hand_of(browser, ground.site, "bailu", way)
    town.click(town.page.locator(f".inbox a[href^='/rounds/{month}/items']"))
    town.arrive(re.compile(rf"/rounds/{month}/items"))
    town.write(town.field("核对人"), "万和")
    town.choose(town.field("核对方式"), town.page.locator("#method option").nth(1).inner_text())
    if isinstance(town, Keyboard):
        answer_by_keys(town)
    else:
        answer_all(town)
    assert verdicts(ground, month) == ["1", "2", "3", "1"]
    town.page.context.close()
    bureau = hand_of(browser, ground.site, "quju", way)
    bureau.click(bureau.link("镇街核对"))
    bureau.arrive(re.compile(r"/rounds$"))
    bureau.click(bureau.page.locator(f"main a[href='/rounds/{month}']"))
    bureau.click(bureau.link("关闭本月"))
    bureau.arrive(re.compile(r"/close$"))
    bureau.write(bureau.field("理由"), "各镇街已回报")
    bureau.write(bureau.field(re.compile("照样输入月份")), month)
    bureau.click(bureau.button("关闭"))
    bureau.arrive(re.compile(r"\?done=close$"))
    bureau.load_until(bureau.page.locator(".round-state", has_text="已结束"))
    closed_in_the_register(ground, month)
    bureau.page.context.close()


def open_with_four(ground: Ground, way: Way) -> str:
    """Four people of one village, and a round of the month after the last one."""
    its = ground.catalogue.record_types["hukou_move_in"]
    serials = range(FIRST[way] + 60, FIRST[way] + 64)
    with ground.hub.worker.begin() as connection:
        village = load_area_index(connection).codes[OTHER_VILLAGE]
        moved = [
            {"name": move_in(serial)["姓名"], "id_no": identity_number(serial), "move_date": f"{THIS_MONTH}-01",
             "person_area": village, "live_div": OTHER_VILLAGE}
            for serial in serials
        ]  # fmt: skip
        submission_id = stage(connection, its, moved)
        apply_staged(connection, submission_id, "public_security", its, ground.catalogue)
        number_changes(connection, submission_id)
        ((last,),) = run_sql(connection, "SELECT max(month) FROM {d}.monthly_round")
        month = month_after(str(last), 1) if last else month_after(THIS_MONTH, -2)
        open_round(connection, ground.hub.settings, ground.catalogue, SYSTEM_ACTOR, month, AFTER_THE_MONTH)
    return month


def answer_by_keys(town: Keyboard) -> None:
    """1, 2 and 3 say what was found, Enter sends the line and goes on to the next."""
    page = town.page
    expect(page.locator("form[data-begun]")).to_be_attached()  # the script hears the keys
    town.reach(page.locator("[data-line='1'] input[type=radio]").first)
    for number, verdict in enumerate("1231", 1):
        line = page.locator(f"[data-line='{number}']")
        town.strike(verdict)
        expect(line.locator("input[type=radio]").nth(int(verdict) - 1)).to_be_checked()
        if verdict == "2":
            town.write(line.get_by_label("实际情况"), "已搬到外省")
        town.strike("Enter")
        expect(line.locator(".outcome")).to_have_text("已报送。")


def answer_all(town: Counted) -> None:
    titles = {"1": "属实", "2": "不属实", "3": "查无此人"}
    for number, verdict in enumerate("1231", 1):
        line = town.page.locator(f"[data-line='{number}']")
        town.tick(line.get_by_label(titles[verdict], exact=True))
        if verdict == "2":
            town.write(line.get_by_label("实际情况"), "已搬到外省")
    town.click(town.page.locator(".send-all button"))
    expect(town.page.locator(".alert-box.done, .line .outcome").first).to_contain_text("已报送")


def verdicts(ground: Ground, month: str) -> list[str]:
    """As the register has them, with who gave them."""
    found = ground.rows(
        "SELECT i.result, i.state, i.answered_by FROM {d}.round_item i JOIN {d}.monthly_round m USING (round_id)"
        " JOIN shared.organisation o ON o.area_id = i.town WHERE m.month = :month AND o.code = :town ORDER BY i.number",
        month=month,
        town=OTHER_TOWN,
    )
    assert {row[1:] for row in found} == {("answered", "bailu")}
    return [str(row[0]) for row in found]


def closed_in_the_register(ground: Ground, month: str) -> None:
    """The month is closed by name, what was untrue is challenged, every answer stands in the ledger of submissions."""
    assert ground.rows("SELECT state, closed_by FROM {d}.monthly_round WHERE month = :month", month=month) == [
        ("closed", "quju")
    ]
    answers = ground.rows(
        "SELECT sum(accepted), sum(refused + held) FROM {d}.submission WHERE record_type = 'town_verification'"
        " AND organisation = :town AND period = :month",
        town=OTHER_TOWN,
        month=month,
    )
    assert answers == [(4, 0)]
    challenged = ground.rows(
        "SELECT count(*) FROM {d}.challenge c JOIN {d}.round_item i USING (record_id) JOIN {d}.monthly_round m"
        " USING (round_id) WHERE m.month = :month AND c.raised_by = :town",
        month=month,
        town=OTHER_TOWN,
    )
    assert challenged == [(2,)]
    told = [(act, facts["what"]) for act, outcome, facts in ground.audited("quju", f"round/{month}%")]
    assert ("manage-round", "close") in told


# ---- eight: a held row ----


@pytest.mark.parametrize("way", WAYS)
def test_a_held_row_is_judged_by_its_sender(browser: Browser, ground: Ground, tmp_path: Path, way: Way) -> None:
    """A man of the village, one digit of his number mistyped: seen beside himself, masked, chosen, let pass."""
    known, mistyped = identity_number(FIRST[way] + 1), identity_number(FIRST[way] + 5)
    path = tmp_path / "迁入人员.csv"
    path.write_bytes(csv_of(move_in(FIRST[way] + 3), move_in(FIRST[way] + 5, 姓名=NAMES[way], 性别="男")))
    hand = hand_of(browser, ground.site, "gongan", way)
    sent = upload(hand, path)
    assert ground.submission(sent) == ("regular", "merged", 2, 1, 0, 1, 0)
    hand.click(hand.link("待办"))
    hand.click(hand.page.locator(".inbox a[href^='/held']"))
    hand.arrive(re.compile(r"/held\?"))
    hand.click(hand.page.locator("main tbody a[href^='/held/']").first)
    hand.arrive(re.compile(r"/held/.+/\d+$"))
    assert known not in hand.page.content() and mistyped not in hand.page.content()
    hand.tick(hand.page.locator("table.samples input[type=radio]").first)
    hand.click(hand.button("采纳"))
    hand.arrive(SUBMISSION)
    hand.wait_for(hand.page.locator(".counts"))
    released = id_in(hand.page.url)
    hand.page.context.close()
    held = ground.rows(
        "SELECT state, decided_by, release_id::text FROM {d}.held_row WHERE submission_id::text = :one", one=id_in(sent)
    )
    assert held == [("released", "gongan", released)]
    people = ground.rows(
        "SELECT count(DISTINCT person_id), count(*) FROM {d}.person_identifier WHERE kind = 'id_no'"
        " AND value IN (:known, :mistyped)",
        known=known,
        mistyped=mistyped,
    )
    assert people[0][0] == 1, "two numbers, one man"
    assert [
        facts for act, outcome, facts in ground.audited("gongan", "%") if act == "decide-held" and outcome == "done"
    ]
