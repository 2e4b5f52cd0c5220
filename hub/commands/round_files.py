"""``hub round export`` and ``hub round return``: the towns' change lists as files, out and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.sending import English, File, Organisation, submit
from hub.commands.verbs import Home, Json, say, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.commands.opening import Opened
    from hub.registry.permissions import Actor

round_files = typer.Typer()

Target = Annotated[Path, typer.Option("-o", "--output", dir_okay=False, help="写入文件 / write to this file")]
Town = Annotated[
    str, typer.Option("--town", help="镇街代码，留空为全部，各写一个文件 / town code; none: a file for each")
]
Cards = Annotated[bool, typer.Option("--cards", help="入户核对卡 / the cards for the visit")]


@verb(round_files, Right.OPERATE, "export")
def export(
    month: Annotated[str, typer.Option("--month", help="月份 / month, YYYY-MM")],
    output: Target,
    town: Town = "",
    cards: Cards = False,
    home: Home = None,
) -> None:
    """导出镇街变动清单，填好后可原样回传。 A town's change list as a workbook, to fill in and send back.

    hub round export --month 2026-11 --town 999001001 -o 清溪11月.xlsx
    """
    from hub.commands.opening import opened

    with opened(home) as hub:
        for code in [town] if town else _towns_of(hub, month):
            target = output if town else output.with_name(f"{output.stem}-{code}{output.suffix}")
            target.write_bytes(_paper(hub, code, month, cards=cards))
            say(f"{target}")


@verb(round_files, Right.OPERATE, "return")
def send_back(
    file: File,
    organisation: Organisation,
    month: Annotated[str | None, typer.Option("--month", help="月份 / month, YYYY-MM")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="等待结果 / wait for the result")] = False,
    english: English = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """回传填好的变动清单。 Send a change list back, filled in.

    hub round return 清溪11月.xlsx --as 999001001 --month 2026-11 --wait
    """
    from hub.casework.list_sheets import LIST_SHEET, ROUND_SHEETS

    record_type = ROUND_SHEETS[LIST_SHEET]
    submit(file, organisation, record_type, month, wait=wait, english=english, as_json=as_json, home=home)


def _paper(hub: Opened, town: str, month: str, *, cards: bool) -> bytes:
    from hub.casework.round_papers import cards_paper, list_paper

    with hub.database.begin() as connection:
        make = cards_paper if cards else list_paper
        return make(connection, hub.settings, hub.catalogue, _for_town(hub, town), month).content


def _for_town(hub: Opened, code: str) -> Actor:
    """Who works at the hub's own machine, reading what the town itself may read."""
    import msgspec

    from hub.commands.opening import operator
    from hub.errors import NotFound
    from hub.registry.organisations import load_organisation

    with hub.database.begin() as connection:
        unit = load_organisation(connection, code)
    if unit.area_id is None:
        raise NotFound(f"{code} 不是镇街或村居。 {code} is no town or village.")
    who = operator(code)
    rights = who.rights | {Right.READ_CHANGE_LIST}
    return msgspec.structs.replace(who, kind=unit.kind, area_id=unit.area_id, rights=rights)


def _towns_of(hub: Opened, month: str) -> list[str]:
    from hub.casework.rounds import load_round
    from hub.database import run_sql

    with hub.database.begin() as connection:
        opened = load_round(connection, month)
        rows = run_sql(
            connection,
            "SELECT organisation FROM {d}.round_town WHERE round_id = :round ORDER BY organisation",
            round=opened.round_id,
        )
    return [str(code) for (code,) in rows]
