"""The bureau reminds towns of the lines they have not answered: a notice a day and town at most."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Connection

from hub import audit
from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted, make_notices
from hub.casework.rounds import load_round, local_day
from hub.database import run_sql
from hub.errors import Conflict
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import Settings

_KIND = "round_reminded"


class NobodyLeftToRemind(Conflict):
    """没有需要催办的镇街：都已核完，或今天已经催办过。 Nobody to remind: all is answered, or they were reminded today."""

    problem = "nobody-left-to-remind"


def towns_to_remind(connection: Connection, settings: Settings, month: str, now: datetime, town: str = "") -> list[str]:
    """Towns with open lines that were not reminded today, by organisation; NobodyLeftToRemind."""
    load_round(connection, month)
    today = local_day(settings, now)
    reminded = reminded_towns(connection, settings, month)
    rows = run_sql(connection, _OPEN, month=month)
    found = [str(code) for code, _, _ in rows if reminded.get(str(code)) != today and town in ("", code)]
    if not found:
        raise NobodyLeftToRemind()
    return found


def remind_towns(
    connection: Connection, settings: Settings, actor: Actor, month: str, now: datetime, town: str = ""
) -> int:
    """Make the notices, of all of them or of one town; how many."""
    require(actor, Right.MANAGE_ROUND)
    wanted = set(towns_to_remind(connection, settings, month, now, town))
    today = local_day(settings, now)
    told = [
        Wanted(
            organisation=str(code), kind=_KIND, about=f"round/{month}/reminded/{today}",
            facts=Facts(month=month, items=int(str(items)), due_on=due_on),  # type: ignore[arg-type]
        )
        for code, items, due_on in run_sql(connection, _OPEN, month=month) if code in wanted
    ]  # fmt: skip
    made = make_notices(connection, settings, actor, told, now)
    audit.record(connection, actor, Right.MANAGE_ROUND, f"round/{month}", what="remind", towns=made)
    return made


def reminded_towns(connection: Connection, settings: Settings, month: str) -> dict[str, date]:
    """On what day each town was last reminded of the month by the bureau."""
    rows = run_sql(connection, _REMINDED, kind=_KIND, about=f"round/{month}/reminded/%")
    return {str(code): local_day(settings, at) for code, at in rows}  # type: ignore[arg-type]


_OPEN = """
SELECT t.organisation, count(*), min(i.due_on)
  FROM {d}.round_item i JOIN {d}.monthly_round r USING (round_id) JOIN {d}.round_town t USING (round_id, town)
 WHERE r.month = :month AND i.state = 'open' GROUP BY t.organisation ORDER BY t.organisation
"""
_REMINDED = """
SELECT organisation, max(made_at) FROM {d}.notice WHERE kind = :kind AND about LIKE :about GROUP BY organisation
"""
