"""The standing comparisons' worked list: what is open by check, one item with both sides, closing it, opening it again."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy import Connection

from admin.desk_forms import FORM, Asking, Form
from admin.language import N_, Language, titled, translator
from admin.lists.answering import Door, Fetched, Source, answer_list, id_of, page_of
from admin.lists.asked import Asked, asked_of
from admin.lists.comparisons import COMPARISONS, ITEM_STATES, comparison_options
from admin.pages import go, show
from hub.database import Database
from hub.exchange.workbooks.error_list import as_text
from hub.people.comparison_list import (
    BadEvidence,
    ListedItem,
    Place,
    State,
    Wanted,
    close_item,
    count_items,
    list_items,
    place_of,
    read_item,
    reopen_item,
)
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from mappings.catalogue import Catalogue

_RIGHT = {"right": Right.WORK_COMPARISON}
_PURPOSE_LIST, _PURPOSE_FILE, _PURPOSE_ITEM = "comparisons/screen", "comparisons/file", "comparison/screen"
_A_FILE = 5_000
_HEADERS = (N_("比对项目"), N_("姓名"), N_("公民身份号码"), N_("负责单位"), N_("发现时间"), N_("状态"), N_("次数"))
_BAD_EVIDENCE = N_("请用 4 至 500 个字写明核实依据，并选择处理结果。")
OUTCOMES = {
    "corrected": N_("已更正"),
    "explained": N_("情况属实，无须更正"),
    "not_ours": N_("须由其他单位处理"),
}
_DONE = {"closed": N_("已办结。数据不变就不会再提示。"), "reopened": N_("已重新打开。")}

OfState = Annotated[State, QueryParameter(name="state")]
Days = Annotated[int, QueryParameter(name="days", ge=0, le=3660)]


class ComparisonController(Controller):
    """/comparisons."""

    path = "/comparisons"

    @get("/", opt=_RIGHT, sync_to_thread=True)
    def read_all(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(COMPARISONS, door.query)
        source = _source(door.actor, door.catalogue, asked)
        return answer_list(door, asked, source, "comparisons.html", checks=door.catalogue.comparisons)

    @get("/list.csv", opt=_RIGHT, sync_to_thread=True)
    def download(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        check: FromQuery[str] = "",
        item_state: OfState = "open",
        days: Days = 0,
    ) -> Response[bytes]:
        wanted = Wanted(check=check, state=item_state, older_than_days=days)
        with database.begin(reach_of(request.user)) as connection:
            found = list_items(connection, request.user, catalogue, wanted, purpose=_PURPOSE_FILE, limit=_A_FILE)
        named = {"Content-Disposition": 'attachment; filename="comparisons.csv"', "Cache-Control": "no-store"}
        return Response(
            _as_file(catalogue, found, request.auth.language), media_type="text/csv; charset=utf-8", headers=named
        )

    @get("/{item_id:uuid}", opt=_RIGHT, sync_to_thread=True)
    def read(
        self,
        door: NamedDependency[Door],
        item_id: FromPath[UUID],
        done: FromQuery[str] = "",
    ) -> Response[str]:
        return _show_item(door, item_id, notice=_DONE.get(done, ""))

    @post("/{item_id:uuid}/close", opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def close(
        self,
        door: NamedDependency[Door],
        form: Form,
        item_id: FromPath[UUID],
    ) -> Response[Any]:
        said, outcome = form.get("evidence", ""), form.get("outcome", "")
        try:
            with door.database.begin(reach_of(door.actor)) as connection:
                close_item(connection, door.actor, item_id, said, outcome)
        except BadEvidence:
            return _show_item(door, item_id, status=422, said=said, outcome=outcome)
        return go(door.request, f"/comparisons/{item_id}?done=closed")

    @post("/{item_id:uuid}/reopen", opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def reopen(
        self,
        door: NamedDependency[Door],
        form: Form,
        item_id: FromPath[UUID],
    ) -> Response[Any]:
        said = form.get("evidence", "")
        try:
            with door.database.begin(reach_of(door.actor)) as connection:
                reopen_item(connection, door.actor, item_id, said)
        except BadEvidence:
            return _show_item(door, item_id, status=422, said=said)
        return go(door.request, f"/comparisons/{item_id}?done=reopened")


def _source(actor: Actor, catalogue: Catalogue, asked: Asked) -> Source:
    """The page and the file say each what they are for."""
    purpose = _PURPOSE_FILE if asked.export else _PURPOSE_LIST
    wanted = Wanted(
        check=asked["check"],
        state=asked["state"],  # type: ignore[arg-type]
        older_than_days=int(asked["days"] or 0),
        sort=asked.order,
    )

    def rows(connection: Connection, before: str, size: int) -> Fetched:
        place: Place | None = place_of(connection, actor, wanted, id_of(before)) if before else None
        found = list_items(connection, actor, catalogue, wanted, purpose=purpose, before=place, limit=size + 1)
        return page_of(found, size, lambda one: str(one.item_id))

    return Source(
        rows=rows,
        options=lambda connection, words: comparison_options(words.beside["counts"], words),
        beside=lambda connection: {"counts": count_items(connection, actor)},
    )


def _as_file(catalogue: Catalogue, found: list[ListedItem], language: Language) -> bytes:
    """As on the page, masked as there; no cell is a formula."""
    translate, text = translator(language), StringIO("\ufeff")
    text.seek(0, 2)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(translate(header) for header in _HEADERS)
    for one in found:
        check = catalogue.comparisons.get(one.check)
        title = titled(check.title, check.title_en, language) if check else one.check
        state, day = translate(ITEM_STATES[one.state]), f"{one.opened_at:%Y-%m-%d}"
        cells = (title, one.name, one.identifier, one.organisation, day, state, str(one.times))
        writer.writerow(map(as_text, cells))
    return text.getvalue().encode()


def _show_item(
    door: Door,
    item_id: UUID,
    *,
    status: int = 200,
    said: str = "",
    outcome: str = "",
    notice: str = "",
) -> Response[str]:
    with door.database.begin(reach_of(door.actor)) as connection:
        item = read_item(connection, door.actor, door.catalogue, item_id, purpose=_PURPOSE_ITEM)
        known = {one.code: one for one in list_organisations(connection, door.settings.district)}
    closed_as, _, evidence = item.evidence.partition(": ")
    if closed_as not in OUTCOMES:
        closed_as, evidence = "", item.evidence
    answer = show(
        door.request, "comparison.html", status=status, item=item, record_types=door.catalogue.record_types, organisations=known,
        states=ITEM_STATES, outcomes=OUTCOMES, said=said, outcome=outcome, notice=notice,
        closed_as=closed_as, evidence=evidence,
        error=_BAD_EVIDENCE if status != 200 else "",
    )  # fmt: skip
    answer.headers["Cache-Control"] = "no-store"
    return answer
