"""Single disclosures: who opened a person's page, judged a pair, or read a value in full, as the audit has it.

Read with the audit's own role. A bulk verification is not among them: it keeps no person. Of searches those are told
that found this person alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection

from hub import audit
from hub.database import run_sql
from hub.sharing.disclosure_derivation import Change, Disclosure, Traces

_STATEMENT = """
    SELECT audit_id, at, actor, organisation, act, object, facts FROM {d}.audit
    WHERE act IN ('read-person', 'judge-person', 'work-comparison', 'unmask') AND outcome = 'done'
      AND (object = ANY(CAST(:objects AS text[]))
           OR act = 'read-person' AND object = 'people' AND facts ->> 'digest' = ANY(CAST(:digests AS text[])))
      AND (CAST(:since AS timestamptz) IS NULL OR at >= :since)
"""


def looks_at(
    connection: Connection, audit_connection: Connection, traces: Traces, person_id: UUID, ids: Collection[UUID],
    since: datetime | None,
) -> Iterator[Disclosure]:  # fmt: skip
    """Every look at this person by whatever id; ``connection`` is the serving role's, opened for the ledger."""
    named = dict(_changes_seen(traces, person_id))
    objects = [f"person/{each}" for each in ids] + [*_pairs_and_comparisons(connection, ids), *named]
    digests = [audit.digest_of([each]) for each in ids]
    rows = run_sql(audit_connection, _STATEMENT, objects=objects, digests=digests, since=since)
    for audit_id, at, actor, organisation, act, about, facts in cast(Any, rows):
        change = named.get(about)
        yield Disclosure(
            kind="look", delivered_at=at, receiver=organisation, number=str(audit_id), by=actor, op=act,
            purpose=_said(facts), fetched_at=at, record_type=change.record_type if change else "",
            record_id=change.record_id if change else None,
        )  # fmt: skip


def _changes_seen(traces: Traces, person_id: UUID) -> Iterator[tuple[str, Change]]:
    """Under what name the audit knows a change, or the row that was sent, where somebody read its values in full."""
    for record_id, version in traces.named[person_id]:
        for change in traces.changes.get(record_id, ()):
            if change.version == version:
                yield f"change/{change.seq}", change
                yield "submission/{}/row/{}".format(*change.sent_row), change


def _pairs_and_comparisons(connection: Connection, ids: Collection[UUID]) -> list[str]:
    rows = run_sql(
        connection,
        "SELECT 'pair/' || first_id || '/' || second_id FROM {d}.person_pair"
        " WHERE first_id = ANY(CAST(:persons AS uuid[])) OR second_id = ANY(CAST(:persons AS uuid[]))"
        " UNION ALL SELECT 'comparison/' || item_id FROM {d}.comparison_item"
        " WHERE person_id = ANY(CAST(:persons AS uuid[]))",
        persons=list(ids),
    )
    return [str(about) for (about,) in rows]


def _said(facts: dict[str, Any]) -> str:
    """What for, as it was said then."""
    return " ".join(str(facts[name]) for name in ("purpose", "reason") if facts.get(name))
