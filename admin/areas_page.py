"""The registry's areas: a list of all, their periods, one area with its history and a town's villages."""

from __future__ import annotations

from datetime import date
from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.desk_forms import Asking
from admin.lists.answering import Door, Fetched, Source, answer_list, page_of
from admin.lists.asked import Asked, asked_of
from admin.lists.registry import AREA_KINDS, AREA_PERIODS, AREAS, REASONS
from admin.pages import show
from hub.database import Database
from hub.errors import BadRequest
from hub.registry.area_history import A_PAGE, AreaLine, history_of, list_villages
from hub.registry.area_list import WantedAreas, WantedPeriods, list_areas, list_periods
from hub.registry.permissions import Right

_READ = {"right": Right.READ_REGISTRY}
_AT_FIRST = {"kind": "town", "state": "now"}


class AreaController(Controller):
    """/areas."""

    path = "/areas"

    @get("/", opt=_READ, sync_to_thread=True)
    def read_all(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(AREAS, door.query, **_AT_FIRST)
        return answer_list(door, asked, _areas(door, asked), "areas.html")

    @get("/history", opt=_READ, sync_to_thread=True)
    def read_periods(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(AREA_PERIODS, door.query)
        return answer_list(door, asked, _periods(door, asked), "area_history.html")

    @get("/{area_id:int}", opt=_READ, sync_to_thread=True)
    def read(
        self, request: Asking, database: NamedDependency[Database], area_id: FromPath[int], after: FromQuery[str] = ""
    ) -> Response[str]:
        with database.begin() as connection:
            known = history_of(connection, request.user, area_id)
            is_town = known.its.kind == "town"
            villages = list_villages(connection, request.user, area_id, after[:12]) if is_town else []
        return show(
            request,
            "area.html",
            known=known,
            villages=villages[:A_PAGE],
            following=_last_of(villages),
            kinds=AREA_KINDS,
            reasons=REASONS,
        )


def _areas(door: Door, asked: Asked) -> Source:
    def rows(connection: Connection, after: str, size: int) -> Fetched:
        wanted = WantedAreas(
            text=asked["text"], kind=asked["kind"], state=asked["state"], sort=asked.order,
            after=_numbers_of(after, 1)[0] if after else None,
        )  # fmt: skip
        return page_of(list_areas(connection, door.actor, wanted, size + 1), size, lambda one: str(one.area_id))

    return Source(rows=rows)


def _periods(door: Door, asked: Asked) -> Source:
    def rows(connection: Connection, after: str, size: int) -> Fetched:
        place = _numbers_of(after, 2) if after else None
        wanted = WantedPeriods(
            text=asked["text"], reason=asked["reason"], since=_day(asked["since"]), until=_day(asked["until"]),
            sort=asked.order, after=(place[0], place[1]) if place else None,
        )  # fmt: skip
        found = list_periods(connection, door.actor, wanted, size + 1)
        return page_of(found, size, lambda one: f"{one.area_id}.{one.version}")

    return Source(rows=rows)


def _numbers_of(place: str, many: int) -> list[int]:
    """A place that is made of small numbers."""
    parts = place.split(".")
    if len(parts) != many or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise BadRequest("after")
    return [int(part) for part in parts]


def _day(said: str) -> date | None:
    try:
        return date.fromisoformat(said) if said else None
    except ValueError:
        raise BadRequest("since") from None


def _last_of(lines: list[AreaLine]) -> str:
    """After which code the next page begins; "" when this was the last."""
    return lines[A_PAGE - 1].code if len(lines) > A_PAGE else ""
