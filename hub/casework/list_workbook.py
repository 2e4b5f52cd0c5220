"""The change list as a workbook: a line a change to answer, sheets for whom nobody knew of, how to fill it in.

Every cell is a text, whatever it looks like. Three hidden columns say which line it is, so that it may be sorted,
filtered and cut as a town likes; nothing is protected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hub.casework.item_list import RoundList
from hub.casework.list_lines import (
    PrintedLine,
    Printing,
    code_words,
    month_words,
    print_lines,
    town_choices,
    village_choices,
)
from hub.casework.list_sheets import CHOICES_SHEET, FOOT, GUIDE_SHEET, HIDDEN_FIELDS, LIST_SHEET, ROUND_SHEETS
from hub.registry.areas import AreaIndex
from mappings.catalogue import Catalogue, Field
from mappings.catalogue import Mapping as Columns

BLANK_ROWS = 40
_LITERAL_LIST = 255  # characters a drop-down may have without a range
_HEADER_ROW, _FIRST_ROW = 2, 3
_A4 = 9
_TWO_LINES = 27  # points, in the cells' size
_FOOTER = f"{FOOT}______________    审核人：______________    日期：______________"
_NOT_ASKED = ("source_record_id",)  # of what a town found: the hub's own
_HOW_CHANGED = ("新增", "更正", "作废")
_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("number", "序号", 4),
    ("village", "所在村居", 9),
    ("name", "姓名", 8),
    ("id_no", "号码", 18),
    ("kind", "信息", 12),
    ("change_type", "变动类别", 5),
    ("changed_on", "变动日期", 10),
    ("source_org", "来源部门", 12),
    ("involved", "涉及人员", 12),
    ("due_on", "核对期限", 10),
    ("result", "核对结果", 9),
    ("actual", "实际情况", 16),
    ("right_village", "更正村居", 9),
    ("right_name", "更正姓名", 8),
    ("right_id_no", "更正身份证号", 18),
    ("right_date", "更正日期", 10),
    ("to_town", "转派镇街", 9),
    ("method", "核对方式", 6),
    ("verifier", "核对人", 7),
    ("verified_on", "核对日期", 10),
    ("source_record_id", "来源记录", 5),
    ("round", "核对月份", 5),
    ("list_mark", "校验码", 5),
)
_FILLED_IN = frozenset(PrintedLine.__struct_fields__[10:20])
_GUIDE = (
    "一、变动清单：每行是本月一条变动，须逐行核对。请填“核对结果”，下拉选择：属实、不属实、查无此人、非本辖区、暂无法核实。",
    "二、不属实的，填“实际情况”；能更正的，在更正村居、更正姓名、更正身份证号、更正日期中只填有误的那几项。",
    "三、非本辖区的，从“转派镇街”中选择应由哪个镇街核对。",
    "四、核对日期写作 2026-11-05；不填的，按回传当日计。",
    "五、没有填核对结果的行，仍算待核对；可以分次回传，已答复的行再次下载时带着答复，可以改。",
    "六、可以排序、筛选、调整列宽，可以删去不需要的行；隐藏列是对应原记录用的，请勿修改，也请勿把一行的内容贴到另一行。",
    "七、清单上没有的人，请填在“增加人员”“减少人员”两张表；群众需要的服务填在“服务需求”。不要在变动清单上加行。",
    "八、服务需求的“需求编号”由镇街自编，一年之内不重复，例如 2026-11-001。",
    "九、填好后整份回传（网页上传、目录投放或命令行均可），不必另存为其他格式。",
    "十、本表含个人信息，仅用于月度核对，请勿外传，用后销毁。",
)


class _Book(msgspec.Struct, frozen=True):
    """The workbook being written: its looks, and the drop-downs too long for a rule."""

    file: xlsxwriter.Workbook
    looks: dict[str, Format]
    lists: list[Sequence[str]]

    def choices(self, choices: Sequence[str]) -> list[str] | str:
        if len(",".join(choices)) <= _LITERAL_LIST and not any("," in choice for choice in choices):
            return list(choices)
        if choices not in self.lists:
            self.lists.append(choices)
        letter = chr(ord("A") + self.lists.index(choices))
        return f"='{CHOICES_SHEET}'!${letter}$1:${letter}${len(choices)}"


def write_list(path: Path, catalogue: Catalogue, areas: AreaIndex, listed: RoundList, printing: Printing) -> str:
    """Write the .xlsx to ``path``; the title it has, which is also its file's name."""
    title = list_title(listed, printing)
    options = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), options) as file:
        file.set_properties({"title": title, "created": printing.at.replace(tzinfo=None)})
        book = _Book(file, {name: file.add_format(look) for name, look in _LOOKS.items()}, [])
        villages = village_choices(areas, listed.town)
        lines = print_lines(catalogue, areas, listed, printing)
        _write_lines(book, title, lines, _answers_of(catalogue, areas, listed, villages), printing)
        for sheet, code in ROUND_SHEETS.items():
            if sheet != LIST_SHEET:
                _write_blank(book, sheet, catalogue, code, villages, listed, printing)
        _write_guide(book)
        _write_choices(book)
    return title


