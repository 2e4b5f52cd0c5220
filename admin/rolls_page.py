"""The town's rolls: send one, work off what differs by kind, village and field, take the differences along."""

from __future__ import annotations

from typing import Annotated, Any, cast
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import File

from admin.desk_forms import FORM, Asking, Form, detail_of
from admin.forms import UploadForm, upload_form
from admin.language import N_
from admin.pages import go, show
from hub.casework.roll_findings import KINDS
from hub.casework.roll_items import Chosen, Decision, count_items
from hub.casework.rolls import ROLL
from hub.database import Database, new_uuid
from hub.decisions.roll_deciding import Judgement, MuchShorter, decide, receipts_of
from hub.decisions.roll_export import export_differences, shown_items
from hub.decisions.rolls import EmptyRoll, compare_roll, list_rolls, upload_roll
from hub.errors import BadRequest, Conflict, FileRefused, HubError, TooLarge
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_READ, _WORK = {"right": Right.READ_CHANGE_LIST}, {"right": Right.SUBMIT}
_A_PAGE = 50
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_NO_FILE = N_("请选择名册文件。")
_TOO_LARGE = N_("文件超过允许的大小，请拆分后再上传。")
KIND_WORDS = {
    "missing_here": N_("漏登：名册有，登记没有"),
    "missing_there": N_("错登：登记有，名册没有"),
    "different": N_("信息不一致"),
    "duplicated": N_("重登：名册上重复"),
    "unreadable": N_("无法识别的行"),
}
REGISTERED = {
    "elsewhere": N_("区内他处已有登记"),
    "gone": N_("已登记迁出或死亡"),
    "nobody": N_("全区未登记"),
}
DECISION_WORDS = {"roll": N_("名册为准"), "register": N_("登记为准"), "ask": N_("入户再核")}
LEFT_WORDS = {"4": N_("错登：从未居住"), "2": N_("迁出")}
CHECK_WORDS = {
    "received": N_("待比对"), "compared": N_("已比对"), "refused": N_("未能读取"), "closed": N_("已结束"),
}  # fmt: skip

After = Annotated[int, QueryParameter(name="after", ge=0)]
OfState = Annotated[str, QueryParameter(name="state")]


class RollsController(Controller):
    """/rolls."""

    path = "/rolls"

    @get("/", opt=_READ, sync_to_thread=True)
    def read_all(self, request: Asking, database: NamedDependency[Database]) -> Response[str]:
        return _rolls_page(request, database)

    @post("/", opt=_WORK, dependencies={"form": Provide(upload_form)}, status_code=200, sync_to_thread=True)
    def send(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: NamedDependency[UploadForm],
    ) -> Response[Any]:
        if not form.file_name or not form.size:
            return _rolls_page(request, database, error=_NO_FILE)
        village, nobody = form.fields.get("village", ""), form.fields.get("nobody") == "on"
        try:
            with form.path.open("rb") as stream:
                check = upload_roll(
                    database, settings, catalogue, request.user, stream, form.file_name, village, sure_nobody=nobody
                )  # fmt: skip
        except (FileRefused, TooLarge, EmptyRoll, BadRequest) as refused:
            error = _said(refused, catalogue, request)
            return _rolls_page(request, database, error=error, empty=isinstance(refused, EmptyRoll), village=village)
        return go(request, f"/rolls/{check.roll_id}")

    @get("/{roll_id:uuid}", opt=_READ, sync_to_thread=True)
    def read_one(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        roll_id: FromPath[UUID],
        kind: FromQuery[str] = "",
        village: FromQuery[int | None] = None,
        field: FromQuery[str] = "",
        item_state: OfState = "open",
        after: After = 0,
    ) -> Response[str]:
        chosen = Chosen(kind=kind, village=village, field=field, state=item_state)
        return _roll_page(request, database, catalogue, roll_id, chosen, after)

    @post("/{roll_id:uuid}/compare", opt=_WORK, dependencies=FORM, status_code=200, sync_to_thread=True)
    def compare(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        roll_id: FromPath[UUID],
        form: Form,
    ) -> Response[Any]:
        nobody = form.get("nobody") == "on"
        compare_roll(database, settings, catalogue, request.user, roll_id, sure_nobody=nobody)
        return go(request, f"/rolls/{roll_id}")

    @post("/{roll_id:uuid}/decide", opt=_WORK, dependencies=FORM, status_code=200, sync_to_thread=True)
    def judge(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        roll_id: FromPath[UUID],
        form: Form,
    ) -> Response[Any]:
        chosen = _chosen(form)
        try:
            decide(database, settings, catalogue, request.user, roll_id, chosen, _judgement(form))
        except (BadRequest, Conflict) as refused:
            error, sure = detail_of(refused, request.auth), isinstance(refused, MuchShorter)
            return _roll_page(request, database, catalogue, roll_id, chosen, 0, error=error, sure=sure, said=form)
        return go(request, f"/rolls/{roll_id}")

    @get("/{roll_id:uuid}/differences.xlsx", opt=_READ, sync_to_thread=True)
    def take(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        roll_id: FromPath[UUID],
    ) -> File:
        path = settings.files / "tmp" / f"roll-{new_uuid()}"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        language = request.auth.language
        name = export_differences(database, settings, catalogue, request.user, roll_id, path, language=language)
        return File(path, filename=name, media_type=_XLSX, background=BackgroundTask(path.unlink, missing_ok=True))


