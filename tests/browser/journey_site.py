"""A hub for whole journeys: served, with its worker, the auditor's own connection, and a way to look into the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.keyring import Keyring
from hub.settings import load_settings
from mappings.catalogue import Catalogue
from tests.browser.conftest import Site, _served, _working
from tests.conftest import clone_template, execute
from tests.doors import Hub, founded_hub


class AuditTold(NamedTuple):
    """One line of the audit: what was done, with what outcome, and its facts."""

    act: str
    outcome: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Ground:
    """The site, and its database as nobody who works here sees it: whole."""

    site: Site
    catalogue: Catalogue
    whole: Database

    @property
    def hub(self) -> Hub:
        return self.site.hub

    def rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        with self.whole.begin() as connection:
            return [tuple(row) for row in run_sql(connection, statement, **values)]

    def submission(self, place: str) -> tuple[Any, ...]:
        """What the ledger has of the submission whose page this is: kind, state, the five counts."""
        statement = (
            "SELECT kind, state, received, accepted, unchanged, held, refused FROM {d}.submission"
            " WHERE submission_id::text = :one"
        )
        return self.rows(statement, one=id_in(place))[0]

    def audited(self, actor: str, object: str) -> list[AuditTold]:
        return audited(self.hub, actor, object)


def audited(hub: Hub, actor: str, object: str) -> list[AuditTold]:
    """This account's lines about a thing (% for any), as the auditor's connection reads them, the oldest first."""
    statement = (
        "SELECT act, outcome, facts FROM {d}.audit WHERE actor = :actor AND object LIKE :object ORDER BY audit_id"
    )
    database = Database(hub.settings.audit_url or "", hub.settings.district)
    with database.begin() as connection:
        found = run_sql(connection, statement, actor=actor, object=object)
    database.close()
    return [AuditTold(*row) for row in found]  # type: ignore[arg-type]


def id_in(place: str) -> str:
    """The submission's id in its page's address."""
    return place.partition("/submissions/")[2][:36]


@contextmanager
def journey_ground(
    cluster: Cluster,
    catalogue: Catalogue,
    home: Path,
    name: str,
    stock: Callable[[Hub, Catalogue], None],
    second_factor_roles: tuple[str, ...] = (),
) -> Iterator[Ground]:
    """Afterwards: nobody asked for anything outside, and no browser complained."""
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    clone_template(cluster, name)
    urls = cluster.urls(name)
    settings = load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit,
        accounts={"second_factor_roles": list(second_factor_roles)}, fictitious_prefixes=("999001",), demo=True,
        rounds={"automatic": False},
    )  # fmt: skip
    key = Keyring.load(settings.home).audit_key
    worker, served = (Database(url, settings.district, audit_key=key) for url in (urls.worker, urls.app))
    whole = Database(urls.superuser, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub:
        stock(hub, catalogue)
        with _served(hub) as address, _working(hub):
            site = Site(hub, address)
            yield Ground(site, catalogue, whole)
    for one in (worker, served, whole):
        one.close()
    execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")
    assert site.elsewhere == [], "the panel asked for something outside the hub"
    assert site.complaints == [], "the browser complained"
