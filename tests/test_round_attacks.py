"""What an attacker and an unlucky user try with the month with the towns, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.mail import is_mail_address
from hub.casework.item_pages import WantedLines, page_of_lines
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.decisions.rolls import RollClosed, compare_roll
from hub.decisions.undoing import undo
from hub.errors import BadRequest
from hub.exchange.area_submission import change_areas
from hub.exchange.erasure import erase_person
from hub.exchange.retention import expire_raw_files
from hub.jobs import Accepted
from hub.registry.area_changes import merge_areas
from hub.registry.areas import load_area_index
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import Scope
from hub.settings import RetentionPolicy, Settings
from mappings.catalogue import Catalogue, load_catalogue
from tests.decisions import read, state_of
from tests.doors import OTHER_TOWN, THIS_MONTH, TOWN, VILLAGE, Hub, founded_hub, identity_number
from tests.paper_hub import area_ids, officer, put
from tests.round_hub import (
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
    work_through,
)

PEOPLE = 24
OTHER_VILLAGE_OF_TOWN = "999001001002"
HOME = "SELECT v.code FROM {d}.person p JOIN {d}.area_version v ON v.area_id = p.home_area WHERE person_id = :one"
ARRIVALS = "SELECT voided, changed_on::text FROM {d}.rec_town_arrival ORDER BY voided"


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        move_people_in(founded, catalogue, PEOPLE)
        wed(founded, catalogue)
        open_month(founded, catalogue)
        yield founded


def wed(hub: Hub, catalogue: Catalogue) -> None:
    """Of a record about two, the fields are the role's own."""
    number, here = identity_number(71), area_ids(hub)[VILLAGE]
    couple = {"male_name": "周德", "male_id_no": number, "male_area": here, "female_name": "吴月"}
    row = couple | {"cert_no": "J1", "registered_on": f"{THIS_MONTH}-02", "office": "云岭区民政局"}
    put(hub, catalogue, "civil_affairs", "marriage", [row])


def movers(hub: Hub) -> list[dict[str, Any]]:
    return [one for one in items_of(hub) if one["name"]]


def give_after(hub: Hub, catalogue: Catalogue, line: dict[str, Any], times: int, result: str, **more: str) -> Accepted:
    """An answer on a fresh copy of a line that was answered so often."""
    return give(hub, catalogue, marked(hub, answer(line, result, **more), line, answers=times))


def take_back(hub: Hub, catalogue: Catalogue, submission_id: UUID) -> UUID:
    undone = undo(hub.served, hub.settings, OFFICER, submission_id, "报错了月份，整表撤回", catalogue=catalogue)
    work_through(hub, catalogue, undone.submission_id)
    assert state_of(hub, undone.submission_id) == "merged"
    return undone.submission_id


def home_of(hub: Hub, line: dict[str, Any]) -> str:
    return str(read(hub, HOME, one=line["person_id"])[0][0])


def test_a_return_of_another_months_visits_waits_for_nobody(hub: Hub, catalogue: Catalogue) -> None:
    """Towns answer in the month after, piece by piece: neither the days nor the few rows are unusual."""
    day = str((datetime.now(UTC).replace(day=1) - timedelta(days=2)).date())
    lines = movers(hub)
    moved = [answer(line, "2", right_village="和平社区", verified_on=day) for line in lines]
    given = give(hub, catalogue, *moved)
    assert (len(lines), counts_of(hub, given)) == (PEOPLE, (PEOPLE, 0, 0, 0))
    assert read(hub, "SELECT DISTINCT state FROM {d}.submission") == [("merged",)]
    assert len(read(hub, ARRIVALS)) == PEOPLE
    for code in ("town_verification", "town_arrival", "town_departure", "service_request"):
        rule = catalogue.brake.of(code)
        assert min(rule.few_rows_usual, rule.period_rows) > 100_000, code
        assert rule.voids_at_least == catalogue.brake.usual.voids_at_least, "taking back in bulk stays unusual"


