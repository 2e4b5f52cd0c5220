"""A town's roll from the command line: compare it, list what differs, decide, write the differences as a workbook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Actor, Right

if TYPE_CHECKING:
    from hub.commands.opening import Opened
    from hub.decisions.rolls import RollCheck

rolls = typer.Typer(help="名册比对。 A town's roll beside the register.", no_args_is_help=True)

Town = Annotated[str, typer.Option("--as", help="镇街代码 / the town's code")]
Roll = Annotated[UUID, typer.Argument(help="名册编号 / roll id")]
Kind = Annotated[str, typer.Option("--kind", help="missing_here missing_there different duplicated unreadable")]
Field = Annotated[str, typer.Option("--field", help="只看这一项不一致的 / differing in this field")]


@verb(rolls, Right.OPERATE, "compare")
def compare(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="名册文件 / the roll")],
    town: Town,
    village: Annotated[str, typer.Option("--village", help="只是这个村居的名册 / the roll of one village")] = "",
    sure_nobody: Annotated[bool, typer.Option("--nobody", help="确认无人居住 / nobody lives there")] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """名册与登记逐人比对，列出差异。 Compare a roll with the register and the last roll, person by person."""
    from hub.commands.opening import opened
    from hub.decisions.rolls import upload_roll

    with opened(home) as hub, file.open("rb") as stream:
        actor = _officer(hub, town)
        check = upload_roll(
            hub.database, hub.settings, hub.catalogue, actor, stream, file.name, village, sure_nobody=sure_nobody
        )
    _tell(check, as_json)


@verb(rolls, Right.OPERATE, "list")
def list_differences(
    town: Town,
    roll: Annotated[UUID | None, typer.Option("--roll", help="名册编号；不填则列出各份名册 / roll id")] = None,
    kind: Kind = "",
    field: Field = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 100,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """各份名册，或一份名册的差异（号码已遮盖）。 A town's rolls, or the open differences of one, masked."""
    from hub.casework.roll_items import Chosen
    from hub.commands.opening import opened
    from hub.decisions.roll_export import shown_items
    from hub.decisions.rolls import list_rolls
    from hub.registry.scope import reach_of

    with opened(home) as hub:
        actor = _officer(hub, town)
        if roll is None:
            with hub.database.begin(reach_of(actor)) as connection:
                found = list_rolls(connection, actor, limit)
            for check in found:
                _tell(check, as_json)
            return
        chosen = Chosen(kind=kind, field=field, state="open")
        _, items = shown_items(hub.database, hub.catalogue, actor, roll, chosen, 0, limit)
    for item in items:
        differs = " ".join(f"{one.title}: {one.roll} / {one.register}" for one in item.fields if one.differs)
        line = f"{item.item_no}  {item.kind}  {item.village}  {item.name}  {item.number}  {item.registered}{differs}"
        show(_built(item)) if as_json else print(line)


@verb(rolls, Right.OPERATE, "decide")
def decide(
    roll: Roll,
    town: Town,
    decision: Annotated[Literal["roll", "register", "ask"], typer.Option("--decision")],
    items: Annotated[
        list[int] | None, typer.Option("--item", help="序号；不填则全部 / line, all when none is named")
    ] = None,
    kind: Kind = "",
    field: Field = "",
    left_as: Annotated[str, typer.Option("--left-as", help="4 错登 2 迁出 / of who is not on the roll")] = "",
    reason: Annotated[str, typer.Option("--reason", help="核实依据 / what was found")] = "",
    sure: Annotated[bool, typer.Option("--sure", help="再次确认 / confirmed once more")] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """名册为准、登记为准或入户再核；名册为准的随即报送。 Decide lines; what the roll is right about is sent."""
    from hub.casework.roll_items import Chosen
    from hub.commands.opening import opened
    from hub.decisions import roll_deciding

    judgement = roll_deciding.Judgement(decision=decision, reason=reason, left_as=left_as, sure=sure)
    chosen = Chosen(kind=kind, field=field, items=tuple(items) if items else None)
    with opened(home) as hub:
        actor = _officer(hub, town)
        decided = roll_deciding.decide(hub.database, hub.settings, hub.catalogue, actor, roll, chosen, judgement)
    receipts = [one.receipt_number for one in decided.sent]
    show({"items": decided.items, "receipts": receipts}) if as_json else print(decided.items, *receipts)


@verb(rolls, Right.OPERATE, "export")
def export(
    roll: Roll,
    town: Town,
    output: Annotated[Path, typer.Option("-o", "--output", help="差异清单 .xlsx / the differences")],
    home: Home = None,
) -> None:
    """漏登、重登、错登清单。 The differences as a workbook, masked."""
    from hub.commands.opening import opened
    from hub.decisions.roll_export import export_differences

    with opened(home) as hub:
        export_differences(hub.database, hub.settings, hub.catalogue, _officer(hub, town), roll, output)


def _officer(hub: Opened, code: str) -> Actor:
    """Who works at the hub's own machine, for a town: its areas and no others."""
    import msgspec

    from hub.commands.opening import operator
    from hub.registry.organisations import load_organisation

    with hub.database.begin() as connection:
        its = load_organisation(connection, code)
    actor = operator(code)
    rights = actor.rights | {Right.READ_CHANGE_LIST}
    return msgspec.structs.replace(actor, kind=its.kind, area_id=its.area_id, rights=rights)


def _tell(check: RollCheck, as_json: bool) -> None:
    told = _built(check)
    show(told) if as_json else print(check.roll_id, check.state, check.file_name, check.counts)


def _built(one: object) -> object:
    import msgspec

    return msgspec.to_builtins(one)
