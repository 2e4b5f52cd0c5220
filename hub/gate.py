"""Who may pass: every route names one right in its ``opt``; a route that names none lets nobody in."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from hub.errors import NotAllowed, NotSignedIn
from hub.registry.permissions import Actor, Right


def require_right(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of the whole application. ``right`` may be one right or several, any of which is enough."""
    wanted = _wanted_rights(handler)
    if Right.PUBLIC in wanted:
        return
    actor: Actor | None = connection.scope.get("user")
    if actor is None:
        raise NotSignedIn()
    if not any(actor.may(right) for right in wanted):
        raise NotAllowed()


def _wanted_rights(handler: BaseRouteHandler) -> tuple[Right, ...]:
    named = handler.opt.get("right")
    if named is None:
        return ()
    return (named,) if isinstance(named, Right) else tuple(named)
