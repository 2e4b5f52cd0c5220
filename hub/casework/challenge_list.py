"""What a unit has to answer and what it has asked: the list, one challenge, the counts. The bureau sees no values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, case, func, select

from hub import audit
from hub.casework.challenges import ESCALATED, find_challenge, is_bureau, sides_of
from hub.database import run_sql
from hub.registry.list_order import Order, behind, place_of_row
from hub.registry.masking import mask_field, mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import is_care_only, open_persons
from hub.tables import challenge
from mappings.catalogue import Catalogue, Field, RecordType

Side = Literal["", "against", "raised"]
ChallengeState = Literal["", "open", "answered", "closed", "withdrawn"]
Place = tuple[Any, ...]
HIDDEN = "***"
_ITS = challenge.c
CHALLENGE_ORDERS: dict[str, Order] = {
    "raised_at": _ITS.raised_at,
    "due_on": _ITS.due_on,
    "against": (_ITS.against, _ITS.due_on),
}


class WantedChallenges(msgspec.Struct, frozen=True, kw_only=True):
    """Which: to answer (``against``) or asked (``raised``), in one state, overdue on this day, before the bureau.

    ``sort``: one of CHALLENGE_ORDERS, ``-`` before it for downwards.
    """

    side: Side = ""
    state: ChallengeState = ""
    overdue_on: date | None = None
    escalated: bool = False
    sort: str = "-raised_at"


class ListedChallenge(msgspec.Struct, frozen=True, kw_only=True):
    """One line; the name as this reader may see it."""

    challenge_id: UUID
    kind: str
    record_type: str
    record_id: UUID | None
    field: str
    name: str
    identifier: str
    raised_by: str
    raised_by_name: str
    raised_at: datetime
    against: str
    due_on: date
    state: str
    answer: str
    escalated: bool


class ShownChallenge(msgspec.Struct, frozen=True, kw_only=True):
    """One challenge with what both sides said, numbers masked; ``may``: what this reader can do with it now."""

    line: ListedChallenge
    current: str  # the challenged field of the record as it is now
    claimed: str
    reason: str
    answer_text: str
    answered_at: datetime | None
    closed_at: datetime | None
    disputed: bool  # everybody who has the record is told so
    may: tuple[str, ...]


class SideCount(msgspec.Struct, frozen=True, kw_only=True):
    """How one unit's answers go."""

    organisation: str
    open: int
    overdue: int
    answered: int
    escalated: int
    closed: int


def list_challenges(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    wanted: WantedChallenges,
    *,
    purpose: str,
    before: Place | None = None,
    limit: int = 50,
) -> list[ListedChallenge]:
    """Those of one's own unit, as they are ordered; the bureau's are all, and say of nobody. The reading is noted."""
    require(actor, Right.WORK_CHALLENGE, Right.OPERATE)
    rows = connection.execute(_chosen(actor, wanted, before).limit(limit)).all()
    named = {} if is_bureau(actor) else _people_of(connection, catalogue, rows)
    _note(connection, actor, "challenges", purpose, rows)
    return [_listed(actor, row, named) for row in rows]


def place_of_challenge(connection: Connection, actor: Actor, wanted: WantedChallenges, challenge_id: UUID) -> Place:
    """Where the list goes on after this one."""
    row = find_challenge(connection, actor, challenge_id)
    return place_of_row(row, CHALLENGE_ORDERS, wanted.sort, _ITS.challenge_id)


def count_challenges(connection: Connection, actor: Actor, wanted: WantedChallenges) -> tuple[int, date | None]:
    """How many ``list_challenges`` would list, and when the first of them is due; nobody is named."""
    require(actor, Right.WORK_CHALLENGE, Right.OPERATE)
    its = _chosen(actor, wanted, None).order_by(None).subquery().c
    many, first = connection.execute(select(func.count(), func.min(its.due_on))).one()
    return many, first


def read_challenge(
    connection: Connection, actor: Actor, catalogue: Catalogue, challenge_id: UUID, *, purpose: str
) -> ShownChallenge:
    """One challenge of one's own; NotFound for another's."""
    row = find_challenge(connection, actor, challenge_id)
    bureau = is_bureau(actor)
    named = {} if bureau else _people_of(connection, catalogue, [row])
    _note(connection, actor, f"challenge/{challenge_id}", purpose, [row])
    current = HIDDEN if bureau else _current(connection, catalogue, row)
    said = [HIDDEN if bureau and text else mask_within(text) for text in (row.claimed, row.reason, row.answer_text)]
    return ShownChallenge(
        line=_listed(actor, row, named), current=current, claimed=said[0], reason=said[1], answer_text=said[2],
        answered_at=row.answered_at, closed_at=row.closed_at,
        disputed=row.opened_version is not None and row.settled_version is None, may=_possible(actor, row),
    )  # fmt: skip


def values_of(connection: Connection, catalogue: Catalogue, row: Row[Any]) -> tuple[tuple[str, str, str], ...]:
    """What a challenge is about, unmasked: titles and values. Who calls this has a reason, and notes it."""
    record_type = catalogue.record_types[row.record_type]
    name, number = _read_people(connection, record_type, [row]).get(row.record_id, ("", ""))
    title = record_type.by_name.get(row.field)
    shown = [("姓名", "Name", name), ("公民身份号码", "Identity number", number)]
    if title is not None:
        shown.append((title.title, title.title_en, _plain_value(connection, record_type, row, title)))
    shown.append(("主张的内容", "What is right", row.claimed))
    return tuple(one for one in shown if one[2])


