"""What a unit works off: its items, one item with both sides beside each other, closing one with what was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, select, true, update

from hub import audit
from hub.database import run_sql, utc_now
from hub.errors import BadRequest, Conflict, NotFound
from hub.people.comparison_sql import side_fields
from hub.registry.list_order import Order, behind, place_of_row
from hub.registry.masking import View, mask_field, mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import is_care_only, open_persons
from hub.tables import comparison_item
from mappings.catalogue import Catalogue, Field, RecordType
from mappings.comparisons import Comparison

State = Literal["", "open", "closed", "gone"]
OUTCOMES = ("corrected", "explained", "not_ours")  # put right; it is right as it is; another place has to act
_SHORTEST, _LONGEST = 4, 500
_ITEM = comparison_item.c
COMPARISON_ORDERS: dict[str, Order] = {
    "opened_at": _ITEM.opened_at,
    "organisation": (_ITEM.organisation, _ITEM.opened_at),
}
Place = tuple[Any, ...]


class BadEvidence(BadRequest):
    """请用 4 至 500 个字写明核实依据，并选择处理结果。 Say in 4 to 500 characters what was found, and choose an outcome."""

    problem = "bad-evidence"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which items: of one check, in one state, open for so many days at least; in which of COMPARISON_ORDERS."""

    check: str = ""
    state: State = "open"
    older_than_days: int = 0
    sort: str = "-opened_at"


class ListedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list; the name as this reader may see it."""

    item_id: UUID
    check: str
    state: str
    organisation: str
    name: str
    identifier: str
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    times: int


class CheckCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many items of a check are open, and since when the oldest."""

    check: str
    open: int
    oldest: datetime


