"""A submission taken back leaves everything as if it had never been sent, and subscribers learn of it as of any change."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, assume, given, seed
from hypothesis import settings as told
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select, update

from hub import jobs
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.decisions.effect import release
from hub.decisions.undoing import Blocked, CorrectsIdentity, NothingToUndo, blocking, preview_undo, undo
from hub.errors import BadRequest, NotFound
from hub.exchange.changelog import number_changes, verify_feed
from hub.exchange.pipeline import apply_staged, apply_undo
from hub.exchange.slices import FeedContext, query_slice
from hub.registry.areas import load_area_index
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue, RecordType
from tests.decisions import SECOND, SENDER, TYPE, finish, read, receipt, rows, send, state_of, with_kind
from tests.district import actor
from tests.doors import OTHER_VILLAGE, THIS_MONTH, TOWN, Hub, csv_of, founded_hub, identity_number, move_in
from tests.oracle import Oracle
from tests.staged import stage
from tests.test_invariants import feed_context, replay, subscribe
from tests.test_oracle import (
    PEOPLE,
    TYPES,
    VILLAGES,
    District,
    Sent,
    check_slices,
    follow,
    sent,
)
from tests.test_oracle import district as district

EXAMPLES = int(os.environ.get("HUB_UNDO_EXAMPLES", "25"))
ENVELOPE = ("version", "submission_id", "row_no", "recorded_at")


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


# ---- any story at all ----


@told(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    report_multiple_bugs=False,
)  # fmt: skip
@seed(4)
@given(before=st.lists(sent(), max_size=4), last=sent())
def test_taken_back_it_is_as_if_it_had_never_been_sent(district: District, before: list[Sent], last: Sent) -> None:
    assume(last.record_type != "identity_correction")
    with district.database.engine.connect() as connection, connection.begin() as transaction:
        live_and_take_back(connection, district, before, last)
        transaction.rollback()


def live_and_take_back(connection: Connection, district: District, before: list[Sent], last: Sent) -> None:
    catalogue, oracle = district.catalogue, Oracle(district.catalogue, dict(VILLAGES))
    for happening in before:
        follow(connection, oracle, catalogue, happening)
    was, known = register(connection, catalogue), copy.deepcopy(oracle)
    first = enter(connection, catalogue.record_types[last.record_type], last)
    apply_staged(connection, first, last.source, catalogue.record_types[last.record_type], catalogue)
    if number_changes(connection, first).count == 0:
        return
    became = register(connection, catalogue)
    second = take_back(connection, catalogue, first)
    assert same(register(connection, catalogue), was)
    check_slices(connection, known, FeedContext(catalogue, district.keyring))
    take_back(connection, catalogue, second)
    assert same(register(connection, catalogue), became)
    assert verify_feed(connection, catalogue) == []


Register = tuple[dict[Any, dict[str, Any]], dict[Any, tuple[Any, Any]]]


def register(connection: Connection, catalogue: Catalogue) -> Register:
    """Every current record without what a version alone says, and every person's home."""
    records: dict[Any, dict[str, Any]] = {}
    for code in TYPES:
        for (row,) in run_sql(connection, f"SELECT to_jsonb(r) FROM {{d}}.rec_{code} r"):
            version: dict[str, Any] = row  # type: ignore[assignment]
            records[version["record_id"]] = {name: it for name, it in version.items() if name not in ENVELOPE}
    homes = run_sql(connection, "SELECT person_id, home_area, home_since FROM {d}.person")
    return records, {person: (area, since) for person, area, since in homes}


def same(now: Register, was: Register) -> bool:
    """What was is again; what was not is voided, and who was not known lives nowhere."""
    records, homes = now
    assert {key: records[key] for key in was[0]} == was[0]
    assert all(version["voided"] for key, version in records.items() if key not in was[0])
    assert {key: homes[key] for key in was[1]} == was[1]
    assert all(home == (None, None) for key, home in homes.items() if key not in was[1])
    return True


