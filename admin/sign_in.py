"""Coming and going: password, then the second factor where there is one; sign out; the pages' language."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from admin.forms import plain_form
from admin.language import LANGUAGES, N_, Language
from admin.pages import go, show
from admin.visits import Visit, by_itself_cookie, language_cookie, no_session_cookie, session_cookie
from hub.database import Database, utc_now
from hub.errors import NotFound
from hub.keyring import Keyring
from hub.origins import client_address
from hub.registry import second_factor, sessions
from hub.registry.accounts import Account
from hub.registry.permissions import Actor, Right
from hub.registry.sign_in import Attempt, sign_in
from hub.settings import Settings

Visiting = Request[Actor | None, Visit, Any]
Form = NamedDependency[dict[str, str]]
FORM = {"form": Provide(plain_form)}
_REFUSED = N_("登录名或密码不正确，或账号暂时锁定。请核对后稍等片刻再试。")
_WRONG_CODE = N_("验证码不正确、已用过或已过期。请等下一个验证码再试。")
_CHANGED = N_("密码已修改，请用新密码登录。")


class SignInController(Controller):
    """The pages one needs no right for."""

    @get("/sign-in", opt={"right": Right.PUBLIC, "asked": "by-itself"}, sync_to_thread=True)
    def ask(
        self,
        request: Visiting,
        next: FromQuery[str] = "/",
        changed: FromQuery[bool] = False,
        idle: FromQuery[bool] = False,
    ) -> Response[Any]:
        if request.user is not None:
            answer = go(request, own_path(next))
            if idle:
                answer.set_cookie(by_itself_cookie())
            return answer
        notice = _CHANGED if changed else ""
        return show(request, "sign_in.html", next=own_path(next), login="", notice=notice, error="")

    @post("/sign-in", opt={"right": Right.PUBLIC}, dependencies=FORM, status_code=200, sync_to_thread=True)
    def enter(
        self,
        request: Visiting,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        form: Form,
    ) -> Response[Any]:
        login, target = form.get("login", "").strip(), own_path(form.get("next", "/"))
        account = _sign_in(database, attempt_of(request, settings), login, form.get("password", ""))
        if account is None:
            return show(request, "sign_in.html", status=401, next=target, login=login, notice="", error=_REFUSED)
        answer = go(request, _after_password(account, target))
        level: sessions.Level = "password" if account.has_second_factor else "full"
        answer.set_cookie(session_cookie(renew_session(request, database, settings, account.account_id, level)))
        return answer

    @get("/second-factor", opt={"right": Right.PUBLIC}, sync_to_thread=True)
    def ask_code(self, request: Visiting, next: FromQuery[str] = "/") -> Response[Any]:
        if request.auth.pending is None:
            return go(request, "/sign-in")
        return show(request, "second_factor.html", next=own_path(next), error="")

    @post("/second-factor", opt={"right": Right.PUBLIC}, dependencies=FORM, status_code=200, sync_to_thread=True)
    def enter_code(
        self,
        request: Visiting,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        keyring: NamedDependency[Keyring],
        form: Form,
    ) -> Response[Any]:
        pending, target = request.auth.pending, own_path(form.get("next", "/"))
        if pending is None:
            return go(request, "/sign-in")
        with database.begin() as connection:
            attempt, code = attempt_of(request, settings), form.get("code", "")
            right = second_factor.check_code(connection, keyring, pending.account_id, code, attempt)
        if not right:
            return show(request, "second_factor.html", status=401, next=target, error=_WRONG_CODE)
        answer = go(request, "/password" if pending.must_change_password else target)
        answer.set_cookie(session_cookie(renew_session(request, database, settings, pending.account_id)))
        return answer

    @post("/sign-out", opt={"right": Right.PUBLIC}, dependencies=FORM, status_code=200, sync_to_thread=True)
    def leave(self, request: Visiting, database: NamedDependency[Database], form: Form) -> Response[Any]:
        with database.begin() as connection:
            sessions.close_session(connection, request.auth.value)
        answer = go(request, "/sign-in")
        answer.set_cookie(no_session_cookie())
        answer.headers["Clear-Site-Data"] = '"cache", "storage"'  # what the next person at this browser could find
        return answer

    @get("/language/{language:str}", opt={"right": Right.PUBLIC}, sync_to_thread=False)
    def switch_language(self, language: FromPath[str], back: FromQuery[str] = "/") -> Response[Any]:
        chosen: Language | None = next((known for known in LANGUAGES if known == language), None)
        if chosen is None:
            raise NotFound(language)
        answer = Redirect(own_path(back), status_code=303)
        answer.set_cookie(language_cookie(chosen))
        return answer


def own_path(path: str) -> str:
    """A path of ours to go on to; anything that could lead elsewhere leads home."""
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if plain else "/"


def attempt_of(request: Request[Any, Any, Any], settings: Settings) -> Attempt:
    return Attempt(utc_now(), settings.accounts, client_address(request))


def _sign_in(database: Database, attempt: Attempt, login: str, password: str) -> Account | None:
    now, policy, address = attempt
    with database.begin() as connection:
        return sign_in(connection, login, password, now=now, policy=policy, address=address)


def _after_password(account: Account, target: str) -> str:
    if account.has_second_factor:
        return f"/second-factor?{urlencode({'next': target})}"
    return "/password" if account.must_change_password else target


def renew_session(
    request: Request[Any, Visit, Any],
    database: Database,
    settings: Settings,
    account_id: UUID,
    level: sessions.Level = "full",
) -> str:
    """A new value at every step of a sign-in; whatever the browser had before is worth nothing afterwards."""
    now, policy, address = attempt_of(request, settings)
    browser = request.headers.get("user-agent", "")
    with database.begin() as connection:
        sessions.close_session(connection, request.auth.value)
        sessions.remove_dead_sessions(connection, now)
        value = sessions.open_session(
            connection, account_id, now, policy=policy, level=level, address=address, browser=browser
        )
        opened = sessions.find_session(connection, value, now, policy)
    if opened is not None:  # the page of this answer belongs to the new session already
        renewed = msgspec.structs.replace(request.auth, value=value, token=opened.token, session=opened)
        request.scope["auth"] = renewed
    return value
