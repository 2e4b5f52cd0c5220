"""The straight line, in order: parse and check, link, merge, change log, receipt. Only this room knows the order.

Two transactions a submission: what was read is staged and committed; then everything it changes, at once.
Killed anywhere, it is run again from the state its ledger row is in.
"""

from __future__ import annotations

import functools
import json
import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from msgspec import to_builtins
from sqlalchemy import Connection, Row, select, update
from sqlalchemy.exc import DBAPIError

from adapters.formats.sandbox import Limits
from hub.casework.verdict_rows import AnswerContext
from hub.database import Database, new_uuids, run_sql, utc_now
from hub.errors import ColumnsUnconfirmed, FileRefused, NotFound
from hub.exchange import brake, effect, held, outcomes, receipts, release, staging, threads, town_word
from hub.exchange.changelog import number_changes
from hub.exchange.check import CheckContext, check
from hub.exchange.finding_cells import note_cells
from hub.exchange.header_choices import load_choices
from hub.exchange.link import link
from hub.exchange.merge import merge
from hub.exchange.parse import parse
from hub.exchange.undo import drop_rows_of, undo
from hub.faults import point
from hub.keyring import Keyring
from hub.people.doubts import mark_doubtful
from hub.registry.areas import load_area_index
from hub.settings import Settings
from hub.tables import organisation, submission
from mappings.catalogue import Catalogue, RecordType, load_catalogue

log = structlog.get_logger("hub.line")
Made = TypeVar("Made")
_TRANSIENT = ("40001", "40P01", "55P03", "23505")  # serialisation, deadlock, lock timeout, two who made the same person
_ATTEMPTS = 6


class _SetAside(Exception):
    """A dry run is over, or the effect is unusual: everything done is rolled back, what it would have been is kept."""

    def __init__(self, counted: outcomes.Counted, samples: list[effect.Sample], reasons: list[brake.Reason]) -> None:
        self.counted, self.samples, self.reasons = counted, samples, reasons


@functools.cache
def catalogue_in_force() -> Catalogue:
    """The catalogue this process started with."""
    return load_catalogue()


def run(database: Database, settings: Settings, submission_id: UUID, catalogue: Catalogue | None = None) -> str:
    """Carry a submission to its final state from wherever it stands; the state it ends in. Safe to repeat."""
    known = catalogue or catalogue_in_force()
    keyring = Keyring.load(settings.home)
    point("pipeline.start")
    state = _patiently(lambda: _read_file(database, settings, known, keyring, submission_id))
    if state == "checked":
        state = _patiently(lambda: _change_register(database, settings, known, keyring, submission_id))
        point("pipeline.after_commit")
    if state in ("merged", "previewed", "refused"):
        tidy(database, submission_id)
    return state


def tidy(database: Database, submission_id: UUID) -> None:
    """Forget the staged rows of a finished submission; held ones stay."""
    with database.begin() as connection:
        row = _lock(connection, submission_id)
        if row.state in ("merged", "previewed", "refused"):
            staging.plan_for(connection, row.received)
            staging.drop_staged(connection, submission_id, row.record_type)
            held.drop_refused(connection, submission_id, row.record_type)
        if row.state in ("refused", "previewed"):
            drop_rows_of(connection, submission_id, row.record_type)
        if row.state == "refused" or row.released_by is not None:
            effect.drop_samples(connection, submission_id)


def _patiently(attempt: Callable[[], Made]) -> Made:
    """Once more when two transactions met; what is really wrong comes through."""
    for number in range(_ATTEMPTS):
        try:
            return attempt()
        except DBAPIError as met:
            if getattr(met.orig, "sqlstate", None) not in _TRANSIENT or number == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.02, 0.2) * (number + 1))  # noqa: S311
    raise AssertionError("unreachable")


def _lock(connection: Connection, submission_id: UUID) -> Row[Any]:
    asked = select(submission).where(submission.c.submission_id == submission_id).with_for_update()
    row = connection.execute(asked).one_or_none()
    if row is None:
        raise NotFound(str(submission_id))
    return row


