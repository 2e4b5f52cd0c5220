"""A masked value in full: first the reason is asked for, then the value is shown, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from sqlalchemy import Connection

from admin.forms import plain_form
from admin.language import N_
from admin.pages import show
from admin.visits import Visit
from hub.database import Database
from hub.exchange.unmasking import BadReason, Unmasked, unmask_change, unmask_error, unmask_row
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of, scope_for
from mappings.catalogue import Catalogue

Asking = Request[Actor, Visit, Any]
Form = NamedDependency[dict[str, str]]
Read = Callable[[Connection, str], Unmasked]

_FORM = {"form": Provide(plain_form)}
_RIGHT = {"right": Right.UNMASK}
_BAD_REASON = N_("请用 4 至 200 个字说明理由，不要写身份号码、电话等号码。")
_ERROR = "/errors/{submission_id:uuid}/{row_no:int}/{error_no:int}"
_CHANGE = "/changes/{seq:int}"
_ROW = "/rows/{submission_id:uuid}/{row_no:int}"


class UnmaskingController(Controller):
    """/unmask: one value of a row error, of a change, of a sent row."""

    path = "/unmask"

    @get([_ERROR, _CHANGE, _ROW], opt=_RIGHT, sync_to_thread=False)
    def ask(self, request: Asking) -> Response[str]:
        return _page(request)

    @post(_ERROR, opt=_RIGHT, dependencies=_FORM, status_code=200, sync_to_thread=True)
    def show_error(
        self,
        request: Asking,
        database: NamedDependency[Database],
        form: Form,
        submission_id: FromPath[UUID],
        row_no: FromPath[int],
        error_no: FromPath[int],
    ) -> Response[str]:
        def read(connection: Connection, reason: str) -> Unmasked:
            return unmask_error(connection, request.user, submission_id, row_no, error_no, reason)

        return _answer(request, database, form, read)

    @post(_CHANGE, opt=_RIGHT, dependencies=_FORM, status_code=200, sync_to_thread=True)
    def show_change(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        seq: FromPath[int],
    ) -> Response[str]:
        def read(connection: Connection, reason: str) -> Unmasked:
            scope = scope_for(request.user, load_area_index(connection))
            return unmask_change(connection, catalogue, scope, seq, reason)

        return _answer(request, database, form, read)

    @post(_ROW, opt=_RIGHT, dependencies=_FORM, status_code=200, sync_to_thread=True)
    def show_row(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        submission_id: FromPath[UUID],
        row_no: FromPath[int],
    ) -> Response[str]:
        def read(connection: Connection, reason: str) -> Unmasked:
            return unmask_row(connection, request.user, catalogue, submission_id, row_no, reason)

        return _answer(request, database, form, read)


def _answer(request: Asking, database: Database, form: dict[str, str], read: Read) -> Response[str]:
    """The value, once its audit line is committed; or the form again, if the reason is none."""
    try:
        with database.begin(reach_of(request.user)) as connection:
            unmasked = read(connection, form.get("reason", ""))
    except BadReason:
        return _page(request, status=422, error=_BAD_REASON, reason=form.get("reason", "")[:200])
    return _page(request, unmasked=unmasked)


def _page(
    request: Asking, *, status: int = 200, unmasked: Unmasked | None = None, error: str = "", reason: str = ""
) -> Response[str]:
    answer = show(request, "unmask.html", status=status, unmasked=unmasked, error=error, reason=reason)
    answer.headers["Cache-Control"] = "no-store"
    return answer
