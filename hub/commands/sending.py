"""Sending files and reading what became of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.commands.verbs import ACCEPTED, CANNOT_WORK, FILE_REFUSED, SOME_REFUSED, Home, Json, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.commands.opening import Opened
    from hub.jobs import Accepted

sending = typer.Typer()
_WAIT_SECONDS = 600.0

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="文件 / the file")]
TypeCode = Annotated[str, typer.Option("--type", help="信息类别 / record type")]
English = Annotated[bool, typer.Option("--english", help="以英文说明 / explain in English")]
Organisation = Annotated[str, typer.Option("--as", help="单位代码 / organisation code")]


@verb(sending, Right.OPERATE, "submit")
def submit(
    file: File,
    organisation: Organisation,
    record_type: TypeCode,
    period: Annotated[str | None, typer.Option("--period", help="月份 / month, YYYY-MM")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查不入库 / check only")] = False,
    backfill: Annotated[bool, typer.Option("--backfill", help="补录历史数据 / earlier data")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="等待结果 / wait for the result")] = False,
    english: English = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """报送一个文件。 Send a file.

    hub submit 11月死亡.xlsx --as health --type death_certificate --period 2026-11 --wait
    """
    from hub.commands.opening import opened

    with opened(home) as hub:
        accepted = _accept(hub, file, organisation, record_type, period, dry_run=dry_run, backfill=backfill)
        if not wait:
            say("已收到。 Received. 查看结果 / see the result: hub receipt " + accepted.receipt_number)
            told = {"receipt": accepted.receipt_number, "state": accepted.state, "repeated": accepted.repeated}
            show(told) if as_json else print(accepted.receipt_number)
            return
        receipt = _wait(hub, accepted, _language(english))
    _tell(receipt, as_json)
    raise typer.Exit(_status(receipt))


@verb(sending, Right.PUBLIC, "check")
def check(
    file: File,
    record_type: TypeCode,
    organisation: Annotated[str | None, typer.Option("--as", help="单位代码 / organisation code")] = None,
    english: English = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """按同样的规则检查文件，不用数据库，不保留任何内容。 The same rules without a database; nothing is kept."""
    from hub.commands.checking import check_file
    from hub.commands.columns import tell_question
    from hub.settings import load_settings

    checked = check_file(load_settings(home), file, record_type, organisation, _language(english))
    _tell(checked, as_json)
    if "question" in checked and not as_json:
        tell_question(checked["question"])
    raise typer.Exit(_status(checked))


@verb(sending, Right.OPERATE, "receipt")
def receipt(
    number: Annotated[str, typer.Argument(help="回执编号，或 verify / the number, or: verify FILE")],
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="verify: 回执文件 / the receipt")
    ] = None,
    keys: Annotated[Path | None, typer.Option("--keys", help="public_keys.json")] = None,
    english: English = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """查看回执，或离线验证签名。 Show a receipt; or verify one offline: hub receipt verify FILE."""
    if number == "verify":
        _verify(file, keys, home)
        return
    from hub.commands.opening import opened
    from hub.exchange import receipts

    with opened(home) as hub, hub.database.begin() as connection:
        shown = receipts.read_receipt(connection, number, _language(english), catalogue=hub.catalogue)
    _tell(shown, as_json)


def _language(english: bool) -> str:
    return "en" if english else "zh"


def _accept(
    hub: Opened, file: Path, organisation: str, record_type: str, period: str | None, *, dry_run: bool, backfill: bool
) -> Accepted:
    from hub import jobs
    from hub.commands.opening import operator

    with file.open("rb") as stream:
        return jobs.accept(
            hub.database,
            hub.settings,
            operator(organisation),
            stream=stream,
            file_name=file.name,
            record_type=record_type,
            organisation=organisation,
            period=period,
            door="command",
            dry_run=dry_run,
            kind="backfill" if backfill else "regular",
            catalogue=hub.catalogue,
        )


def _wait(hub: Opened, accepted: Accepted, language: str) -> dict[str, Any]:
    from hub import jobs
    from hub.exchange import receipts

    jobs.run_now(hub.database, hub.settings, accepted.submission_id, _WAIT_SECONDS)
    if accepted.repeated:
        say("相同内容此前已收到，未作任何改变。 The same content was received before; nothing changed.")
    with hub.database.begin() as connection:
        return receipts.read_receipt(connection, accepted.receipt_number, language, catalogue=hub.catalogue)


def _status(receipt: dict[str, Any]) -> int:
    """0 accepted (held, warned and braked included), 1 some rows refused, 2 the file refused or asked about, 4 not done."""
    if receipt["state"] in ("refused", "asking"):
        return FILE_REFUSED
    if receipt["state"] == "braked":
        return ACCEPTED
    if not receipt["final"] or receipt["state"] == "failed":
        return CANNOT_WORK
    return SOME_REFUSED if receipt["counts"]["refused"] else ACCEPTED


def _tell(receipt: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show(receipt)
        return
    counts = receipt["counts"]
    print(f"{receipt['receipt'] or ''} {receipt['state']}  " + "  ".join(f"{name} {counts[name]}" for name in counts))
    for issue in receipt["issues"]:
        place = f"{issue['sheet'] or ''} {issue['column']}{issue['row'] or ''}".strip()
        print(f"  [{issue['level']}] {place} {issue['message']} {issue['fix']} ({issue['code']})")


def _verify(file: Path | None, keys: Path | None, home: Path | None) -> None:
    """Exit 0: signed by this hub (or by the holder of the keys given); 1: not."""
    from hub.errors import BadRequest
    from hub.exchange.receipts import verify
    from hub.keyring import read_public_keys
    from hub.settings import load_settings

    if file is None:
        raise BadRequest("hub receipt verify FILE")
    try:
        read = json.loads(file.read_text("utf-8"))
    except ValueError as wrong:
        raise BadRequest(file.name) from wrong
    known = read_public_keys(keys or load_settings(home).keys / "public_keys.json")
    if not isinstance(read, dict) or not verify(read.get("signed") or read, known):
        say("签名无效：回执不是本枢纽签发的，或已被改动。 Not valid: not issued by this hub, or changed since.")
        raise typer.Exit(1)
    print("签名有效。 The signature is valid.")
