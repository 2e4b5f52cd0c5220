"""Comparisons of copies as people look at them: the last of every subscription, and what it came to, in counts alone.

The receiver looks at its own, who oversees at all of them; nobody else. Which records differed nobody is told here: only
how many of which record type and town were told again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.errors import NotFound
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import counting, is_care_only
from hub.registry.slice_definition import SliceDefinition
from hub.sharing.copy_side import town_field_of
from mappings.catalogue import Catalogue

Result = Literal["never", "running", "stopped", "same", "differs"]
_LEFT_LYING = timedelta(hours=1)  # as for its notice: nobody goes on with it


class CheckedCopy(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison, or that there was none. Counts are None for whoever may not know how much a slice holds."""

    code: str
    title: str
    organisation: str
    definition: SliceDefinition
    result: Result
    check_id: UUID | None = None
    begun_at: datetime | None = None
    changed_at: datetime | None = None
    seq: int | None = None
    records: int | None = None
    missing: int | None = None
    surplus: int | None = None
    different: int | None = None
    stands: bool = False  # of the subscription as it is now

    @property
    def differences(self) -> int | None:
        return None if self.missing is None else self.missing + (self.surplus or 0) + (self.different or 0)


class ToldAgain(msgspec.Struct, frozen=True):
    """So many records of one town were told again: they were missing in the copy, or different."""

    record_type: str
    town: str  # the first nine digits of its code; "": the slice has no towns
    records: int


def list_checked_copies(
    connection: Connection, actor: Actor, catalogue: Catalogue, now: datetime
) -> list[CheckedCopy]:  # fmt: skip
    """Every subscription in force with its last comparison, what differs first."""
    rows = run_sql(connection, f"{_CHECKS} {_LAST} {_WHERE} AND s.state <> 'ended' ORDER BY s.code", **_whose(actor))
    order: dict[Result, int] = {"differs": 0, "stopped": 1, "never": 2, "running": 3, "same": 4}
    return sorted((_checked(row, actor, catalogue, now) for row in rows), key=lambda one: order[one.result])


def list_checks(
    connection: Connection, actor: Actor, catalogue: Catalogue, code: str, now: datetime, limit: int = 20
) -> list[CheckedCopy]:
    """The comparisons of one subscription, newest first; one that says ``never`` if there was none."""
    rows = run_sql(
        connection, f"{_CHECKS} {_EVERY} {_WHERE} AND s.code = :code ORDER BY c.begun_at DESC LIMIT :limit",
        code=code, limit=limit, **_whose(actor),
    )  # fmt: skip
    if not rows:
        raise NotFound(f"没有订阅 {code}。 No subscription {code}.")
    return [_checked(row, actor, catalogue, now) for row in rows]


def told_again(connection: Connection, actor: Actor, catalogue: Catalogue, one: CheckedCopy) -> list[ToldAgain]:
    """Where the copy differed: how many records of each type and town it was told again."""
    if one.check_id is None or not one.differences:
        return []
    types = [each for each in one.definition.record_types if each.record_type in catalogue.record_types]
    found: list[ToldAgain] = []
    with counting(connection, actor, [each.record_type for each in types]):
        for each in types:
            record_type = catalogue.record_types[each.record_type]
            field = town_field_of(each, record_type)
            town = f"left(coalesce({field}, ''), 9)" if field else "''"
            statement = _TOLD_AGAIN.replace("{town}", town).replace("{code}", record_type.code)
            rows = run_sql(connection, statement, check=one.check_id)
            found += [ToldAgain(record_type.code, str(place), int(str(many))) for place, many in rows]
    return found


def _whose(actor: Actor) -> dict[str, Any]:
    require(actor, Right.READ_SHARING, Right.OPERATE)
    everybody = actor.may(Right.OVERSEE_SHARING) or actor.may(Right.OPERATE)
    return {"everybody": everybody, "own": actor.organisation}


def _checked(row: tuple[Any, ...], actor: Actor, catalogue: Catalogue, now: datetime) -> CheckedCopy:
    code, title, organisation, definition, stands, finished, *counted = row
    told = dict(zip(_COUNTED, counted, strict=True))
    slice_ = msgspec.convert(definition, SliceDefinition)
    one = CheckedCopy(
        code=code, title=title, organisation=organisation, definition=slice_, result="never", stands=bool(stands), **told
    )  # fmt: skip
    one = msgspec.structs.replace(one, result=_result(one, bool(finished), now))
    return one if _may_count(one, actor, catalogue) else msgspec.structs.replace(one, **dict.fromkeys(_HIDDEN))


def _result(one: CheckedCopy, finished: bool, now: datetime) -> Result:
    if one.changed_at is None:
        return "never"
    if one.differences:
        return "differs"
    if finished:
        return "same"
    return "running" if one.changed_at > now - _LEFT_LYING else "stopped"


def _may_count(one: CheckedCopy, actor: Actor, catalogue: Catalogue) -> bool:
    """How much a slice holds that has something clinical by existing is care's alone."""
    known = (catalogue.record_types.get(each.record_type) for each in one.definition.record_types)
    return actor.organisation == one.organisation or not any(its is not None and is_care_only(its) for its in known)


def _columns() -> Iterator[str]:
    yield from (f"c.{name}" for name in _COUNTED)


_HIDDEN = ("seq", "records", "missing", "surplus", "different")
_COUNTED = ("check_id", "begun_at", "changed_at", *_HIDDEN)
_CHECKS = f"""
SELECT s.code, s.title, s.organisation, v.definition,
       c.definition_version = s.version AND c.epoch = h.epoch || '.' || s.epoch, c.finished, {", ".join(_columns())}
  FROM {{d}}.subscription s
  JOIN {{d}}.subscription_version v ON v.subscription_id = s.subscription_id AND v.version = s.version
 CROSS JOIN {{d}}.feed_head h
"""
_LAST = """
  LEFT JOIN LATERAL (SELECT * FROM {d}.copy_check k WHERE k.subscription_id = s.subscription_id
                      ORDER BY k.begun_at DESC LIMIT 1) c ON true
"""
_EVERY = "LEFT JOIN {d}.copy_check c ON c.subscription_id = s.subscription_id"
_WHERE = "WHERE (:everybody OR s.organisation = :own)"
_TOLD_AGAIN = """
SELECT {town}, count(*) FROM {d}.rec_{code} r
 WHERE r.record_id IN (SELECT unnest(c.repaired) FROM {d}.copy_check c WHERE c.check_id = :check)
 GROUP BY 1 ORDER BY 1
"""
