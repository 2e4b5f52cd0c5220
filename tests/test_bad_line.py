"""A town on a bad line: its list fetched, filled in and returned by OpenSSH's own client, cut and resumed, done once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import pytest

from drops.sftp.service import open_door
from hub.casework.rounds import close_round
from hub.database import run_sql
from hub.embedded import Cluster
from hub.registry.api_keys import register_ssh_key
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.settings import SftpPolicy
from mappings.catalogue import Catalogue
from tests.doors import OTHER_TOWN, THIS_MONTH, TOWN, Hub
from tests.fresh_databases import FreshDatabases
from tests.paper_hub import lines_of, papered_hub
from tests.round_hub import AFTER_THE_MONTH, items_of
from tests.sftp_door import QUIET, Door, cut, make_key, until
from tests.test_sftp_clients import options, sftp

LIST, BACK = f"/out/change_list/{THIS_MONTH}.xlsx", f"/in/town_verification/{THIS_MONTH}"
SENDS = (Right.SUBMIT, Right.READ_SUBMISSION)
KEYS = {
    "town": (TOWN, (*SENDS, Right.READ_CHANGE_LIST)),
    "other": (OTHER_TOWN, (*SENDS, Right.READ_CHANGE_LIST)),
    "sender": (TOWN, SENDS),
    "department": ("health", (*SENDS, Right.PULL_SLICE)),
}


@pytest.fixture(scope="module")
def hub(
    cluster: Cluster, fresh_databases: FreshDatabases, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    with papered_hub(cluster, fresh_databases, catalogue, tmp_path_factory.mktemp("line") / "home") as hub:
        yield hub


@pytest.fixture(scope="module")
def door(hub: Hub, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("town")
    policy = msgspec.convert({"port": 0, "ban_score": 1000, "free_space_floor": 1}, SftpPolicy)
    settings = msgspec.structs.replace(hub.settings, sftp=policy, drop_quiet_seconds=QUIET, drop_scan_seconds=0.2)
    keys = {name: make_key(folder / "keys", name) for name in KEYS}
    with hub.served.begin() as connection:
        for name, (code, scopes) in KEYS.items():
            line = keys[name].with_suffix(".pub").read_text()
            register_ssh_key(connection, SYSTEM_ACTOR, code, name, line, scopes)
    with open_door(hub.worker, hub.served, settings, catalogue) as opened:
        yield Door(settings, hub.worker, hub.served, keys, opened, opened.port, folder)


def by(door: Door, key: str, *commands: str) -> tuple[int, str]:
    """OpenSSH's client with one of the keys; its exit status, and what it said."""
    door.keys["health"] = door.keys[key]  # the one that ``options`` names
    assert f"-oIdentityFile={door.keys[key]}" in options(door)
    done = sftp(door, *commands, who=KEYS[key][0])
    return done.returncode, done.stdout + done.stderr


def fill(path: Path, results: dict[int, str]) -> None:
    """Answer lines by their number, in Excel, as a clerk does."""
    book = openpyxl.load_workbook(path)
    sheet = book["变动清单"]
    header = [cell.value for cell in sheet[3]]
    for row in sheet.iter_rows(min_row=4):
        number = str(row[0].value or "")
        if number.isdecimal() and int(number) in results:
            row[header.index("核对结果")].value = results[int(number)]
            row[header.index("核对人")].value = "万和"
            row[header.index("核对日期")].value = f"{datetime.now(UTC):%Y-%m-%d}"
    book.save(path)


def newcomers(lines: list[dict[str, Any]]) -> list[int]:
    """The numbers of the three lines of people who moved in with an ordinary name."""
    return [int(line["序号"]) for line in lines if str(line["姓名"]).startswith("郑")]


def states(hub: Hub, lines: list[dict[str, Any]]) -> list[str]:
    by_number = {item["number"]: item["state"] for item in items_of(hub)}
    return [by_number[number] for number in newcomers(lines)]


def wait_for_receipt(door: Door, hub: Hub, name: str) -> dict[str, Any]:
    """Until the door has taken the file and the worker has answered it; fetched by the town itself."""
    until(lambda: name in door.ledger())
    hub.work()
    until(lambda: f"{name}.receipt.json" in by(door, "town", "ls /receipts")[1])
    assert by(door, "town", f"get /receipts/{name}.receipt.json")[0] == 0
    receipt: dict[str, Any] = json.loads((door.folder / f"{name}.receipt.json").read_bytes())
    return receipt


