"""What becomes of rows that wait for a person: they go down the line again as they are, or they are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, any_, select, update

from hub import audit
from hub.database import Database, new_uuid, utc_now
from hub.decisions import without_file
from hub.decisions.candidates import persons_chosen
from hub.decisions.held_rules import NEW, Finding, Judged, hindrances
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.jobs import Accepted, enqueue
from hub.registry.masking import mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import held_candidate, held_row, row_error, submission
from mappings.catalogue import Catalogue, load_catalogue

_UNDER_WAY = ("received", "asking", "checked", "braked")
_SHOWN = 5  # rows named in a sentence
People = Mapping[int, Mapping[str, str]]  # row number -> role -> person id or "new"


class RowsDecided(Conflict):
    """所选的行中有的已不在待核：已有人决定，或已退回重报。 Some of these rows wait no more: decided, or sent again."""

    problem = "rows-decided"


class NothingToRelease(Conflict):
    """没有可以采纳的行。 There is no row here that may pass."""

    problem = "nothing-to-release"


class CannotPass(Conflict):
    """有的行不能直接采纳，请先说明所指的人，或改正后重新报送。 Some rows cannot pass: say who is meant, or send them corrected."""

    problem = "cannot-pass"


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Held rows of one submission: those named, or all with a code, or all that wait."""

    submission_id: UUID
    rows: tuple[int, ...] = ()
    code: str = ""


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """The submission that takes the rows down the line, how many they are, and how many of the chosen cannot pass."""

    accepted: Accepted
    rows: int
    left_out: int


def release_rows(
    database: Database,
    settings: Settings,
    actor: Actor,
    chosen: Chosen,
    *,
    reason: str = "",
    people: People | None = None,
    dry_run: bool = False,
    catalogue: Catalogue | None = None,
) -> Released:
    """Enter a submission that takes held rows up and queue it; asked again it is the same one.

    Named rows all pass or none does; of a whole code or submission those go that may. ``dry_run`` only shows the effect.
    """
    known, said = catalogue or load_catalogue(), mask_within(reason.strip())
    with _deciding(database, actor, chosen) as connection:
        origin = _own_submission(connection, actor, chosen.submission_id)
        waiting = _lock_rows(connection, chosen)
        already = None if dry_run else _same_release(connection, waiting)
        if already is not None:
            return already
        free = _free_rows(connection, chosen, waiting)
        judged = judge_rows(connection, known, origin, free, people or {})
        passing = _passing(connection, known, origin, free, judged, named=bool(chosen.rows))
        facts = _facts_of(origin, passing, judged, said)
        accepted = _enter_release(connection, settings, actor, origin, facts, dry_run=dry_run)
        if not dry_run:
            _mark_decided(connection, origin, passing, actor, reason=said, release_id=accepted.submission_id)
        audit.record(
            connection, actor, Right.DECIDE_HELD, f"submission/{origin.submission_id}", release=accepted.submission_id,
            rows=len(passing), digest=audit.digest_of(passing), people=len(facts["people"]), preview=dry_run,
        )  # fmt: skip
    return Released(accepted=accepted, rows=len(passing), left_out=len(free) - len(passing))


def refuse_rows(database: Database, actor: Actor, chosen: Chosen, reason: str) -> int:
    """Held rows that will not be taken: the reason is kept, the row errors, the receipt and the file stay; how many."""
    said = mask_within(reason.strip())
    if not said:
        raise BadRequest("请写明不采纳的原因。 Say why the rows are not taken.")
    with _deciding(database, actor, chosen) as connection:
        origin = _own_submission(connection, actor, chosen.submission_id)
        rows = [row.row_no for row in _free_rows(connection, chosen, _lock_rows(connection, chosen))]
        _mark_decided(connection, origin, rows, actor, reason=said, state="refused")
        enqueue(connection, origin.submission_id, origin.organisation, origin.record_type)  # to drop what is staged
        audit.record(
            connection, actor, Right.DECIDE_HELD, f"submission/{origin.submission_id}", refused=len(rows),
            digest=audit.digest_of(rows),
        )  # fmt: skip
    return len(rows)


