"""Rows that were refused or wait, corrected by their sender and sent again: a new submission of the same thread.

What goes out is what the corrected workbook would bring back: the rows alone, in their own places of the sheet.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, or_, select, union

from adapters.formats.sandbox import Limits, UnreadableFile
from hub import audit
from hub.database import Database
from hub.errors import BadRequest, Conflict, NotFound
from hub.exchange import listing
from hub.exchange.header_choices import load_choices
from hub.exchange.layout import vocabulary_of
from hub.exchange.related import find_undo
from hub.exchange.retention import is_expired, refuse_expired
from hub.exchange.rival_rows import SheetRanges
from hub.exchange.sheet_rows import SheetRows, read_sheet_rows
from hub.exchange.workbooks.corrected import CorrectedRow, Place, corrected_file
from hub.exchange.workbooks.returned_results import read_again
from hub.exchange.workbooks.returned_words import plain
from hub.jobs import Accepted, accept
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import Scope, is_care_only, reach_of
from hub.settings import Settings
from hub.tables import held_row, organisation, row_error, submission
from mappings.catalogue import Catalogue

MOST_ROWS = 20_000  # of a file with more rows, the workbook is quicker than the browser
LONGEST_CELL = 2_000
NAMED_AS = "_网页更正"
_SENT = ("regular", "backfill")
_LEVELS = ("error", "hold", "warning", "note")
_UNREAD = ("received", "asking")
Typed = Mapping[int, Mapping[int, str]]  # row number -> column -> text
_LINE_ENDS = re.compile(r"[\r\n]+")


class NotCorrectable(Conflict):
    """这份报送不能在网页上逐行改。 The rows of this submission cannot be corrected here one by one."""

    problem = "not-correctable"


class NothingCorrected(BadRequest):
    """没有改动任何一格，没有送出。 No cell was changed: nothing was sent."""

    problem = "nothing-corrected"


class RowsSentAgain(Conflict):
    """这一份表已有更新的报送，没有送出：请先看它。 A newer file of this sheet has come: nothing was sent, look at it first."""

    problem = "rows-sent-again"


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is not in the register: where it stands; its errors, the worst first; whether it waits for a person."""

    row_no: int
    sheet: str
    sheet_row: int
    errors: Sequence[Row[Any]]
    waits: bool