def test_the_list_goes_out_and_comes_back_over_a_line_that_breaks(door: Door, hub: Hub) -> None:
    status, said = by(door, "town", "ls -l /out/change_list", f"get {LIST} list.xlsx")
    assert (status, f"{THIS_MONTH}.xlsx" in said) == (0, True), said
    path = door.folder / "list.xlsx"
    (door.folder / "fetched.xlsx").write_bytes(path.read_bytes())
    lines = lines_of(openpyxl.load_workbook(path))
    assert len(lines) == len(items_of(hub)) > 3
    one, two, _ = newcomers(lines)
    fill(path, {one: "属实", two: "查无此人"})

    client = door.connect(TOWN, key="town")  # half of it, and the line is gone
    file = client.open(f"{BACK}/list.xlsx", "wb")
    file.write(path.read_bytes()[:4000])
    cut(client)
    until(lambda: door.events("cut", "list.xlsx"))
    assert by(door, "town", f"cd {BACK}", "put -a list.xlsx")[0] == 0

    receipt = wait_for_receipt(door, hub, "list.xlsx")
    assert receipt["counts"]["accepted"] == 2, receipt["issues"]
    assert states(hub, lines) == ["answered", "answered", "open"]
    assert [size for _, _, _, size, _ in door.events("open", f"{BACK}/list.xlsx")][-1] == 4000, "it began anew"


def test_the_list_fetched_again_holds_the_answers_given_and_only_what_is_new_takes_effect(door: Door, hub: Hub) -> None:
    assert by(door, "town", f"get {LIST} again.xlsx")[0] == 0
    path = door.folder / "again.xlsx"
    lines = lines_of(openpyxl.load_workbook(path))
    one, two, three = newcomers(lines)
    printed = {int(line["序号"]): line["核对结果"] for line in lines}
    assert [printed[number] for number in (one, two, three)] == ["属实", "查无此人", ""]
    fill(path, {one: "暂无法核实", three: "属实"})
    assert by(door, "town", f"cd {BACK}", "put again.xlsx")[0] == 0
    receipt = wait_for_receipt(door, hub, "again.xlsx")
    assert receipt["counts"]["accepted"] == 2, receipt["issues"]
    assert states(hub, lines) == ["deferred", "answered", "answered"]


def test_each_key_finds_its_own_towns_list_or_none(door: Door, hub: Hub) -> None:
    assert by(door, "other", f"get {LIST} theirs.xlsx")[0] == 0
    ours, theirs = (
        {line["来源记录"] for line in lines_of(openpyxl.load_workbook(door.folder / name))}
        for name in ("list.xlsx", "theirs.xlsx")
    )
    assert theirs and ours != theirs
    assert "change_list" not in by(door, "department", "ls /out")[1]
    for key in ("sender", "department"):
        status, said = by(door, key, f"get {LIST} stolen.xlsx")
        assert (status != 0, (door.folder / "stolen.xlsx").exists()) == (True, False), said


def test_a_key_for_lists_alone_sees_no_slice_and_nobody_writes_a_list(door: Door, hub: Hub) -> None:
    (door.organisation(TOWN) / "out").mkdir(parents=True, exist_ok=True)
    (door.organisation(TOWN) / "out" / "slice.csv").write_text("1")
    assert by(door, "town", "ls /out")[1].splitlines()[-1].strip() == "/out/change_list"
    for refused in ("get /out/slice.csv", f"put list.xlsx {LIST}", f"rm {LIST}", "get /out/change_list/2019-01.xlsx"):
        assert by(door, "town", refused)[0] != 0, refused


def test_reading_a_list_is_evidence_and_the_first_time_is_remembered(door: Door, hub: Hub) -> None:
    with hub.worker.begin() as connection:
        taken = run_sql(
            connection,
            "SELECT t.organisation, downloaded_at IS NOT NULL FROM {d}.round_town t ORDER BY 1",
        )
        noted = run_sql(
            connection,
            "SELECT count(*) FROM {d}.audit WHERE organisation = :town AND facts::text LIKE '%monthly-check/sftp%'",
            town=TOWN,
        )
    assert taken == [(TOWN, True), (OTHER_TOWN, True)]
    assert int(str(noted[0][0])) >= 2
    read = [size for _, _, _, size, unit in door.events("close", LIST) if unit == TOWN]
    assert read[0] == (door.folder / "fetched.xlsx").stat().st_size


def test_when_the_round_is_closed_its_list_is_gone(door: Door, hub: Hub) -> None:
    with hub.worker.begin() as connection:
        close_round(connection, SYSTEM_ACTOR, THIS_MONTH, AFTER_THE_MONTH, reason="各镇街均已回报，提前结束")
    assert by(door, "town", f"get {LIST} late.xlsx")[0] != 0
    assert "change_list" not in by(door, "town", "ls /out")[1]
