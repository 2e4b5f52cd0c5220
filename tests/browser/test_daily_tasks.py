"""The daily tasks cost no more actions than they may; the seconds are told, not judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from hub.embedded import Cluster
from mappings.catalogue import Catalogue
from tests.browser.daily_tasks import TASKS, Measured, Task, prepare_tasks, table_of
from tests.browser.hands import hand_of
from tests.browser.journey_site import Ground, journey_ground

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def ground(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = tmp_path_factory.mktemp("daily") / "home"
    with journey_ground(cluster, catalogue, home, "daily_tasks", prepare_tasks) as ground:
        yield ground


def measure(ground: Ground, browser: Browser, task: Task, folder: Path) -> Measured:
    hand = hand_of(browser, ground.site, task.login)
    task.walk(hand, folder)
    measured = Measured(task, hand.actions, hand.seconds)
    hand.page.context.close()
    return measured


def test_no_daily_task_costs_more_actions_than_it_may(ground: Ground, browser: Browser, tmp_path: Path) -> None:
    measured = [measure(ground, browser, task, tmp_path) for task in TASKS]
    print(f"\n{table_of(measured)}")
    assert {one.task.title: one.actions for one in measured if one.actions > one.task.most} == {}
    done = ground.rows(
        "SELECT count(*) FILTER (WHERE i.state = 'answered'), count(*) FROM {d}.round_item i WHERE i.result IS NOT NULL"
    )
    assert done == [(30, 30)]
