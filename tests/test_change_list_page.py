"""The month's changes on the town's page, narrowed to one village: shown, paged, taken along, and noted so."""

from __future__ import annotations

import io
from collections.abc import Iterator

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

import admin.change_lists
from hub.embedded import Cluster
from mappings.catalogue import Catalogue
from tests.decisions import read
from tests.desk_visits import Visitor, visitor
from tests.doors import OTHER_VILLAGE, THIS_MONTH, VILLAGE, Hub
from tests.fresh_databases import FreshDatabases
from tests.paper_hub import HEPING, papered_hub

HERE = f"/changes?month={THIS_MONTH}&village={HEPING}"
NEWCOMERS = ["郑第一", "郑第二", "郑第三"]


@pytest.fixture(scope="module")
def hub(
    cluster: Cluster, fresh_databases: FreshDatabases, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    with papered_hub(cluster, fresh_databases, catalogue, tmp_path_factory.mktemp("changes")) as hub:
        yield hub


@pytest.fixture(scope="module")
def town(hub: Hub) -> Iterator[Visitor]:
    with TestClient[Litestar](hub.app, base_url="https://hub.test") as client:
        yield visitor(hub, client, "qingxi")


def names_on(page: str) -> list[str]:
    return [name for name in (*NEWCOMERS, "周德", "李梅") if f">{name}</th>" in page]


def test_a_village_has_its_own_changes_and_the_address_says_which(town: Visitor) -> None:
    everything = town.get(f"/changes?month={THIS_MONTH}").text
    assert names_on(everything)[:3] == NEWCOMERS and "周德" in everything
    page = town.get(HERE).text
    assert names_on(page) == NEWCOMERS and "周德" not in page
    assert f'<option value="{HEPING}" selected' in page
    assert town.get(f"/changes?month=2019-01&village={HEPING}").text.count("这个村居本月没有变动。") == 1


def test_the_pages_of_a_village_follow_each_other(town: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin.change_lists, "_CHANGES_A_PAGE", 2)
    seen, link = [], HERE
    while link:
        page = town.get(link).text
        seen += names_on(page)
        further = page.partition(">下一页<")[0].rpartition('<a href="?')[2] if ">下一页<" in page else ""
        link = "/changes?" + further.partition('"')[0].replace("&amp;", "&") if further else ""
    assert sorted(seen) == sorted(NEWCOMERS)


def test_what_is_shown_is_what_is_taken_along(hub: Hub, town: Visitor) -> None:
    link = town.get(HERE).text.partition('href="/changes.xlsx?')[2].partition('"')[0].replace("&amp;", "&")
    book = openpyxl.load_workbook(io.BytesIO(town.get(f"/changes.xlsx?{link}").content))
    rows = [[cell.value for cell in row] for row in book.worksheets[0].iter_rows(min_row=4)]
    assert sorted(row[2] for row in rows if row[2]) == sorted(NEWCOMERS)
    assert "和平社区" in book.worksheets[0]["A1"].value
    ((facts,),) = read(
        hub, "SELECT facts FROM {d}.audit WHERE facts ->> 'purpose' = 'monthly-check/workbook' ORDER BY at DESC LIMIT 1"
    )
    assert facts["count"] == 3 and facts["village"]


@pytest.mark.parametrize("village", [OTHER_VILLAGE, "999009009009", "x"])
def test_a_village_of_another_town_is_not_there(town: Visitor, village: str) -> None:
    for page in ("/changes", "/changes.xlsx"):
        assert town.get(f"{page}?month={THIS_MONTH}&village={village}").status_code == 404
    assert town.get(f"/changes?month={THIS_MONTH}&village={VILLAGE}").status_code == 200
