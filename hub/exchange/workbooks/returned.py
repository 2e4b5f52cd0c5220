"""The returned workbook: a sender's own file with every bad cell marked, to be corrected and sent again.

The original is opened in a limited child and keeps what it has; where that cannot be, a workbook is made of what was
read. A hidden column numbers the rows, so that the workbook is known when it comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, select

from adapters.formats.annotation import annotate
from adapters.formats.sandbox import Limits, UnreadableFile, read_raw
from adapters.formats.sniff import sniff
from hub import audit
from hub.errors import Conflict, NotFound
from hub.exchange.header_choices import load_choices
from hub.exchange.receive import plain_name
from hub.exchange.retention import is_expired, refuse_expired
from hub.exchange.workbooks.returned_rebuilt import rebuild, write_summary_alone
from hub.exchange.workbooks.returned_results import ReadAgain, changed_rows, errors_of, read_again
from hub.exchange.workbooks.returned_together import read_together
from hub.exchange.workbooks.returned_words import Answer, make_instructions, worth_returning
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import Scope
from hub.settings import Settings
from hub.tables import organisation, submission
from mappings.catalogue import Catalogue

Form = Literal["annotated", "rebuilt", "bad rows", "summary"]
MOST_ROWS = 100_000  # more rows: only those with something to say
MOST_ANNOTATED = 20_000  # more rows: made anew, in a tenth of the time and without holding the workbook in memory
_CHECKED = ("checked", "braked", "previewed", "merged", "refused")
# Such a file is not opened again, by anything.
_UNOPENED = (
    "F_EMPTY", "F_FORMAT_UNKNOWN", "F_ENCODING", "F_TRUNCATED", "F_UNREADABLE", "F_ZIP_UNSAFE", "F_MACRO", "F_PASSWORD",
    "F_TOO_LARGE", "F_TOO_MANY_CELLS", "F_ROW_COUNT", "F_DIGEST_MISMATCH",
)  # fmt: skip


class NotYetChecked(Conflict):
    """文件尚未检查完，请稍后再取。 The file has not been checked yet: try again in a moment."""

    problem = "not-yet-checked"


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: a name to save it under, how it was made, and how many rows say something is wrong."""

    file_name: str
    form: Form
    bad_rows: int


def find_returned(
    connection: Connection, actor: Actor, submission_id: UUID, what: str = "returned-workbook"
) -> Row[Any]:
    """The submission whose workbook (or ``what``) may be given back to ``actor``: its sender's, noted in the audit."""
    require(actor, Right.READ_SUBMISSION)
    row = connection.execute(select(submission).where(submission.c.submission_id == submission_id)).one_or_none()
    if row is None or not Scope(actor=actor).stored_file(row.organisation) or not (row.stored_as or is_expired(row)):
        raise NotFound()
    refuse_expired(row)
    if row.state not in _CHECKED:
        raise NotYetChecked(row.receipt_number)
    place = f"submission/{submission_id}"
    audit.record(connection, actor, Right.READ_SUBMISSION, place, what=what, rows=row.received)
    return row


def write_returned(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    submission_id: UUID,
    target: Path,
    language: str = "zh",
) -> Returned:
    """Write the workbook to ``target``. Who may have it was decided by ``find_returned``."""
    row = connection.execute(select(submission).where(submission.c.submission_id == submission_id)).one()
    file = settings.files / row.stored_as
    limits = _limits(settings)
    beside = read_together(connection, row, _CHECKED)
    answers = [_answer(connection, catalogue, one, file, limits) for one in (row, *beside)]
    form = _write(file, target, catalogue, answers, language, limits)
    name = plain_name(row.file_name).rsplit(".", 1)[0]
    return Returned(
        file_name=f"{name}_退回.xlsx",
        form=form,
        bad_rows=sum(1 for one in answers for _ in worth_returning(one.errors)),
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )


def _answer(connection: Connection, catalogue: Catalogue, row: Row[Any], file: Path, limits: Limits) -> Answer:
    record_type = catalogue.record_types[row.record_type]
    errors = errors_of(connection, row.submission_id)
    wanted = None if row.received <= MOST_ROWS else set(worth_returning(errors))
    kind = connection.scalar(select(organisation.c.kind).where(organisation.c.code == row.organisation)) or ""
    read = ReadAgain(headers={}, places={})
    if not _is_unopened(row):
        mapping = catalogue.mapping_for(row.organisation, kind, record_type.code)
        choices = load_choices(connection, row.organisation, record_type.code)
        read = read_again(file, record_type, mapping, catalogue, limits, choices, wanted)
    changed = changed_rows(connection, _reach_of_sender(row, kind), row.submission_id, record_type)
    return Answer(row=row, record_type=record_type, errors=errors, read=read, changed=changed)


def _write(
    file: Path, target: Path, catalogue: Catalogue, answers: Sequence[Answer], language: str, limits: Limits
) -> Form:
    """The best that can be done with this file."""
    if _is_unopened(answers[0].row):
        write_summary_alone(target, make_instructions(catalogue, answers, language, "summary"))
        return "summary"
    rows = sum(one.row.received for one in answers)
    notable = rows <= MOST_ANNOTATED and _is_zip(file)
    if notable and annotate(file, target, make_instructions(catalogue, answers, language), limits):
        return "annotated"
    many = rows > MOST_ROWS
    form: Form = "bad rows" if many else "rebuilt"
    instructions = make_instructions(catalogue, answers, language, form)
    try:
        rebuild(target, read_raw(file, limits), instructions, only_noted=many)
    except UnreadableFile:
        write_summary_alone(target, make_instructions(catalogue, answers, language, "summary"))
        return "summary"
    return form


def _reach_of_sender(row: Row[Any], kind: str) -> Scope:
    """Whoever fetches the workbook, there is in it only what its sender may see."""
    rights = frozenset({Right.READ_SUBMISSION})
    return Scope(actor=Actor(name=row.actor, organisation=row.organisation, kind=kind, door=row.door, rights=rights))


def _is_unopened(row: Row[Any]) -> bool:
    return bool(row.refusal) and row.refusal["code"] in _UNOPENED


def _is_zip(file: Path) -> bool:
    with file.open("rb") as content:
        return sniff(content) == "zip"
