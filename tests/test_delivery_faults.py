"""Every one of the twenty delivery faults, in a drop folder; and that each has its test at the SFTP door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert

from drops.scan import Drops
from hub.database import Database
from hub.embedded import Cluster
from hub.tables import organisation
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.delivery_faults import FAULTS, QUIET, Folder
from tests.sftp_door import settings_of_door

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def drops(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Iterator[Drops]:
    clone_template(cluster, "delivery")
    urls = cluster.urls("delivery")
    settings = settings_of_door(urls, tmp_path_factory.mktemp("delivery") / "home")
    worker, owner = Database(urls.worker, settings.district), Database(urls.owner, settings.district)
    with owner.begin() as connection:
        row = {"code": "health", "district": "d999001", "name": "卫健", "kind": "department"}
        connection.execute(insert(organisation), [row])
    made = Drops(worker, msgspec.structs.replace(settings, drop_quiet_seconds=QUIET), catalogue)
    made.lay_out()
    yield made
    worker.close()
    owner.close()
    execute(cluster, "DROP DATABASE delivery WITH (FORCE)")


@pytest.mark.parametrize("name", [name for name, (folder, _) in FAULTS.items() if not isinstance(folder, str)])
def test_a_delivery_fault_in_a_folder_takes_nothing_partial_and_nothing_twice(drops: Drops, name: str) -> None:
    make = FAULTS[name][0]
    assert not isinstance(make, str)
    make(Folder(drops, list(FAULTS).index(name)))


def test_each_of_the_twenty_has_its_test_at_the_sftp_door_or_a_reason() -> None:
    assert len(FAULTS) == 20
    named = [told for _, told in FAULTS.values() if "::" in told]
    assert len(named) >= 17
    assert [told for told in named if told.split("::")[1] not in named_in(told.split("::")[0])] == []


@cache
def named_in(file: str) -> frozenset[str]:
    tree = ast.parse((HERE / file).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))
