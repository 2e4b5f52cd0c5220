"""时效: what waits for whom and since when, which sources are silent, what is alarming."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from markupsafe import Markup

from admin.charts import Series, Words, bars
from admin.desk_forms import Asking
from admin.language import N_, Language, translator
from admin.pages import show
from hub.database import Database, utc_now
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.freshness import Lag
from hub.sharing.freshness_reading import read_freshness
from mappings.catalogue import Catalogue

_MOST_BARS = 20
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
        waited = {one.code: waited_hours(one, now) for one in shown.lags}
        chart = _lag_chart(shown.lags, now, request.auth.language)
        return show(
            request, "freshness.html", kinds=ALARM_KINDS, frequencies=FREQUENCIES, waited=waited, chart=chart, **page
        )  # fmt: skip


def waited_hours(one: Lag, now: datetime) -> int | None:
    """For how many whole hours the oldest change nobody has fetched has waited; None: nothing waits."""
    return int((now - one.oldest_at).total_seconds() // 3600) if one.oldest_at else None


def _lag_chart(lags: Sequence[Lag], now: datetime, language: Language) -> Markup:
    """What waits longest. Targets differ, so none is drawn across: they stand in the table of the slices."""
    translate = translator(language)
    waits = {one: waited_hours(one, now) or 0 for one in lags}
    slowest = sorted((one for one in lags if waits[one]), key=lambda one: -waits[one])[:_MOST_BARS]
    hours = Series(name=translate(N_("已等待（小时）")), values=[waits[one] for one in slowest])
    words = Words(
        name="lag", title=translate(N_("最早待取变动已等待的小时数")), heads=translate(N_("订阅")),
        description=translate(N_("每个订阅一条，等待最久的在前；等待不到 1 小时的不列。")), table=translate(N_("数据表")),
        empty=translate(N_("没有等待 1 小时以上的变动。")),
    )  # fmt: skip
    return bars(words, [one.title or one.code for one in slowest], hours)
