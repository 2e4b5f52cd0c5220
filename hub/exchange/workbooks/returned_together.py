"""A town's workbook came as one file under several receipts, one a sheet: it goes back as one, every sheet marked."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, or_, select

from hub.casework.list_sheets import LIST_SHEET, ROUND_SHEETS, sheet_step
from hub.tables import submission

_CODES = tuple(ROUND_SHEETS.values())


def read_together(connection: Connection, row: Row[Any], states: Collection[str]) -> list[Row[Any]]:
    """The other submissions of the same bytes that are in one of ``states``, in the order of their sheets."""
    answers = _answers_of(row)
    if answers is None:
        return []
    its, steps = submission.c, [sheet_step(answers, code) for code in _CODES]
    asked = select(submission).where(
        its.organisation == row.organisation,
        or_(its.operation_id.in_(steps), its.submission_id == answers),
        its.file_sha256 == row.file_sha256,
        its.submission_id != row.submission_id,
        its.state.in_(tuple(states)),
    )
    return sorted(connection.execute(asked), key=lambda one: _CODES.index(one.record_type))


def _answers_of(row: Row[Any]) -> UUID | None:
    """The submission of the answers which a submission is, or came with."""
    if row.record_type == ROUND_SHEETS[LIST_SHEET]:
        return UUID(str(row.submission_id))
    first, _, _ = str(row.operation_id).partition(":")
    try:
        return UUID(first) if row.operation_id == sheet_step(UUID(first), row.record_type) else None
    except ValueError:
        return None
