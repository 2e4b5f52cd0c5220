"""What became of everything the demo sent, held against what had to become of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import cast

import msgspec
from sqlalchemy import Connection, Row, select

from hub.database import run_sql
from hub.demo.doors import Sent
from hub.demo.truth import ExpectedFile, ExpectedRow, Truth
from hub.registry.areas import load_area_index
from hub.tables import row_error, submission
from mappings.catalogue import Catalogue

COUNTS = ("received", "accepted", "unchanged", "held", "refused")
SHOWN_WRONG = 30


class Department(msgspec.Struct):
    """What one sender's files became, all together."""

    sender: str
    files: int = 0
    refused_files: int = 0
    repeated_files: int = 0
    received: int = 0
    accepted: int = 0
    unchanged: int = 0
    held: int = 0
    refused: int = 0


class Reckoned(msgspec.Struct, kw_only=True):
    """The comparison; ``wrong`` names the first differences, in words."""

    departments: list[Department]
    files: int
    files_right: int
    rows: int
    dirty: int
    dirty_right: int
    clean: int
    clean_right: int
    register: dict[str, int]
    register_right: bool
    towns_right: int
    towns: int
    wrong: list[str]

    @property
    def right(self) -> bool:
        return not self.wrong


def reckon(connection: Connection, catalogue: Catalogue, truth: Truth, sent: list[Sent]) -> Reckoned:
    """Compare every file, every dirty row, the register and each town's part of it with the truth."""
    wrong: list[str] = []
    ledger = _ledger(connection, sent)
    found = _row_errors(connection, ledger)
    files_right = sum(_file_is_right(one, ledger[one.receipt], wrong) for one in sent)
    dirty_right = sum(_row_is_right(row, found[row.file].get(row.sheet_row, {}), wrong) for row in truth.rows)
    stopped = _clean_rows_stopped(truth, found, wrong)
    register, per_town = current(connection, catalogue), current_per_town(connection, catalogue)
    towns = sum(per_town.get(town, {}) == counts for town, counts in truth.per_town.items())
    _compare("名册 register", register, truth.current, wrong)
    for town, counts in truth.per_town.items():
        _compare(f"镇街 town {town}", per_town.get(town, {}), counts, wrong)
    rows = sum(file.received for file in truth.files)
    clean = rows - len(truth.rows)
    return Reckoned(
        departments=_by_department(sent, ledger), files=len(sent), files_right=files_right, rows=rows,
        dirty=len(truth.rows), dirty_right=dirty_right, clean=clean, clean_right=clean - stopped,
        register=register, register_right=register == truth.current,
        towns=len(truth.per_town), towns_right=towns, wrong=wrong,
    )  # fmt: skip


def _ledger(connection: Connection, sent: list[Sent]) -> dict[str, Row[tuple[object, ...]]]:
    """The ledger's lines by receipt number."""
    numbers = {one.receipt for one in sent}
    rows = connection.execute(select(submission).where(submission.c.receipt_number.in_(numbers)))
    return {row.receipt_number: row for row in rows}


Found = defaultdict[str, dict[int, dict[str, str]]]


def _row_errors(connection: Connection, ledger: dict[str, Row[tuple[object, ...]]]) -> Found:
    """File -> sheet row -> code -> level."""
    files = {row.submission_id: row.file_name for row in ledger.values()}
    found: Found = defaultdict(dict)
    errors = row_error.c
    for one in connection.execute(select(errors.submission_id, errors.sheet_row, errors.code, errors.level)):
        if one.submission_id in files:
            found[files[one.submission_id]].setdefault(one.sheet_row, {})[one.code] = one.level
    return found


def _file_is_right(one: Sent, row: Row[tuple[object, ...]], wrong: list[str]) -> bool:
    expected = one.parcel.expected
    state = "refused" if expected.refusal else "merged"
    got = {name: getattr(row, name) for name in COUNTS}
    wanted = {name: getattr(expected, name) for name in COUNTS}
    code = (row.refusal or {}).get("code", "")
    if (row.state, got, code) == (state, wanted, expected.refusal) and _same_receipt(one, row):
        return True
    _note(
        wrong,
        f"{expected.file}: {row.state} {code} {_short(got)}，应为 expected {state} {expected.refusal} {_short(wanted)}",
    )
    return False


