"""Requests for slices, for a unit's own system: asked, taken back, brought before the bureau. A person answers, on the pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy import Connection

from hub.api.bodies import require_json
from hub.api.paging import answer_page, read_cursor, write_cursor
from hub.database import Database, utc_now
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.request_list import ListedRequest, list_requests, show_request
from hub.sharing.requests import (
    RequestState,
    draft_request,
    escalate_request,
    revise_request,
    submit_request,
    withdraw_request,
)
from mappings.catalogue import Catalogue

_READS = {"right": (Right.READ_SHARING, Right.ASK_SLICE)}
_ASKS = {"right": Right.ASK_SLICE}
_ONE = "/licence-requests/{request_id:uuid}"
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="至多多少条 / at most how many")]
OfState = Annotated[
    RequestState | None,
    QueryParameter(name="state", description="draft incomplete submitted approved refused withdrawn"),
]


class PostedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``wanted``: definition title purpose legal_basis scope mode expires_on freshness_hours; gaps are told, not refused."""

    kind: Literal["new", "change", "renew"] = "new"
    code: str = ""  # of the subscription; of a new one may be left out
    wanted: dict[str, Any] = msgspec.field(default_factory=dict)


class PostedLevel(msgspec.Struct, frozen=True, kw_only=True):
    """1 the bureau; what goes higher is the bureau's to send."""

    level: int
    reason: str


class LicenceRequestController(Controller):
    """/v1/licence-requests."""

    @get("/licence-requests", opt=_READS, sync_to_thread=True, summary="订阅申请 / Licence requests, own and to answer")
    def read_all(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        actor: NamedDependency[Actor],
        request_state: OfState = None,
        cursor: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Response[dict[str, Any]]:
        place = read_cursor(cursor)
        with database.begin(reach_of(actor)) as connection:
            found = list_requests(
                connection, settings, actor, utc_now(), state=request_state or "", before=place, limit=limit + 1
            )
        rows = [_line(one) for one in found[:limit]]
        return answer_page("/v1/licence-requests", rows, _following(found, limit), state=request_state, limit=limit)

    @post(
        "/licence-requests", opt=_ASKS, guards=[require_json], status_code=201, sync_to_thread=True,
        summary="起草订阅申请 / Draft a request",
    )  # fmt: skip
    def create(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        data: JSONBody[PostedRequest],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            made = draft_request(connection, settings, catalogue, actor, data.kind, data.code, data.wanted, utc_now())
            return _shown(connection, settings, catalogue, actor, made.request_id)

    @get(_ONE, opt=_READS, sync_to_thread=True, summary="一件订阅申请 / One request")
    def read_one(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        request_id: FromPath[UUID],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            return _shown(connection, settings, catalogue, actor, request_id)

    @put(_ONE, opt=_ASKS, guards=[require_json], sync_to_thread=True, summary="补正 / Complete a draft")
    def revise(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        request_id: FromPath[UUID],
        data: JSONBody[PostedRequest],
    ) -> dict[str, Any]:
        def act(connection: Connection) -> object:
            return revise_request(connection, settings, catalogue, actor, request_id, data.wanted, utc_now())

        return _done(database, settings, catalogue, actor, request_id, act)

    @post(f"{_ONE}/submit", opt=_ASKS, status_code=200, sync_to_thread=True, summary="提交 / Hand it in")
    def submit(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        request_id: FromPath[UUID],
    ) -> dict[str, Any]:
        def act(connection: Connection) -> object:
            return submit_request(connection, settings, catalogue, actor, request_id, utc_now())

        return _done(database, settings, catalogue, actor, request_id, act)

    @post(f"{_ONE}/withdraw", opt=_ASKS, status_code=200, sync_to_thread=True, summary="撤回 / Take it back")
    def withdraw(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        request_id: FromPath[UUID],
    ) -> dict[str, Any]:
        def act(connection: Connection) -> object:
            return withdraw_request(connection, actor, request_id, utc_now())

        return _done(database, settings, catalogue, actor, request_id, act)

    @post(
        f"{_ONE}/escalate", opt=_ASKS, guards=[require_json],
        status_code=200, sync_to_thread=True, summary="提请协调 / Bring it before the next level",
    )  # fmt: skip
    def escalate(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        request_id: FromPath[UUID],
        data: JSONBody[PostedLevel],
    ) -> dict[str, Any]:
        def act(connection: Connection) -> object:
            return escalate_request(connection, actor, request_id, data.level, data.reason)

        return _done(database, settings, catalogue, actor, request_id, act)


def _done(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    request_id: UUID,
    act: Callable[[Connection], object],
) -> dict[str, Any]:
    """One act, and the request as it stands then, in one transaction."""
    with database.begin(reach_of(actor)) as connection:
        act(connection)
        return _shown(connection, settings, catalogue, actor, request_id)


def _shown(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, request_id: UUID
) -> dict[str, Any]:
    shown = show_request(connection, settings, catalogue, actor, request_id, utc_now())
    described: dict[str, Any] = msgspec.to_builtins(shown.request)
    answers = msgspec.to_builtins(shown.answers)
    left = {provider: clock.left for provider, clock in shown.clocks.items()}
    whole = {"answers": [one | {"working_days_left": left[one["provider"]]} for one in answers]}
    return (
        described
        | whole
        | {"withheld": shown.withheld, "deliver_days_left": shown.deliver_left, "may": sorted(shown.may)}
    )


def _line(one: ListedRequest) -> dict[str, Any]:
    names = ("request_id", "request_no", "organisation", "kind", "subscription_code", "state", "asked_at", "level")
    line = {name: getattr(one.request, name) for name in names} | {"title": one.request.wanted.title}
    clocks = msgspec.to_builtins(one.clocks)
    return line | {"answers": clocks, "overdue": one.overdue, "deliver_days_left": one.deliver_left}


def _following(found: list[ListedRequest], limit: int) -> str | None:
    if len(found) <= limit:
        return None
    last = found[limit - 1].request
    return write_cursor((last.asked_at, last.request_id))
