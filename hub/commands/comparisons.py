"""The standing comparisons from the command line: run them all, list what a unit has to work off, close an item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.people.comparison_list import ListedItem

comparisons = typer.Typer(help="数据比对。 Standing comparisons between sources.", no_args_is_help=True)

Organisation = Annotated[str, typer.Option("--as", help="单位代码 / organisation code")]


@verb(comparisons, Right.OPERATE, "run")
def run(
    only: Annotated[list[str] | None, typer.Option("--only", help="只做这项比对 / only this check")] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """全库比对一遍，更新各单位的待办。 Compare the whole register once; items are opened, reopened, let go."""
    import msgspec

    from hub.commands.opening import opened, operator
    from hub.people.comparison import run_comparisons

    with opened(home) as hub:
        counts = run_comparisons(hub.database, hub.settings, hub.catalogue, operator("hub"), only=only)
        titles = {code: hub.catalogue.comparisons[code].title for code in counts}
    if as_json:
        show(msgspec.to_builtins(counts))
        return
    for code, one in counts.items():
        print(f"{titles[code]} {code}: +{one.opened} ↺{one.reopened} ={one.still_open} -{one.gone}")


@verb(comparisons, Right.OPERATE, "list")
def list_open(
    organisation: Organisation,
    check: Annotated[str, typer.Option("--check", help="比对项目 / check code")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 100,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """一个单位的待办，号码已遮盖。 A unit's open items; numbers are masked.

    hub compare list --as public_security --check death_not_cancelled
    """
    import msgspec

    from hub.commands.opening import opened, operator
    from hub.people.comparison_list import Wanted, list_items

    with opened(home) as hub, hub.database.begin() as connection:
        actor, wanted = operator(organisation), Wanted(check=check)
        items = list_items(connection, actor, hub.catalogue, wanted, purpose="comparisons/command", limit=limit)
    if as_json:
        show(msgspec.to_builtins(items))
        return
    for item in items:
        print(_line(item))


@verb(comparisons, Right.OPERATE, "close")
def close(
    item: Annotated[UUID, typer.Argument(help="项目编号 / item id")],
    organisation: Organisation,
    evidence: Annotated[str, typer.Option("--evidence", help="核实依据 / what was found")],
    outcome: Annotated[str, typer.Option("--outcome", help="corrected explained not_ours")] = "corrected",
    home: Home = None,
) -> None:
    """写明核实依据，办结一项。 Close an item with what was found."""
    from hub.commands.opening import opened, operator
    from hub.people.comparison_list import close_item

    with opened(home) as hub, hub.database.begin() as connection:
        close_item(connection, operator(organisation), item, evidence, outcome)
    print("已办结。 Closed.")


def _line(item: ListedItem) -> str:
    return f"{item.item_id}  {item.check}  {item.name}  {item.identifier}  {item.opened_at:%Y-%m-%d}  ×{item.times}"
