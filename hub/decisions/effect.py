"""A second person lets an unusual effect happen, or it is withdrawn before anything has changed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select, update

from hub import audit
from hub.database import Database, utc_now
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.exchange import outcomes, receipts
from hub.jobs import enqueue
from hub.keyring import Keyring
from hub.registry.masking import mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import submission


class SamePerson(NotAllowed):
    """自己报送的不能由自己确认，请本单位另一人确认。 Whoever sent it cannot confirm it: another person must."""

    problem = "same-person"


class NotWaiting(Conflict):
    """这次报送没有在等待确认。 This submission does not wait to be confirmed."""

    problem = "not-waiting"


def release(database: Database, settings: Settings, actor: Actor, submission_id: UUID) -> str:
    """Let a braked submission go on; the state it is in. Its effect is computed anew and waits no second time."""
    require(actor, Right.CONFIRM_SUBMISSION, Right.OPERATE)
    try:
        with database.begin(reach_of(actor)) as connection:
            row = _waiting(connection, actor, submission_id, "braked")
            if row.actor == actor.name:
                raise SamePerson(row.receipt_number)
            facts = {**row.facts, "brake": row.waiting["reasons"]}
            _change(connection, row, state="checked", waiting=None, released_by=actor.name, facts=facts)
            enqueue(connection, row.submission_id, row.organisation, row.record_type)
            codes = [reason["code"] for reason in row.waiting["reasons"]]
            audit.record(connection, actor, Right.CONFIRM_SUBMISSION, f"submission/{submission_id}", codes=codes)
    except NotAllowed as refused:
        _note_refusal(database, actor, submission_id, refused)
        raise
    return "checked"


def refuse(database: Database, settings: Settings, actor: Actor, submission_id: UUID, reason: str) -> str:
    """Withdraw what waits, as its sender or as the second person; nothing of it reaches the register."""
    require(actor, Right.CONFIRM_SUBMISSION, Right.SUBMIT, Right.OPERATE)
    said = mask_within(reason.strip())
    if not said:
        raise BadRequest("请写明撤回的原因。 Say why it is withdrawn.")
    with database.begin(reach_of(actor)) as connection:
        row = _waiting(connection, actor, submission_id, "asking", "braked")
        if row.actor != actor.name:
            require(actor, Right.CONFIRM_SUBMISSION, Right.OPERATE)
        refusal = {"code": "F_WITHDRAWN", "params": {"found": said}}
        values = outcomes.nothing_taken(row) | {"state": "refused", "refusal": refusal, "checked_at": utc_now()}
        _change(connection, row, **values)
        receipts.issue(connection, Keyring.load(settings.home), row.submission_id)
        enqueue(connection, row.submission_id, row.organisation, row.record_type)  # to drop what is staged
        act = Right.SUBMIT if row.actor == actor.name else Right.CONFIRM_SUBMISSION
        audit.record(connection, actor, act, f"submission/{submission_id}", withdrawn=True)
    return "refused"


def _waiting(connection: Connection, actor: Actor, submission_id: UUID, *states: str) -> Row[Any]:
    """A submission of one's own organisation that waits, locked: of two who decide at once the second finds it decided."""
    mine = select(submission).where(submission.c.submission_id == submission_id).with_for_update()
    row = connection.execute(mine).one_or_none()
    if row is None:
        raise NotFound(str(submission_id))
    if row.organisation != actor.organisation:
        raise NotAllowed("只有报送单位的人可以决定。 Only the sender's own organisation decides.")
    if row.state not in states:
        raise NotWaiting(row.receipt_number)
    return row


def _change(connection: Connection, row: Row[Any], **values: object) -> None:
    connection.execute(update(submission).where(submission.c.submission_id == row.submission_id).values(values))


def _note_refusal(database: Database, actor: Actor, submission_id: UUID, refused: NotAllowed) -> None:
    """Who tried what they may not is noted, in a transaction that outlives the refusal."""
    with database.begin(reach_of(actor)) as connection:
        about = f"submission/{submission_id}"
        audit.record(connection, actor, Right.CONFIRM_SUBMISSION, about, "refused", problem=refused.problem)
