"""The big screen: how the month goes, in large type on a wall. Sums alone, nobody's name, no small number of people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from sqlalchemy import Connection

from admin.charts import progress_bar
from admin.desk_forms import Asking
from admin.freshness_page import ALARM_KINDS
from admin.pages import show
from admin.uploads import today_of
from hub.casework.round_progress import RoundSummary, Tally, TownProgress, progress, summaries
from hub.database import Database, utc_now
from hub.desks.due_month import due_month
from hub.desks.month_board import OPEN_STATES, Board, board_of
from hub.exchange.small_cells import SMALLEST_SHOWN
from hub.registry.organisations import Organisation
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.alarms import count_alarms
from mappings.catalogue import Catalogue

_REFRESHED_EVERY = 60  # seconds; by the browser itself
_SHOWN = 8  # lines that can be read from the other end of a room
Theme = Literal["dark", "light"]


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What the month is owed and what came, by unit and record type; the units that are late, the latest first."""

    owed: int
    sent: int
    overdue: int
    late: tuple[tuple[Organisation, int], ...]


class TownBar(msgspec.Struct, frozen=True, kw_only=True):
    """One town's round; ``share`` is None where so few lines are not told."""

    name: str
    done: int
    total: int
    share: int | None  # of a hundred, rounded down


class ScreenController(Controller):
    """/screen."""

    @get(
        "/screen",
        opt={"right": (Right.READ_MEASURES, Right.READ_ALL_SUBMISSIONS), "asked": "on-a-wall"},
        sync_to_thread=True,
    )
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        theme: FromQuery[Theme] = "dark",
    ) -> Response[str]:
        today, now = today_of(settings), utc_now()
        with database.begin(reach_of(request.user)) as connection:
            month = due_month(connection, catalogue, settings, today)
            board = board_of(connection, catalogue, request.user, month, settings=settings, today=today, months=1)
            round_, towns = _newest_round(connection, request.user, settings)
            alarms = count_alarms(connection)
        answer = show(
            request, "screen.html", theme=theme, month=month, sending=sending_of(board, month), round=round_,
            round_share=_share_of(round_.tally) if round_ else None, towns=towns[:_SHOWN], more=len(towns) - _SHOWN,
            alarms=_dated(alarms, now), all_alarms=sum(many for _, many, _ in alarms), kinds=ALARM_KINDS, meter=progress_bar,
            shown_at=now.astimezone(ZoneInfo(settings.time_zone)), few=f"<{SMALLEST_SHOWN}", every=_REFRESHED_EVERY,
            hours=settings.accounts.session_hours,
        )  # fmt: skip
        answer.headers["Refresh"] = str(_REFRESHED_EVERY)
        return answer


def sending_of(board: Board, month: str) -> Sending:
    """Counted over what is owed; nothing of what came is told but that it did."""
    at = board.months.index(month)
    owed = [line for line in board.lines if line.owed and line.cells[at].state != "not_due"]
    late = Counter(line.organisation.code for line in owed if line.cells[at].state == "overdue")
    units = {line.organisation.code: line.organisation for line in owed}
    waiting = sum(line.cells[at].state in OPEN_STATES for line in owed)
    return Sending(
        owed=len(owed), sent=len(owed) - waiting, overdue=late.total(),
        late=tuple((units[code], many) for code, many in late.most_common(_SHOWN)),
    )  # fmt: skip


def _newest_round(
    connection: Connection, actor: Actor, settings: Settings
) -> tuple[RoundSummary | None, Sequence[TownBar]]:
    """The newest round, its towns the slowest first."""
    newest = next(iter(summaries(connection, actor, settings.time_zone, newest=1)), None)
    if newest is None:
        return None, []
    asked = [town for town in progress(connection, actor, newest.month, settings.time_zone) if town.tally.items]
    return newest, [_bar_of(town) for town in sorted(asked, key=lambda town: town.tally.share or 0)]


def _bar_of(town: TownProgress) -> TownBar:
    return TownBar(name=town.name, done=town.tally.answered, total=town.tally.items, share=_share_of(town.tally))


def _share_of(tally: Tally) -> int | None:
    return tally.answered * 100 // tally.items if tally.items >= SMALLEST_SHOWN else None


def _dated(alarms: Sequence[tuple[str, int, datetime]], now: datetime) -> list[tuple[str, int, int]]:
    """Kind, how many, for how many days the oldest stands."""
    return [(kind, many, (now - since).days) for kind, many, since in alarms]
