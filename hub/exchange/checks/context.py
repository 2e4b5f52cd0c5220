"""What the check stage is told: the record type, the district's areas, today, and how to seal and to number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Protocol

from mappings.catalogue import Catalogue, Field, Mapping, RecordType, Role
from mappings.fields.areas import AreaNames, AreaTable, area_table_of
from mappings.fields.codes import CodeTable, code_table_of


class Column(Protocol):
    """Where a field stands in the file."""

    @property
    def field(self) -> str: ...
    @property
    def header(self) -> str: ...
    @property
    def letter(self) -> str: ...
    @property
    def sheet(self) -> str | None: ...


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """Everything a check needs beside the rows; nothing here touches the database."""

    record_type: RecordType
    mapping: Mapping | None
    catalogue: Catalogue
    areas: AreaNames
    today: date
    fictitious_prefixes: tuple[str, ...]
    digest_key: bytes
    seal: Callable[[list[bytes]], list[bytes]]
    new_uuids: Callable[[int], list[str]]

    @cached_property
    def area_table(self) -> AreaTable:
        return area_table_of(self.areas)

    @cached_property
    def code_tables(self) -> dict[str, CodeTable]:
        wanted = {field.code_set for field in self.record_type.fields if field.code_set}
        return {name: code_table_of(self.catalogue.code_sets[name]) for name in wanted}

    @cached_property
    def birth_certificates(self) -> set[str]:
        """Fields that hold the number of a birth certificate."""
        roles = self.record_type.people
        return {each.field for role in roles for each in role.identifiers if each.kind == "birth_cert"}

    def part(self, role: Role, part: str) -> Field | None:
        """The field that holds a part of a role's person, if the record type has it."""
        return next((f for f in self.record_type.fields if f.role == role.role and f.part == part), None)

    def level(self, code: str) -> str:
        return self.catalogue.row_errors[code].level
