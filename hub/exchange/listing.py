"""What was sent, as people look it up: lists of submissions, their row errors, and the month's board.

Every function filters by what the actor may see: one's own organisation, or all of them for who oversees.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, select, tuple_

from hub.errors import NotFound
from hub.registry.permissions import Actor
from hub.registry.scope import Scope
from hub.tables import row_error, submission

FINAL_STATES = ("merged", "previewed", "refused", "failed")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which submissions to list; what is None does not matter."""

    period: str | None = None
    record_type: str | None = None
    organisation: str | None = None
    state: str | None = None


class WantedErrors(msgspec.Struct, frozen=True, kw_only=True):
    """Which row errors of a submission to list."""

    level: str | None = None
    code: str | None = None


_SENT = submission.c.kind != "system"  # what the hub itself did has no sender, no file and no record type

Place = tuple[datetime, UUID]  # where a page of submissions ended
ErrorPlace = tuple[int, int]  # where a page of row errors ended


def list_submissions(
    connection: Connection,
    actor: Actor,
    wanted: Wanted,
    before: Place | None = None,
    limit: int = 50,
    *,
    oldest_first: bool = False,
) -> Sequence[Row[Any]]:
    """The newest first, or the oldest; ``before`` is the place of the last one already seen."""
    query = select(submission).where(_SENT, _visible(actor), *_equal_to(wanted))
    order = (submission.c.received_at, submission.c.submission_id)
    if before is not None:
        query = query.where(tuple_(*order) > before if oldest_first else tuple_(*order) < before)
    if not oldest_first:
        order = (order[0].desc(), order[1].desc())  # type: ignore[assignment]
    return connection.execute(query.order_by(*order).limit(limit)).all()


def count_parts(
    connection: Connection, actor: Actor, period: str | None = None, without: Collection[str] = ()
) -> Sequence[Row[Any]]:
    """state, record_type, organisation and how many; ``without`` are record types not to be counted."""
    parts = (submission.c.state, submission.c.record_type, submission.c.organisation)
    query = select(*parts, func.count().label("how_many")).where(
        _SENT, _visible(actor), *_equal_to(Wanted(period=period))
    )
    return connection.execute(query.where(parts[1].not_in(list(without))).group_by(*parts)).all()


def find_submission(connection: Connection, actor: Actor, submission_id: UUID) -> Row[Any]:
    """One submission; another organisation's is not there at all."""
    mine = select(submission).where(submission.c.submission_id == submission_id, _SENT, _visible(actor))
    row = connection.execute(mine).one_or_none()
    if row is None:
        raise NotFound()
    return row


def list_row_errors(
    connection: Connection,
    submission_id: UUID,
    wanted: WantedErrors,
    after: ErrorPlace | None = None,
    limit: int = 50,
) -> Sequence[Row[Any]]:
    """Row errors in the order of the file."""
    query = select(row_error).where(row_error.c.submission_id == submission_id, *_matching(wanted))
    if after is not None:
        query = query.where(tuple_(row_error.c.row_no, row_error.c.error_no) > after)
    return connection.execute(query.order_by(row_error.c.row_no, row_error.c.error_no).limit(limit)).all()


def count_row_errors(connection: Connection, submission_id: UUID) -> Sequence[Row[Any]]:
    """level, code and how many, the most frequent first."""
    count = func.count().label("how_many")
    query = select(row_error.c.level, row_error.c.code, count).where(row_error.c.submission_id == submission_id)
    grouped = query.group_by(row_error.c.level, row_error.c.code).order_by(count.desc(), row_error.c.code)
    return connection.execute(grouped).all()


def month_board(connection: Connection, actor: Actor, month: str) -> Sequence[Row[Any]]:
    """For each organisation and record type of the month: files, counts, unfinished files, and when the last one came.

    What was sent for the month, or said to be nothing: no history filled in later, nothing taken back.
    """
    unfinished = func.count().filter(submission.c.state.not_in(FINAL_STATES))
    failed = func.count().filter(submission.c.state.in_(("refused", "failed")))
    happened = submission.c.state != "braked"  # what waits for its second person has changed nothing yet
    counts = [
        func.coalesce(func.sum(submission.c[name]).filter(happened), 0).label(name)
        for name in ("received", "accepted", "unchanged", "held", "refused")
    ]
    query = select(
        submission.c.organisation,
        submission.c.record_type,
        func.count().label("files"),
        unfinished.label("unfinished"),
        failed.label("failed"),
        *counts,
        func.max(submission.c.received_at).label("last_received_at"),
    ).where(
        Scope(actor=actor).counts(submission),
        submission.c.period == month,
        submission.c.dry_run.is_(False),
        submission.c.kind.in_(("regular", "nil")),
    )
    return connection.execute(query.group_by(submission.c.organisation, submission.c.record_type)).all()


def _visible(actor: Actor) -> ColumnElement[bool]:
    return Scope(actor=actor).submissions(submission)


def _equal_to(wanted: Wanted) -> list[ColumnElement[bool]]:
    chosen = msgspec.structs.asdict(wanted)
    return [submission.c[name] == value for name, value in chosen.items() if value is not None]


def _matching(wanted: WantedErrors) -> list[ColumnElement[bool]]:
    chosen = msgspec.structs.asdict(wanted)
    return [row_error.c[name] == value for name, value in chosen.items() if value]