def enter(connection: Connection, record_type: RecordType, happening: Sent) -> UUID:
    submission_id = stage(connection, record_type, [dict(row) for row in happening.rows])
    ledger(connection, submission_id, record_type.code, happening.source)
    return submission_id


def ledger(connection: Connection, submission_id: UUID, code: str, source: str, **values: Any) -> None:
    row = {
        "submission_id": submission_id, "receipt_number": str(submission_id), "operation_id": str(submission_id),
        "organisation": source, "record_type": code, "door": "command", "actor": "x", "file_name": "", "file_size": 0,
        "file_sha256": "", "stored_as": "", "state": "merged", "received_at": utc_now(),
    }  # fmt: skip
    connection.execute(insert(submission).values(row | values))


def take_back(connection: Connection, catalogue: Catalogue, undone: UUID) -> UUID:
    of = connection.execute(select(submission).where(submission.c.submission_id == undone)).one()
    undo_id = new_uuid()
    ledger(connection, undo_id, of.record_type, of.organisation, kind="undo", undoes=undone, state="checked")
    row = connection.execute(select(submission).where(submission.c.submission_id == undo_id)).one()
    apply_undo(connection, row, catalogue.record_types[of.record_type], catalogue)
    number_changes(connection, undo_id)
    connection.execute(update(submission).where(submission.c.submission_id == undo_id).values(state="merged"))
    return undo_id


