"""How the rows of a submission came out: counts that balance, and the findings of the comparison as row errors."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, update

from hub.casework.verdict_rows import REFUSING, UNANSWERED
from hub.database import run_sql, utc_now
from hub.exchange.finding_cells import cell_of
from hub.exchange.rival_rows import Clashing, name_rivals
from hub.tables import submission
from hub.tables.version_sql import SAME_ROW
from mappings.catalogue import RecordType

_MOST_RANGES = 500  # of rows that came back: there may be as many as the file has rows
_COMPARISON = 900  # error numbers below are the check's
_CLASHING = "E_KEY_CONFLICT"
_LEVELS = {
    **dict.fromkeys(REFUSING, "error"),
    UNANSWERED: "note",
    "E_VOID_UNKNOWN": "error",
    "W_NAME_DIFFERS": "warning",
    "N_OLDER_VERSION": "note",
    "N_REPEATED_ROW": "note",
}


class Finding(NamedTuple):
    """What the comparison says of a row; ``record_key`` where another row of the file means the same record."""

    row_no: int
    sheet_row: int
    code: str
    record_key: str | None


class Counted(msgspec.Struct, frozen=True):
    """``effect``: new, changed, voided, restored, unchanged, rerouted; ``findings``: what the comparison says of rows."""

    accepted: int
    unchanged: int
    held: int
    refused: int
    effect: dict[str, int]
    findings: list[Finding]


def count(connection: Connection, submission_id: UUID, record_type: RecordType) -> Counted:
    """Count the difference by outcome."""
    rows = run_sql(
        connection,
        "SELECT outcome, count(*) FROM {d}.difference WHERE submission_id = :submission GROUP BY outcome",
        submission=submission_id,
    )
    by_outcome = {str(outcome): cast(int, number) for outcome, number in rows}
    accepted = {name: by_outcome.get(name, 0) for name in ("new", "update", "void", "restore")}
    return Counted(
        accepted=sum(accepted.values()),
        unchanged=by_outcome.get("unchanged", 0),
        held=by_outcome.get("hold", 0),
        refused=by_outcome.get("refuse", 0),
        effect={
            "new": accepted["new"],
            "changed": accepted["update"],
            "voided": accepted["void"],
            "restored": accepted["restore"],
            "unchanged": by_outcome.get("unchanged", 0),
            "rerouted": by_outcome.get("reroute", 0) + by_outcome.get("relink", 0),
        },
        findings=_findings(connection, submission_id, record_type),
    )


def _findings(connection: Connection, submission_id: UUID, record_type: RecordType) -> list[Finding]:
    rows = run_sql(
        connection,
        f"SELECT d.row_no, s.sheet_row, d.finding, CASE WHEN d.finding = '{_CLASHING}' THEN d.record_key END"
        f" FROM {{d}}.difference d JOIN {{d}}.stg_{record_type.code} s"
        f" ON {SAME_ROW} WHERE d.submission_id = :submission AND d.finding IS NOT NULL ORDER BY d.row_no",
        submission=submission_id,
    )
    return [Finding(*cast(tuple[int, int, str, str | None], row)) for row in rows]


def note(connection: Connection, row: Row[Any], counted: Counted, state: str, **facts: object) -> None:
    """Write counts, effect and findings to the ledger: received = accepted + unchanged + held + refused."""
    _write_findings(connection, row, counted.findings)
    kept = row.facts if state == "braked" else _short(row.facts)
    compared = counted.accepted + counted.unchanged + counted.held + counted.refused
    connection.execute(
        update(submission)
        .where(submission.c.submission_id == row.submission_id)
        .values(
            state=state,
            received=row.received if row.kind != "undo" else compared,
            accepted=counted.accepted,
            unchanged=counted.unchanged,
            held=row.held + counted.held,
            refused=row.refused + counted.refused,
            facts={**kept, **facts, "effect": counted.effect},
            merged_at=utc_now(),
        )
    )


def _short(facts: dict[str, Any]) -> dict[str, Any]:
    """Which rows came back is kept where it is soon said: the rest of them may still be corrected."""
    many = len(facts.get("returned_rows") or ()) > _MOST_RANGES
    return {name: fact for name, fact in facts.items() if not (many and name == "returned_rows")}


def set_aside(
    connection: Connection, row: Row[Any], counted: Counted, state: str, reasons: list[dict[str, Any]]
) -> None:
    """A preview, or an effect that waits for a second person: what it would be, and what the check alone had said."""
    checked = {"held": row.held, "refused": row.refused}
    note(connection, row, counted, state, **({"checked": checked} if state == "braked" else {}))
    told = {"waiting": {"reasons": reasons} if reasons else None}
    if state == "braked":
        told["merged_at"] = None
    connection.execute(update(submission).where(submission.c.submission_id == row.submission_id).values(told))


def nothing_taken(row: Row[Any]) -> dict[str, Any]:
    """The ledger's values for a submission of which nothing is taken after all."""
    facts = {name: fact for name, fact in row.facts.items() if name not in ("checked", "effect")}
    return {"accepted": 0, "unchanged": 0, "held": 0, "refused": row.received, "waiting": None, "facts": facts}


