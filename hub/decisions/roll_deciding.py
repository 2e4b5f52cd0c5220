"""Who is right, line by line or in bulk; what the roll is right about goes down the line as the town's own submissions.

Decided first and sent after, so that whatever breaks in between is sent by the next decision, once: all lines of one
decision are one submission a record type, whose operation follows from the roll and the instant.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Row, select

from hub import jobs
from hub.casework.roll_items import (
    DECISIONS,
    Chosen,
    Decision,
    RollItem,
    count_chosen,
    decide_items,
    list_unsent,
    note_sent,
)
from hub.database import Database
from hub.decisions.roll_rows import ARRIVAL, Occasion, as_csv, carriers
from hub.decisions.rolls import RollCheck, lock_roll
from hub.errors import BadRequest, Conflict
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue

DEPARTURES = ("4", "2")  # of departure_kind: never lived here, moved away


class UnknownDecision(BadRequest):
    """请选择名册为准、登记为准或入户再核。 Say roll, register or ask."""

    problem = "unknown-decision"


class NothingChosen(BadRequest):
    """没有选中待处理的差异。 No open line was chosen."""

    problem = "nothing-chosen"


class DepartureMissing(BadRequest):
    """请选择这些人是迁出还是错登。 Say whether these people moved away (2) or never lived here (4)."""

    problem = "departure-missing"


class CannotBeRead(BadRequest):
    """无法识别的行不能以名册为准，请改正后重新上传。 A row that cannot be read cannot be right: correct it and send it again."""

    problem = "cannot-be-read"


class MuchShorter(Conflict):
    """这份名册的行数不到上次的一半，批量注销前请再次确认。

    This roll has at most half the rows of the last one: confirm once more before people are struck off in bulk.
    """

    problem = "much-shorter"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided. ``left_as``: code of departure_kind, for who is registered here and not on the roll."""

    decision: Decision
    reason: str = ""
    left_as: str = ""
    sure: bool = False  # confirmed once more


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """How many lines, and the submissions that carry them."""

    items: int
    sent: list[jobs.Accepted]


def decide(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, roll_id: UUID, chosen: Chosen,
    judgement: Judgement,
) -> Decided:  # fmt: skip
    """Decide all chosen lines that are open, then send what is to be sent."""
    require(actor, Right.SUBMIT, Right.OPERATE)
    if judgement.decision not in DECISIONS or len(judgement.reason) > 200:
        raise UnknownDecision()
    with database.begin(reach_of(actor)) as connection:
        check = lock_roll(connection, actor, roll_id)
        _refuse_unfit(check, judgement, count_chosen(connection, actor, roll_id, chosen))
        left_as = judgement.left_as if judgement.decision == "roll" else ""
        many = decide_items(connection, actor, roll_id, chosen, judgement.decision, judgement.reason.strip(), left_as)
    return Decided(items=many, sent=send_decided(database, settings, catalogue, actor, roll_id))


def _refuse_unfit(check: RollCheck, judgement: Judgement, kinds: dict[str, int]) -> None:
    if not kinds:
        raise NothingChosen()
    if judgement.decision != "roll":
        return
    if "unreadable" in kinds:
        raise CannotBeRead()
    struck_off = kinds.get("missing_there", 0)
    if struck_off and judgement.left_as not in DEPARTURES:
        raise DepartureMissing(left_as="")
    if struck_off > 1 and check.counts.get("braked") and not judgement.sure:
        raise MuchShorter(rows=check.counts.get("read"), last=check.counts.get("last_rows"))


# ---- down the line ----


def send_decided(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, roll_id: UUID
) -> list[jobs.Accepted]:
    """Everything decided for the roll and not sent yet, decision by decision; one at a time sends of one roll."""
    require(actor, Right.SUBMIT, Right.OPERATE)
    with database.begin(reach_of(actor)) as connection:
        check = lock_roll(connection, actor, roll_id)
        unsent, areas = list_unsent(connection, actor, roll_id), load_area_index(connection)
    sent: list[jobs.Accepted] = []
    for decided_at, items in groupby(unsent, key=lambda one: one.decided_at):
        assert decided_at is not None
        moment = decided_at.astimezone(ZoneInfo(settings.time_zone))
        occasion = Occasion(place=check.village or check.town, areas=areas, decided_at=moment)
        sent += _send_decision(database, settings, catalogue, actor, check, occasion, list(items))
    return sent


def _send_decision(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, check: RollCheck, occasion: Occasion,
    items: list[RollItem],
) -> list[jobs.Accepted]:  # fmt: skip
    """All of one decision, then its lines are noted as sent: cut off before that, the same operations go once more."""
    sent: dict[str, tuple[jobs.Accepted, list[RollItem]]] = {}
    for code, lines, make in carriers(items):
        mapping = catalogue.mapping_for(check.organisation, actor.kind, code)
        assert mapping is not None
        body = as_csv([make(line, occasion) for line in lines], mapping)
        sent[code] = _accept_rows(database, settings, catalogue, actor, check, occasion, code, body), lines
    with database.begin(reach_of(actor)) as connection:
        for code, (accepted, lines) in sent.items():
            if code != ARRIVAL:
                note_sent(connection, actor, check.roll_id, [one.item_no for one in lines], accepted.submission_id)
    return [accepted for accepted, _ in sent.values()]


def _accept_rows(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, check: RollCheck, occasion: Occasion,
    record_type: str, body: bytes,
) -> jobs.Accepted:  # fmt: skip
    """Through the one gate, for the town."""
    return jobs.accept(
        database, settings, actor, stream=io.BytesIO(body), file_name=f"{record_type}-{check.file_name}.csv",
        record_type=record_type, organisation=check.organisation, period=f"{occasion.decided_at:%Y-%m}", door="round",
        operation_id=operation_of(check.roll_id, occasion.decided_at, record_type), catalogue=catalogue,
    )  # fmt: skip


def operation_of(roll_id: UUID, decided_at: datetime, record_type: str) -> str:
    """The same decision is the same operation, however often it is sent."""
    return f"roll/{roll_id}/{decided_at.astimezone(UTC):%Y%m%dT%H%M%S%f}/{record_type}"


def receipts_of(connection: Connection, actor: Actor, roll_id: UUID) -> list[Row[Any]]:
    """Every submission that came of a roll, the newest first: its id, receipt number, record type, state and counts."""
    its = submission.c
    asked = select(its.submission_id, its.receipt_number, its.record_type, its.state, its.received_at, its.accepted,
                   its.unchanged, its.held, its.refused)  # fmt: skip
    of_roll = its.organisation == actor.organisation, its.operation_id.startswith(f"roll/{roll_id}/", autoescape=True)
    return list(connection.execute(asked.where(*of_roll).order_by(its.received_at.desc())))
