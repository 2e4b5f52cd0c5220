"""One person's ledger of disclosures with thirty subscriptions of a thousand deliveries each, on a district that lived.

First the ledger of everybody is held against what every subscriber wrote down; a hundredth as many people as rows.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
from sqlalchemy import Connection

from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.operations.provisioning import provision
from hub.registry.permissions import ROLES, Actor
from hub.registry.scope import reach_of
from hub.sharing.disclosure_derivation import gather, told_of
from hub.sharing.disclosure_licences import sight_of
from hub.sharing.disclosures import disclosures_of
from mappings.catalogue import Catalogue
from tests.benchmarks.ground import libpq, settings_of, temporary_home
from tests.benchmarks.report import Report
from tests.disclosed_district import District, line_of, live

SUBSCRIPTIONS, DELIVERIES, READINGS = 30, 1_000, 200
_AUDITOR = Actor(name="bench", organisation="bureau", kind="bureau", door="panel", rights=ROLES["auditor"])
_COPIES = """
    INSERT INTO {d}.subscription (subscription_id, code, organisation, title, state, epoch, version, start_seq, created_at)
    SELECT gen_random_uuid(), s.code || '-' || n, s.organisation, s.title, s.state, s.epoch, s.version, s.start_seq,
           s.created_at
    FROM {d}.subscription s, generate_series(1, :copies) n WHERE s.code = 'whole'
"""
_THEIR_VERSIONS = """
    INSERT INTO {d}.subscription_version (subscription_id, version, definition, purpose, legal_basis, created_at)
    SELECT c.subscription_id, v.version, v.definition, v.purpose, v.legal_basis, v.created_at
    FROM {d}.subscription c, {d}.subscription s JOIN {d}.subscription_version v USING (subscription_id)
    WHERE c.code LIKE 'whole-%' AND s.code = 'whole'
"""
_THEIR_DELIVERIES = """
    INSERT INTO {d}.delivery (subscription_id, epoch, page_no, kind, definition_version, from_seq, to_seq,
                              first_delivery_no, count, digest, delivered_at)
    SELECT c.subscription_id, 'far.1', n, 'page', 1 + n * 2 / (:deliveries + 1), h.last_seq * (n - 1) / :deliveries,
           h.last_seq * n / :deliveries, n, 1, '', now()
    FROM {d}.subscription c, {d}.feed_head h, generate_series(1, :deliveries) n WHERE c.code LIKE 'whole-%'
"""


def measure(report: Report, catalogue: Catalogue, _: int) -> None:
    people = max(report.rows // 100, 200)
    with _empty_hub(catalogue) as district:
        live(district, people)
        persons = [*district.everybody]
        with district.worker.begin() as connection:
            seconds = _hold_against(connection, district, persons)
        report.add(work=f"{len(persons):,} 人的去向与收到的一致 ledgers equal what was received", seconds=seconds)
        _multiply(district.owner)
        _measure_looks(report, district, persons[:: max(len(persons) // READINGS, 1)])


@contextmanager
def _empty_hub(catalogue: Catalogue) -> Iterator[District]:
    with temporary_home() as home:
        cluster = Cluster(home)
        cluster.start()
        try:
            _execute(cluster, "CREATE DATABASE disclosures OWNER hub_owner")
            urls = cluster.urls("disclosures")
            settings = settings_of(home, urls)
            provision(urls.owner, settings, catalogue)
            worker, owner = (Database(url, settings.district) for url in (urls.worker, urls.owner))
            yield District(worker, owner, settings, catalogue)
            worker.close()
            owner.close()
        finally:
            cluster.stop()


def _execute(cluster: Cluster, statement: str) -> None:
    with psycopg.connect(libpq(cluster.urls("postgres").superuser), autocommit=True) as connection:
        connection.execute(statement.encode())


def _hold_against(connection: Connection, district: District, persons: list[UUID]) -> float:
    """Everybody's ledger at once; how long it took. It stops the run where it is not what was received."""
    began = time.perf_counter()
    traces = gather(connection, district.catalogue, sight_of(_AUDITOR, district.catalogue), persons, None)
    found = {line_of(person, one) for person in persons for one in told_of(traces, person)}
    seconds = time.perf_counter() - began
    expected = district.expected()
    if found != expected.keys():
        raise SystemExit(f"{len(found)} / {len(expected)}: {len(found ^ expected.keys())}")
    return seconds


def _multiply(owner: Database) -> None:
    """Many more subscribers of the whole slice, each with a thousand pages of the whole log."""
    with owner.begin() as connection:
        run_sql(connection, _COPIES, copies=SUBSCRIPTIONS - 4)
        run_sql(connection, _THEIR_VERSIONS)
        run_sql(connection, _THEIR_DELIVERIES, deliveries=DELIVERIES)
        for table in ("delivery", "change_log", "subscription", "subscription_version"):
            run_sql(connection, f"ANALYZE {{d}}.{table}")


def _measure_looks(report: Report, district: District, persons: list[UUID]) -> None:
    """As the page asks, through the serving role."""
    served, spent, told = Database(str(district.settings.database_url), district.settings.district), [], []
    for person in (*persons[:5], *persons):
        began = time.perf_counter()
        with served.begin(reach_of(_AUDITOR)) as connection:
            told.append(len(disclosures_of(connection, _AUDITOR, district.catalogue, person) or ()))
        spent.append(time.perf_counter() - began)
    served.close()
    work = f"一人的信息去向 one ledger, {statistics.median(told):.0f} lines (median)"
    report.add(work=work, seconds=statistics.median(spent[5:]))
    report.add(work="同上，最慢 the slowest of them", seconds=max(spent[5:]))