def forget(connection: Connection, row: Row[Any]) -> Row[Any]:
    """Before an effect is computed anew: the findings and counts of the one that waited go; the row as it is now."""
    mine = submission.c.submission_id == row.submission_id
    facts = {name: fact for name, fact in row.facts.items() if name not in ("checked", "effect")}
    run_sql(
        connection,
        f"DELETE FROM {{d}}.row_error WHERE submission_id = :submission AND error_no = {_COMPARISON}",
        submission=row.submission_id,
    )
    counts = {"accepted": 0, "unchanged": 0, **row.facts["checked"]}
    changed = update(submission).where(mine).values(facts=facts, **counts).returning(submission)
    return connection.execute(changed).one()


def count_overlap(connection: Connection, row: Row[Any], record_type: RecordType) -> int:
    """Unchanged rows whose record came with another month's submission: the file is a cumulative one."""
    rows = run_sql(
        connection,
        f"""
        SELECT count(*)
        FROM {{d}}.difference d
        JOIN {{d}}.rec_{record_type.code} r ON r.record_id = d.record_id
        JOIN {{d}}.submission s ON s.submission_id = r.submission_id
        WHERE d.submission_id = :submission AND d.outcome = 'unchanged' AND s.period <> :period
        """,
        submission=row.submission_id,
        period=row.period,
    )
    return cast(int, rows[0][0])


def _write_findings(connection: Connection, row: Row[Any], findings: list[Finding]) -> None:
    """Each with the cell that has to be written otherwise, if it is one, and the rows it clashes with."""
    if not findings:
        return
    clashing = [Clashing(one.row_no, one.sheet_row, one.record_key) for one in findings if one.record_key is not None]
    rivals = name_rivals(clashing, row.facts)
    cells = [cell_of(row.facts, one.code) for one in findings]
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.row_error
            (submission_id, row_no, error_no, sheet_row, code, level, field, sheet, column_letter, header, params)
        SELECT :submission, f.row_no, {_COMPARISON}, f.sheet_row, f.code, f.level, f.field, nullif(f.sheet, ''), f.letter,
               f.header, CAST(f.params AS jsonb)
        FROM unnest(CAST(:rows AS integer[]), CAST(:sheet_rows AS integer[]), CAST(:codes AS text[]),
                    CAST(:levels AS text[]), CAST(:fields AS text[]), CAST(:sheets AS text[]), CAST(:letters AS text[]),
                    CAST(:headers AS text[]), CAST(:params AS text[]))
             AS f (row_no, sheet_row, code, level, field, sheet, letter, header, params)
        """,
        submission=row.submission_id,
        rows=[one.row_no for one in findings],
        sheet_rows=[one.sheet_row for one in findings],
        codes=[one.code for one in findings],
        levels=[_LEVELS.get(one.code, "hold") for one in findings],
        fields=[field for field, _, _, _ in cells],
        sheets=[sheet for _, sheet, _, _ in cells],
        letters=[letter for _, _, letter, _ in cells],
        headers=[header for _, _, _, header in cells],
        params=[json.dumps(rivals.get(one.row_no, {}), ensure_ascii=False) for one in findings],
    )
