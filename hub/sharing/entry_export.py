"""The whole data catalogue to take along: a workbook with a sheet of entries and one of items, or JSON."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hub.sharing.entries import Entry
from hub.sharing.entry_content import EntryContent

SHARING = {"unconditional": "无条件共享", "conditional": "有条件共享", "none": "不予共享"}
FREQUENCIES = {"realtime": "实时", "daily": "每日", "weekly": "每周", "monthly": "每月", "as_it_comes": "不定期"}
MODES = {"interface": "服务接口", "exchange": "批量交换", "download": "文件下载"}
FORMATS = {"xlsx": "Excel（xlsx）", "csv": "CSV", "json": "JSON"}
LEVELS = {1: "一级（公开）", 2: "二级（个人信息）", 3: "三级（敏感个人信息）", 4: "四级（医疗健康）"}
SENSITIVITIES = {
    "public": "公开", "internal": "内部", "personal": "个人信息", "sensitive": "敏感个人信息", "clinical": "医疗健康",
}  # fmt: skip
ENTRY_HEADERS = (
    "目录编号", "目录名称", "信息类别代码", "提供单位", "数据格式", "更新频率", "共享类型", "共享类型的依据或条件", "共享方式",
    "使用要求", "数据级别", "数据项数", "共享数据项数", "版本", "发布日期", "影响评估日期", "影响评估人", "批准日期", "批准人",
)  # fmt: skip
ITEM_HEADERS = ("目录编号", "目录名称", "数据项", "字段名", "类型", "敏感程度", "是否共享")
_ENTRY_WIDTHS = (14, 20, 24, 20, 18, 10, 12, 40, 24, 40, 18, 10, 12, 8, 12, 12, 14, 12, 14)
_ITEM_WIDTHS = (14, 20, 26, 24, 12, 16, 10)
_AS_TEXT = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False, "in_memory": True}


def as_workbook(entries: Sequence[Entry], now: datetime) -> bytes:
    """Cells are strings, whatever they look like: what begins with ``=`` stays what was written."""
    written = io.BytesIO()
    with xlsxwriter.Workbook(written, _AS_TEXT) as book:
        book.set_properties({"title": "数据目录", "created": now.replace(tzinfo=None)})
        head = book.add_format(
            {"bold": True, "border": 1, "bg_color": "#E8EEF5", "text_wrap": True, "valign": "vcenter"}
        )
        cell = book.add_format({"border": 1, "text_wrap": True, "valign": "top", "num_format": "@"})
        rows = (_entry_row(one) for one in entries)
        _fill_sheet(book.add_worksheet("目录条目"), ENTRY_HEADERS, _ENTRY_WIDTHS, rows, head, cell)
        items = (row for one in entries for row in _item_rows(one.content))
        _fill_sheet(book.add_worksheet("数据项"), ITEM_HEADERS, _ITEM_WIDTHS, items, head, cell)
    return written.getvalue()


def as_json(entries: Sequence[Entry]) -> bytes:
    """The same, for machines: an object with every entry in its published version."""
    return msgspec.json.format(msgspec.json.encode({"entries": [described(one) for one in entries]}), indent=2)


def described(entry: Entry) -> dict[str, Any]:
    """One entry flat, with its items; the version that is being worked on beside it, for those who see it."""
    content: dict[str, Any] = msgspec.to_builtins(entry.content)
    head = {
        "record_type": entry.record_type,
        "version": entry.version,
        "published_at": entry.published_at,
        "provider_name": entry.provider_name,
        "provider_takes_part": entry.provider_takes_part,
        "open_version": msgspec.to_builtins(entry.open) if entry.open else None,
    }
    return {**head, **content}


def provider_of(entry: Entry) -> str:
    """The provider in words; that the district has none such is said."""
    if not entry.provider_name:
        return f"{entry.provider}（本区没有此单位）"
    return entry.provider_name if entry.provider_takes_part else f"{entry.provider_name}（已停用）"


def _entry_row(entry: Entry) -> tuple[str, ...]:
    content = entry.content
    return (
        content.catalogue_no,
        content.title,
        entry.record_type,
        provider_of(entry),
        _joined(FORMATS, content.formats),
        FREQUENCIES[content.frequency],
        SHARING[content.sharing],
        content.reason,
        _joined(MODES, content.modes),
        content.conditions,
        LEVELS[content.classification],
        str(len(content.items)),
        str(len(content.shared_fields)),
        str(entry.version),
        entry.published_at.date().isoformat(),
        _dated(content.assessed_on),
        content.assessed_by,
        _dated(content.approved_on),
        content.approved_by,
    )


def _item_rows(content: EntryContent) -> Iterable[tuple[str, ...]]:
    for item in content.items:
        shared = "是" if item.shared else "否"
        yield (
            content.catalogue_no, content.title, item.title, item.field, item.type, SENSITIVITIES[item.sensitivity], shared,
        )  # fmt: skip


def _joined(words: dict[str, str], values: Iterable[str]) -> str:
    return "、".join(words[value] for value in values)


def _dated(day: date | None) -> str:
    return day.isoformat() if day else ""


def _fill_sheet(
    sheet: Worksheet,
    headers: Sequence[str],
    widths: Sequence[int],
    rows: Iterable[Sequence[str]],
    head: Format,
    cell: Format,
) -> None:
    sheet.freeze_panes(1, 2)
    for column, (header, width) in enumerate(zip(headers, widths, strict=True)):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, header, head)
    for number, row in enumerate(rows, start=1):
        for column, value in enumerate(row):
            sheet.write_string(number, column, value, cell)
