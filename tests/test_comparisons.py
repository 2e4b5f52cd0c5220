"""The standing comparisons: each shipped check finds its case and not its counter-case; nothing hunts people."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.exchange.pipeline import apply_staged
from hub.people import comparison_sql
from hub.people.comparison import HuntingCheck, UnknownCheck, compare, refuse_hunting
from mappings.catalogue import Catalogue
from mappings.checking import check_mappings
from mappings.comparisons import Side
from mappings.loader import ROOT
from tests import district
from tests.comparison_cases import CASES, MERGED, TODAY, Case, Row, certificate
from tests.conftest import clone_template, execute
from tests.staged import stage

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)


def tell(connection: Connection, catalogue: Catalogue, rows: list[Row]) -> None:
    """Put records in as their senders' submissions would."""
    batches: dict[tuple[str, str, bool], list[dict[str, Any]]] = {}
    for row in rows:
        void = row.fields.get("change_kind") == "void"
        batches.setdefault((row.record_type, row.source, void), []).append(row.fields)
    for (code, source, _), fields in sorted(batches.items(), key=lambda one: one[0][2]):
        record_type = catalogue.record_types[code]
        submission = stage(connection, record_type, fields)
        apply_staged(connection, submission, source, record_type, catalogue)


@dataclass(frozen=True)
class Planted:
    database: Database
    found: dict[str, set[str]]  # check -> cases it found


@pytest.fixture(scope="module")
def planted(cluster: Cluster, catalogue: Catalogue) -> Iterator[Planted]:
    """Every case in one register, compared once."""
    clone_template(cluster, "comparisons")
    database = Database(cluster.urls("comparisons").worker, "d999001")
    with database.begin() as connection:
        district.found(connection)
        tell(connection, catalogue, [row for case in CASES for row in case.rows])
        merge_children(connection)
        counts = compare(connection, catalogue, NOW, today=TODAY)
        found = {code: cases_found(connection, code) for code in counts}
    yield Planted(database, found)
    database.close()
    execute(cluster, "DROP DATABASE comparisons WITH (FORCE)")


def merge_children(connection: Connection) -> None:
    """What a merge of two persons leaves: two records of one child."""
    for case in (case for case in CASES if case.why == MERGED):
        code = case.rows[0].record_type
        field, value = (
            ("cert_no", certificate(case.number)) if code == "birth_certificate" else ("child_id_no", case.number)
        )
        table = f"{{d}}.rec_{code}"
        run_sql(
            connection,
            f"UPDATE {table} SET child_ref = (SELECT child_ref FROM {table} WHERE {field} = :kept) WHERE {field} = :other",
            kept=value, other=f"{value}X",
        )  # fmt: skip


def cases_found(connection: Connection, code: str) -> set[str]:
    """The cases whose records are sides of open items of this check."""
    rows = run_sql(
        connection,
        "SELECT DISTINCT side ->> 'record_type', (side ->> 'record_id')::uuid"
        "  FROM {d}.comparison_item, jsonb_array_elements(sides) side WHERE check_code = :code AND state = 'open'",
        code=code,
    )
    found = set()
    for record_type, record_id in rows:
        key = "SELECT to_jsonb(r) FROM {d}.rec_" + f"{record_type} r WHERE record_id = :record_id"
        ((record,),) = run_sql(connection, key, record_id=record_id)
        found |= {case.name for case in CASES if case.owns(str(record_type), record)}  # type: ignore[arg-type]
    return found


def test_every_shipped_check_has_a_case_and_a_counter_case(catalogue: Catalogue) -> None:
    assert {case.check for case in CASES if case.found} == set(catalogue.comparisons)
    assert {case.check for case in CASES if not case.found} == set(catalogue.comparisons)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_check_finds_its_case_and_not_its_counter_case(planted: Planted, case: Case) -> None:
    assert (case.name in planted.found[case.check]) == case.found


# ---- guards that matter: without them the counter-cases are found ----


