"""副本比对: whether the receivers' copies are what the hub holds; the last result of each, and how to compare."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from admin.desk_forms import Asking
from admin.language import N_
from admin.pages import show
from hub.database import Database, utc_now
from hub.registry.areas import load_area_index
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.copy_check_list import list_checked_copies, list_checks, told_again
from mappings.catalogue import Catalogue

_READ = {"right": Right.READ_SHARING}
RESULTS = {
    "never": N_("还没有比对"),
    "running": N_("正在比对"),
    "stopped": N_("中途停止，没有结果"),
    "same": N_("一致"),
    "differs": N_("有差异"),
}


class CopyCheckController(Controller):
    """/subscriptions/copy-checks/all and /subscriptions/…/copy-checks."""

    @get("/subscriptions/copy-checks/all", opt=_READ, sync_to_thread=True)
    def read_all(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            found = list_checked_copies(connection, request.user, catalogue, utc_now())
            known = {one.code: one for one in list_organisations(connection, settings.district)}
        return show(request, "copy_checks.html", copies=found, organisations=known, results=RESULTS)

    @get("/subscriptions/{code:str}/copy-checks", opt=_READ, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        code: FromPath[str],
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            checks = list_checks(connection, request.user, catalogue, code, utc_now())
            places = told_again(connection, request.user, catalogue, checks[0])
            known = {one.code: one for one in list_organisations(connection, settings.district)}
            towns = load_area_index(connection)
        page: dict[str, Any] = {"checks": checks, "one": checks[0], "places": places, "towns": towns}
        page |= {"organisations": known, "types": catalogue.record_types, "results": RESULTS}
        page["address"] = str(request.base_url).rstrip("/")
        return show(request, "copy_check.html", own=request.user.organisation == checks[0].organisation, **page)
