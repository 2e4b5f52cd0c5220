"""A machine trades its key or its certificate for a token that lives a few minutes (OAuth 2.0 client credentials).

RFC 6749, 4.4 and 5.2; RFC 8705 for certificates. Errors of this route have the form the RFC gives them, which allows
ASCII alone: so their sentence is English.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency, Provide

from hub.database import Database, utc_now
from hub.origins import client_address, client_certificate
from hub.registry.permissions import Right
from hub.registry.tokens import Granted, Presented, grant_token
from hub.settings import Settings

_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 16
_HEADERS = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_ERRORS = {
    "invalid_request": (400, "Send each parameter once, form-encoded, with grant_type and one client authentication."),
    "unsupported_grant_type": (400, "Only grant_type=client_credentials is offered."),
    "invalid_scope": (400, "The key does not have every scope asked for."),
    "invalid_client": (401, "The client is unknown, its key is no longer good, or it may not come from this address."),
}


class UnfitRequest(Exception):
    """The request itself is wrong; its argument is the error's name."""


async def token_form(request: Request[Any, Any, Any]) -> dict[str, str] | None:
    """Dependency: the fields of the form; None if it is none, or one of them comes twice (RFC 6749, 3.2)."""
    if request.content_type[0] != _FORM:
        return None
    try:
        sent = (await request.body()).decode("utf-8")
        pairs = parse_qsl(sent, strict_parsing=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        return None
    return dict(pairs) if len(dict(pairs)) == len(pairs) else None


class TokenController(Controller):
    """/v1/oauth/token."""

    @post(
        "/oauth/token",
        opt={"right": Right.PUBLIC},
        dependencies={"token_form": Provide(token_form)},
        status_code=200,
        sync_to_thread=True,
        summary="以密钥或证书换取短期令牌 / Trade a key or certificate for a short-lived token",
    )
    def grant(
        self,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        token_form: NamedDependency[dict[str, str] | None],
    ) -> Response[dict[str, Any]]:
        try:
            presented, scopes = _read(request, token_form)
        except UnfitRequest as unfit:
            return _answer_error(str(unfit))
        lifetime = timedelta(minutes=settings.token_minutes)
        with database.begin() as connection:
            done = grant_token(connection, presented, scopes, lifetime=lifetime, now=utc_now())
        return _answer_token(done) if isinstance(done, Granted) else _answer_error(done.error)


def _read(request: Request[Any, Any, Any], form: Mapping[str, str] | None) -> tuple[Presented, list[str]]:
    if not form or "grant_type" not in form:
        raise UnfitRequest("invalid_request")
    if form["grant_type"] != "client_credentials":
        raise UnfitRequest("unsupported_grant_type")
    return _presented(request, form), form.get("scope", "").split()


def _presented(request: Request[Any, Any, Any], form: Mapping[str, str]) -> Presented:
    """One way of authentication alone: HTTP Basic, the body, or the certificate of the connection."""
    basic = request.headers.get("authorization")
    if basic is not None and "client_secret" in form:
        raise UnfitRequest("invalid_request")
    client, secret = _read_basic(basic) if basic is not None else (form.get("client_id", ""), form.get("client_secret"))
    if form.get("client_id", client) != client:
        raise UnfitRequest("invalid_request")
    address = client_address(request)
    return Presented(client=client, secret=secret, certificate=client_certificate(request), address=address)


def _read_basic(header: str) -> tuple[str, str]:
    """Both parts are form-encoded before they are joined (RFC 6749, 2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    try:
        client, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise UnfitRequest("invalid_client") from None
    if scheme.lower() != "basic" or not colon:
        raise UnfitRequest("invalid_client")
    return unquote_plus(client), unquote_plus(secret)


def _answer_token(granted: Granted) -> Response[dict[str, Any]]:
    content = {
        "access_token": granted.text,
        "token_type": "Bearer",
        "expires_in": int(granted.lifetime.total_seconds()),
        "scope": " ".join(granted.scopes),
    }
    return Response(content, headers=_HEADERS)


def _answer_error(error: str) -> Response[dict[str, Any]]:
    status, sentence = _ERRORS[error]
    challenge = {"WWW-Authenticate": 'Basic realm="hub", charset="UTF-8"'} if error == "invalid_client" else {}
    content = {"error": error, "error_description": sentence}
    return Response(content, status_code=status, headers={**_HEADERS, **challenge})
