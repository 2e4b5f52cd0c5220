"""Every page of every desk on a district of a million people, beside an empty page for whoever is signed in.

The district is a small one that lived a year (the demo's), grown by copies; the same pages are asked for at a tenth of the
people, so that one sees what grows with the register. ``--home`` keeps the grown districts between runs.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import psycopg
import structlog
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Connection, event, select

from hub.app import create_app, settle
from hub.database import Database, run_sql, utc_now
from hub.demo.run import run as run_demo
from hub.embedded import Cluster, Urls
from hub.keyring import Keyring
from hub.operations.provisioning import provision
from hub.oversight.quality_keeping import keep_quality_figures
from hub.registry.organisations import load_organisation
from hub.registry.permissions import ROLES
from hub.registry.sessions import open_session
from hub.settings import Settings
from hub.tables import account
from mappings.catalogue import Catalogue, load_catalogue
from tests.benchmarks.ground import libpq, settings_of, temporary_home
from tests.benchmarks.grown import grow
from tests.benchmarks.page_walk import Address, Walked, asked, walk
from tests.benchmarks.report import Figure, Report
from tests.doors import open_account
from tests.matrix_hub import Asking, routes_of

SMALL, BAR_SECONDS, EMPTY = 1_000, 0.150, "/account"
_WARM_UPS, _WORST, _ASKED = 2, 15, 10
_MORE_STAFF = (("juzhang", "bureau", "bureau_leader"),)


class Page(NamedTuple):
    """What one page took, the worst of the accounts that may open it."""

    page: str
    who: str
    seconds: list[float]
    empty: list[float]
    size: int
    rows: int
    statements: int

    @property
    def p50(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.95)]

    @property
    def ratio(self) -> float:
        """The fastest over the fastest: what else the machine does at the time falls out."""
        return min(self.seconds) / min(self.empty)


class District(NamedTuple):
    """One grown district behind its web door, and who works there."""

    app: Litestar
    databases: tuple[Database, ...]
    staff: list[Asking]
    more: dict[str, list[str]]  # organisation -> addresses that a form leads to, or chance


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    with temporary_home() as home:
        measure_at(home, report, catalogue, max(_ASKED, repeats))


def measure_at(home: Path, report: Report, catalogue: Catalogue, repeats: int, only: str = "") -> None:
    """At a tenth, then at all of the people; each page beside the empty one in the same breath."""
    tenth, people = max(SMALL, report.rows // 10), max(SMALL, report.rows)
    with running_cluster(home) as cluster:
        found = {many: _measured(cluster, home, catalogue, many, repeats, only) for many in (tenth, people)}
    _tell(report, found[tenth], found[people], f"{people:,} 人 people")


def _measured(cluster: Cluster, home: Path, catalogue: Catalogue, people: int, repeats: int, only: str) -> list[Page]:
    with district_of(cluster, home, catalogue, people) as district, TestClient(district.app, **_AT) as client:  # type: ignore[arg-type]
        return [*ask_all(client, district, repeats, only)]


_AT = {"base_url": "https://hub.test", "raise_server_exceptions": False}


# ---- the district ----


@contextmanager
def running_cluster(home: Path) -> Iterator[Cluster]:
    cluster = Cluster(home, {"fsync": "off"})
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def district_of(cluster: Cluster, home: Path, catalogue: Catalogue, people: int) -> Iterator[District]:
    """Grown in this home before, or now; everybody is signed in anew."""
    if not _has_database(cluster, "pages_small"):
        _live_small(cluster, home)
    name = f"pages_{people}"
    if not _has_database(cluster, name):
        began = time.perf_counter()
        _on_server(cluster, f"CREATE DATABASE {name}_ TEMPLATE pages_small OWNER hub_owner")
        owner = Database(cluster.urls(f"{name}_").owner, "d999001")
        grow(owner, catalogue, people // SMALL)
        owner.close()
        _on_server(cluster, f"ALTER DATABASE {name}_ RENAME TO {name}")
        print(f"{people:,} 人 people: {time.perf_counter() - began:.0f} s")
    settings = _settings(home, cluster.urls(name))
    provision(settings.owner_url or "", settings, catalogue)  # a kept one may be older than the hub
    served, audit = (Database(url or "", settings.district) for url in (settings.database_url, settings.audit_url))
    app = create_app(settings, served, catalogue, Keyring.load(home), audit)
    with served.begin() as connection:
        staff = _sign_in_all(connection)
    worker = Database(settings.worker_url or "", settings.district)
    with worker.begin() as connection:
        keep_quality_figures(connection, catalogue, settings.time_zone)  # as the worker does every minute
        more = {who.organisation: [*more_addresses(connection, who.organisation)] for who in staff}
    worker.close()
    settle()  # as the served hub does
    yield District(app, (served, audit), staff, more)
    served.close()
    audit.close()


def more_addresses(connection: Connection, organisation: str) -> Iterator[str]:
    """A person of the place, a submission in each state and one with many errors, a month's figures."""
    for statement, paths in _MORE:
        for row in run_sql(connection, statement, organisation=organisation):
            yield from (path.format(*row) for path in paths)


