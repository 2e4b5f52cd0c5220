"""What every door does for one ledger: the number or the person, the purpose, the audit's own connection beside."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from hub.database import Database
from hub.errors import BadRequest
from hub.people.purposes import Purpose, checked_purpose
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.disclosures import Ledger, person_of_number, read_ledger
from mappings.catalogue import Catalogue


class NobodyNamed(BadRequest):
    """请填写完整身份号码，或人员编号。 Give a whole identity number, or a person's id."""

    problem = "nobody-named"


class LedgerQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Of whom, and what for; a number is never in an address."""

    purpose: str
    reason: str = ""
    id_no: str = ""
    person_id: str = ""
    since: date | None = None


class LedgerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger with what it takes to tell it in words."""

    ledger: Ledger
    purpose: Purpose
    organisations: dict[str, str]
    zone: ZoneInfo


def answer_question(
    database: Database, audit_database: Database | None, settings: Settings, catalogue: Catalogue, actor: Actor,
    question: LedgerQuestion,
) -> LedgerAnswer:  # fmt: skip
    """The ledger of who was named, in one transaction with the line that says it was read."""
    purpose = checked_purpose(actor, question.purpose, question.reason)
    zone = ZoneInfo(settings.time_zone)
    since = datetime.combine(question.since, datetime.min.time(), zone) if question.since else None
    with ExitStack() as opened:
        looks = opened.enter_context(audit_database.read()) if audit_database else None
        connection = opened.enter_context(database.begin(reach_of(actor)))
        named = _person_id(question.person_id)
        if named is None:
            if not question.id_no.strip():
                raise NobodyNamed()
            named = person_of_number(connection, actor, question.id_no)
        ledger = read_ledger(connection, actor, catalogue, named, purpose, since=since, audit_connection=looks)
        known = {one.code: one.name for one in list_organisations(connection, settings.district)}
    return LedgerAnswer(ledger=ledger, purpose=purpose, organisations=known, zone=zone)


def _person_id(given: str) -> UUID | None:
    try:
        return UUID(given) if given else None
    except ValueError:
        raise NobodyNamed() from None
