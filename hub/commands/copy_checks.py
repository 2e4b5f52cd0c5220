"""Comparing a copy with the slice it was made from, from the receiver's side: over the web, with the kit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.verbs import CANNOT_WORK, SOME_REFUSED, Json, Output, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from adapters.copy_check import Differences

copy_checks = typer.Typer()


@verb(copy_checks, Right.OPERATE, "copy-check")
def copy_check(
    subscription: Annotated[str, typer.Argument(help="订阅代码 / subscription code")],
    copy: Annotated[
        Path, typer.Option("--copy", exists=True, dir_okay=False, help="副本，NDJSON / the copy, as NDJSON")
    ],
    url: Annotated[str, typer.Option("--url", envvar="HUB_URL", help="枢纽地址 / the hub's address")],
    key: Annotated[
        str, typer.Option("--key", envvar="HUB_KEY", help="接口密钥，宜用环境变量 / API key, best set as a variable")
    ],
    cursor: Annotated[
        str | None,
        typer.Option("--cursor", help="副本所在游标，缺省取文件末行 / where the copy stands [its last line]"),
    ] = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """副本比对：逐条找出副本与枢纽的差异，-o 写出修复用的变动。 What differs between a copy and the hub; -o: the repair.

    退出码：0 一致；1 有差异。 Exit status: 0 the same, 1 something differs.

    HUB_URL=https://hub.example HUB_KEY=… hub copy-check renshe-moves --copy copy.ndjson -o repair.ndjson
    """
    import msgspec

    from adapters.client import HubClient
    from adapters.copy_check import closing_cursor, compare_copy, read_ndjson

    with _told_plainly():
        hub = HubClient(url, key, timeout=600)
        found = compare_copy(hub, subscription, cursor or closing_cursor(copy), read_ndjson(copy))
        hub.close()
    if output is not None:
        output.write_bytes(msgspec.json.Encoder().encode_lines(list(found.changes())))
    _tell(found, as_json)
    if len(found):
        raise typer.Exit(SOME_REFUSED)


def _tell(found: Differences, as_json: bool) -> None:
    counted = {name: len(getattr(found, name)) for name in ("missing", "surplus", "different")}
    if as_json:
        travelled = {name: getattr(found, name) for name in ("seq", "records", "moved", "sent_bytes", "received_bytes")}
        show(counted | travelled)
        return
    say(
        f"切片 {found.records} 条：缺 {counted['missing']}，多 {counted['surplus']}，不同 {counted['different']}，"
        f"其间变动未比 {found.moved}。 Of {found.records} records {counted['missing']} are missing, {counted['surplus']}"
        f" surplus, {counted['different']} different, {found.moved} moved meanwhile."
    )


@contextmanager
def _told_plainly() -> Iterator[None]:
    from adapters.client import HubProblem

    try:
        yield
    except HubProblem as refused:
        say(str(refused))
        raise typer.Exit(CANNOT_WORK) from None
