"""The town's change list in Excel: it reads back as the lines that went out, whatever a town does to its copy."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub import jobs
from hub.casework.list_mark import is_right, mark_of
from hub.casework.list_sheets import ROUND_SHEETS
from hub.embedded import Cluster
from hub.errors import FileRefused
from hub.exchange.file_notes import file_notes
from hub.exchange.parse import Limits, ParsedFile, parse
from hub.jobs import Accepted
from hub.keyring import Keyring
from hub.registry.hunting_rules import CARE_ONLY_TYPES
from mappings.catalogue import Catalogue
from tests.doors import OTHER_TOWN, THIS_MONTH, TOWN, Hub, identity_number
from tests.fresh_databases import FreshDatabases
from tests.office_files import converted
from tests.paper_hub import (
    BOTH_TOWNS,
    FORMULAS,
    HEPING,
    area_ids,
    book_of,
    lines_of,
    list_with_care,
    officer,
    paper_of,
    papered_hub,
)
from tests.round_hub import codes_of, counts_of, work_through

LIST, KEYS = "town_verification", ("source_record_id", "round", "list_mark")
VERDICT, ACTUAL, VERIFIED_ON = 11, 12, 20  # columns, from 1
MOTHERS_RIGHT_NUMBER = identity_number(49)
FIRST = 4  # row of the first line
Edit = Callable[[Any], None]


@pytest.fixture(scope="module")
def hub(
    cluster: Cluster, fresh_databases: FreshDatabases, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    with papered_hub(cluster, fresh_databases, catalogue, tmp_path_factory.mktemp("papers")) as hub:
        yield hub


@pytest.fixture(scope="module")
def content(hub: Hub, catalogue: Catalogue) -> bytes:
    return paper_of(hub, catalogue, officer(hub)).content


def parsed(catalogue: Catalogue, path: Path, code: str = LIST) -> tuple[ParsedFile, list[dict[str, Any]]]:
    mapping = catalogue.mapping_for(TOWN, "town", code)
    read = parse(path, catalogue.record_types[code], mapping, catalogue, Limits(wall_seconds=60))
    return read, [row for frame in read.frames for row in frame.iter_rows(named=True)]


def saved(book: Any, path: Path) -> Path:
    book.save(path)
    return path


def as_printed(content: bytes) -> list[tuple[Any, ...]]:
    return [(line["来源记录"], line["核对月份"], line["校验码"]) for line in lines_of(book_of(content))]


def keys_of(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in KEYS) for row in rows]


# ---- what goes out ----


def test_the_exported_workbook_reads_back_as_the_lines_that_went_out(
    content: bytes, catalogue: Catalogue, tmp_path: Path
) -> None:
    read, rows = parsed(catalogue, saved(book_of(content), tmp_path / "list.xlsx"))
    assert keys_of(rows) == as_printed(content) and len(rows) == 9
    assert [row["name"] for row in rows[2:6]] == list(FORMULAS)
    told = {code for code, _, _ in file_notes(read.facts)}
    assert told == {"N_ROWS_SKIPPED"}
    assert read.facts["unknown_columns"] == []


def test_a_line_and_its_mark_are_of_one_town_alone(hub: Hub, catalogue: Catalogue) -> None:
    key = Keyring.load(hub.settings.home).digest_key
    wedding = []
    for code in BOTH_TOWNS:
        who = officer(hub, code)
        lines = lines_of(book_of(paper_of(hub, catalogue, who).content))
        assert {line["所在村居"] for line in lines} <= ({"光明社区", "和平社区"} if code == TOWN else {"松坪村"})
        for line in lines:
            name = line["姓名"].removeprefix("未取名")  # is read back as no name
            printed = (name, line["变动类别"], line["变动日期"], line["来源部门"])
            expected = mark_of(key, THIS_MONTH, who.area_id or 0, line["来源记录"], 0, *printed)
            assert is_right(line["校验码"], expected)
        wedding += [line for line in lines if line["信息"] == "结婚登记"]
    assert [(line["姓名"], line["涉及人员"]) for line in wedding] == [("周德", "女方 吴月"), ("吴月", "男方 周德")]
    assert wedding[0]["来源记录"] == wedding[1]["来源记录"] and wedding[0]["校验码"] != wedding[1]["校验码"]


def test_numbers_are_masked_nothing_is_a_formula_and_nothing_of_care_is_in_it(content: bytes) -> None:
    book = book_of(content)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s"}
    said = "\n".join(str(cell.value) for cell in cells)
    assert "999001********0018" in said
    assert "S-1" not in said and "建册" not in said and "产" not in said


def test_what_is_clinical_by_existing_is_on_no_list_even_if_it_stood_in_the_round(
    hub: Hub, catalogue: Catalogue
) -> None:
    listed = list_with_care(hub, catalogue, officer(hub))
    assert len(listed.items) == 9 and not {item.record_type for item in listed.items} & CARE_ONLY_TYPES


def test_the_page_is_made_for_paper(content: bytes) -> None:
    sheet = book_of(content)["变动清单"]
    assert sheet.print_title_rows == "$3:$3" and sheet.page_setup.orientation == "landscape"
    assert sheet["A1"].value == f"清溪街道{THIS_MONTH[:4]}年{int(THIS_MONTH[5:])}月人口变动清单"
    assert "清溪街道 qingxi" in sheet["A2"].value and "清溪街道 qingxi" in sheet.oddFooter.left.text
    assert sheet.cell(FIRST + 10, 1).value.startswith("填表人：")
    hidden = [letter for letter, shape in sheet.column_dimensions.items() if shape.hidden]
    assert hidden == ["U"] or set(hidden) == {"U", "V", "W"}


def test_cells_offer_what_they_may_say(content: bytes) -> None:
    sheet = book_of(content)["变动清单"]
    offered = {str(rule.sqref): rule.formula1 for rule in sheet.data_validations.dataValidation}
    assert offered == {
        "K4:K12": '"属实,不属实,查无此人,非本辖区,暂无法核实"', "M4:M12": '"光明社区,和平社区"',
        "Q4:Q12": '"白鹭镇"', "R4:R12": '"入户,电话,台账,其他"',
    }  # fmt: skip


# ---- each sheet is read as what it is ----


@pytest.mark.parametrize("sheet", [sheet for sheet in ROUND_SHEETS if sheet != "变动清单"])
def test_an_empty_sheet_has_no_rows_and_a_filled_one_is_read_as_its_own_type(
    content: bytes, catalogue: Catalogue, tmp_path: Path, sheet: str
) -> None:
    code, book = ROUND_SHEETS[sheet], book_of(content)
    with pytest.raises(FileRefused) as refused:
        parsed(catalogue, saved(book, tmp_path / "empty.xlsx"), code)
    assert refused.value.facts["code"] == "F_NO_ROWS"
    fields = {rule.header: rule.field for rule in catalogue.mappings["town", code].columns}
    headers = [cell.value for cell in book[sheet][3]]
    for column, header in enumerate(headers, 1):
        book[sheet].cell(FIRST + 1, column, f"填的{header}")
    read, rows = parsed(catalogue, saved(book, tmp_path / "filled.xlsx"), code)
    assert [[row[fields[header]] for header in headers] for row in rows] == [[f"填的{header}" for header in headers]]
    assert [each["sheet"] for each in read.facts["sheets"]] == [sheet]  # type: ignore[attr-defined]
    assert len(parsed(catalogue, tmp_path / "filled.xlsx")[1]) == 9


def test_a_sheet_alone_in_its_file_is_read_whatever_it_is_called(
    content: bytes, catalogue: Catalogue, tmp_path: Path
) -> None:
    book = book_of(content)
    for name in [one for one in book.sheetnames if one != "变动清单"]:
        del book[name]
    book["变动清单"].title = "增加人员"
    assert len(parsed(catalogue, saved(book, tmp_path / "one.xlsx"))[1]) == 9


# ---- what a town does to it ----


def fill_in(sheet: Any) -> None:
    for row, verdict in enumerate(("属实", "属实", "查无此人"), FIRST):
        sheet.cell(row, VERDICT, verdict)
        sheet.cell(row, VERIFIED_ON, "2026-11-20")


def sort_rows(sheet: Any) -> None:
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=FIRST, max_row=FIRST + 8)]
    for at, row in enumerate(sorted(rows, key=lambda row: str(row[2]), reverse=True), FIRST):
        for column, value in enumerate(row, 1):
            cell = sheet.cell(at, column)
            cell.value = value
            cell.data_type = "s"  # a name that begins with = stays one


def hide_rows(sheet: Any) -> None:
    sheet.auto_filter.add_filter_column(1, ["和平社区"])
    for row in range(FIRST, FIRST + 6):
        sheet.row_dimensions[row].hidden = True


def widen(sheet: Any) -> None:
    sheet.column_dimensions["L"].width = 60


def delete_row(sheet: Any) -> None:
    sheet.delete_rows(FIRST + 4)


def add_row(sheet: Any) -> None:
    sheet.insert_rows(FIRST + 2)
    for column, value in {2: "光明社区", 3: "冯新", 11: "属实", 20: "2026-11-20"}.items():
        sheet.cell(FIRST + 2, column, value)


def edit_all(sheet: Any) -> None:
    for edit in (fill_in, sort_rows, delete_row, add_row, widen, hide_rows):
        edit(sheet)


def edited(content: bytes, path: Path, edit: Edit) -> Path:
    book = book_of(content)
    edit(book["变动清单"])
    return saved(book, path)


def test_libre_office_saves_every_edit_and_the_lines_are_the_same(
    content: bytes, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Saved by the office, sorted, filtered, widened, cut and added to, and saved by it once more as its own format."""
    opened = tmp_path / "opened.xlsx"
    opened.write_bytes(content)
    once = converted(opened, ["xlsx"], tmp_path)["xlsx"]
    assert keys_of(parsed(catalogue, once)[1]) == as_printed(content)
    again = edited(once.read_bytes(), tmp_path / "edited.xlsx", edit_all)
    read, rows = parsed(catalogue, converted(again, ["ods"], tmp_path)["ods"])
    known = [row for row in rows if row["source_record_id"] is not None]
    assert set(keys_of(known)) < set(as_printed(content)) and len(known) == 8
    assert [row["name"] for row in rows if row not in known] == ["冯新"]
    assert sorted(row["result"] for row in rows if row["result"]) == ["属实"] * 2 + ["查无此人"]
    assert read.facts["unread_sheets"] == []


