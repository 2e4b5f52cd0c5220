"""A hub to measure: the embedded PostgreSQL as it ships, a provisioned template, and as many fresh registers as wanted."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
from sqlalchemy import Connection

from hub import jobs
from hub.database import Database
from hub.embedded import Cluster, Urls
from hub.operations.provisioning import provision
from hub.registry.areas import import_areas
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.settings import Settings, load_settings
from mappings.catalogue import Catalogue
from tests.benchmarks import people_file

SUBSCRIBER = "labour"
_TEMPLATE = "bench_template"
_names = count()


class Register(msgspec.Struct, frozen=True):
    """One register: its settings, and its database as the line's worker and as the web door see it."""

    settings: Settings
    worker: Database
    app: Database
    urls: Urls

    def send(self, path: Path) -> UUID:
        """Receive a file: bytes on disk, ledger row, job queued."""
        with path.open("rb") as stream:
            accepted = jobs.accept(
                self.app, self.settings, sender(), stream=stream, file_name=path.name, record_type=people_file.RECORD_TYPE,
                organisation=people_file.SENDER, period="2026-09", door="command",
            )  # fmt: skip
        return accepted.submission_id


class Ground:
    """A running cluster with a template of an empty, founded hub."""

    def __init__(self, home: Path, catalogue: Catalogue) -> None:
        self.home, self.catalogue, self.cluster = home, catalogue, Cluster(home)
        self.cluster.start()
        self.execute(f"CREATE DATABASE {_TEMPLATE} OWNER hub_owner")
        settings = settings_of(home, self.cluster.urls(_TEMPLATE))
        provision(settings.owner_url or "", settings, catalogue)
        database = Database(settings.owner_url or "", settings.district)
        with database.begin() as connection:
            found(connection)
        database.close()

    def execute(self, statement: str) -> None:
        with psycopg.connect(libpq(self.cluster.urls("postgres").superuser), autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def register(self) -> Iterator[Register]:
        """An empty register; checkpointed, so that nobody pays for what was written before."""
        name = f"bench_{next(_names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} OWNER hub_owner")
        self.execute("CHECKPOINT")
        urls = self.cluster.urls(name)
        settings = settings_of(self.home, urls)
        register = Register(
            settings, Database(urls.worker, settings.district), Database(urls.app, settings.district), urls
        )
        try:
            yield register
        finally:
            register.worker.close()
            register.app.close()
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


_shared: list[Ground] = []  # while one run of several benchmarks goes on


@contextmanager
def ground(catalogue: Catalogue) -> Iterator[Ground]:
    """Lay the ground in a temporary home and clear it away; where a run shares it, the one that lies already."""
    if _shared:
        yield _shared[0]
        return
    with temporary_home() as home:
        laid = Ground(home, catalogue)
        try:
            yield laid
        finally:
            laid.cluster.stop()


@contextmanager
def shared_ground(catalogue: Catalogue) -> Iterator[None]:
    """Every benchmark inside stands on one server, each in registers of its own."""
    with ground(catalogue) as laid:
        _shared.append(laid)
        try:
            yield
        finally:
            _shared.clear()


@contextmanager
def temporary_home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    home.chmod(0o711)  # the server's own account must be able to walk through
    try:
        yield home
    finally:
        base = home / "postgres"
        if base.is_symlink():
            shutil.rmtree(base.resolve(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def settings_of(home: Path, urls: Urls) -> Settings:
    return load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker,
        fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip


def found(connection: Connection) -> None:
    """The district's areas and the two organisations that take part."""
    import_areas(connection, SYSTEM_ACTOR, people_file.areas(), date(2020, 1, 1))
    for code, name in ((people_file.SENDER, "公安局"), (SUBSCRIBER, "人社局")):
        one = Organisation(code=code, district="d999001", name=name, kind="department")
        save_organisation(connection, SYSTEM_ACTOR, one)


def sender() -> Actor:
    return _actor(people_file.SENDER)


def subscriber() -> Actor:
    return _actor(SUBSCRIBER)


def _actor(organisation: str) -> Actor:
    return Actor(name="bench", organisation=organisation, kind="department", door="command", rights=ROLES["integrator"])


def libpq(url: str) -> str:
    return url.replace("+psycopg", "")
