"""Whether a copy is what the hub holds, on a page: the receiver sees its own, the bureau all, nobody a record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from adapters.client import HubClient
from adapters.copy_check import HeldRecord, compare_copy
from hub.database import Database, run_sql
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import visitor
from tests.doors import OTHER_VILLAGE, VILLAGE, Hub, founded_hub, identity_number, open_account
from tests.staged import stage

ALL = "/subscriptions/copy-checks/all"
PAGE = "/subscriptions/moves/copy-checks"
TOLD_AGAIN = [("清溪街道", "1"), ("白鹭镇", "1")]


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        with founded.worker.begin() as connection:
            _subscribed(connection, catalogue)
        with founded.served.begin() as connection:
            open_account(connection, "gongshu", "public_security", "data_officer")
        yield founded


def _subscribed(connection: Any, catalogue: Catalogue) -> None:
    """A slice of the labour bureau, with four people who moved into two towns."""
    create_subscription(
        connection, SYSTEM_ACTOR, catalogue, code="moves", organisation="labour", title="迁入人员",
        definition=SliceDefinition((SliceType("hukou_move_in", ("name", "id_no", "live_div")),)),
        terms=Terms(purpose="核对", legal_basis="条例"),
    )  # fmt: skip
    its = catalogue.record_types["hukou_move_in"]
    rows = [
        {"name": "王小明", "id_no": identity_number(number), "sex": "1", "move_date": "2026-11-01",
         "live_div": (VILLAGE, OTHER_VILLAGE)[number % 2], "person_area": (3, 6)[number % 2]}
        for number in range(4)
    ]  # fmt: skip
    submission_id = stage(connection, its, rows)
    apply_staged(connection, submission_id, "public_security", its, catalogue)
    number_changes(connection, submission_id)


def compared(hub: Hub, client: TestClient[Litestar], *, faithful: bool) -> None:
    """The receiver reads the feed, loses one record of each town or none, and compares."""
    receiver = HubClient("http://hub", hub.keys["labour"])
    receiver.close()
    receiver._http = client
    page = client.get("/v1/subscriptions/moves/changes", headers={"Authorization": f"Bearer {hub.keys['labour']}"})
    told = page.json()
    held = [
        HeldRecord(
            record_type=one["record_type"], record_id=one["record_id"], version=one["version"], fields=one["after"],
            person_id=one["person_id"], disputed=one.get("disputed", False),
        )
        for one in told["data"]
    ]  # fmt: skip
    compare_copy(receiver, "moves", told["next"], held if faithful else held[:2])


def test_the_last_result_is_told_to_the_receiver_and_the_bureau_and_where_it_differs(hub: Hub) -> None:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        receiver, bureau = visitor(hub, client, "renshe"), visitor(hub, client, "quju")
        assert "还没有比对过" in receiver.get(PAGE).text
        assert "还没有比对" in bureau.get(ALL).text
        client.cookies.clear()
        compared(hub, client, faithful=False)
        for who in (receiver, bureau):
            page = who.get(PAGE).text
            assert "副本与枢纽有差异" in page
            places = re.findall(r'<td data-text>([^<]+)</td>\s*<td class="n">(\d+)</td>', page)
            assert sorted(places) == TOLD_AGAIN
            assert "王小明" not in page and identity_number(2) not in page
            assert "有差异" in who.get(ALL).text
        assert "hub copy-check moves --copy" in receiver.get(PAGE).text
        assert "hub copy-check moves --copy" not in bureau.get(PAGE).text
        client.cookies.clear()
        compared(hub, client, faithful=True)
        page = receiver.get(PAGE, language="en").text
        assert "The copy is what the hub holds." in page and "Earlier comparisons" in page


def test_nobody_else_is_told_of_a_copy(hub: Hub) -> None:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        provider = visitor(hub, client, "gongshu")
        assert provider.get(PAGE).status_code == 404
        assert "moves" not in provider.get(ALL).text
        assert PAGE not in provider.get("/subscriptions/moves").text
        auditor = visitor(hub, client, "shenji")
        assert [auditor.get(page).status_code for page in (ALL, PAGE)] == [403, 403]


def test_a_result_of_before_the_subscription_changed_says_so(hub: Hub) -> None:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        compared(hub, client, faithful=True)
        with hub.worker.begin() as connection:
            run_sql(connection, "UPDATE {d}.copy_check SET definition_version = 0")
        assert "这个结果只说明当时" in visitor(hub, client, "renshe").get(PAGE).text
