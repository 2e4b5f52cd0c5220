"""The command line: results on stdout, messages on stderr, an exit status that says what happened."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import insert

import hub.__main__ as command_line
from hub.commands.tables import write_changes
from hub.database import Database, run_sql
from hub.faults import POINTS
from hub.registry.permissions import Right
from hub.registry.rights import declared_right
from hub.settings import Settings
from hub.tables import organisation
from tests.hub_command import run_hub
from tests.sheets import death_row, death_sheet

ROOT = Path(__file__).parent.parent
VERBS = {
    "up", "demo", "serve", "work", "watch", "submit", "check", "check-mappings", "receipt", "changes", "snapshot",
    "feed verify", "audit verify", "backup", "restore", "doctor", "migrate",
}  # fmt: skip


@pytest.fixture(autouse=True)
def organisations(owner_database: Database) -> None:
    rows = [
        {"code": code, "district": "d999001", "name": code, "kind": "department"}
        for code in ("health", "civil_affairs")
    ]
    with owner_database.begin() as connection:
        connection.execute(insert(organisation), rows)


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / "hub.toml").write_text('fictitious_prefixes = ["999001"]\n')
    urls = {
        "HUB_DATABASE_URL": settings.database_url,
        "HUB_WORKER_URL": settings.worker_url,
        "HUB_OWNER_URL": settings.owner_url,
    }
    return {**os.environ, "HUB_HOME": str(settings.home), **{name: url for name, url in urls.items() if url}}


def hub(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_hub(environment, *arguments)


@pytest.mark.parametrize("arguments", [("check-mappings", "--json"), ("receipt", "--nothing")])
def test_a_forked_command_says_what_a_new_interpreter_says(
    environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "hub", *arguments]
    new = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    forked = hub(environment, *arguments)
    assert (new.returncode, new.stdout, new.stderr) == (forked.returncode, forked.stdout, forked.stderr)


def write(folder: Path, content: bytes, name: str = "11月.csv") -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def submit(environment: dict[str, str], file: str, *more: str) -> tuple[int, dict[str, Any]]:
    usual = ["--as", "health", "--type", "death_certificate", "--wait", "--json"]
    done = hub(environment, "submit", file, *usual, *more)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_good_file_is_accepted(environment: dict[str, str], tmp_path: Path) -> None:
    status, receipt = submit(environment, write(tmp_path, death_sheet()), "--period", "2026-11")
    assert (status, receipt["state"]) == (0, "merged")
    assert receipt["counts"] == {"received": 2, "accepted": 2, "unchanged": 0, "held": 0, "refused": 0}
    assert {"receipt", "state", "counts", "issues"} <= set(receipt)


def test_a_file_sent_again_is_the_same_receipt_and_says_so(environment: dict[str, str], tmp_path: Path) -> None:
    file = write(tmp_path, death_sheet())
    first = submit(environment, file)[1]
    again = hub(environment, "submit", file, "--as", "health", "--type", "death_certificate", "--wait", "--json")
    assert json.loads(again.stdout)["receipt"] == first["receipt"]
    assert "此前已收到" in again.stderr


def test_refused_rows_give_status_1_and_their_place(environment: dict[str, str], tmp_path: Path) -> None:
    rows = [death_row(1), death_row(2, died="2026-13-45")]
    status, receipt = submit(environment, write(tmp_path, death_sheet(*rows)))
    assert (status, receipt["counts"]["refused"], receipt["counts"]["accepted"]) == (1, 1, 1)
    issue = next(each for each in receipt["issues"] if each["level"] == "error")
    assert set(issue) == {"sheet", "row", "column", "field", "code", "level", "message", "fix"}
    assert (issue["row"], issue["column"]) == (3, "G")


def test_a_file_that_is_no_table_gives_status_2(environment: dict[str, str], tmp_path: Path) -> None:
    status, receipt = submit(environment, write(tmp_path, b"\x00\x01\x02 nothing", "a.xlsx"))
    assert (status, receipt["state"]) == (2, "refused")
    assert receipt["issues"][0]["fix"]


def test_another_offices_type_gives_status_3(environment: dict[str, str], tmp_path: Path) -> None:
    file = write(tmp_path, death_sheet())
    done = hub(environment, "submit", file, "--as", "civil_affairs", "--type", "death_certificate", "--json")
    assert (done.returncode, done.stdout) == (3, "")
    assert "无权" in done.stderr


def test_without_a_database_the_status_is_4_and_no_password_is_shown(
    environment: dict[str, str], tmp_path: Path
) -> None:
    gone = "postgresql+psycopg://hub_worker:secretword@/hub?host=/nowhere"
    broken = {**environment, "HUB_DATABASE_URL": gone, "HUB_WORKER_URL": gone}
    file = write(tmp_path, death_sheet())
    done = hub(broken, "submit", file, "--as", "health", "--type", "death_certificate", "--json")
    assert done.returncode == 4
    assert "secretword" not in done.stderr
    assert "数据库不可用" in done.stderr


def test_a_dry_run_keeps_nothing(environment: dict[str, str], tmp_path: Path, database: Database) -> None:
    status, receipt = submit(environment, write(tmp_path, death_sheet()), "--dry-run")
    assert (status, receipt["state"], receipt["counts"]["accepted"]) == (0, "previewed", 2)
    with database.begin() as connection:
        assert run_sql(connection, "SELECT count(*) FROM {d}.rec_death_certificate") == [(0,)]


def test_a_receipt_can_be_read_again_and_verified_offline(environment: dict[str, str], tmp_path: Path) -> None:
    receipt = submit(environment, write(tmp_path, death_sheet()))[1]
    shown = hub(environment, "receipt", receipt["receipt"].lower(), "--json")
    assert json.loads(shown.stdout)["counts"] == receipt["counts"]
    keys = str(Path(environment["HUB_HOME"]) / "keys" / "public_keys.json")
    elsewhere = {name: value for name, value in environment.items() if not name.startswith("HUB_")}
    genuine = write(tmp_path, shown.stdout.encode(), "receipt.json")
    assert hub(elsewhere, "receipt", "verify", genuine, "--keys", keys).returncode == 0
    changed = json.loads(shown.stdout)
    changed["signed"]["counts"]["accepted"] = 3
    forged = write(tmp_path, json.dumps(changed).encode(), "forged.json")
    assert hub(elsewhere, "receipt", "verify", forged, "--keys", keys).returncode == 1


def test_check_needs_no_database_and_finds_the_same_errors(environment: dict[str, str], tmp_path: Path) -> None:
    file = write(tmp_path, death_sheet(death_row(1), death_row(2, died="2026-13-45")))
    sent = submit(environment, file)[1]
    without = {n: v for n, v in environment.items() if not n.endswith("_URL")}
    done = hub(without, "check", file, "--type", "death_certificate", "--as", "health", "--json")
    checked = json.loads(done.stdout)
    assert done.returncode == 1
    errors = [each for each in checked["issues"] if each["level"] == "error"]
    assert errors == [each for each in sent["issues"] if each["level"] == "error"]
    assert checked["counts"] == sent["counts"]
    assert not (Path(environment["HUB_HOME"]) / "postgres").exists(), "no database was made"


def test_feed_and_audit_verify_after_work_was_done(environment: dict[str, str], tmp_path: Path) -> None:
    submit(environment, write(tmp_path, death_sheet()))
    for verb in ("feed", "audit"):
        done = hub(environment, verb, "verify")
        assert (done.returncode, "完整" in done.stdout) == (0, True), done.stdout + done.stderr


def test_feed_verify_finds_a_removed_change(
    environment: dict[str, str], tmp_path: Path, owner_database: Database
) -> None:
    submit(environment, write(tmp_path, death_sheet()))
    with owner_database.begin() as connection:
        run_sql(connection, "DELETE FROM {d}.change_log WHERE seq = 1")
    assert hub(environment, "feed", "verify").returncode == 1


def test_the_doctor_answers_every_question(environment: dict[str, str], tmp_path: Path) -> None:
    submit(environment, write(tmp_path, death_sheet()))
    done = hub(environment, "doctor", "--json")
    told = json.loads(done.stdout)
    states = {check["code"]: check["state"] for check in told["checks"]}
    assert states["D_FSYNC"] == "fail", "the tests' server runs without it"
    assert states["D_BACKUP"] == "warn"
    assert all(check["fix"] for check in told["checks"] if check["state"] != "ok")
    fine = (
        "D_VERSION",
        "D_ROLE",
        "D_MIGRATION",
        "D_FEED",
        "D_BALANCE",
        "D_FILES",
        "D_KEY_MODE",
        "D_SOCKET",
        "D_CHECKSUMS",
    )
    assert {code: states[code] for code in fine} == dict.fromkeys(fine, "ok")
    assert done.returncode == 1


def test_the_doctor_finds_lost_bytes_and_open_keys(environment: dict[str, str], tmp_path: Path) -> None:
    submit(environment, write(tmp_path, death_sheet()))
    home = Path(environment["HUB_HOME"])
    (home / "keys" / "keyring.json").chmod(0o644)
    for path in (home / "files").rglob("*"):
        if path.is_file():
            path.unlink()
    told = json.loads(hub(environment, "doctor", "--json").stdout)
    states = {check["code"]: check["state"] for check in told["checks"]}
    assert (states["D_KEY_MODE"], states["D_FILES"]) == ("fail", "fail")


def test_the_doctor_reports_an_absent_database(environment: dict[str, str]) -> None:
    gone = "postgresql+psycopg://nobody@/hub?host=/nowhere"
    broken = {**environment, "HUB_DATABASE_URL": gone, "HUB_WORKER_URL": gone, "HUB_OWNER_URL": gone}
    done = hub(broken, "doctor", "--json")
    states = {check["code"]: check["state"] for check in json.loads(done.stdout)["checks"]}
    assert (done.returncode, states["D_REACHABLE"]) == (1, "fail")


def test_every_verb_is_there_and_declares_its_right() -> None:
    declared = dict(_verbs(command_line.app))
    assert set(declared) >= VERBS
    assert all(isinstance(right, Right) for right in declared.values()), declared


def _verbs(group: typer.Typer, prefix: str = "") -> Iterator[tuple[str, Right | None]]:
    for command in group.registered_commands:
        yield f"{prefix}{command.name}", declared_right(command.callback)
    for below in group.registered_groups:
        assert below.typer_instance is not None
        name = f"{prefix}{below.name} " if isinstance(below.name, str) else prefix
        yield from _verbs(below.typer_instance, name)


def test_help_comes_without_loading_the_hub() -> None:
    program = (
        "import sys; sys.argv = ['hub', '--help']\n"
        "import hub.__main__ as m\n"
        "heavy = {'polars', 'sqlalchemy', 'litestar', 'procrastinate', 'psycopg', 'cryptography'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_named_fault_is_a_place_in_the_code() -> None:
    """A fault test that kills nowhere proves nothing."""
    rooms = [path for room in ("hub", "drops") for path in (ROOT / room).rglob("*.py") if path.name != "faults.py"]
    calls = [call for path in rooms for call in re.findall(r"\bpoint\((.*)\)", path.read_text("utf-8"))]
    assert {name for call in calls for name in re.findall(r'"([a-z_]+[.][a-z_]+)"', call)} == set(POINTS)


CHANGE = {
    "seq": 7, "delivery_no": 3, "op": "update", "record_type": "death_certificate", "record_id": "r", "person_id": None,
    "version": 2, "recorded_at": "2026-11-03T00:00:00Z", "source": "health",
    "before": {"name": "甲"}, "after": {"name": "=1+1"},
}  # fmt: skip


def test_changes_in_a_table_never_become_formulas(tmp_path: Path) -> None:
    path = tmp_path / "changes.csv"
    write_changes([CHANGE], "csv", path)
    heading, row = path.read_text("utf-8-sig").splitlines()
    assert heading.endswith("source,before.name,after.name")
    assert row.endswith("health,甲,'=1+1")


def test_changes_in_a_workbook_are_text(tmp_path: Path) -> None:
    import openpyxl

    path = tmp_path / "changes.xlsx"
    write_changes([CHANGE], "xlsx", path)
    rows = list(openpyxl.load_workbook(path).active.values)
    assert rows[1][0] == "7"
    assert rows[1][-1] == "'=1+1"


def test_changes_as_lines_are_what_the_feed_said(capsys: pytest.CaptureFixture[str]) -> None:
    write_changes([CHANGE], "ndjson", None)
    assert json.loads(capsys.readouterr().out) == CHANGE
