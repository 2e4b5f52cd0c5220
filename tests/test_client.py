"""A department's own program at a really served hub: it sends safely again, and follows a slice through kill -9."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
import pytest
import uvicorn

from adapters import client as hub_client
from adapters.client import Broken, FileCursor, HubClient, HubProblem
from hub import jobs
from hub.app import create_app
from hub.database import Database
from hub.embedded import Cluster
from hub.exchange.slices import query_slice
from hub.keyring import Keyring
from hub.registry.api_keys import issue_key
from hub.registry.permissions import ROLES, SYSTEM_ACTOR
from hub.settings import Settings, load_settings
from mappings.catalogue import Catalogue
from tests.channel_hub import SLICE as SLICE_DEFINITION
from tests.channel_hub import ChannelHub, query
from tests.conftest import clone_template
from tests.doors import csv_of, identity_number, move_in
from tests.peer_servers import Answering, http_peer

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "follow_a_slice.py"
SLICE, PEOPLE, PAGE = "renshe-moves", 12, 4


class Served(NamedTuple):
    """A hub that answers on 127.0.0.1, its worker at work."""

    url: str
    keys: dict[str, str]
    district: ChannelHub


@pytest.fixture(scope="module")
def served(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Iterator[Served]:
    name = "served_to_clients"
    clone_template(cluster, name)
    urls = cluster.urls(name)
    settings = load_settings(
        tmp_path_factory.mktemp("served"), database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker,
        fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip
    worker, app = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    district = ChannelHub(worker, settings, catalogue)
    with app.begin() as connection:
        keys = {
            code: issue_key(connection, SYSTEM_ACTOR, organisation=code, title="接口", scopes=ROLES["integrator"]).text
            for code in ("public_security", "labour")
        }
    district.move(1, PEOPLE + 1)
    with _serving(settings, app, catalogue) as url, _working(worker, settings):
        yield Served(url, keys, district)
    worker.close()
    app.close()


@contextmanager
def _serving(settings: Settings, app: Database, catalogue: Catalogue) -> Iterator[str]:
    """The web application on a free port."""
    listening = socket.create_server(("127.0.0.1", 0))
    application = create_app(settings, app, catalogue, Keyring.load(settings.home))
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@contextmanager
def _working(database: Database, settings: Settings) -> Iterator[None]:
    """Jobs are done as they come in."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            if query(database, "SELECT 1 FROM {d}.submission WHERE state IN ('received', 'checked')"):
                jobs.work(database, settings, wait=False)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(10)


@pytest.fixture
def police(served: Served) -> Iterator[HubClient]:
    client = HubClient(served.url, served.keys["public_security"])
    yield client
    client.close()


@pytest.fixture
def labour(served: Served) -> Iterator[HubClient]:
    client = HubClient(served.url, served.keys["labour"])
    yield client
    client.close()


# ---- sending ----


def test_a_file_is_sent_and_its_receipt_waited_for_and_again_is_the_same(police: HubClient, tmp_path: Path) -> None:
    file = tmp_path / "迁入.csv"
    file.write_bytes(csv_of(move_in(101)))
    receipt = police.submit(file, "hukou_move_in", "2026-10")
    assert (receipt.final, receipt.state, receipt.counts.accepted, receipt.period) == (True, "merged", 1, "2026-10")
    assert police.submit(file, "hukou_move_in", "2026-10").receipt == receipt.receipt
    assert police.submit(file, "hukou_move_in", "2026-09", wait=False).receipt != receipt.receipt


def test_rows_are_sent_and_what_is_wrong_with_them_is_told(police: HubClient) -> None:
    receipt = police.submit([{"name": "王小明", "id_no": identity_number(102)}, {"name": "李"}], "hukou_move_in")
    assert receipt.final
    assert receipt.counts.received == 2
    assert {issue.row for issue in receipt.issues} >= {2}


def test_a_refusal_of_the_hub_is_a_problem_with_its_name(police: HubClient, served: Served) -> None:
    with pytest.raises(HubProblem) as refused:
        police.submit(b"a,b\r\n", "employment")
    assert (refused.value.status, refused.value.type) == (403, "urn:hub:problem:not-allowed")
    with pytest.raises(HubProblem) as unknown:
        HubClient(served.url, "hk_nobody").receipt("x")
    assert unknown.value.status == 401


def test_a_client_id_and_secret_are_traded_for_a_token(served: Served) -> None:
    hub, prefix, secret = served.keys["labour"].split("_", 2)
    client = HubClient(served.url, (f"{hub}_{prefix}", secret))
    page = next(client.changes(SLICE, _Memory(), limit=1))
    assert page.changes[0].delivery_no == 1
    client._token = "gone"
    assert next(client.changes(SLICE, _Memory(), limit=1)).changes == page.changes


class _Memory:
    cursor: str | None = None

    def load(self) -> str | None:
        return self.cursor

    def save(self, cursor: str) -> None:
        self.cursor = cursor


# ---- trying again ----