def test_without_settling_homes_a_person_would_stay_where_the_mistake_put_them(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof above can fail: this is the story in which it does, once homes are left alone."""
    at_home = {"id_no": PEOPLE[0], "person_area": 5, "change_kind": "new"}
    home = Sent("resident_roll", "999001001", (tuple(at_home.items()),))
    moved = {"id_no": PEOPLE[0], "move_date": "2026-02-05", "person_area": 8, "change_kind": "new"}
    mistake = Sent("hukou_move_in", "public_security", (tuple(moved.items()),))
    monkeypatch.setattr("hub.exchange.undo.settle_homes", lambda *_: [])
    with district.database.engine.connect() as connection, connection.begin() as transaction:
        with pytest.raises(AssertionError):
            live_and_take_back(connection, district, [home], mistake)
        transaction.rollback()


def test_sealed_cells_come_back_unopened(district: District) -> None:
    catalogue = district.catalogue
    record_type = catalogue.record_types["birth_certificate"]
    with district.database.engine.connect() as connection, connection.begin() as transaction:
        for digest, sealed in (("\\x01", "\\xaa"), ("\\x02", "\\xbb")):
            row = {"cert_no": "Q999001001", "mother_id_no": PEOPLE[0], "sealed": sealed}
            one = stage(connection, record_type, [row])
            run_sql(connection, "UPDATE {d}.stg_birth_certificate SET content_digest = CAST(:it AS bytea)", it=digest)
            ledger(connection, one, record_type.code, "mch_station")
            apply_staged(connection, one, "mch_station", record_type, catalogue)
            number_changes(connection, one)
        take_back(connection, catalogue, one)
        kept = run_sql(connection, "SELECT version, sealed FROM {d}.rec_birth_certificate_sealed ORDER BY version")
        transaction.rollback()
    assert [(version, bytes(it)) for version, it in kept] == [(1, b"\xaa"), (2, b"\xbb"), (3, b"\xaa")]  # type: ignore[call-overload]


# ---- through the door ----


def take(hub: Hub, catalogue: Catalogue, submission_id: UUID) -> jobs.Accepted:
    accepted = undo(hub.served, hub.settings, SENDER, submission_id, "报错了文件", catalogue)
    finish(hub, catalogue, accepted.submission_id)
    return accepted


def test_a_subscriber_is_told_of_what_was_taken_back_as_of_any_change(hub: Hub, catalogue: Catalogue) -> None:
    with hub.worker.begin() as connection:
        town = load_area_index(connection).codes[TOWN]
    definition = SliceDefinition((SliceType(TYPE, ("name", "id_no")),), areas=(town,))
    subscribe(hub, catalogue, "moves-of-town", definition)
    elsewhere = {"所属社区(村)": OTHER_VILLAGE}
    held: dict[str, Any] = {}
    cursor, sizes = None, []
    happenings: list[bytes | int] = [
        csv_of(move_in(1), move_in(2), move_in(3), move_in(4, **elsewhere)),  # 0: three enter
        with_kind("更正", move_in(1, 姓名="王大明"), move_in(2, **elsewhere), move_in(4)),  # 1: update, leave, enter
        1,
        with_kind("作废", move_in(3)),  # 3
        3,
        csv_of(move_in(1, 迁入日期=f"{THIS_MONTH}-09", **elsewhere)),  # 5: the same person moves on
        5,
        0,
    ]  # fmt: skip
    done: list[UUID] = []
    for happening in happenings:
        if isinstance(happening, int):
            done.append(take(hub, catalogue, done[happening]).submission_id)
        else:
            done.append(send(hub, catalogue, happening).submission_id)
        assert state_of(hub, done[-1]) == "merged"
        cursor = replay(hub, catalogue, "moves-of-town", held, cursor)
        with hub.worker.begin() as connection:
            found = query_slice(connection, feed_context(hub, catalogue), definition)
            assert held == {one["record_id"]: one["after"] for one in found}
        sizes.append(len(held))
    assert sizes == [3, 3, 3, 2, 3, 3, 3, 0]


def test_the_receipt_says_what_was_taken_back_and_held_rows_wait_no_more(hub: Hub, catalogue: Catalogue) -> None:
    wrong_digit = move_in(9, 公民身份号码="999001199003070000")
    sent = send(hub, catalogue, csv_of(move_in(1), move_in(2), wrong_digit))
    assert read(hub, "SELECT count(*) FROM {d}.stg_hukou_move_in") == [(1,)]
    preview = preview_undo(hub.served, hub.settings, SENDER, sent.submission_id, catalogue)
    assert (preview.counts, preview.held, preview.blocking) == ({"voided": 2, "changed": 0, "restored": 0}, 1, [])
    told = receipt(hub, catalogue, take(hub, catalogue, sent.submission_id))
    assert (told["state"], told["kind"], told["signed"]["kind"]) == ("merged", "undo", "undo")
    assert told["counts"] == {"received": 2, "accepted": 2, "unchanged": 0, "held": 0, "refused": 0}
    assert (told["effect"]["voided"], told["facts"]["held_dropped"]) == (2, 1)
    assert (told["facts"]["undoes"], told["facts"]["reason"]) == (sent.receipt_number, "报错了文件")
    assert read(hub, "SELECT count(*) FROM {d}.stg_hukou_move_in") == [(0,)]
    assert read(hub, "SELECT count(*) FROM {d}.person WHERE home_area IS NOT NULL") == [(0,)]


def test_what_others_built_on_stands_in_the_way_until_it_is_taken_back_too(hub: Hub, catalogue: Catalogue) -> None:
    first = send(hub, catalogue, rows(1, 4))
    later = send(hub, catalogue, with_kind("更正", move_in(1, 姓名="王大明"), move_in(2, 姓名="王大明")))
    with pytest.raises(Blocked) as stands:
        undo(hub.served, hub.settings, SENDER, first.submission_id, "报错了", catalogue)
    assert stands.value.facts == {"found": later.receipt_number, "count": 2}
    with hub.served.begin(reach_of(SENDER)) as connection:
        row = connection.execute(select(submission).where(submission.c.submission_id == first.submission_id)).one()
        (found,) = blocking(connection, SENDER, row, catalogue.record_types[TYPE])
        with pytest.raises(NotFound):
            blocking(connection, actor("labour"), row, catalogue.record_types[TYPE])
    assert (found.receipt, found.records) == (later.receipt_number, 2)
    take(hub, catalogue, later.submission_id)
    take(hub, catalogue, first.submission_id)
    assert read(hub, "SELECT count(*) FROM {d}.rec_hukou_move_in WHERE NOT voided") == [(0,)]


def test_what_comes_between_the_question_and_the_act_refuses_it_on_its_receipt(hub: Hub, catalogue: Catalogue) -> None:
    first = send(hub, catalogue, rows(1, 4))
    asked = undo(hub.served, hub.settings, SENDER, first.submission_id, "报错了", catalogue)
    later = send(hub, catalogue, with_kind("更正", move_in(1, 姓名="王大明")))
    assert finish(hub, catalogue, asked.submission_id) == "refused"
    (issue,) = receipt(hub, catalogue, asked)["issues"]
    assert issue["code"] == "F_UNDO_BLOCKED"
    assert later.receipt_number in issue["message"]
    take(hub, catalogue, later.submission_id)
    again = take(hub, catalogue, first.submission_id)
    assert (again.repeated, state_of(hub, again.submission_id)) == (False, "merged")


def test_undo_asked_twice_is_done_once(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, rows(1, 4))
    asked = [undo(hub.served, hub.settings, SENDER, sent.submission_id, "报错了", catalogue) for _ in range(2)]
    hub.work()
    asked.append(undo(hub.served, hub.settings, SENDER, sent.submission_id, "报错了", catalogue))
    assert [one.repeated for one in asked] == [False, True, True]
    assert len({one.receipt_number for one in asked}) == 1
    jobs_of = "SELECT count(*) FROM {d}.operation WHERE operation_id LIKE '%undo:%'"
    assert (read(hub, jobs_of), read(hub, "SELECT last_seq FROM {d}.feed_head")) == ([(1,)], [(6,)])


def test_what_was_taken_back_may_be_sent_again(hub: Hub, catalogue: Catalogue) -> None:
    """An undo is no statement about the records: the same rows in the right file are news, not an old version."""
    send(hub, catalogue, csv_of(move_in(1)))
    renamed, voided = move_in(1, 姓名="王大明"), move_in(2)
    for content in (csv_of(renamed, voided), csv_of(voided, renamed)):
        sent = send(hub, catalogue, content)
        assert receipt(hub, catalogue, sent)["counts"]["accepted"] == 2
        take(hub, catalogue, sent.submission_id)
    now = read(hub, "SELECT name, voided FROM {d}.rec_hukou_move_in ORDER BY voided")
    assert now == [("王小明", False), (voided["姓名"], True)]


def test_an_undo_of_many_changes_waits_for_the_second_person(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, rows(1, 25))
    asked = take(hub, catalogue, sent.submission_id)
    told = receipt(hub, catalogue, asked)
    assert (told["state"], [issue["code"] for issue in told["issues"]]) == ("braked", ["F_BRAKE_UNDO"])
    assert read(hub, "SELECT count(*) FROM {d}.rec_hukou_move_in WHERE voided") == [(0,)]
    release(hub.served, hub.settings, SECOND, asked.submission_id)
    assert finish(hub, catalogue, asked.submission_id) == "merged"
    assert receipt(hub, catalogue, asked)["counts"]["accepted"] == 24


def test_an_identity_correction_is_corrected_back_instead(hub: Hub, catalogue: Catalogue) -> None:
    headers = "姓名,原公民身份号码,现公民身份号码,变更更正项目,变更日期"
    cells = ("王小明", identity_number(1), identity_number(2), "12", f"{THIS_MONTH}-01")
    content = f"{headers}\r\n{','.join(cells)}\r\n".encode()
    sent = send(hub, catalogue, content, record_type="identity_correction")
    with pytest.raises(CorrectsIdentity):
        undo(hub.served, hub.settings, SENDER, sent.submission_id, "报错了", catalogue)


def test_nothing_and_nobody_elses_is_taken_back_and_a_reason_is_given(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, rows(1, 3))
    unchanged = send(hub, catalogue, csv_of(move_in(2), move_in(1)))
    with pytest.raises(NothingToUndo):
        undo(hub.served, hub.settings, SENDER, unchanged.submission_id, "报错了", catalogue)
    with pytest.raises(NotFound):
        undo(hub.served, hub.settings, actor("labour"), sent.submission_id, "报错了", catalogue)
    with pytest.raises(BadRequest):
        undo(hub.served, hub.settings, SENDER, sent.submission_id, "  ", catalogue)
