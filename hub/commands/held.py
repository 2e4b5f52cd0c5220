"""Held rows: which wait, why, and letting them pass or refusing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec
import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.commands.opening import Opened
    from hub.decisions.held import Chosen

held = typer.Typer(help="待核的行。 Rows that wait for a person.", no_args_is_help=True)
_WAIT_SECONDS = 600.0

Number = Annotated[str, typer.Argument(help="回执编号 / receipt number")]
Organisation = Annotated[str, typer.Option("--as", help="单位代码 / organisation code")]
Rows = Annotated[list[int] | None, typer.Option("--row", help="行的序号，可多次；不写为全部 / row number, repeatable")]
Code = Annotated[str, typer.Option("--code", help="只要有这一差错代码的行 / only rows with this code")]
Reason = Annotated[str, typer.Option("--reason", help="原因 / why")]


@verb(held, Right.OPERATE, "list")
def list_held(
    organisation: Organisation,
    code: Code = "",
    record_type: Annotated[str, typer.Option("--type", help="信息类别 / record type")] = "",
    older_than: Annotated[int, typer.Option("--older-than", help="等待超过几天 / waiting longer than, days")] = 0,
    kind: Annotated[str, typer.Option("--kind", help="held submission pair comparison；不写为全部 / all")] = "held",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """等人处理的，最早的在前。 What waits for a person, the oldest first."""
    from hub.commands.opening import opened, operator
    from hub.decisions.waiting import WantedItems, list_waiting
    from hub.registry.scope import reach_of

    actor = operator(organisation)
    wanted = WantedItems(kind=kind, code=code, record_type=record_type, older_than_days=older_than)
    with opened(home) as hub, hub.database.begin(reach_of(actor)) as connection:
        found = list_waiting(connection, actor, wanted, limit=1000)
    if as_json:
        show([msgspec.to_builtins(one) for one in found])
        return
    for one in found:
        place = f"{one.receipt} {one.row_no}" if one.row_no else one.receipt or one.place
        print(f"{one.since:%Y-%m-%d}  {one.kind}  {one.what}  {place}  {' '.join(one.codes)}")


@verb(held, Right.OPERATE, "show")
def show_row(
    number: Number,
    row_no: Annotated[int, typer.Argument(help="行的序号 / row number")],
    organisation: Organisation,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """一行为什么待核、怎样处理、可能是谁（号码遮盖）。 Why a row waits, what to do, whom it may mean (masked)."""
    from hub.commands.opening import opened, operator
    from hub.decisions.candidates import list_candidates
    from hub.decisions.held_row import read_held_row
    from hub.registry.scope import reach_of

    actor = operator(organisation)
    with opened(home) as hub, hub.database.begin(reach_of(actor)) as connection:
        found = read_held_row(connection, hub.catalogue, actor, number, row_no)
        candidates = list_candidates(connection, actor, found.submission_id, row_no)
    told = msgspec.to_builtins(found) | {"candidates": [msgspec.to_builtins(one) for one in candidates]}
    if as_json:
        show(told)
        return
    for name, value in told.items():
        print(f"{name}: {value}")


@verb(held, Right.OPERATE, "release")
def release(
    number: Number,
    organisation: Organisation,
    row: Rows = None,
    code: Code = "",
    reason: Reason = "",
    person: Annotated[list[str] | None, typer.Option("--person", help="角色=人员编号 或 角色=new / role=id")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只看会怎样 / only show what it would do")] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """采纳：这些行照原样入库。 Let rows pass as they are.

    hub held release HR20261122-7K3M9QX2T4 --as health --code E_LOGIC_SEX --reason 已核对证件
    """
    from hub.commands.opening import opened, operator
    from hub.decisions.held import release_rows

    with opened(home) as hub:
        chosen = _chosen(hub, number, row, code)
        people = {row_no: _said_of_people(person) for row_no in chosen.rows} if person else {}
        released = release_rows(
            hub.database, hub.settings, operator(organisation), chosen,
            reason=reason, people=people, dry_run=dry_run, catalogue=hub.catalogue,
        )  # fmt: skip
        told = _outcome(hub, released.accepted.receipt_number, released.accepted.submission_id)
    _tell_short(told | {"rows": released.rows, "left_out": released.left_out}, as_json)


@verb(held, Right.OPERATE, "refuse")
def refuse(
    number: Number,
    organisation: Organisation,
    reason: Reason,
    row: Rows = None,
    code: Code = "",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """不采纳：这些行不入库；差错、回执和原文件都保留。 Refuse rows; their errors, the receipt and the file stay."""
    from hub.commands.opening import opened, operator
    from hub.decisions.held import refuse_rows

    with opened(home) as hub:
        many = refuse_rows(hub.database, operator(organisation), _chosen(hub, number, row, code), reason)
    _tell_short({"refused": many}, as_json)


def _chosen(hub: Opened, number: str, rows: list[int] | None, code: str) -> Chosen:
    from hub.decisions.held import Chosen
    from hub.exchange import receipts

    with hub.database.begin() as connection:
        submission_id = receipts.find(connection, number).submission_id
    return Chosen(submission_id=submission_id, rows=tuple(rows or ()), code=code)


def _said_of_people(said: list[str]) -> dict[str, str]:
    parts = (one.partition("=") for one in said)
    return {role.strip(): person.strip() for role, _, person in parts}


def _outcome(hub: Opened, number: str, submission_id: UUID) -> dict[str, Any]:
    """Wait until it is done; what became of it."""
    from hub import jobs
    from hub.exchange import receipts

    jobs.run_now(hub.database, hub.settings, submission_id, _WAIT_SECONDS)
    with hub.database.begin() as connection:
        receipt = receipts.read_receipt(connection, number, catalogue=hub.catalogue)
    return {"receipt": receipt["receipt"], "state": receipt["state"], **receipt["counts"]}


def _tell_short(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show(told)
        return
    for name, value in told.items():
        print(f"{name}: {value}")
