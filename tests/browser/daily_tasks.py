"""How many actions and seconds the daily tasks cost, counted by script from the inbox on.

``python -m tests.browser.daily_tasks`` prints the table for the README.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import expect

from hub.casework.rounds import open_round
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.registry.permissions import SYSTEM_ACTOR
from mappings.catalogue import Catalogue
from tests.browser.hands import SUBMISSION, Counted
from tests.decisions import send
from tests.district import GUANGMING
from tests.doors import THIS_MONTH, VILLAGE, Hub, csv_of, identity_number, move_in, open_account
from tests.licensed import ask
from tests.round_hub import AFTER_THE_MONTH
from tests.staged import stage

PEOPLE_OF_THE_VILLAGE = 30
SHORT = "9990011990030799"
Walk = Callable[[Counted, Path], None]


class Task(NamedTuple):
    """What somebody does in one go, beginning at their inbox, and the most actions it may cost."""

    title: str
    login: str
    most: int
    walk: Walk


class Measured(NamedTuple):
    """What it cost."""

    task: Task
    actions: int
    seconds: float


def prepare_tasks(hub: Hub, catalogue: Catalogue) -> None:
    """A village of thirty changes, a file with a bad row, a slice somebody asks for."""
    its = catalogue.record_types["hukou_move_in"]
    moved = [
        {"name": move_in(serial)["姓名"], "id_no": identity_number(serial), "move_date": f"{THIS_MONTH}-01",
         "person_area": GUANGMING, "live_div": VILLAGE}
        for serial in range(100, 100 + PEOPLE_OF_THE_VILLAGE)
    ]  # fmt: skip
    with hub.worker.begin() as connection:
        submission_id = stage(connection, its, moved)
        apply_staged(connection, submission_id, "public_security", its, catalogue)
        number_changes(connection, submission_id)
        open_round(connection, hub.settings, catalogue, SYSTEM_ACTOR, THIS_MONTH, AFTER_THE_MONTH)
    send(hub, catalogue, csv_of(move_in(1), move_in(2, 公民身份号码=SHORT)))
    with hub.served.begin() as connection:
        open_account(connection, "gongan-sj", "public_security", "data_officer")
    ask(hub, catalogue)


def good_file(folder: Path) -> Path:
    path = folder / "迁入人员.csv"
    path.write_bytes(csv_of(*(move_in(serial) for serial in range(11, 21))))
    return path


# ---- the tasks ----


def send_a_good_file(hand: Counted, folder: Path) -> None:
    path = good_file(folder)
    hand.click(hand.page.locator("a.main-work"))
    hand.pick_file(hand.field("文件"), path)
    hand.click(hand.button("上传并取得回执"))
    hand.arrive(SUBMISSION)
    hand.wait_for(hand.page.locator(".alert-box.done", has_text="没有差错"))


def confirm_a_village(hand: Counted, folder: Path) -> None:
    hand.click(hand.page.locator("a.main-work"))
    hand.choose(hand.field("村居"), f"光明社区（未核对 {PEOPLE_OF_THE_VILLAGE}）")
    hand.arrive(re.compile("village="))
    hand.write(hand.field("核对人"), "万和")
    hand.choose(hand.field("核对方式"), hand.page.locator("#method option").nth(1).inner_text())
    hand.write(hand.field("未核对的有几项"), str(PEOPLE_OF_THE_VILLAGE))
    hand.click(hand.button("未核对的全部属实"))
    hand.arrive(re.compile("sent="))
    hand.wait_for(hand.page.locator(".alert-box", has_text=f"已报送 {PEOPLE_OF_THE_VILLAGE} 项"))


def find_why_a_cell_is_red(hand: Counted, folder: Path) -> None:
    hand.click(hand.page.locator(".inbox a[href*='state=errors']"))
    hand.click(hand.page.locator("main td.bad a").first)
    hand.click(hand.page.locator("main td.file a, main tbody a[href^='/submissions/']").first)
    expect(hand.page.locator("table.errors")).to_contain_text("公民身份号码")


def find_why_from_the_board(hand: Counted, folder: Path) -> None:
    hand.click(hand.page.locator("a.main-work"))
    hand.click(hand.page.locator(".chip.errors a").first)
    hand.click(hand.page.locator("main tbody a[href^='/submissions/']").first)
    expect(hand.page.locator("table.errors")).to_contain_text("公民身份号码")


def find_why_a_measure_is_red(hand: Counted, folder: Path) -> None:
    hand.click(hand.link("核实"))
    hand.click(hand.link("质量"))
    hand.click(hand.page.locator("main td.bad a").first)
    expect(hand.page.locator("table.dense")).to_contain_text("空缺")


def mend_a_row(hand: Counted, folder: Path) -> None:
    hand.click(hand.page.locator("main table a[href^='/submissions/']").last)
    hand.click(hand.link("在网页上改"))
    hand.write(hand.page.locator(".cells").get_by_label("公民身份号码"), identity_number(2))
    hand.click(hand.button("送出改好的行并取得回执"))
    hand.page.wait_for_url(SUBMISSION)
    hand.wait_for(hand.page.locator(".alert-box.done", has_text="没有差错"))


def report_nothing(hand: Counted, folder: Path) -> None:
    hand.click(hand.page.locator(".inbox a[href^='/month?']").first)
    hand.click(hand.page.get_by_role("button", name=re.compile("报“本月无变动”")).first)
    hand.arrive(SUBMISSION)
    hand.wait_for(hand.page.locator("main", has_text="已报：本月无变动"))


def answer_a_request(hand: Counted, folder: Path) -> None:
    hand.click(hand.page.locator(".inbox a[href^='/licences/']"))
    expect(hand.page.locator("#preview")).to_contain_text("样例")
    hand.choose(hand.field("意见"), hand.page.locator("#outcome option[value=approved]").inner_text())
    hand.click(hand.button("答复"))
    hand.wait_for(hand.page.locator(".alert-box.done"))


TASKS = (
    Task("看出一类报送为什么有差错（部门经办）", "gongan", 3, find_why_a_cell_is_red),
    Task("看出总览上一格为什么是红的（区局）", "quju", 3, find_why_from_the_board),
    Task("看出一项质量数字为什么不达标（部门经办）", "gongan", 3, find_why_a_measure_is_red),
    Task("上传一份没有差错的表（部门经办）", "gongan", 3, send_a_good_file),
    Task("在网页上改好一行差错（部门经办）", "gongan", 5, mend_a_row),
    Task("报“本月无变动”（部门经办）", "renshe", 2, report_nothing),
    Task("核对一个村的 30 项变动（镇街）", "qingxi", 10, confirm_a_village),
    Task("答复一件订阅申请（数据管理员）", "gongan-sj", 4, answer_a_request),
)


def table_of(measured: list[Measured]) -> str:
    lines = ["| 每天做的事 | 动作 | 上限 | 秒 |", "|---|---:|---:|---:|"]
    lines += [f"| {one.task.title} | {one.actions} | {one.task.most} | {one.seconds:.1f} |" for one in measured]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-q", "-s", "--no-header", str(Path(__file__).with_name("test_daily_tasks.py"))]))
