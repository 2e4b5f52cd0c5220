"""A town's returned list goes back as one workbook, every sheet marked; corrected and sent again it is taken whole."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import select

from adapters.formats.annotate import COLOURS
from hub import jobs
from hub.embedded import Cluster
from hub.exchange.marks import REASON_HEADER, RESULT_HEADER, read_row_mark
from hub.exchange.workbooks.returned import find_returned, write_returned
from hub.exchange.workbooks.returned_words import SUMMARY_NAME
from hub.jobs import Accepted
from hub.registry.scope import reach_of
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.doors import OTHER_TOWN, THIS_MONTH, TOWN, Hub, identity_number
from tests.fresh_databases import FreshDatabases
from tests.paper_hub import book_of, officer, paper_of, papered_hub
from tests.round_hub import COLLEAGUE, answer, give, items_of, work_through
from tests.round_trip import LIST_CASES, ListCase

LIST, ARRIVALS = "变动清单", "增加人员"
HEADER, FIRST = 3, 4
GOOD, LEFT = "+李", "李梅"  # answered well; not answered
CALCULATED = 1  # of the list's names one is a formula's beginning, which waits for a person whatever is answered
NUMBER = identity_number(70)
FOUND = {
    "村(居)": "光明社区", "增加类别": "漏登", "变动日期": f"{THIS_MONTH}-01", "姓名": "冯新", "身份证号": NUMBER[:-1],
    "采集人": "万和",
}  # fmt: skip


@dataclass(frozen=True)
class There:
    """The list as it was sent, as it came back, and where each case stands on it."""

    sent: Accepted
    asked: Any  # the workbook as it was taken out
    back: Path
    rows: dict[str, int]


@pytest.fixture(scope="module")
def hub(
    cluster: Cluster, fresh_databases: FreshDatabases, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    with papered_hub(cluster, fresh_databases, catalogue, tmp_path_factory.mktemp("lists")) as hub:
        yield hub


@pytest.fixture(scope="module")
def there(hub: Hub, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> There:
    content = paper_of(hub, catalogue, officer(hub)).content
    book = book_of(content)
    rows = answer_list(hub, catalogue, book[LIST])
    write_cells(book[ARRIVALS], FIRST, FOUND)
    (contested,) = [one for one in items_of(hub) if one["name"] == "@孙"]
    give(hub, catalogue, answer(contested, "1"), who=COLLEAGUE)
    sent = send(hub, catalogue, book)
    back = given_back(hub, catalogue, sent, tmp_path_factory.mktemp("back"))
    return There(sent, book_of(content), back, rows)


def answer_list(hub: Hub, catalogue: Catalogue, sheet: Any) -> dict[str, int]:
    """One line of each case and a good one; code -> row."""
    last = max(rows_of(sheet).values())
    sheet.insert_rows(last + 1, 2)
    theirs = book_of(paper_of(hub, catalogue, officer(hub, OTHER_TOWN)).content)[LIST]
    write_cells(sheet, last + 1, cells_of(theirs, rows_of(theirs)["未取名"]))
    rows = {case.code: rows_of(sheet).get(case.name, last + 2) for case in LIST_CASES}
    for case in LIST_CASES:
        write_cells(sheet, rows[case.code], case.sent)
    write_cells(sheet, rows_of(sheet)[GOOD], {"核对结果": "属实"})
    return rows


def columns_of(sheet: Any) -> dict[str, int]:
    return {str(cell.value): cell.column for cell in sheet[HEADER] if cell.value}


def rows_of(sheet: Any) -> dict[str, int]:
    column = columns_of(sheet)["姓名"]
    return {name: row for row in range(FIRST, sheet.max_row + 1) if (name := str(sheet.cell(row, column).value or ""))}


def cells_of(sheet: Any, row: int) -> dict[str, str]:
    return {header: str(sheet.cell(row, column).value or "") for header, column in columns_of(sheet).items()}


def write_cells(sheet: Any, row: int, cells: dict[str, str]) -> None:
    columns = columns_of(sheet)
    for header, text in cells.items():
        sheet.cell(row, columns[header]).value = text or None


def send(hub: Hub, catalogue: Catalogue, book: Any) -> Accepted:
    content = io.BytesIO()
    book.save(content)
    accepted = jobs.accept(
        hub.served, hub.settings, officer(hub), stream=io.BytesIO(content.getvalue()), file_name="清单.xlsx",
        door="upload", record_type="town_verification", organisation=TOWN, period=THIS_MONTH, catalogue=catalogue,
    )  # fmt: skip
    work_through(hub, catalogue, accepted.submission_id)
    return accepted


def brought(hub: Hub, sent: Accepted) -> list[Any]:
    """The ledger's rows of one workbook: the answers, and what its other sheets brought."""
    with hub.worker.begin() as connection:
        (digest,) = connection.execute(
            select(submission.c.file_sha256).where(submission.c.submission_id == sent.submission_id)
        ).one()
        asked = select(submission).where(submission.c.file_sha256 == digest).order_by(submission.c.received_at)
        return list(connection.execute(asked))


def given_back(hub: Hub, catalogue: Catalogue, sent: Accepted, folder: Path) -> Path:
    target, who = folder / "back.xlsx", officer(hub)
    with hub.served.begin(reach_of(who)) as connection:
        find_returned(connection, who, sent.submission_id)
        made = write_returned(connection, hub.settings, catalogue, sent.submission_id, target)
    assert (made.form, made.file_name) == ("annotated", "清单_退回.xlsx")
    return target


