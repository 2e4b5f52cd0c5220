"""Lawful erasure, at the hub's own machine: a person is named by id, or by a number that is not on the command line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import msgspec
import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.errors import BadRequest, Conflict, NotFound
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.commands.opening import Opened

erasing = typer.Typer()
_WORD = "ERASE"


class NotConfirmed(Conflict):
    """未确认，什么也没有删除。 Not confirmed: nothing was erased."""

    problem = "not-confirmed"


@verb(erasing, Right.OPERATE, "erase")
def erase(
    person: Annotated[
        str, typer.Argument(help="人员编号；- 表示从标准输入读公民身份号码 / person id; -: a number on stdin")
    ],
    basis: Annotated[str, typer.Option("--basis", help="法律依据 / legal basis")],
    reason: Annotated[str, typer.Option("--reason", help="理由 / why")],
    yes: Annotated[bool, typer.Option("--yes", help="不再询问 / do not ask")] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """依法删除一个人的全部数据；原始文件到保存期满为止。 Erase a person; the files as sent stay until their time is over.

    hub people erase 0190f0c2-... --basis 个人信息保护法第四十七条 --reason 本人申请删除
    """
    from hub.commands.opening import opened, operator
    from hub.exchange.erasure import erase_person

    with opened(home) as hub:
        person_id = _named(hub, person)
        _confirm(person_id, yes=yes)
        erased = erase_person(hub.database, hub.settings, hub.catalogue, operator("hub"), person_id, basis, reason)
    told = msgspec.to_builtins(erased)
    show(told) if as_json else print("\n".join(f"{name}: {value}" for name, value in told.items()))
    say(
        "原始文件仍按保存期限留存。 The files as they were sent are kept until they expire ([retention] raw_files_days)."
    )


def _named(hub: Opened, person: str) -> UUID:
    from hub.people.verification import find_person

    if person == "-":
        with hub.database.begin() as connection:
            found = find_person(connection, sys.stdin.readline(), hub.settings.fictitious_prefixes)
        if found is None:
            raise NotFound()
        return found
    try:
        return UUID(person)
    except ValueError as wrong:
        raise BadRequest("人员编号 person id") from wrong


def _confirm(person_id: UUID, *, yes: bool) -> None:
    if yes:
        return
    say(f"{person_id}: 将删除此人的全部数据，不能恢复。 Everything known of this person goes, for good.")
    if typer.prompt(f"请输入 {_WORD} 确认 / type {_WORD}", err=True) != _WORD:
        raise NotConfirmed()
