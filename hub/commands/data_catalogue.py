"""The data catalogue from the command line: every entry, one with its items and versions, a file of all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.sharing.entries import Entry
    from hub.sharing.entry_clocks import EntryVersion

data_catalogue = typer.Typer(help="数据目录。 The data catalogue.", no_args_is_help=True)


@verb(data_catalogue, Right.OPERATE, "list")
def list_all(as_json: Json = False, home: Home = None) -> None:
    """数据目录的全部条目。 Every entry of the data catalogue.

    hub catalogue list
    """
    from hub.commands.opening import opened, operator
    from hub.sharing.entries import list_entries
    from hub.sharing.entry_export import described

    with opened(home) as hub, hub.database.begin() as connection:
        found = list_entries(connection, operator("hub"))
    if as_json:
        show([described(one) for one in found])
        return
    for one in found:
        print(_line(one))


@verb(data_catalogue, Right.OPERATE, "show")
def show_one(
    record_type: Annotated[str, typer.Argument(help="信息类别代码 / record type code")],
    as_json: Json = False,
    home: Home = None,
) -> None:
    """一个条目：数据项和历次版本。 One entry: its items and its versions."""
    import msgspec

    from hub.commands.opening import opened, operator
    from hub.sharing.entries import list_versions, read_entry
    from hub.sharing.entry_export import described

    with opened(home) as hub, hub.database.begin() as connection:
        entry = read_entry(connection, operator("hub"), record_type)
        versions = list_versions(connection, operator("hub"), record_type)
    if as_json:
        show({**described(entry), "versions": msgspec.to_builtins(versions)})
        return
    print(_line(entry))
    for item in entry.content.items:
        print(f"  {'+' if item.shared else '-'} {item.field}  {item.title}  {item.sensitivity}")
    for version in versions:
        print(f"  {_version_line(version)}")


@verb(data_catalogue, Right.OPERATE, "export")
def export(
    file: Annotated[Path, typer.Argument(help="要写的文件，.xlsx 或 .json / file to write")], home: Home = None
) -> None:
    """整个数据目录写成一个文件。 The whole data catalogue as one file.

    hub catalogue export 数据目录.xlsx
    """
    from hub.commands.opening import opened, operator
    from hub.database import utc_now
    from hub.errors import BadRequest
    from hub.sharing.entries import list_entries
    from hub.sharing.entry_export import as_json, as_workbook

    if file.suffix not in (".xlsx", ".json"):
        raise BadRequest(f"文件名应以 .xlsx 或 .json 结尾。 The file ends in .xlsx or .json, not {file.suffix}.")
    with opened(home) as hub, hub.database.begin() as connection:
        found = list_entries(connection, operator("hub"))
    file.write_bytes(as_workbook(found, utc_now()) if file.suffix == ".xlsx" else as_json(found))
    say(f"已写出 {len(found)} 个条目：{file}。 {len(found)} entries written.")


def _line(one: Entry) -> str:
    from hub.sharing.entry_export import FREQUENCIES, SHARING, provider_of

    content, waiting = one.content, f"  [{one.open.state} {one.open.last_day}]" if one.open else ""
    said = f"{SHARING[content.sharing]}  {FREQUENCIES[content.frequency]}  v{one.version}{waiting}"
    return f"{one.catalogue_no}  {one.record_type}  {content.title}  {provider_of(one)}  {said}"


def _version_line(version: EntryVersion) -> str:
    return f"v{version.version}  {version.state}  {version.caused_on}  {version.last_day}  {version.cause}"
