"""Which pictures of the panel the handbooks and the README show: whose desk, which page, what to do before the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from playwright.sync_api import FilePayload, Page

from hub.demo.areas import make_district
from hub.demo.names import check_digit

UNKNOWN_HEADERS = (
    "姓名,公民身份证号,性别,出生日期,民族,所属社区(村),迁入日期\n"
    "张三,999001199001010017,男,1990-01-01,汉族,光明社区,2026-10-08\n"
)

# Places that only the database knows, each one statement: {name} in a path is the first value it selects.
PLACES = {
    "plain": "SELECT submission_id FROM {d}.submission WHERE organisation = 'public_security' AND state = 'merged'"
    " AND undoes IS NULL ORDER BY accepted DESC, received_at DESC LIMIT 1",
    "month": "SELECT month FROM {d}.monthly_round ORDER BY month DESC LIMIT 1",
    "listed": "SELECT r.month FROM {d}.round_item i JOIN {d}.monthly_round r ON r.round_id = i.round_id"
    " JOIN shared.organisation o ON o.area_id = i.town WHERE o.code = '999001001' GROUP BY r.month"
    " ORDER BY count(*) DESC, r.month DESC LIMIT 1",
    "answered": "SELECT month FROM {d}.monthly_round ORDER BY month DESC OFFSET 1 LIMIT 1",
    "licence": "SELECT request_id FROM {d}.licence_request ORDER BY asked_at DESC LIMIT 1",
}


def number_of(beginning: str) -> str:
    return beginning + check_digit(beginning)


FAULTY = (
    ("赵安邦", number_of("99900119800101001"), "1980-01-01", "2026-10-08"),
    ("", number_of("99900119820304002"), "1982-03-04", "2026-10-09"),
    ("孙安业", "999001199105060030", "1991-05-06", "2026-10-10"),
    ("李兴", number_of("99900119750708004"), "1975-07-08", "2026-13-11"),
)


def roll_file() -> bytes:
    """Two people whom nobody has registered."""
    village = make_district().villages[1].code
    numbers = (number_of("99900119900101007"), number_of("99900119850202006"))
    return f"姓名,身份证号,现住村居\n张三,{numbers[0]},{village}\n李四,{numbers[1]},{village}\n".encode()


def faulty_file() -> bytes:
    """One good row; one without a name, one with a wrong check digit, one with a month that does not exist."""
    village = make_district().villages[1].code
    lines = ["姓名,公民身份号码,性别,出生日期,民族,所属社区(村),迁入日期"]
    lines += [
        f"{name},{number},{'男' if int(number[16]) % 2 else '女'},{born},汉族,{village},{moved}"
        for name, number, born, moved in FAULTY
    ]
    return "\n".join([*lines, ""]).encode()


def send_faulty(page: Page) -> None:
    """Four rows, most of them wrong in one cell."""
    page.goto("/submissions/new?record_type=hukou_move_in&period=2026-10")
    file = FilePayload(name="户口迁入_2026-10_补报.csv", mimeType="text/csv", buffer=faulty_file())
    page.set_input_files("input[type=file]", file)
    page.locator("form[data-upload] button[type=submit]").first.click()
    page.locator("#errors").wait_for()


def correct_faulty(page: Page) -> None:
    page.get_by_role("link", name="在网页上改").first.click()
    page.wait_for_url("**/correct*")


def show_receipt(page: Page) -> None:
    page.go_back()
    page.get_by_role("link", name="回执").first.click()
    page.wait_for_url("**/receipts/**")


def send_unknown_headers(page: Page) -> None:
    """A file whose columns nobody knows: the hub asks."""
    page.goto("/submissions/new?record_type=hukou_move_in&period=2026-10")
    file = FilePayload(name="迁入登记.csv", mimeType="text/csv", buffer=UNKNOWN_HEADERS.encode())
    page.set_input_files("input[type=file]", file)
    page.locator("form[data-upload] button[type=submit]").first.click()
    page.get_by_role("link", name="确认列名").click()
    page.wait_for_url("**/columns")


def send_roll(page: Page) -> None:
    page.goto("/rolls")
    file = FilePayload(name="光明社区名册.csv", mimeType="text/csv", buffer=roll_file())
    page.set_input_files("input[type=file]", file)
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_url("**/rolls/*")


def check_audit(page: Page) -> None:
    page.goto("/audit/verification")
    page.get_by_role("button", name="立即验证").click()
    page.locator(".alert-box[data-focus]").wait_for()


class Picture(NamedTuple):
    """One picture: its file's name, whose desk, and the page."""

    name: str
    login: str
    path: str = ""
    act: Callable[[Page], None] | None = None


PICTURES = (
    Picture("clerk-inbox", "gongan", "/"),
    Picture("clerk-month", "gongan", "/month"),
    Picture("clerk-upload", "gongan", "/submissions/new"),
    Picture("clerk-effect", "gongan", "/submissions/{plain}/effect"),
    Picture("clerk-errors", "gongan", act=send_faulty),
    Picture("clerk-correct", "gongan", act=correct_faulty),
    Picture("clerk-receipt", "gongan", act=show_receipt),
    Picture("clerk-doors", "weijian", "/doors"),
    Picture("clerk-held", "gongan", "/held"),
    Picture("clerk-subscriptions", "renshe", "/subscriptions"),
    Picture("town-inbox", "qingxi", "/"),
    Picture("town-round", "qingxi", "/rounds/{listed}"),
    Picture("town-items", "qingxi", "/rounds/{listed}/items?state=all"),
    Picture("town-print", "qingxi", "/rounds/{listed}/print"),
    Picture("town-balance", "qingxi", "/balance"),
    Picture("bureau-inbox", "quju", "/"),
    Picture("bureau-board", "quju", "/board"),
    Picture("bureau-screen", "quju", "/screen"),
    Picture("bureau-submissions", "quju", "/submissions"),
    Picture("bureau-quality", "quju", "/quality"),
    Picture("bureau-matrix", "quju", "/matrix"),
    Picture("bureau-round", "quju", "/rounds/{month}"),
    Picture("bureau-held", "quju", "/held"),
    Picture("bureau-licence", "quju", "/licences/{licence}"),
    Picture("bureau-organisation", "quju", "/organisations/public_security"),
    Picture("bureau-mapping", "quju", "/mappings"),
    Picture("bureau-running", "quju", "/running"),
    Picture("admin-inbox", "anquan", "/"),
    Picture("admin-accounts", "anquan", "/accounts"),
    Picture("admin-request", "anquan", "/access-requests"),
    Picture("admin-keys", "anquan", "/keys"),
    Picture("admin-running", "xitong", "/running"),
    Picture("admin-audit", "shenji", "/audit"),
    Picture("admin-verification", "shenji", act=check_audit),
    Picture("admin-disclosures", "shenji", "/disclosures"),
    Picture("clerk-columns", "gongan", act=send_unknown_headers),  # these two send something: they come last
    Picture("town-roll", "qingxi", act=send_roll),
)
