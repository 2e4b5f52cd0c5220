"""The district's working days: a year as the hub counts it, and the holidays of a year the State Council has announced."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.registry.permissions import Right

calendar = typer.Typer(help="工作日历。 The district's working days.", no_args_is_help=True)

Year = Annotated[int, typer.Argument(min=2004, max=2199, help="年份 / year")]


@verb(calendar, Right.OPERATE, "show")
def show_year(year: Year, as_json: Json = False, home: Home = None) -> None:
    """一年的放假、调休上班日和工作日数。 A year's holidays, swapped working days, and how many days are worked.

    退出码：0 该年已公布；1 尚未公布，只按周一至周五计。 Exit status: 0 announced, 1 not yet: Monday to Friday are taken.
    """
    from hub.commands.opening import usable_settings
    from hub.registry.calendar_years import describe_year
    from hub.registry.working_days import load_calendar

    days = load_calendar(usable_settings(home))
    told = describe_year(days, year)
    if as_json:
        import msgspec

        show(msgspec.to_builtins(told))
    else:
        print(f"{year}: {told.working_days} 个工作日 working days ({told.origin})")
        print("放假（周一至周五）off:", " ".join(f"{day:%m-%d}" for day in told.holidays) or "-")
        print("上班（周六周日）worked:", " ".join(f"{day:%m-%d}" for day in told.workdays) or "-")
    if not days.knows(year):
        say(f"{year} 年放假安排尚未公布或未导入。 The holidays of {year} are not known: hub calendar import FILE.")
        raise typer.Exit(1)


@verb(calendar, Right.OPERATE, "import")
def import_year(
    file: Annotated[Path, typer.Argument(help="TOML 文件 / a TOML file", exists=True, dir_okay=False)],
    replace: Annotated[bool, typer.Option("--replace", help="更换已有的安排 / instead of what is known")] = False,
    home: Home = None,
) -> None:
    """导入一年的放假安排：检查后写入 <数据文件夹>/calendar/年份.toml。 Import a year's holidays, after checking them.

    文件内容 the file: holidays = [2027-01-01, 2027-02-05]  workdays = [2027-02-20]
    """
    from hub.commands.opening import opened, operator
    from hub.registry.calendar_years import import_year as enter_year

    with opened(home) as hub, hub.database.begin() as connection:
        year, told = enter_year(connection, hub.settings, operator("hub"), file, replace=replace)
    say(f"已导入 {year} 年：{told.working_days} 个工作日。 Imported: {told.working_days} working days in {year}.")
