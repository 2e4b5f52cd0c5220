"""The change list of an area and a month: every effective change that touches it, with what names the person.

Only a town or a village has one, of its own area; only fields outside care are in it, and no record type that is
clinical by its very existence.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from itertools import zip_longest
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Row, text

from hub import audit
from hub.database import district_of
from hub.errors import BadRequest, NotAllowed, NotFound
from hub.registry.areas import AreaIndex
from hub.registry.masking import mask_identifier, mask_within
from hub.registry.permissions import Right
from hub.registry.rights import require
from hub.registry.scope import Scope, types_by_area
from mappings.catalogue import Catalogue, RecordType

_MONTH = re.compile(r"^[0-9]{4}-(0[1-9]|1[0-2])\Z")
_BETWEEN = "\x1f"  # between several people of one record


class ListedChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list. Identity numbers are masked already."""

    seq: int
    village: str
    names: str
    ids: str
    record_type: str
    event_date: str
    change: str  # enter update leave void
    source: str  # organisation code
    record_id: str
    recorded_at: datetime


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month's first and last place in the change log."""

    name: str
    after: int
    up_to: int


def find_month(connection: Connection, month: str, time_zone: str) -> Month:
    """Where a month (YYYY-MM, cut on the district's clock) lies in the log; empty if nothing was recorded in it."""
    begin, end = month_bounds(month, time_zone)
    row = connection.execute(
        text(
            f"SELECT coalesce(min(from_seq), 1) - 1 AS after, coalesce(max(to_seq), 0) AS up_to"
            f" FROM {district_of(connection)}.feed_batch WHERE recorded_at >= :begin AND recorded_at < :end"
        ),
        {"begin": begin, "end": end},
    ).one()
    return Month(name=month, after=row.after, up_to=row.up_to)


