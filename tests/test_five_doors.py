"""One gate: the same five hundred rows through five doors give the same records, the same errors, the same counts."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import pytest
from litestar.testing import TestClient
from sqlalchemy import select, text

from drops.scan import Drops
from drops.sftp.service import open_door
from hub.database import Database
from hub.embedded import Cluster, Urls
from hub.registry.api_keys import register_ssh_key
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.settings import Settings, load_settings
from hub.tables import row_error, submission
from mappings.catalogue import Catalogue
from tests.doors import OTHER_VILLAGE, VILLAGE, Hub, founded_hub
from tests.factories import distinct_name
from tests.fresh_databases import FreshDatabases
from tests.sftp_door import Door, make_key, until
from tests.sheets import identity_number

TYPE, SENDER, PERIOD, ROWS = "death_certificate", "health", "2026-11", 500
HEADERS = ("卡片编号", "死者姓名", "性别", "有效身份证件类别", "证件号码", "出生日期", "死亡日期", "生前常住村居")
COUNTS = ("received", "accepted", "unchanged", "held", "refused")

Row = dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What a door's hub holds when everything is done, without the numbers that differ from hub to hub."""

    counts: dict[str, int]
    records: list[tuple[Any, ...]]
    people: int
    errors: Counter[tuple[Any, ...]]


def _row(number: int) -> Row:
    order = 2 * (number % 400) + 1
    birth = f"19{50 + number // 400}0101"
    id_no = identity_number(birth, order)
    values = (
        f"SW{number:06d}", distinct_name(number), "1", "01", id_no,
        f"{birth[:4]}-01-01", f"2026-11-{number % 20 + 1:02d}", VILLAGE if number % 3 else OTHER_VILLAGE,
    )  # fmt: skip
    return _spoil(number, dict(zip(HEADERS, values, strict=True)))


