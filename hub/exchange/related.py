"""What belongs to a submission: the other sendings of the same workbook, what took it back, and what waits for a person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select

from hub.exchange.receipts import WAITING_STATES
from hub.registry.permissions import Actor
from hub.registry.scope import Scope
from hub.tables import submission

_MOST_VERSIONS = 50


def list_thread(connection: Connection, actor: Actor, row: Row[Any]) -> Sequence[Row[Any]]:
    """Every sending of the workbook that went back and forth, this one among them, in the order they came."""
    first, its = row.thread_id or row.submission_id, submission.c
    mine = select(submission).where(or_(its.submission_id == first, its.thread_id == first))
    seen = mine.where(Scope(actor=actor).submissions(submission))
    return connection.execute(seen.order_by(its.received_at, its.submission_id).limit(_MOST_VERSIONS)).all()


def find_undo(connection: Connection, actor: Actor, row: Row[Any]) -> Row[Any] | None:
    """The submission that takes this one back, if there is one that was not itself refused."""
    its = submission.c
    mine = select(submission).where(its.undoes == row.submission_id, its.state != "refused")
    return connection.execute(mine.where(Scope(actor=actor).submissions(submission))).first()


def find_undone(connection: Connection, actor: Actor, row: Row[Any]) -> Row[Any] | None:
    """The submission that this one takes back."""
    if row.undoes is None:
        return None
    mine = select(submission).where(submission.c.submission_id == row.undoes)
    return connection.execute(mine.where(Scope(actor=actor).submissions(submission))).first()


def count_waiting(
    connection: Connection, actor: Actor, *, month: str | None = None, without: Collection[str] = ()
) -> dict[str, int]:
    """State -> how many submissions wait in it for a person; ``without`` are record types not to be counted."""
    its = submission.c
    waiting = select(its.state, func.count().label("how_many")).where(Scope(actor=actor).counts(submission))
    waiting = waiting.where(its.state.in_(WAITING_STATES), its.record_type.not_in(list(without)))
    if month is not None:
        waiting = waiting.where(its.period == month)
    found = connection.execute(waiting.group_by(its.state))
    return {str(row.state): int(row.how_many) for row in found}
