"""The keys' desk: which systems may come in, by what, until when; new ones, renewed and revoked ones."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Controller, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.access_words import KEY_KINDS, KEY_STATES, RIGHTS
from admin.asking import organisation_choices
from admin.desk_forms import (
    FORM,
    Asking,
    Field,
    Form,
    FormPage,
    choices_of,
    detail_of,
    field_of,
    gaps,
    last_day,
    listed,
    show_form,
    show_refused,
    typed,
)
from admin.language import N_
from admin.lists.access import KEYS, ListedKey
from admin.lists.answering import Door, Fetched, Source, answer_list
from admin.lists.asked import Asked, asked_of
from admin.lists.declared import Words, named_options
from admin.lists.shown import Options
from admin.pages import go, show
from hub.database import Database, utc_now
from hub.errors import BadRequest, Conflict, HubError, NotFound
from hub.registry.api_keys import (
    issue_key,
    list_keys,
    register_certificate,
    register_ssh_key,
    renew_key,
    revoke_key,
    see_key,
)
from hub.registry.machine_identity import ApiKey, KeyKind
from hub.registry.permissions import ROLES, Actor, Right
from hub.registry.public_keys import PublicKeyRefused
from hub.settings import Settings

_READ = {"right": (Right.MANAGE_ACCOUNTS, Right.ASK_OWN_ACCESS)}
_KEEP = {"right": Right.MANAGE_ACCOUNTS}
_LEADS = {
    "secret": N_("密钥只显示一次，请当面交给该单位的系统负责人。"),
    "certificate": N_("登记后，持有该证书私钥的系统即可接入。"),
    "ssh": N_("登记后，持有该私钥的系统即可用 SFTP 投放。"),
}
_PUBLIC = {
    "certificate": Field(
        name="public", title=N_("证书（PEM）"), hint=N_("以 -----BEGIN CERTIFICATE----- 开头。"), kind="lines",
        longest=20_000,
    ),
    "ssh": Field(
        name="public", title=N_("SSH 公钥"), hint=N_(".pub 文件里的一行；不要粘贴私钥。"), kind="lines", longest=5_000
    ),
}  # fmt: skip
_DONE = N_("已完成。")
_MAY_HAVE = (ROLES["integrator"] | {Right.READ_CHANGE_LIST}) - {Right.SIGNED_IN}


class KeysController(Controller):
    """/keys: the list, one key, new ones."""

    path = "/keys"

    @get("/", opt=_READ, sync_to_thread=True)
    def read(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(KEYS, door.query)
        return answer_list(door, asked, _source(door.actor, asked), "keys.html")

    @get("/{prefix:str}", opt=_READ, sync_to_thread=True)
    def see(
        self, request: Asking, database: NamedDependency[Database], prefix: FromPath[str], done: FromQuery[bool] = False
    ) -> Response[Any]:
        return _show_one(request, database, prefix, notice=_DONE if done else "")

    @post("/{prefix:str}/revoke", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def revoke(
        self, request: Asking, database: NamedDependency[Database], form: Form, prefix: FromPath[str]
    ) -> Response[Any]:
        with database.begin() as connection:
            revoke_key(connection, request.user, _prefix_in(prefix))
        return go(request, f"/keys/{quote(prefix)}?done=true")

    @post("/{prefix:str}/renew", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def renew(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        form: Form,
        prefix: FromPath[str],
    ) -> Response[Any]:
        try:
            with database.begin() as connection:
                ends = last_day(form.get("expires_on", "").strip(), settings.time_zone)
                issued = renew_key(connection, request.user, _prefix_in(prefix), expires_at=ends)
        except (BadRequest, Conflict) as refused:
            return _show_one(request, database, prefix, refused)
        return _entered(request, issued.key, issued.text)


def new_keys_router() -> Router:
    """/keys/new/...: one page a kind."""
    return Router("/keys/new", route_handlers=[handler for kind in KEY_KINDS for handler in _handlers(kind)])


def _handlers(kind: str) -> list[HTTPRouteHandler]:
    form = get(f"/{kind}", opt=_KEEP, sync_to_thread=True)(key_page)
    answer = post(f"/{kind}", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)(enter_key)
    return [form, answer]


def key_page(
    request: Asking, database: NamedDependency[Database], settings: NamedDependency[Settings]
) -> Response[Any]:
    with database.begin() as connection:
        page = _page(connection, request, settings)
    return show_form(request, page, typed(page.fields, {}))


def enter_key(
    request: Asking, database: NamedDependency[Database], settings: NamedDependency[Settings], form: Form
) -> Response[Any]:
    with database.begin() as connection:
        page = _page(connection, request, settings)
    given = typed(page.fields, form)
    if errors := gaps(page.fields, given):
        return show_form(request, page, given, errors, 422)
    try:
        with database.begin() as connection:
            key, secret = _enter(connection, request.user, _kind_of(request), given, settings)
    except (BadRequest, Conflict, NotFound) as refused:
        if isinstance(refused, PublicKeyRefused):
            refused.facts["public"] = ""
        return show_refused(request, page, given, refused)
    return _entered(request, key, secret)


def _source(actor: Actor, asked: Asked) -> Source:
    """All that fit: a unit has a handful."""

    def rows(connection: Connection, after: str, size: int) -> Fetched:
        found = list_keys(connection, actor, asked["organisation"] or None)
        lines = [ListedKey(key=key, state=state_of(key), address=address_of(key)) for key in found]
        return Fetched(rows=[one for one in lines if asked["which"] in ("", one.state)])

    def options(connection: Connection, words: Words) -> Options:
        named = named_options(list(words.organisations), words.organisation)
        return {"organisation": named if actor.may(Right.MANAGE_ACCOUNTS) else []}

    return Source(rows=rows, options=options)


def state_of(key: ApiKey) -> str:
    """usable, expired or revoked."""
    if key.revoked_at is not None:
        return "revoked"
    return "usable" if key.usable(utc_now()) else "expired"


def address_of(key: ApiKey) -> str:
    """Its place below /keys/: a fingerprint of SSH may have slashes in it."""
    return key.prefix.replace("/", "_").replace("+", "-") if key.kind == "ssh" else key.prefix


def _prefix_in(address: str) -> str:
    return address.replace("_", "/").replace("-", "+") if address.startswith("SHA256:") else address


def _kind_of(request: Asking) -> KeyKind:
    """The kind its address names."""
    kind: KeyKind = msgspec.convert(request.url.path.rpartition("/")[2], KeyKind)
    return kind


def _page(connection: Connection, request: Asking, settings: Settings) -> FormPage:
    kind, visit = _kind_of(request), request.auth
    words = {right: title for right, title in RIGHTS.items() if right in _MAY_HAVE}
    fields = [
        Field(
            name="organisation", title=N_("单位"), kind="choice",
            choices=organisation_choices(connection, settings, visit),
        ),
        Field(name="title", title=N_("用于哪个系统"), longest=100),
        *([_PUBLIC[kind]] if kind in _PUBLIC else []),
        Field(name="scopes", title=N_("权限"), kind="ticks", choices=choices_of(words, visit)),
        Field(name="expires_on", title=N_("最后有效日"), hint=N_("不填则长期有效。"), kind="date", required=False),
        Field(
            name="address", title=N_("只许来自这些网段"), hint=N_("每行一个，如 10.20.0.0/16；不填则不限。"), kind="lines",
            longest=2_000, required=False,
        ),
    ]  # fmt: skip
    return FormPage(title=KEY_KINDS[kind], lead=_LEADS[kind], fields=fields, button=N_("登记"), back="/keys")


def _enter(
    connection: Connection, actor: Actor, kind: KeyKind, given: dict[str, str], settings: Settings
) -> tuple[ApiKey, str]:
    """The new key, and its secret if it has one."""
    organisation, title = given["organisation"], given["title"]
    scopes, networks = [Right(each) for each in listed(given["scopes"])], given["address"].split()
    ends = last_day(given["expires_on"], settings.time_zone)
    if kind == "secret":
        issued = issue_key(
            connection, actor, organisation=organisation, title=title, scopes=scopes, expires_at=ends,
            allowed_addresses=networks,
        )  # fmt: skip
        return issued.key, issued.text
    if kind == "certificate":
        pem = given["public"].encode()
        key = register_certificate(
            connection, actor, organisation, title, pem, scopes, expires_at=ends, allowed_addresses=networks
        )
        return key, ""
    line = given["public"]
    key = register_ssh_key(
        connection, actor, organisation, title, line, scopes, expires_at=ends, allowed_addresses=networks
    )
    return key, ""


def _entered(request: Asking, key: ApiKey, secret: str) -> Response[Any]:
    if not secret:
        return go(request, f"/keys/{quote(address_of(key))}?done=true")
    whose = f"{key.organisation} · {key.title}"
    return show(request, "shown_once.html", title=KEY_KINDS["secret"], whose=whose, secret=secret, back="/keys")


def _show_one(
    request: Asking, database: Database, prefix: str, error: HubError | None = None, notice: str = ""
) -> Response[Any]:
    with database.begin() as connection:
        key = see_key(connection, request.user, _prefix_in(prefix))
    return show(
        request,
        "key.html",
        status=error.status if error else 200,
        key=key,
        address=address_of(key),
        state=state_of(key),
        kinds=KEY_KINDS,
        state_words=KEY_STATES,
        scopes=[RIGHTS[Right(scope)] for scope in key.scopes if Right(scope) in RIGHTS],
        may_keep=request.user.may(Right.MANAGE_ACCOUNTS),
        errors={field_of(error, ["expires_on"]): detail_of(error, request.auth)} if error else {},
        notice=notice,
    )
