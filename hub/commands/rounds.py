"""The month with the towns from the command line: a round is opened, looked at, closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.casework.round_progress import TownProgress
    from hub.casework.rounds import OpenedRound

rounds = typer.Typer(help="镇街月度核对。 The month with the towns.", no_args_is_help=True)

Month = Annotated[str, typer.Option("--month", help="统计月 / statistical month, YYYY-MM")]
Reason = Annotated[str, typer.Option("--reason", help="提前办理的理由 / why before its time")]
Town = Annotated[str, typer.Option("--town", help="镇街代码，留空为全部 / town code; none: all")]


@verb(rounds, Right.OPERATE, "open")
def open_month(month: Month, reason: Reason = "", as_json: Json = False, home: Home = None) -> None:
    """开启一个月的核对，列出每个镇街的变动清单；已开启的不重复开启。 Open a month's round: every town gets its change list.

    hub round open --month 2026-11
    """
    import msgspec

    from hub.casework.rounds import open_round
    from hub.commands.opening import opened, operator
    from hub.database import utc_now

    with opened(home) as hub, hub.database.begin() as connection:
        done = open_round(connection, hub.settings, hub.catalogue, operator("hub"), month, utc_now(), reason=reason)
    if as_json:
        show(msgspec.to_builtins(done))
    else:
        print(_opened_line(done))


@verb(rounds, Right.OPERATE, "status")
def status(month: Month, town: Town = "", as_json: Json = False, home: Home = None) -> None:
    """各镇街进度：应核、已核、未核、转派、逾期、下载、回传、完成率。 How far each town is.

    hub round status --month 2026-11 --town 999001001
    """
    import msgspec

    from hub.casework.round_progress import progress
    from hub.commands.opening import opened, operator

    with opened(home) as hub, hub.database.begin() as connection:
        found = progress(connection, operator("hub"), month, hub.settings.time_zone)
    chosen = [one for one in found if town in ("", one.organisation, one.code, one.code[:9])]
    if as_json:
        show({"month": month, "towns": msgspec.to_builtins(chosen)})
    else:
        _tell(chosen)


@verb(rounds, Right.OPERATE, "close")
def close_month(month: Month, reason: Reason = "", as_json: Json = False, home: Home = None) -> None:
    """结束一个月的核对；迟到的回报仍可接收。 Close a month's round; late answers are still taken.

    hub round close --month 2026-11
    """
    from hub.casework.rounds import close_round
    from hub.commands.opening import opened, operator
    from hub.database import utc_now

    with opened(home) as hub, hub.database.begin() as connection:
        closed = close_round(connection, operator("hub"), month, utc_now(), reason)
    if as_json:
        show({"month": month, "closed": closed})
    else:
        print(f"{month} 已结束。 Closed." if closed else f"{month} 此前已结束。 It was closed already.")


def _opened_line(done: OpenedRound) -> str:
    first = "此前已开启 was open already" if done.repeated else "已开启 open"
    return (
        f"{done.month} {first}: {done.towns} 个镇街 towns, {done.items} 条 lines, {done.changes} 项变动 changes,"
        f" 截止 due {done.due_on}"
    )


def _tell(towns: list[TownProgress]) -> None:
    """One line a town, columns apart by tabs, so that it can be pasted into a sheet."""
    from hub.casework.round_table import written_share

    print("\t".join(("town", "items", "answered", "open", "transferred", "late", "downloaded", "returned", "done")))
    for one in towns:
        days = (f"{at:%Y-%m-%d}" if at else "-" for at in (one.downloaded_at, one.returned_at))
        counts = (one.tally.items, one.tally.answered, one.tally.open, one.tally.transferred, one.tally.late)
        print("\t".join((one.organisation, *map(str, counts), *days, written_share(one.tally))))
