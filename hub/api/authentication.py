"""An API key or a token in the Authorization header, or a client certificate, becomes an Actor; all else is nobody."""

from __future__ import annotations

from typing import Any

import msgspec
from anyio import to_thread
from litestar.connection import ASGIConnection
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult

from hub.database import Database, utc_now
from hub.errors import NotSignedIn
from hub.origins import client_address, client_certificate
from hub.registry.machine_identity import actor_of_bearer, actor_of_certificate
from hub.registry.permissions import Actor


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a request shows of who sends it."""

    bearer: str
    certificate: bytes | None
    address: str


async def refuse_revoked(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Whoever was let in and then waited is asked for the key again, which may have been revoked meanwhile."""
    if await to_thread.run_sync(_look_up, connection.app.state.database, _shown(connection)) is None:
        raise NotSignedIn()


class ApiKeyMiddleware(AbstractAuthenticationMiddleware):
    """``Authorization: Bearer`` with a key or a token, else the certificate; the guard decides what nobody may do."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        shown = _shown(connection)
        if not shown.bearer and shown.certificate is None:
            return AuthenticationResult(user=None, auth=None)
        actor = await to_thread.run_sync(_look_up, connection.app.state.database, shown)
        return AuthenticationResult(user=actor, auth=None)


def _shown(connection: ASGIConnection[Any, Any, Any, Any]) -> Shown:
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    return Shown(
        bearer=bearer.strip() if scheme.lower() == "bearer" else "",
        certificate=client_certificate(connection),
        address=client_address(connection),
    )


def _look_up(database: Database, shown: Shown) -> Actor | None:
    """A bearer that is sent is what counts: a wrong one is not made good by a certificate."""
    now, address = utc_now(), shown.address
    with database.begin() as connection:
        if shown.bearer:
            return actor_of_bearer(connection, shown.bearer, now=now, address=address, certificate=shown.certificate)
        return actor_of_certificate(connection, shown.certificate or b"", now, address)
