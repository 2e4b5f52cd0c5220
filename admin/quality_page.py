"""How good the month's data was: figures for each unit and record type, why they fall short, the rows, and the year."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from markupsafe import Markup

from admin.charts import Mark, Series, Words, line, percent, stacked
from admin.desk_forms import Asking
from admin.language import N_, Language, titled, translator
from admin.pages import show
from admin.uploads import recent_months, today_of
from hub.database import Database
from hub.desks.due_month import due_month
from hub.errors import NotFound
from hub.exchange.small_cells import written_count
from hub.oversight.quality import (
    MEASURES,
    FigureKey,
    Measure,
    Quality,
    kept_at,
    open_figure,
    read_months,
    read_quality,
    written,
)
from hub.registry.month_calendar import month_after
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Right
from hub.registry.scope import oversees, reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue, RecordType

_ROWS_A_PAGE, _TREND = 100, 12
NAMES: dict[Measure, str] = {
    "completeness": N_("完整率（首次）"),
    "completed": N_("完整率（现在）"),
    "logic": N_("逻辑符合率"),
    "accuracy": N_("准确率"),
    "timeliness": N_("及时率"),
}
_LATE = {"3": N_("超期 3 天以内"), "7": N_("超期 4–7 天"), "30": N_("超期 8–30 天"), "more": N_("超期 30 天以上")}
_OPENED_BY = (Right.READ_QUALITY, Right.READ_ALL_SUBMISSIONS)


class QualityController(Controller):
    """/quality, /quality/rows and /quality/trend."""

    @get("/quality", opt={"right": (Right.READ_QUALITY, Right.READ_MEASURES)}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromQuery[str] = "",
        organisation: FromQuery[str] = "",
        only: FromQuery[str] = "",
    ) -> Response[str]:
        months = recent_months(today_of(settings))
        with database.begin(reach_of(request.user)) as connection:
            chosen = month or due_month(connection, catalogue, settings, today_of(settings))
            lines = read_quality(connection, request.user, catalogue, settings.time_zone, chosen, organisation)
            as_of = kept_at(connection, catalogue, settings.time_zone)
            organisations = {one.code: one for one in list_organisations(connection, settings.district)}
        short = [one for one in lines if is_short(one)]
        page: dict[str, Any] = {"organisation": organisation, "organisations": organisations, "only": only}
        page["as_of"] = as_of
        return show(
            request, "quality.html", lines=short if only == "short" else lines, shorts=len(short), of_all_lines=len(lines),
            month=chosen, months=sorted({*months, chosen}, reverse=True), of_all=oversees(request.user),
            linked=any(request.user.may(right) for right in _OPENED_BY), catalogue=catalogue, measures=NAMES,
            few=written_count(1), written=written, chart=_met_chart(lines, request.auth.language), **page,
        )  # fmt: skip

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
        reason: FromQuery[str] = "",
        after: FromQuery[str] = "",
    ) -> Response[str]:
        key = FigureKey(organisation=organisation, record_type=record_type, month=month, measure=_measure(measure))
        zone = settings.time_zone
        with database.begin(reach_of(request.user)) as connection:
            found = open_figure(connection, request.user, catalogue, zone, key, after, _ROWS_A_PAGE, reason)
            organisations = {one.code: one for one in list_organisations(connection, settings.district)}
        named = _named_reasons(catalogue, key, [code for code, _ in found.reasons], request.auth.language)
        shown: dict[str, Any] = {"found": found, "key": key, "sender": organisations.get(organisation), "names": NAMES}
        return show(
            request, "quality_rows.html", catalogue=catalogue, reasons=found.reasons, named=named, reason=reason,
            **shown,
        )  # fmt: skip

    @get("/quality/trend", opt={"right": (Right.READ_QUALITY, Right.READ_MEASURES)}, sync_to_thread=True)
    def trend(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        organisation: FromQuery[str] = "",
        record_type: FromQuery[str] = "",
        month: FromQuery[str] = "",
    ) -> Response[str]:
        its = catalogue.record_types.get(record_type)
        if its is None or not organisation:
            raise NotFound(record_type)
        with database.begin(reach_of(request.user)) as connection:
            last = month or due_month(connection, catalogue, settings, today_of(settings))
            months = [month_after(last, back - _TREND + 1) for back in range(_TREND)]
            asked = (request.user, catalogue, settings.time_zone, months)
            lines = read_months(connection, *asked, organisation, record_type)
            as_of = kept_at(connection, catalogue, settings.time_zone)
            organisations = {one.code: one for one in list_organisations(connection, settings.district)}
        of_months = [[one for one in lines if one.month == each] for each in months]
        charts = _trend_charts(months, of_months, its, catalogue, request.auth.language)
        return show(
            request, "quality_trend.html", charts=charts, record_type=its, month=last, organisation=organisation,
            sender=organisations.get(organisation), empty=not lines, as_of=as_of,
        )  # fmt: skip


def is_short(one: Quality) -> bool:
    """Whether a figure of the line is below its target."""
    return any(figure.met is False for figure in one.figures.values())


def _measure(written_measure: str) -> Measure:
    """The first one where the address names none that there is."""
    return next((one for one in MEASURES if one == written_measure), MEASURES[0])


def _met_chart(lines: Sequence[Quality], language: Language) -> Markup:
    """How many figures of the month reach their target, by measure."""
    translate = translator(language)

    def many(met: bool | None) -> list[int]:
        figures = [[one.figures[measure].met for one in lines if one.figures] for measure in MEASURES]
        return [sum(one is met for one in each) for each in figures]

    parts = [
        Series(name=translate(N_("达标")), values=many(True)),
        Series(name=translate(N_("未达标")), values=many(False)),
    ]
    words = Words(
        name="met", title=translate(N_("各指标达标情况")), heads=translate(N_("指标")), table=translate(N_("数据表")),
        description=translate(N_("每个单位每个信息类别计一项；没有可计数的不计。")), empty=translate(N_("没有数据")),
    )  # fmt: skip
    shown = any(value for part in parts for value in part.values)
    return stacked(words, [translate(NAMES[measure]) for measure in MEASURES] if shown else [], parts)


def _named_reasons(catalogue: Catalogue, key: FigureKey, codes: Sequence[str], language: Language) -> dict[str, str]:
    """Each reason in words: a field that is empty, a row error, days late, what was found."""
    record_type, translate = catalogue.record_types[key.record_type], translator(language)
    verdicts = {one.value: one for one in catalogue.code_sets["verdict"].codes}
    known: dict[str, Any] = {**record_type.by_name, **catalogue.comparisons}
    if key.measure == "logic":
        known = dict(catalogue.row_errors)
    if key.measure == "accuracy":
        known |= verdicts
    if key.measure == "timeliness":
        return {code: translate(_LATE[code]) for code in codes}
    return {
        code: titled(known[code].title, known[code].title_en, language) if code in known else code for code in codes
    }


def _trend_charts(
    months: Sequence[str],
    of_months: Sequence[Sequence[Quality]],
    record_type: RecordType,
    catalogue: Catalogue,
    language: Language,
) -> list[tuple[str, Markup]]:
    """A chart a measure over the months, broken where nothing was counted, with its target."""
    translate = translator(language)
    title = titled(record_type.title, record_type.title_en, language)
    drawn = []
    for measure in MEASURES:
        figures = [next((one.figures.get(measure) for one in lines), None) for lines in of_months]
        values = [one.ratio * 100 if one is not None and one.ratio is not None else None for one in figures]
        name = translate(NAMES[measure])
        words = Words(
            name=measure, title=f"{title} {name}", heads=translate(N_("月份")), table=translate(N_("数据表")),
            empty=translate(N_("没有数据")),
        )  # fmt: skip
        target = Mark(value=catalogue.quality.target(measure) * 100, name=translate(N_("目标")))
        chart = line(words, months, [Series(name=name, values=values)], top=100.0, target=target, write=percent)
        drawn.append((name, chart))
    return drawn
