"""A receiver killed anywhere misses nothing and does nothing twice, its certificate closes; and what is broken is caught."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from hub.embedded import Cluster
from hub.exchange import slices
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.faults.delivery_campaign import KILLED, DeliveryHub, cut_lines, kill_receivers, unheard_webhooks
from tests.faults.delivery_receiver import POINTS, Receivers

TRIALS = int(os.environ.get("HUB_FAULT_TRIALS", "3"))


@pytest.fixture(scope="module")
def hub(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Iterator[DeliveryHub]:
    clone_template(cluster, "delivered")
    receivers = Receivers()
    hub = DeliveryHub(cluster.urls("delivered"), tmp_path_factory.mktemp("delivered"), catalogue, receivers)
    with hub.serving():
        yield hub
    receivers.close()
    execute(cluster, "DROP DATABASE delivered WITH (FORCE)")


def test_a_receiver_killed_at_any_point_misses_nothing_and_doubles_nothing(hub: DeliveryHub) -> None:
    tallies = kill_receivers(hub, TRIALS, random.Random(1))
    assert [tally.damaged for tally in tallies] == [[]] * len(POINTS)
    assert [tally.kills for tally in tallies] == [TRIALS] * len(POINTS)


def test_a_receiver_that_could_not_be_told_gets_everything_when_it_hears_again(hub: DeliveryHub) -> None:
    tally = unheard_webhooks(hub, 1)
    assert (tally.damaged, tally.kills) == ([], 3)


def test_a_delivery_by_sftp_cut_in_the_middle_goes_on_whole(hub: DeliveryHub) -> None:
    tally = cut_lines(hub, TRIALS, random.Random(2))
    assert tally.damaged == []
    assert tally.kills > 0


def test_a_receiver_that_acknowledges_before_it_writes_is_caught(hub: DeliveryHub) -> None:
    hub.subscribe("too-early")
    for _ in range(4):
        hub.bring_changes()
    how = {"order": "acknowledge_first", "place": "before_acknowledgement", "number": 2, "limit": 9}
    assert hub.receive("too-early", **how) == KILLED
    assert hub.wrong_now("too-early") == ["acknowledged 18, held 9"]


def test_a_receiver_that_saves_its_place_before_it_writes_is_caught(hub: DeliveryHub) -> None:
    hub.subscribe("too-soon")
    how = {"order": "save_first", "place": "before_acknowledgement", "number": 2, "limit": 9}
    assert hub.receive("too-soon", **how) == KILLED
    hub.receive("too-soon", order="never_acknowledge", limit=9)
    assert any("missed" in one for one in hub.wrong_at_the_end("too-soon"))


def test_a_hub_that_goes_on_without_keeping_a_page_is_caught(hub: DeliveryHub, monkeypatch: pytest.MonkeyPatch) -> None:
    real, pages = slices.keep_range, []

    def keeps_every_other(*told: object) -> bool:
        pages.append(told)
        return True if len(pages) % 2 == 0 else real(*told)  # type: ignore[arg-type]

    hub.subscribe("forgotten")
    monkeypatch.setattr(slices, "keep_range", keeps_every_other)
    hub.receive("forgotten", order="never_acknowledge", limit=9)
    monkeypatch.undo()
    assert any("missed or doubled" in one for one in hub.wrong_now("forgotten"))
    assert hub.certificate("forgotten").sent != hub.certificate("forgotten").expected
