"""信息去向: the ledger that is worked out says of everybody exactly what every subscriber really received."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.registry.permissions import ROLES, Actor
from hub.registry.scope import open_disclosures, reach_of
from hub.settings import load_settings
from hub.sharing.disclosure_derivation import gather, told_of
from hub.sharing.disclosure_licences import sight_of
from mappings.catalogue import Catalogue
from tests.disclosed_district import District, Line, line_of, live
from tests.fresh_databases import FreshDatabases

PEOPLE = 400
Served = tuple[District, Database]
AUDITOR = Actor(name="shenji", organisation="bureau", kind="bureau", door="panel", rights=ROLES["auditor"])


def officer(organisation: str, kind: str = "department") -> Actor:
    return Actor(name="shuju", organisation=organisation, kind=kind, door="panel", rights=ROLES["data_officer"])


@pytest.fixture(scope="module")
def served(
    cluster: Cluster, fresh_databases: FreshDatabases, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A district that lived its story, and its database as the web door sees it."""
    name = fresh_databases.take()
    urls, home = cluster.urls(name), tmp_path_factory.mktemp("disclosed") / "home"
    settings = load_settings(home, worker_url=urls.worker, owner_url=urls.owner, demo=True)
    worker, owner, served = (Database(url, settings.district) for url in (urls.worker, urls.owner, urls.app))
    district = District(worker, owner, settings, catalogue)
    live(district, PEOPLE)
    yield district, served
    for each in (worker, owner, served):
        each.close()
    fresh_databases.give_back(name)


def ledgers(connection: Connection, district: District, actor: Actor = AUDITOR) -> Counter[Line]:
    """Everybody's ledger, as one reader is told it."""
    sight = sight_of(actor, district.catalogue)
    persons = [*district.everybody]
    with open_disclosures(connection, actor, sight.sources, persons[0]):
        traces = gather(connection, district.catalogue, sight, persons, None)
        return Counter(line_of(person, one) for person in persons for one in told_of(traces, person))


def test_the_ledger_of_everybody_is_what_every_subscriber_wrote_down(served: Served) -> None:
    district, database = served
    expected = district.expected()
    assert len({code for code, _ in district.numbers}) == 4 and sum(district.numbers.values()) >= 50
    with database.begin() as connection:
        found = ledgers(connection, district)
    assert (found - expected, expected - found) == (Counter(), Counter())
    assert {kind for _, kind, *_ in found} == {"page", "snapshot", "export"} and max(found.values()) == 1


@pytest.mark.parametrize(
    "broken",
    [
        "DELETE FROM {d}.delivery WHERE page_no = 3 AND epoch LIKE '%.1'",
        "UPDATE {d}.delivery SET definition_version = 1",
        "UPDATE {d}.delivery SET to_seq = to_seq - 1 WHERE kind = 'snapshot' AND epoch LIKE 'again.%'",
        "DELETE FROM {d}.slice_export WHERE areas IS NOT NULL",
        "UPDATE {d}.person_decision SET state = 'refused' WHERE kind = 'split'",
        "UPDATE {d}.erased_version SET met = '{}'",
    ],
)
def test_a_ledger_that_rests_on_anything_else_is_caught(served: Served, broken: str) -> None:
    district, _ = served
    with district.owner.engine.connect() as connection, connection.begin() as transaction:
        assert ledgers(connection, district) == district.expected()
        run_sql(connection, broken)
        assert ledgers(connection, district) != district.expected()
        transaction.rollback()


def test_a_data_officer_is_told_of_what_came_from_the_own_organisation(served: Served) -> None:
    district, database = served
    of_labour = {one.record_id for one in district.received if one.record_type == "employment"}
    expected = Counter({line: times for line, times in district.expected().items() if line[4] in of_labour})
    with database.begin(reach_of(officer("labour"))) as connection:
        assert ledgers(connection, district, officer("labour")) == expected


def test_what_stays_in_care_is_told_to_the_care_organisation_alone(served: Served) -> None:
    district, database = served
    booked = {one.record_id for one in district.received if one.record_type == "antenatal_booking"}
    lines = Counter({line: times for line, times in district.expected(hidden=()).items() if line[4] in booked})
    clinic = officer("clinic", "care")
    with database.begin(reach_of(clinic)) as connection:
        assert booked and ledgers(connection, district, clinic) == lines
    for other in (AUDITOR, officer("labour"), officer("elsewhere", "care")):
        with database.begin(reach_of(other)) as connection:
            assert not {line for line in ledgers(connection, district, other) if line[4] in booked}


def test_outside_the_look_nothing_of_it_is_open(served: Served) -> None:
    district, database = served
    with database.begin(reach_of(AUDITOR)) as connection:
        assert ledgers(connection, district)
        for table in ("change_log", "delivery", "rec_resident_roll", "person"):
            assert run_sql(connection, f"SELECT count(*) FROM {{d}}.{table}") == [(0,)]