def list_title(listed: RoundList, printing: Printing) -> str:
    return f"{printing.unit}{month_words(listed.month)}人口变动清单"


def _answers_of(
    catalogue: Catalogue, areas: AreaIndex, listed: RoundList, villages: Sequence[str]
) -> dict[str, Sequence[str]]:
    return {
        "result": code_words(catalogue, "verdict"),
        "method": code_words(catalogue, "verification_method"),
        "right_village": villages,
        "to_town": town_choices(areas, listed.town),
    }


# ---- the list ----


def _write_lines(
    book: _Book, title: str, lines: Sequence[PrintedLine], answers: Mapping[str, Sequence[str]], printing: Printing
) -> None:
    sheet = _new_sheet(book, LIST_SHEET, title, len(_COLUMNS) - len(HIDDEN_FIELDS), printing)
    sheet.freeze_panes(_FIRST_ROW, 3)
    for column, (field, header, width) in enumerate(_COLUMNS):
        look = book.looks["answer_header" if field in _FILLED_IN else "header"]
        sheet.write_string(_HEADER_ROW, column, header, look)
        sheet.set_column(column, column, width, book.looks["text"], {"hidden": field in HIDDEN_FIELDS})
        if lines and answers.get(field):
            _offer(book, sheet, column, len(lines), answers[field])
    for row, line in enumerate(lines, start=_FIRST_ROW):
        sheet.set_row(row, _TWO_LINES)
        for column, (field, _, _) in enumerate(_COLUMNS):
            sheet.write_string(row, column, getattr(line, field), book.looks["cell"])
    if lines:
        sheet.autofilter(_HEADER_ROW, 0, _HEADER_ROW + len(lines), len(_COLUMNS) - 1)
    _write_foot(book, sheet, _FIRST_ROW + len(lines))


def _new_sheet(book: _Book, name: str, title: str, columns: int, printing: Printing) -> Worksheet:
    """A4 across, the header repeated on every page, each page marked with who took it."""
    sheet = book.file.add_worksheet(name)
    sheet.set_landscape()
    sheet.set_paper(_A4)
    sheet.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.7)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(_HEADER_ROW)
    sheet.set_footer(f"&L&8{printing.watermark.replace('&', '&&')[:200]}&R&8第 &P 页，共 &N 页")
    sheet.merge_range(0, 0, 0, columns - 1, "", book.looks["title"])
    sheet.write_string(0, 0, title, book.looks["title"])
    sheet.set_row(0, 30)
    sheet.write_string(1, 0, printing.watermark, book.looks["mark"])
    sheet.set_row(_HEADER_ROW, 30)
    return sheet


