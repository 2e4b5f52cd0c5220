"""What becomes of a delivery: fetched, acknowledged, given again by its numbers; and a reader that waits for the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import pytest
from litestar.testing import TestClient

from adapters.client import HubClient
from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.exchange.slices import FeedContext, current_epoch, read_page
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import change_subscription, load_subscription, set_state
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.channel_hub import ChannelHub, query
from tests.district import actor
from tests.doors import Hub
from tests.sliced import MOVES, TERMS, head_of, move, sliced_hub, subscribe

LABOUR = actor("labour")


@pytest.fixture(scope="module")
def hub(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all: every test has a subscription of its own."""
    with sliced_hub(cluster, catalogue, tmp_path_factory.mktemp("deliveries"), "deliveries") as hub:
        move(hub, catalogue, 1, 9)
        yield hub


def deliveries(hub: Hub, code: str) -> list[tuple[object, ...]]:
    with hub.worker.begin() as connection:
        return run_sql(
            connection,
            "SELECT d.kind, d.first_delivery_no, d.count, d.fetched_by, d.acknowledged_at IS NOT NULL FROM {d}.delivery d"
            " JOIN {d}.subscription s USING (subscription_id) WHERE s.code = :code ORDER BY d.delivered_at, d.page_no",
            code=code,
        )


class Asked:
    """The labour office's own program at the web door, without a server between."""

    def __init__(self, hub: Hub) -> None:
        transport = httpx.ASGITransport(app=hub.app)  # type: ignore[arg-type]
        self.headers = hub.key_of("labour")
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=self.headers)

    async def page(self, code: str, **asked: str | int) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/subscriptions/{code}/changes", params=asked, timeout=60)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def get(hub: Hub, path: str, **asked: str | int) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with Asked(hub).http as http:
            return await http.get(f"/v1/subscriptions/{path}", params=asked or None)

    return asyncio.run(ask())


def post(hub: Hub, path: str, body: dict[str, object]) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with Asked(hub).http as http:
            return await http.post(f"/v1/subscriptions/{path}", json=body)

    return asyncio.run(ask())


# ---- fetched ----


def test_a_page_is_fetched_when_its_reader_comes_back_from_behind_it(hub: Hub, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "comes-back")
    first = get(hub, f"{code}/changes", limit=5).json()
    get(hub, f"{code}/changes", limit=5)  # the first page again: nobody has been behind it
    assert deliveries(hub, code) == [("page", 1, 5, None, False)]
    get(hub, f"{code}/changes", limit=5, cursor=first["next"])
    (_, _, _, by, _), (_, _, _, nobody, _) = deliveries(hub, code)
    assert (bool(by), nobody) == (True, None)


def test_what_is_acknowledged_has_been_fetched(hub: Hub, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "acknowledges")
    page = get(hub, f"{code}/changes", limit=5).json()
    wrong = {"to_delivery_no": 5, "digest": "0" * 64}
    assert post(hub, f"{code}/acks", wrong).json()["matches"] is False
    assert deliveries(hub, code)[0][3:] == (None, False)
    assert post(hub, f"{code}/acks", wrong | {"digest": page["meta"]["digest"]}).json()["matches"] is True
    assert deliveries(hub, code)[0][3] and deliveries(hub, code)[0][4]


def test_a_snapshot_is_fetched_when_its_reader_goes_on_from_it(hub: Hub, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "takes-whole")
    closing = msgspec.json.decode(get(hub, f"{code}/snapshot").text.splitlines()[-1])["snapshot"]
    assert deliveries(hub, code)[0][3] is None
    get(hub, f"{code}/changes", cursor=closing["next"])
    assert deliveries(hub, code)[0][3]


def test_the_hubs_own_look_at_a_slice_is_no_fetch(hub: Hub, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "looked-at")
    context = FeedContext(catalogue, Keyring.load(hub.settings.home))
    with hub.worker.begin() as connection:
        page = read_page(connection, SYSTEM_ACTOR, context, code)
        read_page(connection, SYSTEM_ACTOR, context, code, page.next)
    assert deliveries(hub, code)[0][3] is None


