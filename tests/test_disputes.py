"""The dispute mark in the feed: who has the record is told, and told again when it is settled; nobody else is."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from hub.casework.challenges import Raised, raise_challenges
from hub.database import Database, run_sql, utc_now
from hub.exchange.changelog import number_changes, verify_feed
from hub.exchange.dispute_submission import lift_settled
from hub.exchange.disputes import mark_disputed
from hub.exchange.erasure import erase_person
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext, query_slice, snapshot
from hub.exchange.system_submission import enter_system_submission
from hub.exchange.undo import undo
from hub.operations.record_tables import reconcile
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.staged import stage
from tests.test_oracle import DEFINITIONS
from tests.test_slices import NUMBERS, changes, people, pull, send
from tests.test_slices import context as context


def records(database: Database, code: str = "resident_roll") -> list[tuple[Any, ...]]:
    with database.begin() as connection:
        return run_sql(
            connection, f"SELECT record_id, version, disputed, voided FROM {{d}}.rec_{code} ORDER BY record_id"
        )


def first_record(database: Database, code: str = "resident_roll") -> UUID:
    return UUID(str(records(database, code)[0][0]))


def say(
    connection: Connection, settings: Settings, record: UUID, *, by: str = "health", kind: str = "untrue", **more: Any
) -> list[UUID]:
    code = more.pop("record_type", "resident_roll")
    raised = Raised(
        kind=kind, record_type=code, record_id=record, raised_by=by, raised_by_name=by, against="999001001", **more
    )
    return raise_challenges(connection, settings, utc_now(), [raised])


def challenge(database: Database, settings: Settings, record: UUID, **more: Any) -> list[UUID]:
    with database.begin() as connection:
        return say(connection, settings, record, **more)


def end(database: Database, *challenges: UUID, state: str = "closed") -> None:
    with database.begin() as connection:
        run_sql(
            connection,
            "UPDATE {d}.challenge SET state = :state WHERE challenge_id = ANY(:those)",
            state=state,
            those=list(challenges),
        )


def told(database: Database, context: FeedContext, code: str = "town") -> list[tuple[str, int, bool]]:
    found = changes(pull(database, context, code=code, limit=100))
    return [(change["op"], change["version"], change["disputed"]) for change in found]


def replayed(database: Database, context: FeedContext, code: str) -> dict[str, dict[str, Any]]:
    held: dict[str, dict[str, Any]] = {}
    for change in changes(pull(database, context, code=code, limit=1000)):
        assert (change["op"] == "enter") == (change["record_id"] not in held)
        held[change["record_id"]] = change["after"] and {**change["after"], "disputed": change["disputed"]}
        if change["op"] == "leave":
            del held[change["record_id"]]
    return held


def sound(database: Database, context: FeedContext) -> None:
    """The feed verifies, and each slice replayed is the slice queried, marks and all."""
    with database.begin() as connection:
        assert verify_feed(connection, context.catalogue) == []
        for name, definition in DEFINITIONS.items():
            queried = {
                str(one["record_id"]): {**one["after"], "disputed": one["disputed"]}  # type: ignore[dict-item]
                for one in query_slice(connection, context, definition)
            }
            assert replayed(database, context, name) == queried


def test_a_receiver_sees_the_mark_come_and_go(database: Database, context: FeedContext, settings: Settings) -> None:
    send(database, context.catalogue, people(0, 2, 5))
    cursor = pull(database, context).next
    asked = challenge(database, settings, first_record(database))
    assert lift_settled(database, settings, context.catalogue) == 1
    marked = pull(database, context, cursor)
    (change,) = changes(marked)
    assert (change["op"], change["version"], change["disputed"]) == ("update", 2, True)
    assert change["before"] == change["after"] == {"id_no": NUMBERS[0]}
    with database.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        lines = [json.loads(line) for line in snapshot(connection, SYSTEM_ACTOR, context, "whole")]
        connection.rollback()
    assert [line["disputed"] for line in lines[:-1]] == [True, False]
    end(database, *asked)
    assert lift_settled(database, settings, context.catalogue) == 1
    (change,) = changes(pull(database, context, marked.next))
    assert (change["op"], change["version"], change["disputed"]) == ("update", 3, False)
    assert told(database, context, code="conditioned") == []
    sound(database, context)


def test_nobody_elsewhere_is_told(database: Database, context: FeedContext, settings: Settings) -> None:
    send(database, context.catalogue, people(0, 1, 7), source="999001002")  # of town B
    challenge(database, settings, first_record(database))
    assert lift_settled(database, settings, context.catalogue) == 1
    assert told(database, context) == []
    assert told(database, context, code="whole")[-1] == ("update", 2, True)


def test_two_challenges_share_one_mark_and_the_last_one_lifts_it(
    database: Database, context: FeedContext, settings: Settings
) -> None:
    send(database, context.catalogue, people(0, 1, 5))
    record = first_record(database)
    (one,) = challenge(database, settings, record)
    assert challenge(database, settings, record) == []  # the same, said twice
    lift_settled(database, settings, context.catalogue)
    (other,) = challenge(database, settings, record, by="labour")
    assert lift_settled(database, settings, context.catalogue) == 0
    end(database, one)
    assert lift_settled(database, settings, context.catalogue) == 0
    assert records(database)[0][1:3] == (2, True)
    end(database, other, state="withdrawn")
    assert lift_settled(database, settings, context.catalogue) == 1
    assert records(database)[0][1:3] == (3, False)
    with database.begin() as connection:
        kept = run_sql(connection, "SELECT DISTINCT opened_version, settled_version FROM {d}.challenge")
        assert kept == [(2, 3)]
        assert run_sql(connection, "SELECT count(*) FROM {d}.submission WHERE record_type = 'challenge'") == [(2,)]


def test_a_mark_outlives_updates_voids_and_moves(database: Database, context: FeedContext, settings: Settings) -> None:
    send(database, context.catalogue, people(0, 1, 5))
    asked = challenge(database, settings, first_record(database))
    lift_settled(database, settings, context.catalogue)
    send(database, context.catalogue, people(0, 1, 6))
    send(database, context.catalogue, people(0, 1, 7))  # leaves town A
    send(database, context.catalogue, people(0, 1, 5, "王芳"))
    send(database, context.catalogue, [people(0, 1, 5)[0] | {"change_kind": "void"}])
    end(database, *asked)
    assert lift_settled(database, settings, context.catalogue) == 0  # a void record is told to nobody
    assert records(database)[0][2:] == (True, True)
    send(database, context.catalogue, [people(0, 1, 5, "王芳")[0] | {"change_kind": "correct"}])
    assert lift_settled(database, settings, context.catalogue) == 1
    seen = [(op, disputed) for op, _, disputed in told(database, context)]
    assert seen[:3] == [("enter", False), ("update", True), ("leave", True)]
    assert seen[3:] == [("enter", True), ("leave", True), ("enter", True), ("update", False)]
    sound(database, context)


def taken_through(database: Database, catalogue: Catalogue, rows: list[dict[str, Any]]) -> UUID:
    record_type = catalogue.record_types["resident_roll"]
    with database.begin() as connection:
        submission_id = stage(connection, record_type, rows)
        apply_staged(connection, submission_id, "999001001", record_type, catalogue)
        number_changes(connection, submission_id)
    return submission_id


def take_back(database: Database, settings: Settings, catalogue: Catalogue, submission_id: UUID) -> None:
    with database.begin() as connection:
        made, _ = enter_system_submission(connection, settings, "tester", "resident_roll")
        mine = submission.c.submission_id == made
        values = {"kind": "undo", "undoes": submission_id, "state": "merged"}
        row = connection.execute(submission.update().where(mine).values(**values).returning(submission)).one()
        undo(connection, row, catalogue.record_types["resident_roll"], catalogue)
        number_changes(connection, made)


def test_what_was_taken_back_may_come_again_though_it_was_challenged(
    database: Database, context: FeedContext, settings: Settings
) -> None:
    """The version that says void is the undo's: a mark on it would hide that nobody said anything of the record."""
    sent = taken_through(database, context.catalogue, people(0, 1, 5))
    send(database, context.catalogue, people(1, 2, 5))
    asked = [one for record, *_ in records(database) for one in challenge(database, settings, record)]
    assert lift_settled(database, settings, context.catalogue) == 2
    take_back(database, settings, context.catalogue, sent)
    end(database, *asked)
    assert lift_settled(database, settings, context.catalogue) == 1, "the one that stands"
    send(database, context.catalogue, people(0, 1, 5))
    assert records(database)[0][3] is False
    sound(database, context)


