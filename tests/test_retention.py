"""Files as they were sent go when their time is over; receipts, digests and what was wrong stay; nothing that waits goes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Row

from hub.database import Database, run_sql, utc_now
from hub.exchange import receipts
from hub.exchange.retention import count_overdue, expire_raw_files
from hub.keyring import read_public_keys
from hub.operations.doctor import examine
from hub.settings import RetentionPolicy, Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import visitor
from tests.doors import Hub, csv_of, founded_hub, move_in

LATER = timedelta(days=40)
WRONG = move_in(3, 迁入日期="某日某时")


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    kept = msgspec.structs.replace(settings, retention=RetentionPolicy(raw_files_days=30))
    with founded_hub(database, app_database, kept, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


def send(client: TestClient[Litestar], hub: Hub, key: str, *rows: dict[str, str]) -> Any:
    headers = {**hub.key_of("public_security"), "Content-Type": "text/csv", "Idempotency-Key": key}
    answer = client.post("/v1/submissions?type=hukou_move_in", content=csv_of(*rows), headers=headers)
    assert answer.status_code == 202
    hub.work()
    return answer.json()


def ledger(hub: Hub, number: str) -> Row[Any]:
    with hub.worker.begin() as connection:
        return receipts.find(connection, number)


def stored(hub: Hub) -> list[Path]:
    return [path for path in hub.settings.files.rglob("*") if path.is_file()]


def test_a_file_goes_and_its_receipt_stays(client: TestClient[Litestar], hub: Hub) -> None:
    sent = send(client, hub, "1", move_in(1), WRONG)
    before = ledger(hub, sent["receipt"])
    assert expire_raw_files(hub.worker, hub.settings, utc_now() + LATER) == 1
    after = ledger(hub, sent["receipt"])
    assert stored(hub) == [] and after.stored_as == ""
    assert after.file_sha256 == hashlib.sha256(csv_of(move_in(1), WRONG)).hexdigest()
    assert after.receipt == before.receipt
    assert receipts.verify(after.receipt, read_public_keys(hub.settings.keys / "public_keys.json"))
    with hub.worker.begin() as connection:
        read = receipts.read_receipt(connection, sent["receipt"])
        quoted = run_sql(connection, "SELECT value, params::text FROM {d}.row_error")
        lines = run_sql(connection, "SELECT facts->>'files' FROM {d}.audit WHERE act = 'system'")
    assert [(issue["code"], issue["row"]) for issue in read["issues"]] == [("E_DATE", 3)]
    assert quoted == [(None, "{}")] and lines == [("1",)]
    assert expire_raw_files(hub.worker, hub.settings, utc_now() + LATER) == 0


def test_who_asks_for_the_file_is_told_that_it_expired(client: TestClient[Litestar], hub: Hub) -> None:
    sent = send(client, hub, "1", move_in(1), WRONG)
    clerk, place = visitor(hub, client, "gongan"), sent["submission_id"]
    assert "returned.xlsx" in clerk.get(f"/submissions/{place}").text
    expire_raw_files(hub.worker, hub.settings, utc_now() + LATER)
    page = clerk.get(f"/submissions/{place}").text
    assert "returned.xlsx" not in page and "已过保存期限" in page
    for ending in ("returned.xlsx", "errors.csv"):
        refused = clerk.get(f"/submissions/{place}/{ending}")
        assert refused.status_code == 410 and "已过保存期限" in refused.text
    problem = client.get(f"/v1/submissions/{place}/returned", headers=hub.key_of("public_security"))
    assert problem.status_code == 410 and problem.json()["type"].endswith("file-expired")


def test_the_same_bytes_again_are_the_same_receipt_after_that_too(client: TestClient[Litestar], hub: Hub) -> None:
    sent = send(client, hub, "1", move_in(1))
    expire_raw_files(hub.worker, hub.settings, utc_now() + LATER)
    assert send(client, hub, "2", move_in(1))["receipt"] == sent["receipt"]


@pytest.mark.parametrize(("days", "later"), [(0, LATER), (30, timedelta(days=29))])
def test_what_is_kept_for_ever_or_not_old_enough_stays(
    client: TestClient[Litestar], hub: Hub, days: int, later: timedelta
) -> None:
    send(client, hub, "1", move_in(1))
    settings = msgspec.structs.replace(hub.settings, retention=RetentionPolicy(raw_files_days=days))
    assert expire_raw_files(hub.worker, settings, utc_now() + later) == 0
    assert len(stored(hub)) == 1


def test_a_file_of_which_rows_wait_stays_until_they_are_decided(client: TestClient[Litestar], hub: Hub) -> None:
    """Two rows that mean one record and differ wait for a person."""
    sent = send(client, hub, "1", move_in(1), move_in(1, 民族="回族"), move_in(5))
    assert ledger(hub, sent["receipt"]).held == 2
    assert expire_raw_files(hub.worker, hub.settings, utc_now() + LATER) == 0
    with hub.worker.begin() as connection:
        run_sql(connection, "DELETE FROM {d}.stg_hukou_move_in")
        run_sql(connection, "UPDATE {d}.held_row SET state = 'refused'")
    assert expire_raw_files(hub.worker, hub.settings, utc_now() + LATER) == 1


def test_a_run_that_was_cut_off_is_finished_by_the_next(client: TestClient[Litestar], hub: Hub) -> None:
    """The bytes are gone, the ledger does not say so yet."""
    sent = send(client, hub, "1", move_in(1))
    (hub.settings.files / ledger(hub, sent["receipt"]).stored_as).unlink()
    assert expire_raw_files(hub.worker, hub.settings, utc_now() + LATER) == 1
    assert ledger(hub, sent["receipt"]).stored_as == ""


def test_the_doctor_sees_files_that_should_be_gone(
    client: TestClient[Litestar], hub: Hub, catalogue: Catalogue
) -> None:
    send(client, hub, "1", move_in(1))
    with hub.worker.begin() as connection:
        assert count_overdue(connection, hub.settings, utc_now() + LATER) == 1
        run_sql(connection, "UPDATE {d}.submission SET merged_at = merged_at - interval '40 days'")
    told = {one.code: one.state for one in examine(hub.settings, hub.worker, catalogue)}
    assert told["D_RETENTION"] == "warn"
    expire_raw_files(hub.worker, hub.settings, utc_now())
    told = {one.code: one.state for one in examine(hub.settings, hub.worker, catalogue)}
    assert (told["D_RETENTION"], told["D_FILES"]) == ("ok", "ok")
