"""Somebody says whether two persons are one: then they are made one, or never asked about again, or it stays open."""

from __future__ import annotations

from typing import Literal, cast
from uuid import UUID

from sqlalchemy import Connection, select, update

from hub import audit
from hub.database import Database
from hub.decisions.persons import ask_apart, ask_merge
from hub.errors import BadRequest, Conflict
from hub.people.pair_list import find_pair
from hub.people.purposes import checked_purpose, oversees
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import open_persons, reach_of
from hub.settings import Settings
from hub.tables import person_decision, person_pair, person_profile

Verdict = Literal["same", "apart", "unsure"]
VERDICTS: tuple[Verdict, ...] = ("same", "apart", "unsure")


class PairJudged(Conflict):
    """这一对已有结论。 These two were judged already."""

    problem = "pair-judged"


class NumberNotChosen(BadRequest):
    """两人各有号码，请选定正确的一个。 Both have a number: say which one is right."""

    problem = "number-not-chosen"


def judge_pair(
    database: Database, settings: Settings, actor: Actor, first: UUID, second: UUID,
    verdict: Verdict, reason: str, right_number: str = "",
) -> UUID | None:  # fmt: skip
    """``right_number``: first or second, whose number is right. The decision that was asked for; None while unsure."""
    require(actor, Right.JUDGE_PERSON, Right.OPERATE)
    if verdict not in VERDICTS:
        raise BadRequest("请选择同一人、不是同一人或暂不确定。 Say same, apart or unsure.")
    checked_purpose(actor, "verify", reason)
    numbers = _open_pair(database, actor, first, second, verdict)
    if verdict == "unsure":
        return None
    decision = (
        _ask_one(database, settings, actor, (first, second), numbers, reason, right_number)
        if verdict == "same"
        else ask_apart(database, settings, actor, first, second, reason)
    )
    _note_asked(database, actor, first, second, decision)
    return decision


def _open_pair(database: Database, actor: Actor, first: UUID, second: UUID, verdict: Verdict) -> dict[UUID, str]:
    """The numbers of both; who said what of whom is noted. PairJudged when somebody was faster."""
    with database.begin(reach_of(actor)) as connection:
        pair = find_pair(connection, actor, first, second, lock=True)
        if pair.state != "open" or _is_asked(connection, pair.decision_id):
            raise PairJudged()
        audit.record(connection, actor, Right.JUDGE_PERSON, f"pair/{first}/{second}", what="judge", verdict=verdict)
        if oversees(actor):
            open_persons(connection, [first, second])
        its = person_profile.c
        known = connection.execute(select(its.person_id, its.id_no).where(its.person_id.in_([first, second])))
        return {cast(UUID, person): str(number) for person, number in known if number}


def _is_asked(connection: Connection, decision_id: UUID | None) -> bool:
    its = person_decision.c
    asked = select(its.state).where(its.decision_id == decision_id)
    return decision_id is not None and connection.scalar(asked) == "asked"


def _ask_one(
    database: Database, settings: Settings, actor: Actor, both: tuple[UUID, UUID], numbers: dict[UUID, str],
    reason: str, right_number: str,
) -> UUID:  # fmt: skip
    """Kept is who has the right number, else who was known first."""
    chosen = {"first": both[0], "second": both[1]}.get(right_number)
    if chosen is None and len(set(numbers.values())) > 1:
        raise NumberNotChosen()
    kept = chosen or next((one for one in both if one in numbers), both[0])
    other = both[1] if kept == both[0] else both[0]
    return ask_merge(database, settings, actor, kept, other, reason, id_no=numbers.get(kept))


def _note_asked(database: Database, actor: Actor, first: UUID, second: UUID, decision: UUID) -> None:
    """Until it is carried out nobody else is asked; what it came to is noted there."""
    its = person_pair.c
    with database.begin(reach_of(actor)) as connection:
        connection.execute(
            update(person_pair).where(its.first_id == first, its.second_id == second).values(decision_id=decision)
        )