class BadRows(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a submission's bad rows as they were sent, and the file of the thread that came last."""

    rows: Sequence[BadRow]
    sheets: Sequence[SheetRows]
    left: int  # in all
    newest: Row[Any]
    before: int  # how many of them stand on earlier pages
    back: int  # behind which number the page before this one begins
    typed: Mapping[Place, CorrectedRow]  # of other pages: what was written otherwise there


def is_correctable(row: Row[Any]) -> bool:
    """Whether its bad rows may be corrected one by one: its file is there, and its good rows are in the register."""
    file_is_small = bool(row.stored_as) and row.received <= MOST_ROWS
    bad = row.refused + row.held
    return row.state == "merged" and row.kind in _SENT and file_is_small and bad > 0


def rows_left(connection: Connection, catalogue: Catalogue, actor: Actor, row: Row[Any]) -> set[int]:
    """Numbers of the rows this account may correct in the browser and has not sent again; none where it may not."""
    care_only = is_care_only(catalogue.record_types[row.record_type])
    own = actor.may(Right.SUBMIT) and Scope(actor=actor).stored_file(row.organisation)
    if not own or not is_correctable(row) or (care_only and actor.kind != "care"):
        return set()
    if is_expired(row) or find_undo(connection, actor, row) is not None:
        return set()
    return set(_left(connection, row, _bad_places(connection, row)))


def is_made_here(row: Row[Any]) -> bool:
    """Whether its file is what this room made of corrected rows."""
    return NAMED_AS in row.file_name


def read_bad_rows(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    submission_id: UUID,
    *,
    after: int = 0,
    limit: int = 25,
    typed: Typed | None = None,
) -> BadRows:
    """The rows behind number ``after`` that are still to be corrected; that they were read is noted.

    ``typed``: what was written so far, on this page and on others; the file is read once for all of it.
    """
    row = _own_submission(connection, catalogue, actor, submission_id)
    left = _left(connection, row, _bad_places(connection, row))
    earlier = [number for number in left if number <= after]
    numbers = [number for number in left if number > after][:limit]
    elsewhere = {number: cells for number, cells in (typed or {}).items() if number in left and number not in numbers}
    wanted = {number: left[number] for number in sorted({*numbers, *elsewhere})}
    rows, sheets = _read_rows(connection, settings, catalogue, row, wanted)
    closed = closed_columns(sheets, catalogue, row.record_type, actor)
    read = audit.digest_of(numbers)
    place = f"submission/{submission_id}"
    audit.record(connection, actor, Right.SUBMIT, place, what="rows to correct", rows=len(numbers), digest=read)
    return BadRows(
        rows=[one for one in rows if one.row_no in numbers],
        sheets=sheets,
        left=len(left),
        newest=_newest(connection, row),
        before=len(earlier),
        back=earlier[-limit - 1] if len(earlier) > limit else 0,
        typed=_changed_rows([one for one in rows if one.row_no in elsewhere], sheets, elsewhere, closed),
    )


def send_corrected(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    submission_id: UUID,
    typed: Typed,
    seen: UUID | None,
) -> Accepted:
    """Send the rows whose cells say something else now; row number -> column -> text.

    The same corrections again are the same submission. ``seen``: the thread's last file when the rows were read; if
    another came since, RowsSentAgain names it.
    """
    with database.begin(reach_of(actor)) as connection:
        row = _own_submission(connection, catalogue, actor, submission_id)
        places = {number: at for number, at in _bad_places(connection, row).items() if number in typed}
        rows, sheets = _read_rows(connection, settings, catalogue, row, places)
        changed = _changed_rows(rows, sheets, typed, closed_columns(sheets, catalogue, row.record_type, actor))
        if not changed:
            raise NothingCorrected()
        ending, content = corrected_file(row.receipt_number, sheets, changed)
        if not _was_sent(connection, row, content):
            _refuse_stale(connection, row, changed.values(), places, seen)
    return accept(
        database, settings, actor, stream=io.BytesIO(content), file_name=f"{_stem_of(row.file_name)}{NAMED_AS}.{ending}",
        record_type=row.record_type, organisation=row.organisation, period=row.period, door="upload", kind=row.kind,
        catalogue=catalogue,
    )  # fmt: skip


def closed_columns(
    sheets: Sequence[SheetRows], catalogue: Catalogue, record_type: str, actor: Actor
) -> set[tuple[str, int]]:
    """Columns of clinical facts: on the pages of care alone."""
    known = catalogue.record_types[record_type].by_name
    if actor.kind == "care":
        return set()
    return {
        (sheet.name, column.index)
        for sheet in sheets
        for column in sheet.columns
        if column.field in known and known[column.field].clinical
    }


def same_text(written: str | None, typed: str) -> bool:
    """A browser's field has one line: line ends it dropped are no correction."""
    return _LINE_ENDS.sub("", written or "") == _LINE_ENDS.sub("", typed)


# ---- which rows ----


def _own_submission(connection: Connection, catalogue: Catalogue, actor: Actor, submission_id: UUID) -> Row[Any]:
    require(actor, Right.SUBMIT)
    row = listing.find_submission(connection, actor, submission_id)
    if not Scope(actor=actor).stored_file(row.organisation):
        raise NotFound()
    if is_care_only(catalogue.record_types[row.record_type]) and actor.kind != "care":
        raise NotFound()
    refuse_expired(row)
    if not is_correctable(row) or find_undo(connection, actor, row) is not None:
        raise NotCorrectable(row.receipt_number)
    return row


def _bad_places(connection: Connection, row: Row[Any]) -> dict[int, int]:
    """Row number -> its number in the sheet: refused by the check, waiting, or refused by who decided."""
    error, held = row_error.c, held_row.c
    refused = select(error.row_no, error.sheet_row).where(
        error.submission_id == row.submission_id, error.level == "error"
    )
    waiting = select(held.row_no, held.sheet_row).where(
        held.submission_id == row.submission_id, held.state.in_(("waiting", "refused"))
    )
    return dict(sorted((row_no, sheet_row) for row_no, sheet_row in connection.execute(union(refused, waiting))))


def _left(connection: Connection, row: Row[Any], bad: Mapping[int, int]) -> dict[int, int]:
    """Without those that came back in a later file of the thread."""
    again = {number for one in _came_back(connection, row) for number in one}
    return {number: place for number, place in bad.items() if number not in again}


def _came_back(connection: Connection, row: Row[Any]) -> list[range]:
    """Of a file that brought back too many rows to list them, all of them."""
    its, undo = submission.c, submission.alias("undo").c
    undone = select(undo.submission_id).where(undo.undoes == its.submission_id, undo.state == "merged")
    later = select(its.facts["returned_rows"]).where(
        its.organisation == row.organisation,
        its.thread_id == (row.thread_id or row.submission_id),
        its.facts["returned_from"].astext == row.receipt_number,
        its.state.in_(("checked", "braked", "merged", "failed")),
        its.dry_run.is_(False),
        ~undone.exists(),
    )
    everything = [[1, row.received]]
    files = [everything if ranges is None else ranges for ranges in connection.scalars(later)]
    return [range(int(first), int(last) + 1) for ranges in files for first, last in ranges]


def _newest(connection: Connection, row: Row[Any]) -> Row[Any]:
    """The last file of the thread; or one of the same type and month that nobody has read yet: it may belong to it."""
    its = submission.c
    first = row.thread_id or row.submission_id
    unread = its.state.in_(_UNREAD) & (its.record_type == row.record_type) & its.period.is_not_distinct_from(row.period)
    mine = select(submission).where(its.organisation == row.organisation, its.dry_run.is_(False))
    theirs = mine.where(or_(its.submission_id == first, its.thread_id == first, unread))
    return connection.execute(theirs.order_by(its.received_at.desc(), its.submission_id.desc()).limit(1)).one()


# ---- as they were sent ----


def _read_rows(
    connection: Connection, settings: Settings, catalogue: Catalogue, row: Row[Any], places: Mapping[int, int]
) -> tuple[list[BadRow], list[SheetRows]]:
    if not places:
        return [], []
    kind = connection.scalar(select(organisation.c.kind).where(organisation.c.code == row.organisation)) or ""
    record_type = catalogue.record_types[row.record_type]
    mapping = catalogue.mapping_for(row.organisation, kind, record_type.code)
    choices = load_choices(connection, row.organisation, record_type.code)
    limits = Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )
    file, errors = settings.files / row.stored_as, _errors_of(connection, row, places)
    header_rows = {each["sheet"]: each["header_rows"] for each in row.facts.get("sheets", ())}
    ranges = SheetRanges(row.facts)
    sheet_of = {number: ranges.sheet_of(number) for number in places} if ranges.covers(row.received) else {}
    if not sheet_of:
        again = read_again(file, record_type, mapping, catalogue, limits, choices, list(places))
        sheet_of = {number: place.sheet for number, place in again.places.items()}
    wanted: dict[str, list[int]] = defaultdict(list)
    for number, sheet_row in places.items():
        wanted[sheet_of.get(number, "")].append(sheet_row)
    try:
        sheets = read_sheet_rows(file, limits, vocabulary_of(record_type, mapping, choices), header_rows, wanted)
    except (UnreadableFile, FileNotFoundError) as gone:
        raise NotCorrectable(row.receipt_number) from gone
    waiting = _waiting(connection, row)
    rows = [
        BadRow(
            row_no=number, sheet=sheet_of.get(number, ""), sheet_row=sheet_row,
            errors=errors.get(number, ()), waits=number in waiting,
        )
        for number, sheet_row in places.items()
    ]  # fmt: skip
    return rows, sheets


