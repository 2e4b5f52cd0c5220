"""The organisations of the district at a glance: who they are, what they send and pull, when they last did.

Nobody's data: counts, codes and instants. Each part is for whoever may know of it: without the ledger no submissions,
without the desk of accounts no logins.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection

from hub.casework.contacts import KEEPERS, Contact, list_contacts
from hub.database import run_sql
from hub.registry.account_list import LONGEST_LIST, Wanted, list_accounts
from hub.registry.accounts import Account
from hub.registry.api_keys import list_keys
from hub.registry.machine_identity import ApiKey
from hub.registry.organisations import Organisation, load_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import is_care_only
from hub.registry.subscriptions import Subscription, list_subscriptions
from hub.tables import subscription
from mappings.catalogue import Catalogue, Mapping, RecordType

A_PAGE = 100


class WantedUnits(msgspec.Struct, frozen=True, kw_only=True):
    """Which organisations: of this code or name, kind and state (on, off); empty is any.

    ``sort``: one of UNIT_ORDERS, ``-`` before it for downwards; ``after``: behind this one's code.
    """

    text: str = ""
    kind: str = ""
    state: str = ""
    sort: str = "kind"
    after: str = ""


class UnitLine(msgspec.Struct, frozen=True, kw_only=True):
    """One organisation with its counts; None where the asker may not know."""

    code: str
    name: str
    name_en: str
    kind: str
    enabled: bool
    area_id: int | None
    area: str
    accounts: int
    last_sent_at: datetime | None
    subscriptions: int | None


class SentType(msgspec.Struct, frozen=True, kw_only=True):
    """A record type an organisation sends: under which mapping, and when it last did.

    Of what is clinical by existing nobody else learns how often: None.
    """

    record_type: RecordType
    mapping: Mapping | None
    last_sent_at: datetime | None
    submissions: int | None


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One organisation; the lists are None where the asker may not know."""

    its: Organisation
    area: str
    line: UnitLine
    sends: list[SentType]
    pulls: list[Subscription] | None
    accounts: list[Account] | None
    keys: list[ApiKey] | None
    contacts: list[Contact] | None
    told: int | None  # how many contacts there are


def list_units(
    connection: Connection, actor: Actor, district: str, wanted: WantedUnits, most: int = A_PAGE
) -> list[UnitLine]:
    """By kind and code unless another order is asked for."""
    require(actor, Right.READ_REGISTRY)
    column, down = UNIT_ORDERS[wanted.sort.removeprefix("-")], wanted.sort.startswith("-")
    rows = run_sql(
        connection,
        _UNITS.format(d="{d}", column=column, than="<" if down else ">", way="DESC" if down else "ASC"),
        district=district,
        text=f"%{_escaped(wanted.text.strip())}%",
        kind=wanted.kind,
        enabled={"on": True, "off": False}.get(wanted.state),
        after=wanted.after,
        most=most,
        ledger=_sees_ledger(actor),
    )
    return [_line(row) for row in rows]


# A district has some hundred of them at most: they are put together, then put in order.
UNIT_ORDERS = {
    "kind": "kind",
    "code": "code",
    "organisation": "name",
    "accounts": "accounts",
    "last_sent_at": "coalesce(last_sent_at, '-infinity')",
    "subscriptions": "coalesce(subscriptions, 0)",
}
_UNITS = """
WITH chosen AS (SELECT * FROM shared.organisation o
                 WHERE o.district = :district
                   AND (o.name ILIKE :text OR o.name_en ILIKE :text OR o.code ILIKE :text)
                   AND (:kind = '' OR o.kind = :kind)),
     opened AS (SELECT organisation, count(*) AS accounts FROM admin.account
                 WHERE cardinality(roles) > 0 AND NOT disabled AND organisation IN (SELECT code FROM chosen) GROUP BY 1),
     sent AS (SELECT organisation, max(received_at) AS last_at FROM {d}.submission
               WHERE :ledger AND kind <> 'system' AND organisation IN (SELECT code FROM chosen) GROUP BY 1),
     pulled AS (SELECT organisation, count(*) AS slices FROM {d}.subscription
                 WHERE :ledger AND state = 'active' AND organisation IN (SELECT code FROM chosen) GROUP BY 1),
     listed AS (
SELECT c.code, c.name, c.name_en, c.kind, c.enabled, c.area_id, coalesce(v.name, '') AS area,
       coalesce(w.accounts, 0) AS accounts, s.last_at AS last_sent_at,
       CASE WHEN :ledger THEN coalesce(p.slices, 0) END AS subscriptions
  FROM chosen c LEFT JOIN opened w ON w.organisation = c.code LEFT JOIN sent s ON s.organisation = c.code
  LEFT JOIN pulled p ON p.organisation = c.code
  LEFT JOIN {d}.area_version v ON v.area_id = c.area_id AND v.valid_to IS NULL)
SELECT * FROM listed
 WHERE (CAST(:enabled AS boolean) IS NULL OR enabled = CAST(:enabled AS boolean))
   AND (:after = '' OR ({column}, code) {than} (SELECT {column}, code FROM listed WHERE code = :after))
 ORDER BY {column} {way}, code {way} LIMIT :most
"""


