"""Freshness for a unit's own system: what waits for its slices, which of its sources are silent, open alarms."""

from __future__ import annotations

from litestar import Controller, get
from litestar.di import NamedDependency

from hub.database import Database, utc_now
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.freshness_reading import Freshness, read_freshness
from mappings.catalogue import Catalogue


class FreshnessController(Controller):
    """/v1/freshness."""

    @get(
        "/freshness",
        opt={"right": Right.READ_SHARING},
        sync_to_thread=True,
        summary="时效 / How fresh what is shared is",
    )
    def read(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
    ) -> Freshness:
        with database.begin(reach_of(actor)) as connection:
            return read_freshness(connection, actor, settings, catalogue, utc_now())
