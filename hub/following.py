"""What a returned list brings beside its answers goes on as submissions of their own, by the town, through the one gate.

The sheets of arrivals, departures and service requests are in the same bytes; corrected villages become arrivals.
Every step has an operation id made of the return's, so that it may be done again.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import polars as pl
import structlog
from polars import selectors as cs
from sqlalchemy import Row, or_, select

from adapters.formats.sandbox import Limits, RawSheet, UnreadableFile, read_raw
from hub.accepting import Accepted, accept
from hub.casework.list_sheets import CHOICES_SHEET, FOOT, GUIDE_SHEET, ROUND_SHEETS, sheet_step
from hub.casework.verdict_rows import VERIFICATION, record_named_by
from hub.database import Database, run_sql
from hub.errors import FileRefused, HubError
from hub.exchange.header_choices import load_choices
from hub.exchange.parse import parse
from hub.exchange.workbooks.returned_words import SUMMARY_NAME
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from hub.tables import organisation, submission
from mappings.catalogue import Catalogue

log = structlog.get_logger("hub.following")
DOOR = "round"
SHEETS = ("town_arrival", "town_departure", "service_request")
_SENT_OUT = (*ROUND_SHEETS, GUIDE_SHEET, CHOICES_SHEET, SUMMARY_NAME)
_EMPTY_LIST = "F_NO_ROWS"  # nobody on the list, which is no reason to lose whom the town found
_WORKBOOKS = ("xlsx", "xls", "xlsb", "ods")
_LIVES_ELSEWHERE = "3"  # town_arrival.kind
_MOVED_STEP = ":moved:town_arrival"  # ends the operation ids of this step


def follow(database: Database, settings: Settings, catalogue: Catalogue, submission_id: UUID) -> list[Accepted]:
    """Send on what one merged return, or its undo, brought; nothing for any other submission. Nothing is sent twice."""
    row = _merged_return(database, submission_id)
    if row is None:
        return []
    sent = [*_moved(database, settings, catalogue, row), *_sheets(database, settings, catalogue, row)]
    _note_followed(database, submission_id, sent)
    log.info("followed", submission=str(submission_id), sent=len(sent))
    return sent


def follow_all(database: Database, settings: Settings, catalogue: Catalogue) -> int:
    """Returns whose job ended before they were followed; how many."""
    with database.begin() as connection:
        waiting = run_sql(connection, _UNFOLLOWED)
    for (submission_id,) in waiting:
        follow(database, settings, catalogue, UUID(str(submission_id)))
    return len(waiting)


_UNFOLLOWED = f"""
SELECT submission_id FROM {{d}}.submission
WHERE record_type = '{VERIFICATION}' AND kind <> 'system' AND NOT facts ? 'followed'
  AND (state = 'merged' OR state = 'refused' AND refusal ->> 'code' = '{_EMPTY_LIST}')
ORDER BY received_at LIMIT 100
"""


def _merged_return(database: Database, submission_id: UUID) -> Row[Any] | None:
    asked = (
        select(submission, organisation.c.kind.label("sender_kind"), organisation.c.area_id)
        .join(organisation, organisation.c.code == submission.c.organisation)
        .where(submission.c.submission_id == submission_id, submission.c.record_type == VERIFICATION)
        .where(submission.c.kind != "system")
        .where(or_(submission.c.state == "merged", submission.c.refusal["code"].astext == _EMPTY_LIST))
    )
    with database.begin() as connection:
        return connection.execute(asked).one_or_none()


def _moved(database: Database, settings: Settings, catalogue: Catalogue, row: Row[Any]) -> Iterator[Accepted]:
    """Who lives in another village of the town than the line said: the town's own record, taken back with the answer."""
    with database.begin() as connection:
        taken_back = run_sql(
            connection, _TAKEN_BACK, submission=row.submission_id, source=row.organisation, step=_MOVED_STEP
        )
        found = [*taken_back, *run_sql(connection, _MOVED, submission=row.submission_id, kind=_LIVES_ELSEWHERE)]
    # the remark is read by nobody, but makes the file another one than that of an earlier return which said the same
    rows = [{**_told(one), "备注": f"核对回传 {row.receipt_number}"} for one in found]
    if rows:
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in rows)
        step = f"{row.submission_id}{_MOVED_STEP}"
        yield _send(database, settings, catalogue, row, "town_arrival", lines, step, "更正村居.jsonl")


def _told(values: Iterable[object]) -> dict[str, object]:
    return {name: value for name, value in zip(_NAMES, values, strict=True) if value is not None}


_NAMES = (
    "kind",
    "changed_on",
    "name",
    "id_no",
    "sex",
    "birth_date",
    "live_div",
    "source_record_id",
    "verifier",
    "found_on",
    "text",
    "change_kind",
)
_STILL_MOVES = "v.right_village IS NOT NULL AND NOT v.voided AND v.result = '2'"
# since the change the line tells of, and not before it: of two events the later one says where somebody lives; dated any
# later it would undo a move that came in between, and the month of the change would not be right
_MOVED_ON = f"""coalesce(greatest(v.right_date, (
    SELECT max(i.event_date) FROM {{d}}.round_item i JOIN {{d}}.monthly_round m USING (round_id)
    JOIN {{d}}.change_log l ON l.seq = i.seq AND l.op NOT IN ('reroute', 'relink')
    WHERE m.month = v.round AND i.record_id = {record_named_by("v")})), v.verified_on)"""