def _offer(book: _Book, sheet: Worksheet, column: int, rows: int, choices: Sequence[str]) -> None:
    rule = {"validate": "list", "source": book.choices(choices), "error_message": "请从下拉列表中选择。"}
    sheet.data_validation(_FIRST_ROW, column, _FIRST_ROW + rows - 1, column, rule)


def _write_foot(book: _Book, sheet: Worksheet, row: int) -> None:
    """A row is left free, so that sorting does not take the signatures for a line."""
    sheet.write_string(row + 1, 0, _FOOTER, book.looks["foot"])


# ---- what a town found ----


def _write_blank(
    book: _Book,
    name: str,
    catalogue: Catalogue,
    code: str,
    villages: Sequence[str],
    listed: RoundList,
    printing: Printing,
) -> None:
    """Empty rows under the headers that the towns' own mapping knows."""
    columns = catalogue.mappings["town", code]
    known = catalogue.record_types[code].by_name
    rules = [rule for rule in columns.columns if rule.field not in _NOT_ASKED]
    sheet = _new_sheet(book, name, _title(columns, listed, printing), len(rules), printing)
    sheet.freeze_panes(_FIRST_ROW, 0)
    for column, rule in enumerate(rules):
        field = known.get(rule.field)
        look = "answer_header" if field is not None and field.required else "header"
        sheet.write_string(_HEADER_ROW, column, rule.header, book.looks[look])
        sheet.set_column(column, column, _width(field, rule.header), book.looks["text"])
        choices = _choices(catalogue, field, villages)
        if choices:
            _offer(book, sheet, column, BLANK_ROWS, choices)
    for row in range(_FIRST_ROW, _FIRST_ROW + BLANK_ROWS):
        sheet.set_row(row, _TWO_LINES)
        for column in range(len(rules)):
            sheet.write_blank(row, column, None, book.looks["cell"])
    _write_foot(book, sheet, _FIRST_ROW + BLANK_ROWS)


def _title(columns: Columns, listed: RoundList, printing: Printing) -> str:
    return columns.title.format(unit=printing.unit, month=month_words(listed.month))


def _choices(catalogue: Catalogue, field: Field | None, villages: Sequence[str]) -> Sequence[str]:
    if field is None:
        return _HOW_CHANGED
    if field.type == "area":
        return villages
    return code_words(catalogue, field.code_set) if field.type == "code" else ()


def _width(field: Field | None, header: str) -> int:
    wide = {"id_no": 20, "text": 22, "area": 14}.get(field.type if field else "", 11)
    return max(wide, 2 * len(header) + 2)


def _write_guide(book: _Book) -> None:
    sheet = book.file.add_worksheet(GUIDE_SHEET)
    sheet.set_column(0, 0, 100)
    sheet.write_string(0, 0, GUIDE_SHEET, book.looks["title"])
    for row, sentence in enumerate(_GUIDE, start=1):
        sheet.write_string(row, 0, sentence, book.looks["told"])


def _write_choices(book: _Book) -> None:
    sheet = book.file.add_worksheet(CHOICES_SHEET)
    for column, choices in enumerate(book.lists):
        for row, choice in enumerate(choices):
            sheet.write_string(row, column, choice)
    sheet.very_hidden()


_TEXT: dict[str, object] = {"num_format": "@", "valign": "vcenter"}
_HEAD: dict[str, object] = {
    "bold": True,
    "border": 1,
    "align": "center",
    "valign": "vcenter",
    "text_wrap": True,
    "font_size": 10,
}
_LOOKS: dict[str, dict[str, object]] = {
    "title": {"bold": True, "font_size": 16, "align": "center", "valign": "vcenter"},
    "mark": {"font_size": 9, "font_color": "#666666", "align": "left"},
    "header": {**_HEAD, "bg_color": "#E8EEF5"},
    "answer_header": {**_HEAD, "bg_color": "#FCE4D6"},
    "cell": {**_TEXT, "border": 1, "text_wrap": True, "font_size": 10},
    "text": _TEXT,
    "foot": {"font_size": 11, "align": "left"},
    "told": {"text_wrap": True, "valign": "top"},
}
