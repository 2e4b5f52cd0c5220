"""The fifty-two dirty cases, each through parse and check; those that need a register through the whole line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Connection, select

from hub import jobs
from hub.database import Database, new_uuids, run_sql
from hub.embedded import Cluster
from hub.errors import FileRefused
from hub.exchange import pipeline
from hub.exchange.check import CheckContext, CheckedBatch, check
from hub.exchange.file_notes import file_notes
from hub.exchange.parse import Limits, parse
from hub.registry.areas import AreaRow, import_areas
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings, load_settings
from hub.tables import row_error, submission
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.dirty_catalogue import CASES, Dirty
from tests.dirty_files import Row, Sent
from tests.district import actor, enter
from tests.factories_areas import AREAS

TODAY = date(2026, 11, 22)
PLACES = (
    AreaRow("999001000000", "云岭区", "district"),
    AreaRow("999001100000", "甲镇", "town", "999001000000"),
    AreaRow("999001101000", "乙镇", "town", "999001000000"),
    AreaRow("999001100200", "东风村", "village", "999001100000"),
    AreaRow("999001100201", "红旗村", "village", "999001100000"),
    AreaRow("999001101200", "东风村", "village", "999001101000"),
)
OUTCOMES = ("accepted", "unchanged", "held", "refused")


def test_every_case_is_there_once() -> None:
    assert [case.number for case in CASES] == list(range(1, 53))


@pytest.mark.parametrize(
    "case", [one for one in CASES if one.people is None], ids=lambda case: f"{case.number} {case.name}"
)
def test_a_dirty_file_comes_out_as_it_must(case: Dirty, tmp_path: Path, catalogue: Catalogue) -> None:
    for at, sent in enumerate(case.files()):
        path = tmp_path / f"{at} {sent.file_name}"
        path.write_bytes(sent.content)
        try:
            notes, batch = read(path, sent, catalogue)
        except FileRefused as caught:
            assert (caught.facts["code"], sent.rows) == (sent.refusal, ()), path.name
            assert sent.detail in str(caught.facts["params"])
            continue
        assert sent.refusal == ""
        assert (outcomes_of(batch), sorted(notes)) == (plainly(sent.rows), sorted(sent.notes)), path.name
        for row_no, row in enumerate(sent.rows, 1):
            kept = batch.staged.filter(pl.col("row_no") == row_no).to_dicts()
            assert row.values.items() <= (kept[0] if kept else {}).items()


def read(path: Path, sent: Sent, catalogue: Catalogue) -> tuple[list[str], CheckedBatch]:
    record_type = catalogue.record_types[sent.record_type]
    mapping = catalogue.mappings[sent.organisation, sent.record_type]
    limits = Limits(wall_seconds=60, max_bytes=sent.most_bytes)
    parsed = parse(path, record_type, mapping, catalogue, limits, period=sent.period)
    context = CheckContext(
        record_type=record_type, mapping=mapping, catalogue=catalogue, areas=AREAS, today=TODAY,
        fictitious_prefixes=("999001",), digest_key=b"k" * 32, seal=lambda texts: texts, new_uuids=new_uuids,
    )  # fmt: skip
    batches = list(check(parsed.frames, parsed.columns, context))
    assert len(batches) == 1
    return [code for code, _, _ in file_notes(parsed.facts)], batches[0]


def plainly(rows: tuple[Row, ...]) -> list[tuple[str, list[str]]]:
    return [(row.outcome, sorted(row.codes)) for row in rows]


def outcomes_of(batch: CheckedBatch) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for row_no in range(1, batch.received + 1):
        errors = batch.errors.filter(pl.col("row_no") == row_no)
        levels = set(errors["level"])
        outcome = "refused" if "error" in levels else "held" if "hold" in levels else "accepted"
        found.append((outcome, sorted(errors["code"])))
    return found


# ---- cases that need a register ----


@pytest.fixture(scope="module")
def settings(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    clone_template(cluster, "dirty")
    urls = cluster.urls("dirty")
    yield load_settings(
        tmp_path_factory.mktemp("home"), database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker,
        audit_url=urls.audit, fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip
    execute(cluster, "DROP DATABASE dirty WITH (FORCE)")


@pytest.fixture(scope="module")
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.worker_url or "", settings.district)
    with database.begin() as connection:
        import_areas(connection, SYSTEM_ACTOR, PLACES, date(2020, 1, 1))
        enter(connection, "public_security", "department")
        enter(connection, "health", "department")
        enter(connection, "mch_station", "care")
    yield database
    database.close()


@pytest.mark.parametrize(
    "case", [one for one in CASES if one.people is not None], ids=lambda case: f"{case.number} {case.name}"
)
def test_a_dirty_file_does_to_the_register_what_it_must(case: Dirty, database: Database, settings: Settings) -> None:
    before = people_in(database)
    for sent in case.files():
        accepted = deliver(database, settings, sent)
        assert accepted.repeated == sent.is_known
        if sent.is_known:
            continue
        pipeline.run(database, settings, accepted.submission_id)
        with database.begin() as connection:
            ledger = connection.execute(
                select(submission).where(submission.c.submission_id == accepted.submission_id)
            ).one()
            assert {name: getattr(ledger, name) for name in OUTCOMES} == counted(sent.rows), sent.file_name
            assert codes_of(connection, ledger, len(sent.rows)) == [sorted(row.codes) for row in sent.rows]
            assert kept(connection, ledger, sent) == [row.values for row in sent.rows]
        assert sorted(code for code, _, _ in file_notes(ledger.facts)) == sorted(sent.notes)
    assert people_in(database) - before == case.people


def deliver(database: Database, settings: Settings, sent: Sent) -> jobs.Accepted:
    kind = "care" if sent.organisation == "mch_station" else "department"
    return jobs.accept(
        database, settings, actor(sent.organisation, kind=kind), stream=io.BytesIO(sent.content),
        file_name=f"{sent.file_name}.csv", record_type=sent.record_type, organisation=sent.organisation,
        period=sent.period, door="api",
    )  # fmt: skip


def counted(rows: tuple[Row, ...]) -> dict[str, int]:
    return {name: sum(row.outcome == name for row in rows) for name in OUTCOMES}


def codes_of(connection: Connection, ledger: Any, rows: int) -> list[list[str]]:
    told = select(row_error.c.row_no, row_error.c.code).where(row_error.c.submission_id == ledger.submission_id)
    found = [tuple(each) for each in connection.execute(told)]
    return [sorted(code for at, code in found if at == row_no) for row_no in range(1, rows + 1)]


def kept(connection: Connection, ledger: Any, sent: Sent) -> list[dict[str, Any]]:
    """What the register holds of each row, as far as the case says."""
    table = f"{{d}}.rec_{sent.record_type}"
    found = []
    for row_no, row in enumerate(sent.rows, 1):
        names = ", ".join(row.values) or "1"
        told = f"SELECT {names} FROM {table} WHERE submission_id = :submission AND row_no = :row"
        values = run_sql(connection, told, submission=ledger.submission_id, row=row_no) if row.values else [()]
        found.append(dict(zip(row.values, values[0], strict=True)))
    return found


def people_in(database: Database) -> int:
    with database.begin() as connection:
        return int(str(run_sql(connection, "SELECT count(*) FROM {d}.person")[0][0]))