# ---- and sends back ----


def sent_back(hub: Hub, catalogue: Catalogue, path: Path, town: str = TOWN) -> Accepted:
    who = officer(hub, town)
    accepted = jobs.accept(
        hub.served, hub.settings, who, stream=io.BytesIO(path.read_bytes()), file_name="list.xlsx", door="upload",
        record_type=LIST, organisation=town, period=THIS_MONTH, catalogue=catalogue,
    )  # fmt: skip
    work_through(hub, catalogue, accepted.submission_id)
    return accepted


def answer_three(sheet: Any) -> None:
    said: dict[int, dict[int, str]] = {
        0: {VERDICT: "属实"}, 1: {VERDICT: "不属实", 13: "和平社区", 15: MOTHERS_RIGHT_NUMBER, ACTUAL: "已搬到和平社区"},
        4: {VERDICT: "非本辖区", 17: "白鹭镇", 18: "电话", 19: "万和"},
    }  # fmt: skip
    for at, cells in said.items():
        for column, value in {VERIFIED_ON: "2026-11-20", **cells}.items():
            sheet.cell(FIRST + at, column, value)


def test_an_answered_list_is_taken_printed_again_with_its_answers_and_sent_again_says_nothing_new(
    hub: Hub, content: bytes, catalogue: Catalogue, tmp_path: Path
) -> None:
    first = sent_back(hub, catalogue, edited(content, tmp_path / "answered.xlsx", answer_three))
    assert counts_of(hub, first) == (3, 5, 1, 0)  # a name that looks like a formula waits for a person
    assert {*codes_of(hub, first)} == {"N_NOT_ANSWERED", "E_FORMULA_NO_VALUE"}
    book = book_of(paper_of(hub, catalogue, officer(hub)).content)
    answered = [line for line in lines_of(book) if line["核对结果"]]
    assert [line["校验码"][:2] for line in answered] == ["1-"] * 3
    assert [(line["核对结果"], line["更正村居"], line["转派镇街"], line["核对方式"], line["实际情况"]) for line in answered] == [
        ("属实", "", "", "", ""), ("不属实", "和平社区", "", "", "已搬到和平社区"), ("非本辖区", "", "白鹭镇", "电话", ""),
    ]  # fmt: skip
    assert {line["核对日期"] for line in answered} == {"2026-11-20"}
    again = sent_back(hub, catalogue, saved(book, tmp_path / "again.xlsx"))
    assert counts_of(hub, again) == (0, 8, 1, 0)
    theirs = lines_of(book_of(paper_of(hub, catalogue, officer(hub, OTHER_TOWN)).content))
    (passed_on,) = [line for line in theirs if "转派" in line["信息"]]
    assert (passed_on["姓名"], passed_on["信息"]) == ("-赵", "户口迁入（转派）") and passed_on["号码"]


