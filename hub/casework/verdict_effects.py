"""What the towns' answers do: lines are settled, passed on or asked again; what is not right is put to its source."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Row

from hub.casework.challenges import Raised, raise_challenges, withdraw_for_items
from hub.casework.verdict_rows import VERIFICATION, record_named_by, rows_by_name, town_of_sender
from hub.database import new_uuids, run_sql
from hub.registry.areas import load_area_index
from hub.registry.scope import types_by_area
from hub.registry.working_days import load_calendar
from hub.settings import Settings
from mappings.catalogue import Catalogue, RecordType

_NOT_TRUE, _NOBODY, _ELSEWHERE, _LATER = "2", "3", "4", "5"
_STATES = f"CASE a.result WHEN '{_ELSEWHERE}' THEN 'transferred' WHEN '{_LATER}' THEN 'deferred' ELSE 'answered' END"
_CORRECTED = (("right_name", "name"), ("right_id_no", "id_no"), ("right_date", ""))

_Cause = tuple[str, UUID, str, str | None]  # record type, record, source, role


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers of one submission came to."""

    answered: int = 0
    transferred: int = 0
    reopened: int = 0
    challenged: int = 0


def settle_answers(
    connection: Connection, settings: Settings, catalogue: Catalogue, row: Row[Any], now: datetime
) -> Settled:
    """In the transaction in which a submission of answers is merged (or taken back): all that follows from it."""
    today = now.astimezone(ZoneInfo(settings.time_zone)).date()
    town = town_of_sender(connection, row.organisation)
    answers = rows_by_name(connection, _ANSWERS, submission=row.submission_id, town=town)
    if not answers:
        return Settled()
    changed = [one.item_id for one in answers if one.outcome != "new" or one.answers]  # by a town merged away, too
    withdraw_for_items(connection, now, changed)
    _recall(connection, changed, now)
    given = [one for one in answers if not one.voided]
    _settle_items(connection, given, row.actor, now)
    _reopen_items(connection, [one.item_id for one in answers if one.voided])
    passed = [one for one in given if one.result == _ELSEWHERE]
    bounced = _pass_on(connection, settings, passed, today)
    raised = [*_raised_by(given, row), *(_bounce(one, row) for one in bounced)]
    raise_challenges(connection, settings, now, _at_their_cause(connection, catalogue, raised, answers))
    _note_return(connection, answers, now, today)
    return Settled(
        answered=len(given), transferred=len(passed), reopened=len(answers) - len(given), challenged=len(raised)
    )


_ANSWERS = f"""
SELECT d.outcome, r.voided, r.source_record_id, r.result, r.actual, r.right_name, r.right_id_no,
       r.right_date::text AS right_date, r.right_village, r.to_town, i.item_id, i.round_id, i.town, i.village,
       i.record_type, i.record_id, i.version, i.seq, i.role, i.person_id, i.change, i.event_date, i.source, i.came,
       i.came_from, i.due_on, i.answers, m.due_on AS round_due
FROM {{d}}.difference d
JOIN {{d}}.rec_{VERIFICATION} r ON r.record_id = d.record_id
JOIN {{d}}.monthly_round m ON m.month = r.round
JOIN {{d}}.round_item i ON i.round_id = m.round_id AND i.town = CAST(:town AS integer)
                       AND i.record_id = {record_named_by("r")}
WHERE d.submission_id = :submission AND d.row_no > 0 AND d.outcome IN ('new', 'update', 'restore', 'void')
ORDER BY d.row_no
"""


def _settle_items(connection: Connection, given: Sequence[Row[Any]], actor: str, now: datetime) -> None:
    """The line has its answer; what another answer had done with it is over."""
    areas = load_area_index(connection)
    towns = [
        areas.town_of.get(areas.codes.get(one.to_town or "", -1)) if one.result == _ELSEWHERE else None for one in given
    ]
    run_sql(
        connection,
        f"""
        UPDATE {{d}}.round_item i
        SET state = {_STATES}, result = a.result, sent_to = a.sent_to, answers = i.answers + 1, answered_at = :now,
            answered_by = :actor
        FROM unnest(CAST(:items AS uuid[]), CAST(:results AS text[]), CAST(:towns AS integer[])) a (item_id, result, sent_to)
        WHERE i.item_id = a.item_id
        """,
        items=[one.item_id for one in given],
        results=[one.result for one in given],
        towns=towns,
        now=now,
        actor=actor,
    )


