"""A submission is taken back by another that does the contrary, while nothing later built on it. Nothing is deleted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, func, select, update

from hub import audit
from hub.database import Database, set_reach
from hub.decisions import without_file
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.exchange.undo import Blocking, blocked_params, counts_of
from hub.exchange.undo import blocking as find_blocking
from hub.jobs import Accepted, enqueue
from hub.registry.masking import mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue, RecordType, load_catalogue

_KINDS = ("regular", "backfill", "release", "undo")


class NothingToUndo(Conflict):
    """这次报送没有可以撤销的变动。 This submission changed nothing that could be taken back."""

    problem = "nothing-to-undo"


class CorrectsIdentity(Conflict):
    """身份更正不能撤销，请再报一条更正，把号码改回来。 Identity corrections are not undone: send one that corrects back."""

    problem = "corrects-identity"


class Blocked(Conflict):
    """后来的报送又改动了其中的记录，不能撤销；请先撤销后来的。 Later submissions changed its records: undo those first."""

    problem = "undo-blocked"


class UndoPreview(msgspec.Struct, frozen=True, kw_only=True):
    """``counts``: voided, changed, restored; ``held``: rows still waiting that would be dropped."""

    counts: dict[str, int]
    held: int
    blocking: list[Blocking]


def undo(
    database: Database,
    settings: Settings,
    actor: Actor,
    submission_id: UUID,
    reason: str,
    catalogue: Catalogue | None = None,
) -> Accepted:
    """Enter a compensating submission and queue it; asked again it is the same one. Conflict says what stands in the way."""
    require(actor, Right.SUBMIT, Right.OPERATE)
    known, said = catalogue or load_catalogue(), mask_within(reason.strip())
    if not said:
        raise BadRequest("请写明撤销的原因。 Say why it is taken back.")
    with database.begin(reach_of(actor)) as connection:
        row = _undoable(connection, actor, known, submission_id)
        already = _undo_of(connection, row)
        if already is not None:
            return _again(connection, already)
        found = _blocking(connection, known.record_types[row.record_type], row)
        if found:
            raise Blocked(_sentence(found), **blocked_params(found))
        return _enter(connection, settings, actor, row, said)


def preview_undo(
    database: Database, settings: Settings, actor: Actor, submission_id: UUID, catalogue: Catalogue | None = None
) -> UndoPreview:
    """What taking it back would do, and what stands in the way; nothing is entered."""
    require(actor, Right.SUBMIT, Right.OPERATE)
    known = catalogue or load_catalogue()
    with database.begin(reach_of(actor)) as connection:
        row = _undoable(connection, actor, known, submission_id)
        found = _blocking(connection, known.record_types[row.record_type], row)
        counts = counts_of(connection, submission_id)
        audit.record(connection, actor, Right.SUBMIT, f"submission/{submission_id}", undo="preview", counts=counts)
    return UndoPreview(counts=counts, held=row.held, blocking=found)


def blocking(connection: Connection, actor: Actor, row: Row[Any], record_type: RecordType) -> list[Blocking]:
    """For the page of one's own submission: which later ones changed the same records, and how many of them."""
    if row.organisation != actor.organisation:
        raise NotFound()
    return _blocking(connection, record_type, row)


def _blocking(connection: Connection, record_type: RecordType, row: Row[Any]) -> list[Blocking]:
    """Counts by receipt of one's own records: to count them the change log of this type must be seen, no more of it."""
    set_reach(connection, {"types": record_type.code, "areas": "*"})
    return find_blocking(connection, row.submission_id, record_type)


def _sentence(found: list[Blocking]) -> str:
    return "、".join(f"{one.receipt}（{one.records} 条 records）" for one in found)


def _undoable(connection: Connection, actor: Actor, catalogue: Catalogue, submission_id: UUID) -> Row[Any]:
    """One's own merged submission, locked, so that two who undo at once are one after the other."""
    mine = select(submission).where(submission.c.submission_id == submission_id).with_for_update()
    row = connection.execute(mine).one_or_none()
    if row is None:
        raise NotFound(str(submission_id))
    if row.organisation != actor.organisation:
        raise NotAllowed("只有报送单位可以撤销自己的报送。 Only the sender takes its own submission back.")
    if row.state != "merged" or row.kind not in _KINDS or row.accepted == 0:
        raise NothingToUndo(row.receipt_number)
    if catalogue.record_types[row.record_type].corrects_identity:
        raise CorrectsIdentity(row.receipt_number)
    return row


def _undo_of(connection: Connection, row: Row[Any]) -> Row[Any] | None:
    its = submission.c
    asked = select(submission).where(its.undoes == row.submission_id, its.state != "refused")
    return connection.execute(asked).first()


def _again(connection: Connection, row: Row[Any]) -> Accepted:
    """The same undo; one the hub itself failed at goes once more."""
    if row.state == "failed":
        mine = submission.c.submission_id == row.submission_id
        connection.execute(update(submission).where(mine).values(state="checked"))
        enqueue(connection, row.submission_id, row.organisation, row.record_type)
    return _accepted(row, repeated=True)


def _enter(connection: Connection, settings: Settings, actor: Actor, row: Row[Any], reason: str) -> Accepted:
    entered = without_file.enter(
        connection,
        settings,
        actor,
        operation_id=_operation_of(connection, row),
        organisation=row.organisation,
        record_type=row.record_type,
        period=row.period,
        kind="undo",
        undoes=row.submission_id,
        state="checked",
        facts={"undoes": row.receipt_number, "reason": reason},
    )
    assert entered is not None  # the undone row is locked: nobody else can have been first
    enqueue(connection, entered, row.organisation, row.record_type)
    about = f"submission/{row.submission_id}"
    audit.record(connection, actor, Right.SUBMIT, about, undo=str(entered), rows=row.accepted)
    made = connection.execute(select(submission).where(submission.c.submission_id == entered)).one()
    return _accepted(made, repeated=False)


def _operation_of(connection: Connection, row: Row[Any]) -> str:
    """``undo:<id>``; after one that was refused, the next with its number."""
    its = submission.c
    before = connection.scalar(select(func.count()).where(its.undoes == row.submission_id)) or 0
    return f"undo:{row.submission_id}" + (f":{before}" if before else "")


def _accepted(row: Row[Any], *, repeated: bool) -> Accepted:
    return Accepted(
        submission_id=row.submission_id, receipt_number=row.receipt_number, state=row.state, repeated=repeated
    )
