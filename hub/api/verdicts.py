"""A town's own system reads the lines of its change list and answers them: one, or many at once."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter
from sqlalchemy import Connection

from hub.api.bodies import Arrived, NotJson, arrived_body
from hub.api.paging import answer_page
from hub.api.running_keys import running
from hub.casework.item_list import ListedItem, read_some
from hub.casework.item_pages import STATES, WantedLines, page_of_lines
from hub.database import Database
from hub.decisions.verdicts import Answer, Answered, send_answers
from hub.errors import BadRequest, KeyReused
from hub.exchange import receive
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of, scope_for
from hub.settings import Settings
from mappings.catalogue import Catalogue

_PURPOSE = "monthly-check/api"
_SECONDS = 30.0
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="至多多少条 / at most how many")]
After = Annotated[int, QueryParameter(name="cursor", ge=0, le=999_999, description="此号之后 / after this number")]
Key = Annotated[str, HeaderParameter(name="Idempotency-Key", min_length=1, max_length=200)]
OfState = Annotated[str, QueryParameter(name="state", description="open answered transferred deferred")]


class PostedAnswers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers by line; ``answers`` of each says how many the line had when it was read."""

    answers: tuple[Answer, ...]


class VerdictController(Controller):
    """/v1/rounds/{month}/items and /v1/rounds/{month}/verdicts."""

    @get(
        "/rounds/{month:str}/items",
        opt={"right": Right.READ_CHANGE_LIST},
        sync_to_thread=True,
        summary="变动清单 / The lines of one's own change list, masked, each with its answer so far",
    )
    def read(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        month: FromPath[str],
        village: FromQuery[str] = "",
        state_of: OfState = "",
        cursor: After = 0,
        limit: Limit = 100,
    ) -> Response[dict[str, Any]]:
        with database.begin(reach_of(actor)) as connection:
            areas = load_area_index(connection)
            wanted = _wanted(areas, village, state_of, cursor)
            ids, items = _read_page(connection, catalogue, actor, areas, month, wanted, limit)
        following = str(items[-1].number) if len(ids) > limit else None
        asked = {"village": village or None, "state": state_of or None, "limit": limit}
        return answer_page(f"/v1/rounds/{month}/items", [_describe(one, areas) for one in items], following, **asked)

    @post(
        "/rounds/{month:str}/verdicts",
        opt={"right": Right.SUBMIT},
        dependencies={"arrived": Provide(arrived_body)},
        status_code=200,
        sync_to_thread=True,
        summary="报送核对结果 / Answer lines of one's own change list",
    )
    def answer(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        arrived: NamedDependency[Arrived],
        month: FromPath[str],
        idempotency_key: Key,
    ) -> Response[dict[str, Any]]:
        with running(actor.organisation, idempotency_key):
            _refuse_reused(database, actor, idempotency_key, arrived)
            answered = send_answers(
                database, settings, catalogue, actor, month, _read_answers(arrived),
                door="api", key=idempotency_key, seconds=_SECONDS,
            )  # fmt: skip
            with database.begin(reach_of(actor)) as connection:
                sent = answered.accepted.submission_id
                receive.claim_key(connection, actor.organisation, idempotency_key, arrived.sha256, sent)
        return _answer_sent(answered)


def _wanted(areas: AreaIndex, village: str, state: str, after: int) -> WantedLines:
    if state and state not in STATES:
        raise BadRequest(f"state: {', '.join(STATES)}")
    return WantedLines(village=areas.codes.get(village, -1) if village else None, state=state, after=after)


def _read_page(
    connection: Connection,
    catalogue: Catalogue,
    actor: Actor,
    areas: AreaIndex,
    month: str,
    wanted: WantedLines,
    limit: int,
) -> tuple[list[UUID], list[ListedItem]]:
    """Ids, one more than asked for if there are more; and the lines, by number."""
    scope = scope_for(actor, areas)
    ids = page_of_lines(connection, catalogue, scope, areas, month, wanted, limit=limit + 1)
    listed = read_some(connection, catalogue, scope, areas, month, ids[:limit], purpose=_PURPOSE)
    return ids, sorted(listed.items, key=lambda item: item.number)


def _describe(item: ListedItem, areas: AreaIndex) -> dict[str, Any]:
    described: dict[str, Any] = msgspec.to_builtins(item)
    answer = msgspec.to_builtins(item.answer.masked()) if item.answer else None
    del described["person_id"], described["address"]
    for other in described["involved"]:
        del other["person_id"]
    return described | {"village": areas.code_of.get(item.village or 0), "answer": answer}


def _refuse_reused(database: Database, actor: Actor, key: str, arrived: Arrived) -> None:
    if arrived.media_type != "application/json":
        raise NotJson()
    with database.begin(reach_of(actor)) as connection:
        bound = receive.find_key(connection, actor.organisation, key)
    if bound is not None and bound.body_sha256 != arrived.sha256:
        raise KeyReused(key)


def _read_answers(arrived: Arrived) -> tuple[Answer, ...]:
    try:
        return msgspec.json.decode(arrived.path.read_bytes(), type=PostedAnswers).answers
    except msgspec.DecodeError as wrong:
        raise BadRequest(str(wrong)) from wrong


def _answer_sent(answered: Answered) -> Response[dict[str, Any]]:
    sent = answered.accepted
    document = {
        "submission_id": sent.submission_id,
        "receipt": sent.receipt_number,
        "repeated": sent.repeated,
        "lines": msgspec.to_builtins(answered.lines),
    }
    status = 202 if answered.count("under_way") else 200
    return Response(document, status_code=status, headers={"Location": f"/v1/submissions/{sent.submission_id}"})