_WHY = "purpose=verify&reason=核对人员信息"
_MORE: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "SELECT p.person_id FROM {d}.person p LEFT JOIN {d}.area_place a ON a.area_id = p.home_area"
        " LEFT JOIN shared.organisation o ON o.area_id = a.town_id AND o.kind = 'town' WHERE o.code = :organisation"
        " OR NOT EXISTS (SELECT 1 FROM shared.organisation t WHERE t.kind = 'town' AND t.code = :organisation) LIMIT 1",
        (f"/people/{{0}}?{_WHY}", f"/people/{{0}}/identity?{_WHY}"),
    ),
    (
        "SELECT DISTINCT ON (state) submission_id, receipt_number FROM {d}.submission"
        " WHERE organisation = :organisation OR :organisation = 'bureau' ORDER BY state, submission_id DESC",
        (
            "/submissions/{0}", "/submissions/{0}/effect", "/submissions/{0}/unlock", "/submissions/{0}/columns",
            "/submissions/{0}/progress", "/submissions/{0}/rows", "/receipts/{1}",
        ),
    ),
    (
        "SELECT e.submission_id, min(e.row_no), min(e.error_no) FROM {d}.row_error e JOIN {d}.submission s USING (submission_id)"
        " WHERE s.organisation = :organisation OR :organisation = 'bureau' GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
        ("/submissions/{0}", "/submissions/{0}/rows", "/unmask/errors/{0}/{1}/{2}"),
    ),
    (
        "SELECT s.period, s.organisation, s.record_type FROM {d}.submission s WHERE s.period IS NOT NULL AND"
        " (s.organisation = :organisation OR :organisation = 'bureau') ORDER BY s.received DESC LIMIT 1",
        ("/quality/rows?month={0}&organisation={1}&record_type={2}&type={2}&measure=completeness",),
    ),
    (
        "SELECT m.month, i.item_id FROM {d}.round_item i JOIN {d}.monthly_round m USING (round_id)"
        " JOIN shared.organisation o ON o.area_id = i.town WHERE o.code = :organisation ORDER BY m.month DESC LIMIT 1",
        ("/rounds/{0}/notice/{1}", "/rounds/{0}/print", "/rounds/{0}/cards", "/rounds/{0}/items", "/changes?month={0}"),
    ),
    ("SELECT request_id FROM {d}.licence_request WHERE organisation = :organisation LIMIT 1", ("/licences/{0}/edit",)),
    ("SELECT record_type FROM {d}.catalogue_entry WHERE provider = :organisation LIMIT 1", ("/catalogue/{0}/edit",)),
)  # fmt: skip


def _live_small(cluster: Cluster, home: Path) -> None:
    _on_server(cluster, "CREATE DATABASE pages_living OWNER hub_owner")
    settings = _settings(home, cluster.urls("pages_living"))
    run_demo(settings, SMALL, once=True)
    database = Database(settings.database_url or "", settings.district)
    with database.begin() as connection:
        for login, organisation, role in _MORE_STAFF:
            open_account(connection, login, organisation, role)
    database.close()
    _on_server(cluster, "ALTER DATABASE pages_living RENAME TO pages_small")


def _settings(home: Path, urls: Urls) -> Settings:
    replaced = {"audit_url": urls.audit, "requests_per_minute": 10_000_000}
    return msgspec.structs.replace(settings_of(home, urls), **replaced)


def _has_database(cluster: Cluster, name: str) -> bool:
    database = Database(cluster.urls("postgres").superuser, "d999001")
    with database.begin() as connection:
        found = run_sql(connection, "SELECT 1 FROM pg_database WHERE datname = :name", name=name)
    database.close()
    return bool(found)


def _on_server(cluster: Cluster, statement: str) -> None:
    with psycopg.connect(libpq(cluster.urls("postgres").superuser), autocommit=True) as connection:
        connection.execute(statement.encode())


