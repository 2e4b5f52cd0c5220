"""The month's account read: a town its own lines, the bureau all; and who makes a figure, masked, with a purpose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal, cast, get_args
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select

from hub import audit
from hub.casework.balance import district_area
from hub.casework.balance_explaining import WRONG
from hub.casework.balance_sql import CROSSINGS
from hub.database import run_sql
from hub.errors import BadRequest, NotAllowed, NotFound
from hub.people.purposes import Purpose
from hub.registry.areas import AreaIndex
from hub.registry.masking import mask_identifier, mask_within
from hub.registry.month_calendar import read_month
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import open_persons, scope_for
from hub.tables import balance, balance_month

Figure = Literal[
    "opening", "births", "deaths", "moved_in", "moved_out", "corrected_in", "corrected_out", "adjusted_in",
    "adjusted_out", "excused", "unexplained",
]  # fmt: skip
FIGURES: tuple[Figure, ...] = get_args(Figure)  # as they are read from left to right, between start and end
COMES = ("start", "opening", "births", "moved_in", "corrected_in", "adjusted_in", "excused")
GOES = ("deaths", "moved_out", "corrected_out", "adjusted_out")
_OF_NOW = "c.kind IN ('birth', 'death', 'moved', 'correction') AND "
_MADE_BY: dict[Figure, str] = {
    "opening": "c.kind = 'opening'",
    "births": "c.kind = 'birth' AND NOT c.late",
    "deaths": "c.kind = 'death' AND NOT c.late",
    "moved_in": "c.kind = 'moved' AND NOT c.late AND c.is_in",
    "moved_out": "c.kind = 'moved' AND NOT c.late AND NOT c.is_in",
    "corrected_in": "c.kind = 'correction' AND NOT c.late AND c.is_in",
    "corrected_out": "c.kind = 'correction' AND NOT c.late AND NOT c.is_in",
    "adjusted_in": f"{_OF_NOW} c.late AND c.is_in",
    "adjusted_out": f"{_OF_NOW} c.late AND NOT c.is_in",
    "excused": "c.kind = 'excused'",
    "unexplained": "c.kind = 'unexplained'",
}
MOST_LINES = 1000


class AccountLine(msgspec.Struct, frozen=True, kw_only=True):
    """One area's line: start and all that came and went make its end, or else people are listed who say why not."""

    area: int
    kind: str  # district town village
    code: str
    name: str
    start: int
    opening: int
    births: int
    deaths: int
    moved_in: int
    moved_out: int
    corrected_in: int
    corrected_out: int
    adjusted_in: int
    adjusted_out: int
    excused: int
    unexplained: int
    end: int

    @property
    def missing(self) -> int:
        """How much the end is above what the figures come to."""
        goes: int = sum(getattr(self, name) for name in GOES)
        comes: int = sum(getattr(self, name) for name in COMES)
        return self.end + goes - comes


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A month's account, as far as the reader may see it: district, each town, its villages."""

    month: str
    as_of: date
    state: str  # drawn closed
    drawn_at: datetime
    closed_at: datetime | None
    lines: tuple[AccountLine, ...]


class ListedMovement(msgspec.Struct, frozen=True, kw_only=True):
    """One line of one person; name and number are masked."""

    person_id: UUID
    name: str
    id_no: str
    kind: str
    from_area: str  # names; empty: from elsewhere
    to_area: str
    of_month: str
    record_type: str
    record_id: UUID | None
    event_date: date | None
    why: str  # what is wrong, or why something else is known
    reason: str  # why it was let pass
    excused_by: str = ""
    excused_at: datetime | None = None