def test_a_busy_hub_is_asked_again_as_late_as_it_says_and_with_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    answers = [
        Answering(503, b"", {"Retry-After": "7"}),
        Answering(429, b"", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        Answering(202, b'{"receipt": "R1"}'),
        Answering(200, b'{"receipt": "R1", "state": "received", "sha256": "00", "record_type": "t"}'),
    ]
    with http_peer(lambda asked: answers.pop(0)) as peer:
        receipt = HubClient(peer.url, "key").submit(b"rows", "t", wait=False)
        sent = [asked for asked in peer.asked if asked.method == "POST"]
    assert receipt.receipt == "R1"
    assert slept == [7.0, 0.0]
    assert len({asked.headers["idempotency-key"] for asked in sent}) == 1
    assert [asked.content for asked in sent] == [b"rows"] * 3
    assert all(asked.headers["content-digest"].startswith("sha-256=:") for asked in sent)


def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    file = tmp_path / "m.csv"
    file.write_bytes(b"x" * 3_000_000)
    with http_peer(lambda asked: Answering(503, b"<html>", {})) as peer:
        with pytest.raises(HubProblem) as gone:
            HubClient(peer.url, "key").submit(file, "t")
        assert {len(asked.content) for asked in peer.asked} == {3_000_000}
    assert gone.value.status == 503
    with pytest.raises(httpx.TransportError):
        HubClient(peer.url, "key").receipt("R1")
    assert len(slept) == 2 * (hub_client.MOST_ATTEMPTS - 1)
    assert all(0 < pause < 20 for pause in slept)


# ---- following a slice ----


def test_a_snapshot_is_checked_to_be_whole_and_joins_the_changes(labour: HubClient, tmp_path: Path) -> None:
    taken = labour.snapshot(SLICE, tmp_path / "whole.ndjson")
    lines = (tmp_path / "whole.ndjson").read_text("utf-8").splitlines()
    assert taken.count == len(lines) - 1 >= PEOPLE
    store = FileCursor(tmp_path / "cursor")
    store.save(taken.next)
    assert list(labour.changes(SLICE, store)) == []


def test_a_snapshot_that_was_cut_is_not_kept(tmp_path: Path) -> None:
    closing = (
        b'{"snapshot": {"epoch": "1.1", "seq": 1, "first_delivery_no": 1, "count": 2, "digest": "0", "next": "c"}}'
    )
    answers = [b'{"seq": 1}\n' + closing, b'{"seq": 1}\n{"seq": 2}\n', b""]
    with http_peer(lambda asked: Answering(200, answers.pop())) as peer:
        while answers:
            with pytest.raises(Broken):
                HubClient(peer.url, "key").snapshot(SLICE, tmp_path / "whole.ndjson")
    assert not (tmp_path / "whole.ndjson").exists()


DIES = """
import os, runpy, signal, sys
from adapters import client

place, number = os.environ["DIES"].split(":")
real = client.HubClient.changes

def changes(self, code, store, *, limit=4):
    for count, page in enumerate(real(self, code, store, limit=limit), 1):
        if place == "saves_first":
            store.save(page.next)
        if place in ("saves_first", "fetched") and count == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        yield page
        if place == "committed" and count == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

client.HubClient.changes = changes
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def follow(served: Served, file: Path, dies: str) -> int:
    """Run the example as a process of its own; its exit status."""
    environment = {**os.environ, "HUB_URL": served.url, "HUB_KEY": served.keys["labour"], "DIES": dies}
    command = [sys.executable, "-c", DIES, str(EXAMPLE), "renshe-follow", str(file)]
    return subprocess.run(command, env=environment, check=False, cwd=EXAMPLE.parent.parent.parent).returncode


def lost_or_doubled(served: Served, file: Path) -> list[str]:
    """What a follower's database says against the slice itself."""
    kept = sqlite3.connect(file)
    numbers = [number for (number,) in kept.execute("SELECT delivery_no FROM history ORDER BY rowid")]
    records = {name: json.loads(fields) for name, fields in kept.execute("SELECT id, fields FROM record")}
    kept.close()
    truth = {line["record_id"]: line["after"] for line in _slice(served)}
    wrong = [] if numbers == list(range(1, len(truth) + 1)) else [f"delivered: {numbers}"]
    return wrong + ([] if records == truth else [f"records: {len(records)} of {len(truth)}"])


def _slice(served: Served) -> list[dict[str, object]]:
    tools = served.district.tools
    with tools.database.begin() as connection:
        return list(query_slice(connection, tools.feed, SLICE_DEFINITION))


def test_a_follower_killed_around_its_commit_loses_and_doubles_nothing(served: Served, tmp_path: Path) -> None:
    for dies in ("fetched:2", "committed:1"):  # between fetch and commit; then between commit and acknowledgement
        assert follow(served, tmp_path / "slice.db", dies) == -signal.SIGKILL
        assert lost_or_doubled(served, tmp_path / "slice.db")  # it has not got everything yet
    assert follow(served, tmp_path / "slice.db", "nowhere:0") == 0
    assert lost_or_doubled(served, tmp_path / "slice.db") == []


def test_a_follower_that_saves_its_place_first_is_caught(served: Served, tmp_path: Path) -> None:
    assert follow(served, tmp_path / "slice.db", "saves_first:2") == -signal.SIGKILL
    assert follow(served, tmp_path / "slice.db", "nowhere:0") == 0
    assert lost_or_doubled(served, tmp_path / "slice.db")


def test_a_page_is_acknowledged_with_its_digest(labour: HubClient) -> None:
    page = next(labour.changes(SLICE, _Memory(), limit=PAGE))
    assert labour.acknowledge(page)
    assert not labour.acknowledge(msgspec.structs.replace(page, digest="0" * 64))
