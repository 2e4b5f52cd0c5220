"""The list of a roll's differences: entered anew at each comparison, read by kind, village and field, decided in bulk."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import polars as pl
from sqlalchemy import Connection

from hub import audit
from hub.casework.roll_findings import FIELDS, LEFT_AS, Finding, Kind, number_of
from hub.database import driver, run_sql, utc_now
from hub.registry.permissions import Actor, Right

Decision = Literal["roll", "register", "ask"]
DECISIONS: tuple[Decision, ...] = ("roll", "register", "ask")
_ON_ITS_WAY = ("received", "checked", "asking", "braked")


class RollItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list, with every value as it is: who hands it out masks it."""

    item_no: int
    kind: Kind
    village: int | None
    person_id: UUID | None
    sheet_row: int | None
    told: dict[str, list[Any]]
    state: str
    decision: str
    reason: str
    decided_by: str | None
    decided_at: datetime | None
    submission_id: UUID | None


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Some lines of a roll; whatever is not said does not narrow them."""

    kind: str = ""
    village: int | None = None
    field: str = ""
    state: str = ""
    items: tuple[int, ...] | None = None


# ---- entering ----


def enter_findings(connection: Connection, actor: Actor, roll_id: UUID, found: Iterable[Finding]) -> tuple[int, int]:
    """The open lines are replaced; what was decided stays and is not asked again. How many are open, how many were settled."""
    settled = _settled(connection, actor)
    fresh, known = [], 0
    for one in found:
        if is_settled(one, settled):
            known += 1
        else:
            fresh.append(one)
    run_sql(connection, "DELETE FROM {d}.roll_item WHERE roll_id = :roll AND state = 'open'", roll=roll_id)
    _copy_in(connection, actor, roll_id, fresh)
    audit.record(connection, actor, Right.SUBMIT, f"roll/{roll_id}", what="compare", open=len(fresh), settled=known)
    return len(fresh), known


def _copy_in(connection: Connection, actor: Actor, roll_id: UUID, fresh: Sequence[Finding]) -> None:
    """COPY is refused on a table with row security, so the lines arrive in one of this transaction."""
    run_sql(connection, f"CREATE TEMPORARY TABLE arriving_item ({_ARRIVING}) ON COMMIT DROP")
    encode = msgspec.json.encode
    rows = [
        (at, one.kind, one.village, one.person_id, one.sheet_row, encode(one.told).decode())
        for at, one in enumerate(fresh, 1)
    ]
    body = io.BytesIO()
    pl.DataFrame(rows, schema=_ARRIVING_SCHEMA, orient="row").write_csv(body, include_header=False)
    with driver(connection).cursor().copy(b"COPY pg_temp.arriving_item FROM STDIN (FORMAT csv)") as copy:
        copy.write(body.getbuffer())
    run_sql(
        connection,
        "INSERT INTO {d}.roll_item (roll_id, item_no, kind, organisation, village, person_id, sheet_row, told)"
        " SELECT :roll, coalesce((SELECT max(i.item_no) FROM {d}.roll_item i WHERE i.roll_id = :roll), 0) + a.item_no,"
        " a.kind, :organisation, a.village, a.person_id, a.sheet_row, a.told FROM arriving_item a",
        roll=roll_id, organisation=actor.organisation,
    )  # fmt: skip
    run_sql(connection, "DROP TABLE arriving_item")


_ARRIVING = "item_no integer, kind text, village integer, person_id uuid, sheet_row integer, told jsonb"
_ARRIVING_SCHEMA = {
    "item_no": pl.Int32, "kind": pl.String, "village": pl.Int32, "person_id": pl.String, "sheet_row": pl.Int32,
    "told": pl.String,
}  # fmt: skip


def _settled(connection: Connection, actor: Actor) -> dict[str, bool]:
    """Fingerprints of the unit's decided lines; true: only once the town's own record says it too."""
    rows = run_sql(
        connection,
        "SELECT i.kind, i.told, i.decision, s.state FROM {d}.roll_item i"
        " LEFT JOIN {d}.submission s ON s.submission_id = i.submission_id"
        " WHERE i.organisation = :organisation AND i.state = 'decided' ORDER BY i.decided_at",
        organisation=actor.organisation,
    )
    found: dict[str, bool] = {}
    for kind, told, decision, state in rows:
        if decision == "register" or state is None or state in _ON_ITS_WAY or kind in ("missing_there", "duplicated"):
            found[fingerprint(str(kind), told)] = False  # type: ignore[arg-type]
        elif kind == "different":
            found.setdefault(fingerprint(str(kind), told), True)  # type: ignore[arg-type]
    return found


def is_settled(one: Finding, settled: Mapping[str, bool]) -> bool:
    """Decided before: the register was right, or the roll was and that is what the town's record says by now."""
    only_if_told = settled.get(fingerprint(one.kind, one.told))
    if only_if_told is None or not only_if_told:
        return only_if_told is False
    return all(one.told[name][0] == one.told[name][2] for name in one.told[FIELDS])


def fingerprint(kind: str, told: Mapping[str, Sequence[Any]]) -> str:
    """The same difference, in whatever file it is found: whom it is of, and what is said of them."""
    if kind == "different":
        said = sorted((name, *told[name][:2]) for name in told[FIELDS])
    elif kind == "duplicated":
        said = sorted((name, three[0]) for name, three in told.items() if not name.startswith("*"))
    else:
        said = []
    return msgspec.json.encode([kind, number_of(told), said]).decode()


