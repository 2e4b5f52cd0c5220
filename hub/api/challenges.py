"""Challenges for a unit's own system: what it has to answer, what it has asked, raising one of a record it receives."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from hub.api.bodies import require_json
from hub.api.paging import answer_page, read_cursor, write_cursor
from hub.casework.challenge_list import (
    ChallengeState,
    ListedChallenge,
    Side,
    WantedChallenges,
    list_challenges,
    read_challenge,
)
from hub.database import Database
from hub.decisions.challenges import Act, Said, raise_challenge, work_challenge
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_PURPOSE = "challenges/api"
_RIGHT = {"right": Right.WORK_CHALLENGE}
_ONE = "/challenges/{challenge_id:uuid}"
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="至多多少条 / at most how many")]
OfState = Annotated[ChallengeState, QueryParameter(name="state", description="open answered closed withdrawn")]


class PostedChallenge(Said, frozen=True, kw_only=True):
    """What is said of a record of one's own slices."""

    record_id: UUID


class PostedAct(msgspec.Struct, frozen=True, kw_only=True):
    """``act``: answer close insist withdraw; ``answer``: corrected voided registered stands."""

    act: Act
    answer: str = ""
    text: str = ""


class ChallengeController(Controller):
    """/v1/challenges."""

    @get("/challenges", opt=_RIGHT, sync_to_thread=True, summary="校核 / Challenges of one's own unit, either side")
    def read_all(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        side: FromQuery[Side] = "",
        challenge_state: OfState = "",
        cursor: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Response[dict[str, Any]]:
        wanted, place = WantedChallenges(side=side, state=challenge_state), read_cursor(cursor)
        with database.begin(reach_of(actor)) as connection:
            found = list_challenges(
                connection, actor, catalogue, wanted, purpose=_PURPOSE, before=place, limit=limit + 1
            )
        kept = {"side": side or None, "state": challenge_state or None}
        return answer_page("/v1/challenges", found[:limit], _following(found, limit), **kept, limit=limit)

    @post(
        "/challenges",
        opt=_RIGHT,
        guards=[require_json],
        status_code=201,
        sync_to_thread=True,
        summary="提出校核 / Challenge a record one receives",
    )
    def raise_one(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        data: JSONBody[PostedChallenge],
    ) -> dict[str, Any]:
        made = raise_challenge(database, settings, catalogue, actor, data.record_id, data)
        return {"challenge_id": made, "repeated": made is None}

    @get(_ONE, opt=_RIGHT, sync_to_thread=True, summary="一件校核 / One challenge, numbers masked")
    def read_one(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        challenge_id: FromPath[UUID],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            shown = read_challenge(connection, actor, catalogue, challenge_id, purpose=_PURPOSE)
        described: dict[str, Any] = msgspec.to_builtins(shown)
        line: dict[str, Any] = described.pop("line")
        return line | described

    @post(
        f"{_ONE}/act",
        opt=_RIGHT,
        guards=[require_json],
        status_code=200,
        sync_to_thread=True,
        summary="办理校核 / Answer, close, insist or withdraw",
    )
    def act(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        actor: NamedDependency[Actor],
        challenge_id: FromPath[UUID],
        data: JSONBody[PostedAct],
    ) -> dict[str, Any]:
        work_challenge(database, settings, actor, challenge_id, data.act, outcome=data.answer, text=data.text)
        return {"challenge_id": challenge_id, "done": data.act}


def _following(found: list[ListedChallenge], limit: int) -> str | None:
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return write_cursor((last.raised_at, last.challenge_id))
