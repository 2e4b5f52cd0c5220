"""Taking a submission back: what that would do, what stands in the way, and the reason; then it is done."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Connection

from admin.desk_forms import FORM, Form
from admin.pages import go, show
from admin.submission_view import Asking, read_own, told_of
from admin.words import EFFECTS
from hub.database import Database
from hub.decisions.undoing import UndoPreview, preview_undo, undo
from hub.errors import BadRequest, Conflict, HubError, NotAllowed, NotFound
from hub.exchange import receipts
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_RIGHT = {"right": Right.SUBMIT}


class UndoController(Controller):
    """/submissions/{id}/undo."""

    path = "/submissions/{submission_id:uuid}/undo"

    @get(opt=_RIGHT, sync_to_thread=True)
    def ask(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
    ) -> Response[Any]:
        return _show(request, database, settings, catalogue, submission_id)

    @post(opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def take_back(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        submission_id: FromPath[UUID],
    ) -> Response[Any]:
        reason = form.get("reason", "")
        try:
            accepted = undo(database, settings, request.user, submission_id, reason, catalogue)
        except (BadRequest, Conflict) as refused:
            return _show(request, database, settings, catalogue, submission_id, refused, reason)
        return go(request, f"/submissions/{accepted.submission_id}")


def _show(
    request: Asking,
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    submission_id: UUID,
    error: HubError | None = None,
    reason: str = "",
) -> Response[Any]:
    with database.begin(reach_of(request.user)) as connection:
        page = read_own(connection, catalogue, request.user, submission_id, request.auth)
    preview: UndoPreview | None = None
    try:
        preview = preview_undo(database, settings, request.user, submission_id, catalogue)
    except (Conflict, NotAllowed) as refused:
        error = error or refused
    with database.begin(reach_of(request.user)) as connection:
        standing = [(one, _address(connection, one.receipt)) for one in preview.blocking] if preview else []
    return show(
        request,
        "undo.html",
        status=error.status if error else 200,
        preview=preview,
        standing=standing,
        effects=EFFECTS,
        error=told_of(error, request.auth) if error else "",
        reason=reason[:500],
        **page,
    )


def _address(connection: Connection, number: str) -> str:
    """Where a submission in the way is to be seen; "" if it is not this organisation's."""
    try:
        return f"/submissions/{receipts.find(connection, number).submission_id}"
    except NotFound:
        return ""
