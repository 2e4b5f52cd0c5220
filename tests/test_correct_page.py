"""Bad rows corrected in the browser: the sheet's own places, one receipt, the register at the end; and who may."""

from __future__ import annotations

import html
import io
import re
from typing import Any
from uuid import UUID

import msgspec
import openpyxl
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select

from hub import jobs
from hub.database import run_sql
from hub.exchange import pipeline
from hub.registry.permissions import SYSTEM_ACTOR
from hub.tables import submission
from tests.desk_visits import Visitor, visitor
from tests.doors import HEADERS, THIS_MONTH, Hub, csv_of, identity_number, move_in

HEADER_ROW, FIRST = 3, 4
SHORT, SHORT_AGAIN = "9990011990030799", "9990011990030798"


def workbook(*rows: dict[str, str]) -> bytes:
    """A title, an empty row, the header in row 3 after a column of serial numbers; a blank line after every row."""
    book: Any = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "十一月"
    sheet.cell(1, 1).value = "迁入人员名单"
    for place, header in enumerate(("序号", *HEADERS), 1):
        sheet.cell(HEADER_ROW, place).value = header
    for number, row in enumerate(rows):
        at = FIRST + 2 * number
        sheet.cell(at, 1).value = number + 1
        for place, header in enumerate(HEADERS, 2):
            sheet.cell(at, place).value = row[header]
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def send(hub: Hub, content: bytes, name: str = "名单.xlsx", *, organisation: str = "public_security") -> Any:
    accepted = jobs.accept(
        hub.worker, hub.settings, SYSTEM_ACTOR, stream=io.BytesIO(content), file_name=name, door="command",
        record_type="hukou_move_in", organisation=organisation, period=THIS_MONTH,
    )  # fmt: skip
    work(hub)
    return row_of(hub, accepted.submission_id)


def work(hub: Hub) -> None:
    """What is queued, without the worker's loop."""
    with hub.worker.begin() as connection:
        ids = list(connection.scalars(select(submission.c.submission_id).where(submission.c.state == "received")))
    for submission_id in ids:
        pipeline.run(hub.worker, hub.settings, submission_id)


def row_of(hub: Hub, submission_id: UUID) -> Any:
    with hub.worker.begin() as connection:
        return connection.execute(select(submission).where(submission.c.submission_id == submission_id)).one()


def fields_of(page: str) -> dict[str, str]:
    """What a browser would send of the form as it stands."""
    form = page.split('class="lines correct"')[1].split("</form>")[0]
    found = re.findall(r'<input [^>]*?name="([^"]+)"(?: value="([^"]*)")?', form)
    return {name: html.unescape(value) for name, value in found}


def field(page: str, row_no: int, header: str) -> str:
    """The name of the field under this header."""
    row = page.split(f'id="row-{row_no}"')[1].split("</fieldset>")[0]
    found: list[str] = re.findall(rf'<label for="([ck]-\d+-\d+)">(?:(?!</label>).)*?{re.escape(header)}', row, re.S)
    return found[0]


def correct(hub: Hub, who: Visitor, sent: Any, *changes: tuple[int, str, str]) -> Any:
    """Open the page, change these cells, press the button, let the worker work: where it led."""
    path = f"/submissions/{sent.submission_id}/correct"
    page = who.get(path).text
    form = fields_of(page) | {field(page, row_no, header): text for row_no, header, text in changes}
    answer = who.send(path, form)
    assert answer.status_code == 303, answer.text
    work(hub)
    return row_of(hub, UUID(re.findall(r"/submissions/([0-9a-f-]{36})", answer.headers["location"])[0]))


def places(hub: Hub, sent: Any) -> list[tuple[Any, ...]]:
    """sheet, row, column, header of what kept rows out of the register."""
    said = "SELECT sheet, sheet_row, column_letter, header FROM {d}.row_error WHERE submission_id = :id"
    levels = " AND level IN ('error', 'hold') ORDER BY row_no"
    with hub.worker.begin() as connection:
        return [tuple(one) for one in run_sql(connection, said + levels, id=sent.submission_id)]


def waiting(hub: Hub, sent: Any) -> int:
    asked = "SELECT count(*) FROM {d}.held_row WHERE submission_id = :id AND state = 'waiting'"
    with hub.worker.begin() as connection:
        return int(str(run_sql(connection, asked, id=sent.submission_id)[0][0]))


def registered(hub: Hub) -> list[str]:
    with hub.worker.begin() as connection:
        rows = run_sql(connection, "SELECT id_no FROM {d}.rec_hukou_move_in ORDER BY 1")
    return [str(one) for (one,) in rows]


def numbers(*serials: int) -> list[str]:
    return sorted(map(identity_number, serials))


