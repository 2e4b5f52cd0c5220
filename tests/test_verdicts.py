"""A town's answers go through the one gate, are held against its list row by row, and do what they say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hub.database import Database
from hub.decisions.held import Chosen, release_rows
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.decisions import finish, read
from tests.doors import OTHER_TOWN, TOWN, VILLAGE, Hub, founded_hub
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

OTHER_VILLAGE_OF_TOWN = "999001001002"


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        move_people_in(founded, catalogue)
        open_month(founded, catalogue)
        yield founded


def test_every_verdict_does_what_it_says(hub: Hub, catalogue: Catalogue) -> None:
    one, two, three, four = items_of(hub)
    given = give(
        hub, catalogue, answer(one, "1"), answer(two, "3"), answer(three, "4", to_town=OTHER_TOWN), answer(four, "5")
    )
    assert counts_of(hub, given) == (4, 0, 0, 0)
    assert [line["state"] for line in items_of(hub)] == ["answered", "answered", "transferred", "deferred"]
    assert challenges_of(hub) == [("nobody", "", "", "public_security", "open")]
    (passed,) = items_of(hub, OTHER_TOWN)
    assert (passed["record_id"], passed["came"], passed["state"]) == (three["record_id"], "transfer", "open")


def test_the_person_of_the_line_is_the_person_of_the_answer(hub: Hub, catalogue: Catalogue) -> None:
    line = items_of(hub)[0]
    give(hub, catalogue, answer(line, "1"))
    linked = read(hub, "SELECT person_ref, live_div FROM {d}.rec_town_verification")
    assert linked == [(line["person_id"], VILLAGE)]
    assert read(hub, "SELECT count(*) FROM {d}.person") == [(4,)], "nobody began to exist by being answered for"


def test_a_corrected_village_becomes_the_towns_own_record(hub: Hub, catalogue: Catalogue) -> None:
    line = items_of(hub)[0]
    give(hub, catalogue, answer(line, "2", right_village="和平社区"))
    assert read(hub, "SELECT kind, live_div, source, person_ref FROM {d}.rec_town_arrival") == [
        ("3", OTHER_VILLAGE_OF_TOWN, TOWN, line["person_id"])
    ]
    home = "SELECT v.code FROM {d}.person p JOIN {d}.area_version v ON v.area_id = p.home_area WHERE person_id = :one"
    assert read(hub, home, one=line["person_id"]) == [(OTHER_VILLAGE_OF_TOWN,)]
    assert challenges_of(hub) == [], "what the town knows best is nobody else's to answer"


def test_what_is_not_the_towns_to_correct_is_put_to_the_source(hub: Hub, catalogue: Catalogue) -> None:
    one, two, *_ = items_of(hub)
    give(hub, catalogue, answer(one, "2", right_name="王晓明", right_date="2026-10-30"), answer(two, "2"))
    assert challenges_of(hub) == [
        ("untrue", "", "", "public_security", "open"),
        ("value", "", "2026-10-30", "public_security", "open"),
        ("value", "name", "王晓明", "public_security", "open"),
    ]


def test_half_a_list_is_welcome_and_the_rest_stays_open(hub: Hub, catalogue: Catalogue) -> None:
    one, *others = items_of(hub)
    given = give(hub, catalogue, answer(one, "1"), *(marked(hub, answer(line, ""), line) for line in others))
    assert counts_of(hub, given) == (1, 3, 0, 0)
    assert codes_of(hub, given) == ["N_NOT_ANSWERED"] * 3
    assert [line["state"] for line in items_of(hub)] == ["answered", "open", "open", "open"]


def test_rows_that_are_not_the_towns_are_refused_one_by_one(hub: Hub, catalogue: Catalogue) -> None:
    one, two, three, four = items_of(hub)
    rows = [
        answer(one, "1"),
        answer(two, "1", round="2019-01"),
        answer(three, "1", source_record_id="01a20000-0000-7000-8000-000000000000"),
        marked(hub, answer(four, "1"), four) | {"name": "陈建国"},
    ]
    given = give(hub, catalogue, *rows)
    assert counts_of(hub, given) == (1, 0, 0, 3)
    assert codes_of(hub, given) == ["E_ROUND_UNKNOWN", "E_LIST_UNKNOWN", "E_LIST_TAMPERED"]
    foreign = give(hub, catalogue, answer(two, "1"), who=OTHER_OFFICER)
    assert codes_of(hub, foreign) == ["E_LIST_FOREIGN"]
    assert [line["state"] for line in items_of(hub)] == ["answered", "open", "open", "open"]


@pytest.mark.parametrize("forged", ["", "0-00000000000000000000", "nonsense"])
def test_a_mark_must_be_the_lines_own(hub: Hub, catalogue: Catalogue, forged: str) -> None:
    line = items_of(hub)[0]
    given = give(hub, catalogue, answer(line, "1", list_mark=forged))
    assert codes_of(hub, given) == (["E_LIST_TAMPERED"] if forged else [])


def test_without_a_mark_the_name_must_be_the_lines(hub: Hub, catalogue: Catalogue) -> None:
    given = give(hub, catalogue, answer(items_of(hub)[0], "1", name="陈建国"))
    assert codes_of(hub, given) == ["E_LIST_TAMPERED"]


@pytest.mark.parametrize("to_town", ["", TOWN, VILLAGE])
def test_a_transfer_names_another_town(hub: Hub, catalogue: Catalogue, to_town: str) -> None:
    given = give(hub, catalogue, answer(items_of(hub)[0], "4", to_town=to_town))
    assert codes_of(hub, given) == ["E_TRANSFER_WHERE"]


def test_refused_rows_are_taken_once_they_are_corrected(hub: Hub, catalogue: Catalogue) -> None:
    one, two, three, _ = items_of(hub)
    wrong = [
        answer(one, "1", round="2019-01"),
        answer(two, "4", to_town=TOWN),
        answer(three, "1", name="陈建国"),
    ]
    refused = give(hub, catalogue, *wrong)
    assert (counts_of(hub, refused), len(codes_of(hub, refused))) == ((0, 0, 0, 3), 3)
    corrected = give(hub, catalogue, answer(one, "1"), answer(two, "4", to_town=OTHER_TOWN), answer(three, "1"))
    assert (counts_of(hub, corrected), codes_of(hub, corrected)) == ((3, 0, 0, 0), [])


def test_of_two_different_answers_the_first_stands_and_the_other_waits(hub: Hub, catalogue: Catalogue) -> None:
    line = items_of(hub)[0]
    give(hub, catalogue, marked(hub, answer(line, "1"), line))
    late = give(hub, catalogue, marked(hub, answer(line, "3"), line), who=COLLEAGUE)
    assert (counts_of(hub, late), codes_of(hub, late)) == ((0, 0, 1, 0), ["E_VERDICT_CONFLICT"])
    assert items_of(hub)[0]["result"] == "1"
    same = give(hub, catalogue, marked(hub, answer(line, "1"), line, answers=1), who=COLLEAGUE)
    assert counts_of(hub, same) == (0, 1, 0, 0), "the same answer again says nothing new"
    chosen = Chosen(submission_id=late.submission_id, rows=(1,))
    released = release_rows(
        hub.served, hub.settings, OFFICER, chosen, reason="已与同事核实，以此为准", catalogue=catalogue
    )
    finish(hub, catalogue, released.accepted.submission_id)
    assert items_of(hub)[0]["result"] == "3", "a person has decided: it takes the other's place"


def test_the_same_answer_again_without_a_day_keeps_the_day_it_had(hub: Hub, catalogue: Catalogue) -> None:
    """A corrected workbook is sent again on another day: what was taken before is unchanged."""
    line, undated, day = items_of(hub)[0], {"verified_on": ""}, datetime.now(UTC).date() - timedelta(days=1)
    give(hub, catalogue, answer(line, "1", verified_on=str(day)))
    again = give(hub, catalogue, answer(line, "1", **undated))
    assert counts_of(hub, again) == (0, 1, 0, 0)
    other = give(hub, catalogue, marked(hub, answer(line, "5", **undated), line, answers=1))
    assert counts_of(hub, other) == (1, 0, 0, 0)
    assert read(hub, "SELECT count(*) FROM {d}.rec_town_verification WHERE verified_on > :day", day=day) == [(1,)]


def test_an_answer_that_builds_on_the_one_before_replaces_it(hub: Hub, catalogue: Catalogue) -> None:
    line = items_of(hub)[0]
    give(hub, catalogue, marked(hub, answer(line, "3"), line))
    assert [one[-1] for one in challenges_of(hub)] == ["open"]
    line = items_of(hub)[0]
    again = give(hub, catalogue, marked(hub, answer(line, "1"), line))
    assert counts_of(hub, again) == (1, 0, 0, 0)
    assert (items_of(hub)[0]["result"], [one[-1] for one in challenges_of(hub)]) == ("1", ["withdrawn"])


def test_an_answer_taken_back_opens_the_line_again(hub: Hub, catalogue: Catalogue) -> None:
    line = items_of(hub)[0]
    give(hub, catalogue, answer(line, "4", to_town=OTHER_TOWN))
    assert len(items_of(hub, OTHER_TOWN)) == 1
    give(hub, catalogue, answer(line, "4", to_town=OTHER_TOWN, change_kind="void"))
    assert (items_of(hub)[0]["state"], items_of(hub, OTHER_TOWN)) == ("open", [])


def test_what_two_towns_pass_to_each_other_is_put_to_the_source(hub: Hub, catalogue: Catalogue) -> None:
    line = items_of(hub)[0]
    give(hub, catalogue, answer(line, "4", to_town=OTHER_TOWN))
    (passed,) = items_of(hub, OTHER_TOWN)
    back = give(hub, catalogue, answer(passed, "4", to_town=TOWN), who=OTHER_OFFICER)
    assert counts_of(hub, back) == (1, 0, 0, 0)
    assert challenges_of(hub) == [("elsewhere", "", "", "public_security", "open")]
