"""One real PostgreSQL a test process, one fresh database a test, cloned from a provisioned template."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from argon2 import PasswordHasher
from sqlalchemy import make_url

from hub.database import Database
from hub.embedded import Cluster, Urls
from hub.operations.provisioning import provision
from hub.registry import passwords
from hub.settings import Settings, load_settings
from mappings.catalogue import Catalogue, load_catalogue
from tests.desk_fixtures import bureau as bureau
from tests.desk_fixtures import client as client
from tests.desk_fixtures import gongan as gongan
from tests.desk_fixtures import hub as hub
from tests.desk_fixtures import staff as staff
from tests.fresh_databases import FreshDatabases
from tests.fresh_databases import clone_template as clone_template
from tests.fresh_databases import execute as execute

# what is compiled is kept, whatever the machine's usual is: a test module costs five times as much to read as source
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# looking through some hundred megabytes of imported modules again and again is a tenth of the tests' processor time
gc.set_threshold(100_000, 50, 100)
# one plain line an event: the usual way to show a failure draws every local variable, the whole catalogue among them
structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.KeyValueRenderer()])
# fsync off: these tests kill hub processes, never PostgreSQL; the fault campaign uses the real settings
# copying inside the kernel makes a test's database in a third of the time; after each copy pages would be logged in full
# a password that is hashed 4,096 times costs more than the connection it opens, and a test opens five
_FAST = {
    "fsync": "off", "shared_buffers": "96MB", "max_connections": "200", "file_copy_method": "clone",
    "full_page_writes": "off", "autovacuum": "off", "scram_iterations": "1",
}  # fmt: skip


# what takes longest, first of all: a minute that begins when the others are done is a minute more for everybody
_LONGEST = (
    "test_they_stay_the_same_through_longer_stories",
    "test_slices_replayed_queried_and_modelled_are_the_same",
    "test_rights_matrix.py",
    "test_five_doors.py",
    "test_pictures.py",
    "test_benchmarks.py",
    "test_oracle_whole_line.py",
    "test_kill_points.py",
    "test_up.py",
    "test_year.py",
    "test_oracle.py",
    "test_every_page.py",
    "test_daily_tasks.py",
    "test_demo.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers each begins with a share of the long tests; the rest is in its usual order."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        long = [[one for one in items if _long_as(one) == name] for name in _LONGEST]
        items[:] = shared_out(long, [one for one in items if not _long_as(one)], workers)


def _long_as(item: pytest.Item) -> str:
    """A long test's own name, else that of its file: what the tests of a file share is made once."""
    return next((name for name in (item.name, item.path.name) if name in _LONGEST), "")


def shared_out(long: list[list[pytest.Item]], rest: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """In the shares that xdist gives out at first: equal in number, one behind the other."""
    left, made = sum(map(len, long)) + len(rest), list[pytest.Item]()
    for worker in range(workers):
        share, first = left // (workers - worker), [one for together in long[worker::workers] for one in together]
        made += first + rest[: share - len(first)]
        rest, left = rest[share - len(first) :], left - share
    return made


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """Passwords cost 64 MB and a tenth of a second each: the tests sign in a thousand times, with a smaller hash.

    Where the cost itself is the point, a test asks for ``real_hashes``.
    """
    real = passwords._hasher, passwords._NOBODY
    small = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    passwords._hasher, passwords._NOBODY = small, small.hash("nobody has this password")
    yield
    passwords._hasher, passwords._NOBODY = real


@pytest.fixture
def real_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = PasswordHasher()
    monkeypatch.setattr(passwords, "_hasher", hasher)
    monkeypatch.setattr(passwords, "_NOBODY", hasher.hash("nobody has this password"))


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(home, _FAST)
    cluster.start()
    execute(cluster, f"ALTER ROLE hub_super PASSWORD '{make_url(cluster.urls().superuser).password}'")  # hashed once
    execute(cluster, "CREATE DATABASE hub_template OWNER hub_owner")
    provision(cluster.urls("hub_template").owner, test_settings(home), catalogue)
    yield cluster
    cluster.stop()
    if cluster.base.parent == Path("/var/lib/hub-postgres"):
        import shutil

        shutil.rmtree(cluster.base, ignore_errors=True)


def test_settings(home: Path) -> Settings:
    return load_settings(home, fictitious_prefixes=("999001",), demo=True)


test_settings.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def fresh_databases(cluster: Cluster) -> FreshDatabases:
    return FreshDatabases(cluster)


@pytest.fixture
def urls(cluster: Cluster, fresh_databases: FreshDatabases) -> Iterator[Urls]:
    """The URLs of a fresh, provisioned database."""
    name = fresh_databases.take()
    yield cluster.urls(name)
    fresh_databases.give_back(name)


@pytest.fixture
def settings(tmp_path: Path, urls: Urls) -> Settings:
    home = tmp_path / "home"
    return load_settings(
        home,
        database_url=urls.app,
        owner_url=urls.owner,
        worker_url=urls.worker,
        audit_url=urls.audit,
        accounts={"second_factor_roles": []},
        fictitious_prefixes=("999001",),
        demo=True,
    )


@pytest.fixture
def database(urls: Urls, settings: Settings) -> Iterator[Database]:
    """A fresh hub, as the worker sees it."""
    database = Database(urls.worker, settings.district)
    yield database
    database.close()


@pytest.fixture
def app_database(urls: Urls, settings: Settings) -> Iterator[Database]:
    """The same hub, as the web door sees it."""
    database = Database(urls.app, settings.district)
    yield database
    database.close()


@pytest.fixture
def owner_database(urls: Urls, settings: Settings) -> Iterator[Database]:
    """The same hub, as its owner sees it: to look where no role of the hub may."""
    database = Database(urls.owner, settings.district)
    yield database
    database.close()