def test_another_answer_takes_the_corrected_village_back(hub: Hub, catalogue: Catalogue) -> None:
    line = movers(hub)[0]
    at_first = home_of(hub, line)
    give_after(hub, catalogue, line, 0, "2", right_village="和平社区")
    assert home_of(hub, line) == OTHER_VILLAGE_OF_TOWN
    give_after(hub, catalogue, line, 1, "1")
    assert (home_of(hub, line), read(hub, ARRIVALS)[0][0]) == (at_first, True)
    give_after(hub, catalogue, line, 2, "2", right_village="和平社区")
    assert (home_of(hub, line), read(hub, ARRIVALS)[0][0]) == (OTHER_VILLAGE_OF_TOWN, False), "said again, it stands"
    ((told,),) = read(hub, "SELECT event_date FROM {d}.round_item WHERE item_id = :one", one=line["item_id"])
    give_after(hub, catalogue, line, 3, "2", right_village="和平社区", right_date="2026-01-02")
    assert read(hub, ARRIVALS) == [(False, str(told))], "on an earlier day what the list said would have undone it"
    today = datetime.now(UTC).date()
    give_after(hub, catalogue, line, 4, "2", right_village="和平社区", right_date=str(today))
    assert [voided for voided, _ in read(hub, ARRIVALS)] == ([False, True] if today > told else [False])
    assert home_of(hub, line) == OTHER_VILLAGE_OF_TOWN


def test_a_return_taken_back_takes_everything_it_did_along_and_once_more(hub: Hub, catalogue: Catalogue) -> None:
    one, two, three = movers(hub)[:3]
    at_first = home_of(hub, one)
    given = give(
        hub, catalogue, answer(one, "2", right_village="和平社区"), answer(two, "3"),
        answer(three, "4", to_town=OTHER_TOWN),
    )  # fmt: skip
    undone = take_back(hub, catalogue, given.submission_id)
    assert [line["state"] for line in movers(hub)[:3]] == ["open"] * 3
    assert (items_of(hub, OTHER_TOWN), [one[-1] for one in challenges_of(hub)]) == ([], ["withdrawn"])
    assert (home_of(hub, one), read(hub, ARRIVALS)[0][0]) == (at_first, True)
    take_back(hub, catalogue, undone)
    assert [line["state"] for line in movers(hub)[:3]] == ["answered", "answered", "transferred"]
    assert [one[-1] for one in challenges_of(hub)] == ["withdrawn", "open"]
    assert (home_of(hub, one), len(items_of(hub, OTHER_TOWN))) == (OTHER_VILLAGE_OF_TOWN, 1)


def test_an_answer_of_before_there_were_rounds_can_be_taken_back(hub: Hub, catalogue: Catalogue) -> None:
    """Those named their records as they liked."""
    given = give(hub, catalogue, answer(movers(hub)[0], "1"))
    old = "UPDATE {d}.rec_town_verification SET source_record_id = 'A/17', record_key = 'A/17|' || round RETURNING 1"
    assert read(hub, old) == [(1,)]
    take_back(hub, catalogue, given.submission_id)


def test_whoever_was_merged_away_is_answered_for_by_either_number(hub: Hub, catalogue: Catalogue) -> None:
    one, two = movers(hub)[:2]
    told = {"was": one["person_id"], "stays": two["person_id"]}
    of_them = "SELECT value FROM {d}.person_identifier WHERE person_id = :was AND kind = 'id_no'"
    ((number,),) = read(hub, of_them, was=told["was"])
    read(hub, "UPDATE {d}.person SET merged_into = :stays WHERE person_id = :was RETURNING 1", **told)
    read(hub, "UPDATE {d}.person_identifier SET person_id = :stays WHERE person_id = :was RETURNING 1", **told)
    assert codes_of(hub, give(hub, catalogue, answer(one, "1", id_no=str(number)))) == []
    somebody = answer(movers(hub)[2], "1", id_no=str(number))
    assert codes_of(hub, give(hub, catalogue, somebody)) == ["E_LIST_TAMPERED"]


def test_a_town_that_was_asked_for_nothing_in_the_end_is_done(hub: Hub, catalogue: Catalogue) -> None:
    one, two = movers(hub)[:2]
    done = "SELECT completed_at IS NOT NULL FROM {d}.round_town t JOIN shared.organisation o ON o.area_id = t.town"
    done += " WHERE o.code = :town"
    give(hub, catalogue, answer(one, "4", to_town=OTHER_TOWN), answer(two, "4", to_town=OTHER_TOWN))
    assert read(hub, done, town=OTHER_TOWN) == [(False,)]
    (passed, _) = items_of(hub, OTHER_TOWN)
    give(hub, catalogue, answer(passed, "1"), who=OTHER_OFFICER)
    other = next(line for line in (one, two) if line["record_id"] != passed["record_id"])
    give_after(hub, catalogue, other, 1, "1")
    assert (len(items_of(hub, OTHER_TOWN)), read(hub, done, town=OTHER_TOWN)) == (1, [(True,)])


