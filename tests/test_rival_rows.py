"""Two rows of a file that say different things of one record: each names the other by the sheet's own row number."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.database import Database, run_sql
from hub.exchange import receipts
from hub.exchange.rival_rows import MOST_NAMED, Clashing, name_rivals
from hub.exchange.row_errors import explain, masked_facts
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, visitor
from tests.doors import HEADERS, Hub, founded_hub, move_in
from tests.test_correct_page import send, workbook

ZH = "文件中另有一行是同一条记录，但内容不同：{}。"
EN = "Another row of the file is the same record, with other content: {}."


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def gongan(hub: Hub) -> Iterator[Visitor]:
    client: TestClient[Litestar]
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield visitor(hub, client, "gongan")


def issues(hub: Hub, catalogue: Catalogue, sent: Any, language: str) -> list[tuple[int, str]]:
    """Row and sentence, as the interface gives them."""
    with hub.worker.begin() as connection:
        told = receipts.read_receipt(connection, sent.receipt_number, catalogue=catalogue, language=language)
    return [(one["row"], one["message"]) for one in told["issues"] if one["code"] == "E_KEY_CONFLICT"]


def test_the_other_row_is_named_wherever_the_error_is_told(hub: Hub, gongan: Visitor, catalogue: Catalogue) -> None:
    sent = send(hub, workbook(move_in(1), move_in(5, 姓名="王一"), move_in(2), move_in(5, 姓名="王二")))
    first, second = 6, 10  # every other row of the sheet, from the fourth
    assert issues(hub, catalogue, sent, "zh") == [(first, ZH.format("第 10 行")), (second, ZH.format("第 6 行"))]
    assert issues(hub, catalogue, sent, "en") == [(first, EN.format("row 10")), (second, EN.format("row 6"))]
    place = f"/submissions/{sent.submission_id}"
    assert ZH.format("第 10 行") in gongan.get(place).text
    assert EN.format("row 6") in gongan.get(place, "en").text
    assert ZH.format("第 6 行") in gongan.get(f"{place}/correct").text
    assert ZH.format("第 10 行") in gongan.get(f"{place}/errors.csv").text
    book = openpyxl.load_workbook(io.BytesIO(gongan.get(f"{place}/returned.xlsx").content))
    told = {row: [str(cell.value) for cell in book.worksheets[0][row]] for row in (first, second)}
    assert any(ZH.format("第 10 行") in text for text in told[first])
    assert any(ZH.format("第 6 行") in text for text in told[second])


def test_of_several_sheets_the_other_rows_sheet_is_named(hub: Hub, catalogue: Catalogue) -> None:
    book: Any = openpyxl.Workbook()
    for name, person in (("城关", "王一"), ("东风", "王二")):
        sheet = book.create_sheet(name)
        sheet.append(HEADERS)
        for row in (move_in(1 if name == "城关" else 2), move_in(5, 姓名=person)):
            sheet.append([row[header] for header in HEADERS])
    del book["Sheet"]
    content = io.BytesIO()
    book.save(content)
    sent = send(hub, content.getvalue())
    assert issues(hub, catalogue, sent, "zh") == [(3, ZH.format("“东风”第 3 行")), (3, ZH.format("“城关”第 3 行"))]


def test_of_many_the_first_are_named_and_all_are_counted(catalogue: Catalogue) -> None:
    rows = [Clashing(number, number + 1, "one record") for number in range(1, 10)]
    told = name_rivals(rows, {"sheets": [{"sheet": "一", "rows": 9}]})
    params = masked_facts(told[2])
    assert explain(catalogue, "E_KEY_CONFLICT", params).message == ZH.format(
        "第 2 行、第 4 行、第 5 行、第 6 行、第 7 行等 8 行"
    )
    assert "row 7 and others, 8 in all" in explain(catalogue, "E_KEY_CONFLICT", params, "en").message
    assert {len(one["places"]) for one in told.values()} == {MOST_NAMED}  # type: ignore[arg-type]


def test_no_number_of_a_person_is_told_by_the_name_of_a_sheet(catalogue: Catalogue) -> None:
    told = {"places": [{"row": 3, "sheet": "999001199003070007的表"}], "count": 1}
    assert "999001199003070007" not in explain(catalogue, "E_KEY_CONFLICT", masked_facts(told)).message


def test_without_its_file_the_error_names_no_row(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, workbook(move_in(5, 姓名="王一"), move_in(5, 姓名="王二")))
    with hub.worker.begin() as connection:
        run_sql(connection, "UPDATE {d}.row_error SET params = '{}'")  # what its end leaves of it
    assert [message for _, message in issues(hub, catalogue, sent, "zh")] == [ZH.format("（不显示）")] * 2