def month_bounds(month: str, time_zone: str) -> tuple[datetime, datetime]:
    """The first instant of the month and of the next one."""
    if not _MONTH.match(month):
        raise BadRequest("month: YYYY-MM")
    year, number = (int(part) for part in month.split("-"))
    zone = ZoneInfo(time_zone)
    following = date(year + number // 12, number % 12 + 1, 1)
    return datetime(year, number, 1, tzinfo=zone), datetime(following.year, following.month, 1, tzinfo=zone)


def list_changes(
    connection: Connection,
    catalogue: Catalogue,
    scope: Scope,
    areas: AreaIndex,
    month: Month,
    *,
    village: int | None = None,
    before: int | None = None,
    limit: int | None = None,
    purpose: str,
) -> list[ListedChange]:
    """The month's changes of the scope's own areas, the newest first; that they were read is noted.

    With ``village``, one of the scope's own: the list that this village has itself.
    """
    require(scope.actor, Right.READ_CHANGE_LIST)
    own = _own_areas(scope, areas, village)
    last = month.up_to if before is None else min(month.up_to, before - 1)
    rows = _read_changes(connection, catalogue, own, month.after, last, limit)
    listed = [_listed(row, areas, own) for row in rows]
    _note_reading(connection, scope, month, village, listed, purpose)
    return listed


def find_change(connection: Connection, catalogue: Catalogue, scope: Scope, seq: int) -> Row[Any] | None:
    """One line as it is, unmasked; None if it is not of the scope's own areas. Who calls this notes it."""
    require(scope.actor, Right.READ_CHANGE_LIST)
    if not scope.own_areas:
        raise NotAllowed()
    found = _read_changes(connection, catalogue, frozenset(scope.own_areas), seq - 1, seq, 1)
    return found[0] if found else None


def _own_areas(scope: Scope, areas: AreaIndex, village: int | None) -> frozenset[int]:
    own = frozenset(scope.own_areas)
    if not own:
        raise NotAllowed()
    if village is None:
        return own
    if village not in own:
        raise NotFound()
    return own.intersection(areas.expand(village))


def people_of(row: Row[Any]) -> list[tuple[str, str]]:
    """Name and identity number of each person of an unmasked line."""
    return list(zip_longest(row.names.split(_BETWEEN), row.ids.split(_BETWEEN), fillvalue=""))


def shown_types(catalogue: Catalogue) -> list[RecordType]:
    """Record types whose changes may be listed outside care."""
    return [catalogue.record_types[code] for code in types_by_area(catalogue)]


def _read_changes(
    connection: Connection, catalogue: Catalogue, areas: Collection[int], after: int, last: int, most: int | None
) -> Sequence[Row[Any]]:
    """The changes first, by their numbers and areas; then the types among them give the names of their own.

    A statement over every record type at once would take longer to plan than to run.
    """
    own, district = list(areas), district_of(connection)
    known = {one.code: one for one in shown_types(catalogue)}
    values = {"own": own, "after": after, "last": last, "most": most, "types": list(known)}
    touched = connection.execute(text(_TOUCHED.replace("{d}", district)), values).all()
    if not touched:
        return []
    branches = " UNION ALL ".join(_branch(known[code], district) for code in {row.record_type for row in touched})
    statement = (
        f"SELECT *, coalesce(areas_before && :own ::int[], false) AS was_in,"
        f" coalesce(areas_after && :own ::int[], false) AS is_in FROM ({branches}) listed ORDER BY seq DESC"
    )
    return connection.execute(text(statement), {"own": own, "seqs": [row.seq for row in touched]}).all()


_TOUCHED = """
SELECT c.seq, c.record_type FROM {d}.change_log c JOIN {d}.submission_kind s USING (submission_id)
 WHERE c.seq > :after AND c.seq <= :last AND c.record_type = ANY (:types) AND s.kind <> 'backfill'
   AND c.op NOT IN ('dispute', 'settle')
   AND (c.areas_before && :own ::int[] OR c.areas_after && :own ::int[])
 ORDER BY c.seq DESC LIMIT :most
"""


def _branch(record_type: RecordType, district: str) -> str:
    """What left the area is named as it was while it was there: the version after is somebody else's."""
    names, ids = (_joined(_person_columns(record_type, part)) for part in ("name", "id_no"))
    return (
        f"SELECT c.seq, c.record_type, c.record_id, c.op, c.areas_before, c.areas_after, c.recorded_at, v.source,"
        f" {names} AS names, {ids} AS ids, {_event_date(record_type)} AS event_date"
        f" FROM {district}.change_log c JOIN {district}.ver_{record_type.code} v ON v.record_id = c.record_id"
        f" AND v.version = c.version - CASE WHEN c.areas_after && :own ::int[] THEN 0 ELSE 1 END"
        f" WHERE c.seq = ANY (:seqs) AND c.record_type = '{record_type.code}'"
    )


def _person_columns(record_type: RecordType, part: str) -> list[str]:
    """What names the record's people, one expression a person: of the required roles, else of the first."""
    roles = [role for role in record_type.people if role.required] or list(record_type.people[:1])
    known = {field.role: field.name for field in record_type.plain_fields if field.part == part}
    return [f"coalesce(v.{known[role.role]}, '')" if role.role in known else "''" for role in roles]


def _joined(columns: Sequence[str]) -> str:
    return f"concat_ws('{_BETWEEN}', {', '.join(columns)})" if columns else "''::text"


def _event_date(record_type: RecordType) -> str:
    plain = {field.name for field in record_type.plain_fields}
    return f"left(v.{record_type.event_date}::text, 10)" if record_type.event_date in plain else "NULL::text"


def _listed(row: Any, areas: AreaIndex, own: frozenset[int]) -> ListedChange:
    ids = [mask_identifier(value) for value in row.ids.split(_BETWEEN)]
    names = [mask_within(value) for value in row.names.split(_BETWEEN)]
    return ListedChange(
        seq=row.seq,
        village="、".join(_places((row.areas_after if row.is_in else row.areas_before) or (), areas, own)),
        names="、".join(each for each in names if each),
        ids="、".join(each for each in ids if each),
        record_type=row.record_type,
        event_date=row.event_date or "",
        change=_change(row),
        source=row.source,
        record_id=str(row.record_id),
        recorded_at=row.recorded_at,
    )


def _change(row: Any) -> str:
    """What it means for this area, whatever it is elsewhere."""
    if row.op == "void":
        return "void"
    if row.was_in and row.is_in:
        return "update"
    return "enter" if row.is_in else "leave"


def _places(touched: Sequence[int], areas: AreaIndex, own: frozenset[int]) -> Iterator[str]:
    """The villages among them; the town itself only where no village is known."""
    mine = [areas.current(each) for each in touched if areas.current(each) in own]
    villages = [each for each in mine if areas.kind.get(each) == "village"]
    return (areas.name_of.get(each, "") for each in villages or mine)


def _note_reading(
    connection: Connection,
    scope: Scope,
    month: Month,
    village: int | None,
    listed: Sequence[ListedChange],
    purpose: str,
) -> None:
    span: dict[str, Any] = {"after": month.after, "up_to": month.up_to, "newest": listed[0].seq if listed else None}
    if village is not None:
        span["village"] = village
    audit.record(
        connection,
        scope.actor,
        Right.READ_CHANGE_LIST,
        f"change-list/{scope.actor.organisation}/{month.name}",
        purpose=purpose,
        count=len(listed),
        digest=audit.digest_of(line.record_id for line in listed),
        **span,
    )
