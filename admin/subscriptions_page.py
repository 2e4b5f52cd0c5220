"""订阅: what each slice has waiting, one slice with its terms and deliveries, and files to take along."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from litestar import Controller, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import File
from sqlalchemy import Connection

from admin.desk_forms import FORM, Asking, Form, detail_of
from admin.language import N_
from admin.licence_conditions import told_values
from admin.lists.answering import Door, Fetched, Source, answer_list
from admin.lists.asked import Asked, asked_of
from admin.lists.declared import Words, named_options
from admin.lists.sharing import STATE_WORDS, SUBSCRIPTIONS
from admin.lists.shown import Options
from admin.pages import go, show
from hub.database import Database, new_uuid
from hub.errors import BadRequest, Conflict, TooLarge
from hub.exchange.redelivery import load_own
from hub.exchange.slices import current_epoch
from hub.keyring import Keyring
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition
from hub.settings import Settings
from hub.sharing.backlog import Backlog, list_backlogs
from hub.sharing.export_list import acknowledge_export
from hub.sharing.export_workbook import FORMS
from hub.sharing.exports import Wish, make_export
from hub.sharing.subscription_view import view_subscription
from mappings.catalogue import Catalogue

_READ, _TAKE = {"right": Right.READ_SHARING}, {"right": Right.PULL_SLICE}
_A_PAGE = 20
_MEDIA = {"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
Before = Annotated[int | None, QueryParameter(ge=1)]
MODE_WORDS = {"interface": N_("服务接口"), "exchange": N_("批量交换"), "download": N_("文件下载")}
KIND_WORDS = {"page": N_("变动"), "snapshot": N_("全量")}
FORM_WORDS = {"xlsx": N_("工作簿（xlsx）"), "csv": N_("表格（CSV）"), "ndjson": N_("数据行（NDJSON）")}
EVENT_WORDS = {
    "approved": N_("批准"), "changed": N_("变更"), "renewed": N_("续期"), "suspended": N_("暂停"), "resumed": N_("恢复"),
    "ended": N_("终止"), "lapsed": N_("到期"),
}  # fmt: skip
OP_WORDS = {
    "in": N_("是"), "not_in": N_("不是"), "empty": N_("为空"), "not_empty": N_("不为空"), "from": N_("不早于或不小于"),
    "to": N_("不晚于或不大于"),
}  # fmt: skip
_BAD_NUMBERS = "下发编号请填整数。 Delivery numbers are whole numbers."


class SubscriptionsController(Controller):
    """/subscriptions."""

    path = "/subscriptions"

    @get("/", opt=_READ, sync_to_thread=True)
    def read_all(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(SUBSCRIPTIONS, door.query)
        return answer_list(door, asked, _source(door.actor, door.catalogue, asked), "subscriptions.html")

    @get("/{code:str}", opt=_READ, sync_to_thread=True)
    def read_one(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        code: FromPath[str],
        before: Before = None,
    ) -> Response[str]:
        return _show_subscription(request, database, settings, catalogue, code, before=before)

    @post("/{code:str}/exports", opt=_TAKE, dependencies=FORM, status_code=200, sync_to_thread=True)
    def take(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        keyring: NamedDependency[Keyring],
        code: FromPath[str],
        form: Form,
    ) -> Response[Any]:
        path = settings.files / "tmp" / f"export-{new_uuid()}"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        away = BackgroundTask(path.unlink, missing_ok=True)
        try:
            taken = make_export(database, settings, catalogue, keyring, request.user, code, _wish_of(form), path)
        except (BadRequest, Conflict, TooLarge) as refused:
            path.unlink(missing_ok=True)
            error = detail_of(refused, request.auth)
            return _show_subscription(request, database, settings, catalogue, code, error=error, said=form)
        media_type = _MEDIA.get(taken.export.form, "application/zip")
        return File(path, filename=taken.file_name, media_type=media_type, background=away)

    @post(
        "/{code:str}/exports/{export_no:str}/acknowledge", opt=_TAKE, dependencies=FORM, status_code=200,
        sync_to_thread=True,
    )  # fmt: skip
    def acknowledge(
        self, request: Asking, database: NamedDependency[Database], code: FromPath[str], export_no: FromPath[str],
        form: Form,
    ) -> Response[Any]:  # fmt: skip
        with database.begin(reach_of(request.user)) as connection:
            own = load_own(connection, request.user, code)
            acknowledge_export(connection, request.user, own, current_epoch(connection, own), export_no)
        return go(request, f"/subscriptions/{code}")


def _source(actor: Actor, catalogue: Catalogue, asked: Asked) -> Source:
    """All of them at once, one's own first: there are as many as there are agreements."""

    def rows(connection: Connection, after: str, size: int) -> Fetched:
        found = sorted(
            list_backlogs(connection, actor, catalogue), key=lambda one: one.organisation != actor.organisation
        )
        return Fetched(rows=[one for one in found if _fits(one, asked)])

    def options(connection: Connection, words: Words) -> Options:
        units = {one.organisation for one in list_backlogs(connection, actor, catalogue)}
        return {
            "organisation": named_options(sorted(units), words.organisation) if units - {actor.organisation} else []
        }

    return Source(rows=rows, options=options)