@contextmanager
def _deciding(database: Database, actor: Actor, chosen: Chosen) -> Iterator[Connection]:
    """The transaction of one decision; who may not decide is noted in one that outlives the refusal."""
    require(actor, Right.DECIDE_HELD, Right.OPERATE)
    try:
        with database.begin(reach_of(actor)) as connection:
            yield connection
    except NotAllowed as refused:
        with database.begin(reach_of(actor)) as connection:
            about = f"submission/{chosen.submission_id}"
            audit.record(connection, actor, Right.DECIDE_HELD, about, "refused", problem=refused.problem)
        raise


def _own_submission(connection: Connection, actor: Actor, submission_id: UUID) -> Row[Any]:
    mine = select(submission).where(submission.c.submission_id == submission_id)
    row = connection.execute(mine).one_or_none()
    if row is None:
        raise NotFound(str(submission_id))
    if row.organisation != actor.organisation:
        raise NotAllowed("只有报送单位的人可以决定。 Only the sender's own organisation decides.")
    return row


def _lock_rows(connection: Connection, chosen: Chosen) -> Sequence[Row[Any]]:
    """The rows as they stand now, locked: of two who decide at once the second finds them decided."""
    its = held_row.c
    wanted = select(held_row).where(its.submission_id == chosen.submission_id)
    wanted = wanted.where(its.row_no.in_(chosen.rows) if chosen.rows else its.state == "waiting")
    if chosen.code:
        wanted = wanted.where(any_(its.codes) == chosen.code)
    found = connection.execute(wanted.order_by(its.row_no).with_for_update()).all()
    if len(found) < len(set(chosen.rows)):
        raise NotFound()
    return found


def _same_release(connection: Connection, rows: Sequence[Row[Any]]) -> Released | None:
    """The one submission that has taken, or is about to take, exactly these rows."""
    taking = {row.release_id for row in rows}
    if len(taking) != 1 or taking == {None} or any(row.state not in ("waiting", "released") for row in rows):
        return None
    found = connection.execute(select(submission).where(submission.c.submission_id.in_(taking))).one_or_none()
    if found is None or found.state not in (*_UNDER_WAY, "merged") or found.facts["rows"] != [r.row_no for r in rows]:
        return None
    return Released(accepted=_as_accepted(found, repeated=True), rows=len(rows), left_out=0)