def _read_file(
    database: Database, settings: Settings, catalogue: Catalogue, keyring: Keyring, submission_id: UUID
) -> str:
    """Parse and check the stored bytes into staging; a file that cannot be taken is refused as a whole.

    What was read before stays as it is: the state the submission is in.
    """
    started = time.monotonic()
    try:
        with database.begin() as connection:
            row = _lock(connection, submission_id)
            if row.state != "received":
                return str(row.state)
            counts = _stage(connection, settings, catalogue, keyring, row)
            point("staging.before_commit")
    except ColumnsUnconfirmed as unconfirmed:
        return _ask(database, submission_id, unconfirmed)
    except FileRefused as refused:
        return _refuse(database, keyring, submission_id, refused)
    point("staging.after_commit")
    log.info(
        "checked", submission=str(submission_id), rows=counts["received"], seconds=round(time.monotonic() - started, 2)
    )
    return "checked"


def _stage(
    connection: Connection, settings: Settings, catalogue: Catalogue, keyring: Keyring, row: Row[Any]
) -> dict[str, int]:
    record_type = catalogue.record_types[row.record_type]
    if row.kind == "release":
        counts = release.stage_released(connection, settings, catalogue, row)
        _note_checked(connection, row, counts, row.facts)
        return counts
    kind = connection.scalar(select(organisation.c.kind).where(organisation.c.code == row.organisation)) or ""
    mapping = catalogue.mapping_for(row.organisation, kind, record_type.code)
    limits = Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )
    point("parse.before")
    parsed = parse(
        settings.files / row.stored_as, record_type, mapping, catalogue, limits,
        choices=load_choices(connection, row.organisation, row.record_type), period=row.period,
    )  # fmt: skip
    context = CheckContext(
        record_type=record_type,
        mapping=mapping,
        catalogue=catalogue,
        areas=load_area_index(connection),
        today=local_now(settings).date(),
        fictitious_prefixes=settings.fictitious_prefixes,
        digest_key=keyring.digest_key,
        seal=keyring.seal,
        new_uuids=new_uuids,
    )
    counts = {"received": 0, "held": 0, "refused": 0}
    with staging.Writing(connection, row.submission_id, record_type.code) as writing:
        for batch in check(parsed.frames, parsed.columns, context):
            point("check.batch")
            writing.put(batch.staged, batch.errors)
            counts["received"] += batch.received
            counts["held"] += batch.held
            counts["refused"] += batch.refused
    point("staging.copied")
    if record_type.all_or_nothing and counts["held"] + counts["refused"]:
        raise FileRefused(code="F_ALL_OR_NOTHING", params={"rows": counts["held"] + counts["refused"]})
    if counts["received"] > staging.WORTH_ANALYSING:
        staging.refresh_statistics(connection, f"stg_{record_type.code}")
    _note_checked(connection, row, counts, parsed.facts | note_cells(parsed.columns))
    return counts


def _note_checked(connection: Connection, row: Row[Any], counts: dict[str, int], found: dict[str, Any]) -> None:
    facts = json.loads(json.dumps(found, default=str))
    thread = threads.thread_of(connection, row, facts)
    connection.execute(
        update(submission)
        .where(submission.c.submission_id == row.submission_id)
        .values(state="checked", checked_at=utc_now(), thread_id=thread, facts=facts, **counts)
    )


def _ask(database: Database, submission_id: UUID, unconfirmed: ColumnsUnconfirmed) -> str:
    """A person must say what some columns mean; until then nothing is staged and nothing is final."""
    with database.begin() as connection:
        if _lock(connection, submission_id).state == "received":
            mine = submission.c.submission_id == submission_id
            waiting = unconfirmed.facts["question"]
            connection.execute(update(submission).where(mine).values(state="asking", waiting=waiting))
    log.info("columns asked", submission=str(submission_id))
    return "asking"


