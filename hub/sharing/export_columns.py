"""The columns of an export for people: the fields by their titles, and beside every code and area its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hub.exchange.plain_cells import plain_cell
from hub.registry.areas import AreaIndex
from hub.registry.slice_definition import SliceDefinition, SliceType
from mappings.catalogue import Catalogue, Field

Row = Mapping[str, Any]  # a record of a slice, or a change of one
Read = Callable[[Row], object]
OPS = {"enter": "进入", "update": "更新", "leave": "退出"}
_ANSWERS = {True: "是", False: "否"}
_AREA_TYPES = frozenset({"area", "division"})
_SHEET_NAME = str.maketrans("[]:*?/\\'", "________")
_LONGEST_SHEET_NAME = 31
_LEADING: tuple[tuple[str, str], ...] = (
    ("记录标识", "record_id"),
    ("人员标识", "person_id"),
    ("版本", "version"),
    ("来源单位", "source"),
)
_OF_CHANGE: tuple[tuple[str, str], ...] = (("下发编号", "delivery_no"), ("记录时间", "recorded_at"))
_SIDES = (("变动后·", "after"), ("变动前·", "before"))


class Column(msgspec.Struct, frozen=True):
    """One column: its header, and how a row's value in it is read."""

    header: str
    read: Read


class Sheet(msgspec.Struct, frozen=True):
    """One record type's rows: a name a workbook and an archive can bear, and its columns."""

    record_type: str
    name: str
    columns: tuple[Column, ...]

    def cells(self, row: Row) -> list[str]:
        return [plain_cell(column.read(row)) for column in self.columns]


def sheets_of(definition: SliceDefinition, catalogue: Catalogue, areas: AreaIndex, *, whole: bool) -> list[Sheet]:
    """One for every record type of the slice, in its order."""
    return [_sheet_of(one, catalogue, areas, whole=whole) for one in definition.record_types]


def _sheet_of(one: SliceType, catalogue: Catalogue, areas: AreaIndex, *, whole: bool) -> Sheet:
    record_type = catalogue.record_types[one.record_type]
    columns = [Column(title, _reading(key)) for title, key in ((*_LEADING,) if whole else (*_OF_CHANGE, *_LEADING))]
    columns.append(Column("存疑", lambda row: "存疑" if row.get("disputed") else ""))
    if not whole:
        columns.insert(1, Column("变动", lambda row: OPS.get(str(row["op"]), row["op"])))
    for prefix, side in (("", "after"),) if whole else _SIDES:
        for name in one.fields:
            columns += _columns_of(record_type.by_name[name], prefix, side, catalogue, areas)
    return Sheet(one.record_type, record_type.title.translate(_SHEET_NAME)[:_LONGEST_SHEET_NAME], tuple(columns))


def _columns_of(field: Field, prefix: str, side: str, catalogue: Catalogue, areas: AreaIndex) -> list[Column]:
    header = f"{prefix}{field.title or field.name}"
    value = _value_of(side, field.name)
    if field.type == "code":
        names = {code.value: code.title for code in catalogue.code_sets[field.code_set].codes}
        return [Column(header, value), Column(f"{header}（名称）", lambda row: names.get(str(value(row)), ""))]
    if field.type in _AREA_TYPES:
        return [Column(header, value), Column(f"{header}（名称）", lambda row: area_name(areas, value(row)))]
    return [Column(header, value)]


def _reading(key: str) -> Read:
    return lambda row: row.get(key)


def _value_of(side: str, name: str) -> Read:
    def read(row: Row) -> object:
        found = (row.get(side) or {}).get(name)
        return _ANSWERS[found] if isinstance(found, bool) else found

    return read


def area_name(areas: AreaIndex, code: object) -> str:
    """Town and village by the code in force; empty for a place outside the district."""
    area = areas.codes.get(str(code))
    if area is None or areas.current(area) not in areas.name_of:
        return ""
    area = areas.current(area)
    town = areas.town_of.get(area, area)
    return areas.name_of[area] if town == area else areas.name_of.get(town, "") + areas.name_of[area]
