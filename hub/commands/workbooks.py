"""Workbooks for people: the template to fill in, the returned file with its notes, the list of errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.sending import English, Organisation
from hub.commands.verbs import Home, say, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection

    from hub.commands.opening import Opened
    from hub.registry.areas import AreaIndex
    from hub.registry.organisations import Organisation as Sender

workbooks = typer.Typer()
_MONTH = r"\d{4}-(0[1-9]|1[0-2])"

Number = Annotated[str, typer.Argument(help="回执编号 / receipt number")]
Target = Annotated[Path, typer.Option("-o", "--output", dir_okay=False, help="写入文件 / write to this file")]


@verb(workbooks, Right.PUBLIC, "template")
def template(
    record_type: Annotated[str, typer.Argument(help="信息类别 / record type")],
    organisation: Organisation,
    output: Target,
    month: Annotated[str | None, typer.Option("--month", help="月份 / month, YYYY-MM")] = None,
    codes: Annotated[bool | None, typer.Option("--codes/--words", help="下拉列表用代码或文字 / codes or words")] = None,
    home: Home = None,
) -> None:
    """生成填报模板。 Make the workbook an organisation fills in.

    hub template death_certificate --as health --month 2026-11 -o 死亡.xlsx
    """
    from hub.errors import BadRequest
    from hub.exchange.workbooks.template import make_template
    from mappings.catalogue import load_catalogue

    if month is not None and not re.fullmatch(_MONTH, month):
        raise BadRequest(f"--month {month}: YYYY-MM")
    name, kind, areas, own_area = _sender(home, organisation)
    content = make_template(
        load_catalogue(),
        organisation,
        name,
        kind,
        record_type,
        month=month,
        variant=None if codes is None else "codes" if codes else "words",
        areas=areas,
        own_area=own_area,
    )
    output.write_bytes(content)
    say(f"{output}")


@verb(workbooks, Right.OPERATE, "returned")
def returned(number: Number, output: Target, english: English = False, home: Home = None) -> None:
    """取回标注了结果的原文件，改好后可再报一次。 The sender's file with every bad cell marked, to correct and send again."""
    from hub.commands.opening import opened
    from hub.exchange.workbooks.returned import write_returned

    with opened(home) as hub, hub.database.begin() as connection:
        submission_id = _find(hub, connection, number)
        made = write_returned(
            connection, hub.settings, hub.catalogue, submission_id, output.absolute(), "en" if english else "zh"
        )
    say(f"{output}  {made.form}  {made.bad_rows}")


@verb(workbooks, Right.OPERATE, "errors")
def errors(number: Number, output: Target, english: English = False, home: Home = None) -> None:
    """差错清单（CSV）。 The list of errors as CSV, one line an error."""
    from hub.commands.opening import opened
    from hub.exchange.workbooks.error_list import write_error_list

    with (
        opened(home) as hub,
        hub.database.begin() as connection,
        output.open("w", encoding="utf-8", newline="") as stream,
    ):
        submission_id = _find(hub, connection, number, "error-list")
        count = write_error_list(connection, hub.catalogue, submission_id, stream, "en" if english else "zh")
    say(f"{output}  {count}")


def _find(hub: Opened, connection: Connection, number: str, what: str = "returned-workbook") -> UUID:
    """The submission, on behalf of its sender; noted in the audit."""
    from hub.commands.opening import operator
    from hub.exchange import receipts
    from hub.exchange.workbooks.returned import find_returned

    row = receipts.find(connection, number)
    who = operator(row.organisation)
    submission_id: UUID = find_returned(connection, who, row.submission_id, what).submission_id
    return submission_id


def _sender(home: Path | None, code: str) -> tuple[str, str, AreaIndex | None, int | None]:
    """Name, kind, areas and own area: from the hub where there is one, else as far as the mappings know the sender."""
    from sqlalchemy.exc import OperationalError

    from hub.settings import load_settings

    settings = load_settings(home)
    if settings.database_url or (settings.keys / "database.json").exists():
        try:
            registered, areas = _registered(home, code)
        except OperationalError:
            say("数据库不可用，模板中没有村居下拉列表。 The database cannot be reached: no list of villages.")
        else:
            if registered is not None:
                return registered.name, registered.kind, areas, registered.area_id
    name, kind = _known_sender(code)
    return name, kind, None, None


def _known_sender(code: str) -> tuple[str, str]:
    """Name and kind by the mappings; a town is named by its area code."""
    from mappings.documents import read_document
    from mappings.loader import ROOT
    from mappings.sources import OrganisationsSource

    known = read_document(ROOT, ROOT / "organisations.toml").shaped(OrganisationsSource).organisations
    named = {one.code: (one.title, one.kind) for one in known}
    return named.get(code) or (code, "town" if code.isdigit() else "")


def _registered(home: Path | None, code: str) -> tuple[Sender | None, AreaIndex]:
    from hub.commands.opening import opened
    from hub.registry.areas import load_area_index
    from hub.registry.organisations import find_organisation

    with opened(home) as hub, hub.database.begin() as connection:
        return find_organisation(connection, code), load_area_index(connection)
