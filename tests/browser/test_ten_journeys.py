"""Whole journeys from the inbox into the database: wrong template, nothing to report, undo, a new account, who read a person.

The others: a file with errors, a town's month and a held row in test_three_ways.py; the returned workbook in
test_door_journeys.py; a roll's differences in test_roll_journeys.py; a slice in test_licence_journey.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyotp
import pytest
from playwright.sync_api import Browser, expect

from hub.database import run_sql, utc_now
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.keyring import Keyring
from hub.operations import audit_anchors
from hub.people.attributes import derive
from hub.registry.masking import mask_within
from mappings.catalogue import Catalogue
from tests.browser.hands import SUBMISSION, Counted, hand_of, page_of
from tests.browser.journey_site import Ground, id_in, journey_ground
from tests.desk_visits import STAFF
from tests.district import GUANGMING
from tests.doors import VILLAGE, Hub, csv_of, identity_number, move_in, open_account
from tests.staged import stage

pytestmark = pytest.mark.browser
ZHAO = identity_number(41, "19410203")
NEW_PASSWORD = "Correct-7-horse-battery"


@pytest.fixture(scope="module")
def ground(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = tmp_path_factory.mktemp("ten") / "home"
    with journey_ground(cluster, catalogue, home, "ten_journeys", settle, ("bureau_leader",)) as ground:
        yield ground


def settle(hub: Hub, catalogue: Catalogue) -> None:
    """Administrators, and one man on the roll of a village."""
    with hub.served.begin() as connection:
        for login, organisation, role in STAFF[:2]:
            open_account(connection, login, organisation, role)
    its = catalogue.record_types["resident_roll"]
    zhao = {
        "name": "赵德福", "id_no": ZHAO, "birth_date": "1941-02-03", "sex": "1", "household_no": "9",
        "person_area": GUANGMING, "live_div": "999001001001",
    }  # fmt: skip
    with hub.worker.begin() as connection:
        submission_id = stage(connection, its, [zhao])
        apply_staged(connection, submission_id, "public_security", its, catalogue)
        number_changes(connection, submission_id)
        derive(connection, catalogue, [row[0] for row in run_sql(connection, "SELECT person_id FROM {d}.person")])  # type: ignore[misc]


def upload(hand: Counted, path: Path, record_type: str = "") -> str:
    """From the inbox or from what is open; the page of the submission once it is final."""
    if not hand.page.url.partition("?")[0].endswith("/submissions/new"):
        hand.click(hand.page.locator("a.main-work"))
    if record_type:
        hand.choose(hand.field("信息类别"), record_type)
    hand.pick_file(hand.field("文件"), path)
    hand.click(hand.button("上传并取得回执"))
    hand.arrive(SUBMISSION)
    return hand.page.url


def registered(ground: Ground, *serials: int) -> list[tuple[Any, ...]]:
    """Number and what its latest version says of these people's moves."""
    return ground.rows(
        "SELECT id_no, count(*) FROM {d}.rec_hukou_move_in WHERE id_no = ANY(:numbers) GROUP BY 1 ORDER BY 1",
        numbers=[identity_number(serial) for serial in serials],
    )


# ---- two: the wrong template ----


def test_a_wrong_template_is_refused_whole_and_the_right_one_accepted(
    browser: Browser, ground: Ground, tmp_path: Path
) -> None:
    hand = hand_of(browser, ground.site, "gongan")
    hand.click(hand.page.locator("a.main-work"))
    hand.choose(hand.field("信息类别"), "户口迁入")
    with hand.page.expect_download() as download:
        hand.click(hand.link("下载模板（按名称填）"))
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    fill_in(path, move_in(11) | {"所属村居": VILLAGE})
    wrong = upload(hand, path, "户口迁出")
    box = hand.page.locator(".alert-box.error")
    hand.wait_for(box)
    expect(box).to_contain_text("整份文件退回")
    expect(box).to_contain_text("如何处理")
    assert ground.submission(wrong)[:2] == ("regular", "refused")
    assert ground.rows(
        "SELECT refusal->>'code' FROM {d}.submission WHERE submission_id::text = :one", one=id_in(wrong)
    ) == [("F_WRONG_TEMPLATE",)]
    assert registered(ground, 11) == []
    hand.click(hand.link("改好后重新上传"))
    hand.arrive(re.compile("/submissions/new"))
    right = upload(hand, path, "户口迁入")
    hand.wait_for(hand.page.locator(".alert-box.done"))
    assert ground.submission(right) == ("regular", "merged", 1, 1, 0, 0, 0)
    assert registered(ground, 11) == [(identity_number(11), 1)]
    assert {outcome for _, outcome, _ in ground.audited("gongan", f"submission/{id_in(right)}")} == {"done"}
    hand.page.context.close()


