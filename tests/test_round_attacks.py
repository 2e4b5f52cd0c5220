"""What an attacker and an unlucky user try with the month with the towns, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hub.database import Database, run_sql
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.decisions import read, receipt, state_of
from tests.doors import OTHER_TOWN, THIS_MONTH, TOWN, Hub, founded_hub
from tests.round_hub import (
    COLLEAGUE,
    OFFICER,
    OTHER_OFFICER,
    answer,
    challenges_of,
    codes_of,
    counts_of,
    give,
    items_of,
    marked,
    move_people_in,
    open_month,
)
from hub.casework.verdict_rows import rows_by_name

@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        move_people_in(founded, catalogue, 24)
        open_month(founded, catalogue)
        yield founded


def test_brake_other_month(hub, catalogue):
    day = str((datetime.now(UTC).replace(day=1) - timedelta(days=2)).date())
    given = give(hub, catalogue, *(answer(i, "1", verified_on=day) for i in items_of(hub)))
    assert state_of(hub, given.submission_id) == "merged"


def test_reanswer_right_village(hub, catalogue):
    line = items_of(hub)[0]
    home = "SELECT v.code FROM {d}.person p JOIN {d}.area_version v ON v.area_id = p.home_area WHERE person_id = :one"
    give(hub, catalogue, answer(line, "2", right_village="和平社区"))
    print(read(hub, home, one=line["person_id"]))
    print(read(hub, "SELECT * FROM {d}.rec_town_arrival"))
    give(hub, catalogue, answer(line, "1", list_mark=None) | {} if 0 else marked(hub, answer(line, "1"), line, answers=1))
    print(items_of(hub)[0])
    print(read(hub, home, one=line["person_id"]))
    print(read(hub, "SELECT voided, kind FROM {d}.rec_town_arrival"))
    assert 0


def test_undo(hub, catalogue):
    from hub.decisions import undoing
    lines = items_of(hub)[:3]
    given = give(hub, catalogue, answer(lines[0], "2", right_village="和平社区"), answer(lines[1], "3"), answer(lines[2], "4", to_town=OTHER_TOWN))
    print([x for x in dir(undoing)])
    import inspect
    print(inspect.signature(undoing.take_back) if hasattr(undoing,'take_back') else '')
    from tests.round_hub import work_through
    done = [getattr(undoing, n) for n in ("undo_submission","ask_undo","take_back") if hasattr(undoing, n)][0]
    accepted = done(hub.served, hub.settings, OFFICER, given.submission_id, reason="报错了月份，整表撤回", catalogue=catalogue)
    acc = getattr(accepted, "accepted", accepted)
    work_through(hub, catalogue, acc.submission_id)
    print(read(hub, "SELECT state, refusal, facts FROM {d}.submission WHERE submission_id=:o", o=acc.submission_id))
    print([ (l["state"], l["answers"]) for l in items_of(hub)[:3]], items_of(hub, OTHER_TOWN), challenges_of(hub))
    print(read(hub, "SELECT voided, kind FROM {d}.rec_town_arrival"))
    print(read(hub, "SELECT * FROM {d}.round_town"))
    assert 0


def test_legacy_answer(hub, catalogue):
    # an answer of before rounds: any number for the record
    from tests.staged import stage
    from hub.exchange.pipeline import apply_staged
    assert 0, read(hub, "SELECT 1")


def test_merged_person(hub, catalogue):
    one, two = items_of(hub)[:2]
    numbers = read(hub, "SELECT value FROM {d}.person_identifier WHERE person_id=:p AND kind='id_no'", p=one["person_id"])
    run = "UPDATE {d}.person SET merged_into = :b WHERE person_id = :a RETURNING 1"
    read(hub, run, a=one["person_id"], b=two["person_id"])
    read(hub, "UPDATE {d}.person_identifier SET person_id=:b WHERE person_id=:a RETURNING 1", a=one["person_id"], b=two["person_id"])
    given = give(hub, catalogue, answer(one, "1", id_no=numbers[0][0]))
    assert codes_of(hub, given) == []

def test_strange(hub, catalogue):
    one, two, three, four, five, six = items_of(hub)[:6]
    g = give(hub, catalogue, answer(one, "2", actual="=cmd|'/c calc'!A1 {x} %s :x '\"; -- {d}", right_name="{0}%(x)s:name"),
        answer(two, "1"), answer(two, "3"), answer(three, "1", round="2026-13"), answer(four, "1", round="../.."), answer(five,"9"), answer(six, "2", actual="a\x00b"))
    print(counts_of(hub, g), codes_of(hub, g), receipt(hub, catalogue, g))
    print(challenges_of(hub))
    assert 0
