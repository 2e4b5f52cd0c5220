"""A decision about persons is carried out as a submission of the hub itself: versions, numbers and receipt, at once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, Row, select, update

from hub.database import Database, run_sql, utc_now
from hub.errors import Conflict, NotFound
from hub.exchange import receipts
from hub.exchange.changelog import number_changes
from hub.exchange.person_changes import carry_out
from hub.exchange.system_submission import enter_system_submission
from hub.keyring import Keyring
from hub.people.attributes import derive
from hub.settings import Settings
from hub.tables import person_decision, person_pair, submission
from mappings.catalogue import Catalogue

log = structlog.get_logger("hub.line")
_TURN = "SELECT pg_advisory_xact_lock(hashtext('homes'))"  # before any row: who takes one back locks two decisions
_ENDED = {"merge": "same", "apart": "apart"}


def carry_out_decision(database: Database, settings: Settings, catalogue: Catalogue, decision_id: UUID) -> str:
    """Bring an asked decision to its end: done, or refused with the reason. Safe to repeat."""
    keyring = Keyring.load(settings.home)
    try:
        with database.begin() as connection:
            run_sql(connection, _TURN)
            decision = _locked(connection, decision_id)
            if decision.state != "asked":
                return str(decision.state)
            submission_id, _ = enter_system_submission(connection, settings, decision.decided_by, "person")
            carry_out(connection, submission_id, decision_id, catalogue)
            _remember(connection, decision, submission_id)
            derive(connection, catalogue, _persons_of(connection, decision_id))
            _close(connection, submission_id, decision)
            receipts.issue(connection, keyring, submission_id)
            number_changes(connection, submission_id)
    except Conflict as refused:
        return refuse_decision(database, decision_id, str(refused))
    log.info("persons", decision=str(decision_id), kind=decision.kind)
    return "done"


def _locked(connection: Connection, decision_id: UUID) -> Row[Any]:
    asked = select(person_decision).where(person_decision.c.decision_id == decision_id).with_for_update()
    decision = connection.execute(asked).one_or_none()
    if decision is None:
        raise NotFound(str(decision_id))
    return decision


def _remember(connection: Connection, decision: Row[Any], submission_id: UUID) -> None:
    """The judgement of a pair is remembered; a pair with somebody who is no person of their own any more is gone."""
    connection.execute(
        update(person_decision)
        .where(person_decision.c.decision_id == decision.decision_id)
        .values(submission_id=submission_id)
    )
    if decision.kind == "undo":
        _reopen_pair(connection, decision.undoes)
        _name_undone(connection, submission_id, decision.undoes)
    elif decision.kind in _ENDED:
        _judge_pair(connection, decision)


def _persons_of(connection: Connection, decision_id: UUID) -> list[UUID]:
    """Whom it was about: a number may have gone over that stands in no record, so that no change tells of it."""
    its = person_decision.c
    ((one, other),) = connection.execute(select(its.person_id, its.other_id).where(its.decision_id == decision_id))
    return [person for person in (one, other) if person is not None]


def _name_undone(connection: Connection, submission_id: UUID, decision_id: UUID) -> None:
    """A decision and its contrary cancel out: neither stands in the way of taking back what came before."""
    earlier = select(person_decision.c.submission_id).where(person_decision.c.decision_id == decision_id)
    mine = submission.c.submission_id == submission_id
    connection.execute(update(submission).where(mine).values(undoes=earlier.scalar_subquery()))


def _judge_pair(connection: Connection, decision: Row[Any]) -> None:
    run_sql(
        connection,
        """
        INSERT INTO {d}.person_pair (first_id, second_id, score, features, state, organisation, found_at, judged_by,
                                     judged_at, decision_id)
        VALUES (least(CAST(:one AS uuid), CAST(:other AS uuid)), greatest(CAST(:one AS uuid), CAST(:other AS uuid)), 0, '{}',
                :state, :organisation, :at, :by, :at, :decision)
        ON CONFLICT (first_id, second_id) DO UPDATE
        SET state = excluded.state, judged_by = excluded.judged_by, judged_at = excluded.judged_at,
            decision_id = excluded.decision_id
        """,
        one=decision.person_id,
        other=decision.other_id,
        state=_ENDED[decision.kind],
        organisation=decision.organisation,
        by=decision.decided_by,
        at=decision.decided_at,
        decision=decision.decision_id,
    )
    if decision.kind == "merge":
        either = (person_pair.c.first_id == decision.other_id) | (person_pair.c.second_id == decision.other_id)
        connection.execute(update(person_pair).where(either, person_pair.c.state == "open").values(state="gone"))


def _reopen_pair(connection: Connection, decision_id: UUID) -> None:
    mine = person_pair.c.decision_id == decision_id
    connection.execute(update(person_pair).where(mine).values(state="open", judged_by=None, judged_at=None))


def _close(connection: Connection, submission_id: UUID, decision: Row[Any]) -> None:
    """What came of it, as of any submission: counts of records by what happened to them."""
    rows = run_sql(
        connection,
        "SELECT outcome, count(*) FROM {d}.difference WHERE submission_id = :submission GROUP BY outcome",
        submission=submission_id,
    )
    facts = {
        "decision": {"kind": decision.kind, "id": str(decision.decision_id)},
        "effect": {str(how): n for how, n in rows},
    }
    mine = submission.c.submission_id == submission_id
    connection.execute(update(submission).where(mine).values(state="merged", merged_at=utc_now(), facts=facts))


def refuse_decision(database: Database, decision_id: UUID, why: str) -> str:
    with database.begin() as connection:
        mine = person_decision.c.decision_id == decision_id, person_decision.c.state == "asked"
        connection.execute(update(person_decision).where(*mine).values(state="refused", refusal=why))
    log.info("persons refused", decision=str(decision_id))
    return "refused"
