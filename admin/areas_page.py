"""The registry's areas: towns, one town's villages, a search by any name or code of the past, one area's history."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from admin.desk_forms import Asking
from admin.language import N_
from admin.pages import show
from hub.database import Database
from hub.registry.area_history import (
    A_PAGE,
    MOST_FOUND,
    AreaLine,
    find_areas,
    history_of,
    list_towns,
    list_villages,
)
from hub.registry.permissions import Right

_READ = {"right": Right.READ_REGISTRY}
_LONGEST = 40
AREA_KINDS = {"district": N_("区县"), "town": N_("镇街"), "village": N_("村居")}
REASONS = {
    "import": N_("导入名单"),
    "rename": N_("更名"),
    "recode": N_("代码变更"),
    "merge": N_("合并"),
    "split": N_("拆分"),
}


class AreaController(Controller):
    """/areas."""

    path = "/areas"

    @get("/", opt=_READ, sync_to_thread=True)
    def read_all(
        self,
        request: Asking,
        database: NamedDependency[Database],
        text: FromQuery[str] = "",
        after: FromQuery[str] = "",
    ) -> Response[str]:
        wanted = text.strip()[:_LONGEST]
        with database.begin() as connection:
            found = find_areas(connection, request.user, wanted) if wanted else []
            towns = [] if wanted else list_towns(connection, request.user, after[:12])
        page: dict[str, Any] = {"found": found[:MOST_FOUND], "cut": len(found) > MOST_FOUND, "wanted": wanted}
        return show(request, "areas.html", **page, towns=towns[:A_PAGE], following=_last_of(towns), kinds=AREA_KINDS)

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


def _last_of(lines: list[AreaLine]) -> str:
    """After which code the next page begins; "" when this was the last."""
    return lines[A_PAGE - 1].code if len(lines) > A_PAGE else ""
