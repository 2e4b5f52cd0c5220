"""Bulk verification from a file to a file; what comes out is row number and answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.errors import BadRequest
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.commands.opening import Opened
    from hub.people.verification import Verified

verifying = typer.Typer()


@verb(verifying, Right.OPERATE, "verify")
def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="含“姓名”“公民身份号码”两列 / two columns")],
    output: Annotated[Path, typer.Option("-o", "--output", help="结果文件 .xlsx 或 .csv / the answers")],
    purpose: Annotated[str, typer.Option("--purpose", help="核验目的 / what for")],
    organisation: Annotated[str, typer.Option("--as", help="单位代码 / organisation code")] = "hub",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """批量核验姓名与公民身份号码：只答一致、不一致、查无。 Names and numbers in; match, mismatch or not found out.

    hub people verify 名单.xlsx -o 结果.xlsx --purpose 办理养老待遇核对
    """
    from hub.commands.opening import opened

    if output.suffix not in (".xlsx", ".csv"):
        raise BadRequest("-o: .xlsx / .csv")
    with opened(home) as hub:
        verified = _verify(hub, file, output, purpose, organisation)
    told = {"verification_id": str(verified.verification_id), "counts": msgspec.to_builtins(verified.counts)}
    show(told) if as_json else print("  ".join(f"{name} {count}" for name, count in told["counts"].items()))


def _verify(hub: Opened, file: Path, output: Path, purpose: str, organisation: str) -> Verified:
    from hub.commands.opening import operator
    from hub.people import verification
    from hub.people.verification_file import read_pairs, write_answers

    actor = operator(organisation)
    actor = msgspec.structs.replace(actor, rights=actor.rights | {Right.VERIFY_PEOPLE})
    read = read_pairs(file, hub.settings)
    verified = verification.verify(hub.database, hub.settings, actor, read.pairs, purpose)
    write_answers(output, "csv" if output.suffix == ".csv" else "xlsx", read.sheet_rows, verified)
    return verified