def _reopen_items(connection: Connection, items: Sequence[UUID]) -> None:
    """An answer was taken back: the line waits again."""
    if items:
        run_sql(
            connection,
            "UPDATE {d}.round_item SET state = 'open', result = NULL, sent_to = NULL, answers = answers + 1,"
            " answered_at = NULL, answered_by = NULL WHERE item_id = ANY(CAST(:items AS uuid[]))",
            items=list(items),
        )


def _recall(connection: Connection, items: Sequence[UUID], now: datetime) -> None:
    """What was passed on by an answer that no longer holds, and is not answered there yet, goes off that list again."""
    if items:
        run_sql(
            connection,
            """
            WITH gone AS (
                DELETE FROM {d}.round_item
                WHERE came = 'transfer' AND state = 'open' AND came_from = ANY(CAST(:items AS uuid[]))
                RETURNING item_id, round_id, town
            )
            UPDATE {d}.round_town t SET completed_at = coalesce(t.completed_at, :now)
            FROM gone WHERE t.round_id = gone.round_id AND t.town = gone.town AND NOT EXISTS (
                SELECT 1 FROM {d}.round_item i WHERE i.round_id = t.round_id AND i.town = t.town AND i.state = 'open'
                AND i.item_id NOT IN (SELECT item_id FROM gone))
            """,
            items=list(items),
            now=now,
        )


def _pass_on(connection: Connection, settings: Settings, passed: Sequence[Row[Any]], today: date) -> list[Row[Any]]:
    """Each goes on the other town's list, with days of its own; those that had come from there, and come back."""
    if not passed:
        return []
    due = load_calendar(settings).after(today, settings.rounds.transfer_days)
    areas = load_area_index(connection)
    target = {one.item_id: areas.town_of[areas.codes[one.to_town]] for one in passed}
    made = run_sql(
        connection,
        _PASSED_ON,
        items=list(target),
        towns=list(target.values()),
        fresh=new_uuids(len(target)),
        due=due,
    )
    _make_round_towns(connection, {(one.round_id, target[one.item_id]) for one in passed})
    taken = {(UUID(str(record)), int(str(town))) for record, town in made}
    there = {(one.item_id, target[one.item_id]) for one in passed if (one.record_id, target[one.item_id]) not in taken}
    back = _already_passed_on(connection, there)
    return [one for one in passed if one.item_id in back]


_PASSED_ON = """
WITH asked AS (
    SELECT i.*, a.to_town, a.fresh_id
    FROM unnest(CAST(:items AS uuid[]), CAST(:towns AS integer[]), CAST(:fresh AS uuid[])) a (item_id, to_town, fresh_id)
    JOIN {d}.round_item i ON i.item_id = a.item_id
), numbered AS (
    SELECT k.*, coalesce((SELECT max(n.number) FROM {d}.round_item n WHERE n.round_id = k.round_id AND n.town = k.to_town), 0)
                + row_number() OVER (PARTITION BY k.round_id, k.to_town ORDER BY k.item_id) AS next_number
    FROM asked k
)
INSERT INTO {d}.round_item (item_id, round_id, town, village, number, record_type, record_id, version, seq, role, person_id,
                            change, event_date, source, came, came_from, due_on)
SELECT fresh_id, round_id, to_town, NULL, next_number, record_type, record_id, version, seq, role, person_id, change,
       event_date, source, 'transfer', item_id, greatest(due_on, CAST(:due AS date))
FROM numbered
ON CONFLICT (round_id, town, record_id) DO NOTHING
RETURNING record_id, town
"""


