"""Bad rows corrected in the browser: what was written, why it was not taken, and a field to write it right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from admin.correct_rows import choices_for, show_rows
from admin.desk_forms import FORM, Form
from admin.pages import go, show
from admin.submission_view import Asking, read_own, told_of
from hub.database import Database
from hub.decisions import correcting
from hub.errors import FileRefused, HubError
from hub.exchange import listing
from hub.exchange.retention import FileExpired
from hub.registry.areas import load_area_index
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

A_PAGE = 25
_CELL = re.compile(r"([ck])-(\d{1,9})-(\d{1,4})")
After = Annotated[int, QueryParameter(name="after", ge=0)]
Typed = Mapping[int, Mapping[int, str]]


class CorrectController(Controller):
    """/submissions/{id}/correct."""

    path = "/submissions/{submission_id:uuid}/correct"

    @get(opt={"right": Right.SUBMIT}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
        after: After = 0,
    ) -> Response[Any]:
        return _show_page(request, database, settings, catalogue, submission_id, after, {})

    @post(opt={"right": Right.SUBMIT}, dependencies=FORM, status_code=200, sync_to_thread=True)
    def send(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        submission_id: FromPath[UUID],
        after: After = 0,
    ) -> Response[Any]:
        typed, seen = typed_cells(form), _seen(form)
        try:
            accepted = correcting.send_corrected(
                database, settings, catalogue, request.user, submission_id, typed, seen
            )
        except (correcting.NothingCorrected, correcting.RowsSentAgain, FileRefused) as refused:
            return _show_page(request, database, settings, catalogue, submission_id, after, typed, refused)
        except (correcting.NotCorrectable, FileExpired) as refused:
            return _show_closed(request, database, catalogue, submission_id, refused)
        repeated = "?repeated=true" if accepted.repeated else ""
        return go(request, f"/submissions/{accepted.submission_id}{repeated}")


def typed_cells(form: Mapping[str, str]) -> dict[int, dict[int, str]]:
    """Row number -> column -> what stands in its field; an empty ``k`` field leaves its cell as it is."""
    typed: dict[int, dict[int, str]] = {}
    for name, text in form.items():
        cell = _CELL.fullmatch(name)
        if cell and (text or cell[1] == "c"):
            typed.setdefault(int(cell[2]), {})[int(cell[3])] = text
    return typed


def _seen(form: Mapping[str, str]) -> UUID | None:
    try:
        return UUID(form.get("seen", ""))
    except ValueError:
        return None


def _show_page(
    request: Asking,
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    submission_id: UUID,
    after: int,
    typed: Typed,
    refused: HubError | None = None,
) -> Response[Any]:
    """The rows still to be corrected; with what was typed, where it was not sent."""
    try:
        with database.begin(reach_of(request.user)) as connection:
            page = read_own(connection, catalogue, request.user, submission_id, request.auth)
            bad = correcting.read_bad_rows(
                connection, settings, catalogue, request.user, submission_id, after=after, limit=A_PAGE
            )
            areas = load_area_index(connection)
    except (correcting.NotCorrectable, FileExpired) as closed:
        return _show_closed(request, database, catalogue, submission_id, closed)
    record_type, actor = page["record_type"], request.user
    rows = show_rows(bad, catalogue, record_type, actor, request.auth.language, typed)
    answer = show(
        request,
        "correct.html",
        status=refused.status if refused else 200,
        rows=rows,
        choices=choices_for(rows, catalogue, record_type, areas, actor.area_id),
        left=bad.left,
        newest=bad.newest,
        more=bad.rows[-1].row_no if len(bad.rows) == A_PAGE and bad.left > A_PAGE else None,
        after=after,
        error=_told(refused, request) if refused else "",
        newer=bad.newest if isinstance(refused, correcting.RowsSentAgain) else None,
        gone=_gone_rows(refused),
        closed_because="",
        **page,
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _told(refused: HubError, request: Asking) -> str:
    return told_of(type(refused)(), request.auth)


def _gone_rows(refused: HubError | None) -> list[int]:
    found = refused.facts.get("rows") if refused else None
    return list(found) if isinstance(found, list) else []


def _show_closed(
    request: Asking, database: Database, catalogue: Catalogue, submission_id: UUID, why: HubError
) -> Response[Any]:
    """Why it cannot be done here, and what can be done instead."""
    with database.begin(reach_of(request.user)) as connection:
        page = read_own(connection, catalogue, request.user, submission_id, request.auth)
        row = listing.find_submission(connection, request.user, submission_id)
    return show(
        request, "correct.html", status=why.status, rows=[], choices={}, left=0, newest=row, more=None, after=0, error="",
        newer=None, gone=[], closed_because=_told(why, request), **page,
    )  # fmt: skip
