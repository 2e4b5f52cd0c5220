"""The cards for the visit as a workbook to print: a page a household."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hub.casework.item_list import ListedItem, RoundList
from hub.casework.list_lines import CHANGES, Printing, code_words, kind_words, month_words, no_name
from hub.casework.village_cards import VisitCard
from mappings.catalogue import Catalogue

SHEET = "入户核对卡"
_A4 = 9
_HEADERS = ("序号", "姓名", "号码", "信息", "变动", "变动日期", "核对结果", "实际情况")
_WIDTHS = (6, 11, 22, 22, 8, 12, 24, 30)
_LAST = len(_HEADERS) - 1
_LINES_TO_FILL = 3


def write_cards(
    path: Path, catalogue: Catalogue, listed: RoundList, cards: Sequence[VisitCard], printing: Printing
) -> str:
    """Write the .xlsx to ``path``; the title it has, which is also its file's name."""
    title = cards_title(listed, printing)
    options = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), options) as file:
        file.set_properties({"title": title, "created": printing.at.replace(tzinfo=None)})
        looks = {name: file.add_format(look) for name, look in _LOOKS.items()}
        sheet = file.add_worksheet(SHEET)
        _lay_out(sheet, printing)
        row, breaks = 0, []
        for card in cards:
            row = _write_card(sheet, row, catalogue, card, title, looks)
            breaks.append(row)
        sheet.set_h_pagebreaks(breaks[:-1])
    return title


def cards_title(listed: RoundList, printing: Printing) -> str:
    return f"{printing.unit}{month_words(listed.month)}入户核对卡"


def verdicts_to_tick(catalogue: Catalogue) -> str:
    return "  ".join(f"□{title}" for title in code_words(catalogue, "verdict"))


def _lay_out(sheet: Worksheet, printing: Printing) -> None:
    sheet.set_landscape()
    sheet.set_paper(_A4)
    sheet.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.7)
    sheet.set_print_scale(75)  # a sheet that is fitted to its page keeps no breaks of its own
    sheet.set_footer(f"&L&8{printing.watermark.replace('&', '&&')[:200]}&R&8第 &P 页，共 &N 页")
    for column, width in enumerate(_WIDTHS):
        sheet.set_column(column, column, width)


def _write_card(
    sheet: Worksheet, row: int, catalogue: Catalogue, card: VisitCard, title: str, looks: dict[str, Format]
) -> int:
    """The row after the card."""
    sheet.merge_range(row, 0, row, _LAST, "", looks["title"])
    sheet.write_string(row, 0, title, looks["title"])
    told = (
        f"村居：{card.village}    户编码：{card.household_no or '____________'}    地址：{card.address or '____________'}",
        f"登记在本户的人：{_members(card) or '没有登记'}",
    )
    for at, sentence in enumerate(told, start=row + 1):
        sheet.merge_range(at, 0, at, _LAST, "", looks["told"])
        sheet.write_string(at, 0, sentence, looks["told"])
        sheet.set_row(at, 32)
    row = _write_table(sheet, row + len(told) + 1, catalogue, card.items, looks)
    for at, sentence in enumerate(_to_fill(), start=row):
        sheet.write_string(at, 0, sentence, looks["line"])
        sheet.set_row(at, 26)
    return row + len(_to_fill())


def _write_table(
    sheet: Worksheet, row: int, catalogue: Catalogue, items: Sequence[ListedItem], looks: dict[str, Format]
) -> int:
    for column, header in enumerate(_HEADERS):
        sheet.write_string(row, column, header, looks["header"])
    for at, item in enumerate(items, start=row + 1):
        for column, value in enumerate(_cells(catalogue, item)):
            sheet.write_string(at, column, value, looks["cell"])
        sheet.set_row(at, 48)
    return row + 1 + len(items)


def _cells(catalogue: Catalogue, item: ListedItem) -> tuple[str, ...]:
    name, kind = item.name or no_name(catalogue, item), kind_words(catalogue, item)
    change = CHANGES[item.change]
    return (str(item.number), name, item.id_no, kind, change, item.event_date, verdicts_to_tick(catalogue), "")


def _members(card: VisitCard) -> str:
    return "、".join(f"{one.name}（{one.relation}）" if one.relation else one.name for one in card.members)


def _to_fill() -> list[str]:
    line = "_" * 60
    people = [f"未登记的同住人（姓名、与户主关系、何时来）：{line}"] + [line * 2] * (_LINES_TO_FILL - 1)
    return [
        *people,
        "核对人：______________    被访人：______________    联系电话：______________    日期：______________",
    ]


_LOOKS: dict[str, dict[str, object]] = {
    "title": {"bold": True, "font_size": 16, "align": "center", "valign": "vcenter"},
    "told": {"font_size": 11, "text_wrap": True, "valign": "vcenter"},
    "header": {"bold": True, "border": 1, "bg_color": "#E8EEF5", "align": "center", "valign": "vcenter"},
    "cell": {"border": 1, "text_wrap": True, "valign": "vcenter", "num_format": "@"},
    "line": {"font_size": 11, "valign": "bottom"},
}
