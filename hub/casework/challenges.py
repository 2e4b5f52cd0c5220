"""Challenges to a source: raised, answered within its working days, closed or disputed once more, withdrawn.

政务数据共享条例, art. 26: who uses a record and finds it wrong asks its source, which verifies, corrects and answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Uuid, any_, cast, insert, or_, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY

from hub import audit
from hub.database import new_uuid
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.registry.hunting_rules import CARE_ONLY_TYPES
from hub.registry.masking import mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.working_days import load_calendar
from hub.settings import Settings
from hub.tables import challenge

STANDING = ("open", "answered")  # states in which the record is disputed
ESCALATED = 2  # not accepted so often: the bureau brings the two sides together
_LONGEST = 500
_ANSWERS = {True: ("registered", "stands"), False: ("corrected", "voided", "stands")}


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit says of a record, or that there is none; ``kind``: value untrue nobody elsewhere unreported."""

    kind: str
    record_type: str
    record_id: UUID | None = None
    field: str = ""
    claimed: str = ""
    reason: str = ""
    raised_by: str
    raised_by_name: str
    against: str
    item_id: UUID | None = None
    person_id: UUID | None = None
    areas: tuple[int, ...] = ()
    submission_id: UUID | None = None


class CareNotChallenged(NotAllowed):
    """照护类信息不通过校核办理，请直接与机构联系。 Care records are not challenged here: ask the institution itself."""

    problem = "care-not-challenged"


class ChallengeMoved(Conflict):
    """这条校核已不在可以办理的状态。 This challenge is not in a state in which that can be done."""

    problem = "challenge-moved"


class BadAnswer(BadRequest):
    """请选择核实结果并写明情况（不超过 500 字）。 Choose an answer and say what was found (at most 500 characters)."""

    problem = "bad-answer"


# ---- raised ----


def raise_challenges(connection: Connection, settings: Settings, now: datetime, raised: Sequence[Raised]) -> list[UUID]:
    """Enter what is not under way already; the ids of those that are new. Who raises one is named in it."""
    if any(one.record_type in CARE_ONLY_TYPES for one in raised):
        raise CareNotChallenged()
    standing = _standing(connection, raised)
    entered: list[dict[str, Any]] = []
    for one in raised:
        if _said_by(one) not in standing:
            entered.append(msgspec.structs.asdict(one) | {"areas": list(one.areas), "challenge_id": new_uuid()})
            standing |= _sayings(entered[-1])
    if entered:
        at = {"raised_at": now, "due_on": due_on(settings, now)}
        connection.execute(insert(challenge), [values | at for values in entered])
    return [values["challenge_id"] for values in entered]


def due_on(settings: Settings, now: datetime) -> date:
    """The last of the source's working days, counted from the day after."""
    return load_calendar(settings).after(today(settings, now), settings.rounds.challenge_days)


def today(settings: Settings, now: datetime) -> date:
    """The day it is in the district."""
    return now.astimezone(ZoneInfo(settings.time_zone)).date()


def _standing(connection: Connection, raised: Sequence[Raised]) -> set[tuple[str, ...]]:
    """What is under way about the same records, persons or submissions."""
    found: set[tuple[str, ...]] = set()
    by = list({one.raised_by for one in raised})
    for name in ("record_id", "person_id", "submission_id"):
        about = {getattr(one, name) for one in raised if _about(one) == name}
        if about:
            column = challenge.c[name]
            same = column == any_(cast(list(about - {None}), ARRAY(Uuid)))
            which = or_(same, column.is_(None)) if None in about else same
            asked = select(challenge).where(challenge.c.state.in_(STANDING), challenge.c.raised_by.in_(by), which)
            found |= {saying for row in connection.execute(asked) for saying in _sayings(row._asdict())}
    return found


def _about(raised: Raised) -> str:
    return "record_id" if raised.record_id else "person_id" if raised.person_id else "submission_id"


def _said_by(raised: Raised) -> tuple[str, ...]:
    """The same unit said the same of the same record; of what was never sent: of the same person, or the same row."""
    values, name = msgspec.structs.asdict(raised), _about(raised)
    return _saying(values, name)


