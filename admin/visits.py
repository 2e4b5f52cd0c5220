"""Who is at the staff door: the cookie's session, its form token, and where a request may come from.

An unsafe request is refused before its body is read unless the browser says it comes from our own pages.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any
from urllib.parse import urlsplit

import msgspec
from anyio import to_thread
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult
from sqlalchemy import Connection

from admin.language import Language, chosen_language
from hub.casework.notices import count_unread
from hub.database import Database, set_reach, utc_now
from hub.errors import NotAllowed
from hub.keyring import Keyring
from hub.origins import client_address
from hub.registry.accounts import who_acts
from hub.registry.organisations import Organisation
from hub.registry.scope import reach_of
from hub.registry.sessions import Asked, Session, find_session
from hub.settings import AccountPolicy

SESSION_COOKIE = "__Host-sid"
LANGUAGE_COOKIE = "__Host-lang"
ITSELF_COOKIE = "__Host-itself"  # for a moment: the page that is asked for next is asked for by no hand
_A_MOMENT = 5
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class ForeignRequest(NotAllowed):
    """请从本系统的页面上操作。 Please use this system's own pages."""

    problem = "foreign-request"


class StaleForm(NotAllowed):
    """页面已过期，请刷新后重试。 This page is out of date: reload it and try again."""

    problem = "stale-form"


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One request's browser: signed in or not, and the token its forms must carry."""

    value: str  # of the session cookie
    is_new: bool  # the cookie must be set: none came, or one that is not ours
    token: str
    language: Language
    session: Session | None = None
    pending: Session | None = None  # the password was right, the second factor is still missing: not signed in
    organisation: Organisation | None = None
    unread: int = 0  # notices of the account's unit that nobody there has read

    def check_token(self, token: str | None) -> None:
        if not hmac.compare_digest((token or "").encode(), self.token.encode()):
            raise StaleForm()


class Knock(msgspec.Struct, frozen=True, kw_only=True):
    """What a request brings before anybody knows whose it is."""

    value: str
    language: Language
    address: str
    asked: Asked


class VisitMiddleware(AbstractAuthenticationMiddleware):
    """Cookie to session to Actor; a value nobody issued is replaced, never taken over."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        if connection.scope.get("method") not in _SAFE_METHODS:
            refuse_foreign_origin(connection)
        value = connection.cookies.get(SESSION_COOKIE, "")
        language = chosen_language(connection.cookies.get(LANGUAGE_COOKIE))
        state = connection.app.state
        knock = Knock(value=value, language=language, address=client_address(connection), asked=_asked(connection))
        return await to_thread.run_sync(_look_up, state.database, state.keyring, state.settings.accounts, knock)


def _asked(connection: ASGIConnection[Any, Any, Any, Any]) -> Asked:
    """By whom: a route says so in its ``opt``; or the page was left alone and comes back by itself."""
    said: Asked = connection.route_handler.opt.get("asked", "by-hand")
    comes_back = connection.scope.get("method") in _SAFE_METHODS and ITSELF_COOKIE in connection.cookies
    return "by-itself" if comes_back and said == "by-hand" else said


def refuse_foreign_origin(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Sec-Fetch-Site decides; without it Origin must be our own host; without either, refuse."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        own = site == "same-origin"
    else:
        origin = connection.headers.get("origin", "")
        own = bool(origin) and urlsplit(origin).netloc == connection.headers.get("host")
    if not own:
        raise ForeignRequest()


def session_cookie(value: str) -> Cookie:
    return Cookie(key=SESSION_COOKIE, value=value, path="/", secure=True, httponly=True, samesite="strict")


def no_session_cookie() -> Cookie:
    """What takes the session's value out of the browser: with all attributes, or a browser keeps a ``__Host-`` cookie."""
    return Cookie(key=SESSION_COOKIE, value="", path="/", secure=True, httponly=True, samesite="strict", max_age=0)


def language_cookie(language: Language) -> Cookie:
    year = 365 * 24 * 3600
    return Cookie(
        key=LANGUAGE_COOKIE, value=language, path="/", secure=True, httponly=True, samesite="strict", max_age=year
    )


def by_itself_cookie() -> Cookie:
    return Cookie(
        key=ITSELF_COOKIE, value="1", path="/", secure=True, httponly=True, samesite="strict", max_age=_A_MOMENT
    )


def anonymous_visit(keyring: Keyring, value: str, language: Language) -> Visit:
    """Not signed in: the cookie holds a value we signed, so that the sign-in form's token can be bound to it."""
    is_new = not _is_ours(keyring, value)
    kept = _issue(keyring) if is_new else value
    return Visit(value=kept, is_new=is_new, token=_mac(keyring, "form", kept), language=language)


def _look_up(database: Database, keyring: Keyring, policy: AccountPolicy, knock: Knock) -> AuthenticationResult:
    with database.begin() as connection:
        session = find_session(connection, knock.value, utc_now(), policy, knock.asked) if knock.value else None
        known = _recognise(connection, policy, knock, session) if session else None
    if known is None:
        return AuthenticationResult(user=None, auth=anonymous_visit(keyring, knock.value, knock.language))
    return known


def _recognise(
    connection: Connection, policy: AccountPolicy, knock: Knock, session: Session
) -> AuthenticationResult | None:
    """Whoever has only given the password is nobody yet, for every page but that of the second factor."""
    visit = Visit(value=knock.value, is_new=False, token=session.token, language=knock.language)
    found = who_acts(connection, session.account_id, "panel", policy, knock.address)
    if found is None:
        return None
    if session.level != "full":
        return AuthenticationResult(user=None, auth=msgspec.structs.replace(visit, pending=session))
    actor, its = found
    set_reach(connection, reach_of(actor))
    known = {"session": session, "organisation": its, "unread": count_unread(connection, actor)}
    return AuthenticationResult(user=actor, auth=msgspec.structs.replace(visit, **known))


def _issue(keyring: Keyring) -> str:
    value = secrets.token_urlsafe(24)
    return f"{value}.{_mac(keyring, 'visit', value)}"


def _is_ours(keyring: Keyring, value: str) -> bool:
    issued, _, mac = value.partition(".")
    return bool(mac) and hmac.compare_digest(mac.encode(), _mac(keyring, "visit", issued).encode())


def _mac(keyring: Keyring, purpose: str, value: str) -> str:
    return hmac.new(keyring.digest_key, f"panel:{purpose}:{value}".encode(), hashlib.sha256).hexdigest()