def fill_in(path: Path, row: dict[str, str]) -> None:
    """Below the template's own headers."""
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    lines = list(sheet.iter_rows(values_only=True))
    place = next(number for number, line in enumerate(lines, 1) if any("公民身份号码" in str(one) for one in line))
    for column, title in enumerate(lines[place - 1], 1):
        sheet.cell(place + 1, column).value = row.get(str(title or "").removesuffix("（必填）"))
    book.save(path)


# ---- three: nothing to report ----


def test_a_month_without_changes_is_reported_from_the_board(browser: Browser, ground: Ground) -> None:
    hand = hand_of(browser, ground.site, "renshe")
    hand.click(hand.page.locator(".inbox a[href^='/month?']").first)
    hand.arrive(re.compile(r"/month\?"))
    act = hand.page.get_by_role("button", name=re.compile("报“本月无变动”")).first
    its, month = (act.locator("..").locator(f"input[name={name}]").input_value() for name in ("record_type", "period"))
    hand.click(act)
    hand.arrive(SUBMISSION)
    hand.wait_for(hand.page.locator("main", has_text="已报：本月无变动"))
    sent = hand.page.url
    assert ground.submission(sent) == ("nil", "merged", 0, 0, 0, 0, 0)
    assert ground.rows(
        "SELECT organisation, record_type, period FROM {d}.submission WHERE submission_id::text = :one", one=id_in(sent)
    ) == [("labour", its, month)]
    assert [
        facts["nil"] for _, _, facts in ground.audited("renshe", f"submission/{id_in(sent)}") if "nil" in facts
    ] == [its]
    hand.page.goto(f"/month?month={month}&state=nil")
    expect(hand.page.locator("main table td.good").first).to_contain_text("本月无变动")
    hand.page.context.close()


# ---- four: taken back ----


def test_a_submission_is_taken_back_and_what_it_did_with_it(browser: Browser, ground: Ground, tmp_path: Path) -> None:
    path = tmp_path / "报错了.csv"
    path.write_bytes(csv_of(move_in(21), move_in(22)))
    hand = hand_of(browser, ground.site, "gongan")
    sent = upload(hand, path)
    hand.wait_for(hand.page.locator(".counts"))
    assert ground.submission(sent) == ("regular", "merged", 2, 2, 0, 0, 0)
    hand.click(hand.link("撤销本次报送"))
    hand.write(hand.field("撤销理由"), "报错了月份")
    hand.click(hand.button("确认撤销"))
    hand.page.wait_for_url(lambda url: SUBMISSION.search(url) is not None and url != sent)
    hand.wait_for(hand.page.locator(".stages li.done", has_text="已入库"))
    undone = hand.page.url
    assert ground.submission(undone)[:2] == ("undo", "merged")
    assert ground.rows(
        "SELECT undoes::text FROM {d}.submission WHERE submission_id::text = :one", one=id_in(undone)
    ) == [(id_in(sent),)]
    moves = ground.rows(
        "SELECT op, count(*) FROM {d}.change_log WHERE submission_id::text IN (:sent, :undone) GROUP BY 1 ORDER BY 1",
        sent=id_in(sent),
        undone=id_in(undone),
    )
    assert moves == [("new", 2), ("void", 2)]
    told = [facts for _, _, facts in ground.audited("gongan", f"submission/{id_in(sent)}") if facts.get("undo")]
    assert [facts["undo"] for facts in told] == ["preview", id_in(undone)]
    hand.page.goto(sent)
    expect(hand.page.locator(".alert-box.note")).to_contain_text("这份报送已被撤销")
    hand.page.context.close()


# ---- nine: a new account ----


def test_an_account_is_asked_for_confirmed_and_protected_by_two_steps(browser: Browser, ground: Ground) -> None:
    ask_for_account(browser, ground)
    secret = confirm_it(browser, ground)
    own = Counted(page_of(browser, ground.site))
    own.sign_in("zhangju", secret)
    own.arrive(re.compile("/password"))
    for label, text in (("原密码", secret), ("新密码", NEW_PASSWORD), ("再输入一次新密码", NEW_PASSWORD)):
        own.write(own.page.get_by_label(label, exact=True), text)
    own.click(own.button("保存新密码"))
    own.arrive(re.compile("changed=true"))
    own.sign_in("zhangju", NEW_PASSWORD)
    own.arrive(re.compile("/account/second-factor"))
    phone = pyotp.TOTP(own.read("main code").replace(" ", ""))
    own.write(own.field("应用显示的 6 位数字"), phone.now())
    own.write(own.field("登录密码"), NEW_PASSWORD)
    own.click(own.button("确认登记"))
    expect(own.page.locator("main ol code")).to_have_count(10)
    own.click(own.page.locator("header").get_by_role("button", name="退出"))
    own.arrive(re.compile("/sign-in"))
    own.sign_in("zhangju", NEW_PASSWORD)
    own.arrive(re.compile("/second-factor"))
    assert levels(ground) == ["password"], "the password alone opens nothing"
    own.write(own.field("验证码"), phone.at(utc_now(), counter_offset=1))
    own.click(own.button("继续"))
    expect(own.page.locator("h1")).to_have_text("待办")
    assert levels(ground) == ["full"]
    account = ground.rows(
        "SELECT organisation, roles, must_change_password, totp_confirmed_at IS NOT NULL FROM admin.account"
        " WHERE login = 'zhangju'"
    )
    assert account == [("bureau", ["bureau_leader"], False, True)]
    acts = [(act, outcome) for act, outcome, _ in ground.audited("zhangju", "%")]
    assert {outcome for _, outcome in acts} == {"done"} and len(acts) >= 3
    own.page.context.close()


