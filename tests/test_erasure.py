"""Somebody is lawfully erased: no value is left anywhere, every slice is told, and everything of before still verifies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from hub import jobs
from hub.database import run_sql
from hub.decisions.undoing import undo
from hub.embedded import Cluster
from hub.errors import NotAllowed, NotFound
from hub.exchange import blanking, receipts
from hub.exchange.changelog import verify_feed
from hub.exchange.deliver import acknowledge
from hub.exchange.erasure import AlreadyErased, NoBasis, RowsUnderWay, erase_person
from hub.exchange.homes import wrong_homes
from hub.exchange.slices import PageChanged, current_epoch, query_slice
from hub.keyring import read_public_keys
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.subscriptions import load_subscription
from mappings.catalogue import Catalogue
from tests.doors import move_in
from tests.erased_district import (
    NAME,
    NUMBER,
    PLANTED,
    POLICE,
    SPOUSE,
    SPOUSE_NAME,
    VILLAGE,
    World,
    lived_in,
)
from tests.fresh_databases import FreshDatabases
from tests.test_oracle import DEFINITIONS


@pytest.fixture(scope="module")
def world(
    cluster: Cluster, fresh_databases: FreshDatabases, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The district after the erasure; what its tests do to it, they do to somebody else."""
    name = fresh_databases.take()
    with lived_in(cluster.urls(name), tmp_path_factory.mktemp("erased") / "home", catalogue) as lived:
        assert {"rec_resident_roll_history", "rec_marriage", "row_error", "effect_sample"} <= lived.traces(*PLANTED)
        assert {"stg_hukou_move_in", "rec_postnatal_visit_sealed", "person_decision"} <= lived.traces(*PLANTED)
        lived.erased = lived.erase()
        yield lived
    fresh_databases.give_back(name)


def changes(world: World, code: str) -> list[dict[str, Any]]:
    return [change for page in world.pull(code) for change in json.loads(f"[{page.changes}]")]


def test_no_table_of_the_district_holds_a_value_of_theirs(world: World) -> None:
    assert world.traces(*PLANTED) == set()


