"""时效: what waits for whom and since when, which sources are silent, what is alarming."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from admin.desk_forms import Asking
from admin.language import N_
from admin.pages import show
from hub.database import Database, utc_now
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.freshness_reading import read_freshness
from mappings.catalogue import Catalogue

ALARM_KINDS = {
    "slice": N_("切片停滞或签收不一致"),
    "backlog": N_("下发积压"),
    "source": N_("数源单位未按时报送"),
    "channel": N_("对外通道故障"),
    "correction": N_("更正逾期未签收"),
}
FREQUENCIES = {
    "realtime": N_("实时"),
    "daily": N_("每日更新"),
    "weekly": N_("每周更新"),
    "monthly": N_("每月更新"),
    "as_it_comes": N_("按需更新"),
}


class FreshnessController(Controller):
    """/freshness."""

    path = "/freshness"

    @get("/", opt={"right": Right.READ_SHARING}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
    ) -> Response[str]:
        now = utc_now()
        with database.begin(reach_of(request.user)) as connection:
            known = {one.code: one for one in list_organisations(connection, settings.district)}
            shown = read_freshness(connection, request.user, settings, catalogue, now)
        page: dict[str, Any] = {"shown": shown, "organisations": known, "types": catalogue.record_types, "now": now}
        return show(request, "freshness.html", kinds=ALARM_KINDS, frequencies=FREQUENCIES, **page)
