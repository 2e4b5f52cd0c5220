"""A month's round: opened once, on its day; nothing is lost when towns merge; who may see how far it is."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient
from sqlalchemy import Connection
from typer.testing import CliRunner

from hub.__main__ import app
from hub.casework import round_items
from hub.casework.round_items import asked_types
from hub.casework.round_progress import progress, summaries
from hub.casework.rounds import (
    LaterRoundOpen,
    MonthNotOver,
    RoundStillDue,
    close_due_rounds,
    close_round,
    due_month,
    open_due_rounds,
    open_round,
)
from hub.database import Database, run_sql
from hub.errors import NotAllowed, NotFound
from hub.registry.hunting_rules import CARE_ONLY_TYPES
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.registry.scope import reach_of
from hub.settings import RoundPolicy, Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, visitor
from tests.doors import THIS_MONTH, TOWN, csv_of, founded_hub, move_in
from tests.oracle_rounds import RoundOracle
from tests.round_stories import FIRST_MONTH, PEOPLE, Story, found_towns, opening_day, person

ANN, BEN, CLEM = PEOPLE[:3]
NEXT_MONTH = "2026-02"


@pytest.fixture
def story(database: Database, settings: Settings, catalogue: Catalogue) -> Story:
    with database.begin() as connection:
        found_towns(connection)
    return Story(database, settings, catalogue, seed=1)


def staff(role: str, kind: str, area_id: int | None = None) -> Actor:
    return Actor(name=role, organisation="x", kind=kind, door="panel", rights=ROLES[role], area_id=area_id)


BUREAU, LEADER = staff("bureau_operator", "bureau"), staff("bureau_leader", "bureau")
OPERATOR = msgspec.structs.replace(BUREAU, rights=frozenset({Right.OPERATE}))


def move(story: Story, number: str, village: int, day: str = "2026-01-05") -> None:
    row = person(number) | {"person_area": village, "move_date": day}
    story.send("public_security", "hukou_move_in", [row])


def marry(story: Story, couple: str, him: str, her: str, **facts: object) -> None:
    row: dict[str, Any] = {"cert_no": couple, "registered_on": "2026-01-06", **facts}
    for role, number in (("male", him), ("female", her)):
        row |= {f"{role}_{name}": value for name, value in person(number).items()}
    story.send("civil_affairs", "marriage", [row])


def items(story: Story, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
    with story.database.begin() as connection:
        chosen = f"SELECT {', '.join(columns)} FROM {{d}}.round_item i JOIN {{d}}.monthly_round m USING (round_id)"
        return run_sql(connection, f"{chosen} WHERE {where} ORDER BY month, i.town, number")


def answer(story: Story, where: str, state: str, result: str = "1", sent_to: int | None = None) -> None:
    with story.database.begin() as connection:
        told = "state = :state, result = :result, sent_to = :sent_to, answers = answers + 1, answered_at = :now"
        changed = run_sql(
            connection, f"UPDATE {{d}}.round_item SET {told} WHERE {where} RETURNING 1",
            state=state, result=result, sent_to=sent_to, now=opening_day(FIRST_MONTH),
        )  # fmt: skip
        assert changed


# ---- when it is opened ----


def test_a_month_is_opened_once_and_asking_again_changes_nothing(story: Story) -> None:
    move(story, ANN, 6)
    first = story.open()
    move(story, BEN, 7)
    with story.database.begin() as connection:
        again = open_round(
            connection, story.settings, story.catalogue, SYSTEM_ACTOR, FIRST_MONTH, opening_day(NEXT_MONTH)
        )
    assert (first.items, first.towns, first.repeated) == (1, 4, False)
    assert again == msgspec.structs.replace(first, repeated=True)
    assert len(items(story, "item_id")) == 1


def test_a_month_that_is_not_over_needs_a_reason_and_the_hubs_own_operator(story: Story) -> None:
    early = opening_day(FIRST_MONTH) - timedelta(days=3)
    for who, reason in ((BUREAU, "急用"), (OPERATOR, " ")):
        with pytest.raises(MonthNotOver), story.database.begin() as connection:
            open_round(connection, story.settings, story.catalogue, who, FIRST_MONTH, early, reason=reason)
    with story.database.begin() as connection:
        done = open_round(connection, story.settings, story.catalogue, OPERATOR, FIRST_MONTH, early, reason="演练")
    assert done.state == "open"


def test_no_month_before_the_last_one_is_opened_and_only_by_those_who_may(story: Story) -> None:
    story.month = NEXT_MONTH
    story.open()
    for who, refused in ((BUREAU, LaterRoundOpen), (staff("town_officer", "town", 2), NotAllowed)):
        with pytest.raises(refused), story.database.begin() as connection:
            open_round(connection, story.settings, story.catalogue, who, FIRST_MONTH, opening_day(NEXT_MONTH))


def test_rounds_open_by_themselves_on_their_day(story: Story) -> None:
    day = opening_day(FIRST_MONTH)
    assert open_due_rounds(story.database, story.settings, story.catalogue, day) == []  # nothing was ever sent
    move(story, ANN, 6)
    by_hand = msgspec.structs.replace(story.settings, rounds=RoundPolicy(automatic=False))
    assert open_due_rounds(story.database, by_hand, story.catalogue, day) == []
    (opened,) = open_due_rounds(story.database, story.settings, story.catalogue, day)
    assert (opened.month, opened.items) == (FIRST_MONTH, 1)
    assert open_due_rounds(story.database, story.settings, story.catalogue, day + timedelta(days=20)) == []
    months_later = opening_day("2026-05")
    assert [one.month for one in open_due_rounds(story.database, story.settings, story.catalogue, months_later)] == [
        "2026-05"
    ]


def test_the_day_is_the_districts_own(settings: Settings) -> None:
    own = msgspec.structs.replace(settings, rounds=RoundPolicy(month_ends_on=25, opens_after=3))
    noon = opening_day(FIRST_MONTH)  # 2 February
    assert (due_month(settings, noon), due_month(own, noon)) == ("2026-01", "2026-01")
    assert [due_month(own, noon.replace(day=day)) for day in (27, 28)] == ["2026-01", "2026-02"]
    assert due_month(settings, noon.replace(day=1, hour=15)) == "2026-01"
    assert due_month(settings, noon - timedelta(days=2, hours=-14)) == "2026-01"  # 18:00 UTC is tomorrow there


def test_a_round_is_closed_once_and_before_its_time_with_a_reason(story: Story) -> None:
    move(story, ANN, 6)
    story.open()
    now = opening_day(FIRST_MONTH)
    with pytest.raises(RoundStillDue), story.database.begin() as connection:
        close_round(connection, BUREAU, FIRST_MONTH, now)
    with story.database.begin() as connection:
        assert close_round(connection, BUREAU, FIRST_MONTH, now, "提前结束")
        assert not close_round(connection, BUREAU, FIRST_MONTH, now)
        acts = run_sql(connection, "SELECT act, object FROM {d}.audit WHERE object LIKE 'round/%' ORDER BY audit_id")
    assert acts == [("manage-round", f"round/{FIRST_MONTH}")] * 2


def test_rounds_close_by_themselves_on_their_day(story: Story) -> None:
    move(story, ANN, 6)
    story.open()
    day, by_hand = (
        opening_day(FIRST_MONTH),
        msgspec.structs.replace(story.settings, rounds=RoundPolicy(automatic=False)),
    )
    assert close_due_rounds(story.database, story.settings, day + timedelta(days=12)) == []
    assert close_due_rounds(story.database, by_hand, day + timedelta(days=13)) == []
    assert close_due_rounds(story.database, story.settings, day + timedelta(days=13)) == [FIRST_MONTH]  # the 15th
    assert close_due_rounds(story.database, story.settings, day + timedelta(days=14)) == []


# ---- what is asked ----


def test_nothing_clinical_by_existing_is_ever_asked(catalogue: Catalogue) -> None:
    asked = {*asked_types(catalogue)}
    assert len(asked) > 10
    assert not asked & {*CARE_ONLY_TYPES, *catalogue.rounds.never_asked}


def test_both_towns_of_a_marriage_are_asked_each_about_its_own(story: Story) -> None:
    move(story, ANN, 6)
    move(story, BEN, 9)
    story.open()
    marry(story, "J1", ANN, BEN)
    story.open()
    found = items(story, "town", "village", "role", "change", where=f"month = '{NEXT_MONTH}'")
    assert found == [(2, 6, "male", "enter"), (3, 9, "female", "enter")]


def test_records_that_only_followed_somebody_who_moved_are_one_line(story: Story) -> None:
    move(story, ANN, 6)
    for employer in ("甲厂", "乙厂"):
        story.send("labour", "employment", [person(ANN) | {"employer": employer, "start_date": "2024-01-01"}])
    story.open()
    move(story, ANN, 9, day="2026-01-20")
    story.open()
    left = items(story, "record_type", "change", "village", where=f"month = '{NEXT_MONTH}' AND i.town = 2")
    came = items(story, "record_type", "change", where=f"month = '{NEXT_MONTH}' AND i.town = 3")
    assert left == [("employment", "leave", 6)]
    assert sorted(came) == [("employment", "enter")] * 2 + [("hukou_move_in", "enter")]  # the move itself is told there
    with story.database.begin() as connection:
        told = run_sql(connection, "SELECT i.record_id = min(c.record_id::text)::uuid, count(*) " + _OF_TOWN, town=2)
    assert told == [(True, 2)]


_OF_TOWN = """
FROM {d}.round_change r JOIN {d}.change_log c USING (seq) JOIN {d}.round_item i USING (item_id)
 WHERE r.town = :town AND c.op = 'reroute' GROUP BY i.item_id
