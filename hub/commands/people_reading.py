"""``hub people find`` and ``hub people show``: masked, with a reason, noted like any other reading."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
import typer

from hub.commands.verbs import Home, show, verb
from hub.registry.permissions import Right

people_reading = typer.Typer()
Reason = Annotated[str, typer.Option("--reason", help="理由，4 至 200 个字，不写号码 / why, 4 to 200 characters")]


@verb(people_reading, Right.OPERATE, "find")
def find(
    reason: Reason,
    id_no: Annotated[str, typer.Option("--id-no", help="完整身份号码 / a whole identity number")] = "",
    name: Annotated[str, typer.Option("--name", help="姓名开头至少两个字 / the beginning of the name")] = "",
    area: Annotated[str, typer.Option("--area", help="区划代码 / area code")] = "",
    birth_date: Annotated[
        datetime | None, typer.Option("--birth-date", formats=["%Y-%m-%d"], help="出生日期 / born on")
    ] = None,
    home: Home = None,
) -> None:
    """查找人员，结果掩码显示。 Find a person, by number, or by name with an area or a birth date; answers are masked."""
    from hub.commands.opening import opened, operator
    from hub.people.purposes import checked_purpose
    from hub.people.search import area_named, find_people
    from hub.registry.areas import load_area_index

    actor = operator("hub")
    purpose = checked_purpose(actor, "other", reason)
    with opened(home) as hub, hub.database.begin() as connection:
        areas = load_area_index(connection)
        found = find_people(
            connection, actor, hub.catalogue, areas, name=name, area=area_named(areas, area), id_no=id_no,
            birth_date=birth_date.date() if birth_date else None, purpose=purpose,
            a_day=hub.settings.people.searches_a_day,
        )  # fmt: skip
    show(msgspec.to_builtins(found))


@verb(people_reading, Right.OPERATE, "show")
def show_person(
    person_id: Annotated[UUID, typer.Argument(help="人员编号 / the person's id, as `hub people find` gives it")],
    reason: Reason,
    home: Home = None,
) -> None:
    """一人的时间线，掩码显示。 One person's timeline, masked."""
    from hub.commands.opening import opened, operator
    from hub.people.purposes import checked_purpose
    from hub.people.timeline import read_timeline
    from hub.registry.areas import load_area_index

    actor = operator("hub")
    purpose = checked_purpose(actor, "other", reason)
    with opened(home) as hub, hub.database.begin() as connection:
        areas = load_area_index(connection)
        told = read_timeline(connection, actor, hub.catalogue, areas, person_id, purpose)
    show(msgspec.to_builtins(told))
