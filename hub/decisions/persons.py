"""Who is who, decided by a person: two are one, one is two, they are not the same; each may be taken back.

The decision is written down with its author and reason; the worker carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, insert, or_, select

from hub import audit
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.jobs import enqueue_decision
from hub.registry.areas import load_area_index
from hub.registry.masking import mask_identifier, mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import open_persons, reach_of, scope_for
from hub.settings import Settings
from hub.tables import person, person_decision, person_identifier

_MOST_SHOWN = 50


class KnownIdentifier(msgspec.Struct, frozen=True, kw_only=True):
    """One identifier of a person, masked; ``place`` names it in a form."""

    place: int
    kind: str
    shown: str
    replaced: bool


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge would move: identifiers, and records by type."""

    identifiers: int
    records: dict[str, int]


def ask_merge(
    database: Database, settings: Settings, actor: Actor, kept: UUID, other: UUID, reason: str, id_no: str | None = None
) -> UUID:
    """These two are one person, who is called ``kept`` from now on; ``id_no``: which of their numbers is right."""
    with database.begin(reach_of(actor)) as connection:
        _require_theirs(connection, actor, kept, other)
        if id_no is not None and id_no not in _numbers(connection, kept, other):
            raise BadRequest("选定的号码不是这两人的号码。 The chosen number is neither person's.")
        right = id_no or _right_number(connection, kept)
        return _ask(connection, actor, "merge", reason, person_id=kept, other_id=other, id_no=right)


def ask_split(
    database: Database,
    settings: Settings,
    actor: Actor,
    person_id: UUID,
    places: Sequence[int],
    reason: str,
    shown: Mapping[int, str] | None = None,
) -> UUID:
    """These identifiers of one person, by their places in ``list_identifiers``, are another person's.

    ``shown``: how each looked to who chose it; when the list is another one by now, nothing is decided.
    """
    with database.begin(reach_of(actor)) as connection:
        _require_theirs(connection, actor, person_id)
        known = _identifiers(connection, person_id)
        chosen = [known[place] for place in sorted(set(places)) if 0 <= place < len(known)]
        if not chosen or len(chosen) == len(known):
            raise BadRequest(
                "请选出属于另一人的标识，并至少留下一个。 Choose the other person's identifiers; one must stay."
            )
        if any(place >= len(known) or _shown(known[place]) != as_seen for place, as_seen in (shown or {}).items()):
            raise Conflict("标识已有变化，请重新选择。 The identifiers have changed since: choose again.")
        going = [[row.kind, row.value] for row in chosen]
        return _ask(connection, actor, "split", reason, person_id=person_id, identifiers=going)


def ask_apart(database: Database, settings: Settings, actor: Actor, first: UUID, second: UUID, reason: str) -> UUID:
    """These two are not the same; nobody needs to ask again."""
    with database.begin(reach_of(actor)) as connection:
        _require_theirs(connection, actor, first, second)
        return _ask(connection, actor, "apart", reason, person_id=first, other_id=second)


def ask_undo(database: Database, settings: Settings, actor: Actor, decision_id: UUID, reason: str) -> UUID:
    """An earlier decision was wrong."""
    with database.begin(reach_of(actor)) as connection:
        earlier = _decision(connection, decision_id)
        _require_theirs(connection, actor, earlier.person_id)
        return _ask(connection, actor, "undo", reason, person_id=earlier.person_id, undoes=decision_id)


def preview_merge(database: Database, actor: Actor, kept: UUID, other: UUID) -> Effect:
    """How many identifiers and records would go over; nothing changes."""
    with database.begin(reach_of(actor)) as connection:
        _require_theirs(connection, actor, kept, other)
        records = run_sql(
            connection,
            "SELECT record_type, count(*) FROM {d}.record_person WHERE person_id = :person GROUP BY record_type",
            person=other,
        )
        found = Effect(
            identifiers=len(_identifiers(connection, other)),
            records={str(code): cast(int, count) for code, count in records},
        )
        audit.record(connection, actor, Right.JUDGE_PERSON, f"person/{kept}", "done", preview=str(other))
    return found