def _waiting(connection: Connection, row: Row[Any]) -> set[int]:
    its = held_row.c
    return set(
        connection.scalars(select(its.row_no).where(its.submission_id == row.submission_id, its.state == "waiting"))
    )


def _errors_of(connection: Connection, row: Row[Any], numbers: Collection[int]) -> dict[int, list[Row[Any]]]:
    its = row_error.c
    asked = select(row_error).where(its.submission_id == row.submission_id, its.row_no.in_(list(numbers)))
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for error in connection.execute(asked.order_by(its.row_no, its.error_no)):
        found[error.row_no].append(error)
    return {number: sorted(errors, key=lambda error: _LEVELS.index(error.level)) for number, errors in found.items()}


# ---- as they go out ----


def _changed_rows(
    rows: Sequence[BadRow],
    sheets: Sequence[SheetRows],
    typed: Typed,
    closed: Collection[tuple[str, int]],
) -> dict[Place, CorrectedRow]:
    by_name = {sheet.name: sheet for sheet in sheets}
    changed: dict[Place, CorrectedRow] = {}
    for row in rows:
        sheet = by_name.get(row.sheet)
        written = sheet.rows.get(row.sheet_row) if sheet is not None else None
        if sheet is None or written is None:
            continue
        own = {column.index for column in sheet.columns} - {index for name, index in closed if name == sheet.name}
        cells = {index: text for index, text in typed[row.row_no].items() if index in own}
        new = {index: _cell(text) for index, text in cells.items() if not same_text(written[index][0], text)}
        if new:
            changed[row.sheet, row.sheet_row] = CorrectedRow(row_no=row.row_no, cells=new)
    return changed


def _cell(text: str) -> str:
    return plain(_LINE_ENDS.sub(" ", text)).strip()[:LONGEST_CELL]


def _was_sent(connection: Connection, row: Row[Any], content: bytes) -> bool:
    its = submission.c
    same = select(its.submission_id).where(
        its.organisation == row.organisation,
        its.record_type == row.record_type,
        its.file_sha256 == hashlib.sha256(content).hexdigest(),
        its.dry_run.is_(False),
    )
    return connection.scalar(same.limit(1)) is not None


def _refuse_stale(
    connection: Connection, row: Row[Any], changed: Iterable[CorrectedRow], places: Mapping[int, int], seen: UUID | None
) -> None:
    newest = _newest(connection, row)
    gone = {one.row_no for one in changed} - _left(connection, row, places).keys()
    its = submission.c
    seen_at = connection.scalar(
        select(its.received_at).where(its.submission_id == seen, its.organisation == row.organisation)
    )
    if gone or seen_at is None or newest.received_at > seen_at:
        raise RowsSentAgain(newest.receipt_number, newer=str(newest.submission_id), rows=sorted(gone))


def _stem_of(name: str) -> str:
    return PurePath(name).stem.split(NAMED_AS)[0]
