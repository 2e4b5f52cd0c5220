"""信息去向: who received this person's data, which fields, when, under which licence; asked for one person, and noted.

Nothing is kept for it: it follows from what was delivered (hub.sharing.disclosure_derivation). Records and fields that
are clinical are told to care alone, of what it sent itself; to all others they are neither shown nor counted.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import new_uuid, run_sql
from hub.people.purposes import Purpose
from hub.registry.masking import mask_identifier
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import open_disclosures, open_identifier
from hub.sharing.disclosure_derivation import Disclosure, everybody_they_were, gather, told_of
from hub.sharing.disclosure_licences import sight_of
from hub.sharing.disclosure_looks import looks_at
from mappings.catalogue import Catalogue

_NUMBER = re.compile(r"[0-9A-Z]{6,30}")
CARE_NOTICE = "医疗照护单位的临床信息去向，请向该单位查询；这里不显示，也不计数。"
CARE_NOTICE_EN = (
    "Who received clinical information is asked for at the care organisation: it is neither shown nor counted here."
)


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """One person's disclosures, newest first; ``number`` is masked, "" where none is known (any more)."""

    person_id: UUID | None  # None: nobody of whom the reader may know
    number: str = ""
    disclosures: tuple[Disclosure, ...] = ()
    looks_told: bool = False  # single looks of people are among them

    @property
    def receivers(self) -> list[str]:
        """Organisations, each once."""
        return sorted({one.receiver for one in self.disclosures})


def read_ledger(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    person_id: UUID | None,
    purpose: Purpose,
    *,
    since: datetime | None = None,
    audit_connection: Connection | None = None,
) -> Ledger:
    """The ledger of one person; that it was read, by whom and what for, is noted whatever came of it.

    Nobody is looked for as somebody is: how long it takes does not tell who is known and not told of.
    """
    ledger, asked = Ledger(person_id=None), person_id or new_uuid()
    found = disclosures_of(connection, actor, catalogue, asked, since, audit_connection=audit_connection)
    if found is not None:
        ledger = Ledger(
            person_id=asked, number=_number_of(connection, actor, asked), disclosures=tuple(found),
            looks_told=audit_connection is not None and sight_of(actor, catalogue).whole,
        )  # fmt: skip
    _note_ledger(connection, actor, ledger, purpose, since)
    return ledger


def disclosures_of(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    person_id: UUID,
    since: datetime | None = None,
    *,
    audit_connection: Connection | None = None,
) -> list[Disclosure] | None:
    """Every disclosure the actor may know of, newest first; None where they may not know of the person at all.

    The caller notes the look. Without the audit's connection single looks are not among them.
    """
    require(actor, Right.READ_DISCLOSURES, Right.OPERATE)
    sight = sight_of(actor, catalogue)
    with open_disclosures(connection, actor, sight.sources, person_id):
        traces = gather(connection, catalogue, sight, [person_id], since)
        if not traces.changes and not (sight.whole and _was_erased(connection, person_id)):
            return None
        found = list(told_of(traces, person_id))
        if audit_connection is not None and sight.whole:
            ids = everybody_they_were(connection, [person_id])[person_id]
            found += looks_at(connection, audit_connection, traces, person_id, ids, since)
    return sorted(found, key=_newest_first, reverse=True)


def person_of_number(connection: Connection, actor: Actor, typed: str) -> UUID | None:
    """Whose this whole number is, or was; nobody is found by anything else."""
    require(actor, Right.READ_DISCLOSURES, Right.OPERATE)
    number = "".join(typed.split()).upper()
    if not _NUMBER.fullmatch(number):
        return None
    open_identifier(connection, number)
    rows = run_sql(
        connection,
        "SELECT person_id FROM {d}.person_identifier WHERE value = :value AND kind IN ('id_no', 'birth_cert')",
        value=number,
    )
    return cast(UUID, rows[0][0]) if rows else None


def _newest_first(one: Disclosure) -> tuple[datetime, str, str]:
    return one.delivered_at, one.number, str(one.record_id)


def _was_erased(connection: Connection, person_id: UUID) -> bool:
    """Nothing names them any more. Of anybody else without a record to be told of, that they are known is not told."""
    statement = "SELECT 1 FROM {d}.person WHERE person_id = :person AND erased_at IS NOT NULL"
    return bool(run_sql(connection, statement, person=person_id))


def _number_of(connection: Connection, actor: Actor, person_id: UUID) -> str:
    """The number the person goes by now, masked."""
    with open_disclosures(connection, actor, (), person_id):
        rows = run_sql(
            connection,
            "SELECT value FROM {d}.person_identifier WHERE person_id = :person AND kind = 'id_no'"
            " ORDER BY replaced_by IS NULL DESC, value LIMIT 1",
            person=person_id,
        )
    return mask_identifier(cast(str, rows[0][0])) if rows else ""


def _note_ledger(
    connection: Connection, actor: Actor, ledger: Ledger, purpose: Purpose, since: datetime | None
) -> None:
    about = f"person/{ledger.person_id}" if ledger.person_id else "people"
    audit.record(
        connection, actor, Right.READ_DISCLOSURES, about, what="disclosures", purpose=purpose.code, reason=purpose.text,
        disclosures=len(ledger.disclosures), receivers=len(ledger.receivers), since=since,
    )  # fmt: skip
