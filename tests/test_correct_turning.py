"""A correction over several pages is one submission: what was typed goes along in the form, bounded, and nowhere else."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from adapters.formats import sandbox
from admin import correct_page
from hub.database import Database, run_sql
from hub.exchange import sheet_rows
from hub.exchange.workbooks import returned_results
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, visitor
from tests.doors import HEADERS, THIS_MONTH, Hub, csv_of, founded_hub, move_in
from tests.test_correct_page import SHORT, field, fields_of, ledger, numbers, registered, row_of, send, work, workbook

DAY = f"{THIS_MONTH}-01"
DAY_BEFORE = str(date.fromisoformat(DAY) - timedelta(days=1))


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def gongan(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    """At pages of two rows."""
    monkeypatch.setattr(correct_page, "A_PAGE", 2)
    client: TestClient[Litestar]
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield visitor(hub, client, "gongan")


def five_bad(*, without: int = 0) -> list[dict[str, str]]:
    return [move_in(serial, 迁入日期="某日") for serial in range(1, 6) if serial != without]


def turn(who: Visitor, path: str, page: str, towards: str, **typed: str) -> Any:
    """Press the button to another page, with these cells typed."""
    label = {"next": "留着本页，看下一页", "back": "留着本页，看上一页"}[towards]
    ((target, go),) = re.findall(rf'formaction="(\?after=\d+)" name="go" value="(\d+)">{label}', page)
    return who.send(path + target, fields_of(page) | typed | {"go": go})


def shown_rows(page: str) -> list[str]:
    return re.findall(r'id="row-(\d+)"', page)


def test_three_pages_are_sent_together_as_one_submission(hub: Hub, gongan: Visitor) -> None:
    sent = send(hub, workbook(*five_bad()))
    path = f"/submissions/{sent.submission_id}/correct"
    first = gongan.get(path).text
    assert "第 1 页，共 3 页" in first and "留着本页，看上一页" not in first
    second = turn(gongan, path, first, "next", **{field(first, 1, "迁入日期"): DAY})
    assert (second.status_code, second.headers["Cache-Control"]) == (200, "no-store")
    assert shown_rows(second.text) == ["3", "4"] and "第 2 页，共 3 页" in second.text
    note = second.text.split("别的页已改 1 行")[1].split("</p>")[0]
    assert "第 4 行" in note, "the first row stands in the sheet's row 4"
    third = turn(gongan, path, second.text, "next", **{field(second.text, 4, "迁入日期"): DAY}).text
    assert shown_rows(third) == ["5"] and "看下一页" not in third
    assert len(ledger(hub)) == 1, "nothing is sent by turning pages"

    back = turn(gongan, path, third, "back", **{field(third, 5, "迁入日期"): DAY}).text
    assert shown_rows(back) == ["3", "4"]
    assert fields_of(back)[field(back, 4, "迁入日期")] == DAY, "what was typed here is here again"
    answer = gongan.send(path, fields_of(back) | {field(back, 3, "姓名"): "王改名", field(back, 3, "迁入日期"): DAY})
    work(hub)
    done = row_of(hub, UUID(answer.headers["location"].rsplit("/", 1)[1]))
    assert (done.received, done.accepted, done.thread_id) == (4, 4, sent.submission_id)
    assert registered(hub) == numbers(1, 3, 4, 5)
    assert shown_rows(gongan.get(path).text) == ["2"]


def test_what_was_typed_is_kept_nowhere_but_in_the_form(hub: Hub, gongan: Visitor) -> None:
    sent = send(hub, workbook(*five_bad()))
    path = f"/submissions/{sent.submission_id}/correct"
    first = gongan.get(path).text
    files = sorted(hub.settings.home.rglob("*"))
    turn(gongan, path, first, "next", **{field(first, 1, "姓名"): "独一无二"})
    assert sorted(hub.settings.home.rglob("*")) == files
    with hub.worker.begin() as connection:
        found = run_sql(connection, "SELECT count(*) FROM {d}.audit WHERE facts::text LIKE '%独一无二%'")
        lines = run_sql(
            connection, "SELECT facts FROM {d}.audit WHERE facts ->> 'what' = 'rows to correct' ORDER BY at"
        )
    assert found == [(0,)]
    assert [facts["rows"] for (facts,) in lines] == [2, 2], "each look is noted"  # type: ignore[index]


def test_a_newer_file_between_two_pages_is_told_before_anything_is_sent(hub: Hub, gongan: Visitor) -> None:
    sent = send(hub, workbook(*five_bad()))
    path = f"/submissions/{sent.submission_id}/correct"
    first = gongan.get(path).text
    day = field(first, 1, "迁入日期")
    second = turn(gongan, path, first, "next", **{day: DAY}).text
    other = gongan.get(path).text
    gongan.send(path, fields_of(other) | {day: DAY_BEFORE, field(other, 2, "迁入日期"): DAY})
    work(hub)
    third = turn(gongan, path, second, "next", **{field(second, 3, "迁入日期"): DAY}).text
    assert "第 6 行" not in third.split("别的页已改 1 行")[1].split("</p>")[0], "row 1 came back in the newer file"
    stale = gongan.send(path, fields_of(third))
    assert stale.status_code == 409 and "已有更新的报送" in stale.text
    sure = gongan.send(path, fields_of(stale.text))
    work(hub)
    assert (sure.status_code, len(ledger(hub))) == (303, 3)
    assert registered(hub) == numbers(1, 2, 3)


def test_too_much_for_the_form_stays_on_its_page_and_says_so(
    hub: Hub, gongan: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send(hub, workbook(*five_bad()))
    path = f"/submissions/{sent.submission_id}/correct"
    first = gongan.get(path).text
    monkeypatch.setattr(correct_page, "MOST_CARRIED", 400)
    name = field(first, 1, "姓名")
    refused = turn(gongan, path, first, "next", **{name: "长" * 60})
    assert refused.status_code == 400 and "请先送出这些，再接着改后面的行" in refused.text
    assert shown_rows(refused.text) == ["1", "2"]
    assert fields_of(refused.text)[name] == "长" * 60
    assert len(ledger(hub)) == 1


def test_a_newer_file_is_told_even_after_too_much_was_typed(
    hub: Hub, gongan: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send(hub, workbook(*five_bad()))
    path = f"/submissions/{sent.submission_id}/correct"
    first = gongan.get(path).text
    day = field(first, 1, "迁入日期")
    gongan.send(path, fields_of(first) | {field(first, 2, "迁入日期"): DAY})
    work(hub)
    monkeypatch.setattr(correct_page, "MOST_CARRIED", 10)
    refused = turn(gongan, path, first, "next", **{day: DAY}).text
    stale = gongan.send(path, fields_of(refused) | {day: DAY})
    assert (stale.status_code, len(ledger(hub))) == (409, 2)


def test_two_sheets_are_corrected_in_their_places_and_the_file_is_read_once_a_page(
    hub: Hub, gongan: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send(hub, two_sheets())
    read: list[object] = []
    once = sandbox.read_raw

    def counting(*given: Any) -> Any:
        read.append(given)
        return once(*given)

    monkeypatch.setattr(sheet_rows, "read_raw", counting)
    monkeypatch.setattr(returned_results, "parse", None)  # the whole file is not parsed again
    path = f"/submissions/{sent.submission_id}/correct"
    first = gongan.get(path).text
    assert "东风" in first and len(read) == 1
    answer = gongan.send(path, fields_of(first) | {field(first, n, "迁入日期"): DAY for n in (1, 2)})
    work(hub)
    done = row_of(hub, UUID(answer.headers["location"].rsplit("/", 1)[1]))
    assert (done.received, done.accepted) == (2, 2)


def two_sheets() -> bytes:
    book: Any = openpyxl.Workbook()
    for name, serial in (("城关", 1), ("东风", 2)):
        sheet = book.create_sheet(name)
        sheet.append(HEADERS)
        row = move_in(serial, 迁入日期="某日")
        sheet.append([row[header] for header in HEADERS])
    del book["Sheet"]
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def test_a_file_refused_whole_says_why_and_what_to_do_instead(hub: Hub, gongan: Visitor) -> None:
    sent = send(hub, "随便,写写\r\n1,2\r\n".encode(), "没有表头.csv")
    assert sent.state == "refused"
    page = gongan.get(f"/submissions/{sent.submission_id}/correct")
    assert page.status_code == 409
    assert "整份没有收下，没有可以逐行改的行" in page.text
    assert "找不到表头行" in page.text and "/submissions/new?" in page.text
    good = gongan.get(f"/submissions/{send(hub, csv_of(move_in(9))).submission_id}/correct").text
    assert "没有退回或待核的行" in good and "returned.xlsx" not in good


def test_what_waits_or_was_taken_back_says_so(hub: Hub, gongan: Visitor) -> None:
    unknown = csv_of(move_in(7)).decode().replace("公民身份号码", "公民身份证号码号").encode()
    asking = send(hub, unknown, "问.csv")
    page = gongan.get(f"/submissions/{asking.submission_id}/correct").text
    assert "还在等您确认列名" in page and f"/submissions/{asking.submission_id}/columns" in page
    mixed = send(hub, workbook(move_in(1), move_in(2, 公民身份号码=SHORT)))
    gongan.post(f"/submissions/{mixed.submission_id}/undo", reason="报错了月份", sure="yes")
    work(hub)
    assert "已经撤销，里面的行都不算数" in gongan.get(f"/submissions/{mixed.submission_id}/correct").text
