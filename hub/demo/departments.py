"""How each department writes its rows down: its headers, its words or codes, its way with dates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple

from hub.demo.areas import District
from hub.demo.truth import Outcome
from hub.demo.year import Row
from mappings.catalogue import Catalogue, ColumnRule, Field, Mapping, RecordType


@dataclass(frozen=True, slots=True)
class Formula:
    """A cell with a formula and no remembered value, as scripts write them."""

    text: str


class Expected(NamedTuple):
    """What must become of a row that is not simply clean."""

    case: str
    outcome: Outcome
    codes: tuple[str, ...] = ()


Cell = str | int | float | date | Formula
Writer = Callable[[str], Cell]
LARGE = 3_000  # rows; from here on a department's system exports CSV, whatever the office prefers
NAMES = {
    "public_security": "公安", "health": "卫健", "civil_affairs": "民政",
    "labour": "人社", "commerce": "市监", "mch_station": "妇幼",
}  # fmt: skip
UNITS = {
    "public_security": "云岭区公安分局", "health": "云岭区卫生健康局", "civil_affairs": "云岭区民政局",
    "labour": "云岭区人力资源和社会保障局", "commerce": "云岭区市场监督管理局", "mch_station": "云岭区妇幼服务站",
}  # fmt: skip
CLERKS = ("周和", "沈宁", "何田", "许平", "唐文")
DATE_WRITING: dict[str, Callable[[date], Cell]] = {
    "public_security": lambda day: f"{day:%Y-%m-%d}",
    "health": lambda day: f"{day:%Y%m%d}",
    "civil_affairs": lambda day: f"{day.year}年{day.month}月{day.day}日",
    "labour": lambda day: f"{day.year}.{day.month}.{day.day}",
    "commerce": lambda day: f"{day:%Y/%m/%d}",
    "mch_station": lambda day: day,  # real dates in a workbook
}


@dataclass(slots=True)
class Sheet:
    """One file in the making: the cells below the headers, column by column as ``columns`` says."""

    sender: str
    sender_name: str
    record_type: RecordType
    month: str
    mapping: Mapping
    columns: tuple[ColumnRule, ...]  # field "" = a column nobody takes
    rows: list[list[Cell]]
    said: list[dict[str, str]]  # what each row says, canonically
    format: Literal["csv", "xlsx"]
    encoding: str
    file_name: str = ""
    writers: dict[str, Writer] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)  # row -> what the change_kind column says
    expected: dict[int, Expected] = field(default_factory=dict)  # row -> what is special about it

    def column_of(self, name: str) -> int:
        """Where a field stands, -1 if this department has no column for it."""
        return next((place for place, column in enumerate(self.columns) if column.field == name), -1)


def write_down(catalogue: Catalogue, district: District, rows: Iterable[Row]) -> list[Sheet]:
    """One sheet per department, record type and month, in the order of the months."""
    together: defaultdict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        together[row.month, row.sender, row.record_type].append(row.values)
    sheets = [
        _sheet(catalogue, district, month, sender, catalogue.record_types[record_type], said)
        for (month, sender, record_type), said in together.items()
    ]
    return sorted(sheets, key=lambda sheet: sheet.month)


def _sheet(
    catalogue: Catalogue, district: District, month: str, sender: str,
    record_type: RecordType, said: list[dict[str, str]],
) -> Sheet:  # fmt: skip
    is_town = sender[:1].isdigit()
    mapping = catalogue.mapping_for(sender, "town" if is_town else "department", record_type.code)
    assert mapping is not None, f"{sender} has no mapping for {record_type.code}"
    name = next((town.name for town in district.towns if town.organisation == sender), NAMES.get(sender, sender))
    csv = mapping.format == "csv" or len(said) > LARGE
    columns = _columns(mapping)
    kinds = record_type.by_name
    writers = {one.field: _writer(catalogue, district, mapping, kinds.get(one.field), sender, csv) for one in columns}
    places = [(one.field, writers[one.field]) for one in columns]
    return Sheet(
        sender, name, record_type, month, mapping, columns,
        [[write(values.get(name, "")) for name, write in places] for values in said], said,
        "csv" if csv else "xlsx", mapping.encoding,
        f"{name}_{record_type.title.split('（')[0].replace('/', '')}_{month}", writers,
    )  # fmt: skip


def _columns(mapping: Mapping) -> tuple[ColumnRule, ...]:
    """As the mapping says; a running number first and remarks last where the department has them."""
    columns = tuple(column for column in mapping.columns if column.field not in ("change_kind", "section"))
    if "序号" in mapping.ignored:
        columns = (ColumnRule(field="", header="序号"), *columns)
    if "备注" in mapping.ignored:
        columns = (*columns, ColumnRule(field="", header="备注"))
    return columns


def _writer(
    catalogue: Catalogue, district: District, mapping: Mapping, kind: Field | None, sender: str, csv: bool
) -> Writer:
    """What turns a canonical value into this department's cell."""
    if kind is None:
        return str
    if kind.type == "code" and mapping.template == "words":
        titles = {code.value: code.title for code in catalogue.code_sets[kind.code_set].codes}
        return lambda value: titles[value] if value else ""
    if kind.type == "boolean" and mapping.template == "words":
        return lambda value: {"1": "是", "0": "否"}.get(value, "")
    if kind.type == "area" and mapping.template == "words":
        names = {village.code: district.full_name(place) for place, village in enumerate(district.villages)}
        return lambda value: names.get(value, value)
    if kind.type == "date":
        return _date_writer(DATE_WRITING.get(sender, DATE_WRITING["public_security"]), csv)
    return str


def _date_writer(style: Callable[[date], Cell], csv: bool) -> Writer:
    written: dict[str, Cell] = {"": ""}

    def write(value: str) -> Cell:
        if value not in written:
            cell = style(date.fromisoformat(value))
            written[value] = str(cell) if csv else cell
        return written[value]

    return write