def test_a_row_somebody_added_is_told_apart_from_the_lines(
    hub: Hub, content: bytes, catalogue: Catalogue, tmp_path: Path
) -> None:
    accepted = sent_back(hub, catalogue, edited(content, tmp_path / "added.xlsx", add_row))
    assert "E_LIST_UNKNOWN" in codes_of(hub, accepted)
    assert counts_of(hub, accepted)[3] == 1


def test_a_child_without_a_name_yet_is_answered_like_anybody(hub: Hub, catalogue: Catalogue, tmp_path: Path) -> None:
    book = book_of(paper_of(hub, catalogue, officer(hub, OTHER_TOWN)).content)
    lines = lines_of(book)
    (at,) = [at for at, line in enumerate(lines, FIRST) if line["姓名"] == "未取名"]
    assert lines[at - FIRST]["涉及人员"] == "母亲 冯桂"
    book["变动清单"].cell(at, VERDICT, "属实")
    accepted = sent_back(hub, catalogue, saved(book, tmp_path / "child.xlsx"), OTHER_TOWN)
    assert counts_of(hub, accepted)[0] == 1 and {*codes_of(hub, accepted)} == {"N_NOT_ANSWERED"}


def test_a_village_gets_its_part_of_the_towns_list(hub: Hub, catalogue: Catalogue) -> None:
    who = officer(hub, name="heping", kind="village", area_id=area_ids(hub)[HEPING])
    lines = lines_of(book_of(paper_of(hub, catalogue, who).content))
    assert [(line["姓名"], line["所在村居"]) for line in lines] == [
        ("郑第一", "和平社区"), ("郑第二", "和平社区"), ("郑第三", "和平社区"),
    ]  # fmt: skip
    assert [line["序号"] for line in lines] == ["7", "8", "9"]