def _refuse(database: Database, keyring: Keyring, submission_id: UUID, refused: FileRefused) -> str:
    """The file as a whole is not taken: nothing of it is staged, the reason is on the receipt."""
    with database.begin() as connection:
        row = _lock(connection, submission_id)
        if row.state in ("received", "checked"):
            reason = {"code": refused.facts.get("code", "F_UNREADABLE"), "params": refused.facts.get("params", {})}
            connection.execute(
                update(submission)
                .where(submission.c.submission_id == submission_id)
                .values(state="refused", refusal=reason, checked_at=utc_now(), **outcomes.nothing_taken(row))
            )
            receipts.issue(connection, keyring, submission_id)
    log.info("file refused", submission=str(submission_id), code=str(refused.facts.get("code")))
    return "refused"


def _change_register(
    database: Database, settings: Settings, catalogue: Catalogue, keyring: Keyring, submission_id: UUID
) -> str:
    """Link, merge, receipt and change log in one transaction; the counter row is taken last."""
    started = time.monotonic()
    try:
        with database.begin() as connection:
            row = _lock(connection, submission_id)
            if row.state != "checked" or not _begin_operation(connection, row):
                return str(row.state)
            if row.released_by is not None and "checked" in row.facts:
                row = outcomes.forget(connection, row)
            record_type = catalogue.record_types[row.record_type]
            counted = _apply(connection, row, record_type, catalogue, _answering(settings, keyring, row))
            _refuse_unusual(connection, row, counted, record_type, catalogue)
            outcomes.note(connection, row, counted, "merged", **_noticed(connection, row, counted, record_type))
            if row.kind == "release":
                release.finish_release(connection, row, record_type)
            if row.held + counted.held:
                held.note_held(connection, row, record_type)
            town_word.take_effect(connection, settings, catalogue, row)
            _finish(connection, keyring, submission_id)
            point("pipeline.before_commit")
    except _SetAside as aside:
        return _keep_aside(database, keyring, submission_id, aside)
    except FileRefused as refused:
        return _refuse(database, keyring, submission_id, refused)
    log.info("merged", submission=str(submission_id), rows=row.received, seconds=round(time.monotonic() - started, 2))
    return "merged"


def _answering(settings: Settings, keyring: Keyring, row: Row[Any]) -> AnswerContext:
    """What a town's answers are judged by; a row that a person let pass contradicts nobody any more."""
    today = row.received_at.astimezone(ZoneInfo(settings.time_zone)).date()
    return AnswerContext(key=keyring.digest_key, today=today, released=row.kind == "release")


def _apply(
    connection: Connection, row: Row[Any], record_type: RecordType, catalogue: Catalogue, answering: AnswerContext
) -> outcomes.Counted:
    if row.kind == "undo":
        return apply_undo(connection, row, record_type, catalogue)
    wait_for_turn(connection, record_type)
    town_word.hold_against_list(connection, row, record_type, catalogue, answering)
    released = row if row.kind == "release" else None
    return apply_staged(
        connection, row.submission_id, row.organisation, record_type, catalogue, row.received, released=released
    )


def apply_undo(
    connection: Connection, row: Row[Any], record_type: RecordType, catalogue: Catalogue
) -> outcomes.Counted:
    """Take back what ``row.undoes`` did; how the records came out. FileRefused when others built on it since."""
    wait_for_turn(connection, record_type)
    point("merge.before")
    undo(connection, row, record_type, catalogue)
    point("merge.after")
    return outcomes.count(connection, row.submission_id, record_type)


def _refuse_unusual(
    connection: Connection, row: Row[Any], counted: outcomes.Counted, record_type: RecordType, catalogue: Catalogue
) -> None:
    """A preview ends here; so does, until a second person lets it happen, what the brake finds unusual."""
    reasons = brake.judge(connection, row, counted, record_type, catalogue.brake.of(record_type.code))
    if row.dry_run or reasons:
        raise _SetAside(counted, effect.take_samples(connection, row.submission_id, record_type), reasons)


def _noticed(
    connection: Connection, row: Row[Any], counted: outcomes.Counted, record_type: RecordType
) -> dict[str, object]:
    """What is known only now: rows that came back, rows of another month, rows nobody need decide on any more."""
    noticed: dict[str, object] = {}
    if row.kind == "undo":
        noticed["held_dropped"] = drop_rows_of(connection, row.undoes, record_type.code)
        held.settle_held(connection, row.undoes, record_type, held.TAKEN_BACK, row.submission_id)
    if row.thread_id is not None:
        noticed["came_back"] = _take_back_held(connection, row, record_type)
    if counted.unchanged and row.period is not None and record_type.event_date:
        noticed["overlap"] = outcomes.count_overlap(connection, row, record_type)
    return {name: number for name, number in noticed.items() if number}