class MovedPeople(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a figure: how many lines of how many people, and one page of them."""

    month: str
    area: int
    area_name: str
    figure: Figure
    total: int
    people: int
    lines: tuple[ListedMovement, ...]


def list_months(connection: Connection, actor: Actor) -> list[str]:
    """The months that were ever drawn, the newest first."""
    require(actor, Right.READ_ROUND, Right.OPERATE)
    return list(connection.scalars(select(balance_month.c.month).order_by(balance_month.c.month.desc())))


def is_drawn(connection: Connection, actor: Actor, month: str) -> bool:
    """Whether the month stands open with its differences: drawn, and not closed."""
    require(actor, Right.READ_ROUND, Right.READ_CHANGE_LIST, Right.OPERATE)
    return connection.scalar(select(balance_month.c.state).where(balance_month.c.month == month)) == "drawn"


def read_account(connection: Connection, actor: Actor, index: AreaIndex, month: str) -> Account:
    """The account of one month; NotFound if it was never drawn."""
    require(actor, Right.READ_ROUND, Right.READ_CHANGE_LIST, Right.OPERATE)
    read_month(month)
    its = connection.execute(select(balance_month).where(balance_month.c.month == month)).one_or_none()
    if its is None:
        raise NotFound(f"{month} 的平衡表尚未生成。 The account of {month} was not drawn yet.")
    own = _own_areas(actor, index)
    rows = connection.execute(select(balance).where(balance.c.month == month)).all()
    lines = [_account_line(row, index) for row in rows if own is None or row.area in own]
    return Account(
        month=month, as_of=its.as_of, state=its.state, drawn_at=its.drawn_at, closed_at=its.closed_at,
        lines=tuple(sorted(lines, key=lambda line: _place_in_order(line, index))),
    )  # fmt: skip


def list_moved(
    connection: Connection,
    actor: Actor,
    index: AreaIndex,
    asked: tuple[str, int, Figure],
    purpose: Purpose,
    after: int = 0,
    limit: int = MOST_LINES,
) -> MovedPeople:
    """Who makes a figure (month, area, figure): a town those of its own area, the bureau anybody's with a reason. Noted."""
    require(actor, Right.READ_CHANGE_LIST, Right.MANAGE_ROUND, Right.OPERATE)
    month, area, figure = asked
    read_month(month)
    own = _own_areas(actor, index)
    if area not in index.kind or (own is not None and area not in own):
        raise NotAllowed("只能查看本辖区的人员。 Only people of one's own area are shown.")
    if figure not in FIGURES:
        raise BadRequest(f"figure: {figure!r}")
    total, people, rows = _movements_of(connection, district_area(index), asked, after, limit)
    names = _names(connection, [row.person_id for row in rows])
    listed = tuple(_listed_movement(row, names, index) for row in rows)
    _note_listing(connection, actor, asked, purpose, listed)
    name = index.name_of[area]
    return MovedPeople(month=month, area=area, area_name=name, figure=figure, total=total, people=people, lines=listed)


def figure_named(written: str) -> Figure:
    """A figure as an address names it; BadRequest if there is none."""
    found = next((one for one in FIGURES if one == written), None)
    if found is None:
        raise BadRequest(f"figure: {written!r}; {' '.join(FIGURES)}")
    return found


def month_named(connection: Connection, actor: Actor, written: str) -> str:
    """The month asked for, or the newest that was drawn; empty if none was."""
    return written or next(iter(list_months(connection, actor)), "")


def area_named_by_code(index: AreaIndex, actor: Actor, code: str) -> int:
    """The area of a code; none given: the actor's own, or the whole district."""
    if not code:
        return actor.area_id or district_area(index)
    if code not in index.codes:
        raise NotFound(f"没有这个区划：{code}。 There is no such area.")
    return index.codes[code]


def _own_areas(actor: Actor, index: AreaIndex) -> tuple[int, ...] | None:
    """None: every area."""
    everything = actor.may(Right.OPERATE) or actor.may(Right.SYSTEM) or actor.kind == "bureau"
    return None if everything else scope_for(actor, index).own_areas


def _account_line(row: Any, index: AreaIndex) -> AccountLine:
    area = index.current(row.area)
    named: dict[str, Any] = {
        "kind": index.kind.get(area, ""),
        "code": index.code_of.get(area, ""),
        "name": index.name_of.get(area, ""),
    }
    figures = {name: getattr(row, name) for name in ("start", *FIGURES, "end")}
    return AccountLine(area=row.area, **named, **figures)


def _place_in_order(line: AccountLine, index: AreaIndex) -> tuple[str, str]:
    """The district, then each town before its villages, by their codes."""
    town = index.town_of.get(index.current(line.area))
    return (index.code_of[town], "" if line.kind == "town" else line.code) if town is not None else ("", "")


def _movements_of(
    connection: Connection, district: int, asked: tuple[str, int, Figure], after: int, limit: int
) -> tuple[int, int, Sequence[Any]]:
    """How many lines and people, and one page of the lines."""
    month, area, figure = asked
    chosen = f"FROM ({CROSSINGS}) c WHERE c.area = :area AND {_MADE_BY[figure]}"
    bound = {"month": month, "area": area, "district": district}
    ((total, people),) = run_sql(
        connection, f"SELECT count(DISTINCT movement_id), count(DISTINCT person_id) {chosen}", **bound
    )
    rows = run_sql(
        connection,
        f"""
        SELECT m.person_id, m.kind, m.from_area, m.to_area, m.of_month, m.record_type, m.record_id, m.event_date, m.reason,
               coalesce(m.excused_by, ''), m.excused_at
        FROM {{d}}.balance_movement m WHERE m.movement_id IN (SELECT c.movement_id {chosen})
        ORDER BY m.person_id, m.movement_id OFFSET :after LIMIT :limit
        """,
        **bound,
        after=after,
        limit=min(limit, MOST_LINES),
    )
    return cast(int, total), cast(int, people), [_Row(*row) for row in rows]  # type: ignore[arg-type]


class _Row(msgspec.Struct, frozen=True):
    person_id: UUID
    kind: str
    from_area: int | None
    to_area: int | None
    of_month: str
    record_type: str
    record_id: UUID | None
    event_date: date | None
    reason: str
    excused_by: str
    excused_at: datetime | None


def _names(connection: Connection, persons: Sequence[UUID]) -> dict[UUID, tuple[str, str]]:
    """Name and number, masked. The lines are the reader's own, so that these persons may be opened."""
    if not persons:
        return {}
    open_persons(connection, persons)
    rows = run_sql(
        connection,
        "SELECT person_id, coalesce(name, ''), coalesce(id_no, '') FROM {d}.person_profile"
        " WHERE person_id = ANY (CAST(:persons AS uuid[]))",
        persons=list(persons),
    )
    return {cast(UUID, one): (mask_within(str(name)), mask_identifier(str(number))) for one, name, number in rows}


def _listed_movement(row: _Row, names: dict[UUID, tuple[str, str]], index: AreaIndex) -> ListedMovement:
    name, number = names.get(row.person_id, ("", ""))
    why, _, reason = row.reason.partition(" ")
    return ListedMovement(
        person_id=row.person_id, name=name, id_no=number, kind=row.kind, of_month=row.of_month,
        from_area=_full_name_of(index, row.from_area), to_area=_full_name_of(index, row.to_area),
        record_type=row.record_type, record_id=row.record_id, event_date=row.event_date, why=why, reason=reason,
        excused_by=row.excused_by, excused_at=row.excused_at,
    )  # fmt: skip


def _full_name_of(index: AreaIndex, area: int | None) -> str:
    if area is None:
        return ""
    here = index.current(area)
    town = index.town_of.get(here, here)
    return "".join(dict.fromkeys((index.name_of.get(town, ""), index.name_of.get(here, ""))))


def _note_listing(
    connection: Connection,
    actor: Actor,
    asked: tuple[str, int, Figure],
    purpose: Purpose,
    listed: Sequence[ListedMovement],
) -> None:
    month, area, figure = asked
    digest = audit.digest_of(str(line.person_id) for line in listed)
    facts = {"purpose": purpose.code, "reason": purpose.text, "figure": figure, "count": len(listed), "digest": digest}
    audit.record(connection, actor, Right.READ_ROUND, f"balance/{month}/{area}", "done", **facts)


# what `why` may be: what is wrong with an unexplained line, or by what something else is known of somebody
CAUSES = ("void", "update", "restore", "relink", "merge", "split", "apart", "undo", "erased")
WHYS = (*WRONG, *CAUSES)
