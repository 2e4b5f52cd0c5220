"""Bad rows corrected in the browser: what was written, why it was not taken, and a field to write it right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from sqlalchemy import Row

from admin.correct_rows import choices_for, show_rows
from admin.desk_forms import FORM, Form
from admin.language import N_
from admin.pages import go, show
from admin.submission_view import Asking, read_own, told_of
from hub.database import Database
from hub.decisions import correcting
from hub.errors import BadRequest, FileRefused, HubError
from hub.exchange.related import find_undo
from hub.exchange.retention import FileExpired, is_expired
from hub.registry.areas import load_area_index
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

A_PAGE = 25
_CELL = re.compile(r"([ck])-(\d{1,9})-(\d{1,4})")
After = Annotated[int, QueryParameter(name="after", ge=0)]
MOST_CARRIED = 200_000  # bytes of the form that other pages' cells may take: its page needs the rest
Typed = correcting.Typed


class TooMuchTyped(BadRequest):
    """已改的格太多，请先送出这些，再接着改后面的行。 Too many cells were changed: send these first, then go on."""

    problem = "too-much-typed"


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
        if form.get("go", "").isdecimal():
            return _turn_page(request, database, settings, catalogue, submission_id, after, form)
        try:
            accepted = correcting.send_corrected(
                database, settings, catalogue, request.user, submission_id, typed, seen
            )
        except correcting.RowsSentAgain as refused:
            return _show_page(request, database, settings, catalogue, submission_id, after, typed, refused)
        except (correcting.NothingCorrected, FileRefused) as refused:
            return _show_page(request, database, settings, catalogue, submission_id, after, typed, refused, seen)
        except (correcting.NotCorrectable, FileExpired) as refused:
            return _show_closed(request, database, catalogue, submission_id, refused)
        repeated = "?repeated=true" if accepted.repeated else ""
        return go(request, f"/submissions/{accepted.submission_id}{repeated}")


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """Where a page stands among the others; ``back`` and ``more``: behind which rows the pages beside it begin."""

    number: int
    many: int
    back: int | None
    more: int | None

    @classmethod
    def of(cls, bad: correcting.BadRows) -> Pages:
        behind = bad.left - bad.before - len(bad.rows)
        pages_before, pages_behind = -(-bad.before // A_PAGE), -(-behind // A_PAGE)
        return cls(
            number=pages_before + 1, many=pages_before + 1 + pages_behind, back=bad.back if bad.before else None,
            more=bad.rows[-1].row_no if behind and bad.rows else None,
        )  # fmt: skip


class Carried(msgspec.Struct, frozen=True):
    """A row of another page that was corrected: its place in the sheet, and the fields that say so."""

    sheet: str
    row: int
    cells: list[tuple[str, str]]


def carried_cells(bad: correcting.BadRows) -> list[Carried]:
    """As hidden fields of this page's form, named as the fields they were written in."""
    return [
        Carried(sheet, number, [(f"c-{row.row_no}-{column}", text) for column, text in row.cells.items()])
        for (sheet, number), row in bad.typed.items()
    ]


def typed_cells(form: Mapping[str, str]) -> dict[int, dict[int, str]]:
    """Row number -> column -> what stands in its field; an empty ``k`` field leaves its cell as it is."""
    typed: dict[int, dict[int, str]] = {}
    for name, text in form.items():
        cell = _CELL.fullmatch(name)
        if cell and (text or cell[1] == "c"):
            typed.setdefault(int(cell[2]), {})[int(cell[3])] = text
    return typed


def _turn_page(
    request: Asking,
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    submission_id: UUID,
    after: int,
    form: Mapping[str, str],
) -> Response[Any]:
    """Another page of the same rows; what was written so far goes with it in the form, and nowhere else."""
    typed, came_from = typed_cells(form), int(form["go"][:9])
    if _carried_bytes(form) > MOST_CARRIED:
        too_much = TooMuchTyped()
        return _show_page(
            request, database, settings, catalogue, submission_id, came_from, typed, too_much, _seen(form)
        )
    return _show_page(request, database, settings, catalogue, submission_id, after, typed, seen=_seen(form))


def _carried_bytes(form: Mapping[str, str]) -> int:
    """What the fields take as a browser sends them."""
    return len(urlencode({name: text for name, text in form.items() if _CELL.fullmatch(name)}))


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
    seen: UUID | None = None,
) -> Response[Any]:
    """A page of the rows still to be corrected, with what was typed; ``seen``: the thread's last file by then."""
    try:
        with database.begin(reach_of(request.user)) as connection:
            page = read_own(connection, catalogue, request.user, submission_id, request.auth)
            read = partial(
                correcting.read_bad_rows, connection, settings, catalogue, request.user, submission_id, limit=A_PAGE,
                typed=typed,
            )  # fmt: skip
            bad = read(after=after)
            if not bad.rows and bad.typed:  # the rows of this page were sent again meanwhile, others were written here
                after, bad = 0, read(after=0)
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
        seen=seen or bad.newest.submission_id,
        pages=Pages.of(bad),
        carried=carried_cells(bad),
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
        row = page["row"]
        undone = find_undo(connection, request.user, row) is not None
    return show(
        request, "correct.html", status=why.status, rows=[], choices={}, left=0, newest=row, after=0, error="",
        newer=None, gone=[], closed_because=_told(why, request), instead=_INSTEAD[_closed_as(row, undone)], **page,
    )  # fmt: skip


_INSTEAD = {
    "expired": N_("请在您自己的原表里改好，只留要改的行，另存后上传；已入库的行再报一次也不会重复。"),
    "all_or_nothing": N_("这一类须全部通过才收，所以一行也没有入库。请下载带标注的原表，改好标红的格，整份重新上传。"),
    "refused": N_("整份没有收下，没有可以逐行改的行。请按下面的退回原因改好原表，整份重新上传。"),
    "failed": N_("这一份没有处理成功，没有可以逐行改的行。请把原表重新上传；再不成功请联系信息中心。"),
    "asking": N_("这一份还在等您确认列名，确认以后才知道哪些行有差错。"),
    "waits": N_("这一份还没有处理完。处理完以后，有差错的行才可以在这里改。"),
    "undone": N_("这一份已经撤销，里面的行都不算数。请改好原表，重新上传。"),
    "not_a_file": N_("这一份不是上传的表，没有可以逐行改的行。请在原来那份报送里改。"),
    "long": N_("这份表行数太多，逐行改太慢。请下载带标注的原表，改好标红的格再上传，只算改过的行。"),
    "gone": N_("原表已经不在或打不开。请在您自己的原表里改好，只留要改的行，另存后上传。"),
    "good": N_("这一份没有退回或待核的行，不用改。"),
}


def _closed_as(row: Row[Any], undone: bool) -> str:
    if is_expired(row):
        return "expired"
    if row.state == "refused":
        return "all_or_nothing" if (row.refusal or {}).get("code") == "F_ALL_OR_NOTHING" else "refused"
    if row.state in ("failed", "asking"):
        return str(row.state)
    if row.state != "merged":
        return "waits"
    if undone:
        return "undone"
    if row.kind not in ("regular", "backfill"):
        return "not_a_file"
    if not row.refused + row.held:
        return "good"
    return "long" if row.received > correcting.MOST_ROWS else "gone"
