"""Columns nobody knows: what is asked about a file, the answer, and taking an answer back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.errors import BadRequest, NotAllowed, NotFound
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.commands.opening import Opened

columns = typer.Typer()
_WAIT_SECONDS = 600.0

Organisation = Annotated[str, typer.Option("--as", help="单位代码 / organisation code")]


@verb(columns, Right.OPERATE, "columns")
def ask_or_answer(
    number: Annotated[str, typer.Argument(help="回执编号 / receipt number")],
    organisation: Organisation,
    answers: Annotated[
        list[str] | None, typer.Option("--set", help="列名=字段，字段留空为不采用 / header=field; no field: not wanted")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """查看或确认不认识的列名。 Show which columns are not known, or say what they mean.

    hub columns HR20261130-7K3M9QX2T4 --as health --set 证件号=id_no --set 备注一=
    """
    from hub.commands.opening import opened

    with opened(home) as hub:
        shown = _answer(hub, number, organisation, answers) if answers else _question(hub, number, organisation)
    show(shown) if as_json else _tell(shown)


@verb(columns, Right.OPERATE, "forget-column")
def forget(
    header: Annotated[str, typer.Argument(help="列名 / the header")],
    organisation: Organisation,
    record_type: Annotated[str, typer.Option("--type", help="信息类别 / record type")],
    home: Home = None,
) -> None:
    """忘记对某个列名的确认，下次再问。 Forget what a header was said to mean: it is asked again."""
    from hub.commands.opening import opened, operator
    from hub.exchange.header_choices import forget_choice

    with opened(home) as hub, hub.database.begin() as connection:
        field = forget_choice(connection, operator(organisation), organisation, record_type, header)
    print(f"{header} ≠ {field}")


def _question(hub: Opened, number: str, organisation: str) -> dict[str, Any]:
    from hub.exchange import receipts

    with hub.database.begin() as connection:
        row = receipts.find(connection, number)
    if row.organisation != organisation:
        raise NotAllowed(number)
    if row.state != "asking":
        raise NotFound(f"{number}: 没有等待确认的列。 No columns wait to be confirmed.")
    return {"receipt": row.receipt_number, "state": row.state, "question": row.waiting}


def _answer(hub: Opened, number: str, organisation: str, answers: list[str]) -> dict[str, Any]:
    from hub import jobs
    from hub.commands.opening import operator
    from hub.decisions.columns import confirm_columns
    from hub.exchange import receipts

    with hub.database.begin() as connection:
        submission_id = receipts.find(connection, number).submission_id
    choices = dict(map(_parted, answers))
    confirm_columns(hub.database, hub.settings, operator(organisation), submission_id, choices, hub.catalogue)
    jobs.run_now(hub.database, hub.settings, submission_id, _WAIT_SECONDS)
    with hub.database.begin() as connection:
        row = receipts.find(connection, number)
    return {"receipt": row.receipt_number, "state": row.state, "question": row.waiting}


def _parted(answer: str) -> tuple[str, str]:
    header, equals, field = answer.rpartition("=")
    if not equals or not header.strip():
        raise BadRequest(f"{answer}: 请写成 列名=字段。 Write header=field.")
    return header.strip(), field.strip()


def _tell(shown: dict[str, Any]) -> None:
    print(f"{shown['receipt']} {shown['state']}")
    if shown["state"] == "asking":
        tell_question(shown["question"])
        say("请用 --set 列名=字段 确认。 Answer with --set header=field.")


def tell_question(question: dict[str, Any]) -> None:
    """The unknown columns with the fields they may mean, and the fields still missing."""
    for asked in question["headers"]:
        near = [each for each in question["suggestions"] if each["header"] == asked["header"]]
        meant = "，".join(f"{each['title']} {each['field']} {each['score']}%" for each in near)
        print(f"  {asked['letter']} {asked['header']} ?  {meant}")
    for each in question["missing"]:
        print(f"  缺 missing: {each['title']} {each['field']}")
