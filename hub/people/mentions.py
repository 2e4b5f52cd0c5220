"""Whom do staged rows speak of that no identifier finds? One statement a page; nothing comes back when all are known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.people.matching import Side, side
from hub.tables.version_sql import identifier_joins, person_of, row_identifier
from mappings.catalogue import RecordType, Role

AT_ONCE = 20_000  # so many descriptions stay within some 50 MB


class Mention(msgspec.Struct, frozen=True, kw_only=True):
    """One person of one staged row, not known by any number."""

    row_no: int
    role: str
    side: Side
    born: date | None  # as the row says, not as a number implies
    born_at: datetime | None
    given: dict[str, str]  # kind of identifier -> value nobody has
    remembered_as: str  # identifier of kind ``row``; "" where the row has a number or its key is one


def find_unknown(connection: Connection, submission_id: UUID, source: str, record_type: RecordType) -> list[Mention]:
    """Everybody the staged rows describe and no identifier finds; nobody while the register is empty."""
    return [one for page in unknown_by_page(connection, submission_id, source, record_type) for one in page]


def unknown_by_page(
    connection: Connection, submission_id: UUID, source: str, record_type: RecordType, at_once: int = AT_ONCE
) -> Iterator[list[Mention]]:
    """The same in the order of rows, so many at a time; what one row says is never torn apart."""
    branches = [_unknown_of(record_type, role) for role in record_type.people if role.identifiers]
    statement = f"{' UNION ALL '.join(branches)} ORDER BY 1 FETCH FIRST {at_once} ROWS WITH TIES"
    towns: dict[object, int] = {}
    after: object = 0
    while branches:
        rows = run_sql(connection, statement, submission=submission_id, source=source, after=after)
        towns = towns or (towns_of(connection) if rows else {})
        yield [_mention(row, towns) for row in rows]
        if len(rows) < at_once:
            return
        after = rows[-1][0]


def towns_of(connection: Connection) -> dict[object, int]:
    """The town each area lies in."""
    return {area: cast(int, town) for area, town in run_sql(connection, "SELECT area_id, town_id FROM {d}.area_place")}


def birth_date_of(record_type: RecordType, role: Role, row: str) -> str:
    """The day of birth a row gives; the certificate gives it with the time."""
    day = _field(record_type, f"{role.prefix}birth_date", row, "date")
    return f"coalesce({day}, {birth_time_of(record_type, role, row)}::date)"


def birth_time_of(record_type: RecordType, role: Role, row: str) -> str:
    return _field(record_type, "birth_time", row, "timestamp") if role.role == "child" else "NULL::timestamp"


def mother_of(record_type: RecordType, role: Role) -> Role | None:
    """The role of this role's mother: of the child, or of whom a record is about that speaks of no child."""
    roles = {one.role: one for one in record_type.people}
    return roles.get("mother") if role is roles.get("child", record_type.people[0]) else None


def _unknown_of(record_type: RecordType, role: Role) -> str:
    """Rows that name or date this role's person; without a number only where the type allows that."""
    mother = mother_of(record_type, role)
    given = {one.kind: f"s.{one.field}" for one in role.identifiers}
    name = _field(record_type, f"{role.prefix}name", "s")
    main = role is record_type.people[0]
    joins = [identifier_joins(record_type, role), identifier_joins(record_type, mother) if mother else ""]
    numbered = " OR ".join(f"{value} IS NOT NULL" for value in given.values())
    return f"""
        SELECT s.row_no, '{role.role}', {name}, {_field(record_type, f"{role.prefix}sex", "s")},
               {birth_date_of(record_type, role, "s")}, {birth_time_of(record_type, role, "s")},
               {given.get("id_no", "NULL::text")}, {given.get("birth_cert", "NULL::text")},
               {row_identifier(record_type, role) or "NULL::text"}, {_person(record_type, mother)}, s.{role.role}_area,
               {_field(record_type, "household_no", "s") if main else "NULL::text"},
               {_field(record_type, f"{role.prefix}phone", "s")}
        FROM {{d}}.stg_{record_type.code} s
        {" ".join(joins)}
        WHERE s.submission_id = :submission AND s.row_no > :after AND NOT s.held AND s.doubt IS NULL AND s.change_kind <> 'void'
          AND {_person(record_type, role)} IS NULL
          AND ({name} IS NOT NULL OR {_person(record_type, mother)} IS NOT NULL)
          AND ({numbered}{" OR true" if record_type.no_id_allowed else ""})
          AND EXISTS (SELECT 1 FROM {{d}}.person)"""


def _person(record_type: RecordType, role: Role | None) -> str:
    return person_of(record_type, role) if role else "NULL::uuid"


def _field(record_type: RecordType, name: str, row: str, kind: str = "text") -> str:
    return f"{row}.{name}" if name in record_type.by_name else f"NULL::{kind}"


def _mention(row: tuple[object, ...], towns: dict[object, int]) -> Mention:
    row_no, role, name, sex, born, born_at, number, certificate, remembered, mother, area, household, phone = row
    given = {"birth_cert": certificate, "id_no": number}
    return Mention(
        row_no=cast(int, row_no),
        role=cast(str, role),
        side=side(
            name=name, sex=sex, born=born, number=number, mother=mother, household=household, area=area,
            town=towns.get(area), phone=phone,
        ),
        born=cast(date | None, born),
        born_at=cast(datetime | None, born_at),
        given={kind: str(value) for kind, value in given.items() if value},
        remembered_as=str(remembered or ""),
    )  # fmt: skip
