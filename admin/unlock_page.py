"""The opening password of a file that was refused for it: typed here, used once, kept nowhere."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from admin.desk_forms import FORM, Form
from admin.language import N_
from admin.pages import go, show
from admin.submission_view import Asking, read_own, told_of
from hub.database import Database
from hub.decisions.unlocking import TooManyTries, WrongPassword, unlock
from hub.errors import Conflict, FileRefused
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.sentences import sentence_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_RIGHT = {"right": Right.SUBMIT}
_EMPTY = N_("请填写此项。")


class UnlockController(Controller):
    """/submissions/{id}/unlock."""

    path = "/submissions/{submission_id:uuid}/unlock"

    @get(opt=_RIGHT, sync_to_thread=True)
    def ask(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
    ) -> Response[Any]:
        page = _read(request, database, catalogue, submission_id)
        return show(request, "unlock.html", error="", **page) if page["powers"].unlocks else _back(request, page)

    @post(opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def send(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        submission_id: FromPath[UUID],
    ) -> Response[Any]:
        page = _read(request, database, catalogue, submission_id)
        if not form.get("file_password"):
            return show(request, "unlock.html", status=422, error=_EMPTY, **page)
        try:
            accepted = unlock(database, settings, request.user, submission_id, form["file_password"])
        except (WrongPassword, TooManyTries, FileRefused) as refused:
            told = sentence_of(refused, english=request.auth.language == "en")
            return show(request, "unlock.html", status=refused.status, error=told, **page)
        except Conflict as refused:
            return show(request, "unlock.html", status=409, error=told_of(refused, request.auth), **page)
        return go(request, f"/submissions/{accepted.submission_id}")


def _read(request: Asking, database: Database, catalogue: Catalogue, submission_id: UUID) -> dict[str, Any]:
    with database.begin(reach_of(request.user)) as connection:
        return read_own(connection, catalogue, request.user, submission_id, request.auth)


def _back(request: Asking, page: dict[str, Any]) -> Response[Any]:
    return go(request, f"/submissions/{page['row'].submission_id}")
