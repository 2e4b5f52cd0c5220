"""Persons who may be there twice: found in the register, shown to their town, judged once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.database import Database, new_uuid, run_sql
from hub.exchange.pipeline import apply_staged
from hub.people.attributes import derive
from hub.people.pairs import find_pairs
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, visitor
from tests.district import BAILU, GUANGMING
from tests.doors import Hub, founded_hub, identity_number
from tests.staged import stage

RIGHT, WRONG, NAMESAKE, FAR = (identity_number(number) for number in (1, 5, 470, 9))
WANG = {"name": "王小明", "birth_date": "1990-03-07", "sex": "2", "phone": "19900001234", "household_no": "7"}
REASON = "已查户口底册"
_LINK = re.compile(r'href="(/pairs/[0-9a-f-]{36}/[0-9a-f-]{36})"')
_STATES = "SELECT state, organisation FROM {d}.person_pair ORDER BY found_at, first_id"


@pytest.fixture
def hub(
    database: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> Iterator[tuple[Hub, TestClient[Litestar]]]:
    """One man under two numbers in Guangming, his namesake with a number of his own, and one who moved to Bailu."""
    with (
        founded_hub(database, app_database, settings, catalogue) as hub,
        TestClient(hub.app, base_url="https://hub.test") as client,
    ):
        people = [(RIGHT, WANG, GUANGMING), (WRONG, WANG, GUANGMING), (NAMESAKE, {"name": "王小明"}, BAILU)]
        settle(hub, catalogue, [{"id_no": number, "person_area": area, **said} for number, said, area in people])
        yield hub, client


def settle(hub: Hub, catalogue: Catalogue, rows: list[dict[str, Any]]) -> int:
    with hub.worker.begin() as connection:
        roll = catalogue.record_types["resident_roll"]
        apply_staged(connection, stage(connection, roll, rows), "public_security", roll, catalogue)
        derive(connection, catalogue, [row[0] for row in run_sql(connection, "SELECT person_id FROM {d}.person")])  # type: ignore[misc]
    with hub.worker.begin() as connection:
        return find_pairs(connection, catalogue)


def states(hub: Hub) -> list[tuple[object, ...]]:
    with hub.worker.begin() as connection:
        return run_sql(connection, _STATES)


def the_pair(who: Visitor) -> str:
    (link,) = _LINK.findall(who.get("/pairs").text)
    return str(link)


def test_one_man_under_two_numbers_is_found_and_his_namesake_is_not(hub: tuple[Hub, TestClient[Litestar]]) -> None:
    assert states(hub[0]) == [("open", "999001001")]


def test_a_town_compares_the_two_and_says_they_are_one(
    hub: tuple[Hub, TestClient[Litestar]], catalogue: Catalogue
) -> None:
    its, client = hub
    town = visitor(its, client, "qingxi")
    link = the_pair(town)
    page = town.get(link).text
    assert "王小明" in page and "同一户" not in page and RIGHT not in page
    assert "同户" in page
    unsaid = town.post(link, verdict="same", reason=REASON)
    assert (unsaid.status_code, "请选定正确的一个" in unsaid.text) == (400, True)
    assert town.post(link, verdict="same", reason=REASON, right="first").headers["location"] == (
        f"/pairs?done=same&person={link.split('/')[2]}"
    )
    assert not _LINK.findall(town.get("/pairs").text)
    its.work()
    assert states(its) == [("same", "999001001")]
    with its.worker.begin() as connection:
        assert run_sql(connection, "SELECT count(*) FROM {d}.person WHERE merged_into IS NOT NULL") == [(1,)]
    assert settle(its, catalogue, []) == 0


def test_what_was_kept_apart_is_not_asked_again_and_what_moved_on_is_gone(
    hub: tuple[Hub, TestClient[Litestar]], catalogue: Catalogue
) -> None:
    its, client = hub
    town = visitor(its, client, "qingxi")
    town.post(the_pair(town), verdict="apart", reason=REASON)
    its.work()
    assert settle(its, catalogue, []) == 0
    assert states(its)[0][0] == "apart"
    third = {"id_no": FAR, "person_area": GUANGMING, **WANG}
    with its.worker.begin() as connection:
        run_sql(connection, "DELETE FROM {d}.person_profile")  # so that the row is not held as doubtful
    assert settle(its, catalogue, [third]) == 2
    assert settle(its, catalogue, [third | {"name": "李大海", "change_kind": "correct"}]) == 0
    assert sorted(state for state, _ in states(its)) == ["apart", "gone", "gone"]


def test_another_town_sees_nothing_and_the_bureau_gives_a_reason(hub: tuple[Hub, TestClient[Litestar]]) -> None:
    its, client = hub
    link = the_pair(visitor(its, client, "qingxi"))
    other = visitor(its, client, "bailu")
    assert not _LINK.findall(other.get("/pairs").text)
    assert other.get(link).status_code == 404
    bureau = visitor(its, client, "quju")
    asked, read = bureau.get(link).text, bureau.get(f"{link}?reason={REASON}").text
    assert ("王小明" in asked, "查阅理由" in asked, "同户" in read, RIGHT in read) == (False, True, True, False)
    assert "Side by side" in bureau.get(f"{link}?reason={REASON}", language="en").text
    with its.worker.begin() as connection:
        noted = run_sql(
            connection, "SELECT count(*) FROM {d}.audit WHERE act = 'judge-person' AND facts->>'what' = 'read'"
        )
    assert noted == [(2,)]
    assert visitor(its, client, "gongan").get("/pairs").status_code == 403
    assert bureau.get(f"/pairs/{new_uuid()}/{new_uuid()}?reason={REASON}").status_code == 404
