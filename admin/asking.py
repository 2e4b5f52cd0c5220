"""Asking for what a second person must confirm: one form an act, its fields by who asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from sqlalchemy import Connection

from admin.access_words import ACTS, KINDS, RIGHTS
from admin.desk_forms import (
    FORM,
    Asking,
    Choice,
    Field,
    Form,
    FormPage,
    choices_of,
    gaps,
    last_day,
    listed,
    show_form,
    show_refused,
    typed,
)
from admin.language import N_, titled
from admin.pages import go
from admin.visits import Visit
from admin.words import ROLES
from hub.database import Database
from hub.errors import BadRequest, Conflict, NotFound
from hub.registry import requests
from hub.registry.accounts import ROLE_KINDS
from hub.registry.areas import load_area_index
from hub.registry.machine_identity import rights_a_key_may_have
from hub.registry.organisations import list_organisations, load_organisation
from hub.registry.permissions import Actor, Right
from hub.settings import Settings

_REASON = Field(name="reason", title=N_("申请理由"), hint=N_("例如“新到岗”；不要写号码。"), kind="lines", longest=500)
_LOGIN = Field(name="login", title=N_("登录名"), hint=N_("文字、数字或 . _ - @，不含空格。"), longest=64)
_KNOWN = Field(name="login", title=N_("登录名"), hint=N_("须是已有的账号。"), longest=64)
_NAME = Field(name="name", title=N_("姓名"), longest=100)


class Desk(NamedTuple):
    """Who asks, and what their form's choices are read from."""

    connection: Connection
    actor: Actor
    visit: Visit
    settings: Settings


class Ask(NamedTuple):
    """One act's form: what it says, what it asks, and what request is made of the answers (object, content)."""

    lead: str
    fields: Callable[[Desk], list[Field]]
    request: Callable[[Desk, dict[str, str]], tuple[str, dict[str, Any]]]


def asking_router() -> Router:
    """/access-requests/new/...: one page an act, each with the rights it may be asked for with."""
    return Router(
        "/access-requests/new", route_handlers=[handler for act in requests.ACTS for handler in _handlers(act)]
    )


def _handlers(act: str) -> list[HTTPRouteHandler]:
    place, right = f"/{act.replace('_', '-')}", {"right": requests.ACTS[act].asked_with}
    form = get(place, opt=right, sync_to_thread=True)(ask_page)
    answer = post(place, opt=right, dependencies=FORM, status_code=200, sync_to_thread=True)(ask)
    return [form, answer]


def ask_page(
    request: Asking,
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    login: FromQuery[str] = "",
) -> Response[Any]:
    with database.begin() as connection:
        page = _page(_act_of(request), Desk(connection, request.user, request.auth, settings))
    return show_form(request, page, typed(page.fields, {}) | {"login": login[:64]})


def ask(
    request: Asking, database: NamedDependency[Database], settings: NamedDependency[Settings], form: Form
) -> Response[Any]:
    act = _act_of(request)
    with database.begin() as connection:
        page = _page(act, Desk(connection, request.user, request.auth, settings))
    given = typed(page.fields, form)
    if errors := gaps(page.fields, given):
        return show_form(request, page, given, errors, 422)
    try:
        with database.begin() as connection:
            _put(Desk(connection, request.user, request.auth, settings), act, given)
    except (BadRequest, Conflict, NotFound) as refused:
        return show_refused(request, page, given, refused)
    return go(request, "/access-requests?done=asked")


def _act_of(request: Asking) -> str:
    """The act its address names."""
    return request.url.path.rpartition("/")[2].replace("-", "_")


def _page(act: str, desk: Desk) -> FormPage:
    fields = [*_ASKS[act].fields(desk), _REASON]
    return FormPage(
        title=ACTS[act], lead=_ASKS[act].lead, fields=fields, button=N_("提交申请"), back="/access-requests"
    )


def _put(desk: Desk, act: str, given: dict[str, str]) -> None:
    object, content = _ASKS[act].request(desk, given)
    requests.ask(desk.connection, desk.actor, act, object, content, given["reason"])


# ---- the fields of each act ----


def _asks_for_all(desk: Desk) -> bool:
    return desk.actor.may(Right.ASK_ACCESS)


def organisation_choices(connection: Connection, settings: Settings, visit: Visit) -> list[Choice]:
    """Every organisation of the district, by its name."""
    known = list_organisations(connection, settings.district)
    return [Choice(each.code, titled(each.name, each.name_en, visit.language)) for each in known]


