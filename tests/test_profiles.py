"""Profiles follow the change log: whoever a changed record speaks of, or spoke of before, is derived anew."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from hub.database import Database, run_sql
from hub.people.attributes import attributes_of, derive, hold_profiles
from hub.people.profile_check import check
from hub.people.profiles import catch_up, derive_all, lag
from mappings.catalogue import Catalogue
from tests.district import QINGXI_OFFICE, found
from tests.test_commands import environment, hub
from tests.told import ANN, BEN, CLEM, person_of, profile_of, roll_of, send, story

__all__ = ["environment"]


def test_who_a_record_left_is_derived_too(database: Database, catalogue: Catalogue) -> None:
    with story(database) as connection:
        wedding = {"cert_no": "J1", "registered_on": "2020-01-01", "female_id_no": ANN, "male_id_no": BEN, "kind": "1"}
        send(connection, catalogue, "marriage", "civil_affairs", wedding)
        catch_up(connection, catalogue)
        assert [profile_of(connection, number)["attributes"]["marital"][0] for number in (ANN, BEN)] == ["20", "20"]  # type: ignore[index]
        send(
            connection,
            catalogue,
            "marriage",
            "civil_affairs",
            {**wedding, "male_id_no": CLEM, "change_kind": "correct"},
        )
        assert lag(connection) == 1
        assert catch_up(connection, catalogue) == 1
        assert profile_of(connection, BEN) is None
        assert profile_of(connection, CLEM) is not None


def test_who_was_merged_away_or_erased_has_no_profile(database: Database, catalogue: Catalogue) -> None:
    with story(database) as connection:
        for number in (ANN, BEN):
            send(connection, catalogue, *roll_of(number))
        catch_up(connection, catalogue)
        for number, column, value in ((ANN, "erased_at", "now()"), (BEN, "merged_into", "person_id")):
            run_sql(
                connection,
                f"UPDATE {{d}}.person SET {column} = {value} WHERE person_id = :person",
                person=person_of(connection, number),
            )
            assert derive(connection, catalogue, [person_of(connection, number)]) == 0
            assert profile_of(connection, number) is None


def test_the_number_in_force_is_shown(database: Database, catalogue: Catalogue) -> None:
    with story(database) as connection:
        send(connection, catalogue, *roll_of(ANN))
        person = person_of(connection, ANN)
        run_sql(
            connection,
            "INSERT INTO {d}.person_identifier (kind, value, person_id) VALUES ('id_no', :right, :person)",
            right=CLEM,
            person=person,
        )
        run_sql(
            connection,
            "UPDATE {d}.person_identifier SET replaced_by = :right WHERE value = :wrong",
            right=CLEM,
            wrong=ANN,
        )
        derive(connection, catalogue, [person])
        assert profile_of(connection, ANN)["id_no"] == CLEM  # type: ignore[index]


@pytest.mark.parametrize(
    ("number", "born", "sex"),
    [
        ("999001199001010010", "1990-01-01", "1"),
        ("999001199602290021", "1996-02-29", "2"),
        ("999001199502290021", "None", "2"),  # there was no such day: it is not told, and nothing fails
        ("999001199511310021", "None", "2"),
    ],
)
def test_a_number_tells_sex_and_day_of_birth_where_nobody_does(
    database: Database, catalogue: Catalogue, number: str, born: str, sex: str
) -> None:
    with story(database) as connection:
        row = {"id_no": number, "start_date": "2020-01-01", "employer": "甲厂"}
        send(connection, catalogue, "employment", "labour", row)
        catch_up(connection, catalogue)
        profile = profile_of(connection, number)
        assert profile is not None
        assert (str(profile["birth_date"]), profile["sex"]) == (born, sex)
        assert "birth_date" not in profile["attributes"]


def test_another_epoch_is_read_from_its_beginning(database: Database, catalogue: Catalogue) -> None:
    """After a restore the log may have changed below the position: everything is read again."""
    with story(database) as connection:
        send(connection, catalogue, *roll_of(ANN))
        catch_up(connection, catalogue)
        assert catch_up(connection, catalogue) == lag(connection) == 0
        run_sql(connection, "UPDATE {d}.feed_reader SET epoch = 'before'")
        run_sql(connection, "DELETE FROM {d}.person_profile")
        assert lag(connection) == 1
        assert catch_up(connection, catalogue) == 1
        assert profile_of(connection, ANN) is not None


def test_a_killed_worker_leaves_nothing(database: Database, catalogue: Catalogue) -> None:
    with database.begin() as connection:
        send(connection, catalogue, *roll_of(ANN))
    with database.engine.connect() as killed:
        assert catch_up(killed, catalogue) == 1
        killed.invalidate()
    with database.begin() as connection:
        assert (profile_of(connection, ANN), lag(connection)) == (None, 1)
        assert catch_up(connection, catalogue) == 1
        assert catch_up(connection, catalogue) == 0
        assert profile_of(connection, ANN) is not None


def test_two_workers_take_turns(database: Database, catalogue: Catalogue) -> None:
    """Whoever derives holds the reader's row: nobody else writes what an older view of the records says."""
    with database.begin() as connection:
        send(connection, catalogue, *roll_of(ANN))
        catch_up(connection, catalogue)
        person = person_of(connection, ANN)
    acts: list[Callable[[Connection], int]] = [
        lambda other: catch_up(other, catalogue),
        lambda other: derive(other, catalogue, [person]),
    ]
    for act in acts:
        with database.begin() as first, database.engine.connect() as other:
            hold_profiles(first)
            other.exec_driver_sql("SET lock_timeout = '50ms'")
            with pytest.raises(OperationalError, match="lock timeout"):
                act(other)


