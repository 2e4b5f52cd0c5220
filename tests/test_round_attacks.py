"""What an attacker and an unlucky user try with the month with the towns, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hub.database import Database
from hub.decisions.undoing import undo
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.decisions import read, state_of
from tests.doors import OTHER_TOWN, Hub, founded_hub
from tests.round_hub import (
    OFFICER,
    OTHER_OFFICER,
    answer,
    challenges_of,
    codes_of,
    give,
    items_of,
    marked,
    move_people_in,
    open_month,
    work_through,
)

HOME = "SELECT v.code FROM {d}.person p JOIN {d}.area_version v ON v.area_id = p.home_area WHERE person_id = :one"


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        move_people_in(founded, catalogue, 24)
        open_month(founded, catalogue)
        yield founded


def test_brake_other_month(hub, catalogue):
    day = str((datetime.now(UTC).replace(day=1) - timedelta(days=2)).date())
    given = give(hub, catalogue, *(answer(i, "2", right_village="和平社区", verified_on=day) for i in items_of(hub)))
    assert state_of(hub, given.submission_id) == "merged"
    assert read(hub, "SELECT count(*) FROM {d}.rec_town_arrival") == [(24,)]


def test_reanswer_right_village(hub, catalogue):
    line = items_of(hub)[0]
    before = read(hub, HOME, one=line["person_id"])
    give(hub, catalogue, answer(line, "2", right_village="和平社区"))
    assert read(hub, HOME, one=line["person_id"]) != before
    give(hub, catalogue, marked(hub, answer(line, "1"), line, answers=1))
    assert read(hub, HOME, one=line["person_id"]) == before
    assert read(hub, "SELECT voided, kind FROM {d}.rec_town_arrival") == [(True, "3")]
    give(hub, catalogue, marked(hub, answer(line, "2", right_village="和平社区"), line, answers=2))
    print("SUBS", read(hub, "SELECT record_type, kind, state, received, accepted, unchanged, held, refused, waiting, facts FROM {d}.submission WHERE organisation='999001001' ORDER BY received_at"))
    print("ERR", read(hub, "SELECT code, params FROM {d}.row_error"))
    assert read(hub, "SELECT voided, kind FROM {d}.rec_town_arrival") == [(False, "3")]
    give(
        hub,
        catalogue,
        marked(hub, answer(line, "2", right_village="和平社区", right_date="2026-10-02"), line, answers=3),
    )
    assert read(hub, "SELECT voided, changed_on::text FROM {d}.rec_town_arrival ORDER BY 1")[0] == (False, "2026-10-02")
    assert read(hub, HOME, one=line["person_id"]) != before


def test_undo(hub, catalogue):
    lines = items_of(hub)[:3]
    before = read(hub, HOME, one=lines[0]["person_id"])
    given = give(
        hub,
        catalogue,
        answer(lines[0], "2", right_village="和平社区"),
        answer(lines[1], "3"),
        answer(lines[2], "4", to_town=OTHER_TOWN),
    )
    acc = undo(hub.served, hub.settings, OFFICER, given.submission_id, "报错了月份，整表撤回", catalogue=catalogue)
    work_through(hub, catalogue, acc.submission_id)
    print(read(hub, "SELECT state, refusal, facts FROM {d}.submission WHERE submission_id=:o", o=acc.submission_id))
    assert [(l["state"], l["answers"]) for l in items_of(hub)[:3]] == [("open", 2)] * 3
    assert (items_of(hub, OTHER_TOWN), challenges_of(hub)[0][-1]) == ([], "withdrawn")
    assert read(hub, HOME, one=lines[0]["person_id"]) == before
    assert read(hub, "SELECT voided, kind FROM {d}.rec_town_arrival") == [(True, "3")]
    print(read(hub, "SELECT * FROM {d}.round_town"))
    acc = undo(hub.served, hub.settings, OFFICER, acc.submission_id, "报错了月份，整表撤回", catalogue=catalogue)
    work_through(hub, catalogue, acc.submission_id)
    print(read(hub, "SELECT state, refusal, facts FROM {d}.submission WHERE submission_id=:o", o=acc.submission_id))
    assert [(l["state"], l["answers"]) for l in items_of(hub)[:3]] == [("answered", 3)] * 2 + [("transferred", 3)]
    assert read(hub, "SELECT voided, kind FROM {d}.rec_town_arrival") == [(False, "3")]
    assert [c[-1] for c in challenges_of(hub)] == ["withdrawn", "open"]
    assert len(items_of(hub, OTHER_TOWN)) == 1


def test_merged_person(hub, catalogue):
    one, two = items_of(hub)[:2]
    numbers = read(
        hub, "SELECT value FROM {d}.person_identifier WHERE person_id=:p AND kind='id_no'", p=one["person_id"]
    )
    run = "UPDATE {d}.person SET merged_into = :b WHERE person_id = :a RETURNING 1"
    read(hub, run, a=one["person_id"], b=two["person_id"])
    read(
        hub,
        "UPDATE {d}.person_identifier SET person_id=:b WHERE person_id=:a RETURNING 1",
        a=one["person_id"],
        b=two["person_id"],
    )
    given = give(hub, catalogue, answer(one, "1", id_no=numbers[0][0]))
    assert codes_of(hub, given) == []


def test_legacy_answer(hub, catalogue):
    """Answers of before there were rounds name their records as they like."""
    given = give(hub, catalogue, answer(items_of(hub)[0], "1"))
    read(hub, "UPDATE {d}.rec_town_verification SET source_record_id = 'A/17', record_key='A/17|' || round RETURNING 1")
    acc = undo(hub.served, hub.settings, OFFICER, given.submission_id, "报错了月份，整表撤回", catalogue=catalogue)
    work_through(hub, catalogue, acc.submission_id)
    assert state_of(hub, acc.submission_id) == "merged"


def test_chain(hub, catalogue):
    line = items_of(hub)[0]
    give(hub, catalogue, answer(line, "4", to_town=OTHER_TOWN))
    (passed,) = items_of(hub, OTHER_TOWN)
    print(passed, line)
    give(hub, catalogue, answer(passed, "1"), who=OTHER_OFFICER)
    print(read(hub, "SELECT town, completed_at, returned_at FROM {d}.round_town"))
    # recall after answered there
    give(hub, catalogue, marked(hub, answer(line, "1"), line, answers=1))
    print(items_of(hub, OTHER_TOWN))
    two = items_of(hub)[1]
    give(hub, catalogue, answer(two, "4", to_town=OTHER_TOWN))
    print(read(hub, "SELECT town, completed_at, returned_at FROM {d}.round_town"))
    give(hub, catalogue, marked(hub, answer(two, "1"), two, answers=1))
    after = dict(read(hub, "SELECT town, completed_at FROM {d}.round_town"))
    assert after[passed["town"]] is not None


def test_erased(hub, catalogue, owner_database):
    pass


def test_back_and_forth(hub, catalogue):
    line = items_of(hub)[0]
    for n, said in enumerate(("1", "3", "1", "3")):
        give(hub, catalogue, marked(hub, answer(line, said), line, answers=n))
        assert (items_of(hub)[0]["result"], items_of(hub)[0]["answers"]) == (said, n + 1)
    give(hub, catalogue, marked(hub, answer(line, "3", change_kind="void"), line, answers=4))
    assert items_of(hub)[0]["state"] == "open"
    g = give(hub, catalogue, marked(hub, answer(line, "3"), line, answers=5))
    print(codes_of(hub, g))
    assert items_of(hub)[0]["state"] == "answered"