def test_a_mark_is_no_sending_that_an_undo_would_have_to_take_back(
    database: Database, context: FeedContext, settings: Settings
) -> None:
    """A correction, marked, taken back, and sent again: the marked version says the same and is nobody's word."""
    send(database, context.catalogue, people(0, 1, 5))
    corrected = taken_through(database, context.catalogue, people(0, 1, 5, "王芳"))
    challenge(database, settings, first_record(database))
    lift_settled(database, settings, context.catalogue)
    take_back(database, settings, context.catalogue, corrected)
    send(database, context.catalogue, people(0, 1, 5, "王芳"))
    with database.begin() as connection:
        assert run_sql(connection, "SELECT name, disputed FROM {d}.rec_resident_roll") == [("王芳", True)]
    sound(database, context)


def test_a_mark_that_was_not_finished_is_made_by_the_next_run(
    database: Database, context: FeedContext, settings: Settings
) -> None:
    """Killed between raising and marking, or in the middle of marking: the challenge waits, the record is whole."""
    send(database, context.catalogue, people(0, 1, 5))
    challenge(database, settings, first_record(database))
    with pytest.raises(ConnectionError), database.begin() as connection:
        submission_id = stage(connection, context.catalogue.record_types["employment"], [])
        assert mark_disputed(connection, submission_id, context.catalogue) == 1
        raise ConnectionError
    assert records(database)[0][1:3] == (1, False)
    assert [lift_settled(database, settings, context.catalogue) for _ in range(3)] == [1, 0, 0]
    sound(database, context)


