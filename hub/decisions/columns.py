"""A person says what the unknown columns of a waiting file mean; it is remembered, and the file goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select, update

from hub.database import Database
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.exchange.header_choices import save_choices
from hub.exchange.layout import CHANGE_KIND, normalise
from hub.jobs import enqueue
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue, RecordType, load_catalogue


def confirm_columns(
    database: Database,
    settings: Settings,
    actor: Actor,
    submission_id: UUID,
    choices: Mapping[str, str],
    catalogue: Catalogue | None = None,
) -> None:
    """``choices``: header as asked -> field, "" for a column that is not wanted. The file is then read once more.

    BadRequest says what does not fit; Conflict: nobody is asked; NotAllowed: another organisation's file.
    """
    require(actor, Right.SUBMIT, Right.OPERATE)
    with database.begin(reach_of(actor)) as connection:
        row = _asked(connection, actor, submission_id)
        record_type = (catalogue or load_catalogue()).record_types[row.record_type]
        chosen = _settled(row.waiting, choices)
        _refuse_unfitting(row.waiting, chosen, record_type)
        save_choices(connection, actor, row.organisation, row.record_type, chosen)
        mine = submission.c.submission_id == submission_id
        connection.execute(update(submission).where(mine).values(state="received", waiting=None))
        enqueue(connection, submission_id, row.organisation, row.record_type)


def _asked(connection: Connection, actor: Actor, submission_id: UUID) -> Row[Any]:
    """The waiting submission, locked: of two who answer at once the second finds the question gone."""
    mine = select(submission).where(submission.c.submission_id == submission_id).with_for_update()
    row = connection.execute(mine).one_or_none()
    if row is None:
        raise NotFound(str(submission_id))
    if row.organisation != actor.organisation:
        raise NotAllowed("只有报送单位可以确认列的含义。 Only the sender says what its columns mean.")
    if row.state != "asking":
        raise Conflict(f"{row.receipt_number}: 没有等待确认的列。 No columns wait to be confirmed.")
    return row


def _settled(question: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, str]:
    """The choices under the headers as they were asked; a header nobody asked about is refused."""
    asked = {normalise(each["header"]): each["header"] for each in question["headers"]}
    strange = [header for header in choices if normalise(header) not in asked]
    if strange:
        raise BadRequest(f"没有问到的列：{'、'.join(strange)}。 These headers were not asked about.")
    return {asked[normalise(header)]: field for header, field in choices.items()}


def _refuse_unfitting(question: Mapping[str, Any], chosen: Mapping[str, str], record_type: RecordType) -> None:
    for problem in _problems(question, chosen, record_type):
        raise BadRequest(problem)


def _problems(question: Mapping[str, Any], chosen: Mapping[str, str], record_type: RecordType) -> Iterator[str]:
    fields = [field for field in chosen.values() if field]
    unknown = [field for field in fields if field not in record_type.by_name and field != CHANGE_KIND]
    if unknown:
        yield f"没有这些字段：{'、'.join(unknown)}。 No such fields."
    taken = {each["field"] for each in question["known"]}
    twice = sorted({field for field in fields if field in taken or fields.count(field) > 1})
    if twice:
        yield f"不止一列对应：{'、'.join(twice)}。 More than one column for one field."
    missing = [f"{each['title']}（{each['field']}）" for each in question["missing"] if each["field"] not in fields]
    if missing:
        yield f"还缺少必需的列：{'、'.join(missing)}。 Required columns are still missing."
