"""Which pictures of the panel the handbooks and the README show: whose desk, which page, what to do before the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from playwright.sync_api import FilePayload, Page

UNKNOWN_HEADERS = (
    "当事人,证件号,性别,出生日期,民族,迁入村居,落户日期\n"
    "张三,999001199001010017,男,1990-01-01,汉族,光明社区,2026-10-08\n"
)
ROLL = "姓名,公民身份号码,所属村居\n张三,999001199001010017,光明社区\n李四,999001198502020022,光明社区\n"

# Places that only the database knows, each one statement: {name} in a path is the first value it selects.
PLACES = {
    "faulty": "SELECT submission_id FROM {d}.submission WHERE organisation = 'public_security' AND state = 'merged'"
    " AND refused > 0 ORDER BY refused DESC, received_at DESC LIMIT 1",
    "receipt": "SELECT receipt_number FROM {d}.submission WHERE organisation = 'public_security' AND state = 'merged'"
    " AND refused > 0 ORDER BY refused DESC, received_at DESC LIMIT 1",
    "plain": "SELECT submission_id FROM {d}.submission WHERE organisation = 'public_security' AND state = 'merged'"
    " AND accepted > 3 AND undoes IS NULL ORDER BY received_at DESC LIMIT 1",
    "month": "SELECT month FROM {d}.monthly_round ORDER BY month DESC LIMIT 1",
    "listed": "SELECT r.month FROM {d}.round_item i JOIN {d}.monthly_round r ON r.round_id = i.round_id"
    " JOIN shared.organisation o ON o.area_id = i.town WHERE o.code = '999001001' GROUP BY r.month"
    " ORDER BY count(*) DESC, r.month DESC LIMIT 1",
    "answered": "SELECT month FROM {d}.monthly_round ORDER BY month DESC OFFSET 1 LIMIT 1",
    "licence": "SELECT request_id FROM {d}.licence_request ORDER BY asked_at DESC LIMIT 1",
}


def send_unknown_headers(page: Page) -> None:
    """A file whose columns nobody knows: the hub asks."""
    page.goto("/submissions/new?record_type=hukou_move_in&period=2026-10")
    file = FilePayload(name="迁入登记.csv", mimeType="text/csv", buffer=UNKNOWN_HEADERS.encode())
    page.set_input_files("input[type=file]", file)
    page.locator("form[data-upload] button[type=submit]").first.click()
    page.wait_for_url("**/submissions/**")
    page.get_by_role("link", name="确认列名").click()


def send_roll(page: Page) -> None:
    page.goto("/rolls")
    file = FilePayload(name="光明社区名册.csv", mimeType="text/csv", buffer=ROLL.encode())
    page.set_input_files("input[type=file]", file)
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_load_state()


def check_audit(page: Page) -> None:
    page.goto("/audit/verification")
    page.get_by_role("button", name="立即验证").click()


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
    Picture("clerk-errors", "gongan", "/submissions/{faulty}"),
    Picture("clerk-correct", "gongan", "/submissions/{faulty}/correct"),
    Picture("clerk-receipt", "gongan", "/receipts/{receipt}"),
    Picture("clerk-doors", "weijian", "/doors"),
    Picture("clerk-held", "gongan", "/held"),
    Picture("clerk-subscriptions", "renshe", "/subscriptions"),
    Picture("town-inbox", "qingxi", "/"),
    Picture("town-round", "qingxi", "/rounds/{listed}"),
    Picture("town-items", "qingxi", "/rounds/{listed}/items?state=all"),
    Picture("town-cards", "qingxi", "/rounds/{listed}/cards"),
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
