"""Held rows on the whole line: killed anywhere, sent again, taken back, told to subscribers; and by command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from hub.database import Database
from hub.decisions.effect import release as let_happen
from hub.decisions.held import Chosen, release_rows
from hub.exchange.changelog import verify_feed
from hub.exchange.held import untrue_rows
from hub.exchange.slices import query_slice
from hub.people.profiles import catch_up
from hub.registry.areas import load_area_index
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.decisions import SECOND, TYPE, finish, read, receipt, send, state_of, with_kind
from tests.district import actor
from tests.doors import THIS_MONTH, TOWN, Hub, csv_of, founded_hub, identity_number, move_in
from tests.test_held import DECIDER, NO_SUCH_CODE, WRONG_SEX, balanced, let_pass, person_of, records, waiting
from tests.test_invariants import feed_context, replay, subscribe

ROOT = Path(__file__).parents[1]


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub
        with hub.worker.begin() as connection:
            assert untrue_rows(connection, catalogue) == []
            assert verify_feed(connection, catalogue) == []


def returned(receipt_number: str, *rows: tuple[int, dict[str, str]]) -> bytes:
    """A returned workbook's rows, saved as text: the hidden column still numbers them."""
    head = ",".join([*rows[0][1], f"hub:row:{receipt_number}"])
    lines = [head, *(",".join([*row.values(), str(number)]) for number, row in rows)]
    return ("\r\n".join(lines) + "\r\n").encode()


@pytest.mark.parametrize("fault", ["staging.after_commit", "pipeline.before_commit", "pipeline.after_commit"])
def test_killed_anywhere_a_release_loses_and_doubles_nothing(hub: Hub, catalogue: Catalogue, fault: str) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1), move_in(3, **WRONG_SEX), move_in(5, **WRONG_SEX)))
    chosen = Chosen(submission_id=sent.submission_id, rows=(2, 3))
    released = release_rows(hub.served, hub.settings, DECIDER, chosen, catalogue=catalogue)
    assert run_elsewhere(hub, released.accepted.submission_id, fault) == -signal.SIGKILL
    with hub.worker.begin() as connection:
        assert untrue_rows(connection, catalogue) == []
    hub.work()
    assert len(records(hub)) == 3
    assert {state for state, _ in waiting(hub).values()} == {"released"}
    assert read(hub, "SELECT count(*) FROM {d}.stg_hukou_move_in") == [(0,)]
    assert read(hub, "SELECT count(*) FROM {d}.change_log") == [(3,)]
    assert balanced(hub, catalogue, released.accepted)["accepted"] == 2


def run_elsewhere(hub: Hub, submission_id: UUID, fault: str) -> int:
    """One run of the line by another process that dies at the named place."""
    program = (
        "import sys; from pathlib import Path; from uuid import UUID; from hub.database import Database\n"
        "from hub.exchange import pipeline; from hub.settings import load_settings\n"
        "s = load_settings(Path(sys.argv[1]), fictitious_prefixes=('999001',))\n"
        "pipeline.run(Database(s.worker_url, s.district), s, UUID(sys.argv[2]))"
    )
    urls = {"HUB_DATABASE_URL": hub.settings.database_url or "", "HUB_WORKER_URL": hub.settings.worker_url or ""}
    command = [sys.executable, "-c", program, str(hub.settings.home), str(submission_id)]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **urls, "HUB_FAULT": fault}, check=False).returncode


def test_a_workbook_that_comes_back_after_a_release_takes_only_what_still_waits(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX), move_in(3, **WRONG_SEX)))
    let_pass(hub, catalogue, sent, 1)
    again = send(hub, catalogue, returned(sent.receipt_number, (1, move_in(1)), (2, move_in(3))))
    told = receipt(hub, catalogue, again)
    assert told["facts"]["came_back"] == 1
    assert (told["counts"]["accepted"], told["effect"]["new"], told["effect"]["changed"]) == (2, 1, 1)
    assert read(hub, "SELECT row_no, state, reason, release_id FROM {d}.held_row ORDER BY row_no")[1] == (
        2, "returned", "came-back", again.submission_id,
    )  # fmt: skip
    assert [(number, sex) for number, sex, *_ in records(hub)] == [(identity_number(1), "1"), (identity_number(3), "1")]


