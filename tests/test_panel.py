"""The panel without a browser: sessions, forms, who sees what, and that every sentence has its English."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select, update

from admin.language import english_sentences
from admin.messages import sentences_in_source
from admin.pages import TEMPLATES
from admin.sign_in import own_path
from admin.words import LEVELS, STATES
from hub.database import Database, utc_now
from hub.exchange.change_list import ListedChange
from hub.exchange.change_list_workbook import Wording, write_workbook
from hub.registry.masking import mask_identifier, mask_within
from hub.settings import Settings
from hub.tables import audit, row_error, submission, web_session
from mappings.catalogue import Catalogue
from tests.doors import OTHER_VILLAGE, PASSWORD, THIS_MONTH, Hub, csv_of, founded_hub, move_in, open_account

OWN = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
CHINESE = re.compile(r"[\u4e00-\u9fff]")

Client = TestClient[Litestar]


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        client.headers.update(OWN)
        yield client


def token_of(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found
    return found.group(1)


def sign_in(client: Client, login: str, password: str = PASSWORD) -> Any:
    form = {"token": token_of(client.get("/sign-in").text), "login": login, "password": password}
    return client.post("/sign-in", data=form, follow_redirects=False)


def upload(client: Client, body: bytes, name: str = "moves.csv", **fields: str) -> Any:
    form = {"record_type": "hukou_move_in", "period": THIS_MONTH, **fields}
    token = token_of(client.get("/submissions/new").text)
    files = {"file": (name, body, "text/csv")}
    return client.post("/submissions/new", data={"token": token, **form}, files=files, follow_redirects=False)


# ---- sessions ----


def test_signing_in_gives_a_new_session_whose_value_is_not_kept(client: Client, app_database: Database) -> None:
    client.get("/sign-in")
    before = client.cookies["__Host-sid"]
    answer = sign_in(client, "gongan")
    after = client.cookies["__Host-sid"]
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert after != before
    with app_database.begin() as connection:
        kept = connection.execute(select(web_session)).one()
    assert after.encode() not in (kept.session_digest, kept.content)


def test_the_session_cookie_is_out_of_reach(client: Client) -> None:
    cookie = next(line for line in sign_in(client, "gongan").headers.get_list("set-cookie") if "__Host-sid" in line)
    assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_a_session_value_from_outside_is_replaced(client: Client) -> None:
    client.cookies.set("__Host-sid", "chosen-by-somebody-else")
    answer = client.get("/sign-in")
    assert answer.cookies["__Host-sid"] != "chosen-by-somebody-else"
    assert client.get("/submissions", follow_redirects=False).status_code == 303


def test_a_session_ends_by_idleness_by_age_and_by_signing_out(client: Client, app_database: Database) -> None:
    for ending in ("last_seen_at", "expires_at"):
        sign_in(client, "gongan")
        assert client.get("/submissions", follow_redirects=False).status_code == 200
        with app_database.begin() as connection:
            connection.execute(update(web_session).values({ending: utc_now() - timedelta(hours=1)}))
        assert client.get("/submissions", follow_redirects=False).headers["location"].startswith("/sign-in")
    sign_in(client, "gongan")
    kept = client.cookies["__Host-sid"]
    client.post("/sign-out", data={"token": token_of(client.get("/submissions").text)})
    client.cookies.set("__Host-sid", kept)
    assert client.get("/submissions", follow_redirects=False).status_code == 303


def test_a_wrong_password_and_an_unknown_login_are_answered_alike(client: Client) -> None:
    wrong, unknown = sign_in(client, "gongan", "wrong-password"), sign_in(client, "nobody", "wrong-password")
    strip = re.compile(r'value="[^"]*"|"X-Form-Token": "[^"]*"')
    assert wrong.status_code == unknown.status_code == 401
    assert strip.sub("", wrong.text).replace(" autofocus", "") == strip.sub("", unknown.text).replace(" autofocus", "")


def test_the_first_password_must_be_changed_before_anything_else(client: Client, app_database: Database) -> None:
    with app_database.begin() as connection:
        open_account(connection, "newcomer", "labour", "department_clerk", must_change=True)
    assert sign_in(client, "newcomer").headers["location"] == "/password"
    assert client.get("/submissions").status_code == 403
    form = {
        "token": token_of(client.get("/password").text),
        "old": PASSWORD,
        "new": "春江花月夜-1638",
        "again": "春江花月夜-1638",
    }
    assert client.post("/password", data=form, follow_redirects=False).headers["location"] == "/sign-in?changed=true"
    sign_in(client, "newcomer", "春江花月夜-1638")
    assert client.get("/submissions").status_code == 200


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "evil"])
def test_signing_in_never_leads_elsewhere(path: str) -> None:
    assert own_path(path) == "/"


# ---- forms ----


@pytest.mark.parametrize(
    "origin",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {}],
    ids=["cross-site", "same-site", "foreign origin", "neither"],
)
def test_a_form_sent_from_elsewhere_is_refused_whatever_its_token(client: Client, origin: dict[str, str]) -> None:
    sign_in(client, "gongan")
    form = {"token": token_of(client.get("/submissions").text)}
    del client.headers["Sec-Fetch-Site"]
    answer = client.post("/sign-out", data=form, headers=origin)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert client.get("/submissions", follow_redirects=False).status_code == 200


def test_our_own_origin_is_enough_where_the_browser_does_not_say_the_site(client: Client) -> None:
    form = {"token": token_of(client.get("/sign-in").text), "login": "gongan", "password": PASSWORD}
    del client.headers["Sec-Fetch-Site"]
    answer = client.post("/sign-in", data=form, headers={"Origin": "https://hub.test"}, follow_redirects=False)
    assert answer.status_code == 303


def test_a_form_with_another_sessions_token_is_refused(client: Client, hub: Hub) -> None:
    sign_in(client, "renshe")
    foreign = token_of(client.get("/submissions").text)
    sign_in(client, "gongan")
    for token in (foreign, ""):
        assert client.post("/sign-out", data={"token": token}).status_code == 403
        files = {"file": ("a.csv", b"x", "text/csv")}
        assert client.post("/submissions/new", data={"token": token}, files=files).status_code == 403
    assert list((hub.settings.files / "tmp").iterdir()) == []


# ---- uploading and what became of it ----


def test_an_upload_leads_to_its_submission_and_the_same_again_says_so(client: Client) -> None:
    sign_in(client, "gongan")
    first = upload(client, csv_of(move_in(1)))
    again = upload(client, csv_of(move_in(1)), name="copy.csv")
    assert first.status_code == 303
    assert again.headers["location"] == first.headers["location"] + "?repeated=true"
    assert "没有重复处理" in client.get(again.headers["location"]).text


def test_a_type_the_unit_may_not_send_is_neither_offered_nor_taken(client: Client) -> None:
    sign_in(client, "renshe")
    assert 'value="hukou_move_in"' not in client.get("/submissions/new").text
    assert upload(client, csv_of(move_in(1))).status_code == 422


def test_only_the_upload_takes_a_large_body(client: Client) -> None:
    sign_in(client, "gongan")
    assert client.post("/sign-out", data={"token": "x" * 70_000}).status_code == 413
    assert upload(client, csv_of(*(move_in(serial) for serial in range(999)))).status_code == 303


def test_the_error_page_names_rows_columns_and_reasons_and_masks_numbers(client: Client, hub: Hub) -> None:
    sign_in(client, "gongan")
    wrong = move_in(3, 公民身份号码="999001199003070000")
    place = upload(client, csv_of(move_in(1), wrong, move_in(2))).headers["location"]
    hub.work()
    page = client.get(place).text
    row = re.search(r'<tr class="hold">(.*?)</tr>', page, re.S)
    assert row
    assert re.search(r'<th scope="row" class="n">(?:<a [^>]*>)?3', row.group(1))
    assert "<td>B</td>" in row.group(1)
    assert "999001********0000" in row.group(1)
    assert "999001199003070000" not in page


def test_rows_of_errors_are_read_page_by_page_and_filtered(client: Client, hub: Hub) -> None:
    sign_in(client, "gongan")
    rows = [move_in(serial, 性别="既非男也非女") for serial in range(1, 121)]
    place = upload(client, csv_of(*rows)).headers["location"]
    hub.work()
    path, seen = place, []
    while path:
        page = client.get(path).text
        seen += [int(number) for number in re.findall(r'<th scope="row" class="n">(?:<a [^>]*>)?(\d+)', page)]
        following = re.search(r'class="pager"><a href="([^"]+)"', page)
        path = place + following.group(1).replace("&amp;", "&") if following else ""
    assert sorted(set(seen)) == list(range(2, 122))
    assert len(seen) == len(set(seen))
    assert not re.findall(r'<th scope="row" class="n">', client.get(f"{place}?level=note").text)


def test_another_units_submission_and_receipt_are_not_there(client: Client) -> None:
    sign_in(client, "gongan")
    place = upload(client, csv_of(move_in(1))).headers["location"]
    number = re.search(r"HR[0-9A-Z-]+", client.get(place).text)
    sign_in(client, "renshe")
    assert number
    for path in (place, f"{place}/progress", f"/receipts/{number.group()}"):
        assert client.get(path).status_code == 404


def test_reading_errors_and_change_lists_leaves_an_audit_line(
    client: Client, hub: Hub, owner_database: Database
) -> None:
    sign_in(client, "gongan")
    place = upload(client, csv_of(move_in(1), move_in(2, 公民身份号码="123"))).headers["location"]
    hub.work()
    client.get(place)
    sign_in(client, "qingxi")
    client.get("/changes")
    with owner_database.begin() as connection:
        lines = connection.execute(select(audit.c.actor, audit.c.act, audit.c.facts).order_by(audit.c.at)).all()
    acts = {(line.actor, line.act): line.facts for line in lines}
    assert acts["gongan", "read-submission"]["rows"] >= 1
    assert acts["qingxi", "read-change-list"]["count"] == 1
    assert len(acts["qingxi", "read-change-list"]["digest"]) == 64


def test_a_dry_run_is_shown_as_one_and_merges_nothing(client: Client, hub: Hub) -> None:
    sign_in(client, "gongan")
    place = upload(client, csv_of(move_in(1)), dry_run="on").headers["location"]
    hub.work()
    page = client.get(place).text
    assert "试检，不入库" in page
    assert 'hx-trigger="every 1s"' not in page
    assert client.get("/submissions").status_code == 200
    sign_in(client, "qingxi")
    assert "本月没有涉及本辖区的变动" in client.get("/changes").text


# ---- the town's change list ----


@pytest.fixture
def moved(client: Client, hub: Hub) -> None:
    """Two people moved into one town and one into another."""
    sign_in(client, "gongan")
    rows = [
        move_in(1, 姓名="李秀英"),
        move_in(2, 姓名="赵国强"),
        move_in(3, 姓名="钱外地", **{"所属社区(村)": OTHER_VILLAGE}),
    ]
    upload(client, csv_of(*rows))
    hub.work()


def test_a_town_lists_the_changes_of_its_own_area_alone(client: Client, moved: None) -> None:
    sign_in(client, "qingxi")
    page = client.get("/changes").text
    assert "李秀英" in page and "赵国强" in page
    assert "钱外地" not in page
    assert "光明社区" in page
    assert "999001********" in page
    sign_in(client, "bailu")
    assert "钱外地" in client.get("/changes").text


def test_the_downloaded_list_is_the_list_with_title_marks_and_footer(client: Client, moved: None) -> None:
    sign_in(client, "qingxi")
    answer = client.get(f"/changes.xlsx?month={THIS_MONTH}")
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=4, max_row=5)]
    assert sheet["A1"].value == f"清溪街道{int(THIS_MONTH[:4])}年{int(THIS_MONTH[5:])}月人口变动清单"
    assert "qingxi" in sheet["A2"].value
    assert {row[2] for row in rows} == {"李秀英", "赵国强"}
    assert "填表人" in sheet["A7"].value
    assert sheet.print_title_rows == "$3:$3"


def test_nothing_in_a_downloaded_list_is_a_formula(tmp_path: Path) -> None:
    line = ListedChange(
        seq=1, village="@SUM(A1)", names='=HYPERLINK("http://x")', ids="+1", record_type="hukou_move_in",
        event_date="-1", change="enter", source="public_security", record_id="", recorded_at=utc_now(),
    )  # fmt: skip
    words = Wording(
        title="[清单]", headers=["="] * 10, footer="", watermark="=1&A", record_type=str, change=str, organisation=str
    )
    write_workbook(tmp_path / "list.xlsx", [line], words, utc_now())
    cells = [
        cell for row in openpyxl.load_workbook(tmp_path / "list.xlsx").active.iter_rows() for cell in row if cell.value
    ]
    assert len(cells) > 15
    assert {cell.data_type for cell in cells} == {"s"}


def test_a_month_without_changes_has_an_empty_list(client: Client, moved: None) -> None:
    sign_in(client, "qingxi")
    assert "本月没有涉及本辖区的变动" in client.get("/changes?month=2020-01").text
    assert client.get("/changes?month=2020-13").status_code == 400


def test_only_a_town_has_a_change_list(client: Client) -> None:
    for login in ("gongan", "quju", "fuyou", "shenji"):
        sign_in(client, login)
        assert client.get("/changes").status_code == 403


# ---- the bureau's board ----


def test_the_board_leads_down_to_masked_rows(client: Client, moved: None) -> None:
    sign_in(client, "quju")
    board = client.get(f"/board?month={THIS_MONTH}").text
    cell = re.search(r'href="(/submissions\?period=[^"]+)"', board)
    assert cell
    listed = client.get(cell.group(1).replace("&amp;", "&")).text
    place = re.search(r'href="(/submissions/[0-9a-f-]{36})"', listed)
    assert place
    rows = client.get(f"{place.group(1)}/rows").text
    assert "赵***" in rows
    assert "赵国强" not in rows
    assert "999001********" in rows


def test_the_bureau_never_sees_a_row_of_a_type_that_is_clinical_by_existing(client: Client, hub: Hub) -> None:
    sign_in(client, "fuyou")
    lines = ("建册编号,孕妇姓名,孕妇身份证号,末次月经,建册日期", "B-1,王小明,123,2026-09-01,2026-11-02")
    sent = upload(client, "\r\n".join(lines).encode(), record_type="antenatal_booking")
    place = sent.headers["location"]
    hub.work()
    assert '<th scope="row"' in client.get(place).text
    sign_in(client, "quju")
    page = client.get(place)
    assert page.status_code == 200
    assert '<th scope="row"' not in page.text
    assert "王" not in page.text
    assert client.get(f"{place}/rows").status_code == 403


def test_the_board_is_the_bureaus(client: Client) -> None:
    for login in ("gongan", "qingxi", "shenji"):
        sign_in(client, login)
        assert client.get("/board").status_code == 403


# ---- words ----


def test_every_sentence_has_its_english() -> None:
    english = english_sentences()
    missing = {sentence for _, _, sentence in sentences_in_source() if sentence not in english}
    assert missing == set()


def test_every_state_and_level_the_tables_know_has_its_word() -> None:
    checks = [
        str(each.sqltext) for table in (submission, row_error) for each in table.constraints if hasattr(each, "sqltext")
    ]
    known = {
        name: set(re.findall(r"'(\w+)'", check))
        for name in ("state", "level")
        for check in checks
        if f"{name} IN" in check
    }
    assert known["state"] <= STATES.keys()
    assert known["level"] <= LEVELS.keys()


def test_no_english_sentence_is_left_over_or_left_chinese() -> None:
    used = {sentence for _, _, sentence in sentences_in_source()}
    assert set(english_sentences()) - used == set()
    assert [sentence for sentence in english_sentences().values() if CHINESE.search(sentence)] == []


def test_no_template_has_chinese_outside_the_catalogue() -> None:
    marked = re.compile(r"\{#.*?#\}|_\('[^']*'|'中文'", re.S)
    bare = {path.name for path in TEMPLATES.iterdir() if CHINESE.search(marked.sub("", path.read_text("utf-8")))}
    assert bare == set()


def test_the_pages_speak_english_when_asked(client: Client) -> None:
    client.get("/language/en?back=/sign-in")
    page = client.get("/sign-in").text
    assert '<html lang="en">' in page
    assert "Sign in" in page
    assert client.get("/language/fr").status_code == 404


# ---- masking ----


@pytest.mark.parametrize(
    ("value", "shown"),
    [("999001199003070011", "999001********0011"), ("12345678", "1******8"), ("12", "**"), ("", ""), (None, "")],
)
def test_an_identifier_shows_its_ends_only(value: str | None, shown: str) -> None:
    assert mask_identifier(value) == shown


def test_numbers_inside_a_text_are_masked() -> None:
    assert mask_within("号码 999001199003070011，电话 13900001234") == "号码 999001********0011，电话 139****1234"
    assert mask_within("2026-11-01 第 12 行") == "2026-11-01 第 12 行"