def _organisation(desk: Desk, name: str) -> Field:
    choices = organisation_choices(desk.connection, desk.settings, desk.visit)
    return Field(name=name, title=N_("单位"), kind="choice", choices=choices)


def _new_account(desk: Desk) -> list[Field]:
    kinds = {*KINDS} if _asks_for_all(desk) else {desk.actor.kind}
    words = {role: title for role, title in ROLES.items() if ROLE_KINDS[role] & kinds}
    hint = N_("由安全管理员最后确定。")
    roles = Field(
        name="roles", title=N_("拟授予的角色"), hint=hint, kind="ticks", choices=choices_of(words, desk.visit)
    )
    return [_LOGIN, _NAME, *([_organisation(desk, "organisation")] if _asks_for_all(desk) else []), roles]


def _known_account(desk: Desk) -> list[Field]:
    return [_KNOWN]


def _saved_organisation(desk: Desk) -> list[Field]:
    return [
        Field(name="code", title=N_("单位代码"), hint=N_("字母、数字或下划线；已有的代码即为修改。"), longest=40),
        Field(name="name", title=N_("单位名称"), longest=100),
        Field(name="name_en", title=N_("英文名称"), longest=100, required=False),
        Field(
            name="kind", title=N_("单位类别"), hint=N_("确定后不可更改。"), kind="choice",
            choices=choices_of(KINDS, desk.visit),
        ),
        Field(name="area", title=N_("区划代码"), hint=N_("镇街、村居必填，其他单位不填。"), longest=12, required=False),
    ]  # fmt: skip


def _known_organisation(desk: Desk) -> list[Field]:
    return [_organisation(desk, "organisation")]


def _new_key(desk: Desk) -> list[Field]:
    its = load_organisation(desk.connection, desk.actor.organisation)
    words = {right: title for right, title in RIGHTS.items() if right in rights_a_key_may_have(its)}
    return [
        Field(name="title", title=N_("用于哪个系统"), longest=100),
        Field(name="scopes", title=N_("权限"), kind="ticks", choices=choices_of(words, desk.visit)),
        Field(name="expires_on", title=N_("最后有效日"), hint=N_("不填则长期有效。"), kind="date", required=False),
    ]


# ---- the request made of what was typed; a data officer's is always of their own organisation ----


def _ask_account(desk: Desk, given: dict[str, str]) -> tuple[str, dict[str, Any]]:
    organisation = given["organisation"] if _asks_for_all(desk) else desk.actor.organisation
    content = {"name": given["name"], "organisation": organisation, "roles": listed(given["roles"])}
    return given["login"], content


def _ask_by_login(desk: Desk, given: dict[str, str]) -> tuple[str, dict[str, Any]]:
    return given["login"], {}


def _ask_organisation(desk: Desk, given: dict[str, str]) -> tuple[str, dict[str, Any]]:
    content: dict[str, Any] = {name: given[name] for name in ("name", "name_en", "kind")}
    return given["code"], content | {"area_id": _area(desk.connection, given["area"])}


def _area(connection: Connection, code: str) -> int | None:
    if not code:
        return None
    found = load_area_index(connection).codes.get(code)
    if found is None:
        raise BadRequest(f"没有区划 {code}。 No area has the code {code}.", area=code)
    return found


def _ask_by_organisation(desk: Desk, given: dict[str, str]) -> tuple[str, dict[str, Any]]:
    return given["organisation"], {}


def _ask_key(desk: Desk, given: dict[str, str]) -> tuple[str, dict[str, Any]]:
    ends = last_day(given["expires_on"], desk.settings.time_zone)
    content = {"title": given["title"], "scopes": listed(given["scopes"]), "expires_at": ends}
    return desk.actor.organisation, content


_ASKS = {
    "open_account": Ask(N_("同意后，一次性密码由安全管理员交给本人，首次登录须修改。"), _new_account, _ask_account),
    "enable_account": Ask(N_("让已停用的账号重新登录。"), _known_account, _ask_by_login),
    "reset_password": Ask(N_("本人忘记密码时使用；其会话随即结束。"), _known_account, _ask_by_login),
    "save_organisation": Ask(N_("新增单位，或修改其名称和区划。"), _saved_organisation, _ask_organisation),
    "enable_organisation": Ask(N_("让已停用的单位重新参加交换。"), _known_organisation, _ask_by_organisation),
    "disable_organisation": Ask(N_("同意后，其账号、密钥和订阅立即停用。"), _known_organisation, _ask_by_organisation),
    "issue_key": Ask(N_("同意后，密钥由安全管理员交给本单位，只显示一次。"), _new_key, _ask_key),
}
