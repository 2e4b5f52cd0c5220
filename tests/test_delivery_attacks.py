"""Ways around what is delivered: a key revoked meanwhile, comparisons without end, files that hold less than they seem."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from litestar.testing import TestClient

from hub.api import waiting
from hub.database import new_uuid, run_sql, utc_now
from hub.embedded import Cluster
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.people.purposes import Purpose
from hub.registry.api_keys import issue_key, revoke_key
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.sharing import copy_check
from hub.sharing.disclosures import disclosures_of, person_of_number, read_ledger
from hub.sharing.exports import Wish, make_export
from mappings.catalogue import Catalogue
from tests.district import actor
from tests.doors import Hub, identity_number
from tests.sliced import head_of, move, sliced_hub, subscribe

LABOUR = actor("labour")
AUDITOR = Actor(name="shenji", organisation="bureau", kind="bureau", door="panel", rights=ROLES["auditor"])
TWO_TYPES = SliceDefinition((SliceType("hukou_move_in", ("name",)), SliceType("marriage", ("male_name",))), None)


@pytest.fixture(scope="module")
def hub(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with sliced_hub(cluster, catalogue, tmp_path_factory.mktemp("attacks"), "attacks") as hub:
        move(hub, catalogue, 1, 4)
        yield hub


def test_who_waits_with_a_key_that_is_revoked_gets_nothing(hub: Hub, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "revoked", start_seq=head_of(hub))
    with hub.served.begin() as connection:
        key = issue_key(
            connection, SYSTEM_ACTOR, organisation="labour", title="等待", scopes=frozenset({Right.PULL_SLICE})
        )

    async def wait() -> httpx.Response:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app=hub.app), base_url="http://localhost")  # type: ignore[arg-type]
        asked = http.get(
            f"/v1/subscriptions/{code}/changes?wait=20", headers={"Authorization": f"Bearer {key.text}"}, timeout=60
        )
        held = asyncio.create_task(asked)
        await asyncio.sleep(0.7)
        assert not held.done()
        with hub.served.begin() as connection:
            revoke_key(connection, SYSTEM_ACTOR, key.key.prefix)
        await asyncio.to_thread(move, hub, catalogue, 10, 11)
        return await held

    answer = asyncio.run(wait())
    assert (answer.status_code, identity_number(10) in answer.text) == (401, False)


def test_comparisons_are_not_begun_without_end(hub: Hub, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts the whole slice; one that was ended makes room for the next."""
    monkeypatch.setattr(copy_check, "MOST_OPEN", 3)
    code, context = subscribe(hub, catalogue, "compared"), FeedContext(catalogue, Keyring.load(hub.settings.home))
    with hub.served.begin(reach_of(LABOUR)) as connection:
        begun = [copy_check.begin_check(connection, LABOUR, context, code) for _ in range(3)]
        with pytest.raises(copy_check.TooManyChecks):
            copy_check.begin_check(connection, LABOUR, context, code)
        copy_check.finish_check(connection, LABOUR, context, code, begun[0].check_id)
        copy_check.begin_check(connection, LABOUR, context, code)


def test_the_ledger_knows_which_records_a_file_of_some_types_held(
    hub: Hub, catalogue: Catalogue, tmp_path: Path
) -> None:
    code, keyring = subscribe(hub, catalogue, "some-types", TWO_TYPES), Keyring.load(hub.settings.home)

    def taken() -> set[bool]:
        with hub.served.begin(reach_of(AUDITOR)) as connection:
            person = person_of_number(connection, AUDITOR, identity_number(1))
            found = disclosures_of(connection, AUDITOR, catalogue, UUID(str(person))) or []
        return {one.fetched_at is not None for one in found if one.subscription == code and one.kind == "page"}

    def take(*record_types: str) -> None:
        wish = Wish(form="ndjson", whole=False, record_types=record_types)
        make_export(hub.served, hub.settings, catalogue, keyring, LABOUR, code, wish, tmp_path / "x.zip")

    with pytest.raises(Exception, match="没有新的变动"):
        take("marriage")  # the pages are delivered for it, and nothing of them is in it
    assert taken() == {False}
    take("hukou_move_in")
    assert taken() == {True}


def test_somebody_known_by_hidden_records_alone_is_as_nobody(hub: Hub, catalogue: Catalogue) -> None:
    """Else that the hub knows a woman would say that she is in clinical care."""
    hidden = new_uuid()
    with hub.worker.begin() as connection:
        statement = "INSERT INTO {d}.person (person_id, created_at) VALUES (:person, :now)"
        run_sql(connection, statement, person=hidden, now=utc_now())
    with hub.served.begin(reach_of(AUDITOR)) as connection:
        for asked in (hidden, new_uuid(), None):
            ledger = read_ledger(connection, AUDITOR, catalogue, asked, Purpose(code="inquiry", text="核对去向"))
            assert ledger.person_id is None and ledger.number == ""


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"part": 1, "record_type": "hukou_move_in", "buckets": 8, "rows": [], "cells": {"99999999999": ["x"]}}',
        b'{"part": 1, "record_type": "hukou_move_in", "buckets": 8, "rows": [], "cells": {"-1": ["x"]}}',
    ],
)
def test_a_body_out_of_all_bounds_is_a_bad_request(hub: Hub, body: bytes) -> None:
    headers = {**hub.key_of("labour"), "Content-Type": "application/json"}
    with TestClient(hub.app) as client:
        answer = client.post(f"/v1/subscriptions/x/copy-checks/{new_uuid()}/rows", content=body, headers=headers)
    assert answer.status_code == 400


def test_a_server_that_stops_answers_everybody_who_waits(
    hub: Hub, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = subscribe(hub, catalogue, "stopping", start_seq=head_of(hub))
    monkeypatch.setattr(waiting, "_stopping", threading.Event())

    async def wait() -> list[httpx.Response]:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app=hub.app), base_url="http://localhost")  # type: ignore[arg-type]
        address, headers = f"/v1/subscriptions/{code}/changes?wait=25", hub.key_of("labour")
        asked = [asyncio.create_task(http.get(address, headers=headers, timeout=60)) for _ in range(20)]
        await asyncio.sleep(1)
        waiting.let_waiting_go()
        return await asyncio.wait_for(asyncio.gather(*asked), timeout=5)

    assert {(answer.status_code, len(answer.json()["data"])) for answer in asyncio.run(wait())} == {(200, 0)}
