"""What unknown columns mean: each header with the fields it may stand for; a person chooses, nothing is chosen before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Row

from admin.desk_forms import FORM, Form
from admin.language import N_, Language, titled, translator
from admin.pages import go, show
from admin.submission_view import Asking, read_own, told_of
from hub.database import Database
from hub.decisions.columns import confirm_columns
from hub.errors import BadRequest, Conflict
from hub.exchange.layout import CHANGE_KIND
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue, RecordType

_RIGHT = {"right": Right.SUBMIT}
_UNDECIDED = N_("请选择一项；不要的列选“不采用”。")
_NOT_TAKEN = "-"
_CHANGE_KIND = N_("变动标识")


class AskedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One unknown header on the form."""

    name: str  # of the form's field
    header: str
    letter: str
    suggested: list[tuple[str, str, int]]  # field, title, score
    others: list[tuple[str, str]]  # field, title


class ColumnsController(Controller):
    """/submissions/{id}/columns."""

    path = "/submissions/{submission_id:uuid}/columns"

    @get(opt=_RIGHT, sync_to_thread=True)
    def ask(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
    ) -> Response[Any]:
        return _page(request, database, catalogue, submission_id, {})

    @post(opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def answer(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        submission_id: FromPath[UUID],
    ) -> Response[Any]:
        page = _read(request, database, catalogue, submission_id)
        columns = asked_columns(page["row"], page["record_type"], request.auth.language)
        if errors := {each.name: _UNDECIDED for each in columns if not form.get(each.name)}:
            return _show(request, page, columns, form, errors)
        choices = {each.header: form[each.name].removeprefix(_NOT_TAKEN) for each in columns}
        try:
            confirm_columns(database, settings, request.user, submission_id, choices, catalogue)
        except (BadRequest, Conflict) as refused:
            return _show(request, page, columns, form, {"": told_of(refused, request.auth)})
        return go(request, f"/submissions/{submission_id}")


def asked_columns(row: Row[Any], record_type: RecordType, language: Language) -> list[AskedColumn]:
    """The question as a form; fields that a known column fills are not offered."""
    question: Mapping[str, Any] = row.waiting if row.state == "asking" else {"headers": (), "known": ()}
    taken = {each["field"] for each in question["known"]}
    known = {field.name: titled(field.title, field.title_en, language) for field in record_type.fields}
    known[CHANGE_KIND] = translator(language)(_CHANGE_KIND)
    free = {field: title for field, title in known.items() if field not in taken}
    return [_asked(f"column-{place}", each, question, free) for place, each in enumerate(question["headers"])]


def _asked(name: str, asked: Mapping[str, str], question: Mapping[str, Any], free: dict[str, str]) -> AskedColumn:
    near = [each for each in question["suggestions"] if each["header"] == asked["header"]]
    suggested = [(each["field"], free.get(each["field"], each["title"]), each["score"]) for each in near]
    likely = {field for field, _, _ in suggested}
    return AskedColumn(
        name=name,
        header=asked["header"],
        letter=asked["letter"],
        suggested=suggested,
        others=[(field, title) for field, title in free.items() if field not in likely],
    )


def _read(request: Asking, database: Database, catalogue: Catalogue, submission_id: UUID) -> dict[str, Any]:
    with database.begin(reach_of(request.user)) as connection:
        return read_own(connection, catalogue, request.user, submission_id, request.auth)


def _page(
    request: Asking, database: Database, catalogue: Catalogue, submission_id: UUID, form: dict[str, str]
) -> Response[Any]:
    page = _read(request, database, catalogue, submission_id)
    if page["row"].state != "asking":
        return go(request, f"/submissions/{submission_id}")
    return _show(request, page, asked_columns(page["row"], page["record_type"], request.auth.language), form, {})


def _show(
    request: Asking, page: dict[str, Any], columns: list[AskedColumn], form: dict[str, str], errors: dict[str, str]
) -> Response[Any]:
    question = page["row"].waiting or {"missing": (), "known": (), "sheet": "", "header_row": 0}
    return show(
        request,
        "columns.html",
        status=422 if errors else 200,
        columns=columns,
        question=question,
        given=form,
        errors=errors,
        headers={each.name: each.header for each in columns},
        **page,
    )