def _sayings(values: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """What somebody might say that has been said by this challenge."""
    return {_saying(values, name) for name in ("record_id", "person_id", "submission_id")}


def _saying(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    same = (values[one] for one in ("kind", "record_type", "field", "raised_by", "against"))
    return (*same, name, str(values[name]), values["claimed"] if name == "submission_id" else "")


def withdraw_for_items(connection: Connection, now: datetime, item_ids: Collection[UUID]) -> int:
    """The line was answered otherwise: what came of the answer before stands no more. How many."""
    its = challenge.c
    done = connection.execute(
        update(challenge)
        .where(its.item_id == any_(cast(list(item_ids), ARRAY(Uuid))), its.state.in_(STANDING))
        .values(state="withdrawn", closed_at=now, closed_by="hub")
        .returning(its.challenge_id)
    )
    return len(done.all())


# ---- worked ----


def answer(
    connection: Connection, settings: Settings, actor: Actor, challenge_id: UUID, outcome: str, text: str, now: datetime
) -> None:
    """The source says what it found: corrected, voided, registered, or that it stands, and then why."""
    found = _load_for(connection, actor, challenge_id, "against", ("open",))
    text = _said(text)
    known = _ANSWERS[found.kind == "unreported"]
    if outcome not in known or len(text) > _LONGEST or (outcome == "stands" and len(text) < 4):
        raise BadAnswer()
    values = {
        "state": "answered",
        "answer": outcome,
        "answer_text": text,
        "answered_at": now,
        "answered_by": actor.name,
    }
    _move(connection, actor, found, values, "answered", answer=outcome, late=today(settings, now) > found.due_on)


def close(connection: Connection, actor: Actor, challenge_id: UUID, now: datetime) -> None:
    """Who raised it accepts the answer; what two sides cannot settle is closed by the bureau."""
    found = _load_for(connection, actor, challenge_id, "raised_by", STANDING)
    if found.state != "answered" and not (is_bureau(actor) and found.insisted >= ESCALATED):
        raise ChallengeMoved()
    _move(connection, actor, found, {"state": "closed", "closed_at": now, "closed_by": actor.name}, "closed")


def insist(
    connection: Connection, settings: Settings, actor: Actor, challenge_id: UUID, reason: str, now: datetime
) -> None:
    """The answer is not accepted: the source has its days once more; after the second time it is the bureau's."""
    found = _load_for(connection, actor, challenge_id, "raised_by", ("answered",))
    reason = _said(reason)
    if not 4 <= len(reason) <= _LONGEST:
        raise BadAnswer()
    if found.insisted >= ESCALATED:
        raise ChallengeMoved()
    told = f"{found.reason}\n{reason}".strip()
    values = {"state": "open", "insisted": found.insisted + 1, "reason": told, "due_on": due_on(settings, now)}
    _move(connection, actor, found, values, "insisted", times=found.insisted + 1)


def withdraw(connection: Connection, actor: Actor, challenge_id: UUID, now: datetime) -> None:
    """Who raised it was wrong."""
    found = _load_for(connection, actor, challenge_id, "raised_by", STANDING)
    _move(connection, actor, found, {"state": "withdrawn", "closed_at": now, "closed_by": actor.name}, "withdrawn")


def _said(text: str) -> str:
    """The sentence as it is kept: numbers of persons in it are masked."""
    return mask_within(" ".join(text.split()))


def _load_for(connection: Connection, actor: Actor, challenge_id: UUID, side: str, states: Collection[str]) -> Row[Any]:
    """The challenge, if the actor's unit is on this side of it; another's looks as if it did not exist."""
    found = find_challenge(connection, actor, challenge_id, lock=True)
    settles = is_bureau(actor) and side == "raised_by" and found.insisted >= ESCALATED
    if getattr(found, side) != actor.organisation and not settles:
        raise NotAllowed()
    if found.state not in states:
        raise ChallengeMoved()
    return found


def find_challenge(connection: Connection, actor: Actor, challenge_id: UUID, *, lock: bool = False) -> Row[Any]:
    """A challenge the actor may know of, as it is kept. Who shows what it says notes it."""
    require(actor, Right.WORK_CHALLENGE, Right.OPERATE)
    asked = select(challenge).where(challenge.c.challenge_id == challenge_id, sides_of(actor))
    found = connection.execute(asked.with_for_update() if lock else asked).one_or_none()
    if found is None:
        raise NotFound(str(challenge_id))
    return found


def sides_of(actor: Actor) -> ColumnElement[bool]:
    """Challenges the actor may know of: its own unit's on either side; the bureau of all, without what they say."""
    its = challenge.c
    if is_bureau(actor):
        return true()
    return or_(its.raised_by == actor.organisation, its.against == actor.organisation)


def is_bureau(actor: Actor) -> bool:
    """It sees that there are challenges, and how they go; what two sides cannot settle is its to settle."""
    return actor.may(Right.READ_ALL_SUBMISSIONS)


def _move(
    connection: Connection, actor: Actor, found: Row[Any], values: dict[str, Any], what: str, **facts: Any
) -> None:
    connection.execute(update(challenge).where(challenge.c.challenge_id == found.challenge_id).values(**values))
    about = f"challenge/{found.challenge_id}"
    audit.record(connection, actor, Right.WORK_CHALLENGE, about, what=what, kind=found.kind, **facts)
