"""A town's or village's lines of a round, with what may be shown: who it is about, what changed, the answer so far.

Identity numbers are masked before they leave this room, but for those the town corrected itself. Record types that
stay in care are never looked for, whatever stands in the round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text

from hub import audit
from hub.casework.answers_given import GivenAnswer, read_answers
from hub.database import district_of, run_sql, utc_now
from hub.errors import NotAllowed, NotFound
from hub.people.seeing import close
from hub.registry.areas import AreaIndex
from hub.registry.masking import mask_identifier, mask_within
from hub.registry.month_calendar import read_month
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import Scope, open_persons, types_by_area
from mappings.catalogue import Catalogue, RecordType, Role


class Involved(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else the record speaks of."""

    title: str  # of the role
    name: str
    person_id: UUID | None = None


class ListedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list."""

    item_id: UUID
    number: int
    village: int | None
    record_type: str
    record_id: UUID
    person_id: UUID | None
    name: str = ""  # "" where there is none yet
    id_no: str = ""  # masked
    address: str = ""
    involved: tuple[Involved, ...] = ()
    change: str  # enter update leave void
    event_date: str
    source: str  # organisation code
    came: str  # change transfer again
    due_on: date
    state: str  # open answered transferred deferred
    answers: int
    answer: GivenAnswer | None = None


class RoundList(msgspec.Struct, frozen=True, kw_only=True):
    """What a town, or one of its villages, is asked in a month."""

    round_id: UUID
    month: str
    town: int
    organisation: str  # the town's
    due_on: date
    items: tuple[ListedItem, ...]


def read_list(
    connection: Connection, catalogue: Catalogue, scope: Scope, areas: AreaIndex, month: str, *, purpose: str
) -> RoundList:
    """Every line of the scope's own area, by village and number; that they were read is noted."""
    listed = _read(connection, catalogue, scope, areas, month)
    _note(connection, scope.actor, listed, purpose)
    return listed


def read_lines_with(
    connection: Connection,
    catalogue: Catalogue,
    scope: Scope,
    areas: AreaIndex,
    month: str,
    item_id: UUID,
    *,
    purpose: str,
) -> RoundList:
    """One line and the others of the same person; NotFound if it is not of the scope's own area."""
    listed = _read(connection, catalogue, scope, areas, month, item_id)
    if not listed.items:
        raise NotFound()
    _note(connection, scope.actor, listed, purpose)
    return listed


def read_some(
    connection: Connection,
    catalogue: Catalogue,
    scope: Scope,
    areas: AreaIndex,
    month: str,
    item_ids: Sequence[UUID],
    *,
    purpose: str,
) -> RoundList:
    """Those of these lines that are of the scope's own area."""
    listed = _read(connection, catalogue, scope, areas, month, some=item_ids)
    _note(connection, scope.actor, listed, purpose)
    return listed


def stamp_download(connection: Connection, actor: Actor, listed: RoundList) -> bool:
    """Remember when the town first took its list with it; whether this was the first time."""
    stamped = run_sql(
        connection,
        "UPDATE {d}.round_town SET downloaded_at = :now WHERE round_id = :round AND town = :town"
        " AND downloaded_at IS NULL RETURNING town",
        now=utc_now(),
        round=listed.round_id,
        town=listed.town,
    )
    if stamped:
        about = f"round/{listed.month}/{listed.organisation}/list"
        audit.record(connection, actor, Right.READ_CHANGE_LIST, about, first_download=True)
    return bool(stamped)


# ---- reading ----


def _read(
    connection: Connection,
    catalogue: Catalogue,
    scope: Scope,
    areas: AreaIndex,
    month: str,
    only: UUID | None = None,
    some: Sequence[UUID] | None = None,
) -> RoundList:
    require(scope.actor, Right.READ_CHANGE_LIST)
    read_month(month)
    town = _town_of(scope, areas)
    heads = _select(connection, _HEAD, month=month, town=town)
    if not heads:
        raise NotFound(month)
    lines = _lines(connection, catalogue, scope, town, month, only, some)
    told = _told(connection, catalogue, scope.actor, lines)
    answers = read_answers(connection, scope.actor, month, [line.record_id for line in lines if line.answers])
    items = [_item(catalogue, line, told.get(line.item_id), answers.get(line.record_id)) for line in lines]
    items.sort(key=lambda item: (areas.code_of.get(item.village or town, ""), item.number))
    return RoundList(
        round_id=heads[0].round_id,
        month=month,
        town=town,
        organisation=heads[0].organisation,
        due_on=heads[0].due_on,
        items=tuple(items),
    )


def _town_of(scope: Scope, areas: AreaIndex) -> int:
    """The town whose list it is; a village reads its part of it."""
    own, place = scope.own_areas, scope.actor.area_id
    if not own or place is None:
        raise NotAllowed()
    return areas.town_of[areas.current(place)]