# ---- reading ----


def list_items(
    connection: Connection, actor: Actor, roll_id: UUID, chosen: Chosen, after: int = 0, limit: int = 100
) -> list[RollItem]:
    """In the order of the list; that they were read is noted."""
    rows = run_sql(
        connection, f"SELECT {', '.join(RollItem.__struct_fields__)} FROM {{d}}.roll_item i WHERE {_CHOSEN}"
        " AND i.item_no > :after ORDER BY i.item_no LIMIT :limit",
        after=after, limit=limit, **_bound(actor, roll_id, chosen),
    )  # fmt: skip
    audit.record(connection, actor, Right.READ_CHANGE_LIST, f"roll/{roll_id}", what="list", items=len(rows))
    return [_item(row) for row in rows]


def _item(row: tuple[object, ...]) -> RollItem:
    return msgspec.convert(dict(zip(RollItem.__struct_fields__, row, strict=True)), RollItem)


def count_items(connection: Connection, actor: Actor, roll_id: UUID) -> dict[str, dict[str, int]]:
    """Kind -> state -> how many."""
    rows = run_sql(
        connection,
        "SELECT kind, state, count(*) FROM {d}.roll_item WHERE roll_id = :roll AND organisation = :organisation"
        " GROUP BY 1, 2",
        roll=roll_id, organisation=actor.organisation,
    )  # fmt: skip
    counted: dict[str, dict[str, int]] = {}
    for kind, state, many in rows:
        counted.setdefault(str(kind), {})[str(state)] = int(str(many))
    return counted


def count_chosen(connection: Connection, actor: Actor, roll_id: UUID, chosen: Chosen) -> dict[str, int]:
    """How many open lines of each kind a choice means."""
    statement = f"SELECT i.kind, count(*) FROM {{d}}.roll_item i WHERE {_CHOSEN} AND i.state = 'open' GROUP BY 1"
    return {
        str(kind): int(str(many)) for kind, many in run_sql(connection, statement, **_bound(actor, roll_id, chosen))
    }


_CHOSEN = """
i.roll_id = :roll AND i.organisation = :organisation AND (:kind = '' OR i.kind = :kind)
AND (CAST(:village AS integer) IS NULL OR i.village = :village) AND (:state = '' OR i.state = :state)
AND (:field = '' OR i.told -> :fields @> to_jsonb(CAST(:field AS text)))
AND (CAST(:items AS integer[]) IS NULL OR i.item_no = ANY (CAST(:items AS integer[])))
"""


def _bound(actor: Actor, roll_id: UUID, chosen: Chosen) -> dict[str, Any]:
    items = None if chosen.items is None else list(chosen.items)
    said = {
        "kind": chosen.kind,
        "village": chosen.village,
        "field": chosen.field,
        "state": chosen.state,
        "items": items,
    }
    return {"roll": roll_id, "organisation": actor.organisation, "fields": FIELDS, **said}


# ---- deciding ----


def decide_items(
    connection: Connection,
    actor: Actor,
    roll_id: UUID,
    chosen: Chosen,
    decision: Decision,
    reason: str,
    left_as: str = "",
) -> int:
    """Open lines get their decision, all at one instant; who is to be asked on the visit stays open. How many."""
    rows = run_sql(
        connection,
        "UPDATE {d}.roll_item i SET decision = :decision, reason = :reason, decided_by = :actor, decided_at = :now,"
        " state = CASE WHEN :decision = 'ask' THEN 'open' ELSE 'decided' END,"
        " told = CASE WHEN :left_as = '' THEN i.told ELSE i.told || jsonb_build_object(CAST(:mark AS text),"
        f" jsonb_build_array(CAST(:left_as AS text))) END WHERE {_CHOSEN} AND i.state = 'open' RETURNING i.kind",
        decision=decision, reason=reason, actor=actor.name, now=utc_now(), left_as=left_as, mark=LEFT_AS,
        **_bound(actor, roll_id, chosen),
    )  # fmt: skip
    audit.record(connection, actor, Right.SUBMIT, f"roll/{roll_id}", what="decide", decision=decision, items=len(rows))
    return len(rows)


def list_unsent(connection: Connection, actor: Actor, roll_id: UUID) -> list[RollItem]:
    """Decided for the roll, and not yet sent down the line."""
    rows = run_sql(
        connection, f"SELECT {', '.join(RollItem.__struct_fields__)} FROM {{d}}.roll_item i WHERE i.roll_id = :roll"
        " AND i.organisation = :organisation AND i.state = 'decided' AND i.decision = 'roll' AND i.submission_id IS NULL"
        " ORDER BY i.decided_at, i.item_no",
        roll=roll_id, organisation=actor.organisation,
    )  # fmt: skip
    return [_item(row) for row in rows]


def note_sent(connection: Connection, actor: Actor, roll_id: UUID, items: Sequence[int], submission_id: UUID) -> None:
    """These lines went down the line with this submission."""
    run_sql(
        connection,
        "UPDATE {d}.roll_item SET submission_id = :submission WHERE roll_id = :roll AND organisation = :organisation"
        " AND item_no = ANY (:items)",
        submission=submission_id, roll=roll_id, organisation=actor.organisation, items=list(items),
    )  # fmt: skip
    audit.record(connection, actor, Right.SUBMIT, f"roll/{roll_id}", what="sent", items=len(items))