def ask_for_account(browser: Browser, ground: Ground) -> None:
    asks = hand_of(browser, ground.site, "xitong")
    asks.click(asks.link(re.compile("^账号")))
    asks.click(asks.link("申请开户"))
    asks.write(asks.field("登录名"), "zhangju")
    asks.write(asks.field("姓名"), "张局")
    asks.choose(asks.field("单位"), "云岭区人口信息管理局")
    asks.tick(asks.field("区局领导"))
    asks.write(asks.field("申请理由"), "新到岗")
    asks.click(asks.button("提交申请"))
    expect(asks.page.locator(".alert-box.done")).to_contain_text("等待安全管理员审批")
    assert requested(ground) == [("waiting", "xitong", None)]
    asks.page.context.close()


def confirm_it(browser: Browser, ground: Ground) -> str:
    """The password that is shown once."""
    decides = hand_of(browser, ground.site, "anquan")
    decides.click(decides.page.locator(".inbox a[href^='/access-requests']"))
    decides.click(decides.page.locator("main tbody a[href^='/access-requests/']").first)
    decides.click(decides.button("同意"))
    secret = decides.read("code.secret")
    assert requested(ground) == [("confirmed", "xitong", "anquan")]
    assert secret not in str(ground.rows("SELECT facts::text FROM {d}.audit"))
    decides.page.context.close()
    return secret


def requested(ground: Ground) -> list[tuple[Any, ...]]:
    return ground.rows("SELECT state, asked_by, decided_by FROM admin.access_request WHERE object = 'zhangju'")


def levels(ground: Ground) -> list[str]:
    found = ground.rows(
        "SELECT s.level FROM admin.web_session s JOIN admin.account a USING (account_id) WHERE a.login = 'zhangju'"
    )
    return [str(level) for (level,) in found]


# ---- ten: who read a person ----


def test_an_auditor_finds_who_read_a_person_and_that_nothing_was_changed(browser: Browser, ground: Ground) -> None:
    person = read_by_the_town(browser, ground)
    audit_anchors.keep(ground.hub.worker, ground.hub.settings, Keyring.load(ground.hub.settings.home), utc_now())
    hand = hand_of(browser, ground.site, "shenji")
    hand.click(hand.page.locator("nav >> text=信息去向"))
    hand.write(hand.field("身份号码"), ZHAO)
    hand.choose(hand.field("查阅目的"), hand.page.locator("#purpose option").nth(1).inner_text())
    hand.write(hand.field("查阅理由"), "核查信息去向")
    hand.click(hand.button("查询"))
    hand.click(hand.link("查看谁查阅过"))
    hand.arrive(re.compile(r"/audit\?"))
    line = hand.page.locator("main tbody tr", has_text="查看人员信息")
    expect(line.first).to_contain_text("qingxi")
    assert ZHAO not in hand.page.content() and "赵德福" not in hand.page.content()
    hand.click(hand.page.locator("nav >> text=审计验证"))
    hand.click(hand.button("立即验证"))
    expect(hand.page.locator(".alert-box.done")).to_contain_text("没有发现问题")
    seen = [facts for act, _, facts in ground.audited("shenji", "audit/search") if act == "read-audit"]
    assert seen[-1]["filter"]["object_prefix"] == mask_within(f"person/{person}")
    assert [facts["findings"] for _, _, facts in ground.audited("shenji", "audit/verification")] == [0]
    hand.page.context.close()


def read_by_the_town(browser: Browser, ground: Ground) -> str:
    """A town officer reads a man's timeline; his id in the register."""
    town = hand_of(browser, ground.site, "qingxi")
    town.click(town.page.locator("nav.tabs a[href='/people']"))
    town.write(town.field("身份号码"), ZHAO)
    town.choose(town.field("查阅目的"), "核对信息")
    town.click(town.button("查找"))
    town.click(town.link("查看档案"))
    expect(town.page.locator("main")).to_contain_text("本次查阅已记录")
    ((person,),) = ground.rows("SELECT person_id::text FROM {d}.person_identifier WHERE value = :one", one=ZHAO)
    read = [(act, outcome) for act, outcome, _ in ground.audited("qingxi", f"person/{person}")]
    assert ("read-person", "done") in read
    town.page.context.close()
    return str(person)
