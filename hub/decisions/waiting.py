"""Everything that waits for a person, the oldest first: rows, submissions, pairs of persons, comparison items.

Kinds, codes and ages only: what a row says and who a person is stands on the page of each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Label,
    Select,
    Text,
    any_,
    cast,
    exists,
    func,
    literal,
    select,
    tuple_,
    union_all,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import ARRAY

from hub.database import utc_now
from hub.errors import BadRequest
from hub.exchange.receipts import WAITING_STATES
from hub.registry.permissions import Actor, Right
from hub.tables import comparison_item, held_candidate, held_row, person_pair, submission

Kind = Literal["held", "submission", "pair", "comparison"]
KINDS: tuple[Kind, ...] = ("held", "submission", "pair", "comparison")
UNDER_WAY = ("received", "checked", "braked")
_READS = {
    "held": Right.DECIDE_HELD,
    "submission": Right.READ_SUBMISSION,
    "pair": Right.JUDGE_PERSON,
    "comparison": Right.WORK_COMPARISON,
}


class WantedItems(msgspec.Struct, frozen=True, kw_only=True):
    """Which of them to list; what is empty does not matter. ``sort``: by since, or by what it is; ``-``: downwards."""

    kind: str = ""
    code: str = ""
    record_type: str = ""
    receipt: str = ""
    older_than_days: int = 0
    sort: str = "since"


class WaitingItem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that waits. ``what``: a record type, or the check of a comparison; ``place`` says where it is decided."""

    kind: str
    what: str
    codes: tuple[str, ...]
    since: datetime
    organisation: str
    key: str
    place: str  # the ids of it, by kind
    receipt: str
    row: int  # number in the sheet; 0 for what is no row
    row_no: int
    candidates: int
    under_way: bool

    @property
    def age_days(self) -> int:
        return (utc_now() - self.since).days

    @property
    def cursor(self) -> str:
        return f"{self.since.isoformat()}~{self.key}"

    def cursor_in(self, sort: str) -> str:
        """Its place in an order."""
        return f"{self.what}~{self.cursor}" if sort in _BY_WHAT else self.cursor