def _same_receipt(one: Sent, row: Row[tuple[object, ...]]) -> bool:
    """Bytes sent again come back with the receipt of the first time."""
    return not one.parcel.repeats or row.file_name == one.parcel.repeats


def _short(counts: dict[str, int]) -> str:
    return "/".join(str(counts[name]) for name in COUNTS)


def outcome_of(levels: set[str]) -> str:
    return "refused" if "error" in levels else "held" if "hold" in levels else "passed"


def _row_is_right(row: ExpectedRow, codes: dict[str, str], wrong: list[str]) -> bool:
    got = outcome_of(set(codes.values()))
    wanted = row.outcome if row.outcome in ("held", "refused") else "passed"
    if got == wanted and codes.keys() >= set(row.codes):
        return True
    told = " ".join(sorted(codes)) or "-"
    _note(wrong, f"{row.file} 第 {row.sheet_row} 行 row: 情形 case {row.case} {row.outcome} {row.codes} → {got} {told}")
    return False


def _clean_rows_stopped(truth: Truth, found: Found, wrong: list[str]) -> int:
    """Rows nobody spoilt that were held or refused all the same."""
    dirty = {(row.file, row.sheet_row) for row in truth.rows}
    stopped = 0
    for file, rows in found.items():
        for sheet_row, codes in rows.items():
            if (file, sheet_row) not in dirty and outcome_of(set(codes.values())) != "passed":
                stopped += 1
                _note(wrong, f"{file} 第 {sheet_row} 行 row: 本应接收 clean, {' '.join(sorted(codes))}")
    return stopped


def _note(wrong: list[str], sentence: str) -> None:
    if len(wrong) < SHOWN_WRONG:
        wrong.append(sentence)


def _compare(what: str, got: dict[str, int], wanted: dict[str, int], wrong: list[str]) -> None:
    different = {
        name: (got.get(name, 0), wanted.get(name, 0)) for name in {*got, *wanted} if got.get(name) != wanted.get(name)
    }
    if different:
        _note(wrong, f"{what}: {different}")


def current(connection: Connection, catalogue: Catalogue) -> dict[str, int]:
    """Records in force, by type."""
    counts = {}
    for code in _types(catalogue):
        rows = run_sql(connection, f"SELECT count(*) FROM {{d}}.rec_{code} WHERE NOT voided")
        if number := cast(int, rows[0][0]):
            counts[code] = number
    return counts


def current_per_town(connection: Connection, catalogue: Catalogue) -> dict[str, dict[str, int]]:
    """Records in force by town (nine digits) and type."""
    areas = load_area_index(connection)
    towns = {area: areas.code_of[area][:9] for area, kind in areas.kind.items() if kind == "town"}
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for code in _types(catalogue):
        counted = (
            f"SELECT a.area, count(*) FROM {{d}}.rec_{code} r, unnest(r.areas) a (area) WHERE NOT r.voided GROUP BY 1"
        )
        for area, number in cast(list[tuple[int, int]], run_sql(connection, counted)):
            if area in towns:
                found[towns[area]][code] = number
    return {town: dict(sorted(counts.items())) for town, counts in sorted(found.items())}


def _types(catalogue: Catalogue) -> list[str]:
    return [code for code, kind in catalogue.record_types.items() if kind.enabled]


def _by_department(sent: list[Sent], ledger: dict[str, Row[tuple[object, ...]]]) -> list[Department]:
    """Towns together in one line."""
    found: dict[str, Department] = {}
    for one in sent:
        name = "town" if one.parcel.sender.isdigit() else one.parcel.sender
        department = found.setdefault(name, Department(name))
        department.files += 1
        _add(department, one.parcel.expected, ledger[one.receipt], repeated=bool(one.parcel.repeats))
    return list(found.values())


def _add(department: Department, expected: ExpectedFile, row: Row[tuple[object, ...]], *, repeated: bool) -> None:
    if repeated:
        department.repeated_files += 1
        return
    department.refused_files += bool(expected.refusal)
    for name in COUNTS:
        setattr(department, name, getattr(department, name) + getattr(row, name))