def test_what_is_laid_down_as_a_file_has_been_fetched(
    database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    channels = ChannelHub(database, settings, catalogue)
    channels.declare(
        "out", 'kind = "out_folder"\norganisation = "labour"\nsubscription = "renshe-moves"\nevery_seconds = 5\n'
    )
    channels.move(1, 4)
    assert channels.run("out").taken == 1
    assert query(database, "SELECT count, fetched_by FROM {d}.delivery") == [(3, "channel:out")]


# ---- given again ----


def test_deliveries_are_listed_by_their_numbers_and_given_again_word_for_word(hub: Hub, catalogue: Catalogue) -> None:
    code, cursor, sent = subscribe(hub, catalogue, "given-again"), None, []
    for _ in range(3):
        sent.append(get(hub, f"{code}/changes", limit=2, **({"cursor": cursor} if cursor else {})).text)
        cursor = msgspec.json.decode(sent[-1])["next"]
    newest = get(hub, f"{code}/deliveries", limit=2)
    assert [one["first_delivery_no"] for one in newest.json()["data"]] == [5, 3]
    older = get(hub, newest.headers["link"].split(f"{'/v1/subscriptions/'}")[1].split(">")[0])
    assert [(one["first_delivery_no"], one["count"]) for one in older.json()["data"]] == [(1, 2)]
    again = get(hub, f"{code}/deliveries/2-5")
    assert again.json()["meta"] == {"pages": 3, "count": 6}
    for page, word in zip(again.json()["data"], sent, strict=True):
        first = msgspec.json.decode(word)
        assert (page["data"], page["next"], page["meta"]["digest"]) == (
            first["data"], first["next"], first["meta"]["digest"],
        )  # fmt: skip
        assert word.encode().split(b'"next"')[0] in again.content


def test_numbers_not_yet_delivered_of_an_older_epoch_or_of_a_snapshot_are_not_given_again(
    hub: Hub, catalogue: Catalogue
) -> None:
    code = subscribe(hub, catalogue, "not-again")
    page = get(hub, f"{code}/changes", limit=3).json()
    for numbers, status, problem in (
        ("2-4", 400, "not-delivered"), ("9-9", 400, "not-delivered"), ("3-2", 400, "bad-request"),
        ("x", 400, "bad-request"),
    ):  # fmt: skip
        refused = get(hub, f"{code}/deliveries/{numbers}")
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (status, problem), numbers
    with hub.worker.begin() as connection:
        change_subscription(connection, SYSTEM_ACTOR, catalogue, code, definition=MOVES, terms=TERMS)
    old = get(hub, f"{code}/deliveries/1-3", epoch=page["meta"]["epoch"])
    assert (old.status_code, old.json()["snapshot_url"]) == (410, f"/v1/subscriptions/{code}/snapshot")
    assert get(hub, f"{code}/deliveries", epoch=page["meta"]["epoch"]).json()["meta"]["count"] == 1
    get(hub, f"{code}/snapshot")
    assert get(hub, f"{code}/deliveries/1-3").status_code == 410


def test_a_suspended_subscription_lists_its_deliveries_but_gives_none_again(hub: Hub, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "suspended")
    get(hub, f"{code}/changes")
    with hub.worker.begin() as connection:
        set_state(connection, SYSTEM_ACTOR, code, "suspended")
    assert get(hub, f"{code}/deliveries").json()["meta"]["count"] == 1
    assert get(hub, f"{code}/deliveries/1-1").status_code == 403


# ---- waiting ----


def test_a_reader_who_waits_is_answered_at_once_or_when_something_comes(hub: Hub, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "waits", start_seq=head_of(hub))

    async def wait() -> tuple[dict[str, Any], float, dict[str, Any], float]:
        asked = Asked(hub)
        began = time.monotonic()
        waiting = asyncio.create_task(asked.page(code, wait=20))
        await asyncio.sleep(0.7)
        assert not waiting.done()
        await asyncio.to_thread(move, hub, catalogue, 200, 202)
        came = await waiting
        took, began = time.monotonic() - began, time.monotonic()
        nothing = await asked.page(code, cursor=came["next"], wait=1)
        return came, took, nothing, time.monotonic() - began

    came, took, nothing, waited = asyncio.run(wait())
    assert (came["meta"]["count"], took < 5) == (2, True)
    assert nothing["data"] == [] and nothing["next"] and 0.9 < waited < 4


def test_the_client_kit_waits_for_the_next_page(hub: Hub, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "kit-waits", start_seq=head_of(hub))
    with TestClient(hub.app) as served, ThreadPoolExecutor(1) as later:
        client = HubClient("http://testserver.local", hub.keys["labour"])
        client._http = served
        later.submit(_move_later, hub, catalogue)
        (page,) = client.changes(code, _Nowhere(), wait=20)
    assert [change.delivery_no for change in page.changes] == [1, 2]


def _move_later(hub: Hub, catalogue: Catalogue) -> None:
    time.sleep(0.7)
    move(hub, catalogue, 500, 502)


class _Nowhere:
    def load(self) -> str | None:
        return None

    def save(self, cursor: str) -> None:
        assert cursor


def test_dozens_who_wait_keep_nobody_else_waiting(hub: Hub, catalogue: Catalogue) -> None:
    """No thread and no connection is held by whoever waits: there are fewer of either than of them."""
    codes = [subscribe(hub, catalogue, f"crowd-{n}", start_seq=head_of(hub)) for n in range(4)]

    async def crowd() -> tuple[list[int], float, int]:
        asked = Asked(hub)
        waiting = [asyncio.create_task(asked.page(codes[n % 4], wait=15)) for n in range(60)]
        until = time.monotonic() + 10
        while (held := hub.served.engine.pool.checkedout()) > 0 and time.monotonic() < until:  # type: ignore[attr-defined]
            await asyncio.sleep(0.1)  # until each has had its first, empty look
        began = time.monotonic()
        await asked.page(codes[0])
        took = time.monotonic() - began
        await asyncio.to_thread(move, hub, catalogue, 300, 303)
        return [page["meta"]["count"] for page in await asyncio.gather(*waiting)], took, held

    counts, took, held = asyncio.run(crowd())
    assert counts == [3] * 60
    assert (took < 2, held) == (True, 0)


def test_a_waiting_reader_of_a_slice_that_did_not_move_gets_a_bookmark(hub: Hub, catalogue: Catalogue) -> None:
    """The feed moves, the slice does not: the reader is held on, then told how far the log was read."""
    deaths = SliceDefinition((SliceType("death_certificate", ("cert_no",)),), None)
    subscribe(hub, catalogue, "elsewhere", deaths, start_seq=head_of(hub))

    async def wait() -> dict[str, Any]:
        waiting = asyncio.create_task(Asked(hub).page("elsewhere", wait=2))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(move, hub, catalogue, 400, 402)
        return await waiting

    page = asyncio.run(wait())
    assert (page["data"], page["meta"]["to_seq"]) == ([], head_of(hub))
    with hub.worker.begin() as connection:
        its = load_subscription(connection, "elsewhere")
        assert page["meta"]["epoch"] == current_epoch(connection, its)
