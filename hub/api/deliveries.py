"""What was delivered under one's own subscription: the list by numbers, and the same pages again."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from hub.api.subscriptions import CONTEXT, write_page
from hub.database import Database
from hub.errors import BadRequest
from hub.exchange.redelivery import Replay, list_deliveries, load_own, replay_pages
from hub.exchange.slices import FeedContext, current_epoch
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of

_RIGHT = {"right": Right.PULL_SLICE}
Before = Annotated[int | None, QueryParameter(ge=1, description="上一页的 next / the page before's next")]
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="至多多少次 / at most how many")]


class DeliveryController(Controller):
    """/v1/subscriptions/{code}/deliveries."""

    path = "/subscriptions/{code:str}/deliveries"

    @get(opt=_RIGHT, sync_to_thread=True, summary="下发记录 / What was delivered, newest first")
    def list_own(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        code: FromPath[str],
        epoch: FromQuery[str | None] = None,
        cursor: Before = None,
        limit: Limit = 50,
    ) -> Response[dict[str, Any]]:
        with database.begin(reach_of(actor)) as connection:
            own = load_own(connection, actor, code)
            its = epoch or current_epoch(connection, own)
            found = list_deliveries(connection, own, its, before=cursor, limit=limit + 1)
        return _answer(code, found[:limit], epoch, limit, more=len(found) > limit)

    @get(
        "/{numbers:str}",
        opt=_RIGHT,
        dependencies=CONTEXT,
        sync_to_thread=True,
        summary="重新下发 / The same pages again, by their numbers: 101-250",
    )
    def replay(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        context: NamedDependency[FeedContext],
        code: FromPath[str],
        numbers: FromPath[str],
        epoch: FromQuery[str | None] = None,
    ) -> Response[bytes]:
        first, last = _ends(numbers)
        with database.begin(reach_of(actor)) as connection:
            replayed = replay_pages(connection, actor, context, code, first, last, epoch)
        following = replayed.rest and f"/v1/subscriptions/{code}/deliveries/{replayed.rest}-{last}"
        headers = {"Link": f'<{following}>; rel="next"'} if following else {}
        return Response(_write_replay(replayed, following), media_type="application/json", headers=headers)


def _ends(numbers: str) -> tuple[int, int]:
    first, dash, last = numbers.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and len(first) <= 18 and len(last) <= 18):
        raise BadRequest(f"{numbers[:40]}: 应为“首号-末号”。 First and last number, as 101-250.")
    return int(first), int(last)


def _answer(code: str, found: list[Any], epoch: str | None, limit: int, *, more: bool) -> Response[dict[str, Any]]:
    rows = [msgspec.to_builtins(one) | {"last_delivery_no": one.last_delivery_no} for one in found]
    following = str(found[-1].page_no) if more else None
    document = {"data": rows, "next": following, "meta": {"count": len(rows)}}
    if following is None:
        return Response(document)
    asked = {"epoch": epoch, "limit": limit, "cursor": following}
    address = (
        f"/v1/subscriptions/{code}/deliveries?{urlencode({name: value for name, value in asked.items() if value})}"
    )
    return Response(document, headers={"Link": f'<{address}>; rel="next"'})


def _write_replay(replayed: Replay, following: object) -> bytes:
    """Each page as ``…/changes`` gave it."""
    pages, count = b",".join(write_page(page) for page in replayed.pages), sum(page.count for page in replayed.pages)
    rest = msgspec.json.encode({"pages": len(replayed.pages), "count": count})
    return b'{"data":[' + pages + b'],"next":' + msgspec.json.encode(following or None) + b',"meta":' + rest + b"}"
