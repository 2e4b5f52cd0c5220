"""A person's ledger as lines for people to read, and as a file to hand on: a workbook, or a table with its cover."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from hub.exchange.plain_cells import plain_cell
from hub.sharing.disclosure_derivation import LIST_FIELDS, Disclosure
from hub.sharing.disclosures import CARE_NOTICE, CARE_NOTICE_EN, Ledger
from mappings.catalogue import Catalogue, RecordType

LedgerForm = Literal["xlsx", "csv"]
KIND_WORDS = {
    "page": "下发", "snapshot": "全量", "export": "导出文件", "repair": "副本修补", "list": "月度清单", "look": "单人查阅",
}  # fmt: skip
CHANGE_WORDS = {"enter": "进入", "update": "更正", "leave": "移出", "void": "作废"}
_LIST_WORDS = dict(zip(LIST_FIELDS, ("姓名", "公民身份号码", "发生日期", "所属社区(村)"), strict=True))
_LIST_WORDS_EN = dict(zip(LIST_FIELDS, ("Name", "Identity number", "Date", "Village"), strict=True))
_MASKED, _MASKED_EN = "（掩码）", " (masked)"
_SAFE = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
_WIDTHS = (17, 20, 10, 30, 30, 30, 16, 16, 10, 8, 50, 17, 17, 24)
_A4 = 9


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One disclosure in words; ``kind`` and ``change`` are still codes."""

    at: str
    receiver: str
    kind: str
    licence: str
    purpose: str
    legal_basis: str
    catalogue_no: str
    record_type: str
    roles: str
    change: str
    fields: str
    fetched: str
    acknowledged: str
    number: str


HEADERS = (
    "时间", "使用单位", "方式", "订阅", "用途", "依据", "目录编号", "信息类别", "身份", "变动", "字段", "取走", "签收", "编号",
)  # fmt: skip


class LedgerCover(msgspec.Struct, frozen=True, kw_only=True):
    """Who took the ledger along, when and what for."""

    organisation: str
    login: str
    made_at: datetime
    purpose: str


def lines_of(
    ledger: Ledger, catalogue: Catalogue, organisations: Mapping[str, str], zone: ZoneInfo, *, english: bool = False
) -> Iterator[LedgerLine]:
    """Every disclosure in words, as it is ordered."""
    for one in ledger.disclosures:
        record_type = catalogue.record_types.get(one.record_type)
        yield LedgerLine(
            at=_moment(one.delivered_at, zone), receiver=organisations.get(one.receiver, one.receiver), kind=one.kind,
            licence=f"{one.subscription} {one.title} v{one.licence_version}" if one.subscription else one.by,
            purpose=one.purpose, legal_basis=one.legal_basis, catalogue_no=one.catalogue_no,
            record_type=_title_of(record_type, english), roles=_roles_of(one, record_type),
            change=one.op if one.op in CHANGE_WORDS else "", fields=_fields_of_line(one, record_type, english),
            fetched=_moment(one.fetched_at, zone), acknowledged=_moment(one.acknowledged_at, zone), number=one.number,
        )  # fmt: skip


def _moment(at: datetime | None, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}" if at else ""


def _title_of(record_type: RecordType | None, english: bool) -> str:
    return "" if record_type is None else (english and record_type.title_en) or record_type.title


def _roles_of(one: Disclosure, record_type: RecordType | None) -> str:
    titles = {each.role: each.title for each in record_type.people} if record_type else {}
    return "、".join(titles.get(role, role) for role in one.roles)


def _fields_of_line(one: Disclosure, record_type: RecordType | None, english: bool) -> str:
    """Names of fields, with a mark where what was given was masked."""
    if one.kind == "list":
        titles = _LIST_WORDS_EN if english else _LIST_WORDS
    else:
        known = record_type.fields if record_type else ()
        titles = {field.name: (english and field.title_en) or field.title for field in known}
    mark = _MASKED_EN if english else _MASKED
    named = [titles.get(name, name) + (mark if name in one.masked else "") for name in one.fields]
    return (", " if english else "、").join(named)


# ---- the file ----


def write_ledger(path: Path, form: LedgerForm, ledger: Ledger, lines: Sequence[LedgerLine], cover: LedgerCover) -> None:
    """Nothing in it is run by a spreadsheet, whatever it looks like."""
    told = [*_cover_lines(ledger, cover)]
    (_write_book if form == "xlsx" else _write_table)(path, told, [_cells(line) for line in lines])


def _cover_lines(ledger: Ledger, cover: LedgerCover) -> Iterator[tuple[str, str]]:
    yield "人员编号", str(ledger.person_id or "")
    yield "公民身份号码", ledger.number
    yield "查询单位", cover.organisation
    yield "查询人", cover.login
    yield "查询时间", f"{cover.made_at:%Y-%m-%d %H:%M}"
    yield "查询目的", cover.purpose
    yield "条数", str(len(ledger.disclosures))
    yield "单人查阅", "已列入" if ledger.looks_told else "未列入"
    yield "说明", "同一下发重复读取只列一次；只列字段名称，不列内容。"
    yield "说明", CARE_NOTICE
    yield "Notice", CARE_NOTICE_EN


def _cells(line: LedgerLine) -> list[str]:
    worded = {"kind": KIND_WORDS[line.kind], "change": CHANGE_WORDS.get(line.change, "")}
    return [str(worded.get(name, getattr(line, name))) for name in LedgerLine.__struct_fields__]


def _write_book(path: Path, told: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> None:
    with xlsxwriter.Workbook(str(path), _SAFE) as book:
        bold, text = book.add_format({"bold": True}), book.add_format({"num_format": "@", "text_wrap": True})
        cover = book.add_worksheet("说明")
        cover.set_column(0, 0, 16, bold)
        cover.set_column(1, 1, 90, text)
        _write_cells(cover, 0, [["信息去向"], *told])
        sheet = book.add_worksheet("信息去向")
        sheet.set_landscape()
        sheet.set_paper(_A4)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        sheet.freeze_panes(1, 0)
        for column, width in enumerate(_WIDTHS):
            sheet.set_column(column, column, width, text)
        _write_cells(sheet, 0, [HEADERS, *rows])


def _write_cells(sheet: Worksheet, first: int, rows: Sequence[Sequence[str]]) -> None:
    for number, row in enumerate(rows, start=first):
        for column, value in enumerate(row):
            sheet.write_string(number, column, value)


def _write_table(path: Path, told: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerows([plain_cell(cell) for cell in row] for row in (*told, (), HEADERS, *rows))