"""


def test_what_could_not_be_verified_is_asked_again_once(story: Story) -> None:
    move(story, ANN, 6)
    marry(story, "J1", BEN, CLEM, male_area=7, female_area=7)
    story.open()
    answer(story, "true", "deferred", "5")
    marry(story, "J1", BEN, ANN, male_area=7, female_area=7, change_kind="correct")
    opened = story.open()
    assert (opened.items, opened.again, opened.changes) == (2, 2, 1)
    assert sorted(items(story, "came", "version", "change", where=f"month = '{NEXT_MONTH}'")) == [
        ("again", 1, "enter"),
        ("again", 2, "update"),
    ]
    third = story.open()
    assert third.items == 0
    answer(story, "came = 'again' AND version = 2", "deferred", "5")
    assert story.open().again == 1


# ---- the watermark ----


def test_a_change_committed_while_a_round_is_opened_is_in_the_next_one(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(story, ANN, 6)
    plain = round_items._find_touched

    def meanwhile(connection: Connection, *given: Any) -> int:
        if not items_of_log(story, BEN):
            move(story, BEN, 7)
        return plain(connection, *given)

    monkeypatch.setattr(round_items, "_find_touched", meanwhile)
    assert [story.open().changes for _ in range(3)] == [1, 1, 0]


def items_of_log(story: Story, number: str) -> bool:
    with story.database.begin() as connection:
        return bool(run_sql(connection, "SELECT 1 FROM {d}.person_identifier WHERE value = :number", number=number))


def test_with_writers_at_work_every_change_is_in_exactly_one_round(story: Story) -> None:
    done = threading.Event()

    def write(seed: int) -> None:
        own = Story(story.database, story.settings, story.catalogue, seed)
        for number in range(12):
            own.work() if number % 2 else own.move()

    with ThreadPoolExecutor(4) as threads:
        writers = [threads.submit(write, seed) for seed in (11, 12)]
        opening = threads.submit(lambda: [story.open() for _ in range(5) if not done.wait(0.1)])
        for writer in writers:
            writer.result()
        opening.result()
    story.open()
    oracle = RoundOracle(story.catalogue)
    with story.database.begin() as connection:
        oracle.open(connection, "all")
        rows = run_sql(connection, "SELECT c.seq, c.town, c.seq > after_seq AND c.seq <= up_to_seq" + _WITH_ROUND)
        used = run_sql(connection, "SELECT count(DISTINCT month)" + _WITH_ROUND)[0][0]
    assert {(seq, town) for seq, town, _ in rows} == oracle.asked["all"] and all(within for *_, within in rows)
    assert int(str(used)) > 1


_WITH_ROUND = " FROM {d}.round_change c JOIN {d}.monthly_round USING (round_id)"


# ---- towns merge ----

Halves = dict[int, tuple[str, int | None]]


@pytest.mark.parametrize(
    ("states", "stays"),
    [
        ({2: ("open", None), 3: ("answered", None)}, "answered"),
        ({2: ("answered", None), 3: ("deferred", None)}, "answered"),
        ({2: ("transferred", 4), 3: ("open", None)}, "transferred"),
        ({2: ("transferred", 3), 3: ("open", None)}, "open"),
        ({2: ("transferred", 3), 3: ("answered", None)}, "answered"),
    ],
)
def test_a_line_both_towns_had_is_one_line_and_the_further_one_stays(story: Story, states: Halves, stays: str) -> None:
    move(story, CLEM, 6)
    marry(story, "J1", ANN, BEN, male_area=6, female_area=9)
    opened = story.open()
    for town, (state, sent_to) in states.items():
        if state != "open":
            answer(story, f"town = {town} AND record_type = 'marriage'", state, sent_to=sent_to)
    story.merge_these(2, 3)
    assert sorted(items(story, "record_type", "i.state", "i.town")) == [
        ("hukou_move_in", "open", 3),
        ("marriage", stays, 3),
    ]
    assert sorted(items(story, "number")) == [(1,), (2,)]
    with story.database.begin() as connection:
        told = run_sql(connection, "SELECT c.town, i.town, count(*) FROM {d}.round_change c JOIN {d}.round_item i"
                                   " USING (item_id) GROUP BY 1, 2")  # fmt: skip
        towns = run_sql(connection, "SELECT town, completed_at IS NULL FROM {d}.round_town ORDER BY town")
    assert opened.changes == 3 and told == [(3, 3, 2)]
    assert towns == [(3, True), (4, False), (5, False)]


# ---- who sees how far it is ----


def _as_seen(app_database: Database, who: Actor) -> list[tuple[int, int, list[int | None]]]:
    with app_database.begin(reach_of(who)) as connection:
        found = progress(connection, who, FIRST_MONTH)
    return [(one.town, one.tally.items, [each.village for each in one.villages]) for one in found]


def test_a_town_sees_its_own_and_those_who_oversee_see_all(story: Story, app_database: Database) -> None:
    for number, village in zip(PEOPLE, (6, 6, 7, 9), strict=False):
        move(story, number, village)
    story.open()
    all_of_it = [(2, 3, [6, 7]), (3, 1, [9]), (4, 0, []), (5, 0, [])]
    assert _as_seen(app_database, BUREAU) == _as_seen(app_database, LEADER) == all_of_it
    assert _as_seen(app_database, staff("town_officer", "town", 2)) == all_of_it[:1]
    assert _as_seen(app_database, staff("town_officer", "village", 6)) == [(2, 2, [6])]
    for role in ("department_clerk", "auditor"):
        with pytest.raises(NotAllowed):
            _as_seen(app_database, staff(role, "department"))


def test_counts_go_by_verdict_and_nothing_asked_has_no_share(story: Story) -> None:
    for number, village in zip(PEOPLE, (6, 6, 7, 9), strict=False):
        move(story, number, village)
    story.open()
    answer(story, "village = 7", "transferred", "4", sent_to=3)
    answer(story, "village = 9", "answered", "1")
    with story.database.begin() as connection:
        run_sql(
            connection, "UPDATE {d}.round_item SET answered_at = :late WHERE village = 9", late=opening_day("2026-03")
        )
        first, second, third, _ = progress(connection, SYSTEM_ACTOR, FIRST_MONTH)
        (month,) = summaries(connection, SYSTEM_ACTOR)
        with pytest.raises(NotFound):
            progress(connection, SYSTEM_ACTOR, NEXT_MONTH)
    assert (first.tally.answered, first.tally.open, first.tally.transferred, first.tally.late) == (1, 2, 1, 0)
    assert (first.tally.verdicts, second.tally.verdicts) == ((0, 0, 0, 1, 0), (1, 0, 0, 0, 0))
    assert (second.tally.late, second.tally.share, third.tally.share) == (1, 1.0, None)
    assert (month.towns, month.completed, month.tally.items, month.tally.answered) == (4, 2, 4, 2)


def test_the_pages_the_interface_and_the_command_tell_the_same(
    database: Database,
    app_database: Database,
    settings: Settings,
    catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        with TestClient(hub.app, base_url="https://hub.test") as client:
            client.post(_SEND, content=csv_of(move_in(1), move_in(2)), headers=hub.key_of("public_security") | _CSV)
            hub.work()
            assert _command(settings, monkeypatch, "open", "--reason", "演练")["items"] == 2
            assert _command(settings, monkeypatch, "status", "--town", TOWN)["towns"][0]["tally"]["open"] == 2
            pages = {login: _pages(visitor(hub, client, login)) for login in ("qingxi", "bailu", "quju")}
            assert "Passed on" in visitor(hub, client, "quju").get(f"/rounds/{THIS_MONTH}", "en").text
        assert all(f'href="/rounds/{THIS_MONTH}"' in rounds for rounds, _, _ in pages.values())
        assert [f"/rounds/{THIS_MONTH}/items" in its for _, its, _ in pages.values()] == [True, True, False]
        assert ["光明社区" in its for _, its, _ in pages.values()] == [True, False, False]
        assert (
            "清溪街道,小计,2,0,0,0,0,0,0,0.0%" in pages["quju"][2] and "白鹭镇,小计,0,0,0,0,0,0,0,—" in pages["quju"][2]
        )
        assert "清溪街道" not in pages["bailu"][2]


_SEND = f"/v1/submissions?type=hukou_move_in&period={THIS_MONTH}"
_CSV = {"Content-Type": "text/csv", "Idempotency-Key": "1"}


def _command(settings: Settings, monkeypatch: pytest.MonkeyPatch, verb: str, *more: str) -> dict[str, Any]:
    for name, url in (
        ("DATABASE", settings.database_url),
        ("OWNER", settings.owner_url),
        ("WORKER", settings.worker_url),
    ):
        monkeypatch.setenv(f"HUB_{name}_URL", url or "")
    given = ["round", verb, "--month", THIS_MONTH, "--json", "--home", str(settings.home), *more]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    return msgspec.json.decode(done.stdout)  # type: ignore[no-any-return]


def _pages(reader: Visitor) -> list[str]:
    """The list of rounds, one round, and its table; the workbook is one."""
    paths = ("/rounds", f"/rounds/{THIS_MONTH}", f"/rounds/{THIS_MONTH}/check.csv", f"/rounds/{THIS_MONTH}/check.xlsx")
    answers = [reader.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    assert answers[3].content[:2] == b"PK"
    return [answer.text for answer in answers[:3]]
