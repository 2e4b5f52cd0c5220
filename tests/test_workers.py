"""Who works the queue off and goes, and what that leaves to the workers that stay."""

from __future__ import annotations

from typing import Any

import pytest
from procrastinate import App

from hub import workers
from hub.database import run_sql
from hub.workers import queue
from mappings.catalogue import Catalogue
from tests.decisions import send
from tests.doors import Hub, csv_of, move_in


def test_working_off_the_queue_begins_nothing_by_the_clock(hub: Hub, catalogue: Catalogue) -> None:
    for serial in range(1, 4):
        send(hub, catalogue, csv_of(move_in(serial)))
    hub.work()
    by_the_clock = {task for task, _ in queue.periodic_registry.periodic_tasks}
    with hub.worker.begin() as connection:
        run = {task for (task,) in run_sql(connection, "SELECT task_name FROM jobs.procrastinate_jobs")}
    assert "run_submission" in run
    assert len(by_the_clock) >= 10 and run & by_the_clock == set()


def test_what_is_declared_by_the_clock_stays_declared_meanwhile(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker of this process may begin or end just then, and pages read when what is due."""
    seen: list[tuple[int, bool]] = []

    async def look(app: App, *_: Any, **__: Any) -> None:
        seen.append((len(app.periodic_registry.periodic_tasks), len(queue.periodic_registry.periodic_tasks) >= 10))

    monkeypatch.setattr(workers, "_run_worker", look)
    hub.work()
    assert seen == [(0, True)]
