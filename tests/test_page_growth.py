"""No page grows with the register: with four times the people each is as long, and asks the database as often, as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.database import Database
from hub.embedded import Cluster
from hub.settings import Settings, load_settings
from mappings.catalogue import Catalogue
from tests.benchmarks.grown import grow
from tests.benchmarks.grown_cases import EVERYBODY
from tests.benchmarks.page_walk import asked, walk
from tests.benchmarks.pages import counted
from tests.conftest import clone_template, execute
from tests.doors import founded_hub, serving_hub
from tests.matrix_hub import Asking, found_matrix, routes_of

FEW, MANY = 250, 1_000  # copies of everybody in the rights matrix's district
DESKS = ("town_officer-town", "bureau_operator-bureau", "auditor-bureau")
PAPER = ("/print", "/cards")  # as long as the month's list: that is what they are for
SLACK, ALLOWANCE = 0.03, 400  # longer numbers here and there; one address is not of quite the same thing as the other
FURTHER = 2  # statements for what the page happens to show; one for each row would be tens

Sizes = dict[tuple[str, str], tuple[int, int]]  # account, page -> bytes, statements


@pytest.fixture(scope="module")
def measured(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sizes]]:
    """The same district twice, smaller and bigger, as the same people see it."""
    home = tmp_path_factory.mktemp("growth")
    clone_template(cluster, "growth")
    settings = _settings(cluster, home, "growth")
    worker, served = _both(settings)
    with founded_hub(worker, served, settings, catalogue) as hub:
        desks = [one for one in found_matrix(hub, catalogue).asking if one.name in DESKS]
    worker.close()
    served.close()
    yield [_measure_grown(cluster, home, catalogue, desks, copies) for copies in (FEW, MANY)]
    for name in ("growth", *(f"growth_{copies}" for copies in (FEW, MANY))):
        execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")


def test_four_times_the_people_make_no_page_longer(measured: list[Sizes]) -> None:
    grown = longer_pages(*measured)
    assert not grown, "\n".join(grown)


def test_four_times_the_people_make_no_page_ask_more_often(measured: list[Sizes]) -> None:
    grown = more_statements(*measured)
    assert not grown, "\n".join(grown)


def test_every_desk_was_walked_and_its_lists_were_full(measured: list[Sizes]) -> None:
    pages = {page for _, page in measured[1]}
    assert {"/submissions", "/held", "/comparisons", "/challenges", "/changes", "/audit"} <= pages
    assert any("before" in page or "after" in page for page in pages), "a second page shows that the first was full"


def test_a_page_that_grows_would_be_found() -> None:
    few, many = {("quju", "/held"): (10_000, 12)}, {("quju", "/held"): (40_000, 48)}
    assert longer_pages(few, many) == ["quju /held: 10,000 -> 40,000 bytes"]
    assert more_statements(few, many) == ["quju /held: 12 -> 48 statements"]


def longer_pages(few: Sizes, many: Sizes) -> list[str]:
    return [
        f"{who} {page}: {few[who, page][0]:,} -> {size:,} bytes"
        for (who, page), (size, _) in many.items()
        if (who, page) in few and size > few[who, page][0] * (1 + SLACK) + ALLOWANCE and not page.endswith(PAPER)
    ]


def more_statements(few: Sizes, many: Sizes) -> list[str]:
    return [
        f"{who} {page}: {few[who, page][1]} -> {statements} statements"
        for (who, page), (_, statements) in many.items()
        if (who, page) in few and statements > few[who, page][1] + FURTHER
    ]


# ---- the districts ----


def _settings(cluster: Cluster, home: Path, name: str) -> Settings:
    urls = cluster.urls(name)
    return load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit,
        fictitious_prefixes=("999001",), demo=True, requests_per_minute=10_000_000, accounts={"second_factor_roles": []},
    )  # fmt: skip


def _both(settings: Settings) -> tuple[Database, Database]:
    worker, served = (Database(url or "", settings.district) for url in (settings.worker_url, settings.database_url))
    return worker, served


def _measure_grown(cluster: Cluster, home: Path, catalogue: Catalogue, desks: list[Asking], copies: int) -> Sizes:
    name = f"growth_{copies}"
    execute(cluster, f"CREATE DATABASE {name} TEMPLATE growth OWNER hub_owner")
    settings = _settings(cluster, home, name)
    owner = Database(settings.owner_url or "", settings.district)
    grow(owner, catalogue, copies, EVERYBODY)
    owner.close()
    worker, served = _both(settings)
    audit = Database(settings.audit_url or "", settings.district)
    with serving_hub(settings, worker, served, catalogue, {}) as hub:
        hub.app.state["audit_database"] = audit
        with TestClient(hub.app, base_url="https://hub.test", raise_server_exceptions=False) as client:
            sizes = {key: its for who in desks for key, its in _sizes_for(client, who, (served, audit))}
    for database in (worker, served, audit):
        database.close()
    return sizes


def _sizes_for(
    client: TestClient[Litestar], who: Asking, databases: tuple[Database, ...]
) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
    for address in walk(client, who, routes_of(client.app), steps=2).addresses:
        with counted(databases) as statements:
            answer = asked(client, address)
        yield (who.name, address.page), (len(answer.content), len(statements))
