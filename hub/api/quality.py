"""The quality figures for systems: one's own month by record type, and the rows behind each figure."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from hub.api.paging import answer_page
from hub.database import Database
from hub.exchange.pipeline import local_now
from hub.oversight.quality import FigureKey, Measure, Quality, open_figure, read_quality
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

TypeCode = Annotated[str, QueryParameter(name="type", description="信息类别代码 / record type code")]
Month = Annotated[str | None, QueryParameter(description="月份，默认本月 / month, YYYY-MM; this month unless said")]
After = Annotated[str, QueryParameter(name="cursor", max_length=60, description="上一页的 next / the page's next")]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="至多多少条 / at most how many")]


class QualityController(Controller):
    """/v1/quality and /v1/quality/rows."""

    path = "/quality"

    @get(
        opt={"right": (Right.READ_QUALITY, Right.READ_SUBMISSION, Right.READ_MEASURES)},
        sync_to_thread=True,
        summary="质量数字 / The quality figures of a month",
    )
    def read(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        month: Month = None,
        record_type: TypeCode = "",
        organisation: FromQuery[str] = "",
    ) -> dict[str, Any]:
        asked = (settings.time_zone, month or f"{local_now(settings):%Y-%m}", organisation, record_type)
        with database.begin(reach_of(actor)) as connection:
            lines = read_quality(connection, actor, catalogue, *asked)
        return {"data": [describe(line) for line in lines], "next": None, "meta": {"count": len(lines)}}

    @get(
        "/rows",
        opt={"right": (Right.READ_QUALITY, Right.READ_SUBMISSION)},
        sync_to_thread=True,
        summary="数字背后的各行 / The rows that count against a figure",
    )
    def rows(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        record_type: TypeCode,
        measure: FromQuery[Measure],
        month: Month = None,
        organisation: FromQuery[str] = "",
        after: After = "",
        limit: Limit = 100,
    ) -> Response[dict[str, Any]]:
        whose = organisation or actor.organisation
        chosen = month or f"{local_now(settings):%Y-%m}"
        key = FigureKey(organisation=whose, record_type=record_type, month=chosen, measure=measure)
        with database.begin(reach_of(actor)) as connection:
            found = open_figure(connection, actor, catalogue, settings.time_zone, key, after, limit)
        kept = {"organisation": organisation or None, "type": record_type, "month": chosen, "measure": measure}
        return answer_page("/v1/quality/rows", msgspec.to_builtins(found.rows), found.next, **kept, limit=limit)


def describe(line: Quality) -> dict[str, Any]:
    """``received`` is null where it is so small that it is not said; ``figures`` are empty of what is clinical by existing."""
    return msgspec.to_builtins(line)  # type: ignore[no-any-return]
