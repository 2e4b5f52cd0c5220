"""Rows that wait for a person: they pass as a submission of their own, or are refused; nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert

from hub.database import Database, new_uuid, run_sql, utc_now
from hub.decisions.effect import release as let_happen
from hub.decisions.held import CannotPass, Chosen, NothingToRelease, RowsDecided, refuse_rows, release_rows
from hub.decisions.undoing import undo
from hub.errors import BadRequest, NotAllowed, NotFound
from hub.exchange.held import untrue_rows
from hub.settings import Settings
from hub.tables import held_candidate, person_profile
from mappings.catalogue import Catalogue
from tests.decisions import SECOND, SENDER, finish, read, receipt, send, state_of, with_kind
from tests.district import actor
from tests.doors import THIS_MONTH, Hub, csv_of, founded_hub, identity_number, move_in

DECIDER = actor("public_security", "department_clerk", name="zhang")
WRONG_SEX = {"性别": "女"}  # of an odd serial number: E_LOGIC_SEX
NO_SUCH_CODE = {"民族": "火星族"}  # E_CODE in a field that may be empty
BAD_NUMBER = {"公民身份号码": "999001199003070012"}  # E_ID_CHECK


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub
        with hub.worker.begin() as connection:
            assert untrue_rows(connection, catalogue) == []


def let_pass(hub: Hub, catalogue: Catalogue, sent: Any, *rows: int, **told: Any) -> Any:
    """The decision, and what its job would do."""
    chosen = Chosen(submission_id=sent.submission_id, rows=rows, code=told.pop("code", ""))
    released = release_rows(hub.served, hub.settings, told.pop("by", DECIDER), chosen, catalogue=catalogue, **told)
    finish(hub, catalogue, released.accepted.submission_id)
    return released


def waiting(hub: Hub) -> dict[int, tuple[str, list[str]]]:
    return {
        row_no: (state, codes)
        for row_no, state, codes in read(hub, "SELECT row_no, state, codes FROM {d}.held_row ORDER BY held_at, row_no")
    }


def records(hub: Hub) -> list[tuple[Any, ...]]:
    return read(
        hub, "SELECT id_no, sex, ethnicity, version, areas FROM {d}.rec_hukou_move_in WHERE NOT voided ORDER BY id_no"
    )


def balanced(hub: Hub, catalogue: Catalogue, accepted: Any) -> dict[str, int]:
    counts: dict[str, int] = receipt(hub, catalogue, accepted)["counts"]
    assert counts["received"] == sum(counts[name] for name in ("accepted", "unchanged", "held", "refused"))
    return counts


def test_every_row_that_waits_is_noted_with_all_its_reasons(hub: Hub, catalogue: Catalogue) -> None:
    both = {**WRONG_SEX, **NO_SUCH_CODE}
    sent = send(
        hub, catalogue, csv_of(move_in(1), move_in(3, **both), move_in(5, 姓名="王一"), move_in(5, 姓名="王二"))
    )
    assert waiting(hub) == {
        2: ("waiting", ["E_CODE", "E_LOGIC_SEX"]),
        3: ("waiting", ["E_KEY_CONFLICT"]),
        4: ("waiting", ["E_KEY_CONFLICT"]),
    }
    assert balanced(hub, catalogue, sent)["held"] == 3


def test_a_released_row_lands_as_if_it_had_come_without_the_hold(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1), move_in(3, **WRONG_SEX)))
    before = balanced(hub, catalogue, sent)
    released = let_pass(hub, catalogue, sent, 2, reason="已核对证件")
    told = receipt(hub, catalogue, released.accepted)
    assert (told["state"], told["kind"]) == ("merged", "release")
    assert balanced(hub, catalogue, released.accepted) == before | {"received": 1, "accepted": 1, "held": 0}
    assert balanced(hub, catalogue, sent) == before
    assert told["facts"]["released_from"] == sent.receipt_number
    threads = read(hub, "SELECT thread_id FROM {d}.submission WHERE kind = 'release'")
    assert threads == [(sent.submission_id,)]
    assert waiting(hub)[2][0] == "released"
    (one, other) = records(hub)
    assert (other[0], other[1]) == (identity_number(3), "2")
    assert other[2:] == one[2:]  # nothing else tells them apart: ethnicity, version, areas
    again = send(hub, catalogue, csv_of(move_in(1), move_in(3, **WRONG_SEX)))
    assert balanced(hub, catalogue, again)["held"] == 1  # the check still asks; what is known stays as it is


def test_a_preview_shows_the_effect_and_changes_nothing(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1), move_in(3, **WRONG_SEX)))
    was = records(hub)
    shown = let_pass(hub, catalogue, sent, 2, dry_run=True)
    told = receipt(hub, catalogue, shown.accepted)
    assert (told["state"], told["effect"]["new"]) == ("previewed", 1)
    assert records(hub) == was
    assert waiting(hub)[2][0] == "waiting"
    samples = read(hub, "SELECT after ->> 'sex' FROM {d}.effect_sample")
    assert samples == [("2",)]
    assert receipt(hub, catalogue, let_pass(hub, catalogue, sent, 2).accepted)["counts"]["accepted"] == 1


def test_an_unreadable_cell_is_left_empty_where_nothing_needs_it(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1, **NO_SUCH_CODE), move_in(3, 迁入日期="11.3.2")))
    assert waiting(hub)[2][1] == ["E_DATE_AMBIGUOUS"]
    let_pass(hub, catalogue, sent, 1)
    assert [(number, people) for number, _, people, _, _ in records(hub)] == [(identity_number(1), None)]
    with pytest.raises(CannotPass) as refused:
        let_pass(hub, catalogue, sent, 2)
    assert refused.value.facts["codes"] == ["E_DATE_AMBIGUOUS"]


def test_a_kind_of_change_nobody_knows_never_passes(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, with_kind("乱写", move_in(1)))
    with pytest.raises(CannotPass):
        let_pass(hub, catalogue, sent, 1)
    with pytest.raises(NothingToRelease):
        let_pass(hub, catalogue, sent)


def test_a_refused_row_leaves_staging_and_its_error_stays(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1), move_in(3, **WRONG_SEX)))
    errors = read(hub, "SELECT row_no, code FROM {d}.row_error")
    chosen = Chosen(submission_id=sent.submission_id, rows=(2,))
    with pytest.raises(BadRequest):
        refuse_rows(hub.served, DECIDER, chosen, " ")
    assert refuse_rows(hub.served, DECIDER, chosen, "查无此人") == 1
    hub.work()
    assert read(hub, "SELECT count(*) FROM {d}.stg_hukou_move_in") == [(0,)]
    assert read(hub, "SELECT row_no, code FROM {d}.row_error") == errors
    assert read(hub, "SELECT state, decided_by, reason FROM {d}.held_row") == [("refused", "zhang", "查无此人")]
    with pytest.raises(RowsDecided):
        let_pass(hub, catalogue, sent, 2)
    assert balanced(hub, catalogue, sent)["held"] == 1


def test_many_rows_pass_at_once_and_those_that_cannot_are_left(hub: Hub, catalogue: Catalogue) -> None:
    rows = [*(move_in(serial, **WRONG_SEX) for serial in (1, 3, 5)), move_in(7, **BAD_NUMBER), move_in(9, 性别="男")]
    sent = send(hub, catalogue, csv_of(*rows, move_in(11, **(WRONG_SEX | NO_SUCH_CODE))))
    by_code = let_pass(hub, catalogue, sent, code="E_CODE")
    assert (by_code.rows, by_code.left_out) == (1, 0)
    rest = let_pass(hub, catalogue, sent)
    assert (rest.rows, rest.left_out) == (3, 1)
    assert {row_no: state for row_no, (state, _) in waiting(hub).items()} == {
        1: "released", 2: "released", 3: "released", 4: "waiting", 6: "released",
    }  # fmt: skip
    assert len(records(hub)) == 5


def test_of_rows_that_clash_the_one_that_is_chosen_stands_and_the_others_are_refused(
    hub: Hub, catalogue: Catalogue
) -> None:
    clashing = [move_in(1, 姓名="王一"), move_in(1, 姓名="王二"), move_in(3, 姓名="李一"), move_in(3, 姓名="李二")]
    sent = send(hub, catalogue, csv_of(*clashing))
    let_pass(hub, catalogue, sent, 2)
    assert {row_no: state for row_no, (state, _) in waiting(hub).items()} == {
        1: "refused", 2: "released", 3: "waiting", 4: "waiting",
    }  # fmt: skip
    assert read(hub, "SELECT name FROM {d}.rec_hukou_move_in") == [("王二",)]
    both = let_pass(hub, catalogue, sent, 3, 4)
    assert balanced(hub, catalogue, both.accepted)["held"] == 2  # both at once decides nothing: they wait anew
    assert sorted(state for state, in read(hub, "SELECT state FROM {d}.held_row")) == [
        "refused", "released", "released", "released", "waiting", "waiting",
    ]  # fmt: skip


def test_released_twice_is_released_once(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX), move_in(3, **WRONG_SEX)))
    chosen = Chosen(submission_id=sent.submission_id, rows=(1, 2))
    first, second = (release_rows(hub.served, hub.settings, DECIDER, chosen, catalogue=catalogue) for _ in range(2))
    assert (second.accepted.submission_id, second.accepted.repeated) == (first.accepted.submission_id, True)
    with pytest.raises(RowsDecided):
        let_pass(hub, catalogue, sent, 1)
    with pytest.raises(RowsDecided):
        refuse_rows(hub.served, DECIDER, chosen, "重复")
    hub.work()
    assert let_pass(hub, catalogue, sent, 1, 2).accepted.repeated
    assert len(records(hub)) == 2
    assert read(hub, "SELECT count(*) FROM {d}.submission WHERE kind = 'release'") == [(1,)]


def candidate_for(hub: Hub, sent: Any, row_no: int, person_id: UUID, role: str = "person") -> None:
    with hub.worker.begin() as connection:
        about = {"submission_id": sent.submission_id, "row_no": row_no, "role": role, "person_id": person_id}
        connection.execute(insert(held_candidate).values(**about, score=9.5, features={"name": ["same", 4.1]}))
        profile = {"person_id": person_id, "name": "王小明", "id_no": identity_number(1), "attributes": {}}
        connection.execute(insert(person_profile).values(**profile, disagreeing=[], derived_at=utc_now()))


def person_of(hub: Hub, number: str) -> UUID:
    found = read(hub, "SELECT person_id FROM {d}.person_identifier WHERE value = :it", it=number)
    return UUID(str(found[0][0]))


def test_a_row_belongs_to_the_candidate_somebody_chose(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1)))
    sent = send(hub, catalogue, csv_of(move_in(3, 迁入日期=f"{THIS_MONTH}-02", **BAD_NUMBER)))
    meant = person_of(hub, identity_number(1))
    candidate_for(hub, sent, 1, meant)
    with pytest.raises(CannotPass):
        let_pass(hub, catalogue, sent, 1)
    with pytest.raises(CannotPass):  # the record's key rests on the number
        let_pass(hub, catalogue, sent, 1, people={1: {"person": "new"}})
    for stranger in ({"person": str(new_uuid())}, {"mother": str(meant)}):
        with pytest.raises(BadRequest):
            let_pass(hub, catalogue, sent, 1, people={1: stranger})
    let_pass(hub, catalogue, sent, 1, people={1: {"person": str(meant)}})
    found = read(hub, "SELECT person_ref, id_no, move_date::text FROM {d}.rec_hukou_move_in ORDER BY move_date")
    assert found == [(meant, identity_number(1), f"{THIS_MONTH}-01"), (meant, identity_number(1), f"{THIS_MONTH}-02")]
    assert read(hub, "SELECT count(*) FROM {d}.person") == [(1,)]


def test_another_organisation_decides_nothing(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX)))
    chosen = Chosen(submission_id=sent.submission_id, rows=(1,))
    with pytest.raises(NotFound):
        release_rows(hub.served, hub.settings, actor("labour", "department_clerk"), chosen, catalogue=catalogue)
    bureau = actor("bureau", "bureau_operator", name="quju")
    with pytest.raises(NotAllowed):
        refuse_rows(hub.served, bureau, chosen, "试试")
    with pytest.raises(NotFound):
        let_pass(hub, catalogue, sent, 7)
    assert waiting(hub)[1][0] == "waiting"


def test_an_unusual_release_waits_for_its_second_person(hub: Hub, catalogue: Catalogue) -> None:
    known = [move_in(serial) for serial in range(1, 41, 2)]
    send(hub, catalogue, csv_of(*known))
    sent = send(hub, catalogue, with_kind("作废", *(one | WRONG_SEX for one in known)))
    asked = let_pass(hub, catalogue, sent)
    assert state_of(hub, asked.accepted.submission_id) == "braked"
    assert {state for state, _ in waiting(hub).values()} == {"waiting"}
    with pytest.raises(RowsDecided):
        let_pass(hub, catalogue, sent, 1)
    let_happen(hub.served, hub.settings, SECOND, asked.accepted.submission_id)
    assert finish(hub, catalogue, asked.accepted.submission_id) == "merged"
    assert records(hub) == []
    assert {state for state, _ in waiting(hub).values()} == {"released"}


def test_what_is_taken_back_waits_no_more(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1), move_in(3, **WRONG_SEX), move_in(5, **WRONG_SEX)))
    released = let_pass(hub, catalogue, sent, 2)
    taken = undo(hub.served, hub.settings, SENDER, sent.submission_id, "报错了文件", catalogue)
    finish(hub, catalogue, taken.submission_id)
    assert {row_no: state for row_no, (state, _) in waiting(hub).items()} == {2: "released", 3: "returned"}
    assert [number for number, *_ in records(hub)] == [identity_number(3)]
    assert state_of(hub, released.accepted.submission_id) == "merged"


def test_the_check_finds_what_nobody_is_asked_about_and_what_is_not_there(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX), move_in(3, **WRONG_SEX)))
    with hub.worker.begin() as connection:
        run_sql(connection, "DELETE FROM {d}.held_row WHERE row_no = 1")
        run_sql(connection, "DELETE FROM {d}.stg_hukou_move_in WHERE row_no = 2")
        found = [line.rpartition("/")[2] for line in untrue_rows(connection, catalogue)]
        run_sql(connection, "DELETE FROM {d}.held_row")
        run_sql(connection, "DELETE FROM {d}.stg_hukou_move_in")
    assert found == ["1: staged and does not wait", "2: waits and is not staged"]
