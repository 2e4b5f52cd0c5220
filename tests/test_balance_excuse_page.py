"""One person's difference in the month's account: let pass on the page of its people, with a reason, and taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import insert

from hub.casework.balance import draw_account, join_books
from hub.casework.rounds import months_to_open
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.registry.areas import load_area_index
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from hub.tables import balance_movement
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, visitor
from tests.doors import TOWN, Hub, founded_hub


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


@pytest.fixture
def bureau(hub: Hub, client: TestClient[Litestar]) -> Visitor:
    return visitor(hub, client, "quju")


@pytest.fixture
def month(hub: Hub) -> str:
    with hub.worker.begin() as connection:
        return months_to_open(connection, hub.settings, utc_now())[0]


def test_one_persons_difference_is_let_pass_where_its_people_are_and_taken_back(
    hub: Hub, bureau: Visitor, client: TestClient[Litestar], month: str, catalogue: Catalogue
) -> None:
    person = hub_with_a_difference(hub, catalogue, month)
    figure = {"q-month": month, "q-figure": "unexplained", "q-purpose": "verify", "q-reason": "查找差异人员"}
    place = f"/balance/people?month={month}&purpose=verify&reason=查找差异人员"
    assert f'<option value="{person}"' in bureau.get(f"{place}&figure=unexplained").text
    short = bureau.post("/balance/people", **figure, person=str(person), why="短")
    assert (short.status_code, 'href="#why"' in short.text, ">短</textarea>" in short.text) == (400, True, True)
    nobody = bureau.post("/balance/people", **figure, why="村里核实，人已搬走")
    assert (nobody.status_code, 'href="#person"' in nobody.text) == (400, True)
    done = bureau.post("/balance/people", **figure, person=str(person), why="村里核实，人已搬走")
    assert done.status_code == 303 and f"month={month}" in done.headers["location"]
    hub.work()
    assert "没有这样的人员" in bureau.get(f"{place}&figure=unexplained").text
    excused = bureau.get(f"{place}&figure=excused").text
    assert re.search(r"quju于[\d -:]+说明：村里核实，人已搬走", excused)
    assert bureau.post("/balance/people", **figure, person=str(person), why="再说一次试试").status_code == 404
    back = bureau.post(
        "/balance/people", **(figure | {"q-figure": "excused"}), person=str(person), why="核实有误，人还在村里"
    )
    assert back.status_code == 303
    hub.work()
    assert f'<option value="{person}"' in bureau.get(f"{place}&figure=unexplained").text
    assert_told_in_the_audit(hub, month, person)
    clerk = visitor(hub, client, "renshe")
    assert clerk.post("/balance/people", **figure, person=str(person), why="村里核实，人已搬走").status_code == 403


def hub_with_a_difference(hub: Hub, catalogue: Catalogue, month: str) -> UUID:
    """A drawn month with somebody in it whom nothing explains."""
    with hub.worker.begin() as connection:
        index = load_area_index(connection)
        join_books(connection, SYSTEM_ACTOR, index.codes[TOWN], month, utc_now(), index)
        draw_account(connection, hub.settings, catalogue, SYSTEM_ACTOR, month, utc_now())
        person = new_uuid()
        row = {
            "movement_id": new_uuid(), "month": month, "person_id": person, "kind": "unexplained", "from_area": None,
            "to_area": index.codes[TOWN], "of_month": month, "record_type": "", "reason": "no_cause",
        }  # fmt: skip
        connection.execute(insert(balance_movement), [row])
    return person


def assert_told_in_the_audit(hub: Hub, month: str, person: UUID) -> None:
    with hub.worker.begin() as connection:
        rows = run_sql(connection, "SELECT actor, facts FROM {d}.audit WHERE object = :one", one=f"balance/{month}")
    told: list[Any] = [facts for actor, facts in rows if actor == "quju"]
    told = [facts for facts in told if facts.get("person") == str(person)]
    assert {facts.get("what", "") for facts in told} == {"ask-excuse", "ask-take-back", ""}
    assert [facts["reason"] for facts in told if facts.get("taken_back")] == ["核实有误，人还在村里"]
    assert [facts["reason"] for facts in told if facts.get("excused")] == ["村里核实，人已搬走"]
