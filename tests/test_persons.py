"""Who is who: a corrected number, two persons who are one, one who is two; every holder of a record is told."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from litestar.testing import TestClient

from hub import jobs
from hub.database import Database, run_sql
from hub.decisions.persons import ask_apart, ask_merge, ask_split, ask_undo, list_identifiers, preview_merge
from hub.decisions.undoing import undo
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.exchange.changelog import number_changes, verify_feed
from hub.exchange.homes import wrong_homes
from hub.exchange.numbers import wrong_numbers
from hub.exchange.person_submission import carry_out_decision
from hub.exchange.pipeline import apply_staged
from hub.operations.job_errors import JobFailed, telling_no_values
from hub.people.profile_check import check
from hub.people.profiles import catch_up
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.decisions import SENDER, finish, read, receipt, send
from tests.desk_visits import visitor
from tests.district import actor
from tests.doors import (
    OTHER_TOWN,
    OTHER_VILLAGE,
    THIS_MONTH,
    TOWN,
    VILLAGE,
    Hub,
    csv_of,
    founded_hub,
    identity_number,
    move_in,
)
from tests.staged import stage
from tests.test_invariants import replay, subscribe

BUREAU = actor("bureau", "bureau_operator", name="bureau")
OLD, NEW = identity_number(1), identity_number(9)
MOVES = SliceDefinition(record_types=(SliceType("hukou_move_in", ("name", "id_no", "move_date")),))


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub
        with hub.worker.begin() as connection:
            assert verify_feed(connection, catalogue) == []
            assert wrong_homes(connection, catalogue) == [] and wrong_numbers(connection, catalogue) == []


def correction(old: str, new: str, day: str = f"{THIS_MONTH}-02", kind: str = "") -> bytes:
    heads = "姓名,原公民身份号码,现公民身份号码,变更更正项目,变更日期,变动标识"
    return f"{heads}\r\n王小明,{old},{new},错号,{day},{kind}\r\n".encode()


def correct(hub: Hub, catalogue: Catalogue, old: str, new: str, **told: str) -> dict[str, Any]:
    sent = send(hub, catalogue, correction(old, new, **told), record_type="identity_correction")
    return receipt(hub, catalogue, sent)["counts"]  # type: ignore[no-any-return]


def owner(hub: Hub, number: str) -> UUID:
    found = read(hub, "SELECT person_id FROM {d}.person_identifier WHERE kind = 'id_no' AND value = :one", one=number)
    return UUID(str(found[0][0]))


def numbers_kept(hub: Hub) -> list[str]:
    return sorted(str(one) for (one,) in read(hub, "SELECT id_no FROM {d}.rec_hukou_move_in WHERE NOT voided"))


def decide(hub: Hub, catalogue: Catalogue, decision_id: UUID) -> str:
    return carry_out_decision(hub.worker, hub.settings, catalogue, decision_id)


def town(area: str, hub: Hub) -> Actor:
    with hub.worker.begin() as connection:
        codes = {code: area_id for area_id, code in load_area_index(connection).code_of.items()}
    return actor(area, "town_officer", name="town", kind="town", area_id=codes[f"{area}000"])


def test_a_corrected_number_is_told_to_every_holder_of_the_old_one(hub: Hub, catalogue: Catalogue) -> None:
    subscribe(hub, catalogue, "moves", MOVES)
    send(hub, catalogue, csv_of(move_in(1), move_in(3)))
    held: dict[str, Any] = {}
    cursor = replay(hub, catalogue, "moves", held, None)
    correct(hub, catalogue, OLD, NEW)
    before = {record: change["id_no"] for record, change in held.items()}
    replay(hub, catalogue, "moves", held, cursor)
    told = {before[record]: change["id_no"] for record, change in held.items()}
    assert told == {OLD: NEW, identity_number(3): identity_number(3)}


def test_afterwards_the_old_and_the_new_number_find_the_one_record(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1)))
    correct(hub, catalogue, OLD, NEW)
    for number, door in ((OLD, "一"), (NEW, "一"), (OLD, "一")):
        again = send(hub, catalogue, csv_of(move_in(1, 公民身份号码=number), move_in(5, 姓名=f"丁{door}{number[-4:]}")))
        counts = receipt(hub, catalogue, again)["counts"]
        assert counts["accepted"] <= 1
    assert numbers_kept(hub).count(NEW) == 1 and OLD not in numbers_kept(hub)
    changed = send(hub, catalogue, csv_of(move_in(1, 姓名="王晓明")))
    assert receipt(hub, catalogue, changed)["counts"]["accepted"] == 1
    assert read(hub, "SELECT name, id_no FROM {d}.rec_hukou_move_in WHERE id_no = :new", new=NEW) == [("王晓明", NEW)]


def test_a_voided_correction_gives_the_old_number_back(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1)))
    correct(hub, catalogue, OLD, NEW)
    correct(hub, catalogue, OLD, NEW, kind="作废")
    assert numbers_kept(hub) == [OLD]
    assert owner(hub, OLD) == owner(hub, NEW)


def test_corrections_that_come_in_the_wrong_order_end_at_the_latest_number(hub: Hub, catalogue: Catalogue) -> None:
    third = identity_number(11)
    send(hub, catalogue, csv_of(move_in(1)))
    correct(hub, catalogue, OLD, third, day=f"{THIS_MONTH}-03")
    correct(hub, catalogue, OLD, NEW, day=f"{THIS_MONTH}-02")
    assert numbers_kept(hub) == [third]


def test_two_persons_become_one_and_are_two_again(hub: Hub, catalogue: Catalogue) -> None:
    subscribe(hub, catalogue, "moves", MOVES)
    send(hub, catalogue, csv_of(move_in(1), move_in(9, 迁入日期=f"{THIS_MONTH}-05")))
    was = numbers_kept(hub)
    kept, other = owner(hub, OLD), owner(hub, NEW)
    assert preview_merge(hub.served, BUREAU, kept, other).records == {"hukou_move_in": 1}
    decision = ask_merge(hub.served, hub.settings, BUREAU, kept, other, "同名同住，号码录错一位", NEW)
    assert decide(hub, catalogue, decision) == "done" == decide(hub, catalogue, decision)
    assert owner(hub, NEW) == kept and numbers_kept(hub) == [NEW, NEW]
    held: dict[str, Any] = {}
    cursor = replay(hub, catalogue, "moves", held, None)
    assert sorted(one["id_no"] for one in held.values()) == [NEW, NEW]
    undone = ask_undo(hub.served, hub.settings, BUREAU, decision, "认错了")
    assert decide(hub, catalogue, undone) == "done"
    replay(hub, catalogue, "moves", held, cursor)
    assert sorted(one["id_no"] for one in held.values()) == was == numbers_kept(hub)
    assert owner(hub, NEW) == other


def test_one_person_is_split_by_the_identifiers_that_are_the_others(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1), move_in(9, 迁入日期=f"{THIS_MONTH}-05")))
    kept, other = owner(hub, OLD), owner(hub, NEW)
    decide(hub, catalogue, ask_merge(hub.served, hub.settings, BUREAU, kept, other, "同一人"))
    with hub.served.begin(reach_of(BUREAU)) as connection:
        known = list_identifiers(connection, BUREAU, kept)
    assert [one.replaced for one in known] == [False, True]
    assert OLD not in {one.shown for one in known}  # masked
    with pytest.raises(Conflict):  # the list was another one when it was looked at
        ask_split(hub.served, hub.settings, BUREAU, kept, [1], "其实是两个人", shown={1: known[0].shown})
    decision = ask_split(hub.served, hub.settings, BUREAU, kept, [1], "其实是两个人", shown={1: known[1].shown})
    assert decide(hub, catalogue, decision) == "done"
    assert owner(hub, NEW) not in (kept, other)
    people = {person for (person,) in read(hub, "SELECT person_ref FROM {d}.rec_hukou_move_in")}
    assert people == {kept, owner(hub, NEW)}


def test_records_that_would_be_the_same_one_give_way_and_come_back(hub: Hub, catalogue: Catalogue) -> None:
    """One station sent the same move under both numbers: one record of it stands while they are one person."""
    send(hub, catalogue, csv_of(move_in(1), move_in(9)))
    decision = ask_merge(hub.served, hub.settings, BUREAU, owner(hub, OLD), owner(hub, NEW), "同一人")
    decide(hub, catalogue, decision)
    assert len(numbers_kept(hub)) == 1
    again = send(hub, catalogue, csv_of(move_in(1, 姓名="王大明")))
    assert receipt(hub, catalogue, again)["counts"]["accepted"] == 1
    decide(hub, catalogue, ask_undo(hub.served, hub.settings, BUREAU, decision, "认错了"))
    assert numbers_kept(hub) == sorted([OLD, NEW])


def test_the_home_of_the_one_is_the_latest_of_both(hub: Hub, catalogue: Catalogue) -> None:
    late = {"迁入日期": f"{THIS_MONTH}-05", "所属社区(村)": OTHER_VILLAGE}
    send(hub, catalogue, csv_of(move_in(1), move_in(9, **late)))
    kept, other = owner(hub, OLD), owner(hub, NEW)
    decide(hub, catalogue, ask_merge(hub.served, hub.settings, BUREAU, kept, other, "同一人"))
    home = "SELECT a.code FROM {d}.person p JOIN {d}.area_version a ON a.area_id = p.home_area WHERE p.person_id = :one"
    assert read(hub, home, one=kept) == [(OTHER_VILLAGE,)]
    assert read(hub, "SELECT home_area FROM {d}.person WHERE person_id = :one", one=other) == [(None,)]


def test_what_was_judged_apart_is_remembered_and_may_be_taken_back(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1), move_in(9)))
    decision = ask_apart(hub.served, hub.settings, BUREAU, owner(hub, OLD), owner(hub, NEW), "同名不同人")
    decide(hub, catalogue, decision)
    assert read(hub, "SELECT state FROM {d}.person_pair") == [("apart",)]
    decide(hub, catalogue, ask_undo(hub.served, hub.settings, BUREAU, decision, "再看看"))
    assert read(hub, "SELECT state FROM {d}.person_pair") == [("open",)]


def test_a_decision_that_came_too_late_is_refused_with_its_reason(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1), move_in(9), move_in(3)))
    one, two, three = owner(hub, OLD), owner(hub, NEW), owner(hub, identity_number(3))
    first = ask_merge(hub.served, hub.settings, BUREAU, one, two, "同一人")
    late = ask_merge(hub.served, hub.settings, BUREAU, two, three, "同一人")
    assert decide(hub, catalogue, first) == "done"
    assert decide(hub, catalogue, late) == "refused"
    said = read(hub, "SELECT refusal FROM {d}.person_decision WHERE decision_id = :one", one=late)
    assert "persons have changed" in said[0][0]


def test_a_town_judges_its_own_people_and_nobody_elses(hub: Hub, catalogue: Catalogue) -> None:
    away = {"所属社区(村)": OTHER_VILLAGE}
    send(hub, catalogue, csv_of(move_in(1), move_in(9), move_in(3, **away)))
    mine, theirs = town(TOWN, hub), town(OTHER_TOWN, hub)
    one, two, three = owner(hub, OLD), owner(hub, NEW), owner(hub, identity_number(3))
    assert VILLAGE.startswith(TOWN[:9])
    for pair in ((one, three), (one, UUID(int=7))):
        with pytest.raises(NotFound):
            ask_merge(hub.served, hub.settings, mine, *pair, "同一人")
    with pytest.raises(NotFound):
        ask_merge(hub.served, hub.settings, theirs, one, two, "同一人")
    with pytest.raises(NotAllowed):
        ask_merge(hub.served, hub.settings, SENDER, one, two, "同一人")
    assert decide(hub, catalogue, ask_merge(hub.served, hub.settings, mine, one, two, "同一人")) == "done"


@pytest.mark.parametrize("reason, number", [("", None), ("同一人", "999001199001019999")])
def test_a_merge_needs_a_reason_and_one_of_their_numbers(
    hub: Hub, catalogue: Catalogue, reason: str, number: str | None
) -> None:
    send(hub, catalogue, csv_of(move_in(1), move_in(9)))
    with pytest.raises(BadRequest):
        ask_merge(hub.served, hub.settings, BUREAU, owner(hub, OLD), owner(hub, NEW), reason, number)


def test_the_check_finds_a_home_and_a_number_that_do_not_follow(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1), move_in(3)))
    correct(hub, catalogue, OLD, NEW)
    with hub.worker.engine.connect() as connection, connection.begin() as transaction:
        run_sql(connection, "UPDATE {d}.person SET home_since = '2001-01-01'")
        run_sql(connection, "UPDATE {d}.person_identifier SET replaced_by = NULL")
        assert len(wrong_homes(connection, catalogue)) == 2 and len(wrong_numbers(connection, catalogue)) == 1
        transaction.rollback()


def test_the_serving_role_cannot_carry_anything_out(hub: Hub, catalogue: Catalogue, settings: Settings) -> None:
    send(hub, catalogue, csv_of(move_in(1), move_in(9)))
    with hub.served.begin(reach_of(BUREAU)) as connection, pytest.raises(Exception, match="permission denied"):
        run_sql(connection, "UPDATE {d}.person SET merged_into = NULL")


def test_a_merge_that_was_taken_back_blocks_no_undo_any_more(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1), move_in(9)))
    decision = ask_merge(hub.served, hub.settings, BUREAU, owner(hub, NEW), owner(hub, OLD), "同一人")
    decide(hub, catalogue, decision)
    asked = undo(hub.served, hub.settings, SENDER, sent.submission_id, "报错了", catalogue)
    assert finish(hub, catalogue, asked.submission_id) == "refused"
    decide(hub, catalogue, ask_undo(hub.served, hub.settings, BUREAU, decision, "认错了"))
    again = undo(hub.served, hub.settings, SENDER, sent.submission_id, "报错了", catalogue)
    assert finish(hub, catalogue, again.submission_id) == "merged"
    assert numbers_kept(hub) == []


def test_a_decision_and_its_contrary_at_once_are_one_after_the_other(hub: Hub, catalogue: Catalogue) -> None:
    """The undo locks both decisions: whoever held one and waited for the turn would wait for ever."""
    send(hub, catalogue, csv_of(move_in(1), move_in(9)))
    decision = ask_merge(hub.served, hub.settings, BUREAU, owner(hub, OLD), owner(hub, NEW), "同一人")
    contrary = ask_undo(hub.served, hub.settings, BUREAU, decision, "认错了")
    ended: dict[UUID, str] = {}
    with hub.worker.begin() as connection:
        run_sql(connection, "SELECT pg_advisory_xact_lock(hashtext('homes'))")
        both = [
            threading.Thread(target=lambda one=one: ended.update({one: decide(hub, catalogue, one)}))
            for one in (contrary, decision)
        ]
        for thread in both:
            thread.start()
            time.sleep(0.2)
    for thread in both:
        thread.join()
    assert ended == {contrary: "refused", decision: "done"}


def test_what_the_hub_did_itself_is_no_submission_anybody_sent(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1), move_in(9)))
    decide(hub, catalogue, ask_merge(hub.served, hub.settings, BUREAU, owner(hub, OLD), owner(hub, NEW), "同一人"))
    ((own, number),) = read(hub, "SELECT submission_id, receipt_number FROM {d}.submission WHERE kind = 'system'")
    with TestClient(hub.app, base_url="https://hub.example") as client:
        bureau = visitor(hub, client, "quju")
        page = bureau.get("/submissions")
        assert page.status_code == 200 and sent.receipt_number in page.text and number not in page.text
        for path in (f"/submissions/{own}", f"/submissions/{own}/rows", f"/receipts/{number}"):
            assert bureau.get(path).status_code == 404


def test_who_looks_at_a_persons_identifiers_is_noted(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1)))
    with hub.served.begin(reach_of(BUREAU)) as connection:
        list_identifiers(connection, BUREAU, owner(hub, OLD))
    noted = "SELECT act, facts ->> 'identifiers' FROM {d}.audit WHERE object = :one"
    assert read(hub, noted, one=f"person/{owner(hub, OLD)}") == [("judge-person", "1")]


def test_the_profile_gets_a_number_that_stands_in_no_record(hub: Hub, catalogue: Catalogue) -> None:
    """A child known by its birth certificate alone; the number began with a row that was refused."""
    told: dict[str, dict[str, Any]] = {
        "birth_certificate": {"cert_no": "Q999001001", "child_name": "王小宝"},
        "employment": {"id_no": NEW, "start_date": "2026-01-01", "change_kind": "void"},
    }
    with hub.worker.begin() as connection:
        for code, row in told.items():
            submission_id = stage(connection, catalogue.record_types[code], [row])
            apply_staged(connection, submission_id, "health", catalogue.record_types[code], catalogue)
            number_changes(connection, submission_id)
        while catch_up(connection, catalogue):
            pass
    ((child,),) = read(hub, "SELECT person_id FROM {d}.person_identifier WHERE kind = 'birth_cert'")
    decision = ask_merge(hub.served, hub.settings, BUREAU, child, owner(hub, NEW), "同一人", NEW)
    assert decide(hub, catalogue, decision) == "done"
    assert read(hub, "SELECT id_no FROM {d}.person_profile") == [(NEW,)]
    assert check(hub.worker, catalogue) == []


def test_a_decision_whose_job_was_lost_is_found_and_carried_out(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1), move_in(9)))
    decision = ask_merge(hub.served, hub.settings, BUREAU, owner(hub, OLD), owner(hub, NEW), "同一人")
    with hub.worker.begin() as connection:
        run_sql(connection, "SET LOCAL search_path = jobs")
        run_sql(connection, "DELETE FROM jobs.procrastinate_jobs WHERE task_name = 'carry_out_decision'")
    assert jobs.sweep(hub.worker, older_than_seconds=-5) == 1
    assert jobs.sweep(hub.worker, older_than_seconds=-5) == 0
    jobs.work(hub.worker, hub.settings, wait=False)
    found = read(hub, "SELECT state FROM {d}.person_decision WHERE decision_id = :one", one=decision)
    assert found == [("done",)]


def test_a_job_that_fails_says_what_kind_of_error_and_no_value(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(JobFailed) as failed, telling_no_values():
        raise ValueError(OLD)
    assert OLD not in caplog.text + str(failed.value) and "ValueError" in caplog.text


KILLED_AT_THE_NUMBERS = """
import os, signal, sys
from pathlib import Path
from uuid import UUID
from hub.database import Database
from hub.exchange import person_submission
from hub.settings import load_settings
from mappings.catalogue import load_catalogue

