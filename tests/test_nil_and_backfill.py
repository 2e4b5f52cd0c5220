"""A month without changes, data of earlier years, a workbook that goes back and forth, a file that grows each month."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hub.__main__ import app
from hub.database import Database
from hub.decisions.effect import release
from hub.decisions.nothing import MonthToCome, RowsAccepted, report_nothing
from hub.decisions.undoing import NothingToUndo, undo
from hub.errors import BadRequest, FileRefused, NotAllowed
from hub.exchange import brake
from hub.exchange.change_list import find_month, list_changes
from hub.exchange.parse import ParsedFile, parse
from hub.jobs import Accepted
from hub.registry.areas import load_area_index
from hub.registry.scope import reach_of, scope_for
from hub.settings import Settings
from mappings.brake_rules import brake_rules
from mappings.catalogue import Catalogue, CatalogueError
from mappings.loader import load
from mappings.sources import BrakeSource, BrakeTypeSource
from tests.decisions import SECOND, SENDER, TYPE, finish, read, receipt, rows, send, state_of, with_kind
from tests.district import actor
from tests.doors import THIS_MONTH, TOWN, Hub, csv_of, founded_hub, move_in
from tests.test_mappings import broken, line_with
from tests.test_mappings import copy as copy

LAST_MONTH = brake.month_before(THIS_MONTH)


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


# ---- 本月无变动 ----


def say_nothing(hub: Hub, catalogue: Catalogue, period: str | None = THIS_MONTH, **told: Any) -> Accepted:
    who = told.get("actor", SENDER)
    return report_nothing(
        hub.served, hub.settings, who, who.organisation, told.get("record_type", TYPE), period, catalogue
    )


def test_a_month_without_changes_is_said_once_and_has_a_receipt(hub: Hub, catalogue: Catalogue) -> None:
    said, again = say_nothing(hub, catalogue), say_nothing(hub, catalogue)
    told = receipt(hub, catalogue, said)
    assert (said.repeated, again.repeated, again.receipt_number) == (False, True, said.receipt_number)
    assert (told["state"], told["kind"], told["signed"]["period"]) == ("merged", "nil", THIS_MONTH)
    assert set(told["counts"].values()) == {0}


def test_nobody_knows_of_a_month_to_come_that_nothing_happens_in_it(hub: Hub, catalogue: Catalogue) -> None:
    with pytest.raises(MonthToCome):
        say_nothing(hub, catalogue, f"{int(THIS_MONTH[:4]) + 1}-01")


def test_rows_may_come_after_it_and_its_receipt_stays_as_it_was(hub: Hub, catalogue: Catalogue) -> None:
    said = say_nothing(hub, catalogue)
    before = receipt(hub, catalogue, said)
    sent = send(hub, catalogue, rows(1, 3))
    assert state_of(hub, sent.submission_id) == "merged"
    assert receipt(hub, catalogue, said) == before


def test_a_month_with_accepted_rows_is_not_without_changes(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, rows(1, 3))
    with pytest.raises(RowsAccepted) as stands:
        say_nothing(hub, catalogue)
    assert sent.receipt_number in str(stands.value)
    say_nothing(hub, catalogue, LAST_MONTH)
    taken_back = undo(hub.served, hub.settings, SENDER, sent.submission_id, "报错了", catalogue)
    finish(hub, catalogue, taken_back.submission_id)
    assert not say_nothing(hub, catalogue).repeated


def test_who_may_not_send_a_type_cannot_say_that_nothing_of_it_happened(hub: Hub, catalogue: Catalogue) -> None:
    with pytest.raises(NotAllowed):
        say_nothing(hub, catalogue, actor=actor("labour", "department_clerk"))
    with pytest.raises(NotAllowed):
        say_nothing(hub, catalogue, actor=actor("public_security", "data_officer"))
    with pytest.raises(FileRefused):
        say_nothing(hub, catalogue, record_type="no_such_type")
    for period in (None, "", "2026-13"):
        with pytest.raises(BadRequest):
            say_nothing(hub, catalogue, period)
    assert read(hub, "SELECT count(*) FROM {d}.submission") == [(0,)]


def test_there_is_nothing_to_take_back_of_nothing(hub: Hub, catalogue: Catalogue) -> None:
    said = say_nothing(hub, catalogue)
    with pytest.raises(NothingToUndo):
        undo(hub.served, hub.settings, SENDER, said.submission_id, "报错了", catalogue)


# ---- earlier data ----


def town_list(hub: Hub, catalogue: Catalogue) -> int:
    with hub.served.begin() as connection:
        areas = load_area_index(connection)
    who = actor(TOWN, "town_officer", area_id=areas.codes[f"{TOWN}000"], kind="town")
    with hub.served.begin(reach_of(who)) as connection:
        month = find_month(connection, THIS_MONTH, hub.settings.time_zone)
        return len(list_changes(connection, catalogue, scope_for(who, areas), areas, month, purpose="核对"))


def test_earlier_data_waits_for_the_second_person_and_is_in_the_log_but_in_no_change_list(
    hub: Hub, catalogue: Catalogue
) -> None:
    earlier = send(hub, catalogue, rows(1, 3, 迁入日期="2019-05-01"), kind="backfill", period="2019-05")
    told = receipt(hub, catalogue, earlier)
    assert (told["state"], [issue["code"] for issue in told["issues"]]) == ("braked", ["F_BRAKE_BACKFILL"])
    release(hub.served, hub.settings, SECOND, earlier.submission_id)
    assert finish(hub, catalogue, earlier.submission_id) == "merged"
    assert read(hub, "SELECT last_seq FROM {d}.feed_head") == [(2,)]
    assert town_list(hub, catalogue) == 0
    send(hub, catalogue, rows(3, 4))
    assert town_list(hub, catalogue) == 1


# ---- back and forth ----


def returned(
    hub: Hub,
    catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    number: str,
    ranges: list[list[int]],
) -> Accepted:
    """A file in which the hub's own marks are still there, as parsing would find them."""

    def marked(*arguments: Any, **options: Any) -> ParsedFile:
        parsed = parse(*arguments, **options)
        parsed.facts.update(returned_from=number, returned_rows=ranges)
        return parsed

    with monkeypatch.context() as patched:
        patched.setattr("hub.exchange.pipeline.parse", marked)
        return send(hub, catalogue, content)


