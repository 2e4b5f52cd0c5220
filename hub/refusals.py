"""A refusal leaves its line in the audit: who was refused what, at which door. After the answer, so that it costs nobody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from litestar import Request
from litestar.background_tasks import BackgroundTask

from hub import audit
from hub.database import Database
from hub.errors import HubError
from hub.origins import client_address
from hub.registry.permissions import Actor, Right

_NOTED = (403, 404)
_log = structlog.get_logger("hub.refusals")


def note_refusal(request: Request[Any, Any, Any], error: Exception) -> BackgroundTask | None:
    """What is left to do after the answer: one audit line, if somebody was refused or asked for what is not theirs."""
    who: Actor | None = request.scope.get("user")
    template = request.scope.get("path_template", "")
    if not template or not _is_noted(request, error, known=who is not None):
        return None
    facts = {"problem": getattr(error, "problem", "not-allowed"), "ids": _ids_in(request)}
    database: Database = request.app.state.database
    return BackgroundTask(_note, database, who or _nobody(request), f"{request.method} {template}", facts)


def _is_noted(request: Request[Any, Any, Any], error: Exception, *, known: bool) -> bool:
    """Refused, or not there for whoever asks; or a key or token was shown that opens nothing."""
    status = error.status if isinstance(error, HubError) else getattr(error, "status_code", 500)
    if status == 401:
        return "authorization" in request.headers
    return status in _NOTED and (known or status != 404)


def _ids_in(request: Request[Any, Any, Any]) -> list[str]:
    """Ids asked for; other parts of an address are whatever somebody typed, and stay out of the audit."""
    return [str(value) for value in request.path_params.values() if isinstance(value, UUID)]


def _nobody(request: Request[Any, Any, Any]) -> Actor:
    return Actor(name="?", organisation="?", kind="", door="web", rights=frozenset(), address=client_address(request))


def _note(database: Database, who: Actor, object: str, facts: dict[str, object]) -> None:
    """Nothing was done and nothing given: a line that cannot be written is logged, and the refusal stands."""
    try:
        with database.begin() as connection:
            audit.record(connection, who, Right.SIGNED_IN, object, "refused", **facts)
    except Exception as wrong:
        _log.error("refusal not noted", kind=type(wrong).__name__)