def test_an_opinion_may_change_back_and_forth(hub: Hub, catalogue: Catalogue) -> None:
    line = movers(hub)[0]
    for times, said in enumerate(("1", "3", "1", "3")):
        give_after(hub, catalogue, line, times, said)
        assert (movers(hub)[0]["result"], movers(hub)[0]["answers"]) == (said, times + 1)
    give_after(hub, catalogue, line, 4, "3", change_kind="void")
    give_after(hub, catalogue, line, 5, "3")
    assert movers(hub)[0]["state"] == "answered", "the same as what was taken back"


def test_the_town_in_anothers_place_answers_its_printed_lines_and_takes_its_word_back(
    hub: Hub, catalogue: Catalogue
) -> None:
    areas, (one, two) = area_ids(hub), movers(hub)[:2]
    give_after(hub, catalogue, one, 0, "3")
    printed = marked(hub, answer(two, "1"), two)
    old, stays = (areas[f"{code}000"] for code in (TOWN, OTHER_TOWN))
    change_areas(
        hub.worker, hub.settings, catalogue, SYSTEM_ACTOR,
        lambda connection: merge_areas(connection, SYSTEM_ACTOR, [old], stays, date(2026, 1, 1)),
    )  # fmt: skip
    assert codes_of(hub, give(hub, catalogue, printed, who=OTHER_OFFICER)) == []
    (now,) = (line for line in items_of(hub, OTHER_TOWN) if line["record_id"] == one["record_id"])
    stale = give(hub, catalogue, marked(hub, answer(now, "1"), now, answers=0), who=OTHER_OFFICER)
    assert codes_of(hub, stale) == ["E_VERDICT_CONFLICT"]
    assert [state for *_, state in challenges_of(hub)] == ["open"]
    assert codes_of(hub, give(hub, catalogue, marked(hub, answer(now, "1"), now), who=OTHER_OFFICER)) == []
    assert [state for *_, state in challenges_of(hub)] == ["withdrawn"]


def test_a_corrected_value_is_of_the_field_the_role_has_there(hub: Hub, catalogue: Catalogue) -> None:
    (wedding,) = (line for line in items_of(hub) if not line["name"])
    right = {"right_name": "周得", "right_id_no": identity_number(72)}
    said = answer(wedding | {"name": "周德"}, "2", **right)
    give(hub, catalogue, said)
    assert [(kind, field) for kind, field, *_ in challenges_of(hub)] == [
        ("value", "male_id_no"), ("value", "male_name"),
    ]  # fmt: skip
    strange = answer(movers(hub)[0], "2", actual="{0} %(x)s :x '\"; -- {d}", right_name="{d}%s:n")
    assert codes_of(hub, give(hub, catalogue, strange)) == []
    assert challenges_of(hub)[-1][2] == "{d}%s:n", "what is typed is text and nothing else"


def test_rolls_go_with_the_other_files_when_their_time_is_over(hub: Hub, catalogue: Catalogue) -> None:
    kept = msgspec.structs.replace(hub.settings, retention=RetentionPolicy(raw_files_days=30))
    rolls = [new_uuid(), new_uuid()]
    for roll, days in zip(rolls, (31, 29), strict=True):
        file = hub.settings.home / f"rolls/{roll}"
        file.parent.mkdir(exist_ok=True)
        file.write_text("名册", "utf-8")
        read(
            hub, "INSERT INTO {d}.roll_check (roll_id, organisation, town, file_name, stored_as, sha256, state, asked_by,"
            " asked_at) VALUES (:roll, :town, 1, 'f', :place, '', 'compared', 'a', :at) RETURNING 1",
            roll=roll, town=TOWN, place=f"rolls/{roll}", at=utc_now() - timedelta(days=days),
        )  # fmt: skip
        for number, state in enumerate(("open", "decided")):
            read(
                hub, "INSERT INTO {d}.roll_item (roll_id, item_no, kind, organisation, told, state)"
                " VALUES (:roll, :number, 'different', :town, '{}', :state) RETURNING 1",
                roll=roll, number=number, town=TOWN, state=state,
            )  # fmt: skip
    expire_raw_files(hub.worker, kept, utc_now())
    assert [(hub.settings.home / f"rolls/{roll}").exists() for roll in rolls] == [False, True]
    left = read(hub, "SELECT roll_id, state FROM {d}.roll_item")
    assert set(left) == {(rolls[0], "decided"), (rolls[1], "open"), (rolls[1], "decided")}
    with pytest.raises(RollClosed):
        compare_roll(hub.served, hub.settings, catalogue, officer(hub), rolls[0])


