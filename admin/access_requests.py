"""What was asked for: one's own requests, everything that waits for the security administrator, and the decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.access_words import ACTS, CONTENT, KINDS, REQUEST_STATES, RIGHTS
from admin.desk_forms import FORM, Asking, Choice, Field, Form, choices_of, detail_of, field_of, ticked
from admin.language import N_, Language, translator
from admin.lists.access import ACCESS_REQUESTS
from admin.lists.answering import Door, Fetched, Source, answer_list, id_of, page_of
from admin.lists.asked import Asked, asked_of
from admin.pages import go, show
from admin.words import ROLES
from hub.database import Database
from hub.errors import BadRequest, Conflict, HubError
from hub.registry import requests
from hub.registry.accounts import ROLE_KINDS
from hub.registry.organisations import find_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.requests import Confirmed
from hub.settings import Settings

_ANYBODY = {"right": (Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)}
_ASKS = {"right": (Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)}
_DECIDES = {"right": Right.MANAGE_ACCOUNTS}
_ROLES = N_("授予的角色")
_DONE = {
    "asked": N_("申请已提交，等待安全管理员审批。"),
    "withdrawn": N_("申请已撤回。"),
    "confirmed": N_("申请已同意并生效。"),
    "refused": N_("已答复不同意。"),
}
_WORDS: dict[str, dict[Any, str]] = {"roles": ROLES, "scopes": RIGHTS, "kind": KINDS}


class AccessRequestController(Controller):
    """/access-requests: the list, one of them, and what may be done with it."""

    path = "/access-requests"

    @get("/", opt=_ANYBODY, sync_to_thread=True)
    def read(self, door: NamedDependency[Door], done: FromQuery[str] = "") -> Response[Any]:
        decides = door.actor.may(Right.MANAGE_ACCOUNTS)
        first = {"which": "waiting" if decides else "all"}
        asked = asked_of(ACCESS_REQUESTS, door.query, **first)
        mine = [act for act, its in requests.ACTS.items() if any(door.actor.may(right) for right in its.asked_with)]
        return answer_list(
            door, asked, _source(door.actor, asked), "access_requests.html", acts=ACTS,
            may_ask=[] if decides else mine, notice=_DONE.get(done, ""),
        )  # fmt: skip

    @get("/{request_id:uuid}", opt=_ANYBODY, sync_to_thread=True)
    def see(self, request: Asking, database: NamedDependency[Database], request_id: FromPath[UUID]) -> Response[Any]:
        return _show_one(request, database, request_id)

    @post("/{request_id:uuid}/confirm", opt=_DECIDES, dependencies=FORM, status_code=200, sync_to_thread=True)
    def confirm(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        form: Form,
        request_id: FromPath[UUID],
    ) -> Response[Any]:
        def decide(connection: Connection) -> Response[Any]:
            asked = requests.see_request(connection, request.user, request_id)
            roles = _granted(connection, request, asked, form)
            done = requests.confirm(connection, request.user, request_id, roles=roles, policy=settings.accounts)
            return _confirmed(request, done)

        return _decided(request, database, request_id, decide)

    @post("/{request_id:uuid}/refuse", opt=_DECIDES, dependencies=FORM, status_code=200, sync_to_thread=True)
    def refuse(
        self, request: Asking, database: NamedDependency[Database], form: Form, request_id: FromPath[UUID]
    ) -> Response[Any]:
        def decide(connection: Connection) -> Response[Any]:
            requests.refuse(connection, request.user, request_id, form.get("answer", ""))
            return go(request, "/access-requests?done=refused")

        return _decided(request, database, request_id, decide)

    @post("/{request_id:uuid}/withdraw", opt=_ASKS, dependencies=FORM, status_code=200, sync_to_thread=True)
    def withdraw(
        self, request: Asking, database: NamedDependency[Database], form: Form, request_id: FromPath[UUID]
    ) -> Response[Any]:
        def decide(connection: Connection) -> Response[Any]:
            requests.withdraw(connection, request.user, request_id)
            return go(request, "/access-requests?done=withdrawn")

        return _decided(request, database, request_id, decide)


Decide = Callable[[Connection], Response[Any]]


def _decided(request: Asking, database: Database, request_id: UUID, decide: Decide) -> Response[Any]:
    """The act and its answer; nothing is shown before the transaction is committed."""
    try:
        with database.begin() as connection:
            answer = decide(connection)
    except (BadRequest, Conflict) as refused:
        return _show_one(request, database, request_id, refused)
    return answer


def _confirmed(request: Asking, done: Confirmed) -> Response[Any]:
    if not done.secret:
        return go(request, "/access-requests?done=confirmed")
    title = ACTS[done.request.act]
    whose = done.request.object
    return show(request, "shown_once.html", title=title, whose=whose, secret=done.secret, back="/access-requests")


def _source(actor: Actor, asked: Asked) -> Source:
    which = asked["which"] if asked["which"] in REQUEST_STATES else None

    def rows(connection: Connection, after: str, size: int) -> Fetched:
        place, order = id_of(after) if after else None, asked.sort or "-asked_at"
        found = requests.list_requests(connection, actor, which, sort=order, after=place, limit=size + 1)
        return page_of(found, size, lambda one: str(one.request_id))

    return Source(rows=rows)


def _show_one(request: Asking, database: Database, request_id: UUID, error: HubError | None = None) -> Response[Any]:
    with database.begin() as connection:
        asked = requests.see_request(connection, request.user, request_id)
        roles = _roles_field(connection, request, asked)
    others = asked.asked_by != request.user.name
    return show(
        request,
        "access_request.html",
        status=error.status if error else 200,
        asked=asked,
        content=list(_described(asked.content, request.auth.language)),
        roles=roles,
        wished=asked.content.get("roles", []),
        acts=ACTS,
        states=REQUEST_STATES,
        may_decide=asked.state == "waiting" and others and request.user.may(Right.MANAGE_ACCOUNTS),
        may_withdraw=asked.state == "waiting" and not others,
        errors={field_of(error, ["roles", "answer"]): detail_of(error, request.auth)} if error else {},
    )


def _roles_field(connection: Connection, request: Asking, asked: requests.Request) -> Field | None:
    """The roles a new account's organisation may hold."""
    if asked.act != "open_account":
        return None
    its = find_organisation(connection, str(asked.content.get("organisation")))
    words = {role: title for role, title in ROLES.items() if its and its.kind in ROLE_KINDS[role]}
    return Field(name="roles", title=_ROLES, kind="ticks", choices=choices_of(words, request.auth))


def _granted(
    connection: Connection, request: Asking, asked: requests.Request, form: dict[str, str]
) -> tuple[str, ...] | None:
    field = _roles_field(connection, request, asked)
    return ticked(field, form) if field else None


def _described(content: dict[str, Any], language: Language) -> list[Choice]:
    """What was asked for, in words."""
    translate = translator(language)
    return [
        Choice(translate(CONTENT[name]), _in_words(name, value, language))
        for name, value in content.items()
        if value not in (None, "", [])
    ]


def _in_words(name: str, value: Any, language: Language) -> str:
    translate, words = translator(language), _WORDS.get(name, {})
    values = value if isinstance(value, list) else [value]
    return ", ".join(translate(words[each]) if each in words else str(each) for each in values)