def _free_rows(connection: Connection, chosen: Chosen, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Those nobody has decided; of named rows all must be so."""
    its = submission.c
    taking = select(its.submission_id).where(its.submission_id.in_({row.release_id for row in rows} - {None}))
    under_way = set(connection.scalars(taking.where(its.state.in_(_UNDER_WAY))))
    free = [row for row in rows if row.state == "waiting" and row.release_id not in under_way]
    if len(free) < len(rows) and chosen.rows:
        raise RowsDecided(_named_rows([row.row_no for row in rows if row not in free]))
    if not free:
        raise NothingToRelease()
    return free


def judge_rows(
    connection: Connection, catalogue: Catalogue, origin: Row[Any], rows: Iterable[Row[Any]], people: People
) -> dict[int, Judged]:
    """What was said of each row, checked: only the row's own candidates can be meant, as the persons they are now."""
    its, known = held_candidate.c, catalogue.record_types[origin.record_type]
    roles = {role.role for role in known.people}
    asked: dict[int, dict[str, set[str]]] = {row.row_no: {} for row in rows}
    mine = select(its.row_no, its.role, its.person_id).where(its.submission_id == origin.submission_id)
    for row_no, role, person_id in connection.execute(mine.where(its.row_no.in_(asked))):
        asked[row_no].setdefault(role, set()).add(str(person_id))
    said = {row_no: {role: one for role, one in people.get(row_no, {}).items() if one} for row_no in asked}
    for row_no, choices in said.items():
        for role, one in choices.items():
            if role not in roles or (one != NEW and one not in asked[row_no].get(role, ())):
                raise BadRequest("只能选择这一行的候选人员。 Only the row's own candidates can be meant.")
    current, numbered = persons_chosen(connection, {one for each in said.values() for one in each.values()} - {NEW})
    return {
        row_no: Judged(
            people={role: current.get(one, one) for role, one in choices.items()},
            numbered=numbered,
            asked=asked[row_no],
        )
        for row_no, choices in said.items()
    }


def findings_of(connection: Connection, rows: Sequence[Row[Any]]) -> dict[int, list[Finding]]:
    """Why each row of one submission waits, with the fields."""
    its, numbers = row_error.c, [row.row_no for row in rows]
    found: dict[int, list[Finding]] = {row_no: [] for row_no in numbers}
    if not rows:
        return found
    mine = select(its.row_no, its.code, its.field).where(
        its.submission_id == rows[0].submission_id, its.level == "hold", its.row_no.in_(numbers)
    )
    for row_no, code, field in connection.execute(mine.order_by(its.row_no, its.error_no)):
        found[row_no].append(Finding(code, field))
    for row in rows:
        told = {one.code for one in found[row.row_no]}
        found[row.row_no] += [Finding(code, "") for code in row.codes if code not in told]
    return found


def _passing(
    connection: Connection,
    catalogue: Catalogue,
    origin: Row[Any],
    rows: Sequence[Row[Any]],
    judged: Mapping[int, Judged],
    *,
    named: bool,
) -> list[int]:
    """Numbers of the rows that may pass; of named rows all must."""
    record_type, findings = catalogue.record_types[origin.record_type], findings_of(connection, rows)
    hindered = {row_no: hindrances(catalogue, record_type, found, judged[row_no]) for row_no, found in findings.items()}
    wrong = {row_no: codes for row_no, codes in hindered.items() if codes}
    if wrong and named:
        codes = sorted({code for each in wrong.values() for code in each})
        raise CannotPass(_named_rows(list(wrong)), rows=len(wrong), codes=codes)
    passing = [row.row_no for row in rows if row.row_no not in wrong]
    if not passing:
        raise NothingToRelease(rows=len(wrong), codes=sorted({code for each in wrong.values() for code in each}))
    return passing


def _facts_of(origin: Row[Any], rows: list[int], judged: Mapping[int, Judged], reason: str) -> dict[str, Any]:
    """What the line needs to take the rows up; of history also that it is history, though it was held up."""
    people = {row_no: dict(judged[row_no].people) for row_no in rows if judged[row_no].people}
    history = {"history": True} if origin.kind == "backfill" or origin.facts.get("history") else {}
    return {"released_from": origin.receipt_number, "rows": rows, "people": people, "reason": reason, **history}


def _enter_release(
    connection: Connection, settings: Settings, actor: Actor, origin: Row[Any], facts: dict[str, Any], *, dry_run: bool
) -> Accepted:
    entered = without_file.enter(
        connection, settings, actor, operation_id=f"release:{new_uuid()}", organisation=origin.organisation,
        record_type=origin.record_type, period=origin.period, kind="release", dry_run=dry_run, state="received",
        checked_at=None, thread_id=origin.thread_id or origin.submission_id, received=len(facts["rows"]), facts=facts,
    )  # fmt: skip
    enqueue(connection, UUID(str(entered)), origin.organisation, origin.record_type)
    made = connection.execute(select(submission).where(submission.c.submission_id == entered)).one()
    return _as_accepted(made, repeated=False)


def _mark_decided(connection: Connection, origin: Row[Any], rows: Sequence[int], actor: Actor, **values: Any) -> None:
    its = held_row.c
    named = update(held_row).where(its.submission_id == origin.submission_id, its.row_no.in_(rows))
    connection.execute(named.values(decided_by=actor.name, decided_at=utc_now(), **values))


def _named_rows(rows: Sequence[int]) -> str:
    shown = "、".join(map(str, rows[:_SHOWN])) + ("…" if len(rows) > _SHOWN else "")
    return f"第 {shown} 行。 Rows {shown}."


def _as_accepted(row: Row[Any], *, repeated: bool) -> Accepted:
    return Accepted(
        submission_id=row.submission_id, receipt_number=row.receipt_number, state=row.state, repeated=repeated
    )