def _chosen(form: dict[str, str]) -> Chosen:
    """The ticked lines; without a tick all open ones of the filter, if that was said."""
    ticked = tuple(int(name[5:]) for name in form if name.startswith("item-") and name[5:].isdecimal())
    if form.get("all") != "on":
        return Chosen(items=ticked, state="open")
    village = form.get("village", "")
    return Chosen(
        kind=form.get("kind", ""), village=int(village) if village.isdecimal() else None, field=form.get("field", ""),
        state="open",
    )  # fmt: skip


def _judgement(form: dict[str, str]) -> Judgement:
    return Judgement(
        decision=cast(Decision, form.get("decision", "")), reason=form.get("reason", ""),
        left_as=form.get("left_as", ""), sure=form.get("sure") == "on",
    )  # fmt: skip


def _said(refused: HubError, catalogue: Catalogue, request: Asking) -> str:
    """A file's own reason, else what the error says."""
    kind = catalogue.row_errors.get(str(refused.facts.get("code", "")))
    if kind is not None:
        return kind.title_en if request.auth.language == "en" else kind.title
    return _TOO_LARGE if isinstance(refused, TooLarge) else detail_of(refused, request.auth)


def _rolls_page(
    request: Asking, database: Database, *, error: str = "", empty: bool = False, village: str = ""
) -> Response[str]:
    with database.begin(reach_of(request.user)) as connection:
        checks, areas = list_rolls(connection, request.user), load_area_index(connection)
    return show(
        request, "rolls.html", status=422 if error else 200, checks=checks, error=error, empty=empty, village=village,
        villages=_villages(areas, request.user), check_words=CHECK_WORDS,
    )  # fmt: skip


def _villages(areas: AreaIndex, actor: Actor) -> list[tuple[int, str, str]]:
    own = areas.expand(actor.area_id) if actor.area_id is not None else ()
    return [(one, areas.code_of[one], areas.name_of[one]) for one in own if areas.kind[one] == "village"]


def _roll_page(
    request: Asking, database: Database, catalogue: Catalogue, roll_id: UUID, chosen: Chosen, after: int, *,
    error: str = "", sure: bool = False, said: dict[str, str] | None = None,
) -> Response[str]:  # fmt: skip
    english = request.auth.language == "en"
    check, items = shown_items(database, catalogue, request.user, roll_id, chosen, after, _A_PAGE + 1, english=english)
    with database.begin(reach_of(request.user)) as connection:
        counts, areas = count_items(connection, request.user, roll_id), load_area_index(connection)
        receipts = receipts_of(connection, request.user, roll_id)
    page: dict[str, Any] = {
        "check": check, "items": items[:_A_PAGE], "more": items[_A_PAGE - 1].item_no if len(items) > _A_PAGE else None,
        "counts": counts, "receipts": receipts, "villages": _villages(areas, request.user), "said": said or {},
        "chosen": {"kind": chosen.kind, "village": chosen.village or "", "field": chosen.field, "state": chosen.state},
    }  # fmt: skip
    words: dict[str, Any] = {
        "kinds": KINDS, "kind_words": KIND_WORDS, "registered": REGISTERED, "decision_words": DECISION_WORDS,
        "left_words": LEFT_WORDS, "check_words": CHECK_WORDS, "record_types": catalogue.record_types,
        "fields": catalogue.record_types[ROLL].plain_fields,
    }  # fmt: skip
    answer = show(request, "roll.html", status=422 if error else 200, error=error, sure=sure, **page, **words)
    answer.headers["Cache-Control"] = "no-store"
    return answer
