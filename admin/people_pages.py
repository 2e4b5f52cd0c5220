"""Finding a person, and the timeline of one: asked for with a purpose, masked, noted each time."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.desk_forms import FORM, Asking, Choice, Form, choices_of, detail_of
from admin.language import N_
from admin.pages import show
from admin.uploads import today_of
from hub.database import Database
from hub.errors import BadRequest, HubError, NotAllowed
from hub.people.purposes import NoPurpose, Purpose, checked_purpose, oversees
from hub.people.search import (
    Found,
    NotOwnArea,
    NumberNeeded,
    TooLittleAsked,
    TooManySearches,
    area_named,
    find_people,
)
from hub.people.timeline import read_timeline
from hub.refusals import note_refusal
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of, scope_for
from hub.settings import Settings
from mappings.catalogue import Catalogue

PURPOSES = {
    "verify": N_("核对信息"),
    "service": N_("办理事项"),
    "correction": N_("更正信息"),
    "inquiry": N_("单位协查"),
    "other": N_("其他（须写明）"),
}
RELATIONS = {
    "mother": N_("母亲"),
    "father": N_("父亲"),
    "child": N_("子女"),
    "spouse": N_("配偶"),
    "former_spouse": N_("前配偶"),
    "household": N_("同户"),
}
STANDINGS = {"standing": N_("有效"), "corrected": N_("有效，更正过"), "voided": N_("已作废")}
CLAIMS = {"entitlement": N_("权益"), "obligation": N_("义务")}
_NO_PURPOSE = N_("请选择查阅目的；选“其他”或在区局查阅时，请用 4 至 200 个字写明理由，不要写号码。")
_SENTENCES: dict[type[HubError], str] = {
    NoPurpose: _NO_PURPOSE,
    TooLittleAsked: N_("请填写完整身份号码，或至少两个字的姓名并加上区划或出生日期。"),
    NumberNeeded: N_("部门只能凭完整身份号码查找，可同时填写姓名核对。"),
    NotOwnArea: N_("只能查找本辖区的人员。"),
    TooManySearches: N_("今天的查找次数已用完，请明天再试或联系区信息中心。"),
}
_RIGHT = {"right": Right.READ_PERSON}
_FIELDS = ("name", "area", "birth_date", "id_no", "purpose", "reason")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The search form as it was filled in."""

    name: str = ""
    area: str = ""
    birth_date: str = ""
    id_no: str = ""
    purpose: str = ""
    reason: str = ""


class PeopleController(Controller):
    """/people and /people/{person_id}."""

    path = "/people"

    @get("/", opt=_RIGHT, sync_to_thread=True)
    def ask(self, request: Asking, database: NamedDependency[Database]) -> Response[str]:
        return _search_page(request, database, Wanted(), None)

    @post("/", opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def find(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
    ) -> Response[str]:
        wanted = Wanted(**{name: form.get(name, "")[:200] for name in _FIELDS})
        try:
            found = _find(database, settings, catalogue, request.user, wanted)
        except (BadRequest, NotAllowed, TooManySearches) as refused:
            return _search_page(request, database, wanted, None, refused)
        return _search_page(request, database, wanted, found)

    @get("/{person_id:uuid}", opt=_RIGHT, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        person_id: FromPath[UUID],
        purpose: FromQuery[str] = "",
        reason: FromQuery[str] = "",
    ) -> Response[str]:
        if not purpose:
            return _purpose_page(request)
        try:
            said = checked_purpose(request.user, purpose, reason)
        except NoPurpose:
            return _purpose_page(request, purpose, reason, _NO_PURPOSE)
        return _timeline_page(request, database, settings, catalogue, person_id, said)


def _find(database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, wanted: Wanted) -> Found:
    purpose = checked_purpose(actor, wanted.purpose, wanted.reason)
    with database.begin(reach_of(actor)) as connection:
        areas = load_area_index(connection)
        return find_people(
            connection, actor, catalogue, areas,
            name=wanted.name, area=area_named(areas, wanted.area), birth_date=_day(wanted.birth_date), id_no=wanted.id_no,
            purpose=purpose, a_day=settings.people.searches_a_day, today=today_of(settings),
        )  # fmt: skip


def _day(written: str) -> date | None:
    try:
        return date.fromisoformat(written) if written else None
    except ValueError:
        raise BadRequest("出生日期应为 YYYY-MM-DD。 A birth date is YYYY-MM-DD.") from None


# ---- the pages ----


def _search_page(
    request: Asking, database: Database, wanted: Wanted, found: Found | None, refused: HubError | None = None
) -> Response[str]:
    """Form and answers; what was asked for goes in the body, never in an address."""
    error = (_SENTENCES.get(type(refused)) or detail_of(refused, request.auth)) if refused else ""
    with database.begin(reach_of(request.user)) as connection:
        places = _places(connection, request.user)
    answer = show(
        request, "people.html", status=refused.status if refused else 200, wanted=wanted, found=found, error=error,
        places=places, purposes=choices_of(PURPOSES, request.auth), must_explain=oversees(request.user),
    )  # fmt: skip
    if refused:
        answer.background = note_refusal(request, refused)
    return answer


def _places(connection: Connection, actor: Actor) -> list[Choice]:
    """Towns and villages by name that may be searched; none for a department, which searches by number."""
    areas = load_area_index(connection)
    if oversees(actor):
        own = tuple(area_id for area_id, kind in areas.kind.items() if kind != "district")
    else:
        own = scope_for(actor, areas).own_areas
    named = [(areas.code_of[each], _full_name(areas, each)) for each in own]
    return [Choice(code, name) for code, name in sorted(named)]


def _full_name(areas: AreaIndex, area_id: int) -> str:
    town = areas.town_of.get(area_id, area_id)
    names = dict.fromkeys((areas.name_of[town], areas.name_of[area_id]))
    return " ".join(names)


def _purpose_page(request: Asking, purpose: str = "", reason: str = "", error: str = "") -> Response[str]:
    """The same for every id: whether there is such a person is not said before it is noted who asks."""
    return show(
        request, "person_purpose.html", status=422 if error else 200, chosen=purpose[:20], reason=reason[:200],
        error=error, purposes=choices_of(PURPOSES, request.auth), must_explain=oversees(request.user),
    )  # fmt: skip


def _timeline_page(
    request: Asking, database: Database, settings: Settings, catalogue: Catalogue, person_id: UUID, purpose: Purpose
) -> Response[str]:
    with database.begin(reach_of(request.user)) as connection:
        areas = load_area_index(connection)
        told = read_timeline(connection, request.user, catalogue, areas, person_id, purpose)
        known = {one.code: one for one in list_organisations(connection, settings.district)}
    page: dict[str, Any] = {"told": told, "purpose": purpose, "organisations": known}
    return show(
        request, "person.html", **page, purposes=PURPOSES, relations=RELATIONS, standings=STANDINGS, claims=CLAIMS,
        sections={section.code: section for section in catalogue.timeline.sections},
        record_types=catalogue.record_types,
    )  # fmt: skip