def test_all_are_derived_and_a_tampered_profile_is_found(database: Database, catalogue: Catalogue) -> None:
    with database.begin() as connection:
        send(
            connection,
            catalogue,
            "resident_roll",
            QINGXI_OFFICE,
            *({"id_no": number, "name": "安"} for number in (ANN, BEN, CLEM)),
        )
    assert check(database, catalogue) == []  # they are still to be read, so nothing is wrong
    assert derive_all(database, catalogue) == 3
    with database.begin() as connection:
        assert lag(connection) == 0
        ann, ben, clem = (person_of(connection, number) for number in (ANN, BEN, CLEM))
    assert check(database, catalogue) == []
    with database.begin() as connection:
        run_sql(
            connection,
            "UPDATE {d}.person_profile SET name = '别人', attributes = attributes - 'name' WHERE person_id = :ann",
            ann=ann,
        )
        run_sql(connection, "DELETE FROM {d}.person_profile WHERE person_id = :ben", ben=ben)
        run_sql(connection, "UPDATE {d}.rec_resident_roll SET voided = true WHERE person_ref = :clem", clem=clem)
    found = {one.person_id: (one.kind, one.names) for one in check(database, catalogue)}
    assert found == {ann: ("different", ("name",)), ben: ("missing", ()), clem: ("left over", ())}
    assert derive_all(database, catalogue) == 2
    assert check(database, catalogue) == []


def test_only_what_the_reader_may_see_is_told(
    database: Database, owner_database: Database, app_database: Database, catalogue: Catalogue
) -> None:
    """Row security narrows the records, so a value nobody showed this reader is not told by its profile either."""
    with owner_database.begin() as connection:
        found(connection)
    with database.begin() as connection:
        send(connection, catalogue, *roll_of(ANN))
        person = person_of(connection, ANN)
        assert attributes_of(connection, catalogue, person)
    with app_database.begin() as connection:
        assert attributes_of(connection, catalogue, person) == []


def test_the_command_derives_and_compares(
    environment: dict[str, str], database: Database, catalogue: Catalogue
) -> None:
    with database.begin() as connection:
        send(connection, catalogue, *roll_of(ANN))
    assert hub(environment, "people", "derive").stdout.startswith("已推算 1 人")
    assert hub(environment, "people", "derive", "--check").returncode == 0
    with database.begin() as connection:
        run_sql(connection, "UPDATE {d}.person_profile SET name = '别人'")
    done = hub(environment, "people", "derive", "--check", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["differences"], told["persons"][0]["names"]) == (1, 1, ["name"])
    assert "别人" not in done.stdout
