"""The returned workbook: every error is where it belongs, says how to be corrected, and is gone after one round."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
import pytest
import xlwt
from sqlalchemy import select
from typer.testing import CliRunner

from adapters.formats.annotate import COLOURS
from adapters.formats.annotation import Instructions, annotate
from adapters.formats.sandbox import Limits
from hub.__main__ import app
from hub.database import Database, run_sql
from hub.demo.areas import area_rows
from hub.embedded import Cluster
from hub.errors import HubError, NotFound
from hub.exchange import threads
from hub.exchange.marks import REASON_HEADER, RESULT_HEADER, read_row_mark
from hub.exchange.workbooks import error_list, returned
from hub.exchange.workbooks.error_list import write_error_list
from hub.exchange.workbooks.returned import Returned, find_returned
from hub.exchange.workbooks.returned_words import SUMMARY_NAME
from hub.exchange.workbooks.template import make_template
from hub.exchange.workbooks.template_columns import columns_of
from hub.registry.areas import import_areas
from hub.registry.permissions import SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from hub.settings import load_settings
from hub.tables import audit
from mappings.catalogue import Catalogue
from tests.district import enter
from tests.factories import DISTRICT, row_values
from tests.fresh_databases import FreshDatabases
from tests.returning_hub import Hub, clerk_of
from tests.round_trip import CASES, EXCEPTIONS, HEALTH, LIST_CASES, POLICE, Carrier, Case
from tests.sheets import death_row, death_sheet

GOOD = 2
FIRST_ROW = 3  # under title and header
DEATHS: Carrier = ("health", "death_certificate")


@pytest.fixture
def owner_url(hub: Hub, cluster: Cluster) -> str:
    return cluster.urls(hub.worker.url.database or "").owner


@pytest.fixture(scope="module")
def hub(
    cluster: Cluster, fresh_databases: FreshDatabases, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    name, home = fresh_databases.take(), tmp_path_factory.mktemp("returned")
    urls = cluster.urls(name)
    settings = load_settings(home, database_url=urls.app, worker_url=urls.worker, fictitious_prefixes=("999001",))
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with served.begin() as connection:
        import_areas(connection, SYSTEM_ACTOR, area_rows(DISTRICT), date(2020, 1, 1))
        for code in ("public_security", "commerce", "health", "bureau"):
            enter(connection, code, "bureau" if code == "bureau" else "department")
    yield Hub(worker, served, settings, catalogue, home)
    worker.close()
    served.close()
    fresh_databases.give_back(name)


# ---- the round trip ----


@dataclass(frozen=True)
class Round:
    """One file there, back, and there again."""

    sent: Any
    book: Any  # as it came back
    corrected: Any  # the second submission
    rows: dict[str, int]  # case -> row of the sheet
    places: dict[str, int]  # field -> column


def fill(hub: Hub, carrier: Carrier, cases: list[Case]) -> tuple[Any, dict[str, int], list[dict[str, str]]]:
    organisation, code = carrier
    mapping = hub.catalogue.mapping_for(organisation, "department", code)
    assert mapping is not None
    kind = hub.catalogue.record_types[code]
    columns = columns_of(hub.catalogue, kind, mapping, "codes", None, None)
    places = {column.field: place for place, column in enumerate(columns, 1)}
    content = make_template(hub.catalogue, organisation, "某单位", "department", code, month="2026-10", variant="codes")
    book: Any = openpyxl.load_workbook(io.BytesIO(content))
    values = [row_values(hub.catalogue, code, sequence=number) for number in range(len(cases) + GOOD)]
    for at, row in enumerate(values, FIRST_ROW):
        for field, place in places.items():
            book.worksheets[0].cell(at, place).value = row.get(field) or None
    for at, case in enumerate(cases, FIRST_ROW):
        book.worksheets[0].cell(at, places[case.field]).value = case.sent or None
    return book, places, values


def saved(book: Any) -> bytes:
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def go_round(hub: Hub, carrier: Carrier) -> Round:
    cases = [case for case in CASES if case.carrier == carrier]
    book, places, values = fill(hub, carrier, cases)
    sent = hub.send(carrier, saved(book), "报送.xlsx")
    made, back = hub.give_back(sent)
    assert made == Returned(file_name="报送_退回.xlsx", form="annotated", bad_rows=len(cases))
    corrected: Any = openpyxl.load_workbook(hub.folder / f"{sent.receipt_number}.xlsx")
    for at, (case, row) in enumerate(zip(cases, values, strict=False), FIRST_ROW):
        corrected.worksheets[0].cell(at, places[case.field]).value = case.corrected or row[case.field]
    again = hub.send(carrier, saved(corrected), "报送_退回.xlsx")
    return Round(sent, back, again, {case.code: at for at, case in enumerate(cases, FIRST_ROW)}, places)


@pytest.fixture(scope="module")
def rounds(hub: Hub) -> dict[Carrier, Round]:
    return {carrier: go_round(hub, carrier) for carrier in (POLICE, HEALTH)}


def test_every_row_error_is_in_the_round_trip_or_has_a_reason_not_to_be(catalogue: Catalogue) -> None:
    keeping_out = {one.code for one in catalogue.row_errors.values() if one.level in ("error", "hold")}
    of_rows = {code for code in keeping_out if not code.startswith("F_")}
    proved = {case.code for case in CASES} | {case.code for case in LIST_CASES}
    assert proved | EXCEPTIONS.keys() == of_rows
    assert proved & EXCEPTIONS.keys() == set()


def columns_added(sheet: Any, header: int = FIRST_ROW - 1) -> dict[str, int]:
    return {str(cell.value): cell.column for cell in sheet[header] if cell.value}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_the_bad_cell_is_coloured_and_says_what_to_do(
    rounds: dict[Carrier, Round], catalogue: Catalogue, case: Case
) -> None:
    around, kind = rounds[case.carrier], catalogue.row_errors[case.code]
    sheet, row = around.book.worksheets[0], around.rows[case.code]
    cell, added = sheet.cell(row, around.places[case.field]), columns_added(sheet)
    assert cell.fill.fgColor.rgb[2:] == COLOURS[kind.level]
    assert case.code in cell.comment.text and kind.fix in cell.comment.text and kind.fix_en in cell.comment.text
    assert sheet.cell(row, added[RESULT_HEADER]).value == {"error": "退回", "hold": "待核"}[kind.level]
    assert kind.fix in sheet.cell(row, added[REASON_HEADER]).value


@pytest.mark.parametrize("carrier", [POLICE, HEALTH], ids=lambda carrier: carrier[1])
def test_the_corrected_workbook_is_taken_whole_and_only_its_new_rows_count(
    rounds: dict[Carrier, Round], carrier: Carrier
) -> None:
    around = rounds[carrier]
    sent, again, bad = around.sent, around.corrected, len(around.rows)
    assert (sent.received, sent.accepted, sent.held + sent.refused) == (bad + GOOD, GOOD, bad)
    counts = (again.received, again.accepted, again.unchanged, again.held, again.refused)
    assert counts == (bad + GOOD, bad, GOOD, 0, 0)
    assert again.thread_id == sent.submission_id
    noted = {name: again.facts[name] for name in ("unknown_columns", "hidden_sheets", "unread_sheets")}
    assert noted == {"unknown_columns": [], "hidden_sheets": [], "unread_sheets": []}


def test_good_rows_say_that_they_are_in_and_a_second_return_says_unchanged(
    hub: Hub, rounds: dict[Carrier, Round]
) -> None:
    around = rounds[HEALTH]
    certificate = around.rows["E_CERTIFICATE"]  # the last bad row: two good ones follow

    def results(book: Any) -> list[object]:
        sheet = book.worksheets[0]
        place = columns_added(sheet)[RESULT_HEADER]
        return [sheet.cell(row, place).value for row in range(certificate, certificate + 3)]

    assert results(around.book) == ["退回", "已接收", "已接收"]
    _, second = hub.give_back(around.corrected)
    assert results(second) == ["已接收", "无变化", "无变化"]
    sheet = second.worksheets[0]
    headers = [str(cell.value) for cell in sheet[FIRST_ROW - 1] if cell.value]
    assert [headers.count(name) for name in (RESULT_HEADER, REASON_HEADER)] == [1, 1]
    assert [read_row_mark(header) for header in headers if read_row_mark(header)] == [around.corrected.receipt_number]
    corrected = sheet.cell(certificate, around.places["cert_no"])
    assert corrected.comment is None and corrected.fill.fill_type is None  # nothing is said of it any more


def test_the_workbook_opens_at_its_first_bad_cell_and_ends_with_a_summary(rounds: dict[Carrier, Round]) -> None:
    around = rounds[HEALTH]
    book, sheet = around.book, around.book.worksheets[0]
    first = sheet.cell(FIRST_ROW, around.places["facility_uscc"]).coordinate
    assert book.active is sheet and sheet.freeze_panes == "A3"
    assert sheet.sheet_view.selection[0].activeCell == first
    assert sheet.column_dimensions[sheet.cell(2, sheet.max_column).column_letter].hidden
    page = book[book.sheetnames[-1]]
    assert page.title == SUMMARY_NAME
    lines = {str(row[3].value): row for row in page.iter_rows()}
    assert [cell.value for cell in lines["E_USCC"]][:3] == ["退回", "统一社会信用代码不对", "1"]
    assert lines["E_USCC"][5].hyperlink.location == f"'{sheet.title}'!{first}"


# ---- what the original was like ----


def sheet_with_everything() -> bytes:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "十一月'死亡"
    sheet.merge_cells("A1:J1")
    sheet["A1"] = "死亡登记"
    headers = ["卡片编号", "死者姓名", "性别", "有效身份证件类别", "证件号码", "出生日期", "死亡日期", "备注"]
    for place, header in enumerate(headers, 1):
        sheet.cell(2, place).value = header
    for at, row in enumerate((death_row(41), death_row(42, died="昨天"), death_row(43)), 3):
        for place, text in enumerate(row.split(","), 1):
            sheet.cell(at, place).value = text
    sheet["H3"], sheet["H5"] = "=1+1", "=cmd|calc"
    sheet["H5"].data_type = "s"
    sheet.column_dimensions["B"].width = 33
    sheet.column_dimensions["D"].hidden = sheet.row_dimensions[4].hidden = True
    sheet.column_dimensions["I"].min, sheet.column_dimensions["I"].max = 9, 16_384
    return saved(book)


def test_an_xlsx_keeps_merges_widths_hidden_columns_and_formulas(hub: Hub) -> None:
    made, book = hub.give_back(hub.send(DEATHS, sheet_with_everything(), "死亡.xlsx"))
    sheet = book["十一月'死亡"]
    assert made.form == "annotated"
    assert "A1:J1" in {str(one) for one in sheet.merged_cells.ranges}
    assert (sheet.column_dimensions["B"].width, sheet.column_dimensions["D"].hidden) == (33, True)
    assert (sheet["H3"].data_type, sheet["H3"].value) == ("f", "=1+1")
    assert (sheet["H5"].data_type, sheet["H5"].value) == ("s", "=cmd|calc")
    assert sheet["I2"].value == RESULT_HEADER and sheet["I4"].value == "退回"
    assert not sheet.row_dimensions[4].hidden  # what is to be corrected can be seen
    assert "E_DATE" in sheet["G4"].comment.text


def test_csv_comes_back_as_a_workbook_of_text_with_the_same_rows(hub: Hub) -> None:
    content = death_sheet(death_row(51), death_row(52, died="昨天"), death_row(53, name="=cmd|calc"))
    made, book = hub.give_back(hub.send(DEATHS, content, "死亡.csv"))
    sheet = book.worksheets[0]
    assert made == Returned(file_name="死亡_退回.xlsx", form="rebuilt", bad_rows=2)
    assert [sheet.cell(row, 8).value for row in range(1, 5)] == [RESULT_HEADER, "已接收", "退回", "待核"]
    assert (sheet["B4"].data_type, sheet["B4"].value) == ("s", "=cmd|calc")
    assert sheet["G3"].fill.fgColor.rgb[2:] == COLOURS["error"] and "2026-11-05" in sheet["G3"].comment.text
    sheet["G3"], sheet["B4"] = "2026-11-03", "王建国"
    again = hub.send(DEATHS, saved(book), "死亡_退回.xlsx")
    assert (again.accepted, again.unchanged, again.held + again.refused) == (2, 1, 0)


def test_a_number_that_lost_its_digits_stays_a_number_on_the_way_back(hub: Hub) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("死亡")
    lines = death_sheet(death_row(61), death_row(62)).decode("utf-8-sig").splitlines()
    cells: list[list[object]] = [list(line.split(",")) for line in lines]
    cells[2][4] = 999001195001010000.0  # of ten such numbers one has a check digit that fits by luck
    for at, row in enumerate(cells):
        for place, cell in enumerate(row):
            sheet.write(at, place, cell)
    made, back = hub.give_back(hub.send(DEATHS, saved(book), "死亡.xls"))
    page = back.worksheets[0]
    assert (made.form, page.title, page["E3"].data_type) == ("rebuilt", "死亡", "n")
    assert "E_ID_TRUNCATED" in page["E3"].comment.text


def test_many_rows_come_back_as_only_the_bad_ones(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returned, "MOST_ROWS", 2)
    rows = [death_row(71), death_row(72, died="昨天"), death_row(73), death_row(74, died="前天")]
    sent = hub.send(DEATHS, death_sheet(*rows), "死亡.csv")
    made, book = hub.give_back(sent)
    sheet = book.worksheets[0]
    assert (made.form, sheet.max_row) == ("bad rows", 3)
    assert [sheet.cell(row, 10).value for row in (2, 3)] == ["2", "4"]
    sheet["G2"] = sheet["G3"] = "2026-11-03"
    again = hub.send(DEATHS, saved(book), "死亡_退回.xlsx")
    assert (again.accepted, again.thread_id) == (2, sent.submission_id)


def test_a_workbook_that_cannot_be_opened_again_is_made_anew(hub: Hub) -> None:
    broken = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sheet_with_everything())) as whole, zipfile.ZipFile(broken, "w") as parts:
        for name in whole.namelist():
            parts.writestr(name, b"<nothing" if name == "docProps/core.xml" else whole.read(name))
    made, book = hub.give_back(hub.send(DEATHS, broken.getvalue(), "死亡.xlsx"))
    sheet = book.worksheets[0]
    assert made.form == "rebuilt"
    assert (sheet["I4"].value, sheet["H5"].data_type, sheet["H5"].value) == ("退回", "s", "=cmd|calc")
    assert "E_DATE" in sheet["G4"].comment.text


def test_a_workbook_that_costs_too_much_is_given_up_and_leaves_nothing_behind(tmp_path: Path) -> None:
    original, target, book = tmp_path / "a.xlsx", tmp_path / "out" / "b.xlsx", openpyxl.Workbook()
    for row in range(1, 301):
        book.worksheets[0].cell(row, 1).value = f"{row:05d}" + "字" * 30_000
    original.write_bytes(saved(book))
    target.parent.mkdir()
    words = Instructions(
        sheets=[], summary=[], summary_name="x", result_header="r", reason_header="r", mark_prefix="m",
        author="hub",
    )  # fmt: skip
    for small in (Limits(wall_seconds=0.02), Limits(memory_bytes=40 << 20)):
        assert not annotate(original, target, words, small)
        assert list(target.parent.iterdir()) == []
    assert annotate(original, target, words, Limits())
    assert [each.name for each in target.parent.iterdir()] == ["b.xlsx"]


def test_what_only_the_register_finds_stands_in_the_row_and_one_row_less_is_taken(hub: Hub) -> None:
    rows = (death_row(98), death_row(98, name="李建国"), death_row(99))
    _, book = hub.give_back(hub.send(DEATHS, death_sheet(*rows), "两行.csv"))
    sheet = book.worksheets[0]
    assert [sheet.cell(row, 8).value for row in (2, 3, 4)] == ["待核", "待核", "已接收"]
    assert "另有一行是同一条记录" in sheet["I2"].value and sheet["H2"].fill.fgColor.rgb[2:] == COLOURS["hold"]
    sheet.delete_rows(3)
    again = hub.send(DEATHS, saved(book), "两行_退回.xlsx")
    assert (again.accepted, again.unchanged, again.held) == (1, 1, 0)


def test_as_many_ranges_as_rows_are_gone_through_in_a_moment(hub: Hub) -> None:
    """Every second row of a long file comes back."""
    every_second = list(range(1, 80_001, 2))
    asked = f"SELECT count(*) FROM generate_series(1, 80000) s (n) WHERE CAST(s.n AS bigint) <@ {threads._IN_RANGES}"
    with hub.worker.begin() as connection:
        run_sql(connection, "SET LOCAL statement_timeout = '4s'")
        assert run_sql(connection, asked, first=every_second, last=every_second) == [(40_000,)]


def test_a_file_refused_as_a_whole_comes_back_with_the_reason(hub: Hub) -> None:
    content = death_sheet(death_row(81)).decode("utf-8-sig").replace("死亡日期", "那天").encode()
    made, book = hub.give_back(hub.send(DEATHS, content, "缺列.csv"))
    assert (made.form, len(book.sheetnames)) == ("rebuilt", 2)
    assert book.worksheets[0]["G1"].value == "那天"
    assert "死亡日期" in "".join(str(cell.value) for row in book[SUMMARY_NAME].iter_rows() for cell in row)
    made, book = hub.give_back(hub.send(DEATHS, b"PK\x03\x04" + b"\0" * 200, "坏的.xlsx"))
    assert (made.form, book.sheetnames) == ("summary", [SUMMARY_NAME])


def test_a_reader_of_english_gets_english(hub: Hub) -> None:
    sent = hub.send(DEATHS, death_sheet(death_row(91, died="昨天")), "english.csv")
    _, book = hub.give_back(sent, "en")
    assert book.worksheets[0]["H2"].value == "refused"
    assert book.worksheets[0]["G2"].comment.text.startswith("refused")


# ---- whose it is ----


def test_only_the_sender_gets_it_and_it_is_noted(hub: Hub, rounds: dict[Carrier, Round]) -> None:
    mine = rounds[POLICE].sent.submission_id

    def ask(actor: Actor) -> None:
        with hub.served.begin(reach_of(actor)) as connection:
            find_returned(connection, actor, mine)

    for other in (clerk_of("health"), clerk_of("bureau", "bureau_operator", "bureau"), clerk_of("health", "auditor")):
        with pytest.raises(HubError) as refused:
            ask(other)
        assert refused.value.status in (403, 404)
    ask(clerk_of("public_security", "data_officer"))
    with hub.worker.begin() as connection:
        place = f"submission/{mine}"
        lines = connection.execute(select(audit).where(audit.c.object == place, audit.c.act == "read-submission")).all()
    assert {line.facts["what"] for line in lines} == {"returned-workbook"}
    with pytest.raises(NotFound):
        find_gone(hub)


def find_gone(hub: Hub) -> None:
    with hub.served.begin() as connection:
        find_returned(connection, clerk_of("health"), UUID(int=7))


def test_no_comment_repeats_a_clinical_value(rounds: dict[Carrier, Round]) -> None:
    around = rounds[HEALTH]
    sheet, row = around.book.worksheets[0], around.rows["E_NUMBER"]
    weight = sheet.cell(row, around.places["weight_g"])
    assert weight.value == "约七斤八两"  # the sender's own file, as it was
    reason = sheet.cell(row, columns_added(sheet)[REASON_HEADER]).value
    assert "七斤" not in weight.comment.text + reason


# ---- 差错清单 ----


def test_the_list_of_errors_is_text_for_people(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = hub.send(DEATHS, death_sheet(death_row(95, died="=1+1"), death_row(96, died="昨天")), "清单.csv")

    def listed() -> str:
        stream = io.StringIO(newline="")
        with hub.served.begin(reach_of(clerk_of("health"))) as connection:
            assert write_error_list(connection, hub.catalogue, sent.submission_id, stream) == 2
        return stream.getvalue()

    def calculated(text: str) -> list[str]:
        lines = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
        return [cell for line in lines for cell in line if cell.startswith(("=", "+", "-", "@", "\t"))]

    text = listed()
    assert text.startswith("\ufeff工作表,行,列,列名,级别,代码,填写的值,原因,修改办法\r\n")
    assert ",2,G,死亡日期,待核,E_FORMULA_NO_VALUE,'=1+1," in text
    assert calculated(text) == []
    monkeypatch.setattr(error_list, "as_text", str)  # without the apostrophe a spreadsheet would calculate it
    assert calculated(listed()) == ["=1+1"]


# ---- the command line ----


def test_the_commands_give_both_to_whoever_runs_the_hub(
    hub: Hub, owner_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = hub.send(DEATHS, death_sheet(death_row(97, died="昨天")), "命令.csv")
    settings = hub.settings
    for name, url in (("DATABASE", settings.database_url), ("WORKER", settings.worker_url), ("OWNER", owner_url)):
        monkeypatch.setenv(f"HUB_{name}_URL", str(url))
    monkeypatch.setenv("HUB_HOME", str(settings.home))

    def run(*arguments: str) -> int:
        return (
            CliRunner()
            .invoke(app, [*arguments, sent.receipt_number, "-o", str(tmp_path / f"{arguments[0]}.out")])
            .exit_code
        )

    assert [run("returned"), run("errors", "--english")] == [0, 0]
    assert openpyxl.load_workbook((tmp_path / "returned.out").open("rb")).worksheets[0]["H2"].value == "退回"
    assert "refused,E_DATE" in (tmp_path / "errors.out").read_text("utf-8-sig")
    assert CliRunner().invoke(app, ["returned", "HR20261122-AAAAAAAAA", "-o", str(tmp_path / "x")]).exit_code == 4
    assert not (tmp_path / "x").exists()