def _fits(one: Backlog, asked: Asked) -> bool:
    waits = bool(one.unfetched or one.unacknowledged)
    return (
        asked["state"] in ("", one.state)
        and asked["organisation"] in ("", one.organisation)
        and (waits or not asked["waiting"])
    )


def _wish_of(form: dict[str, str]) -> Wish:
    wanted, file_form, area = form.get("wanted", "whole"), form.get("form", "xlsx"), form.get("area", "")
    if file_form not in FORMS:
        raise BadRequest(file_form[:20])
    return Wish(
        form=file_form, whole=wanted == "whole",
        record_types=tuple(sorted(name[5:] for name in form if name.startswith("type-"))),
        areas=(int(area),) if area.isdecimal() else (),
        from_delivery_no=_number(form, "first") if wanted == "numbers" else None,
        to_delivery_no=_number(form, "last") if wanted == "numbers" else None,
    )  # fmt: skip


def _number(form: dict[str, str], name: str) -> int:
    typed = form.get(name, "").strip()
    if not typed.isdecimal() or len(typed) > 18:
        raise BadRequest(_BAD_NUMBERS)
    return int(typed)


def _show_subscription(
    request: Asking, database: Database, settings: Settings, catalogue: Catalogue, code: str, *,
    before: int | None = None, error: str = "", said: dict[str, str] | None = None,
) -> Response[str]:  # fmt: skip
    with database.begin(reach_of(request.user)) as connection:
        view = view_subscription(connection, request.user, catalogue, code, before=before, limit=_A_PAGE)
        areas, known = load_area_index(connection), list_organisations(connection, settings.district)
    page: dict[str, Any] = {
        "view": view, "one": view.subscription, "own": _may_take(request.user, view.subscription.organisation),
        "organisations": {each.code: each for each in known}, "areas": areas, "record_types": catalogue.record_types,
        "choices": _area_choices(view.subscription.definition, areas), "error": error, "said": said or {},
        "deliveries": view.deliveries[:_A_PAGE], "most": settings.sharing.export_rows,
        "more": view.deliveries[_A_PAGE - 1].page_no if len(view.deliveries) > _A_PAGE else None,
    }  # fmt: skip
    words: dict[str, Any] = {
        "states": STATE_WORDS, "modes": MODE_WORDS, "kinds": KIND_WORDS, "forms": FORM_WORDS, "events": EVENT_WORDS,
        "ops": OP_WORDS,
        "told": partial(told_values, catalogue=catalogue, areas=areas, language=request.auth.language),
    }  # fmt: skip
    return show(request, "subscription.html", status=422 if error else 200, **page, **words)


def _may_take(actor: Actor, organisation: str) -> bool:
    return actor.organisation == organisation and actor.may(Right.PULL_SLICE)


def _area_choices(definition: SliceDefinition, areas: AreaIndex) -> list[tuple[int, str]]:
    """Parts of the slice's own area that may be chosen: of the whole district its towns."""
    if definition.areas is None:
        chosen = [each for each, kind in areas.kind.items() if kind == "town"]
    else:
        chosen = sorted({each for one in definition.areas for each in areas.expand(one)})
    return [(each, areas.name_of[each]) for each in chosen if each in areas.name_of]
