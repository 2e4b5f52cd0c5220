"""The standing comparisons' items for a unit's own system: its worked list, one item, closing it with what was found."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from hub.api.bodies import require_json
from hub.api.paging import answer_page, read_cursor, write_cursor
from hub.database import Database
from hub.people.comparison_list import ListedItem, ShownItem, State, Wanted, close_item, list_items, read_item
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from mappings.catalogue import Catalogue

_PURPOSE = "comparisons/api"
_ONE = "/comparisons/{item_id:uuid}"
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="至多多少条 / at most how many")]
OfState = Annotated[State, QueryParameter(name="state", description="open closed gone")]


class PostedFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; ``outcome``: corrected, explained, not_ours."""

    evidence: str
    outcome: str


class ComparisonController(Controller):
    """/v1/comparisons."""

    @get(
        "/comparisons",
        opt={"right": Right.WORK_COMPARISON},
        sync_to_thread=True,
        summary="比对待办 / Items of the standing comparisons given to one's own unit",
    )
    def read_all(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        check: FromQuery[str] = "",
        item_state: OfState = "open",
        cursor: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Response[dict[str, Any]]:
        wanted, place = Wanted(check=check, state=item_state), read_cursor(cursor)
        with database.begin(reach_of(actor)) as connection:
            found = list_items(connection, actor, catalogue, wanted, purpose=_PURPOSE, before=place, limit=limit + 1)
        return answer_page(
            "/v1/comparisons",
            found[:limit],
            _following(found, limit),
            check=check or None,
            state=item_state,
            limit=limit,
        )

    @get(
        _ONE,
        opt={"right": Right.WORK_COMPARISON},
        sync_to_thread=True,
        summary="一项比对 / One item, both sides beside each other, masked",
    )
    def read_one(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        item_id: FromPath[UUID],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            item = read_item(connection, actor, catalogue, item_id, purpose=_PURPOSE)
        return _described(item)

    @post(
        f"{_ONE}/close",
        opt={"right": Right.WORK_COMPARISON},
        guards=[require_json],
        status_code=200,
        sync_to_thread=True,
        summary="办结 / Close an item with what was found",
    )
    def close(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        item_id: FromPath[UUID],
        data: JSONBody[PostedFinding],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            close_item(connection, actor, item_id, data.evidence, data.outcome)
        return {"item_id": item_id, "state": "closed"}


def _following(found: list[ListedItem], limit: int) -> str | None:
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return write_cursor((last.opened_at, last.item_id))


def _described(item: ShownItem) -> dict[str, Any]:
    described: dict[str, Any] = msgspec.to_builtins(item)
    kept = ("code", "title", "title_en", "kind", "meaning", "meaning_en", "advice", "advice_en")
    return described | {"check": {name: described["check"][name] for name in kept}}
