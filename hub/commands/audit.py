"""The audit on the command line: verified, searched, exported, anchored, archived."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.audit import AuditLine
    from hub.commands.opening import Opened

audit = typer.Typer(help="审计 / the audit", no_args_is_help=True)

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])]
Target = Annotated[Path, typer.Option("-o", "--output", help="写入 / write to")]
_WHOLE = "审计完整。 The audit is whole."


@verb(audit, Right.OPERATE, "verify")
def verify(
    file: Annotated[Path | None, typer.Argument(help="导出的审计 / an exported audit")] = None,
    public_keys: Annotated[
        Path | None, typer.Option("--public-keys", help="枢纽的公钥，用于核对签名 / the hub's public_keys.json")
    ] = None,
    archives: Annotated[
        list[Path] | None, typer.Option("--archive", help="一并核对的归档文件 / archive files to check too")
    ] = None,
    home: Home = None,
) -> None:
    """检查审计是否被改动；给出文件时离线检查。 Whether the audit was changed; offline when given an export.

    退出码：0 完整；1 有问题，逐条列出；4 无法检查。 Exit status: 0 whole, 1 findings (printed), 4 cannot work.
    """
    if file is not None:
        _report(_verify_file(file, public_keys))
        return
    from hub.commands.opening import opened

    with opened(home) as hub:
        _report(_verify_hub(hub, archives or []))


def _verify_file(file: Path, public_keys: Path | None) -> list[str]:
    from hub import audit as lines
    from hub.keyring import read_public_keys

    keys = read_public_keys(public_keys) if public_keys else None
    with file.open("rb") as exported:
        return lines.verify_export(exported, public_keys=keys)


def _verify_hub(hub: Opened, archives: Iterable[Path]) -> list[str]:
    from hub import audit as lines
    from hub.operations.audit_anchors import written_anchors
    from hub.operations.audit_keeping import check_archive

    key, public_keys = hub.keyring.audit_key, hub.keyring.public_keys
    anchors, found = lines.read_anchors(written_anchors(hub.settings), public_keys)
    with (hub.audit_database or hub.database).read() as connection:
        found += lines.verify(connection, key=key, published=anchors)
        for path in archives:
            found += check_archive(connection, path, key, public_keys)
    return found


@verb(audit, Right.OPERATE, "export")
def export(output: Target, as_json: Json = False, home: Home = None) -> None:
    """导出全部已存证的审计，编号并登记。 Every sealed line into a numbered, signed file."""
    from hub.commands.opening import opened, operator
    from hub.database import utc_now
    from hub.operations.audit_keeping import export_audit

    with opened(home) as hub:
        made = export_audit(hub.audit_database or hub.database, hub.keyring, operator("hub"), output, utc_now())
    show(msgspec.to_builtins(made)) if as_json else print(
        f"{output}  {made.number}  存证 seals {made.from_seal}–{made.to_seal}"
    )


@verb(audit, Right.OPERATE, "anchor")
def anchor(as_json: Json = False, home: Home = None) -> None:
    """存证，并把末端写到数据库之外。 Seal, and write the head outside the database."""
    from hub.commands.opening import opened, operator
    from hub.database import utc_now
    from hub.operations import audit_anchors

    with opened(home) as hub:
        made = audit_anchors.anchor(hub.database, hub.settings, hub.keyring, operator("hub"), utc_now())
        is_sent = audit_anchors.send_to_syslog(hub.settings)
    show(msgspec.to_builtins(made)) if as_json else print(
        f"存证 seal {made.seal_no}  {made.link}  {made.lines} 行 lines"
    )
    if not is_sent:
        say("未能发往 syslog，下次再发。 Not sent to syslog: it will be sent with the next anchor.")


@verb(audit, Right.OPERATE, "archive")
def archive(
    before: Annotated[datetime, typer.Option("--before", formats=["%Y-%m-%d"], help="早于此日 / older than this day")],
    output: Annotated[Path, typer.Option("-o", "--output", file_okay=False, help="归档文件夹 / the folder")],
    as_json: Json = False,
    home: Home = None,
) -> None:
    """把已满年限的审计移入归档文件。 Move lines past their years into an archive file, read back before deletion."""
    from hub.commands.opening import opened, operator
    from hub.database import utc_now
    from hub.operations import audit_keeping

    with opened(home) as hub:
        made = audit_keeping.archive(hub.settings, hub.keyring, operator("hub"), before.date(), output, utc_now())
    if made is None:
        say("没有可归档的审计。 There is nothing to archive.")
    elif as_json:
        show(msgspec.to_builtins(made))
    else:
        print(f"{output / made.file_name}  {made.lines} 行 lines  sha256 {made.sha256}")


@verb(audit, Right.OPERATE, "search")
def search(
    actor: Annotated[str, typer.Option("--actor", help="何人 / who")] = "",
    organisation: Annotated[str, typer.Option("--organisation", help="单位 / which organisation")] = "",
    act: Annotated[str, typer.Option("--act", help="何事 / which act")] = "",
    object_prefix: Annotated[str, typer.Option("--object", help="对象开头 / the object begins with")] = "",
    outcome: Annotated[str, typer.Option("--outcome", help="done | refused | failed")] = "",
    address: Annotated[str, typer.Option("--address", help="来源地址 / from which address")] = "",
    since: Day = None,
    until: Day = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="至多多少行 / at most how many")] = 100,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """查询审计，新的在前；查询本身也记入审计。 Search, newest first; the search is recorded too."""
    from hub.commands.opening import opened, operator
    from hub.operations.audit_search import Wanted
    from hub.operations.audit_search import search as look

    with opened(home) as hub:
        zone = ZoneInfo(hub.settings.time_zone)
        wanted = Wanted(
            actor=actor, organisation=organisation, act=act, object_prefix=object_prefix, outcome=outcome,
            address=address, since=since and since.replace(tzinfo=zone), until=until and until.replace(tzinfo=zone),
        )  # fmt: skip
        with (hub.audit_database or hub.database).begin() as connection:
            found = look(connection, operator("hub"), wanted, limit=limit)
    for line in found.lines:
        print(_as_json(line) if as_json else _as_text(line))


def _as_json(line: AuditLine) -> str:
    return msgspec.json.encode(line).decode()


def _as_text(line: AuditLine) -> str:
    who = f"{line.actor}@{line.organisation}" + (f" {line.address}" if line.address else "")
    facts = msgspec.json.encode(line.facts).decode()
    return f"{line.at:%Y-%m-%d %H:%M:%S}Z  {who}  {line.door}  {line.act}  {line.object}  {line.outcome}  {facts}"


def _report(findings: list[str]) -> None:
    if findings:
        print("\n".join(findings))
        raise typer.Exit(1)
    print(_WHOLE)