def count_by_source(connection: Connection, actor: Actor, today: date) -> list[SideCount]:
    """By who has to answer; the bureau counts all."""
    require(actor, Right.WORK_CHALLENGE, Right.OPERATE)
    is_open = _ITS.state == "open"
    counts = [
        is_open, is_open & (_ITS.due_on < today), _ITS.state == "answered",
        _ITS.state.in_(("open", "answered")) & (_ITS.insisted >= ESCALATED), _ITS.state.in_(("closed", "withdrawn")),
    ]  # fmt: skip
    sums = (func.count(case((test, 1))) for test in counts)
    query = select(_ITS.against, *sums).where(sides_of(actor)).group_by(_ITS.against).order_by(_ITS.against)
    return [
        SideCount(organisation=whose, open=a, overdue=b, answered=c, escalated=d, closed=e)
        for whose, a, b, c, d, e in connection.execute(query)
    ]


# ---- what is chosen, and how it reads ----


def _chosen(actor: Actor, wanted: WantedChallenges, before: Place | None) -> Any:
    tests: list[ColumnElement[bool]] = [sides_of(actor)]
    if wanted.side:
        tests.append((_ITS.against if wanted.side == "against" else _ITS.raised_by) == actor.organisation)
    if wanted.state:
        tests.append(_ITS.state == wanted.state)
    if wanted.overdue_on is not None:
        tests += [_ITS.state == "open", _ITS.due_on < wanted.overdue_on]
    if wanted.escalated:
        tests += [_ITS.state.in_(("open", "answered")), _ITS.insisted >= ESCALATED]
    return behind(select(challenge).where(*tests), CHALLENGE_ORDERS, wanted.sort, _ITS.challenge_id, before)


def _listed(actor: Actor, row: Row[Any], named: dict[UUID, tuple[str, str]]) -> ListedChallenge:
    name, number = (HIDDEN, "") if is_bureau(actor) else named.get(row.record_id, ("", ""))
    return ListedChallenge(
        challenge_id=row.challenge_id, kind=row.kind, record_type=row.record_type, record_id=row.record_id,
        field=row.field, name=name, identifier=number, raised_by=row.raised_by, raised_by_name=row.raised_by_name,
        raised_at=row.raised_at, against=row.against, due_on=row.due_on, state=row.state, answer=row.answer,
        escalated=row.insisted >= ESCALATED and row.state in ("open", "answered"),
    )  # fmt: skip


def _possible(actor: Actor, row: Row[Any]) -> tuple[str, ...]:
    acts = []
    if row.against == actor.organisation and row.state == "open":
        acts.append("answer")
    settles = is_bureau(actor) and row.insisted >= ESCALATED and row.state in ("open", "answered")
    mine = row.raised_by == actor.organisation
    if settles or (mine and row.state == "answered"):
        acts.append("close")
    if mine and row.state == "answered" and row.insisted < ESCALATED:
        acts.append("insist")
    if mine and row.state in ("open", "answered"):
        acts.append("withdraw")
    return tuple(acts)


def _people_of(connection: Connection, catalogue: Catalogue, rows: Sequence[Row[Any]]) -> dict[UUID, tuple[str, str]]:
    """Name and number of whom each record is first about, by record, masked."""
    open_persons(connection, {row.person_id for row in rows if row.person_id is not None})
    found: dict[UUID, tuple[str, str]] = {}
    for code in {row.record_type for row in rows if row.record_id is not None}:
        record_type = catalogue.record_types.get(code)
        if record_type is not None and record_type.people and not is_care_only(record_type):
            parts = [_part(record_type, part) for part in ("name", "id_no")]
            read = _read_people(connection, record_type, [row for row in rows if row.record_type == code])
            for record, values in read.items():
                name, number = (mask_field(value, field, "own") for value, field in zip(values, parts, strict=True))
                found[record] = (name, number)
    return found


def _read_people(
    connection: Connection, record_type: RecordType, rows: Iterable[Row[Any]]
) -> dict[UUID, tuple[str, str]]:
    columns = ", ".join(
        f"coalesce({one.name}, '')" if one else "''" for one in (_part(record_type, part) for part in ("name", "id_no"))
    )
    found = run_sql(
        connection,
        f"SELECT record_id, {columns} FROM {{d}}.rec_{record_type.code} WHERE record_id = ANY(CAST(:these AS uuid[]))",
        these=[row.record_id for row in rows if row.record_id is not None],
    )
    return {UUID(str(record)): (str(name), str(number)) for record, name, number in found}


def _part(record_type: RecordType, part: str) -> Field | None:
    role = record_type.people[0].role if record_type.people else ""
    return next((one for one in record_type.plain_fields if one.role == role and one.part == part), None)


def _current(connection: Connection, catalogue: Catalogue, row: Row[Any]) -> str:
    record_type = catalogue.record_types.get(row.record_type)
    field = record_type.by_name.get(row.field) if record_type else None
    if record_type is None or field is None or row.record_id is None:
        return ""
    return mask_field(_plain_value(connection, record_type, row, field), field, "own")


def _plain_value(connection: Connection, record_type: RecordType, row: Row[Any], field: Field) -> str:
    """Clinical cells are in no column; records that are clinical by existing stay shut."""
    if field.clinical or is_care_only(record_type):
        return ""
    found = run_sql(
        connection,
        f"SELECT {field.name}::text FROM {{d}}.rec_{record_type.code} WHERE record_id = :record",
        record=row.record_id,
    )
    return str(found[0][0] or "") if found else ""


def _note(connection: Connection, actor: Actor, about: str, purpose: str, rows: Sequence[Row[Any]]) -> None:
    audit.record(
        connection, actor, Right.WORK_CHALLENGE, about,
        what="read", purpose=purpose, records=len(rows), digest=audit.digest_of([str(row.challenge_id) for row in rows]),
    )  # fmt: skip