class WaitingCount(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one kind waits at one organisation, and since when the oldest does."""

    kind: str
    what: str
    organisation: str
    how_many: int
    oldest: datetime


def list_waiting(
    connection: Connection, actor: Actor, wanted: WantedItems, after: str = "", limit: int = 50
) -> list[WaitingItem]:
    """What this account may decide for its own organisation; ``after`` is the cursor of the last one already seen."""
    place = _place(after, wanted.sort) if after else None
    kinds = [
        _first_of(_LISTED[kind](_own(actor)), _SINCE[kind], wanted, place, limit)
        for kind in _kinds_for(actor)
        if wanted.kind in ("", kind)
    ]
    if not kinds:
        return []
    found = union_all(*kinds).subquery()
    rows = connection.execute(_in_turn(select(found), found.c, wanted.sort).limit(limit)).all()
    return [_item(row) for row in rows]


def _first_of(
    listed: Select[Any],
    since: ColumnElement[datetime],
    wanted: WantedItems,
    place: tuple[Any, ...] | None,
    limit: int,
) -> Select[Any]:
    """The first of one kind, by its own index: of all that waits only a page of each kind is put in order together."""
    down = wanted.sort.startswith("-")
    if place and wanted.sort not in _BY_WHAT:
        listed = listed.where(since <= place[0] if down else since >= place[0])
    found = listed.subquery()
    query = select(found).where(*_matching_items(found.c, wanted))
    if place:
        here, there = tuple_(*_parts(found.c, wanted.sort)), tuple_(*place)
        query = query.where(here < there if down else here > there)
    return select(_in_turn(query, found.c, wanted.sort).limit(limit).subquery())


_BY_WHAT = ("what", "-what")
WAITING_ORDERS = ("since", "-since", *_BY_WHAT)


def _in_turn(query: Select[Any], its: Any, sort: str) -> Select[Any]:
    return query.order_by(*(each.desc() if sort.startswith("-") else each for each in _parts(its, sort)))


def _parts(its: Any, sort: str) -> tuple[ColumnElement[Any], ...]:
    return (its.what, its.since, its.key) if sort in _BY_WHAT else (its.since, its.key)


def count_waiting_items(
    connection: Connection, actor: Actor, without: Collection[str] = (), among: Collection[str] = KINDS
) -> list[WaitingCount]:
    """By kind, organisation and type: of one's own organisation, for who oversees of all; no row, no person.

    ``without``: record types whose mere counts would tell, for whoever is outside care.
    """
    oversees = actor.may(Right.READ_ALL_SUBMISSIONS)
    kinds = KINDS if oversees else _kinds_for(actor)
    counts: list[WaitingCount] = []
    for kind in (one for one in kinds if one in among):
        grouped = _counted(kind, () if oversees else _own(actor), without)
        for what, organisation, many, oldest in connection.execute(grouped):
            one = WaitingCount(kind=kind, what=what, organisation=organisation, how_many=many, oldest=oldest)
            counts.append(one)
    return sorted(counts, key=lambda one: (KINDS.index(one.kind), one.organisation, one.what))


def _counted(kind: Kind, own: Collection[str], without: Collection[str]) -> Select[Any]:
    """Of the table of the kind alone: what an index holds is counted without a look at the rows."""
    state, what, organisation, since = _WAITS[kind]
    named = () if isinstance(what, Label) else (what.not_in(list(without)),)
    columns: tuple[ColumnElement[Any], ...] = (what, organisation, func.count(), func.min(since))
    counted: Select[Any] = select(*columns).where(state, *named, *_of(organisation, own))
    return counted.group_by(organisation) if isinstance(what, Label) else counted.group_by(what, organisation)


def codes_waiting(connection: Connection, actor: Actor) -> dict[str, int]:
    """Code -> how many of one's own held rows have it; a row may have several."""
    if "held" not in _kinds_for(actor):
        return {}
    code = func.unnest(held_row.c.codes).label("code")
    mine = select(code).where(held_row.c.state == "waiting", held_row.c.organisation.in_(_own(actor))).subquery()
    counted = select(mine.c.code, func.count()).group_by(mine.c.code).order_by(func.count().desc(), mine.c.code)
    return {str(name): int(many) for name, many in connection.execute(counted)}


def _own(actor: Actor) -> tuple[str, ...]:
    """The organisations one decides for: pairs of nobody in particular are the bureau's."""
    return (actor.organisation, "") if actor.may(Right.READ_ALL_SUBMISSIONS) else (actor.organisation,)


def _kinds_for(actor: Actor) -> list[Kind]:
    return [kind for kind in KINDS if actor.may(_READS[kind]) or actor.may(Right.OPERATE)]


def _held_items(own: Collection[str]) -> Select[Any]:
    its, taking = held_row.c, submission.alias("taking")
    candidate = held_candidate.c
    many = select(func.count(candidate.person_id.distinct())).where(
        candidate.submission_id == its.submission_id, candidate.row_no == its.row_no
    )
    under_way = exists().where(taking.c.submission_id == its.release_id, taking.c.state.in_(UNDER_WAY))
    number = func.lpad(cast(its.row_no, Text), 10, "0")
    return _columns(
        "held", its.record_type, its.codes, its.held_at, its.organisation,
        cast(its.submission_id, Text) + "/" + number, cast(its.submission_id, Text),
        submission.c.receipt_number, its.sheet_row, its.row_no, many.scalar_subquery(), under_way,
    ).join_from(held_row, submission, submission.c.submission_id == its.submission_id).where(
        its.state == "waiting", *_of(its.organisation, own)
    )  # fmt: skip


def _submission_items(own: Collection[str]) -> Select[Any]:
    its = submission.c
    state = func.array_append(cast(literal([]), ARRAY(Text)), its.state, type_=ARRAY(Text))
    return _columns(
        "submission", its.record_type, state, its.received_at, its.organisation, cast(its.submission_id, Text),
        cast(its.submission_id, Text), its.receipt_number,
    ).where(its.state.in_(WAITING_STATES), *_of(its.organisation, own))  # fmt: skip


def _pair_items(own: Collection[str]) -> Select[Any]:
    its = person_pair.c
    both = cast(its.first_id, Text) + "/" + cast(its.second_id, Text)
    nothing = cast(literal([]), ARRAY(Text))
    return _columns("pair", literal("person"), nothing, its.found_at, its.organisation, both, both).where(
        its.state == "open", *_of(its.organisation, own)
    )


def _comparison_items(own: Collection[str]) -> Select[Any]:
    its = comparison_item.c
    code = func.array_append(cast(literal([]), ARRAY(Text)), its.check_code, type_=ARRAY(Text))
    item = cast(its.item_id, Text)
    return _columns("comparison", its.check_code, code, its.opened_at, its.organisation, item, item).where(
        its.state == "open", *_of(its.organisation, own)
    )


_LISTED = {
    "held": _held_items,
    "submission": _submission_items,
    "pair": _pair_items,
    "comparison": _comparison_items,
}


# Per kind: what makes it wait, what it is, whose, since when.
_WAITS: dict[Kind, tuple[ColumnElement[bool], ColumnElement[str], ColumnElement[str], ColumnElement[datetime]]] = {
    "held": (held_row.c.state == "waiting", held_row.c.record_type, held_row.c.organisation, held_row.c.held_at),
    "submission": (
        submission.c.state.in_(WAITING_STATES), submission.c.record_type, submission.c.organisation,
        submission.c.received_at,
    ),
    "pair": (
        person_pair.c.state == "open", literal("person").label("what"), person_pair.c.organisation,
        person_pair.c.found_at,
    ),
    "comparison": (
        comparison_item.c.state == "open", comparison_item.c.check_code, comparison_item.c.organisation,
        comparison_item.c.opened_at,
    ),
}  # fmt: skip
_SINCE = {kind: since for kind, (_, _, _, since) in _WAITS.items()}


def _columns(
    kind: str,
    what: Any,
    codes: Any,
    since: Any,
    organisation: Any,
    key: Any,
    place: Any,
    receipt: Any = "",
    row: Any = 0,
    row_no: Any = 0,
    candidates: Any = 0,
    under_way: Any = None,
) -> Select[Any]:
    """The same columns for every kind; ``key`` orders within one instant and is unique with it."""
    return select(
        literal(kind).label("kind"), what.label("what"), codes.label("codes"), since.label("since"),
        organisation.label("organisation"), (literal(f"{kind}/") + key).label("key"), place.label("place"),
        _said(receipt, Text).label("receipt"), _said(row, Integer).label("row"), _said(row_no, Integer).label("row_no"),
        _said(candidates, Integer).label("candidates"),
        (literal(False) if under_way is None else under_way).label("under_way"),
    )  # fmt: skip


def _said(value: Any, kind: Any) -> ColumnElement[Any]:
    return cast(value if isinstance(value, ColumnElement) else literal(value), kind)


def _of(organisation: ColumnElement[str], own: Collection[str]) -> Iterator[ColumnElement[bool]]:
    if own:
        yield organisation.in_(own)


def _matching_items(its: Any, wanted: WantedItems) -> Iterator[ColumnElement[bool]]:
    if wanted.code:
        yield any_(its.codes) == wanted.code
    if wanted.record_type:
        yield its.what == wanted.record_type
    if wanted.receipt:
        yield its.receipt == wanted.receipt
    if wanted.older_than_days:
        yield its.since < utc_now() - timedelta(days=wanted.older_than_days)


def _place(cursor: str, sort: str) -> tuple[Any, ...]:
    what, _, rest = cursor.partition("~") if sort in _BY_WHAT else ("", "", cursor)
    since, _, key = rest.partition("~")
    try:
        return (what, datetime.fromisoformat(since), key) if sort in _BY_WHAT else (datetime.fromisoformat(since), key)
    except ValueError:
        raise BadRequest(
            "游标无法识别，请从第一页开始。 That cursor is not one of ours: begin at the first page."
        ) from None


def _item(row: Any) -> WaitingItem:
    values = {name: value for name, value in row._mapping.items() if name != "codes"}
    return WaitingItem(**values, codes=tuple(row.codes))
