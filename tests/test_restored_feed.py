"""A subscriber of a hub that was restored from its backup: told so, taken back to the whole slice, and on from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.database import Database
from hub.embedded import Cluster
from hub.operations import backup
from hub.settings import Settings, load_settings
from mappings.catalogue import Catalogue
from tests.conftest import execute
from tests.doors import Hub, founded_hub, serving_hub
from tests.sliced import move, subscribe

PASSPHRASE = "a passphrase of this test"


@pytest.fixture
def fresh(cluster: Cluster, tmp_path: Path) -> Iterator[Settings]:
    """An empty database and an empty home to restore into."""
    execute(cluster, "CREATE DATABASE restored_feed OWNER hub_owner")
    urls = cluster.urls("restored_feed")
    yield load_settings(
        tmp_path / "fresh", database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker,
        fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip
    execute(cluster, "DROP DATABASE restored_feed WITH (FORCE)")


def ask(client: TestClient[Litestar], hub: Hub, path: str, **asked: str) -> Any:
    return client.get(f"/v1/subscriptions/{path}", params=asked or None, headers=hub.key_of("labour"))


def test_a_reader_of_a_restored_hub_is_told_takes_the_snapshot_and_goes_on(
    database: Database, app_database: Database, owner_database: Database, settings: Settings, fresh: Settings,
    catalogue: Catalogue, tmp_path: Path,
) -> None:  # fmt: skip
    with founded_hub(database, app_database, settings, catalogue) as hub:
        code = subscribe(hub, catalogue, "restored")
        move(hub, catalogue, 1, 4)
        with TestClient(hub.app) as client:
            cursor = ask(client, hub, f"{code}/changes").json()["next"]
        backup.back_up(settings, owner_database, tmp_path / "b", PASSPHRASE)
        move(hub, catalogue, 4, 6)  # lost with the hub: its reader has had them
        with TestClient(hub.app) as client:
            cursor = ask(client, hub, f"{code}/changes", cursor=cursor).json()["next"]
    backup.restore(tmp_path / "b", fresh, PASSPHRASE)
    worker, served = (
        Database(fresh.worker_url or "", fresh.district),
        Database(fresh.database_url or "", fresh.district),
    )
    try:
        with serving_hub(fresh, worker, served, catalogue, hub.keys) as again, TestClient(again.app) as client:
            refused = ask(client, again, f"{code}/changes", cursor=cursor)
            assert (refused.status_code, refused.json()["type"]) == (410, "urn:hub:problem:cursor-gone")
            *whole, last = client.get(refused.json()["snapshot_url"], headers=again.key_of("labour")).text.splitlines()
            closing = json.loads(last)["snapshot"]
            assert len(whole) == closing["count"] == 3
            move(again, catalogue, 4, 6)  # sent again
            page = ask(client, again, f"{code}/changes", cursor=closing["next"]).json()
            assert [change["delivery_no"] for change in page["data"]] == [4, 5]
            assert ask(client, again, f"{code}/deliveries").json()["data"][1]["fetched_at"]
    finally:
        worker.close()
        served.close()
