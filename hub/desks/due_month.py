"""Which month the bureau looks at now: the one that ended last, until units have begun to send the next in its last week."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection

from hub.database import run_sql
from hub.registry import month_calendar
from hub.settings import Settings
from mappings.catalogue import Catalogue


def due_month(connection: Connection, catalogue: Catalogue, settings: Settings, today: date) -> str:
    """The statistical month that is due. What came early for the running one changes nothing before it is asked for."""
    running = month_calendar.month_of(today, settings.rounds)
    left = month_calendar.last_day(running, settings.rounds) - today
    asked_for = left.days <= catalogue.due.usual.asked_before
    return running if asked_for and _begun(connection, running) else month_calendar.month_after(running, -1)


def _begun(connection: Connection, month: str) -> bool:
    """Whether anybody has sent anything for it, or said that nothing happened."""
    sent = "SELECT 1 FROM {d}.submission WHERE period = :month AND kind IN ('regular', 'nil') AND NOT dry_run"
    return bool(run_sql(connection, f"SELECT EXISTS ({sent})", month=month)[0][0])
