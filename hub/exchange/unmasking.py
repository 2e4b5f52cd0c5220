"""One masked value, shown to somebody who says why: a reasoned act with its own audit line, never a list.

The line is written in the transaction that reads the value, so what cannot be noted is not shown.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select

from hub import audit
from hub.errors import BadRequest, NotFound
from hub.exchange import listing
from hub.exchange.change_list import find_change, people_of
from hub.exchange.sent_rows import read_sent_row
from hub.registry.masking import mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import Scope
from hub.tables import row_error, submission
from mappings.catalogue import Catalogue, Field

_LEAST, _MOST = 4, 200
_LONG_NUMBER = re.compile(r"\d{6,}")


class BadReason(BadRequest):
    """请用 4 至 200 个字说明理由，不要写号码。 Give a reason of 4 to 200 characters, without any long number in it."""

    problem = "bad-reason"


class Unmasked(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown once: titles as the catalogue or the sheet has them, and values as they are."""

    values: tuple[tuple[str, str, str], ...]  # title, title in English, value


def unmask_error(
    connection: Connection, actor: Actor, submission_id: UUID, row_no: int, error_no: int, reason: str
) -> Unmasked:
    """The value of one row error of one's own submission, as it was sent."""
    said = _begin(actor, reason)
    its = row_error.c
    mine = select(row_error).join(submission, submission.c.submission_id == its.submission_id)
    named = (its.submission_id == submission_id, its.row_no == row_no, its.error_no == error_no)
    row = connection.execute(mine.where(*named, Scope(actor=actor).row_errors(submission))).one_or_none()
    if row is None or row.value is None:  # a clinical value is never kept
        raise NotFound()
    place = f"submission/{submission_id}/row/{row_no}"
    _note(connection, actor, place, said, what="row-error", field=row.field, subject=f"{place}/{error_no}")
    return Unmasked(values=((row.header or row.field, "", row.value),))


def unmask_change(connection: Connection, catalogue: Catalogue, scope: Scope, seq: int, reason: str) -> Unmasked:
    """The identity numbers of the people of one change of one's own area."""
    said = _begin(scope.actor, reason)
    row = find_change(connection, catalogue, scope, seq)
    if row is None:
        raise NotFound()
    _note(connection, scope.actor, f"change/{seq}", said, what="change", field=row.record_type, subject=row.record_id)
    return Unmasked(values=tuple((name, "", number) for name, number in people_of(row) if number))


def unmask_row(
    connection: Connection, actor: Actor, catalogue: Catalogue, submission_id: UUID, row_no: int, reason: str
) -> Unmasked:
    """One row of a submission, for who oversees: its plain fields, never of a type that is clinical by existing."""
    said = _begin(actor, reason)
    sent = listing.find_submission(connection, actor, submission_id)
    record_type = catalogue.record_types[sent.record_type]
    row = read_sent_row(connection, actor, submission_id, record_type, row_no)
    place = f"submission/{submission_id}/row/{row_no}"
    _note(connection, actor, place, said, what="sent-row", field=record_type.code, subject=row.record_id)
    shown: list[tuple[Field, object]] = list(zip(record_type.plain_fields, row[1:], strict=True))
    return Unmasked(values=tuple((one.title, one.title_en, str(value)) for one, value in shown if value is not None))


def checked_reason(reason: str) -> str:
    """The reason as it is noted; BadReason if it is none, or carries what it should not."""
    said = " ".join(reason.split())
    plain = unicodedata.normalize("NFKC", said)
    if not _LEAST <= len(said) <= _MOST or _LONG_NUMBER.search(plain) or mask_within(said) != said:
        raise BadReason()
    return said


def _begin(actor: Actor, reason: str) -> str:
    require(actor, Right.UNMASK)
    return checked_reason(reason)


def _note(
    connection: Connection, actor: Actor, object: str, reason: str, *, what: str, field: str, subject: Any
) -> None:
    read = audit.digest_of([subject])
    audit.record(connection, actor, Right.UNMASK, object, reason=reason, what=what, field=field, digest=read)
