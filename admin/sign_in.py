"""Sign in, sign out, change one's password, switch the language."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from admin.forms import plain_form
from admin.language import LANGUAGES, N_, Language
from admin.navigation import first_page
from admin.pages import go, show
from admin.visits import SESSION_COOKIE, Visit, language_cookie, session_cookie
from hub.database import Database, utc_now
from hub.errors import BadRequest, NotFound
from hub.registry import accounts, sessions
from hub.registry.permissions import Actor, Right

Visiting = Request[Actor | None, Visit, Any]
_FORM = {"form": Provide(plain_form)}
_REFUSED = N_("登录名或密码不正确，或账号暂时锁定。请核对后稍等片刻再试。")
_WRONG_OLD = N_("原密码不正确。")
_UNEQUAL = N_("两次输入的新密码不一致。")
_UNFIT = N_("新密码须为 8 至 128 位，且不含登录名。")
_CHANGED = N_("密码已修改，请用新密码登录。")


class SignInController(Controller):
    """The pages one needs no right for, or only to be signed in."""

    @get("/sign-in", opt={"right": Right.PUBLIC}, sync_to_thread=True)
    def ask(self, request: Visiting, next: FromQuery[str] = "/", changed: FromQuery[bool] = False) -> Response[Any]:
        if request.user is not None:
            return go(request, own_path(next))
        notice = _CHANGED if changed else ""
        return show(request, "sign_in.html", next=own_path(next), login="", notice=notice, error="")

    @post("/sign-in", opt={"right": Right.PUBLIC}, dependencies=_FORM, status_code=200, sync_to_thread=True)
    def enter(
        self, request: Visiting, database: NamedDependency[Database], form: NamedDependency[dict[str, str]]
    ) -> Response[Any]:
        login, target = form.get("login", "").strip(), own_path(form.get("next", "/"))
        account = _sign_in(database, login, form.get("password", ""))
        if account is None:
            return show(request, "sign_in.html", status=401, next=target, login=login, notice="", error=_REFUSED)
        answer = go(request, "/password" if account.must_change_password else target)
        answer.set_cookie(session_cookie(_renew_session(database, request.auth, account)))
        return answer

    @post("/sign-out", opt={"right": Right.PUBLIC}, dependencies=_FORM, status_code=200, sync_to_thread=True)
    def leave(
        self, request: Visiting, database: NamedDependency[Database], form: NamedDependency[dict[str, str]]
    ) -> Response[Any]:
        with database.begin() as connection:
            sessions.close_session(connection, request.auth.value)
        answer = go(request, "/sign-in")
        answer.delete_cookie(SESSION_COOKIE)
        return answer

    @get("/password", opt={"right": Right.SIGNED_IN}, sync_to_thread=True)
    def ask_password(self, request: Visiting) -> Response[str]:
        return show(request, "password.html", error="")

    @post("/password", opt={"right": Right.SIGNED_IN}, dependencies=_FORM, status_code=200, sync_to_thread=True)
    def change_password(
        self,
        request: Visiting,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        form: NamedDependency[dict[str, str]],
    ) -> Response[Any]:
        error = _change_password(database, actor, form)
        if error:
            return show(request, "password.html", status=422, error=error)
        return go(request, "/sign-in?changed=true")

    @get("/language/{language:str}", opt={"right": Right.PUBLIC}, sync_to_thread=False)
    def switch_language(self, language: FromPath[str], back: FromQuery[str] = "/") -> Response[Any]:
        chosen: Language | None = next((known for known in LANGUAGES if known == language), None)
        if chosen is None:
            raise NotFound(language)
        answer = Redirect(own_path(back), status_code=303)
        answer.set_cookie(language_cookie(chosen))
        return answer

    @get("/", opt={"right": Right.SIGNED_IN}, sync_to_thread=True)
    def home(self, request: Visiting, actor: NamedDependency[Actor]) -> Response[Any]:
        if request.auth.session is not None and request.auth.session.must_change_password:
            return go(request, "/password")
        page = first_page(actor)
        return go(request, page) if page else show(request, "home.html")


def own_path(path: str) -> str:
    """A path of ours to go on to; anything that could lead elsewhere leads home."""
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if plain else "/"


def _sign_in(database: Database, login: str, password: str) -> accounts.Account | None:
    with database.begin() as connection:
        return accounts.sign_in(connection, login, password, now=utc_now())


def _renew_session(database: Database, visit: Visit, account: accounts.Account) -> str:
    """A new value at every sign-in; whatever the browser had before is worth nothing afterwards."""
    with database.begin() as connection:
        sessions.close_session(connection, visit.value)
        sessions.remove_dead_sessions(connection, utc_now())
        return sessions.open_session(connection, account.account_id, utc_now())


def _change_password(database: Database, actor: Actor, form: dict[str, str]) -> str:
    """What is wrong with it, or nothing. A wrong old password counts, so its transaction is committed."""
    old, new = form.get("old", ""), form.get("new", "")
    if new != form.get("again", ""):
        return _UNEQUAL
    try:
        with database.begin() as connection:
            changed = accounts.change_password(connection, actor, actor.name, old, new, now=utc_now())
    except BadRequest:
        return _UNFIT
    return "" if changed else _WRONG_OLD