def _take_back_held(connection: Connection, row: Row[Any], record_type: RecordType) -> int:
    """Rows of the thread's earlier workbooks that came back with this one wait no more."""
    number = threads.take_back_held(connection, row, record_type)
    if number:
        earlier = threads.find_returned(connection, row, row.facts["returned_from"])
        assert earlier is not None
        held.settle_held(connection, earlier.submission_id, record_type, held.CAME_BACK, row.submission_id)
    return number


def apply_staged(
    connection: Connection,
    submission_id: UUID,
    source: str,
    record_type: RecordType,
    catalogue: Catalogue,
    rows: int = 0,
    released: Row[Any] | None = None,
) -> outcomes.Counted:
    """Link and merge what is staged; how the rows came out. One submission of a record type at a time.

    ``released``: its rows were held, and a person has said whom some of them mean.
    """
    wait_for_turn(connection, record_type)
    staging.plan_for(connection, rows)
    point("link.before")
    if released is not None:
        release.name_people(connection, released, record_type)
    mark_doubtful(connection, submission_id, source, record_type, catalogue)
    if released is not None:
        release.forget_marks(connection, released, record_type)
    link(connection, submission_id, source, record_type)
    if rows > staging.WORTH_ANALYSING:
        staging.refresh_statistics(connection, "person", "person_identifier")
    point("link.after")
    point("merge.before")
    merge(connection, submission_id, source, record_type, catalogue, rows)
    point("merge.after")
    return outcomes.count(connection, submission_id, record_type)


def wait_for_turn(connection: Connection, record_type: RecordType) -> None:
    """Where people live decides where records belong: who moves or renumbers persons works alone, the others by type."""
    moves_homes = record_type.corrects_identity or any(role.sets_home for role in record_type.people)
    homes = "pg_advisory_xact_lock" if moves_homes else "pg_advisory_xact_lock_shared"
    run_sql(connection, f"SELECT {homes}(hashtext('homes'))")
    run_sql(connection, "SELECT pg_advisory_xact_lock(hashtext(:name))", name=f"merge {record_type.code}")


def _finish(connection: Connection, keyring: Keyring, submission_id: UUID) -> None:
    """Receipt first, then the numbers: between the counter and COMMIT there is only the log."""
    point("receipt.before")
    receipts.issue(connection, keyring, submission_id)
    point("receipt.after")
    point("changelog.before_counter")
    number_changes(connection, submission_id)
    point("changelog.after_counter")


def _begin_operation(connection: Connection, row: Row[Any]) -> bool:
    """An operation id takes effect once."""
    made = run_sql(
        connection,
        "INSERT INTO {d}.operation (operation_id, submission_id, done_at) VALUES (:operation, :submission, :now)"
        " ON CONFLICT DO NOTHING RETURNING operation_id",
        operation=f"{row.organisation}:{row.operation_id}",
        submission=row.submission_id,
        now=utc_now(),
    )
    return bool(made)


def _keep_aside(database: Database, keyring: Keyring, submission_id: UUID, aside: _SetAside) -> str:
    """Counts and samples of an effect that did not happen: a preview is over with that, the unusual waits."""
    with database.begin() as connection:
        row = _lock(connection, submission_id)
        if row.state != "checked":
            return str(row.state)
        state = "previewed" if row.dry_run else "braked"
        effect.keep_samples(connection, submission_id, aside.samples)
        outcomes.set_aside(connection, row, aside.counted, state, to_builtins(aside.reasons))
        if row.dry_run:
            receipts.issue(connection, keyring, submission_id)
    log.info(state, submission=str(submission_id), reasons=[reason.code for reason in aside.reasons])
    return state


def local_now(settings: Settings) -> datetime:
    """The wall clock of the district: event dates and months are cut in its time zone."""
    return utc_now().astimezone(ZoneInfo(settings.time_zone))