def test_sealed_cells_go_along_and_care_alone_has_them(
    database: Database, context: FeedContext, settings: Settings
) -> None:
    record_type = context.catalogue.record_types["birth_certificate"]
    assert record_type.clinical_fields
    row = {"cert_no": "Q999001009", "sealed": "\\x0102", "change_kind": "new"}
    with database.begin() as connection:
        submission_id = stage(connection, record_type, [row])
        apply_staged(connection, submission_id, "health", record_type, context.catalogue)
        number_changes(connection, submission_id)
    challenge(database, settings, first_record(database, "birth_certificate"), record_type="birth_certificate")
    assert lift_settled(database, settings, context.catalogue) == 1
    with database.begin() as connection:
        sealed = run_sql(connection, "SELECT version, sealed FROM {d}.rec_birth_certificate_sealed ORDER BY version")
        assert sealed == [(1, b"\1\2"), (2, b"\1\2")]
        assert verify_feed(connection, context.catalogue) == []


def test_an_erased_persons_challenge_says_nothing_any_more(
    database: Database, owner_database: Database, context: FeedContext, settings: Settings
) -> None:
    send(database, context.catalogue, people(0, 2, 5))
    record = first_record(database)
    challenge(database, settings, record, kind="value", field="name", claimed="李韦", reason="户口本上写的是李韦")
    lift_settled(database, settings, context.catalogue)
    with owner_database.begin() as connection:
        ((person,),) = run_sql(
            connection, "SELECT person_ref FROM {d}.rec_resident_roll WHERE record_id = :one", one=record
        )
    erase_person(owner_database, settings, context.catalogue, SYSTEM_ACTOR, UUID(str(person)), "条例第几条", "本人申请")
    with database.begin() as connection:
        (kept,) = run_sql(connection, "SELECT claimed, reason, person_id, state FROM {d}.challenge")
    assert kept == ("", "", None, "withdrawn")
    assert lift_settled(database, settings, context.catalogue) == 0
    assert told(database, context)[-1] == ("leave", 3, True)
    with database.begin() as connection:
        assert verify_feed(connection, context.catalogue) == []


def test_a_district_of_before_gets_the_column(owner_database: Database, catalogue: Catalogue) -> None:
    with owner_database.begin() as connection:
        for table in ("rec_employment", "rec_employment_history"):
            run_sql(connection, f"ALTER TABLE {{d}}.{table} DROP COLUMN disputed CASCADE")
        done = reconcile(connection, catalogue)
        added = [statement for statement in done if "ADD COLUMN" in statement]
        assert len(added) == 2 and all(one.endswith("disputed boolean NOT NULL DEFAULT false") for one in added)
        run_sql(connection, "SELECT disputed FROM {d}.ver_employment")
        assert not [statement for statement in reconcile(connection, catalogue) if "ALTER" in statement]