url, home, decision = sys.argv[1:]
person_submission.number_changes = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
settings = load_settings(Path(home), database_url=url, worker_url=url)
person_submission.carry_out_decision(Database(url, "d999001"), settings, load_catalogue(), UUID(decision))
"""


def test_killed_just_before_its_end_a_decision_has_done_nothing_and_is_done_once_after(
    hub: Hub, catalogue: Catalogue
) -> None:
    send(hub, catalogue, csv_of(move_in(1), move_in(9, 迁入日期=f"{THIS_MONTH}-05")))
    kept, other = owner(hub, OLD), owner(hub, NEW)
    decision = ask_merge(hub.served, hub.settings, BUREAU, kept, other, "同一人", NEW)
    url = hub.worker.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", KILLED_AT_THE_NUMBERS, url, str(hub.settings.home), str(decision)]
    died = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False, timeout=60
    )
    assert died.returncode == -signal.SIGKILL, died.stderr[-1_000:]
    assert (owner(hub, NEW), numbers_kept(hub)) == (other, sorted([OLD, NEW]))
    assert read(hub, "SELECT last_seq FROM {d}.feed_head") == [(2,)]
    assert decide(hub, catalogue, decision) == "done" == decide(hub, catalogue, decision)
    assert (owner(hub, NEW), numbers_kept(hub)) == (kept, [NEW, NEW])
    assert read(hub, "SELECT count(*) FROM {d}.submission WHERE kind = 'system'") == [(1,)]