def _make_round_towns(connection: Connection, wanted: Iterable[tuple[UUID, int]]) -> None:
    """A town that had nothing of its own this month has something now."""
    pairs = list(wanted)
    run_sql(
        connection,
        """
        INSERT INTO {d}.round_town (round_id, town, organisation)
        SELECT w.round_id, w.town, min(o.code)
        FROM unnest(CAST(:rounds AS uuid[]), CAST(:towns AS integer[])) w (round_id, town)
        JOIN shared.organisation o ON o.area_id = w.town AND o.kind = 'town'
        GROUP BY 1, 2 ON CONFLICT DO NOTHING
        """,
        rounds=[round_id for round_id, _ in pairs],
        towns=[town for _, town in pairs],
    )
    run_sql(
        connection,
        "UPDATE {d}.round_town t SET completed_at = NULL"
        " FROM unnest(CAST(:rounds AS uuid[]), CAST(:towns AS integer[])) w (round_id, town)"
        " WHERE t.round_id = w.round_id AND t.town = w.town AND EXISTS (SELECT 1 FROM {d}.round_item i"
        " WHERE i.round_id = t.round_id AND i.town = t.town AND i.state = 'open')",
        rounds=[round_id for round_id, _ in pairs],
        towns=[town for _, town in pairs],
    )


def _already_passed_on(connection: Connection, there: set[tuple[UUID, int]]) -> set[UUID]:
    """Of changes the other town has on its list already: those it has settled itself, or is asked of for somebody else."""
    rows = run_sql(
        connection,
        """
        SELECT mine.item_id
        FROM unnest(CAST(:items AS uuid[]), CAST(:towns AS integer[])) a (item_id, town)
        JOIN {d}.round_item mine ON mine.item_id = a.item_id
        JOIN {d}.round_item other ON other.round_id = mine.round_id AND other.town = a.town
                                 AND other.record_id = mine.record_id
        WHERE other.state <> 'open' OR other.person_id IS DISTINCT FROM mine.person_id
        """,
        items=[item for item, _ in there],
        towns=[town for _, town in there],
    )
    return {UUID(str(item)) for (item,) in rows}


def _raised_by(given: Sequence[Row[Any]], row: Row[Any]) -> list[Raised]:
    """Not true and nobody there: what was not corrected, or is not the town's to correct, is the source's to answer."""
    raised = []
    for one in given:
        if one.result == _NOBODY:
            raised.append(_raise(one, row, "nobody"))
        elif one.result == _NOT_TRUE:
            fields = [(field, getattr(one, name)) for name, field in _CORRECTED if getattr(one, name)]
            raised += [_raise(one, row, "value", field, str(value)) for field, value in fields]
            if not fields and not one.right_village:
                raised.append(_raise(one, row, "untrue"))
    return raised


def _bounce(one: Row[Any], row: Row[Any]) -> Raised:
    """Two towns say it is not theirs: whose it is, its source has to say."""
    return _raise(one, row, "elsewhere")


def _raise(one: Row[Any], row: Row[Any], kind: str, field: str = "", claimed: str = "") -> Raised:
    return Raised(
        kind=kind,
        record_type=one.record_type,
        record_id=one.record_id,
        field=field,
        claimed=claimed,
        reason=one.actual or "",
        raised_by=row.organisation,
        raised_by_name=row.actor,
        against=one.source,
        item_id=one.item_id,
        person_id=one.person_id,
        areas=tuple(area for area in (one.village, one.town) if area is not None),
        submission_id=row.submission_id,
    )


def _at_their_cause(
    connection: Connection, catalogue: Catalogue, raised: list[Raised], answers: Sequence[Row[Any]]
) -> list[Raised]:
    """A line told by a record that only followed a person is put to the record that moved them, and to its source.

    Of what a town may not know of, it learns nothing here: then the line's own record is what it is about.
    """
    told: dict[UUID | None, _Cause] = {
        one.item_id: (one.record_type, one.record_id, one.source, one.role) for one in answers
    }
    asked = {one.item_id for one in raised}
    if asked:
        told |= _causes(connection, catalogue, asked)
    return [_put_to(catalogue, one, *told[one.item_id]) for one in raised]


