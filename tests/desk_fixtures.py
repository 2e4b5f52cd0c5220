"""A founded district and who sits before it, for tests of pages: taken by every test that does not found its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.database import Database
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, add_staff, visitor
from tests.doors import Hub, founded_hub

Client = TestClient[Litestar]


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def staff(hub: Hub) -> None:
    """With administrators, data officers and the bureau's leader."""
    add_staff(hub)


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


@pytest.fixture
def bureau(hub: Hub, client: Client) -> Visitor:
    return visitor(hub, client, "quju")


@pytest.fixture
def gongan(hub: Hub, client: Client) -> Visitor:
    return visitor(hub, client, "gongan")