def wrong(serial: int) -> dict[str, str]:
    return move_in(serial, 公民身份号码=f"99900119900307{serial:04d}")


def test_rows_that_come_back_leave_the_held_ones_they_were(
    hub: Hub, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = send(hub, catalogue, csv_of(move_in(1), wrong(2), wrong(3), wrong(4)))
    assert receipt(hub, catalogue, first)["counts"]["held"] == 3
    back = returned(hub, catalogue, monkeypatch, csv_of(move_in(2), wrong(3)), first.receipt_number, [[2, 3]])
    last = returned(hub, catalogue, monkeypatch, csv_of(move_in(3)), back.receipt_number, [[2, 2]])
    held = "SELECT s.receipt_number, t.row_no FROM {d}.stg_hukou_move_in t JOIN {d}.submission s USING (submission_id)"
    assert read(hub, held) == [(first.receipt_number, 4)]
    threads = read(hub, "SELECT DISTINCT thread_id FROM {d}.submission WHERE thread_id IS NOT NULL")
    assert threads == [(first.submission_id,)]
    assert receipt(hub, catalogue, last)["facts"]["came_back"] == 1


def test_a_receipt_number_that_is_not_the_senders_is_noted_and_nothing_more(
    hub: Hub, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = send(hub, catalogue, csv_of(move_in(1), wrong(2)), actor=SENDER)
    read(hub, "UPDATE {d}.submission SET organisation = 'health' RETURNING 1")
    back = returned(hub, catalogue, monkeypatch, csv_of(move_in(2)), first.receipt_number, [[1, 9]])
    assert [issue["code"] for issue in receipt(hub, catalogue, back)["issues"]] == ["N_RETURNED_UNKNOWN"]
    assert read(hub, "SELECT count(*) FROM {d}.stg_hukou_move_in") == [(1,)]
    assert read(hub, "SELECT count(*) FROM {d}.submission WHERE thread_id IS NOT NULL") == [(0,)]


def test_a_file_that_grows_each_month_is_told_how_much_it_repeats(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, rows(1, 4, 迁入日期=f"{LAST_MONTH}-05"), period=LAST_MONTH)
    cumulative = [*(move_in(serial, 迁入日期=f"{LAST_MONTH}-05") for serial in range(1, 4)), move_in(5)]
    told = receipt(hub, catalogue, send(hub, catalogue, csv_of(*cumulative)))
    (issue,) = told["issues"]
    assert (issue["code"], told["facts"]["overlap"], told["counts"]["accepted"]) == ("W_OVERLAP", 3, 1)


# ---- the measures in brake.toml ----


def test_a_measure_out_of_bounds_is_named_with_its_line(copy: Path) -> None:
    broken(copy, "brake.toml", "voids_share = 0.1", "voids_share = 10.0")
    with pytest.raises(CatalogueError) as refusal:
        load(copy)
    assert (refusal.value.file, refusal.value.key) == ("brake.toml", "usual.voids_share")
    assert refusal.value.line == line_with(copy, "brake.toml", "voids_share = 10.0")


def test_an_unknown_record_type_or_measure_is_named_with_its_line(copy: Path) -> None:
    whole = (copy / "brake.toml").read_text("utf-8")
    for table, added, key in (
        ("[record_types]\n", "nothing = { voids_at_least = 3 }", "record_types.nothing"),
        ("[record_types]\n", "employment = { undo_at_least = 0 }", "record_types.employment.undo_at_least"),
        ("[usual]\n", "tenth = 1", "usual.tenth"),
    ):
        (copy / "brake.toml").write_text(whole.replace(table, f"{table}{added}\n"), "utf-8")
        with pytest.raises(CatalogueError) as refusal:
            load(copy)
        assert refusal.value.key == key
        assert refusal.value.line == line_with(copy, "brake.toml", added)


def test_a_record_type_changes_only_the_measures_it_names(catalogue: Catalogue) -> None:
    usual = catalogue.brake.usual
    source = BrakeSource(usual=usual, record_types={TYPE: BrakeTypeSource(voids_at_least=3)})  # type: ignore[arg-type]
    rules = brake_rules(source)
    assert (rules.of(TYPE).voids_at_least, rules.of(TYPE).voids_share) == (3, usual.voids_share)
    assert rules.of("employment") == usual


# ---- at the command line ----


def test_the_command_line_shows_lets_happen_withdraws_and_takes_back(hub: Hub, catalogue: Catalogue) -> None:
    environment = _environment(hub.settings)
    send(hub, catalogue, rows(1, 20))
    voids = with_kind("作废", *(move_in(serial) for serial in range(1, 13)))
    waiting = send(hub, catalogue, voids)
    shown = _hub(environment, "effect", waiting.receipt_number, "--json")
    assert (shown["state"], shown["counts"]["voided"], len(shown["samples"]["void"])) == ("braked", 12, 12)
    released = _hub(environment, "release", waiting.receipt_number, "--as", "public_security", "--json")
    assert (released["state"], released["counts"]["accepted"]) == ("merged", 12)
    would = _hub(environment, "undo", waiting.receipt_number, "--as", "public_security", "--dry-run", "--json")
    assert would["counts"] == {"voided": 0, "changed": 0, "restored": 12}
    done = _hub(environment, "undo", waiting.receipt_number, "--as", "public_security", "--reason", "报错了", "--json")
    assert (done["state"], done["effect"]["restored"]) == ("merged", 12)
    again = send(hub, catalogue, voids)
    gone = _hub(
        environment, "withdraw", again.receipt_number, "--as", "public_security", "--reason", "报错了", "--json"
    )
    assert gone["state"] == "refused"
    nil = _hub(environment, "nil", "--as", "public_security", "--type", TYPE, "--period", LAST_MONTH, "--json")
    assert (nil["state"], nil["repeated"]) == ("merged", False)


def test_submit_comes_back_at_once_when_a_person_must_decide(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "earlier.csv"
    file.write_bytes(rows(1, 3))
    sending = ("submit", str(file), "--as", "public_security", "--type", TYPE, "--backfill", "--wait", "--json")
    told = _hub(_environment(hub.settings), *sending)
    assert (told["state"], told["waits"]) == ("braked", True)
    refused = _run(_environment(hub.settings), "release", told["receipt"], "--as", "public_security")
    assert refused.exit_code == 3
    assert "另一人" in refused.stderr


def _environment(settings: Settings) -> dict[str, str]:
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / "hub.toml").write_text('fictitious_prefixes = ["999001"]\n')
    urls = {"HUB_DATABASE_URL": settings.database_url, "HUB_WORKER_URL": settings.worker_url}
    return {"HUB_HOME": str(settings.home), **{name: url for name, url in urls.items() if url}}


def _run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


def _hub(environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = _run(environment, *arguments)
    assert done.exit_code == 0, done.stderr
    shown: dict[str, Any] = json.loads(
        done.stdout.splitlines()[-1]
    )  # in one process with the line, whose log stands before it
    return shown
