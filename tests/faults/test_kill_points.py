"""Killing any process at any named place loses nothing acknowledged and repeats nothing; and the checker would notice."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import jobs
from hub.embedded import Urls
from mappings.catalogue import Catalogue
from tests.faults.forks import Forks
from tests.faults.kills import CLIENT_POINTS, KILLED, WORKER_POINTS, KilledHub, kill_sender, kill_worker
from tests.source import sources

TRIALS = int(os.environ.get("HUB_FAULT_TRIALS", "5"))


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as forks:
        yield forks


@pytest.fixture
def hub(urls: Urls, tmp_path: Path, forks: Forks, catalogue: Catalogue) -> Iterator[KilledHub]:
    hub = KilledHub(urls, tmp_path / "home", forks, catalogue)
    yield hub
    hub.close()


@pytest.mark.parametrize("point", WORKER_POINTS)
def test_a_worker_killed_at_any_place_loses_nothing_and_repeats_nothing(hub: KilledHub, point: str) -> None:
    for _ in range(TRIALS):
        ended, _ = kill_worker(hub, point)
        assert ended == KILLED, hub.output.read_text()
    assert hub.damage() == []


@pytest.mark.parametrize("point", CLIENT_POINTS)
def test_a_sender_killed_at_any_place_sends_again_and_counts_once(hub: KilledHub, point: str) -> None:
    for _ in range(TRIALS):
        assert kill_sender(hub, point) == KILLED, hub.output.read_text()
    hub.recover()
    assert hub.damage() == []


@pytest.mark.parametrize(
    "broken",
    ["register_before_ledger", "ledger_before_change_log", "receipt_after_commit", "state_before_register"],
)
def test_a_worker_that_commits_in_the_wrong_order_is_caught(hub: KilledHub, broken: str) -> None:
    hub.submit_here(hub.write())
    assert hub.work(broken=broken) == KILLED, hub.output.read_text()
    jobs.work(hub.worker, hub.settings, wait=False)
    assert hub.damage() != []


def test_a_sender_told_too_early_is_caught(hub: KilledHub) -> None:
    sent = hub.write()
    assert hub.submit(sent, broken="told_before_commit") == KILLED, hub.output.read_text()
    hub.submit_here(sent)
    hub.recover()
    assert any("lost" in one for one in hub.damage())


def test_a_submission_without_a_job_is_found_by_the_sweep(hub: KilledHub) -> None:
    assert hub.submit(hub.write(), broken="job_in_another_transaction") == KILLED, hub.output.read_text()
    jobs.work(hub.worker, hub.settings, wait=False)
    assert hub.damage() != []
    assert jobs.sweep(hub.worker, older_than_seconds=0.0) == 1
    hub.recover()
    assert hub.damage() == []


def test_every_place_where_the_line_may_die_is_tried() -> None:
    rooms = ("hub/jobs.py", "hub/accepting.py", "hub/exchange/")
    passed = {
        name
        for module, text in sources().items()
        if module.startswith(rooms)
        for call in re.findall(r"\bpoint\((.*)\)$", text, re.M)
        for name in re.findall(r'"([a-z_]+\.[a-z_]+)"', call)
    }
    assert passed == {*WORKER_POINTS, *CLIENT_POINTS}
