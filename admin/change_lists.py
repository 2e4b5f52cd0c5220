"""The town's change list of a month: to read, to print, to take along as a workbook."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from sqlalchemy import Connection

from admin.language import N_, Language, titled, translator
from admin.pages import show
from admin.uploads import recent_months, today_of
from admin.visits import Visit
from admin.words import CHANGES
from hub.database import Database, utc_now
from hub.exchange.change_list import ListedChange, Month, find_month, list_changes
from hub.exchange.change_list_workbook import Wording, write_workbook
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.organisations import Organisation, list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of, scope_for
from hub.settings import Settings
from mappings.catalogue import Catalogue

_CHANGES_A_PAGE = 100
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_TITLE = N_("{unit}{village}{month}人口变动清单")
_FOOTER = N_("填表人：______________    审核人：______________    日期：______________")
_WATERMARK = N_("{unit} {account} 于 {time} 下载，仅用于月度核对，请妥善保管，用后销毁")
_HEADERS = (
    N_("序号"),
    N_("村居"),
    N_("姓名"),
    N_("身份号码"),
    N_("信息类别"),
    N_("发生日期"),
    N_("变动"),
    N_("来源部门"),
    N_("核对结果"),
    N_("备注"),
)
_PURPOSE_SCREEN, _PURPOSE_FILE = "monthly-check/screen", "monthly-check/workbook"

Asking = Request[Actor, Visit, Any]
Before = Annotated[int | None, QueryParameter(name="before", ge=1)]


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A list with what its lines refer to."""

    month: Month
    changes: Sequence[ListedChange]
    villages: dict[str, str]  # code -> name, of those it may be narrowed to
    village: str  # code of the one it is of, or ""
    unit: Organisation
    organisations: dict[str, Organisation]


class ChangeListController(Controller):
    """/changes and /changes.xlsx."""

    @get("/changes", opt={"right": Right.READ_CHANGE_LIST}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromQuery[str] = "",
        village: FromQuery[str] = "",
        before: Before = None,
    ) -> Response[str]:
        months = recent_months(today_of(settings))
        with database.begin(reach_of(request.user)) as connection:
            listed = _read(
                connection, catalogue, settings, request.user, month or months[0], village,
                before=before, limit=_CHANGES_A_PAGE + 1, purpose=_PURPOSE_SCREEN,
            )  # fmt: skip
        shown = listed.changes[:_CHANGES_A_PAGE]
        more = shown[-1].seq if len(listed.changes) > _CHANGES_A_PAGE else None
        page: dict[str, Any] = {"listed": listed, "shown": shown, "more": more, "months": months, "before": before}
        return show(request, "change_list.html", record_types=catalogue.record_types, changes=CHANGES, **page)

    @get("/changes.xlsx", opt={"right": Right.READ_CHANGE_LIST}, sync_to_thread=True)
    def download(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromQuery[str],
        village: FromQuery[str] = "",
    ) -> Response[bytes]:
        with database.begin(reach_of(request.user)) as connection:
            listed = _read(connection, catalogue, settings, request.user, month, village, purpose=_PURPOSE_FILE)
        words = _wording(listed, request.user, catalogue, request.auth.language, utc_now(), settings)
        return _as_download(listed, words)


def _read(
    connection: Connection,
    catalogue: Catalogue,
    settings: Settings,
    actor: Actor,
    month: str,
    village: str,
    *,
    before: int | None = None,
    limit: int | None = None,
    purpose: str,
) -> Read:
    areas: AreaIndex = load_area_index(connection)
    place = find_month(connection, month, settings.time_zone)
    scope = scope_for(actor, areas)
    changes = list_changes(
        connection, catalogue, scope, areas, place,
        village=areas.codes.get(village, -1) if village else None, before=before, limit=limit, purpose=purpose,
    )  # fmt: skip
    known = {one.code: one for one in list_organisations(connection, settings.district)}
    return Read(
        month=place,
        changes=changes,
        villages=_villages(areas, scope.own_areas),
        village=village,
        unit=known[actor.organisation],
        organisations=known,
    )


def _villages(areas: AreaIndex, own: Sequence[int]) -> dict[str, str]:
    """Nothing to choose from where the account is of one village."""
    codes = sorted(areas.code_of[one] for one in own if one in areas.code_of and areas.kind.get(one) == "village")
    return {code: areas.name_of[areas.codes[code]] for code in codes} if len(codes) > 1 else {}


def _wording(
    listed: Read, actor: Actor, catalogue: Catalogue, language: Language, now: datetime, settings: Settings
) -> Wording:
    translate = translator(language)
    unit = titled(listed.unit.name, listed.unit.name_en, language)
    time = now.astimezone(ZoneInfo(settings.time_zone)).strftime("%Y-%m-%d %H:%M")
    return Wording(
        title=translate(_TITLE).format(
            unit=unit, village=_village_title(listed, language), month=_month_title(listed.month.name, language)
        ),
        headers=[translate(header) for header in _HEADERS],
        footer=translate(_FOOTER),
        watermark=translate(_WATERMARK).format(unit=unit, account=actor.name, time=time),
        record_type=lambda code: _type_title(catalogue, code, language),
        change=lambda kind: translate(CHANGES[kind]),
        organisation=lambda code: _unit_title(listed.organisations, code, language),
    )


def _village_title(listed: Read, language: Language) -> str:
    name = listed.villages.get(listed.village, "")
    return f" {name}" if name and language == "en" else name


def _month_title(month: str, language: Language) -> str:
    year, number = month.split("-")
    return f" {month} " if language == "en" else f"{year}年{int(number)}月"


def _type_title(catalogue: Catalogue, code: str, language: Language) -> str:
    record_type = catalogue.record_types[code]
    return titled(record_type.title, record_type.title_en, language)


def _unit_title(known: dict[str, Organisation], code: str, language: Language) -> str:
    return titled(known[code].name, known[code].name_en, language) if code in known else code


def _as_download(listed: Read, words: Wording) -> Response[bytes]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "changes.xlsx"
        write_workbook(path, listed.changes, words, utc_now())
        content = path.read_bytes()
    name = f"changes-{listed.village or listed.unit.code}-{listed.month.name}.xlsx"
    named = f"attachment; filename=\"{name}\"; filename*=UTF-8''{quote(words.title + '.xlsx')}"
    return Response(content, media_type=_XLSX, headers={"Content-Disposition": named})
