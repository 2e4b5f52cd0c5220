"""Finding a person and reading their timeline, for whoever has the right; what is searched for goes in the body."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from hub.api.bodies import require_json
from hub.database import Database
from hub.people.purposes import checked_purpose
from hub.people.search import area_named, find_people
from hub.people.timeline import Timeline, read_timeline
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_RIGHT = {"right": Right.READ_PERSON}


class PostedSearch(msgspec.Struct, frozen=True, kw_only=True):
    """A whole number; or a name with an area (its code) or a birth date. And what for."""

    purpose: str
    reason: str = ""
    id_no: str = ""
    name: str = ""
    area: str = ""
    birth_date: date | None = None


class PeopleApiController(Controller):
    """/v1/people."""

    path = "/people"

    @post(
        "/search", opt=_RIGHT, guards=[require_json], status_code=200, sync_to_thread=True,
        summary="查找人员 / Find a person",
    )  # fmt: skip
    def search(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        data: JSONBody[PostedSearch],
    ) -> dict[str, Any]:
        purpose = checked_purpose(actor, data.purpose, data.reason)
        with database.begin(reach_of(actor)) as connection:
            areas = load_area_index(connection)
            found = find_people(
                connection, actor, catalogue, areas, name=data.name, area=area_named(areas, data.area),
                birth_date=data.birth_date, id_no=data.id_no, purpose=purpose, a_day=settings.people.searches_a_day,
            )  # fmt: skip
        return {"data": found.people, "next": None, "meta": {"count": len(found.people), "more": found.more}}

    @get("/{person_id:uuid}/timeline", opt=_RIGHT, sync_to_thread=True, summary="时间线 / One person's timeline")
    def timeline(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        person_id: FromPath[UUID],
        purpose: FromQuery[str],
        reason: FromQuery[str] = "",
    ) -> Timeline:
        said = checked_purpose(actor, purpose, reason)
        with database.begin(reach_of(actor)) as connection:
            return read_timeline(connection, actor, catalogue, load_area_index(connection), person_id, said)
