"""One real PostgreSQL a test process, one fresh database a test, cloned from a provisioned template."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from argon2 import PasswordHasher

from hub.database import Database
from hub.embedded import Cluster, Urls
from hub.operations.provisioning import provision
from hub.registry import passwords
from hub.settings import Settings, load_settings
from mappings.catalogue import Catalogue, load_catalogue
from tests.fresh_databases import FreshDatabases
from tests.fresh_databases import clone_template as clone_template
from tests.fresh_databases import execute as execute

# looking through some hundred megabytes of imported modules again and again is a tenth of the tests' processor time
gc.set_threshold(100_000, 50, 100)
# one plain line an event: the usual way to show a failure draws every local variable, the whole catalogue among them
structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.KeyValueRenderer()])
# fsync off: these tests kill hub processes, never PostgreSQL; the fault campaign uses the real settings
# copying inside the kernel makes a test's database in a third of the time
_FAST = {"fsync": "off", "shared_buffers": "96MB", "max_connections": "200", "file_copy_method": "clone"}


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