def test_an_erased_person_is_on_no_roll_and_no_list_any_more(
    hub: Hub, catalogue: Catalogue, owner_database: Database, settings: Settings
) -> None:
    line, other = movers(hub)[:2]
    ((number,),) = read(hub, "SELECT id_no FROM {d}.rec_hukou_move_in WHERE record_id = :one", one=line["record_id"])
    typed = f"{number[:6]} {number[6:14]} {number[14:]}"
    for at, (person, told) in enumerate(((line["person_id"], "x"), (None, typed), (other["person_id"], "y")), 1):
        read(
            hub,
            "INSERT INTO {d}.roll_item (roll_id, item_no, kind, organisation, person_id, told) VALUES"
            " (:roll, :at, 'different', :town, :person, jsonb_build_object('*errors', jsonb_build_array("
            " jsonb_build_array('E_ID', CAST(:told AS text))))) RETURNING 1",
            roll=new_uuid(), at=at, town=TOWN, person=person, told=told,
        )  # fmt: skip
    erase_person(owner_database, settings, catalogue, SYSTEM_ACTOR, line["person_id"], "条例第几条", "本人申请")
    assert read(hub, "SELECT person_id FROM {d}.roll_item") == [(other["person_id"],)]
    assert len(movers(hub)) == PEOPLE - 1
    printed_before = give(hub, catalogue, marked(hub, answer(line, "1"), line), answer(other, "1"))
    assert (counts_of(hub, printed_before), codes_of(hub, printed_before)) == ((1, 0, 0, 1), ["E_LIST_UNKNOWN"])
    assert read(hub, "SELECT count(*) FROM {d}.rec_town_verification WHERE name = :n", n=line["name"]) == [(0,)]


def test_whoever_only_counts_sees_no_contact_and_reads_no_notice_away(hub: Hub) -> None:
    with hub.worker.begin() as connection:
        run_sql(
            connection, "INSERT INTO {d}.contact (contact_id, organisation, name, mail, changed_at, changed_by)"
            " VALUES (:id, :town, '甲', 'a@example.cn', :now, 'a')", id=new_uuid(), town=TOWN, now=utc_now(),
        )  # fmt: skip
        run_sql(
            connection, "INSERT INTO {d}.notice (notice_id, organisation, kind, about, made_at)"
            " VALUES (:id, :town, 'round_opened', 'round/x', :now)", id=new_uuid(), town=TOWN, now=utc_now(),
        )  # fmt: skip
    mark = "UPDATE {d}.notice SET read_at = :now RETURNING 1"
    reaches: tuple[tuple[dict[str, str], int, int], ...] = (
        ({"ledger": "counts"}, 0, 0), ({"organisation": OTHER_TOWN}, 0, 0), ({"organisation": TOWN}, 1, 1),
    )  # fmt: skip
    for reach, contacts, marks in reaches:
        with hub.served.begin(reach) as connection:
            assert len(run_sql(connection, "SELECT name FROM {d}.contact")) == contacts, reach
            assert len(run_sql(connection, mark, now=utc_now())) == marks, reach


@pytest.mark.parametrize("month", [f"{THIS_MONTH}\x00", f"{THIS_MONTH}\n", "2026-13", "../2026"])
def test_a_month_that_is_none_is_refused_before_anything_is_asked(app_database: Database, month: str) -> None:
    who = msgspec.structs.replace(OFFICER, area_id=1)
    with app_database.begin() as connection, pytest.raises(BadRequest):
        areas = load_area_index(connection)
        page_of_lines(connection, load_catalogue(), Scope(actor=who, own_areas=(1,)), areas, month, WantedLines())


@pytest.mark.parametrize(
    "written", ["", "a", "a@", "@b", "\x00", "a\x00@b.cn", "x" * 300, "'\";--", "a b@c.cn", "a@b.cn\n", "甲@b.cn"]
)
def test_what_is_no_mail_address_is_no_failure(written: str) -> None:
    assert not is_mail_address(written)
