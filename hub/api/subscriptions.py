"""Pull the slices one is entitled to: pages of changes by cursor, whole snapshots, acknowledgements."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import File

from hub.api.authentication import refuse_revoked
from hub.api.bodies import require_json
from hub.api.waiting import LONGEST_WAIT_SECONDS, Read, wait_for_page
from hub.database import Database
from hub.exchange import deliver, slices
from hub.keyring import Keyring
from hub.registry.permissions import Actor, Right
from hub.registry.scope import Scope, reach_of
from hub.registry.subscriptions import Subscription, list_subscriptions
from hub.settings import Settings
from hub.tables import subscription
from mappings.catalogue import Catalogue

NDJSON = "application/x-ndjson"
Limit = Annotated[int, QueryParameter(ge=1, le=slices.LARGEST_PAGE, description="至多多少条 / at most how many")]


Wait = Annotated[
    int,
    QueryParameter(
        ge=0, le=LONGEST_WAIT_SECONDS, description="没有变动时最多等几秒 / seconds to wait for something new"
    ),
]


class PostedAck(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which delivery number everything has arrived, and the digest of the page that ends there."""

    to_delivery_no: int
    digest: str


def feed_context(
    catalogue: NamedDependency[Catalogue], keyring: NamedDependency[Keyring], settings: NamedDependency[Settings]
) -> slices.FeedContext:
    """Dependency: what every reader of the feed needs."""
    return slices.FeedContext(catalogue, keyring, settings.page_window)


CONTEXT = {"context": Provide(feed_context, sync_to_thread=False)}


class SubscriptionController(Controller):
    """/v1/subscriptions."""

    path = "/subscriptions"

    @get(opt={"right": Right.PULL_SLICE}, sync_to_thread=True)
    def list_own(self, database: NamedDependency[Database], actor: NamedDependency[Actor]) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            own = list_subscriptions(connection, Scope(actor=actor).own_subscriptions(subscription))
        return {"data": [_describe(one) for one in own], "next": None, "meta": {"count": len(own)}}

    @get(
        "/{code:str}/changes",
        opt={"right": Right.PULL_SLICE},
        dependencies=CONTEXT,
        summary="变动 / Changes behind a cursor",
    )
    async def changes(
        self,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        context: NamedDependency[slices.FeedContext],
        code: FromPath[str],
        cursor: FromQuery[str | None] = None,
        limit: Limit = 1000,
        wait: Wait = 0,
    ) -> Response[bytes]:
        read = partial(_read_page, database, actor, context, code, limit)
        page = await read(cursor)
        if wait:
            page = await wait_for_page(database, page, wait, partial(_read_after_waiting, request, read))
        following = f"/v1/subscriptions/{code}/changes?{urlencode({'cursor': page.next, 'limit': limit})}"
        return Response(write_page(page), media_type="application/json", headers={"Link": f'<{following}>; rel="next"'})

    @get(
        "/{code:str}/snapshot",
        opt={"right": Right.PULL_SLICE},
        dependencies=CONTEXT,
        sync_to_thread=True,
        summary="全量 / The whole slice, as NDJSON",
    )
    def snapshot(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        actor: NamedDependency[Actor],
        context: NamedDependency[slices.FeedContext],
        code: FromPath[str],
    ) -> File:
        path = _write_snapshot(database, settings, actor, context, code)
        return File(path, filename=f"{code}.ndjson", media_type=NDJSON, background=BackgroundTask(Path(path).unlink))

    @post(
        "/{code:str}/acks",
        opt={"right": Right.PULL_SLICE},
        dependencies=CONTEXT,
        guards=[require_json],
        status_code=200,
        sync_to_thread=True,
        summary="签收 / Acknowledge",
    )
    def acknowledge(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        context: NamedDependency[slices.FeedContext],
        code: FromPath[str],
        data: JSONBody[PostedAck],
    ) -> deliver.Acknowledged:
        with database.begin(reach_of(actor)) as connection:
            own = slices.open_subscription(connection, actor, context, code)
            epoch = slices.current_epoch(connection, own)
            return deliver.acknowledge(connection, actor, own, epoch, data.to_delivery_no, data.digest)


async def _read_after_waiting(request: Request[Any, Any, Any], read: Read, cursor: str) -> slices.Page:
    await refuse_revoked(request)
    return await read(cursor)


async def _read_page(
    database: Database, actor: Actor, context: slices.FeedContext, code: str, limit: int, cursor: str | None
) -> slices.Page:
    def read() -> slices.Page:
        with database.begin(reach_of(actor)) as connection:
            return slices.read_page(connection, actor, context, code, cursor, limit)

    return await sync_to_thread(read)


def write_page(page: slices.Page) -> bytes:
    """The envelope around changes that PostgreSQL has already written as JSON."""
    meta = {
        name: getattr(page, name)
        for name in ("epoch", "from_seq", "to_seq", "first_delivery_no", "count", "digest", "more", "erased")
    }
    start, end = msgspec.json.encode(page.next), msgspec.json.encode(meta)
    return b'{"data":[' + page.changes.encode() + b'],"next":' + start + b',"meta":' + end + b"}"


def _write_snapshot(
    database: Database, settings: Settings, actor: Actor, context: slices.FeedContext, code: str
) -> str:
    """On disk first: a slow reader must not hold a snapshot of the database open, and a failure is still a problem."""
    folder = settings.files / "tmp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with database.begin(reach_of(actor), isolation="REPEATABLE READ") as connection:
        return _write_lines(str(folder), slices.snapshot(connection, actor, context, code))


def _write_lines(folder: str, lines: Iterable[str]) -> str:
    with NamedTemporaryFile("w", encoding="utf-8", dir=folder, prefix="snapshot-", delete=False) as file:
        try:
            file.writelines(lines)
        except BaseException:
            Path(file.name).unlink()
            raise
    return file.name


def _describe(one: Subscription) -> dict[str, Any]:
    base = f"/v1/subscriptions/{one.code}"
    return {
        "id": one.code,
        "title": one.title,
        "state": one.state,
        "version": one.version,
        "purpose": one.purpose,
        "legal_basis": one.legal_basis,
        "catalogue_no": one.catalogue_no,
        "expires_on": one.expires_on,
        "record_types": {each.record_type: each.fields for each in one.definition.record_types},
        "areas": one.definition.areas,
        "changes_url": f"{base}/changes",
        "snapshot_url": f"{base}/snapshot",
        "deliveries_url": f"{base}/deliveries",
    }
