"""How far the months' rounds are, for a unit's own system: a town its own, the bureau all. Counts, nobody's name."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from hub.casework.round_progress import Tally, progress, summaries
from hub.database import Database
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings


class RoundController(Controller):
    """/v1/rounds."""

    @get(
        "/rounds",
        opt={"right": Right.READ_ROUND},
        sync_to_thread=True,
        summary="各月核对 / The months' rounds, counted over what the caller may see",
    )
    def read_all(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        actor: NamedDependency[Actor],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            found = summaries(connection, actor, settings.time_zone)
        return {"data": [_described(one) for one in found], "next": None, "meta": {"count": len(found)}}

    @get(
        "/rounds/{month:str}",
        opt={"right": Right.READ_ROUND},
        sync_to_thread=True,
        summary="一个月的核对进度 / How far each town is in a month's round, with its villages",
    )
    def read_one(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        actor: NamedDependency[Actor],
        month: FromPath[str],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            found = progress(connection, actor, month, settings.time_zone)
        return {"month": month, "data": [_described(one) for one in found], "meta": {"count": len(found)}}


def _described(one: msgspec.Struct) -> dict[str, Any]:
    """``share``: how much is done, null where nothing was asked."""
    described: dict[str, Any] = msgspec.to_builtins(one)
    for part in (described, *described.get("villages", ())):
        part["share"] = Tally(**part["tally"]).share
    return described