_MOVED = f"""
SELECT CAST(:kind AS text), {_MOVED_ON}::text, v.name, v.id_no, p.sex, p.birth_date::text,
       v.right_village, v.source_record_id, v.verifier, v.verified_on::text, v.actual, 'correct'
FROM {{d}}.ver_{VERIFICATION} v
LEFT JOIN {{d}}.person_profile p ON p.person_id = v.person_ref
WHERE v.submission_id = :submission AND {_STILL_MOVES}
ORDER BY v.row_no
"""
# Records that an earlier answer to the same line became, unless the answer that stands now becomes the very same ones.
_TAKEN_BACK = f"""
SELECT DISTINCT a.kind, a.changed_on::text, a.name, a.id_no, a.sex, a.birth_date::text, a.live_div, a.source_record_id,
       a.verifier, a.found_on::text, a.text, 'void'
FROM {{d}}.ver_{VERIFICATION} v
JOIN {{d}}.ver_{VERIFICATION} b ON b.record_id = v.record_id AND b.version < v.version AND b.right_village IS NOT NULL
JOIN {{d}}.submission s ON s.organisation = :source AND s.operation_id = b.submission_id || :step
JOIN {{d}}.ver_town_arrival t ON t.submission_id = s.submission_id AND t.source_record_id = v.source_record_id
JOIN {{d}}.rec_town_arrival a ON a.record_id = t.record_id AND NOT a.voided
LEFT JOIN {{d}}.person_profile p ON p.person_id = v.person_ref
WHERE v.submission_id = :submission
  AND ({_STILL_MOVES} AND a.changed_on = {_MOVED_ON} AND a.name = v.name AND a.birth_date IS NOT DISTINCT FROM p.birth_date)
      IS NOT TRUE
"""


def _sheets(database: Database, settings: Settings, catalogue: Catalogue, row: Row[Any]) -> Iterator[Accepted]:
    """The workbook's other sheets, each as a submission of its own type with the same bytes."""
    path = settings.files / row.stored_as
    if row.facts.get("format", "xlsx") not in _WORKBOOKS or not path.is_file():
        return
    blank = _left_blank(settings, catalogue, row, path)
    for code in SHEETS:
        if code not in blank and _has_rows(database, settings, catalogue, row, path, code):
            step = sheet_step(row.submission_id, code)
            yield _send(database, settings, catalogue, row, code, path.read_bytes(), step, row.file_name)


def _left_blank(settings: Settings, catalogue: Catalogue, row: Row[Any], path: Path) -> set[str]:
    """Types whose sheet came back as it went out, found in one reading of the workbook; a sheet of one's own may be any."""
    blank: set[str] = set()
    try:
        with closing(read_raw(path, _limits(settings))) as sheets:
            for sheet in sheets:
                if sheet.name not in _SENT_OUT:
                    return set()
                code = ROUND_SHEETS.get(sheet.name, "")
                if code in SHEETS and not sheet.hidden:
                    mapping = catalogue.mapping_for(row.organisation, row.sender_kind, code)
                    headers = {rule.header for rule in mapping.columns} if mapping else set()
                    blank |= {code} if _ends_with_header(sheet, headers) else set()
    except UnreadableFile:
        return set()
    return blank


def _ends_with_header(sheet: RawSheet, headers: set[str]) -> bool:
    """Whether nothing but the foot stands under the header."""
    last: list[list[str]] = []
    for batch in sheet.batches:
        texts = batch.select(cs.matches(r"^c\d+$").str.strip_chars())
        told = texts.filter(pl.any_horizontal(pl.all().fill_null("") != ""))
        last = [*last, *([text for text in one if text] for one in told.tail(2).rows())][-2:]
    return len(last) == 2 and headers.issuperset(last[0]) and last[1][0].startswith(FOOT)


def _limits(settings: Settings) -> Limits:
    return Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )


def _has_rows(
    database: Database, settings: Settings, catalogue: Catalogue, row: Row[Any], path: Path, code: str
) -> bool:
    """Whether a sheet of this type is there with anything on it; one that cannot be read is sent, for its receipt to say why."""
    mapping = catalogue.mapping_for(row.organisation, row.sender_kind, code)
    limits = _limits(settings)
    with database.begin() as connection:
        choices = load_choices(connection, row.organisation, code)
    try:
        parsed = parse(
            path, catalogue.record_types[code], mapping, catalogue, limits, choices=choices, period=row.period
        )
        return any(frame.height for frame in parsed.frames)
    except FileRefused as refused:
        return refused.facts.get("code") not in ("F_NO_ROWS", "F_NO_HEADER", "F_MISSING_COLUMN")
    except HubError:
        return True


def _send(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    row: Row[Any],
    record_type: str,
    content: bytes,
    step: str,
    file_name: str,
) -> Accepted:
    """As the one who returned the list, for the town."""
    sender = Actor(
        name=row.actor,
        organisation=row.organisation,
        kind=row.sender_kind,
        door=DOOR,
        rights=frozenset({Right.SUBMIT}),
        area_id=row.area_id,
    )
    return accept(
        database,
        settings,
        sender,
        stream=io.BytesIO(content),
        file_name=file_name,
        record_type=record_type,
        organisation=row.organisation,
        period=row.period,
        door=DOOR,
        operation_id=step,
        catalogue=catalogue,
    )


def _note_followed(database: Database, submission_id: UUID, sent: list[Accepted]) -> None:
    with database.begin() as connection:
        run_sql(
            connection,
            "UPDATE {d}.submission SET facts = facts || jsonb_build_object('followed', CAST(:numbers AS jsonb))"
            " WHERE submission_id = :submission",
            submission=submission_id,
            numbers=msgspec.json.encode([one.receipt_number for one in sent]).decode(),
        )
