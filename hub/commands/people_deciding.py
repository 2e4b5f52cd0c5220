"""Who is who, decided on the command line: merge two persons, split one, or take a decision back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.commands.opening import Opened

people_deciding = typer.Typer()
Reason = Annotated[str, typer.Option("--reason", help="理由 / why")]
Person = Annotated[UUID, typer.Argument(help="人员编号 / person id")]


@verb(people_deciding, Right.OPERATE, "merge")
def merge(
    kept: Person,
    other: Annotated[UUID, typer.Argument(help="并入者 / who turned out to be the same")],
    reason: Reason,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """两条人员是同一人：保留第一个。 Two persons are one: the first is kept."""
    from hub.commands.opening import opened, operator
    from hub.decisions.persons import ask_merge

    with opened(home) as hub:
        _carry_out(hub, ask_merge(hub.database, hub.settings, operator("hub"), kept, other, reason), as_json)


@verb(people_deciding, Right.OPERATE, "split")
def split(
    person: Person,
    places: Annotated[
        list[int], typer.Option("--identifier", help="标识的序号 / place of an identifier, see identifiers")
    ],
    reason: Reason,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """一个人员其实是两人：把选定的标识分出去。 One person is two: these identifiers are the other's."""
    from hub.commands.opening import opened, operator
    from hub.decisions.persons import ask_split

    with opened(home) as hub:
        _carry_out(hub, ask_split(hub.database, hub.settings, operator("hub"), person, places, reason), as_json)


@verb(people_deciding, Right.OPERATE, "identifiers")
def identifiers(person: Person, as_json: Json = False, home: Home = None) -> None:
    """列出一个人员的标识（遮盖显示）。 What finds a person, masked."""
    from hub import audit
    from hub.commands.opening import opened, operator
    from hub.decisions.persons import list_identifiers

    with opened(home) as hub, hub.database.begin() as connection:
        known = list_identifiers(connection, operator("hub"), person)
        audit.record(connection, operator("hub"), Right.OPERATE, f"person/{person}", "done", identifiers=len(known))
        if as_json:
            show(
                [{"place": one.place, "kind": one.kind, "shown": one.shown, "replaced": one.replaced} for one in known]
            )
            return
        for one in known:
            print(f"{one.place:>3}  {one.kind:<11} {one.shown}{'  已更正 replaced' if one.replaced else ''}")


@verb(people_deciding, Right.OPERATE, "undo")
def undo(
    decision: Annotated[UUID, typer.Argument(help="决定编号 / decision id")],
    reason: Reason,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """撤回一次合并、拆分或“不是同一人”的认定。 Take back a merge, a split or a judgement."""
    from hub.commands.opening import opened, operator
    from hub.decisions.persons import ask_undo

    with opened(home) as hub:
        _carry_out(hub, ask_undo(hub.database, hub.settings, operator("hub"), decision, reason), as_json)


def _carry_out(hub: Opened, decision_id: UUID, as_json: bool) -> None:
    """At once: a worker that took it first has done the same. Exit status 1 when it could not be carried out."""
    from hub.commands.opening import operator
    from hub.decisions.persons import find_decision
    from hub.exchange.person_submission import carry_out_decision

    state = carry_out_decision(hub.database, hub.settings, hub.catalogue, decision_id)
    with hub.database.begin() as connection:
        decided = find_decision(connection, operator("hub"), decision_id)
    if as_json:
        show({"decision": str(decision_id), "state": state, "refusal": decided.refusal, "other": str(decided.other_id)})
    elif state == "done":
        print(f"已办理，决定编号 {decision_id}。 Done; the decision is {decision_id}.")
    else:
        print(f"未能办理：{decided.refusal} Could not be carried out.")
    raise typer.Exit(0 if state == "done" else 1)
