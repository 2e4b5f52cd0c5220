"""The month's account from the command line: towns join, a month is drawn, looked at, let pass, closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.casework.balance import Drawn
    from hub.casework.balance_reading import Account

balance = typer.Typer(
    help="人口变动平衡表：期初＋入账＋出生－死亡＋迁入－迁出±订正±补记＝期末。 The month's account.",
    no_args_is_help=True,
)

Month = Annotated[str, typer.Option("--month", help="统计月 / statistical month, YYYY-MM")]
Town = Annotated[str, typer.Option("--town", help="镇街代码 / town code")]
Reason = Annotated[str, typer.Option("--reason", help="理由，4 至 200 个字，不写号码 / why, 4 to 200 characters")]
Area = Annotated[str, typer.Option("--area", help="区划代码，留空为全区 / area code; none: the district")]


@verb(balance, Right.OPERATE, "join")
def join(town: Town, month: Month, home: Home = None) -> None:
    """一个镇街自某月起入账，现有人口为期初入账数。 From this month on a town's residents are in the books.

    hub balance join --town 999001001 --month 2026-11
    """
    from hub.casework.balance import join_books
    from hub.casework.balance_reading import area_named_by_code
    from hub.commands.opening import opened, operator
    from hub.database import utc_now
    from hub.registry.areas import load_area_index

    with opened(home) as hub, hub.database.begin() as connection:
        actor, index = operator("hub"), load_area_index(connection)
        area = area_named_by_code(index, actor, town)
        join_books(connection, actor, area, month, utc_now(), index)
    print(f"{index.name_of[area]} 自 {month} 起入账。 In the books since {month}.")


@verb(balance, Right.OPERATE, "draw")
def draw(month: Month, as_json: Json = False, home: Home = None) -> None:
    """生成（或重新生成）尚未封账月份的平衡表。 Draw the open month's account, or draw it anew.

    hub balance draw --month 2026-11
    """
    from hub.casework.balance import draw_month
    from hub.commands.opening import opened, operator
    from hub.database import utc_now

    with opened(home) as hub:
        done = draw_month(hub.database, hub.settings, hub.catalogue, operator("hub"), month, utc_now())
    _tell_drawn(done, as_json)


@verb(balance, Right.OPERATE, "close")
def close(month: Month, as_json: Json = False, home: Home = None) -> None:
    """账平后封账；之后再到的变动记入未封账的月份。 Close a month that balances; what comes later goes into the open one.

    hub balance close --month 2026-11
    """
    from hub.casework.balance import close_month
    from hub.commands.opening import opened, operator
    from hub.database import utc_now

    with opened(home) as hub:
        done = close_month(hub.database, hub.settings, hub.catalogue, operator("hub"), month, utc_now())
    _tell_drawn(done, as_json)


@verb(balance, Right.OPERATE, "excuse")
def excuse_people(
    month: Month,
    reason: Reason,
    person: Annotated[UUID | None, typer.Option("--person", help="人员编号 / the person's id")] = None,
    town: Town = "",
    home: Home = None,
) -> None:
    """写明理由，让一人或一个镇街的差异通过。 Let one person's difference, or all of a town, pass with a reason.

    hub balance excuse --month 2026-11 --person 019… --reason 村里核实，人已搬走
    """
    from hub.casework.balance_excuses import excuse
    from hub.casework.balance_reading import area_named_by_code
    from hub.commands.opening import opened, operator
    from hub.database import utc_now
    from hub.registry.areas import load_area_index

    with opened(home) as hub, hub.database.begin() as connection:
        actor, index = operator("hub"), load_area_index(connection)
        area = area_named_by_code(index, actor, town) if town else None
        done = excuse(connection, actor, month, reason, utc_now(), person_id=person, town=area)
    print(f"已说明 {done} 条差异。 {done} differences were let pass.")


@verb(balance, Right.OPERATE, "take-back")
def take_back(
    month: Month,
    reason: Reason,
    person: Annotated[UUID, typer.Option("--person", help="人员编号 / the person's id")],
    home: Home = None,
) -> None:
    """写明理由，收回对一人差异的说明；封账后不能收回。 A person's difference stands again, until the month is closed.

    hub balance take-back --month 2026-11 --person 019… --reason 核实有误，人还在村里
    """
    from hub.casework.balance_excuses import take_back_excuse
    from hub.commands.opening import opened, operator

    with opened(home) as hub, hub.database.begin() as connection:
        done = take_back_excuse(connection, operator("hub"), month, reason, person)
    print(f"已收回 {done} 条说明。 {done} differences stand again.")


@verb(balance, Right.OPERATE, "show")
def show_account(month: Month, as_json: Json = False, home: Home = None) -> None:
    """一个月的平衡表：区、镇街、村居。 A month's account: district, towns, villages.

    hub balance show --month 2026-11
    """
    import msgspec

    from hub.casework.balance_reading import read_account
    from hub.commands.opening import opened, operator
    from hub.registry.areas import load_area_index

    with opened(home) as hub, hub.database.begin() as connection:
        account = read_account(connection, operator("hub"), load_area_index(connection), month)
    if as_json:
        show(msgspec.to_builtins(account))
    else:
        _tell(account)


@verb(balance, Right.OPERATE, "people")
def people(
    month: Month,
    reason: Reason,
    area: Area = "",
    figure: Annotated[str, typer.Option("--figure", help="哪个数字 / which figure")] = "unexplained",
    home: Home = None,
) -> None:
    """一个数字由哪些人构成，掩码显示，记入审计。 Who makes a figure: masked, with a reason, noted.

    hub balance people --month 2026-11 --area 999001001 --reason 查找差异人员
    """
    import msgspec

    from hub.casework.balance_reading import area_named_by_code, figure_named, list_moved
    from hub.commands.opening import opened, operator
    from hub.people.purposes import checked_purpose
    from hub.registry.areas import load_area_index

    actor = operator("hub")
    purpose = checked_purpose(actor, "other", reason)
    with opened(home) as hub, hub.database.begin() as connection:
        index = load_area_index(connection)
        asked = (month, area_named_by_code(index, actor, area), figure_named(figure))
        found = list_moved(connection, actor, index, asked, purpose)
    show(msgspec.to_builtins(found))


def _tell_drawn(done: Drawn, as_json: bool) -> None:
    import msgspec

    if as_json:
        show(msgspec.to_builtins(done))
    elif done.unexplained:
        print(
            f"{done.month} 账不平，有 {done.unexplained} 人对不上，用 hub balance people 查看。"
            f" {done.unexplained} people make the difference: see hub balance people."
        )
    else:
        closed = "已封账 closed" if done.state == "closed" else "账平 balances"
        print(f"{done.month} {closed}；{done.movements} 条变动 movements")


def _tell(account: Account) -> None:
    """One line each, columns apart by tabs, so that it can be pasted into a sheet."""
    from hub.casework.balance_reading import FIGURES
    from hub.casework.balance_table import figures_of

    print("\t".join(("area", "name", "start", *FIGURES, "end")))
    for line in account.lines:
        print("\t".join((line.code, line.name, *map(str, figures_of(line)))))
