"""The accounts' desk: who has an account and how it stands; what the security administrator does about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.access_words import ACCOUNT_STATES
from admin.desk_forms import FORM, Asking, Field, Form, choices_of, detail_of, field_of, ticked
from admin.language import N_
from admin.lists.access import ACCOUNTS
from admin.lists.answering import Door, Fetched, Source, answer_list, page_of
from admin.lists.asked import Asked, asked_of
from admin.lists.declared import Words, named_options
from admin.lists.shown import Options
from admin.pages import go, show
from admin.words import ROLES
from hub.database import Database, utc_now
from hub.errors import BadRequest, Conflict, HubError
from hub.registry import accounts, sessions
from hub.registry.account_list import Wanted, list_accounts, see_account, state_of
from hub.registry.accounts import ROLE_KINDS, Account
from hub.registry.organisations import find_organisation
from hub.registry.permissions import Actor, Right
from hub.settings import Settings

_READ = {"right": (Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)}
_KEEP = {"right": Right.MANAGE_ACCOUNTS}
_CUT_OFF = {"right": (Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS)}
_RESET = N_("一次性密码")
_GRANTED = N_("角色")
_DONE = N_("已完成。")
Act = Callable[[Connection, Actor, str], None]


def _enable(connection: Connection, actor: Actor, login: str) -> None:
    accounts.set_disabled(connection, actor, login, False)


def _disable(connection: Connection, actor: Actor, login: str) -> None:
    accounts.set_disabled(connection, actor, login, True)


class AccountsController(Controller):
    """/accounts: the list, one account, and each act upon it."""

    path = "/accounts"

    @get("/", opt=_READ, sync_to_thread=True)
    def read(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(ACCOUNTS, door.query)
        return answer_list(door, asked, _source(door.actor, asked), "accounts.html")

    @get("/{login:str}", opt=_READ, sync_to_thread=True)
    def see(
        self, request: Asking, database: NamedDependency[Database], login: FromPath[str], done: FromQuery[bool] = False
    ) -> Response[Any]:
        return _show_one(request, database, login, notice=_DONE if done else "")

    @post("/{login:str}/unlock", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def unlock(
        self, request: Asking, database: NamedDependency[Database], form: Form, login: FromPath[str]
    ) -> Response[Any]:
        return _do(request, database, login, accounts.unlock_account)

    @post("/{login:str}/enable", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def enable(
        self, request: Asking, database: NamedDependency[Database], form: Form, login: FromPath[str]
    ) -> Response[Any]:
        return _do(request, database, login, _enable)

    @post("/{login:str}/end-sessions", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def end_sessions(
        self, request: Asking, database: NamedDependency[Database], form: Form, login: FromPath[str]
    ) -> Response[Any]:
        return _do(request, database, login, accounts.end_sessions)

    @post("/{login:str}/reset-second-factor", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def reset_second_factor(
        self, request: Asking, database: NamedDependency[Database], form: Form, login: FromPath[str]
    ) -> Response[Any]:
        return _do(request, database, login, accounts.reset_second_factor)

    @post("/{login:str}/disable", opt=_CUT_OFF, dependencies=FORM, status_code=200, sync_to_thread=True)
    def disable(
        self, request: Asking, database: NamedDependency[Database], form: Form, login: FromPath[str]
    ) -> Response[Any]:
        return _do(request, database, login, _disable)

    @post("/{login:str}/roles", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def set_roles(
        self, request: Asking, database: NamedDependency[Database], form: Form, login: FromPath[str]
    ) -> Response[Any]:
        def change(connection: Connection, actor: Actor, login: str) -> None:
            field = _roles_field(connection, request, see_account(connection, actor, login))
            accounts.set_roles(connection, actor, login, ticked(field, form))

        return _do(request, database, login, change)

    @post("/{login:str}/close", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def close(
        self, request: Asking, database: NamedDependency[Database], form: Form, login: FromPath[str]
    ) -> Response[Any]:
        def end(connection: Connection, actor: Actor, login: str) -> None:
            if form.get("confirmation", "").strip() != login:
                raise BadRequest("请照样输入登录名。 Type the login exactly as it is.", confirmation="")
            accounts.close_account(connection, actor, login)

        return _do(request, database, login, end)

    @post("/{login:str}/reset-password", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def reset_password(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        form: Form,
        login: FromPath[str],
    ) -> Response[Any]:
        try:
            with database.begin() as connection:
                secret = accounts.give_new_password(connection, request.user, login, settings.accounts)
        except (BadRequest, Conflict) as refused:
            return _show_one(request, database, login, refused)
        back = f"/accounts/{quote(login)}"
        return show(request, "shown_once.html", title=_RESET, whose=login, secret=secret, back=back)

    @post("/{login:str}/sessions/{session_id:uuid}", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def end_session(
        self,
        request: Asking,
        database: NamedDependency[Database],
        form: Form,
        login: FromPath[str],
        session_id: FromPath[UUID],
    ) -> Response[Any]:
        def end(connection: Connection, actor: Actor, login: str) -> None:
            sessions.end_session_of(connection, actor, login, session_id)

        return _do(request, database, login, end)


def _do(request: Asking, database: Database, login: str, act: Act) -> Response[Any]:
    """One act upon the account the address names, and back to its page."""
    try:
        with database.begin() as connection:
            act(connection, request.user, login)
    except (BadRequest, Conflict) as refused:
        return _show_one(request, database, login, refused)
    return go(request, f"/accounts/{quote(login)}?done=true")


def _source(actor: Actor, asked: Asked) -> Source:
    """Page by page, in the order of the logins or another."""
    wanted = Wanted(**{name: asked[name] for name in Wanted.__struct_fields__})

    def options(connection: Connection, words: Words) -> Options:
        named = named_options(list(words.organisations), words.organisation)
        return {"organisation": named if _reads_all(actor) else []}

    def rows(connection: Connection, after: str, size: int) -> Fetched:
        found = list_accounts(connection, actor, wanted, after, size + 1, sort=asked.sort or "login")
        return page_of(found, size, lambda one: one.login)

    return Source(
        rows=rows,
        options=options,
        beside=lambda connection: {"now": utc_now()},
    )


def _show_one(
    request: Asking, database: Database, login: str, error: HubError | None = None, notice: str = ""
) -> Response[Any]:
    actor, now = request.user, utc_now()
    with database.begin() as connection:
        its = see_account(connection, actor, login)
        field = _roles_field(connection, request, its)
        keeps = actor.may(Right.MANAGE_ACCOUNTS)
        opened = sessions.list_sessions_of(connection, actor, its.account_id, now) if keeps else []
        unit = find_organisation(connection, its.organisation)
    return show(
        request,
        "account.html",
        status=error.status if error else 200,
        account=its,
        unit=unit,
        state=state_of(its, now),
        roles=field,
        role_words=ROLES,
        state_words=ACCOUNT_STATES,
        sessions=opened,
        own=its.login == actor.name,
        errors={field_of(error, ["roles", "confirmation"]): detail_of(error, request.auth)} if error else {},
        notice=notice,
    )


def _roles_field(connection: Connection, request: Asking, its: Account) -> Field:
    """The roles its organisation may hold."""
    unit = find_organisation(connection, its.organisation)
    words = {role: title for role, title in ROLES.items() if unit and unit.kind in ROLE_KINDS[role]}
    return Field(name="roles", title=_GRANTED, kind="ticks", choices=choices_of(words, request.auth))


def _reads_all(actor: Actor) -> bool:
    return actor.may(Right.MANAGE_ACCOUNTS) or actor.may(Right.ASK_ACCESS)
