"""Somebody is lawfully erased: nothing is known of them any more, and everything that was said and sealed still verifies.

A submission of the hub itself. Records about the person leave every slice, blank; records of others go on without
them; numbers, digests, links and routing stay. The files as they were sent stay until their time is over (retention),
and a file that names the person again makes a new person: the law does not forbid to register somebody again.
"""

from __future__ import annotations

from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection, insert, select

from hub import audit
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.errors import BadRequest, Conflict, NotFound
from hub.exchange import forgetting, receipts
from hub.exchange.blanking import Touched, erase_records, find_touched, others_told, rows_sent
from hub.exchange.changelog import number_changes
from hub.exchange.homes import settle_homes
from hub.exchange.rerouting import reroute_records_of
from hub.exchange.system_submission import enter_system_submission
from hub.exchange.unmasking import checked_reason
from hub.keyring import Keyring
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.settings import Settings
from hub.tables import erasure, submission, subscription_version
from mappings.catalogue import Catalogue


class AlreadyErased(Conflict):
    """此人已依法删除。 This person was erased already."""

    problem = "already-erased"


class RowsUnderWay(Conflict):
    """尚有未完成的报送涉及此人，请先确认或撤回。 Submissions under way name this person: release or withdraw them first."""

    problem = "rows-under-way"


class NoBasis(BadRequest):
    """请写明删除的法律依据与理由（各 4 至 200 字，不写号码）。 Say on what legal basis and why, without any number in it."""

    problem = "no-basis"


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt number, and how many records left, went on without the person, and were forgotten beside."""

    receipt: str
    erasure_id: UUID
    voided: int
    changed: int
    waiting_dropped: int


def erase_person(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    person_id: UUID,
    basis: str,
    reason: str,
) -> Erased:
    """Erase the person, and whoever was merged into them, in one transaction. Whom others were merged with is they."""
    require(actor, Right.OPERATE)
    said = _checked(basis), _checked(reason)
    keyring = Keyring.load(settings.home)
    with database.begin() as connection:
        run_sql(connection, "SELECT pg_advisory_xact_lock(hashtext('homes'))")
        persons = _everybody_they_were(connection, person_id)
        erased = _erase(connection, settings, catalogue, actor, persons, said)
        receipts.issue(connection, keyring, erased.submission_id)
        number_changes(connection, erased.submission_id)
    return erased.told


def _checked(said: str) -> str:
    try:
        return checked_reason(said)
    except BadRequest as wrong:
        raise NoBasis() from wrong


class _Done(msgspec.Struct, frozen=True):
    submission_id: UUID
    told: Erased


def _erase(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    persons: list[UUID],
    said: tuple[str, str],
) -> _Done:
    types = [one for one in catalogue.record_types.values() if one.enabled and one.people]
    numbers = forgetting.numbers_of(connection, persons)
    under_way = forgetting.rows_under_way(connection, types, numbers)
    if under_way:
        raise RowsUnderWay("、".join(under_way))
    touched = [found for one in types if (found := find_touched(connection, one, persons)) and _any(found)]
    sent = {row for one in touched for row in rows_sent(connection, one)}
    others = {person for one in touched for person in others_told(connection, one)} - {*persons}
    submission_id, number = enter_system_submission(connection, settings, actor.name, "person")
    filters = _row_filters(connection)
    changed = [erase_records(connection, submission_id, one, filters) for one in touched]
    dropped = forgetting.forget_rows(connection, types, numbers, sent)
    forgetting.forget_records(connection, [record for one in touched for record in one.whole], submission_id)
    named = [record for one in touched for record in (*one.whole, *one.beside)]
    forgetting.forget_challenges(connection, named, persons)
    forgetting.forget_casework(connection, persons, numbers)
    forgetting.forget_person(connection, persons)
    moved = settle_homes(connection, [*persons, *others], catalogue)
    if moved:
        reroute_records_of(connection, submission_id, moved, catalogue)
    told = Erased(
        receipt=number, erasure_id=new_uuid(), waiting_dropped=dropped,
        voided=sum(voided for voided, _ in changed), changed=sum(updated for _, updated in changed),
    )  # fmt: skip
    _leave_tombstone(connection, actor, persons[0], submission_id, said, told)
    return _Done(submission_id, told)


def _any(found: Touched) -> bool:
    return bool(found.whole or found.beside)


def _everybody_they_were(connection: Connection, person_id: UUID) -> list[UUID]:
    """The person as they stand, then everybody who turned out to be them."""
    rows = run_sql(
        connection,
        """
        WITH RECURSIVE upward AS (
            SELECT person_id, merged_into FROM {d}.person WHERE person_id = :person
            UNION SELECT p.person_id, p.merged_into FROM {d}.person p JOIN upward u ON p.person_id = u.merged_into
        ), everybody AS (
            SELECT person_id FROM upward WHERE merged_into IS NULL
            UNION SELECT p.person_id FROM {d}.person p JOIN everybody e ON p.merged_into = e.person_id
        )
        SELECT p.person_id, p.erased_at IS NOT NULL FROM {d}.person p JOIN everybody USING (person_id)
        ORDER BY p.merged_into IS NULL DESC, p.person_id
        """,
        person=person_id,
    )
    if not rows:
        raise NotFound(str(person_id))
    if rows[0][1]:
        raise AlreadyErased(str(person_id))
    return [cast(UUID, person) for person, _ in rows]


def _row_filters(connection: Connection) -> list[SliceType]:
    """Every row filter a subscription ever had."""
    definitions = connection.scalars(select(subscription_version.c.definition)).all()
    types = [one for each in definitions for one in msgspec.convert(each, SliceDefinition).record_types]
    return list(dict.fromkeys(one for one in types if one.conditions))


def _leave_tombstone(
    connection: Connection, actor: Actor, person_id: UUID, submission_id: UUID, said: tuple[str, str], told: Erased
) -> None:
    """What stays: that it was done, on what basis, by whom; on the receipt the counts alone."""
    now, (basis, reason) = utc_now(), said
    effect = {"voided": told.voided, "changed": told.changed}
    connection.execute(
        insert(erasure).values(
            erasure_id=told.erasure_id,
            person_id=person_id,
            basis=basis,
            reason=reason,
            asked_by=actor.name,
            erased_at=now,
            submission_id=submission_id,
            records=told.voided + told.changed,
        )
    )
    facts = {"effect": effect, "erasure": str(told.erasure_id)}
    mine = submission.c.submission_id == submission_id
    connection.execute(submission.update().where(mine).values(state="merged", merged_at=now, facts=facts))
    audit.record(
        connection, actor, Right.OPERATE, f"person/{person_id}", what="erasure", erasure=str(told.erasure_id),
        basis=basis, reason=reason, waiting_dropped=told.waiting_dropped, voided=told.voided, changed=told.changed,
    )  # fmt: skip
