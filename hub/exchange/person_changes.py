"""Two persons turn out to be one, one turns out to be two, or that is taken back: identifiers move, records follow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, update

from hub.database import new_uuid, run_sql, utc_now
from hub.errors import Conflict
from hub.exchange.homes import settle_homes
from hub.exchange.numbers import choose_numbers
from hub.exchange.relinking import relink
from hub.exchange.rerouting import reroute_records_of
from hub.tables import person, person_decision
from mappings.catalogue import Catalogue

Identifiers = Sequence[tuple[str, str]]


class CannotBeCarriedOut(Conflict):
    """人员已有变化，这一决定不能再执行。 The persons have changed since: this decision can no longer be carried out."""

    problem = "persons-changed"


def carry_out(connection: Connection, submission_id: UUID, decision_id: UUID, catalogue: Catalogue) -> str:
    """Do what was decided, inside the caller's transaction; the decision's new state. CannotBeCarriedOut says why not."""
    decided = select(person_decision).where(person_decision.c.decision_id == decision_id).with_for_update()
    decision = connection.execute(decided).one()
    touched = _ACTS[decision.kind](connection, decision)
    if touched:
        _follow(connection, submission_id, touched, catalogue)
    return "done"


def merge_persons(connection: Connection, decision: Row[Any]) -> list[UUID]:
    """Everything that named the other names the kept person from now on."""
    kept, other = decision.person_id, decision.other_id
    _require_standing(connection, kept, other)
    moved = move_identifiers(connection, other, kept)
    _set_merged_into(connection, other, kept)
    _note(connection, decision, moved=moved)
    return [kept, other]


def split_person(connection: Connection, decision: Row[Any]) -> list[UUID]:
    """Some identifiers, and the records under them, are another person's: a new one, or who was begun for it before."""
    _require_standing(connection, decision.person_id)
    wanted = [(str(kind), str(value)) for kind, value in decision.identifiers]
    own = _identifiers_of(connection, decision.person_id)
    if not wanted or not set(wanted) < set(own):
        raise CannotBeCarriedOut(
            "须留下至少一个标识。 At least one identifier stays, and those that go are the person's."
        )
    other = decision.other_id or new_uuid()
    connection.execute(insert(person).values(person_id=other, created_at=utc_now()))
    moved = move_identifiers(connection, decision.person_id, other, wanted)
    _note(connection, decision, moved=moved, other_id=other)
    return [decision.person_id, other]


def keep_apart(connection: Connection, decision: Row[Any]) -> list[UUID]:
    """They are two: nothing changes but that nobody asks again."""
    _require_standing(connection, decision.person_id, decision.other_id)
    _note(connection, decision, moved=[])
    return []


def take_back(connection: Connection, decision: Row[Any]) -> list[UUID]:
    """The contrary of an earlier decision; identifiers that moved on since stay where they are."""
    asked = select(person_decision).where(person_decision.c.decision_id == decision.undoes).with_for_update()
    earlier = connection.execute(asked).one()
    if earlier.state != "done" or earlier.kind == "undo":
        raise CannotBeCarriedOut("这一决定没有生效，或已撤回。 That decision is not in force.")
    touched = _TAKEN_BACK[earlier.kind](connection, earlier)
    mine = person_decision.c.decision_id == earlier.decision_id
    connection.execute(update(person_decision).where(mine).values(state="undone"))
    _note(connection, decision, moved=[], other_id=earlier.other_id)
    return touched


def _unmerge(connection: Connection, earlier: Row[Any]) -> list[UUID]:
    kept, other = earlier.person_id, earlier.other_id
    _require_standing(connection, kept)
    if _merged_into(connection, other) != kept:
        raise CannotBeCarriedOut(str(other))
    _set_merged_into(connection, other, None)
    move_identifiers(connection, kept, other, [(str(kind), str(value)) for kind, value in earlier.moved])
    return [kept, other]


def _unsplit(connection: Connection, earlier: Row[Any]) -> list[UUID]:
    kept, other = earlier.person_id, earlier.other_id
    _require_standing(connection, kept, other)
    move_identifiers(connection, other, kept)
    _set_merged_into(connection, other, kept)
    return [kept, other]


def _ask_again(connection: Connection, earlier: Row[Any]) -> list[UUID]:
    return []


def _follow(connection: Connection, submission_id: UUID, touched: list[UUID], catalogue: Catalogue) -> None:
    """Numbers, records and homes as they now follow from who has which identifiers."""
    relink(connection, submission_id, touched, catalogue)
    if choose_numbers(connection, touched, catalogue):  # which corrections stand is known only now
        relink(connection, submission_id, touched, catalogue)
    moved = settle_homes(connection, touched, catalogue)
    if moved:
        reroute_records_of(connection, submission_id, moved, catalogue)


def move_identifiers(
    connection: Connection, giver: UUID, taker: UUID, only: Identifiers | None = None
) -> list[tuple[str, str]]:
    """Identifiers that really went over."""
    chosen = (
        ""
        if only is None
        else "AND (kind, value) IN (SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[])))"
    )
    values = {} if only is None else {"kinds": [kind for kind, _ in only], "values": [value for _, value in only]}
    rows = run_sql(
        connection,
        "UPDATE {d}.person_identifier SET person_id = :taker, replaced_by = NULL, valid_to = NULL"
        f" WHERE person_id = :giver {chosen} RETURNING kind, value",
        giver=giver,
        taker=taker,
        **values,
    )
    return sorted((str(kind), str(value)) for kind, value in rows)


def _identifiers_of(connection: Connection, person_id: UUID) -> list[tuple[str, str]]:
    rows = run_sql(
        connection, "SELECT kind, value FROM {d}.person_identifier WHERE person_id = :person", person=person_id
    )
    return [(str(kind), str(value)) for kind, value in rows]


def _require_standing(connection: Connection, *persons: UUID | None) -> None:
    """Each of them is a person of their own: not merged away, not erased; no two the same."""
    rows = run_sql(
        connection,
        "SELECT person_id FROM {d}.person WHERE person_id = ANY(CAST(:persons AS uuid[]))"
        " AND merged_into IS NULL AND erased_at IS NULL ORDER BY person_id FOR UPDATE",
        persons=[one for one in persons if one is not None],
    )
    if len(rows) != len(persons):
        raise CannotBeCarriedOut()


def _merged_into(connection: Connection, person_id: UUID) -> UUID | None:
    found: UUID | None = connection.scalar(select(person.c.merged_into).where(person.c.person_id == person_id))
    return found


def _set_merged_into(connection: Connection, person_id: UUID, into: UUID | None) -> None:
    connection.execute(update(person).where(person.c.person_id == person_id).values(merged_into=into))


def _note(connection: Connection, decision: Row[Any], moved: Identifiers, **values: object) -> None:
    """Before numbers are chosen: what was decided counts among what was said of them."""
    mine = person_decision.c.decision_id == decision.decision_id
    told = {"state": "done", "moved": json.loads(json.dumps(moved)), **values}
    connection.execute(update(person_decision).where(mine).values(told))


_ACTS = {"merge": merge_persons, "split": split_person, "apart": keep_apart, "undo": take_back}
_TAKEN_BACK = {"merge": _unmerge, "split": _unsplit, "apart": _ask_again}
