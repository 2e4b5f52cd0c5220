"""Searching the audit, newest first. The search is itself an act: who looked for what, and how many lines were found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, select, tuple_

from hub import audit
from hub.audit.lines import LINE, AuditLine, line_of
from hub.registry.masking import mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.tables import audit as audit_table

LINES_A_PAGE = 100
_AT_ONCE = 2_000

Place = tuple[datetime, UUID]  # of the last line on a page: the next page is older


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for; "" and None: anything. ``since`` is inside, ``until`` outside."""

    actor: str = ""
    organisation: str = ""
    act: str = ""
    object_prefix: str = ""
    outcome: str = ""
    address: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def as_facts(self) -> dict[str, str]:
        """What was chosen, as the audit keeps it: a number typed into a field is not."""
        chosen = msgspec.to_builtins(self)
        return {name: mask_within(str(value)) for name, value in chosen.items() if value}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One page of lines, and where the next one begins."""

    lines: Sequence[AuditLine]
    older: Place | None


def search(
    connection: Connection, actor: Actor, wanted: Wanted, before: Place | None = None, limit: int = LINES_A_PAGE
) -> Found:
    """A page of the lines that fit. Needs a connection of the audit's own role."""
    require(actor, Right.READ_AUDIT, Right.OPERATE)
    rows = connection.execute(_older_than(_fitting(wanted), before).limit(limit + 1)).all()
    lines = [line_of(row) for row in rows[:limit]]
    audit.record(connection, actor, Right.READ_AUDIT, "audit/search", filter=wanted.as_facts(), count=len(lines))
    last = lines[-1] if len(rows) > limit else None
    return Found(lines=lines, older=(last.at, last.audit_id) if last else None)


def begin_export(connection: Connection, actor: Actor, wanted: Wanted, form: str) -> UUID:
    """Record that all lines that fit are taken away, before they are; the id of that line numbers the export."""
    require(actor, Right.READ_AUDIT, Right.OPERATE)
    count = connection.execute(select(func.count()).select_from(audit_table).where(_condition(wanted))).scalar_one()
    how = wanted.as_facts()
    return audit.record(
        connection, actor, Right.READ_AUDIT, "audit/search-export", filter=how, count=count, format=form
    )


def all_lines(connection: Connection, wanted: Wanted) -> Iterator[AuditLine]:
    """Every line that fits, a few thousand at a time."""
    rows = connection.execute(_fitting(wanted), execution_options={"yield_per": _AT_ONCE})
    yield from map(line_of, rows)


def _fitting(wanted: Wanted) -> Select[tuple[object, ...]]:
    newest_first = (audit_table.c.at.desc(), audit_table.c.audit_id.desc())
    return select(*LINE).where(_condition(wanted)).order_by(*newest_first)


def _condition(wanted: Wanted) -> ColumnElement[bool]:
    """AND of what was chosen."""
    line = audit_table.c
    chosen = [line.at >= wanted.since] if wanted.since else []
    chosen += [line.at < wanted.until] if wanted.until else []
    for name in ("actor", "organisation", "act", "outcome", "address"):
        value = getattr(wanted, name)
        chosen += [line[name] == value] if value else []
    if wanted.object_prefix:
        chosen.append(line.object.startswith(wanted.object_prefix, autoescape=True))
    return and_(True, *chosen)


def _older_than(query: Select[tuple[object, ...]], before: Place | None) -> Select[tuple[object, ...]]:
    """A keyset: the row comparison uses the index on the instant."""
    if before is None:
        return query
    return query.where(tuple_(audit_table.c.at, audit_table.c.audit_id) < tuple_(*before))
