"""更正: which records changed after they were handed on, and whether everybody who had the old value knows."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from admin.desk_forms import Asking
from admin.language import N_
from admin.pages import show
from hub.database import Database
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.corrections_reading import Side, read_correction, read_corrections, side_of
from mappings.catalogue import Catalogue

_RIGHT = {"right": Right.READ_SHARING}
CAUSES = {
    "mark": N_("存疑标记"),
    "challenge": N_("经校核更正"),
    "identity": N_("身份号码更正"),
    "value": N_("内容更正"),
    "withdrawn": N_("作废或恢复"),
    "other": N_("内容更新"),
}
OPERATIONS = {
    "update": N_("更正"),
    "void": N_("作废"),
    "restore": N_("恢复"),
    "relink": N_("号码更正"),
    "dispute": N_("标为存疑"),
    "settle": N_("解除存疑"),
}
IN_THE_SLICE = {"update": N_("更新"), "leave": N_("移出切片"), "enter": N_("进入切片")}
REACHED = {
    "waiting": N_("尚未下发"),
    "delivered": N_("已下发"),
    "fetched": N_("已取走"),
    "acknowledged": N_("已签收"),
    "exported": N_("已重新导出"),
    "stopped": N_("订阅已终止"),
}
SIDES = {"receiver": N_("须由我签收"), "source": N_("本单位的记录")}
_MARKS = {"disputed": N_("存疑标记"), "person": N_("所指人员")}
WORDS: dict[str, Any] = {
    "causes": CAUSES, "operations": OPERATIONS, "in_the_slice": IN_THE_SLICE, "reached": REACHED, "marks": _MARKS,
}  # fmt: skip


class CorrectionController(Controller):
    """/corrections."""

    path = "/corrections"

    @get("/", opt=_RIGHT, sync_to_thread=True)
    def read_all(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        side: FromQuery[Side] = "",
        everything: FromQuery[bool] = False,
        before: FromQuery[int | None] = None,
    ) -> Response[str]:
        actor = request.user
        with database.begin(reach_of(actor)) as connection:
            found = read_corrections(
                connection,
                actor,
                catalogue,
                purpose="corrections/screen",
                side=side,
                before=before,
                everything=everything,
            )
        chosen = {"side": side_of(actor, side), "everything": "true" if everything else ""}
        page: dict[str, Any] = {"found": found, "types": catalogue.record_types, "chosen": chosen, "sides": SIDES}
        return show(request, "corrections.html", **page, **WORDS)

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