FIVE = (
    move_in(1), move_in(2, 公民身份号码=SHORT), move_in(3), move_in(4, 迁入日期="某日"), move_in(5, 民族="火星族"),
)  # fmt: skip
BAD_PLACES = [("十一月", 6, "C", "公民身份号码"), ("十一月", 10, "H", "迁入日期"), ("十一月", 12, "F", "民族")]
DAY = f"{THIS_MONTH}-01"


def test_a_row_wrong_twice_keeps_its_place_in_the_sheet_and_ends_in_the_register(hub: Hub, gongan: Visitor) -> None:
    first = send(hub, workbook(*FIVE))
    assert (first.accepted, first.refused, first.held) == (2, 2, 1)
    assert places(hub, first) == BAD_PLACES
    assert waiting(hub, first) == 1

    fixed = ((2, "公民身份号码", SHORT_AGAIN), (4, "迁入日期", DAY), (5, "民族", "汉族"))
    second = correct(hub, gongan, first, *fixed)
    assert (second.received, second.accepted, second.refused) == (3, 2, 1)
    assert (second.thread_id, second.period, second.door) == (first.submission_id, first.period, "upload")
    assert places(hub, second) == BAD_PLACES[:1], "the second round speaks of the sheet's own rows and letters"
    assert waiting(hub, first) == 0, "what came back waits no more"

    third = correct(hub, gongan, second, (1, "公民身份号码", identity_number(2)))
    assert (third.received, third.accepted, third.thread_id) == (1, 1, first.submission_id)
    assert registered(hub) == numbers(1, 2, 3, 4, 5)
    assert "都已改好重报" in gongan.get(f"/submissions/{first.submission_id}/correct").text


def test_pressing_twice_is_one_receipt_and_untouched_rows_stay(hub: Hub, gongan: Visitor) -> None:
    sent = send(hub, workbook(*FIVE))
    path = f"/submissions/{sent.submission_id}/correct"
    page = gongan.get(path).text
    form = fields_of(page)
    untouched = gongan.send(path, form)
    assert (untouched.status_code, "没有改动任何一格" in untouched.text) == (400, True)
    form[field(page, 4, "迁入日期")] = DAY
    once = gongan.send(path, form)
    work(hub)
    twice = gongan.send(path, form)
    assert twice.headers["location"] == f"{once.headers['location']}?repeated=true"
    again = gongan.get(path).text
    assert re.findall(r'id="row-(\d+)"', again) == ["2", "5"]
    assert len(ledger(hub)) == 2


def test_a_newer_file_of_the_thread_is_shown_before_anything_is_sent(hub: Hub, gongan: Visitor) -> None:
    sent = send(hub, workbook(*FIVE))
    path = f"/submissions/{sent.submission_id}/correct"
    page = gongan.get(path).text
    number, day = field(page, 2, "公民身份号码"), field(page, 4, "迁入日期")
    newer = correct(hub, gongan, sent, (4, "迁入日期", DAY))
    stale = gongan.send(path, fields_of(page) | {number: identity_number(2), day: f"{THIS_MONTH}-02"})
    assert stale.status_code == 409
    assert f'href="/submissions/{newer.submission_id}">{newer.receipt_number}' in stale.text
    assert re.findall(r'id="row-(\d+)"', stale.text) == ["2", "5"], "row 4 has been sent again"
    assert fields_of(stale.text)[number] == identity_number(2), "what was typed is kept"
    assert len(ledger(hub)) == 2
    sure = gongan.send(path, fields_of(stale.text))
    work(hub)
    assert sure.status_code == 303
    assert registered(hub) == numbers(1, 2, 3, 4)


def test_bad_cells_are_shown_as_written_good_ones_masked_and_the_look_is_noted(hub: Hub, gongan: Visitor) -> None:
    sent = send(hub, workbook(*FIVE))
    page = gongan.get(f"/submissions/{sent.submission_id}/correct").text
    shown = fields_of(page)
    assert shown[field(page, 2, "公民身份号码")] == SHORT
    good = field(page, 4, "公民身份号码")
    assert (good[0], shown[good]) == ("k", "")
    assert identity_number(4) not in page
    bad = field(page, 2, "公民身份号码")
    assert f'aria-describedby="{bad}-1 "' in page
    assert f'id="{bad}-1"' in page
    lines = "SELECT facts FROM {d}.audit WHERE object = :about AND facts ->> 'what' = 'rows to correct'"
    with hub.worker.begin() as connection:
        noted = run_sql(connection, lines, about=f"submission/{sent.submission_id}")
    assert [(facts["rows"], "digest" in facts) for (facts,) in noted] == [(3, True)]  # type: ignore[index,operator]
    assert SHORT not in str(noted)


def test_only_the_senders_own_clerk_comes_in(hub: Hub, client: TestClient[Litestar]) -> None:
    sent = send(hub, workbook(*FIVE))
    path = f"/submissions/{sent.submission_id}/correct"
    answers = [visitor(hub, client, login).get(path).status_code for login in ("renshe", "qingxi", "quju", "shenji")]
    assert answers == [404, 404, 403, 403]
    renshe = visitor(hub, client, "renshe")
    assert renshe.send(path, {"token": renshe.token, "c-2-2": identity_number(2)}).status_code == 404
    assert len(ledger(hub)) == 1


