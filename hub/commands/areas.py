"""Areas from the command line: import a list, merge, split, recode; each change re-routes its records at once."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.errors import BadRequest
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from hub.registry.area_changes import AreaChange
    from hub.registry.areas import AreaIndex, AreaRow
    from hub.registry.permissions import Actor

area = typer.Typer(help="区划 / areas", no_args_is_help=True)
On = Annotated[datetime, typer.Option("--on", formats=["%Y-%m-%d"], help="生效日期 / in force from")]
Changing = Callable[["Connection", "Actor", "AreaIndex"], "AreaChange"]


@verb(area, Right.MANAGE_REGISTRY, "import")
def import_list(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="code,name,kind,parent_code (CSV, UTF-8)")],
    on: On,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """导入区划名单（12位代码）。 Import a list of areas with their 12-digit codes; repeating it changes nothing."""
    from hub.commands.opening import opened
    from hub.registry.areas import import_areas

    with opened(home) as hub, hub.database.begin() as connection:
        done = import_areas(connection, _registrar(), _read_rows(file), on.date())
    told = {
        "added": len(done.added),
        "changed": len(done.changed),
        "unchanged": done.unchanged,
        "missing": list(done.missing),
    }
    show(told) if as_json else print("  ".join(f"{name} {value}" for name, value in told.items()))


@verb(area, Right.MANAGE_REGISTRY, "merge")
def merge(
    absorbed: Annotated[list[str], typer.Argument(help="被并入的区划代码 / codes of the absorbed areas")],
    into: Annotated[str, typer.Option("--into", help="保留的区划代码 / code of the area kept")],
    on: On,
    home: Home = None,
) -> None:
    """合并区划，并重新归属其记录。 Merge areas; their records are re-routed."""
    from hub.registry.area_changes import merge_areas

    def change(connection: Connection, actor: Actor, index: AreaIndex) -> AreaChange:
        return merge_areas(
            connection, actor, [_known(index, code) for code in absorbed], _known(index, into), on.date()
        )

    _run(home, change)


@verb(area, Right.MANAGE_REGISTRY, "split")
def split(
    town: Annotated[str, typer.Argument(help="原镇街代码 / code of the town")],
    villages: Annotated[list[str], typer.Argument(help="划出的村居代码 / codes of the villages that move")],
    new_code: Annotated[str, typer.Option("--code", help="新镇街代码 / code of the new town")],
    name: Annotated[str, typer.Option("--name", help="新镇街名称 / name of the new town")],
    on: On,
    home: Home = None,
) -> None:
    """从镇街划出新镇街，并重新归属其记录。 Make a new town of a town's villages; their records are re-routed."""
    from hub.registry.area_changes import split_area
    from hub.registry.areas import AreaRow

    def change(connection: Connection, actor: Actor, index: AreaIndex) -> AreaChange:
        moving = [_known(index, code) for code in villages]
        return split_area(connection, actor, _known(index, town), AreaRow(new_code, name, "town"), moving, on.date())

    _run(home, change)


@verb(area, Right.MANAGE_REGISTRY, "recode")
def recode(
    code: Annotated[str, typer.Argument(help="现代码 / code in force")],
    new_code: Annotated[str, typer.Option("--code", help="新代码 / new code")],
    name: Annotated[str, typer.Option("--name", help="名称 / name")],
    on: On,
    home: Home = None,
) -> None:
    """区划换代码或名称。 Give an area another code or name; records carry its stable id and stay."""
    from hub.registry.area_changes import recode_area

    _run(
        home,
        lambda connection, actor, index: recode_area(connection, actor, _known(index, code), new_code, name, on.date()),
    )


def _run(home: Path | None, changing: Changing) -> None:
    from hub.commands.opening import opened
    from hub.exchange.area_submission import change_areas
    from hub.registry.areas import load_area_index

    actor = _registrar()
    with opened(home) as hub:
        number = change_areas(
            hub.database,
            hub.settings,
            hub.catalogue,
            actor,
            lambda connection: changing(connection, actor, load_area_index(connection)),
        )
    print(number)


def _registrar() -> Actor:
    from hub.commands.opening import operator

    return operator("hub")


def _known(index: AreaIndex, code: str) -> int:
    found = index.codes.get(code)
    if found is None:
        raise BadRequest(f"{code}: 没有这个区划代码。 No area has this code.")
    return found


def _read_rows(file: Path) -> list[AreaRow]:
    from hub.registry.areas import AreaRow

    with file.open(encoding="utf-8-sig", newline="") as lines:
        try:
            return [
                AreaRow(row["code"], row["name"], row["kind"], row.get("parent_code") or None)  # type: ignore[arg-type]
                for row in csv.DictReader(lines)
            ]
        except KeyError as missing:
            raise BadRequest(
                f"{file.name}: 缺少列 {missing}。 A column is missing: code, name, kind, parent_code."
            ) from None