def test_a_release_that_waited_while_its_rows_came_back_corrected_does_not_overwrite_them(
    hub: Hub, catalogue: Catalogue
) -> None:
    known = [move_in(serial) for serial in range(1, 41, 2)]
    send(hub, catalogue, csv_of(*known))
    sent = send(hub, catalogue, with_kind("作废", *(one | WRONG_SEX for one in known)))
    asked = let_pass(hub, catalogue, sent)
    assert state_of(hub, asked.accepted.submission_id) == "braked"
    send(hub, catalogue, returned(sent.receipt_number, (1, known[0])))
    let_happen(hub.served, hub.settings, SECOND, asked.accepted.submission_id)
    assert finish(hub, catalogue, asked.accepted.submission_id) == "refused"
    assert receipt(hub, catalogue, asked.accepted)["issues"][0]["code"] == "F_NOTHING_HELD"
    assert len(records(hub)) == 20
    rest = let_pass(hub, catalogue, sent, 2, 3)  # the others wait as before
    assert balanced(hub, catalogue, rest.accepted)["accepted"] == 2


def test_subscribers_are_told_of_released_rows_as_of_any(hub: Hub, catalogue: Catalogue) -> None:
    with hub.worker.begin() as connection:
        town = load_area_index(connection).codes[TOWN]
    definition = SliceDefinition((SliceType(TYPE, ("name", "id_no")),), areas=(town,))
    subscribe(hub, catalogue, "moves-of-town", definition)
    sent = send(hub, catalogue, csv_of(move_in(1), move_in(3, **WRONG_SEX), move_in(5, **NO_SUCH_CODE)))
    known: dict[str, Any] = {}
    cursor = replay(hub, catalogue, "moves-of-town", known, None)
    assert len(known) == 1
    let_pass(hub, catalogue, sent)
    replay(hub, catalogue, "moves-of-town", known, cursor)
    with hub.worker.begin() as connection:
        found = query_slice(connection, feed_context(hub, catalogue), definition)
        assert known == {one["record_id"]: one["after"] for one in found}
    assert len(known) == 3


def test_the_commands_list_release_and_refuse(hub: Hub, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    from hub.__main__ import app

    for name, value in (("DATABASE_URL", "database_url"), ("WORKER_URL", "worker_url"), ("OWNER_URL", "owner_url")):
        monkeypatch.setenv(f"HUB_{name}", getattr(hub.settings, value) or "")
    sent = send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX), move_in(3, **WRONG_SEX), move_in(5, **WRONG_SEX)))

    def run(*words: str) -> str:
        home = ("--as", "public_security", "--home", str(hub.settings.home))
        done = CliRunner().invoke(app, ["held", *words, *home])
        assert done.exit_code == 0, done.output
        return str(done.output)

    number = sent.receipt_number
    assert run("list").count(number) == 3
    assert "E_LOGIC_SEX" in run("show", number, "1")
    assert "accepted: 1" in run("release", number, "--row", "1", "--reason", "已核对")
    assert "refused: 2" in run("refuse", number, "--reason", "查无此人")
    assert run("list") == ""
    hub.work()


HEALTH = actor("health", "department_clerk", name="weisheng")


def died(card: str, **changes: str) -> dict[str, str]:
    row = {"cert_no": card, "death_date": f"{THIS_MONTH}-02", "name": "王小明", "sex": "1", "birth_date": "1990-03-07"}
    return row | changes


def send_deaths(hub: Hub, catalogue: Catalogue, *cards: str) -> Any:
    body = "".join(json.dumps(died(card), ensure_ascii=False) + "\n" for card in cards).encode()
    return send(hub, catalogue, body, record_type="death_certificate", actor=HEALTH)


def test_whom_a_row_without_a_number_means_is_said_once(hub: Hub, catalogue: Catalogue) -> None:
    """Two people of one name and day of birth: nobody but a person can tell which of them died, or that it was neither."""
    send(hub, catalogue, csv_of(move_in(1), move_in(3, 姓名="王小明")))
    with hub.worker.begin() as connection:
        catch_up(connection, catalogue)
    sent = send_deaths(hub, catalogue, "D1", "D2")
    assert waiting(hub) == {1: ("waiting", ["E_PERSON_UNCLEAR"]), 2: ("waiting", ["E_PERSON_UNCLEAR"])}
    meant = person_of(hub, identity_number(3))
    let_pass(hub, catalogue, sent, 1, by=HEALTH, people={1: {"person": str(meant)}})
    let_pass(hub, catalogue, sent, 2, by=HEALTH, people={2: {"person": "new"}})
    found = read(hub, "SELECT cert_no, person_ref, id_no FROM {d}.rec_death_certificate ORDER BY cert_no")
    assert found[0] == ("D1", meant, identity_number(3))
    assert found[1][1] not in (None, meant, person_of(hub, identity_number(1)))
    assert found[1][2] is None
    again = send_deaths(hub, catalogue, "D2", "D1")
    assert balanced(hub, catalogue, again)["unchanged"] == 2  # and is not asked again
