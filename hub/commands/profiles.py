"""What is known of each person, from the command line: derive it anew, or compare it with what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.commands.opening import Opened
    from hub.people.profile_check import ProfileDifference

profiles = typer.Typer()
Check = Annotated[bool, typer.Option("--check", help="只比较，不写入 / compare only, write nothing")]
_SHOWN = 50


@verb(profiles, Right.OPERATE, "derive")
def derive(check_only: Check = False, as_json: Json = False, home: Home = None) -> None:
    """按优先顺序重新推算每个人的属性。 Derive everybody's attributes anew by the declared precedence."""
    from hub.commands.opening import opened
    from hub.people.profile_check import check
    from hub.people.profiles import derive_all

    with opened(home) as hub:
        if check_only:
            differences = [*check(hub.database, hub.catalogue), *_what_does_not_follow(hub)]
            _leave_line(hub, "check", differing=len(differences))
            _compare(differences, as_json)
        else:
            derived = derive_all(hub.database, hub.catalogue)
            _leave_line(hub, "derive", persons=derived)
            show({"persons": derived}) if as_json else print(f"已推算 {derived} 人。 {derived} persons derived.")


def _what_does_not_follow(hub: Opened) -> list[ProfileDifference]:
    """Homes and right numbers that are not what the records and decisions say."""
    from hub.exchange.homes import wrong_homes
    from hub.exchange.numbers import wrong_numbers
    from hub.people.profile_check import ProfileDifference

    with hub.database.begin() as connection:
        homes, numbers = wrong_homes(connection, hub.catalogue), wrong_numbers(connection, hub.catalogue)
    found = {"home": homes, "number": numbers}
    return [ProfileDifference(person_id=one, kind=kind) for kind, persons in found.items() for one in persons]


def _leave_line(hub: Opened, done: str, **counts: int) -> None:
    from hub import audit
    from hub.commands.opening import operator

    with hub.database.begin() as connection:
        audit.record(connection, operator("hub"), Right.OPERATE, f"profiles {done}", "done", **counts)


def _compare(differences: list[ProfileDifference], as_json: bool) -> None:
    """Ids and names of attributes, never a value; exit status 1 if anything differs."""
    if as_json:
        told = [{"person": str(one.person_id), "kind": one.kind, "names": one.names} for one in differences]
        show({"differences": len(differences), "persons": told})
    elif not differences:
        print("与各来源记录一致。 The profiles are what the records say.")
    else:
        for one in differences[:_SHOWN]:
            print(f"{one.person_id}  {one.kind}  {' '.join(one.names)}".rstrip())
        print(
            f"{len(differences)} 人不一致，请运行 hub people derive 重新推算。"
            f" {len(differences)} persons differ: run hub people derive."
        )
    raise typer.Exit(1 if differences else 0)
