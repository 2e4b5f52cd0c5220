"""Compare one's own copy with the slice: begin, totals by town, cells, rows, end."""

from __future__ import annotations

from contextlib import AbstractContextManager
from uuid import UUID

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from sqlalchemy import Connection

from hub.api.bodies import require_json
from hub.api.subscriptions import feed_context
from hub.database import Database
from hub.exchange.slices import FeedContext
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.sharing import copy_check

_CONTEXT = {"context": Provide(feed_context, sync_to_thread=False)}
_JSON = [require_json]


class PostedBegin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the copy stands: the ``next`` of the last page, or of the snapshot, it was made from."""

    cursor: str | None = None


class PostedTotals(msgspec.Struct, frozen=True, kw_only=True):
    record_types: dict[str, copy_check.TypeTotals]


class DifferingTowns(msgspec.Struct, frozen=True, kw_only=True):
    """The towns that differ, by record type; none at all: the copy is the slice."""

    record_types: dict[str, list[str]]


class DifferingBuckets(msgspec.Struct, frozen=True, kw_only=True):
    """The buckets that differ, by town."""

    towns: dict[str, list[int]]


class CopyCheckController(Controller):
    """/v1/subscriptions/{code}/copy-checks."""

    path = "/subscriptions/{code:str}/copy-checks"

    @post(
        opt={"right": Right.PULL_SLICE},
        dependencies=_CONTEXT,
        guards=_JSON,
        status_code=201,
        sync_to_thread=True,
        summary="开始副本比对 / Begin to compare one's copy",
    )
    def begin(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        context: NamedDependency[FeedContext],
        code: FromPath[str],
        data: JSONBody[PostedBegin],
    ) -> copy_check.Begun:
        with _of_one_instant(database, actor) as connection:
            return copy_check.begin_check(connection, actor, context, code, data.cursor)

    @post(
        "/{check_id:uuid}/totals",
        opt={"right": Right.PULL_SLICE},
        dependencies=_CONTEXT,
        guards=_JSON,
        status_code=200,
        sync_to_thread=True,
        summary="比对总数 / Compare towns",
    )
    def totals(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        context: NamedDependency[FeedContext],
        code: FromPath[str],
        check_id: FromPath[UUID],
        data: JSONBody[PostedTotals],
    ) -> DifferingTowns:
        with _of_one_instant(database, actor) as connection:
            found = copy_check.compare_totals(connection, actor, context, code, check_id, data.record_types)
        return DifferingTowns(record_types=found)

    @post(
        "/{check_id:uuid}/cells",
        opt={"right": Right.PULL_SLICE},
        dependencies=_CONTEXT,
        guards=_JSON,
        status_code=200,
        sync_to_thread=True,
        summary="比对分格 / Compare cells",
    )
    def cells(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        context: NamedDependency[FeedContext],
        code: FromPath[str],
        check_id: FromPath[UUID],
        data: JSONBody[copy_check.SentCells],
    ) -> DifferingBuckets:
        with _of_one_instant(database, actor) as connection:
            found = copy_check.compare_cells(connection, actor, context, code, check_id, data)
        return DifferingBuckets(towns=found)

    @post(
        "/{check_id:uuid}/rows",
        opt={"right": Right.PULL_SLICE},
        dependencies=_CONTEXT,
        guards=_JSON,
        status_code=200,
        sync_to_thread=True,
        summary="比对记录 / Compare rows",
    )
    def rows(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        context: NamedDependency[FeedContext],
        code: FromPath[str],
        check_id: FromPath[UUID],
        data: JSONBody[copy_check.SentRows],
    ) -> copy_check.Found:
        with _of_one_instant(database, actor) as connection:
            return copy_check.compare_rows(connection, actor, context, code, check_id, data)

    @post(
        "/{check_id:uuid}/end",
        opt={"right": Right.PULL_SLICE},
        dependencies=_CONTEXT,
        guards=_JSON,
        status_code=200,
        sync_to_thread=True,
        summary="结束比对 / End the comparison",
    )
    def end(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        context: NamedDependency[FeedContext],
        code: FromPath[str],
        check_id: FromPath[UUID],
    ) -> copy_check.Ended:
        with _of_one_instant(database, actor) as connection:
            return copy_check.finish_check(connection, actor, context, code, check_id)


def _of_one_instant(database: Database, actor: Actor) -> AbstractContextManager[Connection]:
    """The slice, and what changed since."""
    return database.begin(reach_of(actor), isolation="REPEATABLE READ")