def see_unit(connection: Connection, actor: Actor, catalogue: Catalogue, code: str) -> Unit:
    """One organisation with everything the asker may know of it; NotFound."""
    require(actor, Right.READ_REGISTRY)
    its = load_organisation(connection, code)
    found = list_units(connection, actor, its.district, WantedUnits(text=its.code, kind=its.kind))
    line = next(each for each in found if each.code == its.code)
    return Unit(
        its=its,
        area=line.area,
        line=line,
        sends=_sent_types(connection, actor, catalogue, its),
        pulls=list_subscriptions(connection, subscription.c.organisation == its.code)
        if _sees_ledger(actor) or _is_own(actor, its)
        else None,
        accounts=_its_accounts(connection, actor, its),
        keys=_its_keys(connection, actor, its),
        contacts=_its_contacts(connection, actor, its),
        told=_count_contacts(connection, its) if _sees_ledger(actor) else None,
    )


def _line(row: object) -> UnitLine:
    return UnitLine(**dict(zip(UnitLine.__struct_fields__, row, strict=True)))  # type: ignore[call-overload]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


# ---- one organisation ----


def _sent_types(connection: Connection, actor: Actor, catalogue: Catalogue, its: Organisation) -> list[SentType]:
    """What its sources in the catalogue let it send; when it did, for those who see the ledger."""
    seen = _sees_ledger(actor) or _is_own(actor, its)
    rows = run_sql(connection, _LAST_SENT, organisation=its.code) if seen else []
    last = {str(code): (at, int(str(many))) for code, at, many in rows}
    return [
        SentType(
            record_type=one,
            mapping=catalogue.mapping_for(its.code, its.kind, one.code),
            last_sent_at=last.get(one.code, (None, 0))[0],  # type: ignore[arg-type]
            submissions=None if is_care_only(one) and not _is_own(actor, its) else last.get(one.code, (None, 0))[1],
        )
        for one in catalogue.record_types.values()
        if one.enabled and {its.code, its.kind} & {*one.sources}
    ]


_LAST_SENT = """
SELECT record_type, max(received_at), count(*) FROM {d}.submission
 WHERE organisation = :organisation AND kind <> 'system' GROUP BY record_type
"""


def _count_contacts(connection: Connection, its: Organisation) -> int:
    """Somebody can be told, or nobody: who, is the unit's own business."""
    counting = "SELECT count(*) FROM {d}.contact WHERE organisation = :organisation"
    return int(str(run_sql(connection, counting, organisation=its.code)[0][0]))


def _its_accounts(connection: Connection, actor: Actor, its: Organisation) -> list[Account] | None:
    """For the desks that look after accounts; a data officer's own alone."""
    if not (actor.may(Right.MANAGE_ACCOUNTS) or actor.may(Right.ASK_ACCESS) or _keeps_own(actor, its)):
        return None
    return list_accounts(connection, actor, Wanted(organisation=its.code))[:LONGEST_LIST]


def _its_keys(connection: Connection, actor: Actor, its: Organisation) -> list[ApiKey] | None:
    if not (actor.may(Right.MANAGE_ACCOUNTS) or _keeps_own(actor, its)):
        return None
    return list_keys(connection, actor, its.code)


def _its_contacts(connection: Connection, actor: Actor, its: Organisation) -> list[Contact] | None:
    """A unit's own list; another's is its own business."""
    return list_contacts(connection, actor) if _is_own(actor, its) and any(map(actor.may, KEEPERS)) else None


def _sees_ledger(actor: Actor) -> bool:
    return actor.may(Right.READ_ALL_SUBMISSIONS)


def _is_own(actor: Actor, its: Organisation) -> bool:
    return actor.organisation == its.code


def _keeps_own(actor: Actor, its: Organisation) -> bool:
    return actor.may(Right.ASK_OWN_ACCESS) and _is_own(actor, its)
