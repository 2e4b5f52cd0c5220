"""What a town found on the ground is put to the departments concerned, and settled once one of them has registered it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select, update

from hub.casework.challenges import STANDING, Raised, raise_challenges
from hub.database import run_sql
from hub.settings import Settings
from hub.tables import challenge, organisation
from hub.tables.version_sql import event_day
from mappings.catalogue import Catalogue, RecordType
from mappings.round_shapes import Reported, Standing

_DAYS_APART = 60  # of one event, as a town and a department date it
_DOES = {"town_arrival": ("arrives",), "town_departure": ("leaves", "dies")}


class _Found(msgspec.Struct, frozen=True):
    """A town's record: of whom, what it says, and whether a department has registered it already."""

    voided: bool
    person: UUID | None
    source: str
    areas: list[int]
    name: str
    id_no: str | None
    changed_on: date
    source_name: str | None
    registered: bool


def report_found(
    connection: Connection, settings: Settings, catalogue: Catalogue, submission_id: UUID, now: datetime
) -> list[UUID]:
    """Challenges to the departments that have registered nothing of what this submission found; their ids."""
    raised: list[Raised] = []
    for reported in _told_of(catalogue):
        found = _found(connection, catalogue, reported, submission_id)
        _take_back(connection, reported, [row for row in found if row.voided], now)
        fresh = [row for row in found if not row.voided and not row.registered]
        raised += _raised_of(connection, catalogue, reported, fresh, submission_id)
    return raise_challenges(connection, settings, now, raised)


def find_registered(connection: Connection, catalogue: Catalogue) -> set[UUID]:
    """Challenges that nothing was registered, where a record of what was expected stands by now."""
    found: set[UUID] = set()
    for reported in _told_of(catalogue):
        rows = run_sql(
            connection,
            f"""
            SELECT c.challenge_id FROM {{d}}.challenge c
            JOIN {{d}}.ver_{reported.record_type} v ON v.submission_id = c.submission_id
                 AND v.person_ref = c.person_id AND v.kind = :kind
            JOIN {{d}}.rec_{reported.record_type} t ON t.record_id = v.record_id
            WHERE c.kind = 'unreported' AND c.state = ANY(:states) AND c.record_type = ANY(:expected)
              AND ({_registered(catalogue, reported)})
            """,
            kind=reported.kind,
            states=list(STANDING),
            expected=list(reported.expected),
        )
        found |= {cast(UUID, challenge_id) for (challenge_id,) in rows}
    return found


def _told_of(catalogue: Catalogue) -> Iterator[Reported]:
    for reported in catalogue.rounds.reported:
        if catalogue.record_types[reported.record_type].enabled:
            yield reported


def _found(connection: Connection, catalogue: Catalogue, reported: Reported, submission_id: UUID) -> list[_Found]:
    """The submission's records of this kind, whether they stand, and whether a department has registered it already."""
    rows = run_sql(
        connection,
        f"""
        SELECT t.voided, t.person_ref AS person, t.source, t.areas, t.name, t.id_no, t.changed_on,
               o.name AS source_name, ({_registered(catalogue, reported)}) AS registered
        FROM {{d}}.difference d JOIN {{d}}.rec_{reported.record_type} t ON t.record_id = d.record_id
        LEFT JOIN shared.organisation o ON o.code = t.source
        WHERE d.submission_id = :submission AND d.row_no > 0 AND d.outcome IN ('new', 'update', 'restore', 'void')
          AND t.kind = :kind
        ORDER BY d.row_no
        """,
        submission=submission_id,
        kind=reported.kind,
    )
    return [_Found(*row) for row in rows]  # type: ignore[arg-type]


def _registered(catalogue: Catalogue, reported: Reported) -> str:
    """True where a record of what is expected stands, about the person of the town's record (t), at about that day."""
    tests = [
        f"EXISTS (SELECT 1 FROM {{d}}.rec_{code} e WHERE {' AND '.join(_same_event(record_type, standing))})"
        for code in reported.expected
        if (record_type := catalogue.record_types[code]).enabled and record_type.people
        for standing in _ways_of(catalogue, reported, code)
    ]
    return " OR ".join(tests) or "false"


def _ways_of(catalogue: Catalogue, reported: Reported, code: str) -> list[Standing | None]:
    """How records of this type tell of such an event (rounds.toml, standing); None: by happening at all."""
    ways = [one for one in catalogue.rounds.standing if one.record_type == code]
    fitting = [one for one in ways if one.does in _DOES.get(reported.record_type, ())]
    return [*fitting] or [None]


def _same_event(record_type: RecordType, standing: Standing | None) -> list[str]:
    role = standing.role if standing else record_type.people[0].role
    day = f"e.{standing.date}::date" if standing and standing.date else event_day(record_type, "e")
    only = standing.only if standing else {}
    chosen = (f"e.{field} IN ({', '.join(_quoted(codes))})" for field, codes in only.items())
    return ["NOT e.voided", f"e.{role}_ref = t.person_ref", f"abs({day} - t.changed_on) <= {_DAYS_APART}", *chosen]


def _quoted(codes: Iterable[str]) -> Iterator[str]:
    return ("'" + code.replace("'", "''") + "'" for code in codes)


def _raised_of(
    connection: Connection, catalogue: Catalogue, reported: Reported, found: list[_Found], submission_id: UUID
) -> list[Raised]:
    departments = _departments(connection, catalogue, reported) if found else {}
    return [
        Raised(
            kind="unreported", record_type=code, claimed=_said(row), raised_by=row.source,
            raised_by_name=row.source_name or row.source, against=department, person_id=row.person,
            areas=tuple(row.areas), submission_id=submission_id,
        )
        for row in found
        for department, code in departments.items()
    ]  # fmt: skip


def _departments(connection: Connection, catalogue: Catalogue, reported: Reported) -> dict[str, str]:
    """The departments that take part, and what each of them would have sent."""
    its = organisation.c
    asked = select(its.code, its.kind).where(its.code.in_(reported.organisations), its.enabled)
    return {code: _expected_of(catalogue, reported, code, kind) for code, kind in connection.execute(asked)}


def _expected_of(catalogue: Catalogue, reported: Reported, code: str, kind: str) -> str:
    sent = (one for one in reported.expected if {code, kind} & {*catalogue.record_types[one].sources})
    return next(sent, reported.expected[0])


def _said(row: _Found) -> str:
    return "；".join(str(part) for part in (row.name, row.id_no, row.changed_on) if part)


def _take_back(connection: Connection, reported: Reported, voided: list[_Found], now: datetime) -> None:
    """The town found it was not so after all."""
    its = challenge.c
    if voided:
        connection.execute(
            update(challenge)
            .where(its.kind == "unreported", its.state.in_(STANDING), its.person_id.in_([row.person for row in voided]))
            .where(its.record_type.in_(reported.expected), its.raised_by.in_({row.source for row in voided}))
            .values(state="withdrawn", closed_at=now, closed_by="hub")
        )
