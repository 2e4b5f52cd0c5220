"""The bureau reminds a unit of the month it has not sent: a notice a day at most, to the unit's page and its contacts."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted, make_notices
from hub.database import run_sql
from hub.desks.month_board import OPEN_STATES, board_of
from hub.errors import Conflict
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import Settings
from mappings.catalogue import Catalogue

_KIND = "month_asked"


class NothingOpen(Conflict):
    """该单位本月没有待报送的类别，无须提醒。 This unit has nothing left to send for the month."""

    problem = "nothing-open"


class RemindedToday(Conflict):
    """今天已提醒过该单位，明天才能再次提醒。 This unit was reminded today already."""

    problem = "reminded-today"


class UnitContact(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a unit wants told; the bureau may ring them up."""

    organisation: str
    name: str
    phone: str
    mail: str


def wanted_reminder(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, organisation: str, month: str,
    now: datetime,
) -> Wanted:  # fmt: skip
    """The notice that is due: how many types are open, the first due when. NothingOpen; RemindedToday."""
    today = now.astimezone(ZoneInfo(settings.time_zone)).date()
    board = board_of(connection, catalogue, actor, month, organisation, settings=settings, today=today, months=1)
    owed = [cell.due_on for cell in board.cells(month, *OPEN_STATES) if cell.due_on is not None]
    if not owed:
        raise NothingOpen()
    level, last = reminded_units(connection, month).get(organisation, (0, None))
    if last is not None and last.astimezone(ZoneInfo(settings.time_zone)).date() == today:
        raise RemindedToday()
    facts = Facts(month=month, items=len(owed), due_on=min(owed))
    return Wanted(organisation=organisation, kind=_KIND, about=f"board/{month}", level=level + 1, facts=facts)


def remind_unit(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, organisation: str, month: str,
    now: datetime,
) -> int:  # fmt: skip
    """Make the notice; how many types it names."""
    require(actor, Right.MANAGE_ROUND, Right.OPERATE)
    wanted = wanted_reminder(connection, settings, catalogue, actor, organisation, month, now)
    if not make_notices(connection, settings, actor, [wanted], now):
        raise RemindedToday()
    many = wanted.facts.items
    audit.record(connection, actor, Right.MANAGE_ROUND, f"board/{month}/{organisation}", what="remind", open=many)
    return many


def reminded_units(connection: Connection, month: str) -> dict[str, tuple[int, datetime]]:
    """Of each unit that was reminded of the month: how often, and when last."""
    rows = run_sql(connection, _REMINDED, kind=_KIND, about=f"board/{month}")
    return {str(organisation): (int(str(level)), last) for organisation, level, last in rows}  # type: ignore[misc]


_REMINDED = """
SELECT organisation, max(level), max(made_at) FROM {d}.notice
 WHERE kind = :kind AND about = :about GROUP BY organisation
"""


def list_unit_contacts(connection: Connection, actor: Actor) -> dict[str, list[UnitContact]]:
    """By unit, in the order of their names: for who reminds them."""
    require(actor, Right.MANAGE_ROUND, Right.OPERATE)
    rows = run_sql(connection, "SELECT organisation, name, phone, mail FROM {d}.contact ORDER BY name, contact_id")
    found: dict[str, list[UnitContact]] = {}
    for organisation, name, phone, mail in rows:
        one = UnitContact(organisation=str(organisation), name=str(name), phone=str(phone), mail=str(mail))
        found.setdefault(one.organisation, []).append(one)
    return found
