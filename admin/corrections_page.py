"""更正: which records changed after they were handed on, and whether everybody who had the old value knows."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Connection

from admin.desk_forms import Asking
from admin.language import N_
from admin.lists.answering import Door, Fetched, Source, answer_list
from admin.lists.asked import Asked, asked_of
from admin.lists.sharing import CAUSES, CORRECTIONS, OPERATIONS
from admin.pages import show
from hub.database import Database
from hub.errors import BadRequest
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.corrections_reading import Side, read_correction, read_corrections, side_of
from mappings.catalogue import Catalogue

_RIGHT = {"right": Right.READ_SHARING}
_A_LOOK = 50
IN_THE_SLICE = {"update": N_("更新"), "leave": N_("移出切片"), "enter": N_("进入切片")}
REACHED = {
    "waiting": N_("尚未下发"),
    "delivered": N_("已下发"),
    "fetched": N_("已取走"),
    "acknowledged": N_("已签收"),
    "exported": N_("已重新导出"),
    "stopped": N_("订阅已终止"),
}
_MARKS = {"disputed": N_("存疑标记"), "person": N_("所指人员")}
WORDS: dict[str, Any] = {
    "causes": CAUSES, "operations": OPERATIONS, "in_the_slice": IN_THE_SLICE, "reached": REACHED, "marks": _MARKS,
}  # fmt: skip


class CorrectionController(Controller):
    """/corrections."""

    path = "/corrections"

    @get("/", opt=_RIGHT, sync_to_thread=True)
    def read_all(self, door: NamedDependency[Door]) -> Response[Any]:
        first = {"side": side_of(door.actor, "")}
        asked = asked_of(CORRECTIONS, door.query, **first)
        return answer_list(door, asked, _source(door.actor, door.catalogue, asked), "corrections.html")

    @get("/{seq:int}", opt=_RIGHT, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        seq: FromPath[int],
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            known = {one.code: one for one in list_organisations(connection, settings.district)}
            one = read_correction(connection, request.user, catalogue, seq, purpose="correction/screen")
        record_type = catalogue.record_types[one.record_type]
        page: dict[str, Any] = {"one": one, "record_type": record_type, "organisations": known}
        return show(request, "correction.html", **page, **WORDS)


def _source(actor: Actor, catalogue: Catalogue, asked: Asked) -> Source:
    """A page is what one bounded look into the log found: it may be empty, and go on."""
    side: Side = side_of(actor, asked["side"])  # type: ignore[arg-type]

    def rows(connection: Connection, before: str, size: int) -> Fetched:
        purpose = "corrections/file" if asked.export else "corrections/screen"
        found = read_corrections(
            connection, actor, catalogue, purpose=purpose, side=side, before=_number(before),
            everything=bool(asked["everything"]), most=min(size, _A_LOOK),
        )  # fmt: skip
        return Fetched(rows=found.lines, more=str(found.before or ""))

    return Source(rows=rows, options=lambda connection, words: {} if side else {"side": []})


def _number(before: str) -> int | None:
    if before and not before.isdecimal():
        raise BadRequest("before")
    return int(before) if before else None
