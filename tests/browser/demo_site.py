"""The demo's whole district behind a real server: a year of sending, rounds, licences. Made once for all who look at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hub.database import Database
from hub.demo.founding import Founded, already_founded
from hub.demo.plan import FEWEST_PEOPLE
from hub.demo.run import run
from hub.demo.summary import Summary
from hub.embedded import Cluster
from hub.keyring import Keyring
from hub.settings import Settings, load_settings
from mappings.catalogue import Catalogue
from tests.browser.conftest import Site, _served, _working
from tests.conftest import clone_template, execute
from tests.doors import served_hub


@dataclass
class DemoSite:
    """The site, what the demo said of itself, and the logins it made."""

    site: Site
    settings: Settings
    summary: Summary
    passwords: dict[str, str] = field(default_factory=dict)


@contextmanager
def demo_district(cluster: Cluster, catalogue: Catalogue, home: Path, name: str) -> Iterator[DemoSite]:
    """Run the demo in a database of its own, then serve it."""
    clone_template(cluster, name)
    urls = cluster.urls(name)
    settings = load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit,
        accounts={"second_factor_roles": []}, rounds={"automatic": False}, fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip
    summary = run(settings, FEWEST_PEOPLE, once=True)
    key = Keyring.load(settings.home).audit_key
    worker = Database(urls.worker, settings.district, audit_key=key)
    served = Database(urls.app, settings.district, audit_key=key)
    with worker.read() as connection:
        founded = already_founded(connection, settings)
    assert founded is not None
    with served_hub(settings, worker, served, catalogue) as hub, _served(hub) as address, _working(hub):
        yield DemoSite(Site(hub, address), settings, summary, _passwords(founded))
    worker.close()
    served.close()
    execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")


def _passwords(founded: Founded) -> dict[str, str]:
    return {one.login: one.password for one in founded.logins}
