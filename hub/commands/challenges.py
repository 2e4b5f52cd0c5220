"""Challenges from the command line: list a unit's, answer one, close one, raise one of a record the unit receives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.casework.challenge_list import ListedChallenge

challenges = typer.Typer(help="校核。 Challenges to a source.", no_args_is_help=True)

Organisation = Annotated[str, typer.Option("--as", help="单位代码 / organisation code")]
Challenge = Annotated[UUID, typer.Argument(help="校核编号 / challenge id")]


@verb(challenges, Right.OPERATE, "list")
def list_all(
    organisation: Organisation,
    side: Annotated[str, typer.Option("--side", help="against raised")] = "",
    state: Annotated[str, typer.Option("--state", help="open answered closed withdrawn")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 100,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """一个单位的校核，号码已遮盖。 A unit's challenges, to answer and asked; numbers are masked.

    hub challenges list --as public_security --side against --state open
    """
    import msgspec

    from hub.casework.challenge_list import WantedChallenges, list_challenges
    from hub.commands.opening import opened, operator

    wanted = msgspec.convert({"side": side, "state": state}, WantedChallenges)
    with opened(home) as hub, hub.database.begin() as connection:
        actor = operator(organisation)
        found = list_challenges(connection, actor, hub.catalogue, wanted, purpose="challenges/command", limit=limit)
    if as_json:
        show(msgspec.to_builtins(found))
        return
    for one in found:
        print(_line(one))


@verb(challenges, Right.OPERATE, "answer")
def answer(
    challenge: Challenge,
    organisation: Organisation,
    outcome: Annotated[str, typer.Option("--answer", help="corrected voided registered stands")],
    text: Annotated[str, typer.Option("--text", help="核实情况 / what was found")] = "",
    home: Home = None,
) -> None:
    """由来源单位答复。 The source answers."""
    _work(challenge, organisation, home, "answer", outcome, text)
    print("已答复。 Answered.")


@verb(challenges, Right.OPERATE, "close")
def close(challenge: Challenge, organisation: Organisation, home: Home = None) -> None:
    """提出单位认可答复，办结。 Who raised it accepts the answer."""
    _work(challenge, organisation, home, "close")
    print("已办结。 Closed.")


@verb(challenges, Right.OPERATE, "raise")
def raise_one(
    record: Annotated[UUID, typer.Argument(help="记录编号 / record id")],
    organisation: Organisation,
    reason: Annotated[str, typer.Option("--reason", help="理由 / why")],
    field: Annotated[str, typer.Option("--field", help="有误的字段；不填为整条不属实 / the wrong field")] = "",
    claimed: Annotated[str, typer.Option("--claimed", help="正确的内容 / what is right")] = "",
    home: Home = None,
) -> None:
    """对本单位收到的一条记录提出校核。 Challenge a record that the unit receives."""
    from hub.commands.opening import opened, operator
    from hub.decisions.challenges import Said, raise_challenge

    said = Said(kind="value" if field else "untrue", reason=reason, field=field, claimed=claimed)
    with opened(home) as hub:
        made = raise_challenge(hub.database, hub.settings, hub.catalogue, operator(organisation), record, said)
    print(f"已提出校核 {made}。 Raised." if made else "同样的校核正在办理。 The same is under way already.")


def _work(challenge: UUID, organisation: str, home: Home, act: str, outcome: str = "", text: str = "") -> None:
    from hub.commands.opening import opened, operator
    from hub.decisions.challenges import work_challenge

    with opened(home) as hub:
        actor = operator(organisation)
        work_challenge(hub.database, hub.settings, actor, challenge, act, outcome=outcome, text=text)


def _line(one: ListedChallenge) -> str:
    about = f"{one.record_type} {one.field}".strip()
    return f"{one.challenge_id}  {one.kind}  {about}  {one.name}  {one.raised_by} > {one.against}  {one.due_on}  {one.state}"