def test_a_history_that_is_not_blanked_is_found_by_the_same_look(
    cluster: Cluster,
    fresh_databases: FreshDatabases,
    catalogue: Catalogue,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = blanking._blank_whole

    def current_alone(connection: Any, table: str, touched: blanking.Touched) -> None:
        if not table.endswith("_history"):
            real(connection, table, touched)

    monkeypatch.setattr(blanking, "_blank_whole", current_alone)
    name = fresh_databases.take()
    with lived_in(cluster.urls(name), tmp_path_factory.mktemp("kept") / "home", catalogue) as lived:
        lived.erase()
        assert "rec_resident_roll_history" in lived.traces(*PLANTED)
    fresh_databases.give_back(name)


def test_every_slice_replayed_is_the_slice_queried(world: World) -> None:
    for code, definition in DEFINITIONS.items():
        held: dict[str, Any] = {}
        for change in changes(world, code):
            assert (change["op"] == "enter") == (change["record_id"] not in held)
            held.pop(change["record_id"], None)
            if change["op"] != "leave":
                held[change["record_id"]] = change["after"]
        with world.owner.begin() as connection:
            queried = {
                str(one["record_id"]): one["after"] for one in query_slice(connection, world.context, definition)
            }
        assert held == queried


def test_every_slice_that_held_them_is_told_they_left(world: World) -> None:
    """Also a slice with a row filter on a value that is gone."""
    for code, pages in world.pages.items():
        before = [change for page in pages for change in json.loads(f"[{page.changes}]")]
        theirs = {one["record_id"] for one in before if any(value in json.dumps(one) for value in (NAME, NUMBER))}
        news = changes(world, code)[len(before) :]
        about = {one["record_id"] for one in news if one["op"] == "leave"}
        assert about, code
        assert theirs - about <= {one["record_id"] for one in news if one["op"] == "update"}
        assert not any(value in json.dumps(news, ensure_ascii=False) for value in PLANTED)


def test_pages_of_before_are_derived_again_blank_and_say_so(world: World) -> None:
    for code, before in world.pages.items():
        had = [page for page in before if page.count]  # an empty page is only a bookmark
        again = [page for page in world.pull(code) if page.count][: len(had)]
        assert [(page.digest, page.count, page.next) for page in again] == [
            (page.digest, page.count, page.next) for page in had
        ]
        assert sum(page.erased for page in again) > 0
        assert not any(value in page.changes for page in again for value in PLANTED)


def test_a_page_that_changed_for_no_such_reason_is_still_an_alarm(world: World) -> None:
    world.put(
        "employment", {"id_no": SPOUSE, "start_date": "2026-05-05", "employer": "甲", "post": "乙"}, source="labour"
    )
    world.pull("whole")
    with world.owner.begin() as connection:
        employer = "UPDATE {d}.rec_employment SET post = 'changed' WHERE start_date = '2026-05-05'"
        run_sql(connection, employer)
    with pytest.raises(PageChanged):
        world.pull("whole")
    with world.owner.begin() as connection:
        run_sql(connection, "UPDATE {d}.rec_employment SET post = '乙' WHERE start_date = '2026-05-05'")


def test_what_was_received_before_can_be_acknowledged_with_its_digest(world: World) -> None:
    page = world.pages["whole"][0]
    with world.owner.begin() as connection:
        subscription = load_subscription(connection, "whole")
        epoch, last = current_epoch(connection, subscription), page.first_delivery_no + page.count - 1
        assert acknowledge(connection, SYSTEM_ACTOR, subscription, epoch, last, page.digest).matches


def test_the_feed_is_whole_and_homes_follow(world: World) -> None:
    with world.owner.begin() as connection:
        assert verify_feed(connection, world.catalogue) == []
        assert wrong_homes(connection, world.catalogue) == []


def test_receipts_of_before_and_of_the_erasure_verify(world: World) -> None:
    assert world.erased is not None
    keys = read_public_keys(world.settings.keys / "public_keys.json")
    with world.owner.begin() as connection:
        for number in (*world.receipts, world.erased.receipt):
            signed = receipts.find(connection, number).receipt
            assert receipts.verify(signed, keys)
            assert not any(value in json.dumps(signed, ensure_ascii=False) for value in PLANTED)
        read = receipts.read_receipt(connection, world.receipts[0], catalogue=world.catalogue)
    assert read["counts"]["held"] == 2
    assert any(issue["level"] == "hold" for issue in read["issues"])


def test_others_keep_what_is_theirs(world: World) -> None:
    """The marriage they are the first of is gone with them; of the other the spouse's half stands."""
    with world.owner.begin() as connection:
        marriage = run_sql(
            connection,
            "SELECT cert_no, male_name, female_name, female_ref, voided FROM {d}.rec_marriage ORDER BY record_id",
        )
    assert marriage == [(None, None, None, None, True), ("J2", SPOUSE_NAME, None, None, False)]
    assert world.traces(SPOUSE_NAME)


def test_taking_back_a_submission_brings_nothing_back(world: World) -> None:
    with world.owner.begin() as connection:
        row = receipts.find(connection, world.receipts[0])
    made = undo(world.database, world.settings, POLICE, row.submission_id, "报错了", world.catalogue)
    jobs.work(world.database, world.settings, wait=False)
    with world.owner.begin() as connection:
        assert receipts.find(connection, made.receipt_number).state == "merged"
        assert verify_feed(connection, world.catalogue) == []
    assert world.traces(*PLANTED) == set()


def test_a_file_that_names_them_again_makes_a_new_person(world: World) -> None:
    assert world.person_of(NUMBER) is None
    again = move_in(703, 姓名="又来人", 公民身份号码=NUMBER, 迁入日期="2026-11-09", **{"所属社区(村)": VILLAGE})
    number = world.send(again, name="又来.csv")
    with world.owner.begin() as connection:
        assert receipts.find(connection, number).accepted == 1
        tombstones = run_sql(connection, "SELECT person_id FROM {d}.erasure")
    person = world.person_of(NUMBER)
    assert person is not None and (person,) not in tombstones
    world.erase()


def test_an_erasure_needs_its_right_a_basis_and_somebody(world: World) -> None:
    nobody = uuid4()
    with pytest.raises(NotAllowed):
        erase_person(world.database, world.settings, world.catalogue, POLICE, nobody, "个保法四十七条", "本人申请")
    with pytest.raises(NoBasis):
        erase_person(world.database, world.settings, world.catalogue, SYSTEM_ACTOR, nobody, "", "本人申请")
    with pytest.raises(NoBasis):
        erase_person(world.database, world.settings, world.catalogue, SYSTEM_ACTOR, nobody, "个保法四十七条", NUMBER)
    with pytest.raises(NotFound):
        erase_person(
            world.database, world.settings, world.catalogue, SYSTEM_ACTOR, nobody, "个保法四十七条", "本人申请"
        )
    with world.owner.begin() as connection:
        erased = run_sql(connection, "SELECT person_id FROM {d}.erasure ORDER BY erasure_id")[0][0]
    with pytest.raises(AlreadyErased):
        erase_person(
            world.database,
            world.settings,
            world.catalogue,
            SYSTEM_ACTOR,
            UUID(str(erased)),
            "个保法四十七条",
            "本人申请",
        )


def test_whom_a_submission_under_way_names_is_not_erased(world: World) -> None:
    """A backfill waits for a second person with its rows staged: it would bring the person back."""
    row = move_in(710, 公民身份号码=SPOUSE, 姓名=SPOUSE_NAME, 迁入日期="2024-01-01", **{"所属社区(村)": VILLAGE})
    number = world.send(row, name="补录.csv", kind="backfill")
    with world.owner.begin() as connection:
        assert receipts.find(connection, number).state == "braked"
    with pytest.raises(RowsUnderWay, match=number):
        world.erase(SPOUSE)