@pytest.mark.parametrize(
    ("guard", "check", "wrongly_found"),
    [
        ("grace", "death_not_cancelled", "death_not_cancelled: within grace"),
        ("voided", "death_not_cancelled", "death_not_cancelled: the death was voided"),
        ("unless", "married_not_on_file", "married_not_on_file: divorced since"),
    ],
)
def test_without_its_guard_a_check_finds_what_is_none(
    planted: Planted, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, guard: str, check: str, wrongly_found: str
) -> None:
    its = catalogue.comparisons[check]
    changes: dict[str, dict[str, Any]] = {"grace": {"grace_days": 0}, "unless": {"unless": ()}, "voided": {}}
    changed = changes[guard]
    if guard == "voided":
        stands = comparison_sql._stands
        monkeypatch.setattr(comparison_sql, "_stands", lambda *of: stands(*of).replace("NOT r.voided", "true"))
    weaker = msgspec.structs.replace(catalogue, comparisons={check: msgspec.structs.replace(its, **changed)})
    assert wrongly_found not in planted.found[check]
    with planted.database.engine.connect() as connection, connection.begin() as unmade:
        compare(connection, weaker, NOW, only=(check,), today=TODAY)
        assert wrongly_found in cases_found(connection, check)
        unmade.rollback()


# ---- nothing hunts people, nothing clinical is compared, a wrong file says where ----


def test_the_hubs_own_table_of_what_is_never_asked_agrees_with_every_shipped_check(catalogue: Catalogue) -> None:
    for check in catalogue.comparisons.values():
        refuse_hunting(catalogue, check)


@pytest.mark.parametrize(
    "side",
    [
        Side(type="antenatal_booking", role="woman"),
        Side(type="birth_certificate", role="mother"),
        Side(type="resident_roll", where={"marital": ("10",)}),
    ],
    ids=["pregnancies", "mothers", "marital status next to births"],
)
def test_a_check_that_hunts_people_does_not_run(catalogue: Catalogue, side: Side) -> None:
    birth = catalogue.comparisons["birth_not_registered"]
    with pytest.raises(HuntingCheck):
        refuse_hunting(catalogue, msgspec.structs.replace(birth, right=(side,)))


def test_a_check_nobody_declared_is_refused(planted: Planted, catalogue: Catalogue) -> None:
    with planted.database.begin() as connection, pytest.raises(UnknownCheck):
        compare(connection, catalogue, NOW, only=("pregnant_unmarried",))


BROKEN = [
    ('{ type = "resident_roll" },', '{ type = "resident_rolls" },', "right[0].type"),
    ('{ type = "business_licence", role = "operator", where', '{ type = "business_licence", role = "owner", where', "left[0].role"),
    ('empty = ["cancelled_on"]', 'empty = ["cancelled"]', "right[0].cancelled"),
    ('left = "marital", right', 'left = "underlying_icd10", right', "compared[0].left"),
    ('{ type = "cremation" },', '{ type = "delivery_outcome", role = "woman" },', ".type"),
    ('role = "child", inside = true', 'role = "mother", inside = true', ".code"),
    ('marital = ["10", "40"]', 'marital = ["10", "44"]', "right[0].marital"),
    ('marital = ["10", "40"]', 'sex = ["2"]', "right[0].sex"),
    ('otherwise = "public_security"', 'otherwise = "police"', ".otherwise"),
    ('{ type = "newborn_hukou", role = "child" },', '{ type = "marriage", role = "female" },', ".code"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "key"), BROKEN, ids=[wrong for _, wrong, _ in BROKEN])
def test_a_broken_check_is_named_with_file_line_and_key(tmp_path: Path, right: str, wrong: str, key: str) -> None:
    copy = tmp_path / "mappings"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    file = copy / "comparisons.toml"
    text = file.read_text("utf-8")
    assert right in text
    file.write_text(text.replace(right, wrong, 1), "utf-8")
    problem = check_mappings(copy)[0]
    assert problem.file == "comparisons.toml"
    assert problem.key.endswith(key)
    assert problem.key.startswith("checks[")
    assert problem.line > 5
