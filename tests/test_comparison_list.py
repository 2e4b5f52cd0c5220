"""The worked list of the standing comparisons: opened, closed with what was found, gone, reopened; and whose it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from litestar.testing import TestClient
from sqlalchemy import Connection
from typer.testing import CliRunner

from hub.__main__ import app
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.errors import Conflict, NotAllowed, NotFound
from hub.people.comparison import compare
from hub.people.comparison_list import (
    BadEvidence,
    Wanted,
    close_item,
    count_items,
    list_items,
    read_item,
    reopen_item,
)
from hub.registry.permissions import ROLES, Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests import district
from tests.comparison_cases import LATELY, LONG_AGO, TODAY, Row, cancelled, died, employed, on_roll
from tests.desk_visits import visitor
from tests.district import QINGXI_OFFICE, actor
from tests.doors import founded_hub, identity_number
from tests.test_comparisons import tell

NUMBER = identity_number(801)
FIRST_NIGHT = datetime(2026, 11, 22, 3, tzinfo=UTC)
POLICE = actor("public_security", "department_clerk")
LABOUR = actor("labour", "department_clerk")
BUREAU = actor("bureau", "bureau_operator")
OFFICER = actor(QINGXI_OFFICE, "town_officer", area_id=district.QINGXI)
CHECK = "death_not_cancelled"


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.begin() as connection:
        district.found(connection)
        yield connection


def night(connection: Connection, catalogue: Catalogue, number: int, *rows: Row, check: str = CHECK) -> dict[str, int]:
    """What was told since, then the pass of the nth night."""
    tell(connection, catalogue, list(rows))
    when = FIRST_NIGHT + timedelta(days=number)
    counts = compare(connection, catalogue, when, only=(check,), today=TODAY)[check]
    return {name: getattr(counts, name) for name in counts.__struct_fields__ if getattr(counts, name)}


def only_item(connection: Connection) -> Any:
    columns = "item_id, state, times, organisation, evidence, closed_by, opened_at"
    ((row),) = run_sql(connection, f"SELECT {columns} FROM {{d}}.comparison_item")
    return dict(zip(columns.split(", "), row, strict=True))


def test_an_item_is_opened_once_and_goes_when_the_facts_close_it(connection: Connection, catalogue: Catalogue) -> None:
    assert night(connection, catalogue, 1, died(NUMBER)) == {"opened": 1}
    assert night(connection, catalogue, 2) == {"still_open": 1}
    assert night(connection, catalogue, 3, cancelled(NUMBER)) == {"gone": 1}
    assert only_item(connection)["state"] == "gone"
    assert night(connection, catalogue, 4) == {}


def test_an_item_that_comes_back_is_the_same_one_opened_again(connection: Connection, catalogue: Catalogue) -> None:
    night(connection, catalogue, 1, died(NUMBER))
    first = only_item(connection)["item_id"]
    night(connection, catalogue, 2, cancelled(NUMBER))
    assert night(connection, catalogue, 3, cancelled(NUMBER).voided()) == {"reopened": 1}
    item = only_item(connection)
    assert (item["item_id"], item["state"], item["times"]) == (first, "open", 2)


def test_closed_with_evidence_it_stays_closed_while_the_records_say_the_same(
    connection: Connection, catalogue: Catalogue
) -> None:
    night(connection, catalogue, 1, died(NUMBER))
    close_item(connection, POLICE, only_item(connection)["item_id"], f"家属 {NUMBER} 户籍在外地", "explained")
    assert night(connection, catalogue, 2) == {"still_closed": 1}
    item = only_item(connection)
    assert (item["state"], item["closed_by"]) == ("closed", POLICE.name)
    assert NUMBER not in item["evidence"]
    assert night(connection, catalogue, 3, died(NUMBER, facility="另一医院")) == {"still_closed": 1}, "not compared"


def test_closed_with_evidence_it_is_opened_again_when_a_record_says_something_else(
    connection: Connection, catalogue: Catalogue
) -> None:
    check = "death_date_differs_police"
    night(connection, catalogue, 1, died(NUMBER), cancelled(NUMBER, happened_on=LATELY), check=check)
    close_item(connection, POLICE, only_item(connection)["item_id"], "已看过原件", "explained")
    told = cancelled(NUMBER, happened_on=LATELY + timedelta(days=1))
    assert night(connection, catalogue, 2, told, check=check) == {"reopened": 1}
    item = only_item(connection)
    assert (item["state"], item["times"], item["closed_by"]) == ("open", 2, None)
    assert "已看过原件" in item["evidence"], "what was said before is still there to read"


def test_evidence_and_outcome_are_required(connection: Connection, catalogue: Catalogue) -> None:
    night(connection, catalogue, 1, died(NUMBER))
    item_id = only_item(connection)["item_id"]
    for evidence, outcome in (("", "corrected"), ("好", "corrected"), ("已电话核实", "whatever")):
        with pytest.raises(BadEvidence):
            close_item(connection, POLICE, item_id, evidence, outcome)
    close_item(connection, POLICE, item_id, "已电话核实", "corrected")
    with pytest.raises(Conflict):
        close_item(connection, POLICE, item_id, "已电话核实", "corrected")
    reopen_item(connection, POLICE, item_id, "核实有误")
    assert only_item(connection)["state"] == "open"


def test_an_item_of_a_check_that_is_made_no_more_goes(connection: Connection, catalogue: Catalogue) -> None:
    night(connection, catalogue, 1, died(NUMBER))
    without = {code: check for code, check in catalogue.comparisons.items() if code != CHECK}
    compare(connection, msgspec.structs.replace(catalogue, comparisons=without), FIRST_NIGHT, today=TODAY)
    states = run_sql(connection, "SELECT state FROM {d}.comparison_item WHERE check_code = :check", check=CHECK)
    assert states == [("gone",)]


# ---- who works it off ----


def test_an_item_goes_to_the_unit_the_check_names_or_to_the_town_of_the_home(
    connection: Connection, catalogue: Catalogue
) -> None:
    rows = (died(NUMBER), employed(NUMBER), on_roll(NUMBER))
    night(connection, catalogue, 1, *rows)
    for check in ("death_employed", "death_on_roll", "death_not_cremated"):
        night(connection, catalogue, 2, check=check)
    found = run_sql(connection, "SELECT check_code, organisation FROM {d}.comparison_item")
    given = {str(check): unit for check, unit in found}
    assert given == {
        CHECK: "public_security",
        "death_employed": "labour",
        "death_on_roll": QINGXI_OFFICE,
        "death_not_cremated": "bureau",  # no civil affairs in this district
    }


def test_without_a_town_the_unit_named_otherwise_works_it_off(connection: Connection, catalogue: Catalogue) -> None:
    rows = (died(NUMBER, person_area=None), on_roll(NUMBER, person_area=None))
    night(connection, catalogue, 1, *rows, check="death_on_roll")
    assert only_item(connection)["organisation"] == "public_security"


# ---- whose it is: by the scope, and by row security alone ----


def planted(database: Database, catalogue: Catalogue) -> UUID:
    with database.begin() as connection:
        district.found(connection)
        night(connection, catalogue, 1, died(NUMBER, name="赵安邦", reporter="钱兴业"))
        found: UUID = only_item(connection)["item_id"]
    return found


def _items(database: Database, catalogue: Catalogue, who: Actor, reach: Actor | None = None) -> list[Any]:
    with database.begin(reach_of(reach or who)) as connection:
        return list_items(connection, who, catalogue, Wanted(), purpose="test")


def test_the_unit_reads_its_items_and_nobody_else_does(
    database: Database, app_database: Database, catalogue: Catalogue
) -> None:
    item_id = planted(database, catalogue)
    (listed,) = _items(app_database, catalogue, POLICE)
    assert (listed.item_id, listed.name) == (item_id, "赵安邦")
    assert NUMBER not in listed.identifier
    (seen,) = _items(app_database, catalogue, BUREAU)
    assert seen.name == "赵***"
    for other in (LABOUR, OFFICER):
        assert _items(app_database, catalogue, other) == []
        with app_database.begin(reach_of(other)) as connection:
            assert count_items(connection, other) == []
            with pytest.raises(NotFound):
                read_item(connection, other, catalogue, item_id, purpose="test")
            with pytest.raises(NotFound):
                close_item(connection, other, item_id, "已电话核实", "corrected")
    with pytest.raises(NotAllowed):
        _items(app_database, catalogue, actor("labour", "auditor"))


def test_each_wall_holds_alone(database: Database, app_database: Database, catalogue: Catalogue) -> None:
    item_id = planted(database, catalogue)
    assert _items(app_database, catalogue, POLICE, reach=LABOUR) == [], "row security"
    assert _items(database, catalogue, LABOUR) == [], "the scope"
    assert [one.item_id for one in _items(database, catalogue, POLICE)] == [item_id]
    with app_database.begin(reach_of(LABOUR)) as connection:
        assert run_sql(connection, "SELECT 1 FROM {d}.comparison_item") == []
        assert run_sql(connection, "SELECT 1 FROM {d}.rec_death_certificate") == []


def test_an_item_is_read_whoever_its_person_turned_out_to_be_since(
    database: Database, app_database: Database, catalogue: Catalogue
) -> None:
    """Merged, and merged again before the next night: the record names the last one, the item still the first."""
    planted(database, catalogue)
    second, third = new_uuid(), new_uuid()
    with database.begin() as connection:
        ((first,),) = run_sql(connection, "SELECT person_ref FROM {d}.rec_death_certificate")
        for one, into in ((third, None), (second, third)):
            run_sql(connection, _BEGUN, one=one, into=into, now=utc_now())
        run_sql(connection, "UPDATE {d}.person SET merged_into = :into WHERE person_id = :one", one=first, into=second)
        run_sql(connection, "UPDATE {d}.rec_death_certificate SET person_ref = :one", one=third)
    (listed,) = _items(app_database, catalogue, POLICE)
    assert listed.name == "赵安邦"


_BEGUN = "INSERT INTO {d}.person (person_id, merged_into, created_at) VALUES (:one, CAST(:into AS uuid), :now)"


def test_of_anothers_record_only_what_is_compared_is_shown_and_the_reading_is_noted(
    database: Database, app_database: Database, owner_database: Database, catalogue: Catalogue
) -> None:
    item_id = planted(database, catalogue)
    with app_database.begin(reach_of(POLICE)) as connection:
        (side,) = read_item(connection, POLICE, catalogue, item_id, purpose="test").sides
    shown = {field.title: field.value for field in side.fields}
    assert shown == {"姓名": "赵安邦", "公民身份号码": f"999001********{NUMBER[-4:]}", "死亡日期": str(LONG_AGO)}
    with app_database.begin(reach_of(BUREAU)) as connection:
        (side,) = read_item(connection, BUREAU, catalogue, item_id, purpose="test").sides
    assert {field.value for field in side.fields} == {"赵***", f"999001********{NUMBER[-4:]}", f"{LONG_AGO.year}-**-**"}
    with owner_database.begin() as connection:
        noted = run_sql(
            connection, "SELECT organisation, facts ->> 'purpose' FROM {d}.audit WHERE object = :object ORDER BY at",
            object=f"comparison/{item_id}",
        )  # fmt: skip
    assert noted == [("public_security", "test"), ("bureau", "test")]


def test_the_bureau_sees_all_items_and_closes_none(
    database: Database, app_database: Database, catalogue: Catalogue
) -> None:
    item_id = planted(database, catalogue)
    with app_database.begin(reach_of(BUREAU)) as connection, pytest.raises(NotFound):
        close_item(connection, BUREAU, item_id, "已电话核实", "corrected")
    with app_database.begin(reach_of(POLICE)) as connection:
        close_item(connection, POLICE, item_id, "已电话核实", "corrected")


# ---- the pages ----


def test_a_clerk_works_an_item_off_on_the_pages(
    database: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        with database.begin() as connection:
            night(connection, catalogue, 1, died(NUMBER, name="赵安邦"))
            path = f"/comparisons/{only_item(connection)['item_id']}"
        with TestClient(hub.app, base_url="https://hub.test") as client:
            police, labour = visitor(hub, client, "gongan"), visitor(hub, client, "renshe")
            listed = police.get("/comparisons")
            assert listed.status_code == 200
            assert "赵安邦" in listed.text and path in listed.text and NUMBER not in listed.text
            assert path not in labour.get("/comparisons").text
            file = police.get("/comparisons/list.csv?state=open").content.decode("utf-8-sig")
            assert "赵安邦" in file and NUMBER not in file
            assert "赵安邦" not in labour.get("/comparisons/list.csv").text
            assert labour.get(path).status_code == 404
            assert "已死亡未销户" in police.get(path).text
            assert "Dead, registration not cancelled" in police.get(path, "en").text
            assert police.post(f"{path}/close", evidence="", outcome="corrected").status_code == 422
            assert labour.post(f"{path}/close", evidence="已电话核实", outcome="corrected").status_code == 404
            assert police.post(f"{path}/close", evidence="已电话核实", outcome="corrected").status_code == 303
            assert "已电话核实" in police.get(f"{path}?done=closed").text
            assert police.post(f"{path}/reopen", evidence="核实有误").status_code == 303
            assert path in police.get("/comparisons?days=0&check=death_not_cancelled").text


def test_a_units_own_system_reads_and_closes_its_items(
    database: Database,
    app_database: Database,
    settings: Settings,
    catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ROLES, "integrator", ROLES["integrator"] | {Right.WORK_COMPARISON})
    with founded_hub(database, app_database, settings, catalogue) as hub, TestClient(hub.app) as client:
        with database.begin() as connection:
            night(connection, catalogue, 1, died(NUMBER), died(identity_number(802)))
        own, other = hub.key_of("public_security"), hub.key_of("labour")
        first = client.get("/v1/comparisons?limit=1", headers=own).json()
        second = client.get(f"/v1/comparisons?limit=1&cursor={first['next']}", headers=own).json()
        assert {one["data"][0]["state"] for one in (first, second)} == {"open"}
        assert first["data"] != second["data"]
        assert second["next"] is None
        path = f"/v1/comparisons/{first['data'][0]['item_id']}"
        assert client.get(path, headers=own).json()["check"]["code"] == CHECK
        assert client.get(path, headers=other).status_code == 404
        finding = {"evidence": "已电话核实", "outcome": "corrected"}
        assert client.post(f"{path}/close", json=finding, headers=other).status_code == 404
        assert client.post(f"{path}/close", json=finding | {"outcome": "x"}, headers=own).status_code == 400
        assert client.post(f"{path}/close", json=finding, headers=own).json()["state"] == "closed"
        assert len(client.get("/v1/comparisons", headers=own).json()["data"]) == 1


# ---- the commands ----


def test_the_commands_compare_list_and_close(
    database: Database, settings: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as connection:
        district.found(connection)
        tell(connection, catalogue, [died(NUMBER, name="赵安邦")])
    settings.home.mkdir(parents=True, exist_ok=True)
    for name in ("database_url", "worker_url", "owner_url"):
        monkeypatch.setenv(f"HUB_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("HUB_HOME", str(settings.home))

    def hub(*arguments: str) -> Any:
        done = CliRunner().invoke(app, ["compare", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    counts = json.loads(hub("run", "--json"))
    assert set(counts) == set(catalogue.comparisons)
    assert counts[CHECK]["opened"] == 1
    (item,) = json.loads(hub("list", "--as", "public_security", "--json"))
    assert item["check"] == CHECK
    assert hub("list", "--as", "labour") == ""
    assert NUMBER not in hub("list", "--as", "public_security", "--check", CHECK)
    hub("close", item["item_id"], "--as", "public_security", "--evidence", "已电话核实")
    assert json.loads(hub("run", "--only", CHECK, "--json"))[CHECK]["still_closed"] == 1
