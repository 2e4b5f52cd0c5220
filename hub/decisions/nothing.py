"""本月无变动: that nothing happened in a month is said in one act, with a receipt."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, exists, select

from hub import audit
from hub.database import Database, utc_now
from hub.decisions import without_file
from hub.errors import BadRequest, Conflict
from hub.exchange import receipts, receive
from hub.jobs import Accepted
from hub.keyring import Keyring
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue, load_catalogue


class MonthToCome(BadRequest):
    """这个月还没有开始，不能报“本月无变动”。 This month has not begun: nobody knows yet that nothing will happen in it."""

    problem = "month-to-come"


class RowsAccepted(Conflict):
    """这个月已有入库的数据，不能报“本月无变动”。 Rows of this month were already accepted: it is not without changes."""

    problem = "rows-accepted"


def report_nothing(
    database: Database,
    settings: Settings,
    actor: Actor,
    organisation: str,
    record_type: str,
    period: str | None,
    catalogue: Catalogue | None = None,
) -> Accepted:
    """Enter a nil return with its receipt; said again it is the same one. Rows that come later are taken as always."""
    if not period:
        raise BadRequest("请选择月份。 Say which month: YYYY-MM.")
    sending = receive.Sending(
        organisation=organisation, record_type=record_type, period=period, file_name="", door=actor.door, kind="nil"
    )
    with database.begin(reach_of(actor)) as connection:
        receive.admit(connection, catalogue or load_catalogue(), actor, sending)
        if period > f"{utc_now().astimezone(ZoneInfo(settings.time_zone)):%Y-%m}":
            raise MonthToCome(period)
        known = _find(connection, sending)
        if known is None:
            _refuse_if_accepted(connection, sending)
            known = _enter(connection, settings, actor, sending)
            if known is not None:
                return _accepted(known, repeated=False)
            known = _find(connection, sending)
            assert known is not None
        audit.record(connection, actor, Right.SUBMIT, f"submission/{known.submission_id}", repeated=True)
    return _accepted(known, repeated=True)


def _operation(sending: receive.Sending) -> str:
    return f"nil:{sending.record_type}:{sending.period}"


def _find(connection: Connection, sending: receive.Sending) -> Row[Any] | None:
    its = submission.c
    asked = select(submission).where(its.organisation == sending.organisation, its.operation_id == _operation(sending))
    return connection.execute(asked).first()


def _refuse_if_accepted(connection: Connection, sending: receive.Sending) -> None:
    """Rows that were taken back again do not count."""
    its, undo, redo = submission.c, submission.alias("undo"), submission.alias("redo")
    redone = exists().where(redo.c.undoes == undo.c.submission_id, redo.c.state == "merged")
    undone = exists().where(undo.c.undoes == its.submission_id, undo.c.state == "merged", ~redone)
    asked = select(its.receipt_number).where(
        its.organisation == sending.organisation,
        its.record_type == sending.record_type,
        its.period == sending.period,
        its.kind.in_(("regular", "backfill")),
        its.state == "merged",
        its.accepted + its.unchanged > 0,
        ~undone,
    )
    number = connection.scalar(asked.limit(1))
    if number is not None:
        raise RowsAccepted(str(number))


def _enter(connection: Connection, settings: Settings, actor: Actor, sending: receive.Sending) -> Row[Any] | None:
    entered = without_file.enter(
        connection,
        settings,
        actor,
        operation_id=_operation(sending),
        organisation=sending.organisation,
        record_type=sending.record_type,
        period=sending.period,
        kind="nil",
        state="merged",
        merged_at=utc_now(),
    )
    if entered is None:
        return None
    receipts.issue(connection, Keyring.load(settings.home), entered)
    audit.record(connection, actor, Right.SUBMIT, f"submission/{entered}", nil=sending.record_type)
    return connection.execute(select(submission).where(submission.c.submission_id == entered)).one()


def _accepted(row: Row[Any], *, repeated: bool) -> Accepted:
    return Accepted(
        submission_id=row.submission_id, receipt_number=row.receipt_number, state=row.state, repeated=repeated
    )
