"""An API key in the Authorization header becomes an Actor; anything else stays nobody."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from litestar.connection import ASGIConnection
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult

from hub.database import Database, utc_now
from hub.registry.api_keys import actor_of_key
from hub.registry.permissions import Actor


class ApiKeyMiddleware(AbstractAuthenticationMiddleware):
    """``Authorization: Bearer hub_<prefix>_<secret>``; the guard decides what nobody may do."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return AuthenticationResult(user=None, auth=None)
        database: Database = connection.app.state.database
        actor = await to_thread.run_sync(_look_up, database, key.strip())
        return AuthenticationResult(user=actor, auth=None)


def _look_up(database: Database, key: str) -> Actor | None:
    with database.begin() as connection:
        return actor_of_key(connection, key, now=utc_now())
