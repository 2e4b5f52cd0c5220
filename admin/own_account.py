"""One's own account: who one is, where one is signed in, one's password and second factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import segno
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from sqlalchemy import Connection

from admin.language import N_
from admin.pages import go, show
from admin.sign_in import FORM, Form, attempt_of, renew_session
from admin.visits import Visit, session_cookie
from admin.words import ROLES
from hub.database import Database, utc_now
from hub.errors import BadRequest
from hub.keyring import Keyring
from hub.registry import second_factor, sessions
from hub.registry.accounts import load_account
from hub.registry.passwords import LONGEST_PASSWORD, UnfitPassword, least_length
from hub.registry.permissions import Actor, Right
from hub.registry.second_factor import Enrolment, begin_enrolment, resume_enrolment
from hub.registry.sign_in import change_password, prove_oneself
from hub.settings import Settings

Visiting = Request[Actor, Visit, Any]
_OWN = {"right": Right.SIGNED_IN}
_WRONG_OLD = N_("原密码不正确。")
_UNEQUAL = N_("两次输入的新密码不一致。")
_NOT_ENROLLED = N_("密码或验证码不正确。请核对手机时间，用最新的验证码再试。")
_ENDED = N_("会话已结束。")
_NOT_ENDED = N_("密码不正确，会话没有结束。")


class OwnAccountController(Controller):
    """What everybody who is signed in may see and change of themselves."""

    @get("/account", opt=_OWN, sync_to_thread=True)
    def see(
        self,
        request: Visiting,
        actor: NamedDependency[Actor],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        ended: FromQuery[bool] = False,
    ) -> Response[Any]:
        return _show_account(request, actor, database, settings, notice=_ENDED if ended else "")

    @post("/account/sessions/end", opt=_OWN, dependencies=FORM, status_code=200, sync_to_thread=True)
    def end_session(
        self,
        request: Visiting,
        actor: NamedDependency[Actor],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        form: Form,
    ) -> Response[Any]:
        def end(connection: Connection) -> None:
            sessions.end_own_session(connection, actor, _session_id(form.get("session", "")))

        return _end(request, actor, database, settings, form, end)

    @post("/account/sessions/end-others", opt=_OWN, dependencies=FORM, status_code=200, sync_to_thread=True)
    def end_others(
        self,
        request: Visiting,
        actor: NamedDependency[Actor],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        form: Form,
    ) -> Response[Any]:
        def end(connection: Connection) -> None:
            if request.auth.session is not None:
                sessions.end_other_sessions(connection, actor, request.auth.session.session_id)

        return _end(request, actor, database, settings, form, end)

    # ---- the password ----

    @get("/password", opt=_OWN, sync_to_thread=True)
    def ask_password(
        self,
        request: Visiting,
        actor: NamedDependency[Actor],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
    ) -> Response[str]:
        return _show_password(request, actor, database, settings, [])

    @post("/password", opt=_OWN, dependencies=FORM, status_code=200, sync_to_thread=True)
    def change_password(
        self,
        request: Visiting,
        actor: NamedDependency[Actor],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        form: Form,
    ) -> Response[Any]:
        errors = _change_password(request, actor, database, settings, form)
        if errors:
            return _show_password(request, actor, database, settings, errors, status=422)
        return go(request, "/sign-in?changed=true")

    # ---- the second factor ----

    @get("/account/second-factor", opt=_OWN, sync_to_thread=True)
    def ask_enrolment(
        self,
        request: Visiting,
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
    ) -> Response[Any]:
        return _show_enrolment(request, begin_enrolment(actor, keyring, utc_now()))

    @post("/account/second-factor", opt=_OWN, dependencies=FORM, status_code=200, sync_to_thread=True)
    def enrol(
        self,
        request: Visiting,
        actor: NamedDependency[Actor],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        keyring: NamedDependency[Keyring],
        form: Form,
    ) -> Response[Any]:
        attempt, sealed = attempt_of(request, settings), form.get("sealed", "")
        code, password = form.get("code", ""), form.get("password", "")
        with database.begin() as connection:
            codes = second_factor.enrol(connection, actor, keyring, sealed, code, password, attempt)
        if codes is None:
            again = resume_enrolment(actor, keyring, sealed, attempt.now)
            return _show_enrolment(request, again, status=422, error=_NOT_ENROLLED)
        value = renew_session(request, database, settings, UUID(actor.account_id))
        answer = show(request, "recovery_codes.html", codes=codes)
        answer.set_cookie(session_cookie(value))
        return answer


def _show_account(
    request: Visiting,
    actor: Actor,
    database: Database,
    settings: Settings,
    *,
    status: int = 200,
    error: str = "",
    notice: str = "",
) -> Response[str]:
    with database.begin() as connection:
        its = load_account(connection, actor.name)
        its_sessions = sessions.list_own_sessions(connection, actor, utc_now())
    return show(
        request,
        "own_account.html",
        status=status,
        account=its,
        roles=[ROLES[role] for role in its.roles],
        sessions=its_sessions,
        must_enrol=its.must_enrol(settings.accounts),
        error=error,
        notice=notice,
    )


def _end(
    request: Visiting,
    actor: Actor,
    database: Database,
    settings: Settings,
    form: dict[str, str],
    end: Callable[[Connection], None],
) -> Response[Any]:
    """End sessions once the password is given again; a wrong one is counted, so its transaction is committed."""
    with database.begin() as connection:
        proved = prove_oneself(connection, actor, form.get("password", ""), attempt_of(request, settings))
        if proved:
            end(connection)
    if not proved:
        return _show_account(request, actor, database, settings, status=422, error=_NOT_ENDED)
    return go(request, "/account?ended=true")


def _session_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as wrong:
        raise BadRequest("session") from wrong


def _show_password(
    request: Visiting, actor: Actor, database: Database, settings: Settings, errors: list[str], *, status: int = 200
) -> Response[str]:
    with database.begin() as connection:
        roles = load_account(connection, actor.name).roles
    least = least_length(settings.accounts, roles)
    classes = settings.accounts.password_least_classes
    facts = {"least": least, "longest": LONGEST_PASSWORD, "classes": classes}
    return show(request, "password.html", status=status, errors=errors, **facts)


def _change_password(
    request: Visiting, actor: Actor, database: Database, settings: Settings, form: dict[str, str]
) -> list[str]:
    """What is wrong with it, or nothing. A wrong old password counts, so its transaction is committed."""
    old, new = form.get("old", ""), form.get("new", "")
    if new != form.get("again", ""):
        return [_UNEQUAL]
    try:
        with database.begin() as connection:
            changed = change_password(connection, actor, actor.name, old, new, now=utc_now(), policy=settings.accounts)
    except UnfitPassword as unfit:
        english = request.auth.language == "en"
        return [each.english if english else each.chinese for each in unfit.reasons]
    return [] if changed else [_WRONG_OLD]


def _show_enrolment(request: Visiting, offered: Enrolment, *, status: int = 200, error: str = "") -> Response[str]:
    picture = segno.make(offered.uri, error="m", micro=False).svg_data_uri(scale=5, border=4, dark="#000", light="#fff")
    secret = " ".join(offered.secret[at : at + 4] for at in range(0, len(offered.secret), 4))
    return show(
        request,
        "enrol_second_factor.html",
        status=status,
        picture=picture,
        secret=secret,
        sealed=offered.sealed,
        error=error,
    )
