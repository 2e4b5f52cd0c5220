"""The workbook a sender fills in: its own headers, drop-downs, a sheet of rules, and the hub's mark in a hidden column."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hub.errors import FileRefused
from hub.exchange.marks import HIDDEN_SHEET, TemplateMark
from hub.exchange.workbooks.template_columns import TemplateColumn, Variant, columns_of
from hub.exchange.workbooks.template_rules import RULES_NAME, write_rules
from hub.registry.areas import AreaIndex
from mappings.catalogue import Catalogue, Mapping, RecordType

ROWS = 5_000  # rows with drop-downs; text format reaches further
_A4 = 9
_LITERAL_LIST = 255  # characters a drop-down may have without a range
_VERSION_DIGITS = 12
_FIRST_DATE, _LAST_DATE = date(1900, 1, 1), date(2199, 12, 31)
_FREE = {
    "format_cells": True, "format_columns": True, "format_rows": True, "insert_rows": True, "delete_rows": True,
    "sort": True, "autofilter": True,
}  # fmt: skip
_WIDTHS = {"id_no": 22, "uscc": 22, "text": 24, "area": 22, "date": 13, "datetime": 18, "phone": 16, "certificate": 22}
_TITLE_ROW, _HEADER_ROW = 0, 1
_BAD_NAME = str.maketrans("[]:*?/\\", "_______")


def make_template(
    catalogue: Catalogue,
    organisation_code: str,
    organisation_name: str,
    kind: str,
    record_type: str,
    *,
    month: str | None = None,
    variant: Variant | None = None,
    areas: AreaIndex | None = None,
    own_area: int | None = None,
) -> bytes:
    """The .xlsx of one organisation for one record type. ``own_area``: a town's or village's, whose villages are listed.

    FileRefused when the type is unknown, switched off or not this organisation's to send.
    """
    known = _sendable(catalogue, organisation_code, kind, record_type)
    mapping = catalogue.mapping_for(organisation_code, kind, record_type)
    assert mapping is not None, record_type
    columns = columns_of(catalogue, known, mapping, variant or mapping.template, areas, own_area)
    version = catalogue.version[:_VERSION_DIGITS]
    mark = TemplateMark(record_type=record_type, version=version, organisation=organisation_code, month=month)
    title = _title(mapping, organisation_name, month)
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(content, options) as book:
        book.set_properties({"title": title})
        looks = {name: book.add_format(look) for name, look in _LOOKS.items()}
        page = book.add_worksheet(known.title[:31].translate(_BAD_NAME))
        lists = _Lists()
        _write_data_sheet(page, looks, title, columns, mark, lists)
        write_rules(book.add_worksheet(RULES_NAME), looks, catalogue, known, columns)
        _write_hidden_sheet(book.add_worksheet(HIDDEN_SHEET), mark, lists)
    return content.getvalue()


def _sendable(catalogue: Catalogue, organisation: str, kind: str, code: str) -> RecordType:
    record_type = catalogue.record_types.get(code)
    if record_type is None:
        raise FileRefused(code, code="F_UNKNOWN_TYPE", params={"record_type": code})
    if not record_type.enabled:
        raise FileRefused(code, code="F_TYPE_DISABLED", params={"record_type": code})
    if organisation not in record_type.sources and kind not in record_type.sources:
        raise FileRefused(code, code="F_NOT_YOUR_TYPE", params={"record_type": code, "organisation": organisation})
    return record_type


def _title(mapping: Mapping, unit: str, month: str | None) -> str:
    told = f"{month[:4]}年{int(month[5:])}月" if month else ""
    return mapping.title.format(unit=unit, month=told)


class _Lists:
    """Drop-downs too long to be written into a cell's rule stand in the hidden sheet, a column each."""

    def __init__(self) -> None:
        self.columns: list[tuple[str, ...]] = []

    def source(self, choices: tuple[str, ...]) -> list[str] | str:
        if len(",".join(choices)) <= _LITERAL_LIST and not any("," in choice for choice in choices):
            return list(choices)
        if choices not in self.columns:
            self.columns.append(choices)
        letter = _column_name(self.columns.index(choices) + 2)
        return f"='{HIDDEN_SHEET}'!${letter}$1:${letter}${len(choices)}"


