"""``hub disclosures``: who received a person's data; a number is read from standard input or asked for, never an argument."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from hub.commands.verbs import Home, Output, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.sharing.disclosure_doors import LedgerAnswer
    from mappings.catalogue import Catalogue

disclosures = typer.Typer()


@verb(disclosures, Right.OPERATE, "disclosures")
def disclosures_of_person(
    reason: Annotated[str, typer.Option("--reason", help="理由，4 至 200 个字，不写号码 / why, 4 to 200 characters")],
    person: Annotated[
        str,
        typer.Option("--person", help="人员编号；不写则读公民身份号码 / person id; without it a number is asked for"),
    ] = "",
    since: Annotated[datetime | None, typer.Option("--since", formats=["%Y-%m-%d"], help="自 / from this day")] = None,
    output: Output = None,
    home: Home = None,
) -> None:
    """某人的信息去向：给了谁、哪些字段、何时、依据。 Who received a person's data, which fields, when, on what licence.

    echo 999001... | hub disclosures --reason 本人申请查询
    """
    from hub.commands.opening import opened, operator
    from hub.sharing.disclosure_doors import LedgerQuestion, answer_question
    from hub.sharing.disclosures import CARE_NOTICE, CARE_NOTICE_EN

    number = "" if person else _typed_number()
    day = since.date() if since else None
    question = LedgerQuestion(purpose="other", reason=reason, id_no=number, person_id=person, since=day)
    with opened(home) as hub:
        answer = answer_question(
            hub.database, hub.audit_database, hub.settings, hub.catalogue, operator("hub"), question
        )  # fmt: skip
        if output is not None:
            _write_file(output, hub.catalogue, answer, reason)
    if output is None:
        show(msgspec.to_builtins(answer.ledger))
    say(f"{CARE_NOTICE} {CARE_NOTICE_EN}")


def _typed_number() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("公民身份号码 / identity number", hide_input=True, err=True))
    return sys.stdin.readline()


def _write_file(output: Path, catalogue: Catalogue, told: LedgerAnswer, reason: str) -> None:
    from hub.commands.opening import operator
    from hub.database import utc_now
    from hub.sharing.disclosure_lines import LedgerCover, lines_of, write_ledger

    made_at = utc_now().astimezone(told.zone)
    cover = LedgerCover(organisation="", login=operator("hub").name, made_at=made_at, purpose=reason)
    lines = [*lines_of(told.ledger, catalogue, told.organisations, told.zone)]
    write_ledger(output, "csv" if output.suffix == ".csv" else "xlsx", told.ledger, lines, cover)
