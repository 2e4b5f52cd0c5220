"""What counts as what in the month's account, one case a rule; joining, letting pass, closing, and the doors to it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest
from litestar.testing import TestClient
from typer.testing import CliRunner

from admin.lists import balance_people
from hub.__main__ import app
from hub.casework.balance import (
    DoesNotClose,
    NotItsTurn,
    NotOverYet,
    close_account,
    close_due,
    draw_account,
    join_books,
)
from hub.casework.balance_excuses import excuse
from hub.casework.balance_reading import WHYS
from hub.database import Database, run_sql, utc_now
from hub.embedded import Cluster
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.people.attributes import derive
from hub.registry.api_keys import issue_key
from hub.registry.areas import load_area_index
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.balance_stories import FIRST, TOWN_A, TOWN_B, TOWN_C, Books, Story, balance_books
from tests.desk_visits import add_staff, visitor
from tests.district import actor
from tests.doors import TOWN, Hub, founded_hub, identity_number

JAN, FEB, MARCH = FIRST, "2026-02", "2026-03"
Said = tuple[str, int, int | None, str | None]
Line = tuple[str, int | None, int | None, str]  # kind, from, to, first word of the reason


@pytest.fixture(scope="module")
def books(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    with balance_books(cluster, catalogue, tmp_path_factory.mktemp("home"), "rules") as books:
        yield books


CASES: dict[str, tuple[list[Said], list[Line]]] = {
    "a birth and a death in one month are both counted": (
        [("newborn_hukou", 9, 5, "2026-02-03"), ("death_certificate", 9, 5, "2026-02-07")],
        [("birth", None, 5, ""), ("death", 5, None, "")],
    ),
    "three sources of one death count once": (
        [("death_certificate", 1, 5, "2026-02-03"), ("cremation", 1, 5, "2026-02-06"),
         ("hukou_cancel", 1, 5, "2026-02-04")],
        [("death", 5, None, "")],
    ),
    "somebody leaves from where the books have them, whatever the certificate says": (
        [("death_certificate", 1, 7, "2026-02-03")],
        [("death", 5, None, "")],
    ),
    "a move within a town leads out of one village and into another": (
        [("hukou_move_in", 1, 6, "2026-02-03")],
        [("moved", 5, 6, "")],
    ),
    "who moves twice is told twice": (
        [("hukou_move_in", 1, 6, "2026-02-03"), ("hukou_move_in", 1, 7, "2026-02-09")],
        [("moved", 5, 6, ""), ("moved", 6, 7, "")],
    ),
    "a move out of somebody who was not here moved nobody": (
        [("hukou_move_out", 9, 5, "2026-02-03")],
        [("moved", 5, None, ""), ("unexplained", None, 5, "not_here")],
    ),
    "a death of somebody who was not here moved nobody": (
        [("death_certificate", 9, 6, "2026-02-03")],
        [("death", 6, None, ""), ("unexplained", None, 6, "not_here")],
    ),
    "a death of somebody from elsewhere is not ours": ([("death_certificate", 9, None, "2026-02-03")], []),
    "a birth whose child lives nowhere is counted by the district": (
        [("newborn_hukou", 9, None, "2026-02-03")],
        [("birth", None, 1, ""), ("unexplained", 1, None, "lives_nowhere")],
    ),
    "a child of whom another source says where is no difference": (
        [("newborn_hukou", 9, None, "2026-02-03"), ("town_arrival", 9, 6, "2026-02-03")],
        [("birth", None, 6, "")],
    ),
    "whoever is dead does not come back": (
        [("death_certificate", 1, 5, "2026-02-03"), ("hukou_move_in", 1, 7, "2026-02-20")],
        [("death", 5, None, ""), ("moved", None, 7, ""), ("unexplained", 7, None, "after_death")],
    ),
    "a child the books had before it was born": (
        [("newborn_hukou", 1, 5, "2026-02-03")],
        [("birth", None, 5, ""), ("unexplained", 5, None, "here_already")],
    ),
    "a registration that ends is a move out": (
        [("residence_registration", 9, 6, "2026-02-03")],
        [("moved", None, 6, ""), ("moved", 6, None, "")],
    ),
    "a late roll corrects": ([("resident_roll", 9, 6, None)], [("correction", None, 6, "")]),
    "a roll that came with the move is the move": (
        [("resident_roll", 9, 6, None), ("hukou_move_in", 9, 6, "2026-02-03")],
        [("moved", None, 6, "")],
    ),
    "an event of a closed month is an adjustment": ([("hukou_move_in", 9, 6, "2025-11-03")], [("moved", None, 6, "")]),
    "towns that did not join are elsewhere": (
        [("hukou_move_in", 1, 8, "2026-02-03"), ("hukou_move_out", 4, 8, "2026-02-03")],
        [("moved", 5, None, "")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_in_the_account(books: Books, case: str) -> None:
    happenings, expected = CASES[case]
    with books.story() as story:
        begin(story)
        for record_type, who, area, day in happenings:
            ends = {"cancelled_on": "2026-02-20"} if record_type == "residence_registration" else {}
            story.say(record_type, who, area, day, **ends)
        story.draw(FEB)
        told = [(kind, origin, to, why) for _, kind, origin, to, _, why in story.told(FEB)]
    assert sorted(told, key=str) == sorted(expected, key=str)


def begin(story: Story) -> None:
    """Two towns of three; 1 and 2 live in village 5, 3 in 7, 4 in a town that has not joined; January is closed."""
    story.join(TOWN_A, TOWN_B)
    for who, area in ((1, 5), (2, 5), (3, 7), (4, 8)):
        story.say("resident_roll", who, area)
    story.close(JAN)


def test_a_move_between_villages_is_nothing_to_their_town(books: Books) -> None:
    with books.story() as story:
        begin(story)
        story.say("hukou_move_in", 1, 6, "2026-02-03")
        story.draw(FEB)
        figures = story.figures(FEB)
        assert (figures[5]["moved_out"], figures[6]["moved_in"]) == (1, 1)
        assert (figures[TOWN_A]["moved_out"], figures[TOWN_A]["moved_in"]) == (0, 0)


def test_a_closed_month_stays_what_it_was_and_the_next_takes_what_came_late(books: Books) -> None:
    with books.story() as story:
        begin(story)
        story.close(FEB)
        before = story.figures(FEB), story.told(FEB)
        story.say("death_certificate", 1, 5, "2026-02-11")
        assert story.draw(FEB).state == "closed"
        assert (story.figures(FEB), story.told(FEB)) == before
        story.draw(MARCH)
        assert story.told(MARCH) == [(1, "death", 5, None, FEB, "")]
        assert (story.figures(MARCH)[5]["adjusted_out"], story.figures(MARCH)[5]["deaths"]) == (1, 0)


def test_months_are_closed_one_after_the_other_and_not_before_they_are_over(books: Books) -> None:
    with books.story() as story:
        begin(story)
        with pytest.raises(NotItsTurn):
            story.draw(MARCH)
        early = datetime(2026, 2, 28, 12, tzinfo=UTC)
        with pytest.raises(NotOverYet):
            close_account(story.connection, story.settings, story.catalogue, SYSTEM_ACTOR, FEB, early)


def test_a_department_that_sends_its_old_records_opens_the_books_for_them(books: Books) -> None:
    with books.story() as story:
        begin(story)
        story.put("resident_roll", story.row("resident_roll", 9, 6, None), kind="backfill")
        story.put("newborn_hukou", story.row("newborn_hukou", 10, 6, "2025-06-01"), kind="backfill")
        story.draw(FEB)
        assert sorted(story.told(FEB)) == [(9, "opening", None, 6, FEB, ""), (10, "birth", None, 6, "2025-06", "")]
        figures = story.figures(FEB)[6]
        assert (figures["opening"], figures["adjusted_in"], figures["births"]) == (1, 1, 0)


def test_a_town_joins_once_and_not_in_a_closed_month(books: Books) -> None:
    with books.story() as story:
        begin(story)
        with pytest.raises(Conflict, match="2026-01"):
            story.join(TOWN_C, month=JAN)
        story.join(TOWN_C, month=FEB)
        with pytest.raises(Conflict):
            story.join(TOWN_C, month=MARCH)
        with pytest.raises(NotFound):
            story.join(5, month=FEB)
        story.draw(FEB)
        assert story.told(FEB) == [(4, "opening", None, 8, FEB, "")]


def test_a_difference_let_pass_stays_let_pass_until_it_is_another(books: Books) -> None:
    with books.story() as story:
        begin(story)
        story.say("hukou_move_out", 9, 5, "2026-02-03")
        story.say("death_certificate", 10, 7, "2026-02-03")
        assert story.draw(FEB).unexplained == 2
        with pytest.raises(BadRequest):
            excuse(story.connection, SYSTEM_ACTOR, FEB, "好", utc_now(), town=TOWN_A)
        assert excuse(story.connection, SYSTEM_ACTOR, FEB, "村里核实过", utc_now(), town=TOWN_A) == 1
        assert (story.figures(FEB)[5]["excused"], story.figures(FEB)[5]["unexplained"]) == (1, 0)
        assert story.draw(FEB).unexplained == 1
        assert story.figures(FEB)[5]["excused"] == 1
        with pytest.raises(NotFound):
            excuse(story.connection, SYSTEM_ACTOR, FEB, "村里核实过", utc_now(), town=TOWN_A)


def test_who_may_not_manage_rounds_neither_draws_nor_joins_nor_lets_pass(books: Books) -> None:
    town = actor("999001001", "town_officer")
    with books.story() as story:
        begin(story)
        index = load_area_index(story.connection)
        for act in (
            lambda: draw_account(story.connection, story.settings, story.catalogue, town, FEB, utc_now()),
            lambda: join_books(story.connection, town, TOWN_C, FEB, utc_now(), index),
            lambda: excuse(story.connection, town, FEB, "村里核实过", utc_now(), town=TOWN_A),
        ):
            with pytest.raises(NotAllowed):
                act()


def test_the_daily_job_draws_a_month_that_is_over_and_closes_it_when_its_day_has_come(
    hub: Hub, catalogue: Catalogue
) -> None:
    with hub.worker.begin() as connection:
        excuse(connection, SYSTEM_ACTOR, JAN, "村里核实过", utc_now(), town=load_area_index(connection).codes[TOWN])

    def on(month: int, day: int) -> list[tuple[str, str]]:
        now = datetime(2026, month, day, 12, tzinfo=UTC)
        return [(one.month, one.state) for one in close_due(hub.worker, hub.settings, catalogue, now)]

    assert on(1, 31) == []
    assert on(2, 14) == [(JAN, "drawn")]
    assert on(2, 15) == [(JAN, "closed")]
    assert on(2, 28) == []
    assert on(4, 20) == [(FEB, "closed"), (MARCH, "closed")]


# ---- the doors ----


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        add_staff(hub)
        with hub.worker.begin() as connection:
            story = Story(connection, settings, catalogue)
            index = load_area_index(connection)
            at = {code: index.codes[code] for code in ("999001001000", "999001001001", "999001100200", "999001100000")}
            story.join(at["999001001000"], at["999001100000"])
            story.say("resident_roll", 1, at["999001001001"])
            story.say("resident_roll", 2, at["999001100200"])
            story.say("hukou_move_out", 9, at["999001001001"], "2026-01-20")
            derive(connection, catalogue, [row[0] for row in run_sql(connection, "SELECT person_id FROM {d}.person")])  # type: ignore[misc]
        assert [drawn.unexplained for drawn in close_due(hub.worker, settings, catalogue, utc_now())] == [1]
        yield hub


BROWSING = "https://hub.test"
PEOPLE = "/balance/people?month=2026-01&area={}&figure=unexplained"
GUANGMING, BAILU, REASON = "999001001001", "999001100000", "查找差异人员"


def test_a_town_sees_its_own_account_and_the_bureau_all_of_it(hub: Hub) -> None:
    with TestClient(hub.app, base_url=BROWSING) as client:
        whole, own = (visitor(hub, client, login).get("/balance").text for login in ("quju", "qingxi"))
        assert [name in whole for name in ("云岭区", "光明社区", "松坪村")] == [True, True, True]
        assert [name in own for name in ("云岭区<", "光明社区", "松坪村")] == [False, True, False]
        book = visitor(hub, client, "qingxi").get("/balance/account.xlsx?month=2026-01").content
        assert sheet_rows(book)[3][0] == "清溪街道"
        english = visitor(hub, client, "quju").get("/balance", language="en").text
        assert "People who make a difference" in english


def test_every_figure_opens_its_people_to_their_town_and_with_a_reason_to_the_bureau(hub: Hub) -> None:
    with TestClient(hub.app, base_url=BROWSING) as client:
        bureau, town, other = (visitor(hub, client, login) for login in ("quju", "qingxi", "bailu"))
        asked = bureau.get(PEOPLE.format(GUANGMING)).text
        assert "查阅理由" in asked
        assert "离开或死亡" not in asked
        reasoned = bureau.get(f"{PEOPLE.format(GUANGMING)}&purpose=other&reason={REASON}").text
        for page in (reasoned, town.get(PEOPLE.format(GUANGMING)).text):
            assert "离开或死亡，但账上此人不在此地" in page
            assert identity_number(9) not in page
            assert identity_number(9)[:6] in page
        assert other.get(PEOPLE.format(GUANGMING)).status_code == 403
        assert town.get(PEOPLE.format(BAILU)).status_code == 403
        assert bureau.get(f"{PEOPLE.format(GUANGMING)}&purpose=other&reason=看").status_code == 422
    assert [line["reason"] for line in notes_of_reading(hub) if line["purpose"] == "other"] == [REASON]


def test_the_leader_sees_counts_and_nobody(hub: Hub) -> None:
    with TestClient(hub.app, base_url=BROWSING) as client:
        leader = visitor(hub, client, "lingdao")
        page = leader.get("/balance").text
        assert "光明社区" in page
        assert "/balance/people" not in page
        assert leader.get(PEOPLE.format(GUANGMING)).status_code == 403


def test_a_system_reads_the_account_of_its_own_town(hub: Hub) -> None:
    with hub.served.begin() as connection:
        key = issue_key(connection, SYSTEM_ACTOR, organisation=TOWN, title="接口", scopes={Right.READ_CHANGE_LIST})
    with TestClient(hub.app, base_url=BROWSING) as client:
        told = client.get("/v1/balance/2026-01", headers={"Authorization": f"Bearer {key.text}"}).json()
        assert [line["code"] for line in told["data"]] == ["999001001000", GUANGMING]
        assert [(line["unexplained"], line["missing"]) for line in told["data"]] == [(1, 1), (1, 1)]
        assert client.get("/v1/balance/2026-01", headers=hub.key_of("labour")).status_code == 403


def test_the_command_line_lists_lets_pass_and_closes(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("database_url", "worker_url", "owner_url", "audit_url"):
        monkeypatch.setenv(f"HUB_{name.upper()}", str(getattr(hub.settings, name)))

    def said(*words: str) -> Any:
        return CliRunner().invoke(app, ["balance", *words, "--month", "2026-01", "--home", str(hub.settings.home)])

    refused = said("close")
    assert refused.exit_code == DoesNotClose.exit_code
    listed = said("people", "--reason", REASON, "--area", GUANGMING)
    assert listed.exit_code == 0, listed.output
    found = json.loads(listed.stdout.splitlines()[-1])
    (line,) = found["lines"]
    assert (line["why"], found["people"]) == ("not_here", 1)
    assert "1" in said("excuse", "--person", line["person_id"], "--reason", "村里核实，人已搬走").stdout
    assert json.loads(said("close", "--json").stdout.splitlines()[-1])["state"] == "closed"
    shown = [row.split("\t") for row in said("show").stdout.splitlines()]
    assert [row[1] for row in shown[1:]] == ["云岭区", "清溪街道", "光明社区", "白鹭镇", "松坪村"]


def notes_of_reading(hub: Hub) -> list[dict[str, str]]:
    with hub.worker.begin() as connection:
        rows = run_sql(connection, "SELECT facts FROM {d}.audit WHERE object LIKE 'balance/2026-01/%'")
    return [dict(row[0]) for row in rows]  # type: ignore[call-overload]


def sheet_rows(book: bytes) -> list[tuple[object, ...]]:
    return list(openpyxl.load_workbook(io.BytesIO(book)).active.iter_rows(values_only=True))  # type: ignore[union-attr]


def test_every_reason_has_words_on_the_page() -> None:
    assert set(balance_people.WHYS) == set(WHYS)