@pytest.mark.parametrize("case", LIST_CASES, ids=lambda case: case.code)
def test_what_is_wrong_is_marked_where_it_is_to_be_corrected(
    there: There, catalogue: Catalogue, case: ListCase
) -> None:
    kind, sheet = catalogue.row_errors[case.code], openpyxl.load_workbook(there.back)[LIST]
    row, columns = there.rows[case.code], columns_of(sheet)
    result, reason = sheet.cell(row, columns[RESULT_HEADER]), sheet.cell(row, columns[REASON_HEADER])
    assert result.value == {"error": "退回", "hold": "待核"}[kind.level]
    assert result.fill.fgColor.rgb[2:] == COLOURS[kind.level] and kind.fix in reason.value
    commented = {header for header, column in columns.items() if sheet.cell(row, column).comment}
    assert commented == ({case.marked} if case.marked else set())
    if case.marked:
        cell = sheet.cell(row, columns[case.marked])
        assert cell.fill.fgColor.rgb[2:] == COLOURS[kind.level] and kind.fix in cell.comment.text


def test_every_sheet_is_marked_under_its_own_receipt(hub: Hub, there: There) -> None:
    answers, arrivals = brought(hub, there.sent)
    book = openpyxl.load_workbook(there.back)
    marks = [
        {number for header in columns_of(book[name]) if (number := read_row_mark(header))} for name in (LIST, ARRIVALS)
    ]
    assert marks == [{answers.receipt_number}, {arrivals.receipt_number}]
    sheet = book[ARRIVALS]
    number = sheet.cell(FIRST, columns_of(sheet)["身份证号"])
    assert number.fill.fgColor.rgb[2:] == COLOURS["error"] and "E_ID_LENGTH" in number.comment.text
    told = [str(cell.value) for row in book[SUMMARY_NAME].iter_rows() for cell in row if cell.value]
    assert [one for one in told if one.startswith("回执")] == [
        f"回执 {answers.receipt_number} 处理结果", f"回执 {arrivals.receipt_number} 处理结果"
    ]  # fmt: skip
    assert {case.code for case in LIST_CASES} < set(told)


def test_either_receipt_gives_the_same_workbook(hub: Hub, catalogue: Catalogue, there: There, tmp_path: Path) -> None:
    _, arrivals = brought(hub, there.sent)
    other = openpyxl.load_workbook(given_back(hub, catalogue, arrivals, tmp_path))
    book = openpyxl.load_workbook(there.back)
    for name in (LIST, ARRIVALS):
        assert [[cell.value for cell in row] for row in other[name]] == [
            [cell.value for cell in row] for row in book[name]
        ]


def test_the_other_answers_drop_downs_and_the_hidden_columns_stay(there: There) -> None:
    sheet, asked = openpyxl.load_workbook(there.back)[LIST], there.asked[LIST]
    columns, rows = columns_of(sheet), rows_of(sheet)
    results = {name: sheet.cell(rows[name], columns[RESULT_HEADER]).value for name in (GOOD, LEFT)}
    assert results == {GOOD: "已接收", LEFT: "未核对"}
    assert sheet.cell(rows[GOOD], columns["核对结果"]).value == "属实"
    assert offers(sheet) == offers(asked)
    assert (sheet.freeze_panes, sheet.print_title_rows) == (asked.freeze_panes, asked.print_title_rows)
    hidden = {header: sheet.column_dimensions[sheet.cell(HEADER, column).column_letter].hidden
              for header, column in columns.items() if header in ("来源记录", "核对月份", "校验码")}  # fmt: skip
    assert hidden == {"来源记录": True, "核对月份": False, "校验码": True}, "only what is to be corrected is shown"


def offers(sheet: Any) -> set[tuple[str, str]]:
    return {(str(rule.sqref), rule.formula1) for rule in sheet.data_validations.dataValidation}


def test_corrected_as_it_says_and_sent_again_it_is_taken_whole(
    hub: Hub, catalogue: Catalogue, there: There, tmp_path: Path
) -> None:
    first, first_found = brought(hub, there.sent)
    assert (first.accepted, first.held - CALCULATED, first.refused, first_found.refused) == (1, 1, 6, 1)
    book = openpyxl.load_workbook(there.back)
    for case in LIST_CASES:
        if case.corrected is not None:
            write_cells(book[LIST], there.rows[case.code], case.corrected)
    for row in sorted((there.rows[case.code] for case in LIST_CASES if case.corrected is None), reverse=True):
        book[LIST].delete_rows(row)
    write_cells(book[ARRIVALS], FIRST, {"身份证号": NUMBER})
    again, *others = brought(hub, send(hub, catalogue, book))
    (found,) = [one for one in others if one.record_type == "town_arrival"]
    # the fifth: the colleague's verdict, said once more by somebody else
    assert (again.accepted, again.unchanged, again.held - CALCULATED, again.refused) == (5, 3, 0, 0)
    assert (found.accepted, found.held, found.refused) == (1, 0, 0)
    assert (again.thread_id, found.thread_id) == (first.submission_id, first_found.submission_id)
    assert {one["state"] for one in items_of(hub) if one["name"] == "郑第三"} == {"transferred"}
