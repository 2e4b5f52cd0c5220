"""Persons who may be there twice: the list, the two side by side with what speaks for it, and the answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.desk_forms import FORM, Asking, Form, detail_of
from admin.language import N_, Language, titled
from admin.lists.answering import Door, Fetched, Source, answer_list, id_of, page_of
from admin.lists.asked import Asked, asked_of
from admin.lists.pairs import PAIRS
from admin.pages import go, show
from hub.database import Database
from hub.decisions.pairs import Verdict, judge_pair
from hub.errors import BadRequest, Conflict
from hub.people.pair_list import Fact, ReadPair, list_pairs, read_pair
from hub.people.purposes import NoPurpose, checked_purpose, oversees
from hub.refusals import note_refusal
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_RIGHT = {"right": Right.JUDGE_PERSON}
_NO_REASON = N_("请用 4 至 200 个字写明理由，不要写号码。")
_DONE = {
    "same": N_("已记为同一人，正在合并；可以在身份认定页撤回。"),
    "apart": N_("已记为不是同一人，不再提示。"),
    "unsure": N_("已记下暂不确定，这一对留在清单上。"),
}
PAIR_STATES = {"open": N_("待判断"), "same": N_("同一人"), "apart": N_("不是同一人"), "gone": N_("已不存在")}


class PairController(Controller):
    """/pairs and /pairs/{first}/{second}."""

    path = "/pairs"

    @get("/", opt=_RIGHT, sync_to_thread=True)
    def read_all(
        self,
        door: NamedDependency[Door],
        done: FromQuery[str] = "",
        person: FromQuery[UUID | None] = None,
    ) -> Response[Any]:
        asked = asked_of(PAIRS, door.query)
        return answer_list(door, asked, _source(door, asked), "pairs.html", notice=_DONE.get(done, ""), person=person)

    @get("/{first:uuid}/{second:uuid}", opt=_RIGHT, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        first: FromPath[UUID],
        second: FromPath[UUID],
        reason: FromQuery[str] = "",
    ) -> Response[str]:
        if oversees(request.user) and not reason:
            return show(request, "pair_reason.html", error="", reason="")
        try:
            checked_purpose(request.user, "verify", reason)
        except NoPurpose:
            return show(request, "pair_reason.html", status=422, error=_NO_REASON, reason=reason[:200])
        return _pair_page(request, database, catalogue, first, second, reason)

    @post("/{first:uuid}/{second:uuid}", opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def judge(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        first: FromPath[UUID],
        second: FromPath[UUID],
        form: Form,
    ) -> Response[Any]:
        verdict: Verdict = form.get("verdict", "")  # type: ignore[assignment]
        reason = form.get("reason", "")
        try:
            judge_pair(database, settings, request.user, first, second, verdict, reason, form.get("right", ""))
        except NoPurpose:
            return show(request, "pair_reason.html", status=422, error=_NO_REASON, reason=reason[:200])
        except (BadRequest, Conflict) as refused:
            page = _pair_page(request, database, catalogue, first, second, reason, refused)
            page.background = note_refusal(request, refused)
            return page
        person = f"&person={first}" if verdict == "same" else ""
        return go(request, f"/pairs?done={verdict}{person}")


def _source(door: Door, asked: Asked) -> Source:
    def rows(connection: Connection, after: str, size: int) -> Fetched:
        place = _both_of(after) if after else None
        found = list_pairs(connection, door.actor, door.catalogue, size + 1, sort=asked.order, after=place)
        return page_of(found, size, lambda one: f"{one.first}_{one.second}")

    return Source(rows=rows)


def _both_of(place: str) -> tuple[UUID, UUID]:
    first, _, second = place.partition("_")
    return id_of(first), id_of(second)


def _pair_page(
    request: Asking, database: Database, catalogue: Catalogue, first: UUID, second: UUID, reason: str,
    refused: BadRequest | Conflict | None = None,
) -> Response[str]:  # fmt: skip
    with database.begin(reach_of(request.user)) as connection:
        areas = load_area_index(connection)
        pair = read_pair(connection, request.user, catalogue, first, second, reason)
    pair = _in_words(pair, catalogue, areas, request.auth.language)
    error = detail_of(refused, request.auth) if refused else ""
    status = refused.status if refused else 200
    return show(request, "pair.html", status=status, pair=pair, reason=reason, error=error, states=PAIR_STATES)


def _in_words(pair: ReadPair, catalogue: Catalogue, areas: AreaIndex, language: Language) -> ReadPair:
    """Codes and areas by their titles; what is masked stays as it is."""
    attributes = {one.title: one for one in catalogue.attributes.values()}

    def worded(fact: Fact, value: str) -> str:
        attribute = attributes[fact.title]
        if attribute.type == "area" and value in areas.codes:
            return areas.name_of[areas.current(areas.codes[value])]
        known = catalogue.code_sets[attribute.code_set].codes if attribute.code_set else ()
        return next((titled(one.title, one.title_en, language) for one in known if one.value == value), value)

    facts = [
        msgspec.structs.replace(one, first=worded(one, one.first), second=worded(one, one.second)) for one in pair.facts
    ]
    return msgspec.structs.replace(pair, facts=facts)