def list_identifiers(connection: Connection, actor: Actor, person_id: UUID) -> list[KnownIdentifier]:
    """What finds this person, masked; that it was read is noted."""
    _require_theirs(connection, actor, person_id)
    found = _identifiers(connection, person_id)
    audit.record(connection, actor, Right.JUDGE_PERSON, f"person/{person_id}", "done", identifiers=len(found))
    return [
        KnownIdentifier(place=place, kind=row.kind, shown=_shown(row), replaced=row.replaced_by is not None)
        for place, row in enumerate(found)
    ]


def list_decisions(connection: Connection, actor: Actor, person_id: UUID) -> Sequence[Row[Any]]:
    """What was decided about this person, the newest first."""
    _require_theirs(connection, actor, person_id)
    its = person_decision.c
    asked = select(person_decision).where(or_(its.person_id == person_id, its.other_id == person_id))
    return connection.execute(asked.order_by(its.decided_at.desc()).limit(_MOST_SHOWN)).all()


def find_decision(connection: Connection, actor: Actor, decision_id: UUID) -> Row[Any]:
    """One decision of one's own organisation, or any for the bureau."""
    require(actor, Right.JUDGE_PERSON, Right.OPERATE)
    return _decision(connection, decision_id)


def _ask(connection: Connection, actor: Actor, kind: str, reason: str, **values: object) -> UUID:
    said = mask_within(reason.strip())
    if not said:
        raise BadRequest("请写明理由。 Say why.")
    decision_id = new_uuid()
    row = {
        "decision_id": decision_id, "kind": kind, "organisation": actor.organisation, "decided_by": actor.name,
        "decided_at": utc_now(), "reason": said, **values,
    }  # fmt: skip
    connection.execute(insert(person_decision).values(row))
    about = f"person/{values['person_id']}"
    audit.record(connection, actor, Right.JUDGE_PERSON, about, "done", decision=str(decision_id), kind=kind)
    enqueue_decision(connection, decision_id)
    return decision_id


def _require_theirs(connection: Connection, actor: Actor, *persons: UUID) -> None:
    """The bureau judges everybody, a town those who live in it; another person is as good as none."""
    require(actor, Right.JUDGE_PERSON, Right.OPERATE)
    if len(set(persons)) < len(persons):
        raise BadRequest("请选择两个不同的人。 Choose two different persons.")
    if actor.kind == "bureau" or actor.may(Right.OPERATE):
        open_persons(connection, persons)
    scope = scope_for(actor, load_area_index(connection))
    asked = select(person).where(person.c.person_id.in_(persons), person.c.merged_into.is_(None))
    found = connection.execute(asked).all()
    if len(found) < len(persons):
        raise NotFound("没有这个人，或已并入他人。 No such person, or merged into another.")
    if actor.kind not in ("bureau", "hub") and not all(_lives_within(scope.own_areas, one) for one in found):
        raise NotAllowed("只有所在镇街和区局可以认定。 Only the town they live in and the bureau judge.")


def _lives_within(areas: Sequence[int], one: Row[Any]) -> bool:
    return one.home_area is not None and one.home_area in areas


def _identifiers(connection: Connection, person_id: UUID) -> Sequence[Row[Any]]:
    its = person_identifier.c
    asked = select(person_identifier).where(its.person_id == person_id).order_by(its.kind, its.value)
    return connection.execute(asked).all()


def _numbers(connection: Connection, *persons: UUID) -> set[str]:
    return {row.value for one in persons for row in _identifiers(connection, one) if row.kind == "id_no"}


def _right_number(connection: Connection, person_id: UUID) -> str | None:
    rows = [row for row in _identifiers(connection, person_id) if row.kind == "id_no" and row.replaced_by is None]
    return str(rows[0].value) if rows else None


def _shown(row: Row[Any]) -> str:
    if row.kind != "row":
        return mask_identifier(row.value)
    source, record_type, role = str(row.value).split("|")[:3]
    return f"{source} · {record_type} · {role}"


def _decision(connection: Connection, decision_id: UUID) -> Row[Any]:
    row = connection.execute(select(person_decision).where(person_decision.c.decision_id == decision_id)).one_or_none()
    if row is None:
        raise NotFound(str(decision_id))
    return row
