"""What a file would do is shown before it happens; an unusual effect waits for a second person, whoever is killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from hub import jobs
from hub.database import Database, run_sql, utc_now
from hub.decisions.effect import NotWaiting, SamePerson, refuse, release
from hub.errors import NotAllowed, NotFound
from hub.exchange import brake, effect, outcomes, pipeline
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.decisions import SECOND, SENDER, TYPE, finish, read, receipt, rows, send, state_of, with_kind
from tests.district import actor
from tests.doors import OTHER_VILLAGE, THIS_MONTH, VILLAGE, Hub, csv_of, founded_hub, identity_number, move_in

LAST_MONTH = brake.month_before(THIS_MONTH)


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


def last_months(first: int, last: int) -> bytes:
    return rows(first, last, 迁入日期=f"{LAST_MONTH}-05")


def braked(hub: Hub, catalogue: Catalogue) -> Any:
    """Twelve of twenty known people voided in one file."""
    send(hub, catalogue, rows(1, 20))
    return send(hub, catalogue, with_kind("作废", *(move_in(serial) for serial in range(1, 13))))


def samples_of(hub: Hub, submission_id: Any) -> dict[str, list[dict[str, Any]]]:
    with hub.worker.begin() as connection:
        return effect.read_samples(connection, submission_id)


def codes(told: dict[str, Any]) -> list[str]:
    return [issue["code"] for issue in told["issues"] if issue["row"] == 0]


# ---- the preview ----


def test_a_preview_shows_old_and_new_of_each_outcome_and_changes_nothing(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, rows(1, 4))
    before = read(hub, "SELECT * FROM {d}.rec_hukou_move_in ORDER BY record_id")
    moved = move_in(2, **{"所属社区(村)": OTHER_VILLAGE})
    clashing = (move_in(7), move_in(7, 姓名="王大明"))
    preview = send(hub, catalogue, csv_of(move_in(1), moved, move_in(5), *clashing), dry_run=True)
    told, samples = receipt(hub, catalogue, preview), samples_of(hub, preview.submission_id)
    assert told["state"] == "previewed"
    assert told["effect"] == {
        "new": 1, "changed": 1, "voided": 0, "restored": 0, "unchanged": 1, "rerouted": 0,
    }  # fmt: skip
    assert {outcome: [one["row_no"] for one in found] for outcome, found in samples.items()} == {
        "new": [3], "update": [2], "unchanged": [1], "hold": [4, 5],
    }  # fmt: skip
    (update,), (new,) = samples["update"], samples["new"]
    assert (update["before"]["live_div"], update["after"]["live_div"]) == (VILLAGE, OTHER_VILLAGE)
    assert (update["sheet_row"], new["before"], new["after"]["id_no"]) == (3, None, identity_number(5))
    assert read(hub, "SELECT * FROM {d}.rec_hukou_move_in ORDER BY record_id") == before
    assert read(hub, "SELECT count(*) FROM {d}.stg_hukou_move_in") == [(0,)]


def test_there_are_twenty_samples_of_an_outcome_at_most(hub: Hub, catalogue: Catalogue) -> None:
    preview = send(hub, catalogue, rows(1, 40), dry_run=True)
    assert [len(found) for found in samples_of(hub, preview.submission_id).values()] == [effect.SAMPLES]


def test_samples_are_the_senders_own_and_go_after_a_week(hub: Hub, catalogue: Catalogue) -> None:
    preview = send(hub, catalogue, rows(1, 3), dry_run=True)
    seen = []
    for organisation in ("public_security", "labour"):
        with hub.served.begin({"organisation": organisation}) as connection:
            seen.append(len(effect.read_samples(connection, preview.submission_id)))
    assert seen == [1, 0]
    assert jobs.forget_old_previews(hub.worker) == 0
    week = utc_now() - timedelta(days=7, minutes=1)
    read(hub, "UPDATE {d}.submission SET merged_at = :then RETURNING 1", then=week)
    assert jobs.forget_old_previews(hub.worker) == 2


def test_no_clinical_field_is_ever_in_a_sample(hub: Hub, catalogue: Catalogue) -> None:
    types = [one for one in catalogue.record_types.values() if one.clinical_fields]
    assert types
    for record_type in types:
        version = {field.name: "x" for field in record_type.fields} | {"sealed": "x", "record_id": "x"}
        shown = effect._sample(
            ("update", 1, 1, 2, version, version), [field.name for field in record_type.plain_fields]
        )
        assert not {field.name for field in record_type.clinical_fields} & {*shown["before"], *shown["after"]}
        assert "sealed" not in shown["before"]


# ---- what is unusual ----


def test_many_voids_wait_and_nothing_has_changed(hub: Hub, catalogue: Catalogue) -> None:
    waiting = braked(hub, catalogue)
    told = receipt(hub, catalogue, waiting)
    assert (told["state"], told["final"], told["waits"], told["signed"], told["merged_at"]) == (
        "braked", False, True, None, None,
    )  # fmt: skip
    assert codes(told) == ["F_BRAKE_VOIDS"]
    assert told["effect"]["voided"] == 12
    assert read(hub, "SELECT count(*) FROM {d}.rec_hukou_move_in WHERE voided") == [(0,)]
    assert read(hub, "SELECT last_seq FROM {d}.feed_head") == [(19,)]
    assert len(samples_of(hub, waiting.submission_id)["void"]) == 12


def test_nine_voids_are_usual(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, rows(1, 20))
    sent = send(hub, catalogue, with_kind("作废", *(move_in(serial) for serial in range(1, 10))))
    assert state_of(hub, sent.submission_id) == "merged"


def test_half_of_last_months_rows_are_unusual_but_a_correction_after_them_is_not(
    hub: Hub, catalogue: Catalogue
) -> None:
    send(hub, catalogue, last_months(1, 61), period=LAST_MONTH)
    few = send(hub, catalogue, rows(1, 20))
    assert codes(receipt(hub, catalogue, few)) == ["F_BRAKE_FEW_ROWS"]
    release(hub.served, hub.settings, SECOND, few.submission_id)
    finish(hub, catalogue, few.submission_id)
    enough = send(hub, catalogue, rows(20, 32))
    correction = send(hub, catalogue, rows(1, 2, 姓名="王大明"))
    assert [state_of(hub, one.submission_id) for one in (few, enough, correction)] == ["merged"] * 3


def test_a_file_of_another_month_waits(hub: Hub, catalogue: Catalogue) -> None:
    wrong = send(hub, catalogue, last_months(1, 25))
    (issue,) = [one for one in receipt(hub, catalogue, wrong)["issues"] if one["row"] == 0]
    assert (issue["code"], issue["level"]) == ("F_BRAKE_PERIOD", "hold")
    assert LAST_MONTH in issue["message"]
    assert THIS_MONTH in issue["message"]


def test_a_preview_says_that_it_would_wait(hub: Hub, catalogue: Catalogue) -> None:
    preview = send(hub, catalogue, last_months(1, 25), dry_run=True)
    told = receipt(hub, catalogue, preview)
    assert (told["state"], codes(told)) == ("previewed", ["F_BRAKE_PERIOD"])


def test_a_record_type_may_have_measures_of_its_own(catalogue: Catalogue) -> None:
    rules = catalogue.brake
    assert rules.of("anything") == rules.usual
    assert 0 < rules.usual.voids_share < 1


# ---- the second person ----


def test_the_second_person_lets_it_happen_as_the_register_is_then(hub: Hub, catalogue: Catalogue) -> None:
    waiting = braked(hub, catalogue)
    later = send(hub, catalogue, with_kind("作废", move_in(1)))  # goes on meanwhile
    assert state_of(hub, later.submission_id) == "merged"
    release(hub.served, hub.settings, SECOND, waiting.submission_id)
    finish(hub, catalogue, waiting.submission_id)
    told = receipt(hub, catalogue, waiting)
    assert (told["state"], told["effect"]["voided"], told["counts"]["unchanged"]) == ("merged", 11, 1)
    assert told["signed"]["state"] == "merged"
    assert codes(told) == []
    assert told["facts"]["brake"][0]["code"] == "F_BRAKE_VOIDS"
    assert samples_of(hub, waiting.submission_id) == {}
    assert read(hub, "SELECT released_by FROM {d}.submission WHERE released_by IS NOT NULL") == [("second",)]


def test_findings_of_the_comparison_are_there_once_after_the_release(hub: Hub, catalogue: Catalogue) -> None:
    clashing = (move_in(40), move_in(40, 姓名="王大明"))
    dated = [one | {"迁入日期": f"{LAST_MONTH}-05"} for one in (*map(move_in, range(1, 25)), *clashing)]
    waiting = send(hub, catalogue, csv_of(*dated))
    assert receipt(hub, catalogue, waiting)["counts"]["held"] == 2
    release(hub.served, hub.settings, SECOND, waiting.submission_id)
    finish(hub, catalogue, waiting.submission_id)
    told = receipt(hub, catalogue, waiting)
    assert (told["state"], told["counts"]["held"], told["counts"]["accepted"]) == ("merged", 2, 24)
    assert [one["code"] for one in told["issues"]].count("E_KEY_CONFLICT") == 2


def test_nobody_confirms_what_they_sent_themselves(hub: Hub, catalogue: Catalogue) -> None:
    waiting = braked(hub, catalogue)
    with pytest.raises(SamePerson):
        release(hub.served, hub.settings, SENDER, waiting.submission_id)
    stranger = actor("labour", "department_clerk", name="renshe")
    with pytest.raises(NotFound):
        release(hub.served, hub.settings, stranger, waiting.submission_id)
    machine = actor("public_security", "integrator", name="key-1")
    with pytest.raises(NotAllowed):
        release(hub.served, hub.settings, machine, waiting.submission_id)
    assert state_of(hub, waiting.submission_id) == "braked"


def test_the_second_of_two_who_decide_finds_it_decided(hub: Hub, catalogue: Catalogue) -> None:
    waiting = braked(hub, catalogue)
    release(hub.served, hub.settings, SECOND, waiting.submission_id)
    with pytest.raises(NotWaiting):
        refuse(hub.served, hub.settings, SENDER, waiting.submission_id, "报错了")


def test_withdrawn_nothing_of_it_is_left_and_the_same_bytes_may_come_again(hub: Hub, catalogue: Catalogue) -> None:
    waiting = braked(hub, catalogue)
    refuse(hub.served, hub.settings, SENDER, waiting.submission_id, "报错了文件")
    finish(hub, catalogue, waiting.submission_id)
    told = receipt(hub, catalogue, waiting)
    assert (told["state"], codes(told)) == ("refused", ["F_WITHDRAWN"])
    assert told["signed"]["refusal"] == "F_WITHDRAWN"
    assert told["counts"] == {"received": 12, "accepted": 0, "unchanged": 0, "held": 0, "refused": 12}
    left = "SELECT (SELECT count(*) FROM {d}.stg_hukou_move_in), (SELECT count(*) FROM {d}.effect_sample)"
    assert read(hub, left) == [(0, 0)]
    again = send(hub, catalogue, with_kind("作废", *(move_in(serial) for serial in range(1, 13))))
    assert (again.repeated, state_of(hub, again.submission_id)) == (False, "braked")
    third = send(hub, catalogue, with_kind("作废", *(move_in(serial) for serial in range(1, 13))))
    assert (third.repeated, third.receipt_number) == (True, again.receipt_number)


# ---- killed anywhere ----


@pytest.mark.parametrize("place", ["merge.after", "changelog.after_counter"])
def test_a_worker_killed_anywhere_leaves_a_waiting_effect_right(
    hub: Hub, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    waiting = braked(hub, catalogue)
    release(hub.served, hub.settings, SECOND, waiting.submission_id)
    reached: list[str] = []

    def die(name: str) -> None:
        if name == place and not reached:
            reached.append(name)
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "point", die)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(hub.worker, hub.settings, waiting.submission_id, catalogue)
    assert state_of(hub, waiting.submission_id) == "checked"
    hub.work()
    told = receipt(hub, catalogue, waiting)
    assert (told["state"], told["effect"]["voided"]) == ("merged", 12)
    assert read(hub, "SELECT last_seq, last_batch FROM {d}.feed_head") == [(31, 2)]


def test_the_sweep_leaves_alone_what_waits_for_a_person(hub: Hub, catalogue: Catalogue) -> None:
    braked(hub, catalogue)
    assert jobs.sweep(hub.worker, 0.0) == 0


def test_whoever_waits_for_the_end_is_told_at_once_that_a_person_must_decide(hub: Hub, catalogue: Catalogue) -> None:
    waiting = braked(hub, catalogue)
    assert jobs.wait_until_final(hub.worker, waiting.submission_id, 0.0)


def test_the_brake_costs_one_short_look_at_the_ledger(hub: Hub, catalogue: Catalogue) -> None:
    """A file of few rows asks one question, by index; one without a month none."""
    sent = send(hub, catalogue, rows(1, 3))
    record_type, rule = catalogue.record_types[TYPE], catalogue.brake.of(TYPE)
    with hub.worker.begin() as connection:
        row = pipeline._lock(connection, sent.submission_id)
        counted = outcomes.count(connection, sent.submission_id, record_type)
        asked = _statements(connection, lambda: brake.judge(connection, row, counted, record_type, rule))
        run_sql(connection, "UPDATE {d}.submission SET period = NULL")
        row = pipeline._lock(connection, sent.submission_id)
        none = _statements(connection, lambda: brake.judge(connection, row, counted, record_type, rule))
    assert (len(asked), len(none)) == (1, 0)
    assert "stg_" not in json.dumps(asked)


def _statements(connection: Any, act: Any) -> list[str]:
    from sqlalchemy import event

    heard: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        heard.append(statement)

    event.listen(connection, "before_cursor_execute", hear)
    act()
    event.remove(connection, "before_cursor_execute", hear)
    return heard


def test_voids_in_small_pieces_are_many_all_the_same(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, rows(1, 25))
    pieces = [with_kind("作废", *(move_in(serial) for serial in range(at, at + 5))) for at in (1, 6, 11)]
    first, second = (send(hub, catalogue, piece) for piece in pieces[:2])
    assert [state_of(hub, one.submission_id) for one in (first, second)] == ["merged", "braked"]
    assert codes(receipt(hub, catalogue, second)) == ["F_BRAKE_VOIDS"]
    release(hub.served, hub.settings, SECOND, second.submission_id)
    assert finish(hub, catalogue, second.submission_id) == "merged"
    third = send(hub, catalogue, pieces[2])
    assert state_of(hub, third.submission_id) == "braked"