_HEAD = """
SELECT r.round_id, t.organisation, r.due_on FROM {d}.monthly_round r JOIN {d}.round_town t USING (round_id)
 WHERE r.month = :month AND t.town = :town
"""
_LINES = """
SELECT i.item_id, i.number, i.town, i.village, i.record_type, i.record_id, i.role, i.person_id, i.change,
       i.event_date::text AS event_date, i.source, i.came, i.due_on, i.state, i.answers
  FROM {d}.monthly_round r JOIN {d}.round_item i USING (round_id)
 WHERE r.month = :month AND i.record_type = ANY (:types)
   AND i.town = :town AND (i.town = ANY (:own) OR i.village = ANY (:own))
   AND (CAST(:only AS uuid) IS NULL OR i.item_id = :only OR i.person_id =
        (SELECT o.person_id FROM {d}.round_item o WHERE o.item_id = :only AND o.round_id = i.round_id AND o.town = :town))
   AND (CAST(:some AS uuid[]) IS NULL OR i.item_id = ANY (CAST(:some AS uuid[])))
 ORDER BY i.number
"""


def _lines(
    connection: Connection,
    catalogue: Catalogue,
    scope: Scope,
    town: int,
    month: str,
    only: UUID | None,
    some: Sequence[UUID] | None,
) -> Sequence[Row[Any]]:
    own, types = list(scope.own_areas), types_by_area(catalogue)
    asked = None if some is None else list(some)
    found = _select(connection, _LINES, month=month, types=types, town=town, own=own, only=only, some=asked)
    return found if only is None or any(row.item_id == only for row in found) else []


def _select(connection: Connection, statement: str, **values: object) -> Sequence[Row[Any]]:
    return connection.execute(text(statement.replace("{d}", district_of(connection))), values).all()


def _told(
    connection: Connection, catalogue: Catalogue, actor: Actor, lines: Sequence[Row[Any]]
) -> dict[UUID, Row[Any]]:
    """What the records say, as they were told. One of another area, or of one before towns merged, is seen through its line."""
    found = _read_versions(connection, catalogue, lines)
    elsewhere = [line for line in lines if line.item_id not in found and line.person_id is not None]
    if elsewhere:
        open_persons(connection, {line.person_id for line in elsewhere})
        found |= _read_versions(connection, catalogue, elsewhere)
        close(connection, actor)
    return found


def _read_versions(connection: Connection, catalogue: Catalogue, lines: Sequence[Row[Any]]) -> dict[UUID, Row[Any]]:
    by_type: dict[str, list[UUID]] = {}
    for line in lines:
        by_type.setdefault(line.record_type, []).append(line.item_id)
    found: dict[UUID, Row[Any]] = {}
    for code, item_ids in by_type.items():
        rows = _select(connection, _statement(catalogue.record_types[code]), items=item_ids)
        found |= {row.item_id: row for row in rows}
    return found


def _statement(record_type: RecordType) -> str:
    known = {field.name for field in record_type.plain_fields}
    columns = [
        f", v.{role.role}_ref, {_part(role, 'name', known)}, {_part(role, 'id_no', known)}, {_address(role, known)}"
        for role in record_type.people
    ]
    return (
        f"SELECT i.item_id{''.join(columns)} FROM {{d}}.round_item i JOIN {{d}}.ver_{record_type.code} v"
        " ON v.record_id = i.record_id AND v.version = i.version WHERE i.item_id = ANY (:items)"
    )


def _part(role: Role, part: str, known: Iterable[str]) -> str:
    column = f"{role.prefix}{part}"
    return f"{f'v.{column}' if column in known else 'NULL::text'} AS {role.role}_{part}_told"


def _address(role: Role, known: set[str]) -> str:
    columns = [f"v.{role.prefix}{part}" for part in ("live_addr", "hukou_addr") if f"{role.prefix}{part}" in known]
    return f"coalesce({', '.join((*columns, 'NULL::text'))}) AS {role.role}_address_told"


def _item(catalogue: Catalogue, line: Row[Any], told: Row[Any] | None, answer: GivenAnswer | None) -> ListedItem:
    record_type = catalogue.record_types[line.record_type]
    said = told._mapping if told is not None else {}
    role = next((one for one in record_type.people if one.role == line.role), None)
    main = role or next(iter(record_type.people), None)
    shown = (
        {} if main is None else {part: said.get(f"{main.role}_{part}_told") for part in ("name", "id_no", "address")}
    )
    return ListedItem(
        item_id=line.item_id,
        number=line.number,
        village=line.village,
        record_type=line.record_type,
        record_id=line.record_id,
        person_id=line.person_id,
        name=mask_within(shown.get("name")),
        id_no=mask_identifier(shown.get("id_no")),
        address=shown.get("address") or "",
        involved=tuple(_involved(record_type, main, said)),
        change=line.change,
        event_date=line.event_date or "",
        source=line.source,
        came=line.came,
        due_on=line.due_on,
        state=line.state,
        answers=line.answers,
        answer=answer,
    )


def _involved(record_type: RecordType, main: Role | None, said: Any) -> Iterator[Involved]:
    for role in record_type.people:
        name = said.get(f"{role.role}_name_told")
        if role is not main and name:
            yield Involved(title=role.title, name=mask_within(name), person_id=said[f"{role.role}_ref"])


def _note(connection: Connection, actor: Actor, listed: RoundList, purpose: str) -> None:
    audit.record(
        connection,
        actor,
        Right.READ_CHANGE_LIST,
        f"round/{listed.month}/{listed.organisation}",
        purpose=purpose,
        count=len(listed.items),
        digest=audit.digest_of(item.record_id for item in listed.items),
    )