def _sign_in_all(connection: Connection) -> list[Asking]:
    """One account of each role in each kind of unit: the first that was opened."""
    staff: dict[tuple[str, str], Asking] = {}
    for row in connection.execute(select(account).order_by(account.c.account_id)):
        its = load_organisation(connection, row.organisation)
        role = row.roles[0]
        if (role, its.kind) in staff or "-" in row.login.replace("-sj", ""):
            continue
        value = open_session(connection, row.account_id, utc_now())
        headers = {"Cookie": f"__Host-sid={value}", "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        staff[role, its.kind] = Asking(row.login, role, row.organisation, its.kind, headers, "", ROLES[role])
    return [*staff.values()]


# ---- asking ----


def ask_all(client: TestClient[Litestar], district: District, repeats: int, only: str = "") -> Iterator[Page]:
    """Every page once for each account that finds it."""
    routes = routes_of(district.app)
    for who in district.staff:
        walked = walk(client, who, routes, district.more[who.organisation])
        _say_failed(walked)
        for address in walked.addresses:
            if only in address.page:
                yield ask_one(client, district, address, repeats)


def _say_failed(walked: Walked) -> None:
    for path, status in walked.failed.items():
        print(f"  {status} {path}")


def ask_one(client: TestClient[Litestar], district: District, address: Address, repeats: int) -> Page:
    """In turns with the empty page, after both are warm."""
    empty = Address(address.who, EMPTY, EMPTY)
    with counted(district.databases) as statements:
        answer = asked(client, address)
    seconds: list[float] = []
    nothing: list[float] = []
    for turn in range(_WARM_UPS - 1 + repeats):
        for one, spent in ((address, seconds), (empty, nothing)):
            began = time.perf_counter()
            asked(client, one)
            if turn >= _WARM_UPS - 1:
                spent.append(time.perf_counter() - began)
    text = answer.text
    return Page(
        address.page, address.who.name, seconds, nothing, len(answer.content), text.count("<tr"), len(statements)
    )


@contextmanager
def counted(databases: tuple[Database, ...]) -> Iterator[list[str]]:
    """The statements these databases are asked meanwhile."""
    told: list[str] = []

    def note(_: object, __: object, statement: str, *more: object) -> None:
        told.append(statement)

    with ExitStack() as watched:
        for one in databases:
            event.listen(one.engine, "before_cursor_execute", note)
            watched.callback(event.remove, one.engine, "before_cursor_execute", note)
        yield told


# ---- telling ----


def _tell(report: Report, tenth: list[Page], all_of: list[Page], people: str) -> None:
    small = {(one.page, one.who): one for one in tenth}
    ordered = sorted(all_of, key=lambda one: -one.p95)
    print(
        f"\n{'p95':>7} {'p50':>7} {'best':>7} {'ratio':>6} {'t/10':>6} {'bytes':>8} {'b/10':>5} {'rows':>5} {'sql':>4}  page"
    )
    for one in ordered:
        before = small.get((one.page, one.who))
        grew, wider = (one.ratio / before.ratio, one.size / before.size) if before else (0.0, 0.0)
        print(
            f"{one.p95 * 1000:7.1f} {one.p50 * 1000:7.1f} {min(one.seconds) * 1000:7.1f} {one.ratio:6.1f}"
            f" {grew:6.1f} {one.size:8,} {wider:5.2f}"
            f" {one.rows:5} {one.statements:4}  {one.page} ({one.who})"
        )
    for one in ordered[:_WORST]:
        report.figures.append(
            Figure(
                work=f"{one.page} ({one.who}) p95 {one.p95 * 1000:.0f} ms", seconds=min(one.seconds), floor=EMPTY,
                floor_seconds=min(one.empty),
            )
        )  # fmt: skip
    over = sum(one.p95 > BAR_SECONDS for one in ordered)
    report.add(work=f"最慢 slowest p95 of {len(ordered)} pages, {people}, {over} over 150 ms", seconds=ordered[0].p95)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pages", description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--home", type=Path, help="kept, and used again")
    parser.add_argument("--repeats", type=int, default=_ASKED)
    parser.add_argument("--only", default="", help="pages whose address holds this")
    wanted = parser.parse_args()
    report = Report(rows=wanted.people)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # failures are listed
    with ExitStack() as held:
        home = wanted.home or held.enter_context(temporary_home())
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o711)
        measure_at(home, report, load_catalogue(), wanted.repeats, wanted.only)


if __name__ == "__main__":
    main()