def _spoil(number: int, row: Row) -> Row:
    """Every eleventh row has something wrong with it, of many kinds."""
    faults: tuple[tuple[str, str], ...] = (
        ("证件号码", row["证件号码"][:-1] + ("0" if row["证件号码"][-1] != "0" else "1")),
        ("死亡日期", "2026-02-30"), ("死亡日期", "2026年11月3日"), ("性别", "七"), ("死者姓名", ""), ("性别", "2"),
        ("证件号码", f"'{row['证件号码']}"), ("死亡日期", "2031-01-01"), ("证件号码", "4.30105E+17"),
        ("生前常住村居", "不存在的村"), ("死者姓名", "锟斤拷"), ("出生日期", "1951-03-04"),
    )  # fmt: skip
    return row | dict([faults[number // 11 % len(faults)]]) if number % 11 == 0 else row


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [_row(number) for number in range(1, ROWS + 1)]


@pytest.fixture(scope="module")
def sheet(rows: list[Row]) -> bytes:
    written = io.StringIO()
    lines = csv.DictWriter(written, HEADERS, lineterminator="\r\n")
    lines.writeheader()
    lines.writerows(rows)
    return written.getvalue().encode("utf-8-sig")


def through_the_command(hub: Hub, urls: Urls, rows: list[Row], sheet: bytes, folder: Path) -> None:
    file = folder / "死亡.csv"
    file.write_bytes(sheet)
    command = ["submit", str(file), "--as", SENDER, "--type", TYPE, "--period", PERIOD, "--wait", "--json"]
    environment = {
        "HUB_HOME": str(hub.settings.home), "HUB_DATABASE_URL": urls.app, "HUB_WORKER_URL": urls.worker,
        "HUB_OWNER_URL": urls.owner, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    hub.settings.home.mkdir(parents=True, exist_ok=True)
    (hub.settings.home / "hub.toml").write_text('demo = true\nfictitious_prefixes = ["999001"]\n', "utf-8")
    told = subprocess.run([sys.executable, "-m", "hub", *command], env=environment, capture_output=True, text=True)
    assert told.returncode == 1, told.stderr  # some rows are refused
    assert json.loads(told.stdout)["counts"]["received"] == ROWS


def through_the_folder(hub: Hub, urls: Urls, rows: list[Row], sheet: bytes, folder: Path) -> None:
    drops = Drops(hub.worker, hub.settings, hub.app.state.catalogue)
    drops.lay_out()
    inbox = hub.settings.drops / SENDER / "in" / TYPE / PERIOD
    inbox.mkdir()
    (inbox / "死亡.csv.sha256").write_text(hashlib.sha256(sheet).hexdigest(), "ascii")
    (inbox / "死亡.csv").write_bytes(sheet)
    drops.look()
    hub.work()
    drops.look()
    assert (hub.settings.drops / SENDER / "receipts" / "死亡.csv.receipt.json").exists()


def through_sftp(hub: Hub, urls: Urls, rows: list[Row], sheet: bytes, folder: Path) -> None:
    key = make_key(folder / "keys", SENDER)
    with hub.served.begin() as connection:
        line, scopes = key.with_suffix(".pub").read_text(), (Right.SUBMIT, Right.READ_SUBMISSION)
        register_ssh_key(connection, SYSTEM_ACTOR, SENDER, "前置机", line, scopes)
    policy = msgspec.structs.replace(hub.settings.sftp, port=0, free_space_floor=1)
    settings = msgspec.structs.replace(hub.settings, sftp=policy, drop_quiet_seconds=0.2, drop_scan_seconds=0.2)
    receipt = settings.drops / SENDER / "receipts" / "死亡.csv.receipt.json"
    with open_door(hub.worker, hub.served, settings, hub.app.state.catalogue) as opened:
        door = Door(settings, hub.worker, hub.served, {SENDER: key}, opened, opened.port, folder)
        with door.visit(SENDER) as client, client.open(f"/in/{TYPE}/{PERIOD}/死亡.csv", "wb") as file:
            file.write(sheet)
        until(lambda: len(door.ledger()) == 1)
        hub.work()
        until(receipt.exists)
        with door.visit(SENDER) as client:
            until(lambda: "死亡.csv.errors.xlsx" in client.listdir("/rejected"))
            client.get("/rejected/死亡.csv.errors.xlsx", str(folder / "returned.xlsx"))
    marked = openpyxl.load_workbook(folder / "returned.xlsx").worksheets[0]
    assert any(cell.comment for row in marked.iter_rows() for cell in row)


def through_the_api_in_bulk(hub: Hub, urls: Urls, rows: list[Row], sheet: bytes, folder: Path) -> None:
    body = b"\n".join(json.dumps(row, ensure_ascii=False).encode() for row in rows)
    where = {"type": TYPE, "period": PERIOD, "file_name": "死亡.ndjson"}
    headers = hub.key_of(SENDER) | {"Content-Type": "application/x-ndjson", "Idempotency-Key": "bulk"}
    with TestClient(hub.app) as client:
        answer = client.post("/v1/submissions", params=where, headers=headers, content=body)
    assert answer.status_code == 202
    hub.work()


def through_the_api_row_by_row(hub: Hub, urls: Urls, rows: list[Row], sheet: bytes, folder: Path) -> None:
    with TestClient(hub.app) as client:
        for number, row in enumerate(rows):
            headers = hub.key_of(SENDER) | {"Idempotency-Key": f"row {number}"}
            body = {"type": TYPE, "period": PERIOD, "rows": [row]}
            assert client.post("/v1/submissions", headers=headers, json=body).status_code == 202
    hub.work()


DOORS: dict[str, Callable[[Hub, Urls, list[Row], bytes, Path], None]] = {
    "command": through_the_command,
    "folder": through_the_folder,
    "sftp": through_sftp,
    "api": through_the_api_in_bulk,
    "api, row by row": through_the_api_row_by_row,
}


def test_five_doors_lead_to_one_gate(
    cluster: Cluster,
    fresh_databases: FreshDatabases,
    catalogue: Catalogue,
    rows: list[Row],
    sheet: bytes,
    tmp_path: Path,
) -> None:
    outcomes = {}
    for door, send in DOORS.items():
        name, folder = fresh_databases.take(), tmp_path / door
        folder.mkdir()
        urls = cluster.urls(name)
        for hub in _founded(urls, folder, catalogue):
            send(hub, urls, rows, sheet, folder)
            outcomes[door] = _outcome(hub.worker, catalogue)
            assert _doors_used(hub.worker) == {door.split(",")[0]}
        fresh_databases.give_back(name)
    told = outcomes["command"]
    assert told.counts["received"] == ROWS == sum(told.counts[name] for name in COUNTS[1:])
    assert told.counts["held"] and told.counts["refused"] and len(told.records) == told.counts["accepted"] > 400
    assert len({code for _, code, *_ in told.errors}) >= 8
    for door, outcome in outcomes.items():
        assert outcome == told, door


def _founded(urls: Urls, folder: Path, catalogue: Catalogue) -> Iterator[Hub]:
    settings = _settings(urls, folder / "home")
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    try:
        with founded_hub(worker, served, settings, catalogue) as hub:
            yield hub
    finally:
        worker.close()
        served.close()


def _settings(urls: Urls, home: Path) -> Settings:
    return load_settings(
        home,
        database_url=urls.app,
        owner_url=urls.owner,
        worker_url=urls.worker,
        fictitious_prefixes=("999001",),
        demo=True,
        requests_per_minute=10_000,
    )


def _outcome(worker: Database, catalogue: Catalogue) -> Outcome:
    fields = ", ".join(f"r.{field.name}" for field in catalogue.record_types[TYPE].plain_fields)
    known = f"SELECT r.source, r.version, r.voided, r.areas, {fields} FROM {worker.district}.rec_{TYPE} r ORDER BY r.cert_no"
    with worker.begin() as connection:
        sent = connection.execute(select(submission)).all()
        records = [tuple(row) for row in connection.execute(text(known))]
        people = connection.scalar(text(f"SELECT count(*) FROM {worker.district}.person")) or 0
        found = connection.execute(select(row_error)).all()
    alone = {one.submission_id: place for place, one in enumerate(sorted(sent, key=lambda one: one.received_at), 1)}
    one_by_one = len(sent) > 1
    place = {(one.submission_id, one.row_no): alone[one.submission_id] if one_by_one else one.row_no for one in found}
    errors = Counter(
        (place[one.submission_id, one.row_no], one.code, one.level, one.field, one.header, one.value, _said(one.params))
        for one in found
    )
    counts = {name: sum(getattr(one, name) for one in sent) for name in COUNTS}
    return Outcome(counts=counts, records=records, people=people, errors=errors)


def _said(params: dict[str, Any]) -> str:
    return json.dumps(params, sort_keys=True, ensure_ascii=False)


def _doors_used(worker: Database) -> set[str]:
    with worker.begin() as connection:
        return set(connection.scalars(select(submission.c.door)))
