"""Deciding what becomes of a submission: let it happen, withdraw it, take it back, say that nothing happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec
import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.commands.opening import Opened
    from hub.jobs import Accepted

deciding = typer.Typer()
_WAIT_SECONDS = 600.0

Number = Annotated[str, typer.Argument(help="回执编号 / receipt number")]
Organisation = Annotated[str, typer.Option("--as", help="单位代码 / organisation code")]
Reason = Annotated[str, typer.Option("--reason", help="原因 / why")]


@verb(deciding, Right.OPERATE, "release")
def release(number: Number, organisation: Organisation, as_json: Json = False, home: Home = None) -> None:
    """确认一次异常的报送，使其生效（须由另一人）。 Let an unusual submission take effect; not by who sent it."""
    from hub.commands.opening import opened, operator
    from hub.decisions.effect import release as let_happen

    with opened(home) as hub:
        submission_id = _find(hub, number)
        let_happen(hub.database, hub.settings, operator(organisation), submission_id)
        _show_outcome(hub, number, submission_id, as_json=as_json)


@verb(deciding, Right.OPERATE, "withdraw")
def withdraw(
    number: Number, organisation: Organisation, reason: Reason, as_json: Json = False, home: Home = None
) -> None:
    """撤回一次等待确认的报送。 Withdraw a submission that waits to be confirmed."""
    from hub.commands.opening import opened, operator
    from hub.decisions.effect import refuse

    with opened(home) as hub:
        submission_id = _find(hub, number)
        refuse(hub.database, hub.settings, operator(organisation), submission_id, reason)
        _show_outcome(hub, number, submission_id, as_json=as_json)


@verb(deciding, Right.OPERATE, "undo")
def undo(
    number: Number,
    organisation: Organisation,
    reason: Reason = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只看会怎样 / only show what it would do")] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """撤销一次已入库的报送（以相反的报送抵消）。 Take a merged submission back by one that does the contrary.

    hub undo 20261122-000001-X --as health --reason 报错了文件
    """
    from hub.commands.opening import opened, operator
    from hub.decisions.undoing import preview_undo
    from hub.decisions.undoing import undo as take_back

    with opened(home) as hub:
        actor, submission_id = operator(organisation), _find(hub, number)
        if dry_run:
            preview = preview_undo(hub.database, hub.settings, actor, submission_id, hub.catalogue)
            _tell(msgspec.to_builtins(preview), as_json)
            return
        entered = take_back(hub.database, hub.settings, actor, submission_id, reason, hub.catalogue)
        _show_outcome(hub, entered.receipt_number, entered.submission_id, as_json=as_json)


@verb(deciding, Right.OPERATE, "nil")
def nil(
    organisation: Organisation,
    record_type: Annotated[str, typer.Option("--type", help="信息类别 / record type")],
    period: Annotated[str, typer.Option("--period", help="月份 / month, YYYY-MM")],
    as_json: Json = False,
    home: Home = None,
) -> None:
    """本月无变动。 Nothing happened this month."""
    from hub.commands.opening import opened, operator
    from hub.decisions.nothing import report_nothing

    with opened(home) as hub:
        actor = operator(organisation)
        said = report_nothing(hub.database, hub.settings, actor, organisation, record_type, period, hub.catalogue)
    _tell_accepted(said, as_json)


@verb(deciding, Right.OPERATE, "effect")
def effect(number: Number, as_json: Json = False, home: Home = None) -> None:
    """一次报送改动了什么、将改动什么：行数与样例。 What a submission does or would do: counts and samples."""
    from hub.commands.opening import opened
    from hub.exchange import receipts
    from hub.exchange.effect import read_samples

    with opened(home) as hub, hub.database.begin() as connection:
        row = receipts.find(connection, number)
        counts = {**(row.facts.get("effect") or {}), "held": row.held, "refused": row.refused}
        samples = read_samples(connection, row.submission_id)
    _tell({"receipt": row.receipt_number, "state": row.state, "counts": counts, "samples": samples}, as_json)


def _find(hub: Opened, number: str) -> UUID:
    from hub.exchange import receipts

    with hub.database.begin() as connection:
        found: UUID = receipts.find(connection, number).submission_id
    return found


def _show_outcome(hub: Opened, number: str, submission_id: UUID, *, as_json: bool) -> None:
    """Wait until it is done, then show its receipt."""
    from hub import jobs
    from hub.exchange import receipts

    jobs.run_now(hub.database, hub.settings, submission_id, _WAIT_SECONDS)
    with hub.database.begin() as connection:
        receipt = receipts.read_receipt(connection, number, catalogue=hub.catalogue)
    _tell(receipt if as_json else _in_short(receipt), as_json)


def _in_short(receipt: dict[str, Any]) -> dict[str, Any]:
    said = [f"{issue['message']} {issue['fix']}" for issue in receipt["issues"] if not issue["row"]]
    return {"receipt": receipt["receipt"], "state": receipt["state"], **receipt["counts"], "said": " ".join(said)}


def _tell_accepted(accepted: Accepted, as_json: bool) -> None:
    if accepted.repeated:
        say("此前已报过，未作任何改变。 It was said before; nothing changed.")
    told = {"receipt": accepted.receipt_number, "state": accepted.state, "repeated": accepted.repeated}
    _tell(told, as_json)


def _tell(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show(told)
        return
    for name, value in told.items():
        if name == "samples":
            _tell_samples(value)
        else:
            print(f"{name}: {value}")


def _tell_samples(samples: dict[str, list[dict[str, Any]]]) -> None:
    for outcome, rows in samples.items():
        for row in rows:
            print(f"  [{outcome}] {row['sheet_row']}: {row['before'] or '-'} -> {row['after'] or '-'}")
