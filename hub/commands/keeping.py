"""Keeping the hub: backup, restore, and whether it is well."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.operations.doctor import Finding

keeping = typer.Typer()
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", exists=True, dir_okay=False, help="口令文件 / the file; else HUB_BACKUP_PASSPHRASE"
    ),
]
_MARKS = {"ok": "正常 ok  ", "warn": "注意 warn", "fail": "故障 FAIL"}


@verb(keeping, Right.OPERATE, "backup")
def backup(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="备份文件 / the backup")],
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """备份数据库、原始文件与密钥（密钥仅在给出口令时，加密存入）。 Database, stored files, and the keys under a passphrase."""
    from hub.commands.opening import opened
    from hub.operations.backup import back_up

    passphrase = _passphrase(passphrase_file)
    with opened(home) as hub:
        manifest = back_up(hub.settings, hub.database, file, passphrase)
    if passphrase is None:
        say("未给出口令：备份不含密钥，请另行保管 keys/keyring.json。")
        say("No passphrase given: the keys are NOT in the backup. Keep keys/keyring.json apart.")
    size, entries = file.stat().st_size, len(manifest.entries)
    told = {
        "file": str(file),
        "size": size,
        "entries": entries,
        "last_seq": manifest.last_seq,
        "keys": manifest.keys_included,
    }
    show(told) if as_json else print(f"{file}  {size} bytes, {entries} entries")


@verb(keeping, Right.OPERATE, "restore")
def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="备份文件 / the backup")],
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """恢复到全新的数据文件夹；旧游标全部失效。 Into a fresh home only; every cursor from before is refused."""
    from hub.commands.opening import located
    from hub.operations import backup as backups

    with located(home) as settings:
        restored = backups.restore(file, settings, _passphrase(passphrase_file))
    if as_json:
        show({name: getattr(restored, name) for name in restored.__struct_fields__})
    else:
        print(
            f"已恢复至 {restored.made_at:%Y-%m-%d %H:%M} UTC 的状态。 Restored. epoch {restored.epoch}, {restored.files} files"
        )


@verb(keeping, Right.OPERATE, "doctor")
def doctor(as_json: Json = False, home: Home = None) -> None:
    """检查枢纽是否正常；有故障时退出码 1。 Whether the hub is well; exit status 1 if something fails."""
    from hub.operations.doctor import worst

    findings = _examine(home)
    if as_json:
        import msgspec

        show({"state": worst(findings), "checks": msgspec.to_builtins(findings)})
    else:
        for finding in findings:
            print(f"{_MARKS[finding.state]}  {finding.title}  {finding.detail}  {finding.fix}".rstrip())
    raise typer.Exit(1 if worst(findings) == "fail" else 0)


def _examine(home: Path | None) -> list[Finding]:
    """On the home as it is: nothing is migrated or made."""
    from hub.commands.opening import Opened, located
    from hub.operations.doctor import examine
    from mappings.catalogue import load_catalogue

    with located(home) as settings:
        hub = Opened(settings, load_catalogue())
        try:
            return examine(settings, hub.database, hub.catalogue)
        finally:
            hub.database.close()


def _passphrase(file: Path | None) -> str | None:
    """From the file, else from the environment; never from the command line, which others can see."""
    if file is not None:
        return file.read_text("utf-8").strip()
    return os.environ.get("HUB_BACKUP_PASSPHRASE") or None