def test_what_cannot_be_corrected_here_says_what_to_do(hub: Hub, gongan: Visitor) -> None:
    sent = send(hub, workbook(*FIVE))
    path = f"/submissions/{sent.submission_id}/correct"
    with hub.worker.begin() as connection:
        expired = "UPDATE {d}.submission SET facts = facts || '{\"file_expired\": true}' WHERE submission_id = :id RETURNING 1"
        run_sql(connection, expired, id=sent.submission_id)
    page = gongan.get(path)
    assert page.status_code == 410
    assert "请在您自己的原表里改好" in page.text
    assert gongan.get(f"/submissions/{send(hub, csv_of(move_in(9))).submission_id}/correct").status_code == 409


def test_text_and_json_keep_their_lines_and_a_heading_its_village(hub: Hub, gongan: Visitor) -> None:
    for name, content in (("名单.csv", csv_of(*FIVE)), ("rows.ndjson", json_of(*FIVE))):
        sent = send(hub, content, name)
        rows = [row for _, row, _, _ in places(hub, sent)]
        second = correct(hub, gongan, sent, (2, "公民身份号码", SHORT_AGAIN), (4, "迁入日期", DAY))
        assert (second.received, second.refused, second.thread_id) == (2, 1, sent.submission_id), name
        assert [row for _, row, _, _ in places(hub, second)] == rows[:1], name
    lines = [",".join(HEADERS), "光明社区,,,,,,", csv_line(move_in(21, **{"所属社区(村)": "", "迁入日期": "某日"}))]
    sent = send(hub, "\r\n".join(lines).encode(), "村.csv")
    assert correct(hub, gongan, sent, (1, "迁入日期", DAY)).accepted == 1, "the heading went with its row"


def test_another_cell_is_corrected_too_and_what_stays_empty_stays_as_it_is(hub: Hub, gongan: Visitor) -> None:
    sent = send(hub, workbook(*FIVE))
    second = correct(hub, gongan, sent, (4, "迁入日期", DAY), (4, "姓名", "王改名"))
    with hub.worker.begin() as connection:
        found = run_sql(
            connection,
            "SELECT name, id_no FROM {d}.rec_hukou_move_in WHERE submission_id = :id",
            id=second.submission_id,
        )
    assert [tuple(one) for one in found] == [("王改名", identity_number(4))]


def test_types_of_care_are_corrected_by_care_alone(hub: Hub, client: TestClient[Litestar]) -> None:
    lines = "建册编号,孕妇姓名,孕妇身份证号,末次月经,建册日期\r\nB-1,王小明,123,2026-09-01,2026-11-02\r\n"
    accepted = jobs.accept(
        hub.worker, hub.settings, SYSTEM_ACTOR, stream=io.BytesIO(lines.encode()), file_name="建册.csv", door="command",
        record_type="antenatal_booking", organisation="mch_station", period=THIS_MONTH,
    )  # fmt: skip
    work(hub)
    path = f"/submissions/{accepted.submission_id}/correct"
    own = visitor(hub, client, "fuyou").get(path)
    assert (own.status_code, 'id="row-1"' in own.text) == (200, True)
    others = [visitor(hub, client, login).get(path).status_code for login in ("gongan", "qingxi", "quju")]
    assert others == [404, 404, 403]


def test_the_submission_leads_to_its_rows_and_one_that_asks_can_be_withdrawn(hub: Hub, gongan: Visitor) -> None:
    sent = send(hub, workbook(*FIVE))
    page = gongan.get(f"/submissions/{sent.submission_id}").text
    first = page.split('role="alert"')[1].split("</div>")[0]
    assert "还有 3 行没有入库" in first
    assert first.index("在网页上改（3 行）") < first.index("下载带标注的原表")
    assert f'href="/submissions/{sent.submission_id}/correct?after=3#row-4"' in page
    unknown = csv_of(move_in(7)).decode().replace("公民身份号码", "公民身份证号码号").encode()
    asking = send(hub, unknown, "问.csv")
    assert asking.state == "asking"
    assert "不报了，撤回这一份" in gongan.get(f"/submissions/{asking.submission_id}").text
    gongan.post(f"/submissions/{asking.submission_id}/withdraw", reason="月份选错")
    gone = row_of(hub, asking.submission_id)
    assert (gone.state, gone.refusal["code"]) == ("refused", "F_WITHDRAWN")


def json_of(*rows: dict[str, str]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def csv_line(row: dict[str, str]) -> str:
    return ",".join(row[header] for header in HEADERS)


def ledger(hub: Hub) -> list[Any]:
    with hub.worker.begin() as connection:
        return list(connection.scalars(select(submission.c.submission_id)))
