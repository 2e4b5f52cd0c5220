"""Opening a file that was refused for its password."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.errors import BadRequest
from hub.registry.permissions import Right

unlocking = typer.Typer()


@verb(unlocking, Right.OPERATE, "unlock")
def unlock(
    number: Annotated[str, typer.Argument(help="回执编号 / receipt number")],
    organisation: Annotated[str, typer.Option("--as", help="单位代码 / organisation code")],
    as_json: Json = False,
    home: Home = None,
) -> None:
    """用密码打开报送的文件；密码提示输入，或读标准输入一行，不保存。 Open a file with its password, which is never kept.

    hub unlock HR20261101-XXXXXX --as health
    """
    from hub.commands.opening import opened, operator
    from hub.decisions.unlocking import unlock as open_file
    from hub.exchange import receipts

    password = _typed_password()
    with opened(home) as hub:
        with hub.database.begin() as connection:
            submission_id = receipts.find(connection, number).submission_id
        accepted = open_file(hub.database, hub.settings, operator(organisation), submission_id, password)
    say("已打开并作为新的报送收到。 Opened, and received as a new submission.")
    told = {"receipt": accepted.receipt_number, "state": accepted.state, "repeated": accepted.repeated}
    show(told) if as_json else print(accepted.receipt_number)


def _typed_password() -> str:
    """Without echo, or one line of standard input: never on the command line, where others see it."""
    if sys.stdin.isatty():
        return str(typer.prompt("文件的打开密码 / the file's password", hide_input=True, err=True))
    typed = sys.stdin.readline().rstrip("\r\n")
    if not typed:
        raise BadRequest("标准输入没有密码。 No password on standard input.")
    return typed
