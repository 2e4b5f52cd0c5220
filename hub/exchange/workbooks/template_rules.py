"""The second sheet of a template: a table of its columns, and the rules in a clerk's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hub.exchange.workbooks.template_columns import TemplateColumn
from mappings.catalogue import Catalogue, RecordType

RULES_NAME = "填表说明"
_HEADERS = ("列名", "是否必填", "填写方式", "可填内容", "举例")
_WIDTHS = (30, 10, 26, 70, 26)
_RULES = (
    "一行一条记录；请勿改动、删除或调换表头，没有的内容留空，不要写“/”“—”。",
    "号码、电话、编号各列已设为文本，请直接填写或“选择性粘贴—数值”，不要改为数字格式。",
    "日期写成 2026-11-05 这样的公历日期。",
    "首次报送：“{change}”一列留空或填“新增”。",
    "更正：识别记录的内容（{key}）照原样填写，改动其他内容，“{change}”填“更正”。",
    "作废：只需填识别记录的内容（{key}），“{change}”填“作废”；不会删除，只是不再有效。",
    "同一文件或同一行重复报送不会重复计入；本月没有变动请用“本月无变动”，不要报空表。",
    "报送后可取回标注结果的文件：标色的单元格有批注，改好后把同一文件再报一次即可。",
    "退回（不接收该行，其余行照常接收）：{errors}。",
    "待核（该行等待核对）：{holds}。",
    "隐藏的最后一列记着本模板的类别、月份和单位，请保留。",
)


def write_rules(
    page: Worksheet,
    looks: dict[str, Format],
    catalogue: Catalogue,
    record_type: RecordType,
    columns: Sequence[TemplateColumn],
) -> None:
    """Everything as text; the sheet is there to be read and printed."""
    page.set_landscape()
    page.set_paper(9)
    page.fit_to_pages(1, 0)
    for place, width in enumerate(_WIDTHS):
        page.set_column(place, place, width)
    page.write_string(0, 0, f"{record_type.title}：填表说明", looks["title"])
    for place, header in enumerate(_HEADERS):
        page.write_string(2, place, header, looks["header"])
    for at, column in enumerate(columns, 3):
        for place, text in enumerate(_told(column)):
            page.write_string(at, place, text, looks["told"])
    for number, rule in enumerate(_rules(catalogue, record_type, columns), 1):
        page.write_string(len(columns) + 3 + number, 0, f"{number}. {rule}")


def _told(column: TemplateColumn) -> tuple[str, ...]:
    name = f"{column.group}·{column.header}" if column.group else column.header
    allowed = "" if column.free else "、".join(column.choices)
    return name, "必填" if column.required else "", column.kind, allowed, column.example


def _rules(catalogue: Catalogue, record_type: RecordType, columns: Sequence[TemplateColumn]) -> Iterator[str]:
    titles = {one.field: one.header for one in columns}
    key = "、".join(titles.get(name, record_type.by_name[name].title) for name in record_type.natural_key)
    row_errors = [one for one in catalogue.row_errors.values() if not one.code.startswith("F_")]
    levels = {level: "、".join(one.title for one in row_errors if one.level == level) for level in ("error", "hold")}
    words = {"key": key, "change": columns[-1].header, "errors": levels["error"], "holds": levels["hold"]}
    return (rule.format(**words) for rule in _RULES)