def _causes(connection: Connection, catalogue: Catalogue, items: Collection[UUID | None]) -> dict[UUID | None, _Cause]:
    """By line that only followed somebody: the last of this person's records in what was sent."""
    by_type: dict[str, list[Row[Any]]] = {}
    for line in rows_by_name(connection, _FOLLOWED, items=list(items), open=types_by_area(catalogue)):
        by_type.setdefault(line.record_type, []).append(line)
    found: dict[UUID | None, _Cause] = {}
    for code, lines in by_type.items():
        senders = {line.item_id: line.organisation for line in lines}
        caused = rows_by_name(
            connection,
            _caused(catalogue.record_types[code]),
            items=list(senders),
            persons=[line.person_id for line in lines],
            submissions=[line.submission_id for line in lines],
        )
        found |= {one.item_id: (code, one.record_id, senders[one.item_id], one.role) for one in caused}
    return found


def _caused(record_type: RecordType) -> str:
    """From the person to their records, and not through all that was sent together: that may be a whole year's file."""
    code = record_type.code
    theirs = " UNION ALL ".join(
        f"SELECT a.item_id, a.submission_id, r.record_id, '{role.role}' AS role"
        f" FROM asked a JOIN {{d}}.rec_{code} r ON r.{role.role}_ref = a.person_id"
        for role in record_type.people
    )
    return f"""
        WITH asked AS (
            SELECT * FROM unnest(CAST(:items AS uuid[]), CAST(:persons AS uuid[]), CAST(:submissions AS uuid[]))
                          a (item_id, person_id, submission_id)
        )
        SELECT DISTINCT ON (t.item_id) t.item_id, t.record_id, t.role
        FROM ({theirs}) t
        JOIN {{d}}.ver_{code} v ON v.record_id = t.record_id AND v.submission_id = t.submission_id AND v.row_no > 0
        ORDER BY t.item_id, v.row_no DESC
        """


def _put_to(
    catalogue: Catalogue, one: Raised, record_type: str, record_id: UUID, source: str, role: str | None
) -> Raised:
    """A corrected name or number is that of the person's role, by the name its field has there."""
    known = catalogue.record_types[record_type]
    prefix = next((each.prefix for each in known.people if each.role == role), "")
    field = f"{prefix}{one.field}" if one.field else ""
    return msgspec.structs.replace(
        one,
        record_type=record_type,
        record_id=record_id,
        against=source,
        field=field if field in known.by_name else "",
    )


_FOLLOWED = """
SELECT i.item_id, i.person_id, u.submission_id, u.record_type, u.organisation
FROM {d}.round_item i
JOIN {d}.change_log l ON l.seq = i.seq AND l.op IN ('reroute', 'relink')
JOIN {d}.submission u ON u.submission_id = l.submission_id AND u.organisation <> 'hub'
                   AND u.record_type = ANY(CAST(:open AS text[]))
WHERE i.item_id = ANY(CAST(:items AS uuid[])) AND i.person_id IS NOT NULL
"""


def _note_return(connection: Connection, answers: Sequence[Row[Any]], now: datetime, today: date) -> None:
    """When the town first answered, when last, whether late, and whether nothing is left."""
    run_sql(
        connection,
        """
        WITH told AS (
            SELECT r.round_id, r.town, bool_or(r.due_on < CAST(:today AS date)) AS late
            FROM unnest(CAST(:items AS uuid[])) a (item_id) JOIN {d}.round_item r USING (item_id)
            GROUP BY r.round_id, r.town
        )
        UPDATE {d}.round_town t
        SET returned_at = coalesce(t.returned_at, :now), last_return_at = :now, late = t.late OR told.late,
            completed_at = CASE WHEN NOT EXISTS (
                SELECT 1 FROM {d}.round_item i WHERE i.round_id = t.round_id AND i.town = t.town AND i.state = 'open'
            ) THEN coalesce(t.completed_at, :now) END
        FROM told WHERE t.round_id = told.round_id AND t.town = told.town
        """,
        items=[one.item_id for one in answers],
        now=now,
        today=today,
    )