class ShownField(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    title_en: str
    value: str
    compared: bool  # what the check is about


class ShownSide(msgspec.Struct, frozen=True, kw_only=True):
    """One record as this reader may see it: one's own whole, another's only where it is compared; masked, never clinical."""

    record_type: str
    source: str
    own: bool
    voided: bool
    recorded_at: datetime
    fields: tuple[ShownField, ...]


class ShownItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item with its sides, in the order the check names them."""

    item_id: UUID
    check: Comparison
    state: str
    organisation: str
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    closed_by: str
    evidence: str
    times: int
    own: bool
    sides: tuple[ShownSide, ...]


# ---- reading ----


def count_items(connection: Connection, actor: Actor) -> list[CheckCount]:
    """Open items by check, those of one's own unit; the bureau counts all."""
    _require_reader(actor)
    counted = select(_ITEM.check_code, func.count(), func.min(_ITEM.opened_at)).where(
        _mine(actor), _ITEM.state == "open"
    )
    rows = connection.execute(counted.group_by(_ITEM.check_code))
    return [CheckCount(check=check, open=many, oldest=oldest) for check, many, oldest in rows]


def list_items(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    wanted: Wanted,
    *,
    purpose: str,
    before: Place | None = None,
    limit: int = 50,
) -> list[ListedItem]:
    """Items of one's own unit, as they are ordered; the bureau sees everybody's, with names masked. The reading is noted."""
    _require_reader(actor)
    rows = connection.execute(_chosen(actor, wanted, before).limit(limit)).all()
    known = {code: catalogue.record_types[code] for code in {row.sides[0]["record_type"] for row in rows}}
    _open_them(connection, {side["person"] for row in rows for side in row.sides[:1]})
    named = {code: _names_of(connection, record_type, rows) for code, record_type in known.items()}
    _note_reading(connection, actor, "comparisons", purpose, [row.item_id for row in rows])
    return [_listed(actor, row, known, named) for row in rows]


def read_item(connection: Connection, actor: Actor, catalogue: Catalogue, item_id: UUID, *, purpose: str) -> ShownItem:
    """Both sides beside each other. The persons are opened only after the item was found to be one's own to see."""
    row = _seen_item(connection, actor, item_id)
    check = catalogue.comparisons.get(row.check_code)
    if check is None:
        raise NotFound()
    _open_them(connection, {side["person"] for side in row.sides})
    sides = [
        _shown_side(connection, actor, catalogue.record_types[side["record_type"]], check, side) for side in row.sides
    ]
    _note_reading(connection, actor, f"comparison/{item_id}", purpose, [side["record_id"] for side in row.sides])
    return ShownItem(
        item_id=row.item_id, check=check, state=row.state, organisation=row.organisation, opened_at=row.opened_at,
        last_seen_at=row.last_seen_at, closed_at=row.closed_at, closed_by=row.closed_by or "", evidence=row.evidence,
        times=row.times, own=row.organisation == actor.organisation, sides=tuple(one for one in sides if one),
    )  # fmt: skip


def place_of(connection: Connection, actor: Actor, wanted: Wanted, item_id: UUID) -> Place:
    """Where the list goes on after this item."""
    return place_of_row(_seen_item(connection, actor, item_id), COMPARISON_ORDERS, wanted.sort, _ITEM.item_id)


# ---- working off ----


def close_item(connection: Connection, actor: Actor, item_id: UUID, evidence: str, outcome: str) -> None:
    """Closed with what was found. It stays closed for as long as both records say what they say now."""
    row = _own_item(connection, actor, item_id)
    said = _checked(evidence, outcome)
    if row.state != "open":
        raise Conflict("此项已不在待办。 This item is not open.")
    _set_state(connection, item_id, "closed", closed_at=utc_now(), closed_by=actor.name, evidence=f"{outcome}: {said}")
    audit.record(
        connection, actor, Right.WORK_COMPARISON, f"comparison/{item_id}",
        what="close", check=row.check_code, result=outcome, evidence_digest=audit.digest_of([said]),
    )  # fmt: skip


def reopen_item(connection: Connection, actor: Actor, item_id: UUID, reason: str) -> None:
    """A closing taken back, by the unit that made it."""
    row = _own_item(connection, actor, item_id)
    said = _checked(reason, "corrected")
    if row.state != "closed":
        raise Conflict("只有已办结的可以重新打开。 Only a closed item can be opened again.")
    _set_state(
        connection, item_id, "open", closed_at=None, closed_by=None, opened_at=utc_now(), times=row.times + 1,
        evidence=f"{row.evidence} / {said}",
    )  # fmt: skip
    audit.record(connection, actor, Right.WORK_COMPARISON, f"comparison/{item_id}", what="reopen", check=row.check_code)


def _checked(evidence: str, outcome: str) -> str:
    """The sentence as it is kept: numbers of persons in it are masked."""
    said = " ".join(evidence.split())
    if not _SHORTEST <= len(said) <= _LONGEST or outcome not in OUTCOMES:
        raise BadEvidence()
    return mask_within(said)


def _set_state(connection: Connection, item_id: UUID, state: str, **values: object) -> None:
    connection.execute(update(comparison_item).where(_ITEM.item_id == item_id).values(state=state, **values))


# ---- whose it is ----


def _require_reader(actor: Actor) -> None:
    require(actor, Right.WORK_COMPARISON, Right.OPERATE)


def _mine(actor: Actor) -> ColumnElement[bool]:
    """The first wall: one's own unit's; who oversees sees all."""
    if actor.may(Right.READ_ALL_SUBMISSIONS):
        return true()
    return _ITEM.organisation == actor.organisation


def _seen_item(connection: Connection, actor: Actor, item_id: UUID) -> Row[Any]:
    _require_reader(actor)
    row = connection.execute(select(comparison_item).where(_ITEM.item_id == item_id, _mine(actor))).one_or_none()
    if row is None:
        raise NotFound()
    return row


def _own_item(connection: Connection, actor: Actor, item_id: UUID) -> Row[Any]:
    """To be changed: by one's own unit alone, and by one at a time."""
    _require_reader(actor)
    its = select(comparison_item).where(_ITEM.item_id == item_id, _ITEM.organisation == actor.organisation)
    row = connection.execute(its.with_for_update()).one_or_none()
    if row is None:
        raise NotFound()
    return row


def _chosen(actor: Actor, wanted: Wanted, before: Place | None) -> Any:
    tests = [_mine(actor)]
    if wanted.check:
        tests.append(_ITEM.check_code == wanted.check)
    if wanted.state:
        tests.append(_ITEM.state == wanted.state)
    if wanted.older_than_days:
        tests.append(_ITEM.opened_at <= utc_now() - timedelta(days=wanted.older_than_days))
    return behind(select(comparison_item).where(*tests), COMPARISON_ORDERS, wanted.sort, _ITEM.item_id, before)


def _open_them(connection: Connection, persons: set[str]) -> None:
    """These persons, and who they turned out to be since the items were found, and those again."""
    opened: set[str] = set()
    while not persons <= opened:
        opened |= persons
        open_persons(connection, opened)
        merged = "SELECT merged_into::text FROM {d}.person WHERE person_id = ANY(CAST(:persons AS uuid[]))"
        persons = {str(one) for (one,) in run_sql(connection, merged, persons=list(persons)) if one}


def _note_reading(connection: Connection, actor: Actor, about: str, purpose: str, read: Sequence[object]) -> None:
    audit.record(
        connection, actor, Right.WORK_COMPARISON, about,
        what="read", purpose=purpose, records=len(read), digest=audit.digest_of(list(map(str, read))),
    )  # fmt: skip


# ---- what is shown ----


def _view(actor: Actor) -> View:
    return "oversight" if actor.may(Right.READ_ALL_SUBMISSIONS) else "own"


def _part(record_type: RecordType, role: str, part: str) -> Field | None:
    found = (one for one in record_type.plain_fields if one.role == role and one.part == part)
    return next(found, None)


def _names_of(connection: Connection, record_type: RecordType, rows: Iterable[Row[Any]]) -> dict[str, tuple[Any, ...]]:
    """Name and number of the person of each item's first side, by record id; two columns of one role each."""
    named: dict[str, tuple[Any, ...]] = {}
    first = [row.sides[0] for row in rows if row.sides[0]["record_type"] == record_type.code]
    for role in {side["role"] for side in first}:
        fields = [_part(record_type, role, part) for part in ("name", "id_no")]
        columns = ", ".join(one.name if one else "NULL" for one in fields)
        wanted = [side["record_id"] for side in first if side["role"] == role]
        found = run_sql(
            connection,
            f"SELECT record_id, {columns} FROM {{d}}.rec_{record_type.code} WHERE record_id = ANY(CAST(:wanted AS uuid[]))",
            wanted=wanted,
        )
        named |= {f"{record_id}/{role}": values for record_id, *values in found}  # type: ignore[misc]
    return named


def _listed(actor: Actor, row: Row[Any], known: dict[str, RecordType], named: dict[str, Any]) -> ListedItem:
    side = row.sides[0]
    record_type, role = known[side["record_type"]], side["role"]
    name, number = named[record_type.code].get(f"{side['record_id']}/{role}", (None, None))
    shown = [
        mask_field(value, _part(record_type, role, part), _view(actor))
        for value, part in ((name, "name"), (number, "id_no"))
    ]
    return ListedItem(
        item_id=row.item_id, check=row.check_code, state=row.state, organisation=row.organisation, name=shown[0],
        identifier=shown[1], opened_at=row.opened_at, last_seen_at=row.last_seen_at, closed_at=row.closed_at,
        times=row.times,
    )  # fmt: skip


def _shown_side(
    connection: Connection, actor: Actor, record_type: RecordType, check: Comparison, side: dict[str, str]
) -> ShownSide | None:
    """None where the record is closed to this reader: clinical by existing, or gone."""
    own = side["source"] == actor.organisation
    if is_care_only(record_type):
        return None
    about = _about(check, record_type, side["role"])
    fields = [one for one in record_type.plain_fields if own or one.name in about]
    columns = ", ".join(["voided", "recorded_at", *(one.name for one in fields)])
    found = run_sql(
        connection,
        f"SELECT {columns} FROM {{d}}.rec_{record_type.code} WHERE record_id = :record",
        record=side["record_id"],
    )
    if not found:
        return None
    voided, recorded_at, *values = found[0]
    shown = tuple(
        _shown(one, value, one.name in about, _view(actor)) for one, value in zip(fields, values, strict=True)
    )
    return ShownSide(
        record_type=record_type.code, source=side["source"], own=own, voided=bool(voided),
        recorded_at=recorded_at, fields=tuple(one for one in shown if one.value or one.compared),  # type: ignore[arg-type]
    )  # fmt: skip


def _about(check: Comparison, record_type: RecordType, role: str) -> set[str]:
    """Who it is, when it happened, and what the check compares."""
    person = (_part(record_type, role, part) for part in ("name", "id_no"))
    sides = (side for side in check.sides if side.type == record_type.code and side.role == role)
    compared = {name for side in sides for name in side_fields(check, side)}
    return compared | {one.name for one in person if one} | {record_type.event_date}


def _shown(field: Field, value: object, compared: bool, view: View) -> ShownField:
    return ShownField(
        title=field.title, title_en=field.title_en, value=mask_field(value, field, view), compared=compared
    )