def _write_data_sheet(
    page: Worksheet,
    looks: dict[str, Format],
    title: str,
    columns: Sequence[TemplateColumn],
    mark: TemplateMark,
    lists: _Lists,
) -> None:
    grouped = any(column.group for column in columns)
    last = _HEADER_ROW + grouped
    _set_up(page, looks, columns, last)
    page.merge_range(_TITLE_ROW, 0, _TITLE_ROW, len(columns) - 1, title, looks["title"])
    _write_headers(page, looks, columns, last)
    for place, column in enumerate(columns):
        at = last if column.group else _HEADER_ROW
        page.write_comment(at, place, column.how, {"author": "hub", "x_scale": 2, "y_scale": 1.5})
        _validate(page, last + 1, place, column, lists)
    _write_over(page, _HEADER_ROW, last, len(columns), str(mark), looks["header"])
    page.set_column(len(columns), len(columns), 4, looks["locked"], {"hidden": True})
    page.protect("", _FREE)


def _set_up(page: Worksheet, looks: dict[str, Format], columns: Sequence[TemplateColumn], last: int) -> None:
    page.set_landscape()
    page.set_paper(_A4)
    page.fit_to_pages(1, 0)
    page.repeat_rows(_HEADER_ROW, last)
    page.set_footer("&L填表人：　　　　　审核人：　　　　　填报日期：&R第 &P 页，共 &N 页")
    page.freeze_panes(last + 1, 0)
    page.set_row(_TITLE_ROW, 30)
    page.set_row(last, 32)
    for place, column in enumerate(columns):
        width = max(_WIDTHS.get(column.type, 12), 2 * len(column.shown) + 2 if len(column.shown) < 14 else 28)
        page.set_column(place, place, width, looks.get(column.type, looks["text"]))
    page.set_selection(last + 1, 0, last + 1, 0)


def _write_headers(page: Worksheet, looks: dict[str, Format], columns: Sequence[TemplateColumn], last: int) -> None:
    """A column of no group spans both header rows; a group stands above its columns."""
    place = 0
    for group, together in groupby(columns, lambda column: column.group):
        own = list(together)
        if group and len(own) > 1:
            page.merge_range(_HEADER_ROW, place, _HEADER_ROW, place + len(own) - 1, group, looks["header"])
        elif group:
            page.write_string(_HEADER_ROW, place, group, looks["header"])
        for column in own:
            look = looks["required"] if column.required else looks["header"]
            _write_over(page, last if group else _HEADER_ROW, last, place, column.shown, look)
            place += 1


def _write_over(page: Worksheet, top: int, bottom: int, place: int, text: str, look: Format) -> None:
    if bottom > top:
        page.merge_range(top, place, bottom, place, text, look)
    else:
        page.write_string(top, place, text, look)


def _validate(page: Worksheet, first: int, place: int, column: TemplateColumn, lists: _Lists) -> None:
    rule: dict[str, Any] = {"ignore_blank": True, "error_title": column.header[:32]}
    if column.choices:
        rule |= {"validate": "list", "source": lists.source(column.choices), "show_error": not column.free}
        rule |= {"error_message": "请从下拉列表中选择。"}
    elif column.type in ("date", "datetime"):
        rule |= {"validate": "date", "criteria": "between", "minimum": _FIRST_DATE, "maximum": _LAST_DATE}
        rule |= {"error_message": "请填写日期，例如 2026-11-05。"}
    else:
        return
    page.data_validation(first, place, first + ROWS - 1, place, rule)


def _write_hidden_sheet(page: Worksheet, mark: TemplateMark, lists: _Lists) -> None:
    """For whoever looks: what the template was made for; and the long lists of its drop-downs."""
    told = (("template_id", mark.record_type), ("version", mark.version), ("period", mark.month or ""))
    for at, (name, value) in enumerate((*told, ("department", mark.organisation), ("mark", str(mark)))):
        page.write_string(at, 0, name)
        page.write_string(at, 1, value)
    for place, choices in enumerate(lists.columns, 2):
        for at, choice in enumerate(choices):
            page.write_string(at, place, choice)
    page.very_hidden()


def _column_name(place: int) -> str:
    name, number = "", place + 1
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(65 + rest) + name
    return name


_TEXT = {"num_format": "@", "locked": False, "valign": "vcenter"}
_HEAD = {"bold": True, "border": 1, "align": "center", "valign": "vcenter", "text_wrap": True, "locked": True}
_LOOKS: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "font_size": 16, "align": "center", "valign": "vcenter"},
    "header": {**_HEAD, "bg_color": "#E8EEF5"},
    "required": {**_HEAD, "bg_color": "#FCE4D6", "font_color": "#B00000"},
    "text": _TEXT,
    "date": {**_TEXT, "num_format": "yyyy-mm-dd"},
    "datetime": {**_TEXT, "num_format": "yyyy-mm-dd hh:mm"},
    "locked": {"locked": True},
    "told": {"border": 1, "text_wrap": True, "valign": "top"},
}
