"""How good the month's data was: four measures for each unit and record type, and the rows behind every figure."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from admin.language import N_
from admin.pages import show
from admin.uploads import recent_months, today_of
from admin.visits import Visit
from hub.database import Database
from hub.exchange.small_cells import written_count
from hub.oversight.quality import MEASURES, FigureKey, Measure, open_figure, read_quality, written
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import oversees, reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_ROWS_A_PAGE = 100
NAMES: dict[Measure, str] = {
    "completeness": N_("完整率（首次）"),
    "completed": N_("完整率（现在）"),
    "logic": N_("逻辑符合率"),
    "accuracy": N_("准确率"),
    "timeliness": N_("及时率"),
}
_OPENED_BY = (Right.READ_QUALITY, Right.READ_ALL_SUBMISSIONS)

Asking = Request[Actor, Visit, Any]


class QualityController(Controller):
    """/quality and /quality/rows."""

    @get("/quality", opt={"right": (Right.READ_QUALITY, Right.READ_MEASURES)}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromQuery[str] = "",
        organisation: FromQuery[str] = "",
    ) -> Response[str]:
        months = recent_months(today_of(settings))
        with database.begin(reach_of(request.user)) as connection:
            asked = (settings.time_zone, month or months[0], organisation)
            lines = read_quality(connection, request.user, catalogue, *asked)
            organisations = {one.code: one for one in list_organisations(connection, settings.district)}
        return show(
            request,
            "quality.html",
            lines=lines,
            month=month or months[0],
            months=months,
            organisation=organisation,
            organisations=organisations,
            of_all=oversees(request.user),
            linked=any(request.user.may(right) for right in _OPENED_BY),
            catalogue=catalogue,
            measures=NAMES,
            few=written_count(1),
            written=written,
        )

    @get("/quality/rows", opt={"right": Right.READ_QUALITY}, sync_to_thread=True)
    def rows(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        organisation: FromQuery[str] = "",
        record_type: FromQuery[str] = "",
        month: FromQuery[str] = "",
        measure: FromQuery[str] = "",
        after: FromQuery[int] = 0,
    ) -> Response[str]:
        key = FigureKey(organisation=organisation, record_type=record_type, month=month, measure=_measure(measure))
        with database.begin(reach_of(request.user)) as connection:
            page = (settings.time_zone, key, max(after, 0), _ROWS_A_PAGE)
            found = open_figure(connection, request.user, catalogue, *page)
            organisations = {one.code: one for one in list_organisations(connection, settings.district)}
        shown: dict[str, Any] = {"found": found, "key": key, "sender": organisations.get(organisation), "names": NAMES}
        following = max(after, 0) + len(found.rows)
        more = following if following < found.total else None
        return show(request, "quality_rows.html", catalogue=catalogue, more=more, **shown)


def _measure(written_measure: str) -> Measure:
    """The first one where the address names none that there is."""
    return next((one for one in MEASURES if one == written_measure), MEASURES[0])
