"""One held row as it is decided about: why it waits, what can be done, and what somebody has decided already."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, select

from hub.decisions.held import findings_of
from hub.decisions.held_rules import Finding, Judged, hindrances, release_of, roles_of
from hub.errors import NotFound
from hub.exchange import receipts
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.tables import held_candidate, held_row, row_error, submission
from mappings.catalogue import Catalogue, Role


class RowReason(msgspec.Struct, frozen=True, kw_only=True):
    """One code why the row waits, and whether a person may let it pass."""

    code: str
    field: str
    release: str


class HeldRow(msgspec.Struct, frozen=True, kw_only=True):
    """``roles``: whose person may be said; ``must_say``: of whom it must be; ``hindrances``: what no choice can help."""

    submission_id: UUID
    receipt: str
    record_type: str
    organisation: str
    row_no: int
    sheet_row: int
    held_at: datetime
    state: str
    decided_by: str | None
    decided_at: datetime | None
    reason: str
    release_id: UUID | None
    release_state: str
    release_receipt: str
    reasons: list[RowReason]
    roles: list[str]
    hindrances: list[str]

    @property
    def undecided(self) -> bool:
        return self.state == "waiting" and self.release_state not in ("received", "checked", "braked")


def read_held_row(connection: Connection, catalogue: Catalogue, actor: Actor, number: str, row_no: int) -> HeldRow:
    """A row of one's own organisation by receipt number and row; anybody else's is not there."""
    require(actor, Right.DECIDE_HELD, Right.OPERATE)
    sent = receipts.find(connection, number)
    mine = select(held_row).where(held_row.c.submission_id == sent.submission_id, held_row.c.row_no == row_no)
    row = connection.execute(mine).one_or_none()
    if row is None or row.organisation != actor.organisation:
        raise NotFound(number)
    record_type = catalogue.record_types[row.record_type]
    findings, asked = findings_of(connection, [row])[row_no], _asked_roles(connection, row)
    roles = roles_of(record_type, findings, asked)
    taking = _taking(connection, row.release_id)
    values = {name: getattr(row, name) for name in _SAME}
    return HeldRow(
        **values,
        receipt=sent.receipt_number,
        release_state=taking.state if taking else "",
        release_receipt=taking.receipt_number if taking else "",
        reasons=[
            RowReason(code=one.code, field=one.field, release=release_of(catalogue, one.code)) for one in findings
        ],
        roles=[role.role for role in roles],
        hindrances=_beyond_help(catalogue, row, findings, roles),
    )


_SAME = (
    "submission_id", "record_type", "organisation", "row_no", "sheet_row", "held_at", "state", "decided_by", "decided_at",
    "reason", "release_id",
)  # fmt: skip


def _beyond_help(catalogue: Catalogue, row: Row[Any], findings: list[Finding], roles: list[Role]) -> list[str]:
    """Codes that keep the row out whoever it is said to mean."""
    anybody = {role.role: "somebody" for role in roles}
    judged = Judged(people=anybody, numbered=["somebody"], asked=list(anybody))
    return hindrances(catalogue, catalogue.record_types[row.record_type], findings, judged)


def _asked_roles(connection: Connection, row: Row[Any]) -> set[str]:
    its = held_candidate.c
    mine = select(its.role).where(its.submission_id == row.submission_id, its.row_no == row.row_no)
    return set(connection.scalars(mine))


def _taking(connection: Connection, release_id: UUID | None) -> Row[Any] | None:
    """The submission that takes the row up, or took it away."""
    return connection.execute(select(submission).where(submission.c.submission_id == release_id)).one_or_none()


def read_row_errors(connection: Connection, row: HeldRow) -> list[Row[Any]]:
    """Everything that was found in the row, of every level."""
    its = row_error.c
    mine = select(row_error).where(its.submission_id == row.submission_id, its.row_no == row.row_no)
    return list(connection.execute(mine.order_by(its.error_no)))
