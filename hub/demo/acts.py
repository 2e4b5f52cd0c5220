"""What departments do with whole files: send them again, rename, re-save, correct, void, mix up, add up."""

from __future__ import annotations

import random
from copy import deepcopy

from hub.demo.departments import Expected, Sheet
from hub.demo.truth import Outcome

WORDS = {"correct": "更正", "void": "作废"}


def saved_again(sheet: Sheet, name: str) -> Sheet:
    """The same content in other bytes: what was accepted is unchanged, what was held or refused is so again."""
    again = deepcopy(sheet)
    again.file_name = f"{sheet.file_name}_{name}"
    if again.format == "csv":
        again.encoding = "utf-16" if sheet.encoding != "utf-16" else "utf-8-sig"
    again.expected = {row: _second_time(sheet.expected.get(row)) for row in range(len(sheet.rows))}
    return again


def _second_time(first: Expected | None) -> Expected:
    if first is None or first.outcome in ("accepted", "unchanged"):
        return Expected("41", "unchanged")
    return first


def corrected(rng: random.Random, sheet: Sheet, field: str, value: str, count: int) -> tuple[Sheet, list[int]]:
    """A file of corrections: some rows of an earlier one with another value; and which rows they were."""
    rows = _clean_rows(rng, sheet, count)
    file = _extract(sheet, rows, "更正", "correct")
    place = sheet.column_of(field)
    for number in range(len(rows)):
        file.rows[number][place] = sheet.writers[field](value)
        file.said[number] = {**file.said[number], field: value}
    return file, rows


def voided(rng: random.Random, sheet: Sheet, count: int) -> tuple[Sheet, list[int]]:
    """A file of voids: rows of an earlier one that should never have been sent."""
    rows = _clean_rows(rng, sheet, count)
    return _extract(sheet, rows, "作废", "void"), rows


def _clean_rows(rng: random.Random, sheet: Sheet, count: int) -> list[int]:
    clean = [row for row in range(len(sheet.rows)) if row not in sheet.expected]
    return sorted(rng.sample(clean, min(count, len(clean))))


def _extract(sheet: Sheet, rows: list[int], name: str, kind: str) -> Sheet:
    file = deepcopy(sheet)
    file.file_name = f"{sheet.file_name}_{name}"
    file.rows = [list(sheet.rows[row]) for row in rows]
    file.said = [dict(sheet.said[row]) for row in rows]
    file.marks = dict.fromkeys(range(len(rows)), WORDS[kind])
    file.expected = {}
    return file


def older_after(sheet: Sheet, changed: list[int], name: str) -> Sheet:
    """An old file comes again after its rows were corrected or voided: it must not undo that."""
    again = saved_again(sheet, name)
    for row in changed:
        again.expected[row] = Expected("51", "unchanged", ("N_OLDER_VERSION",))
    return again


def cumulative(sheets: list[Sheet]) -> Sheet:
    """The year so far in the last month's slot: only the last month's rows are new."""
    last = deepcopy(sheets[-1])
    last.file_name = f"{sheets[-1].file_name}_本年累计"
    for sheet in sheets[:-1]:
        for row, (cells, said) in enumerate(zip(sheet.rows, sheet.said, strict=True)):
            first = _second_time(sheet.expected.get(row))
            outcome: Outcome = first.outcome
            last.rows.append(list(cells))
            last.said.append(dict(said))
            last.expected[len(last.rows) - 1] = Expected("42", outcome, first.codes)
    return last


def under_old_number(sheet: Sheet, changed: dict[str, tuple[str, str]]) -> Sheet | None:
    """Rows of people whose number was corrected, sent again with the old number: nothing new."""
    rows = [row for row, said in enumerate(sheet.said) if said["id_no"] in changed and row not in sheet.expected]
    if not rows:
        return None
    file = _extract(sheet, rows, "旧号补报", "correct")
    file.marks = {}
    file.expected = {row: Expected("52", "unchanged") for row in range(len(rows))}
    return file


def under_new_number(old: Sheet, changed: dict[str, tuple[str, str]]) -> Sheet:
    """The same people under the new number and birth date: the same records in a new version."""
    file = deepcopy(old)
    file.file_name = old.file_name.replace("旧号", "新号")
    for row, said in enumerate(old.said):
        number, born = changed[said["id_no"]]
        file.said[row] = {**said, "id_no": number, "birth_date": born}
        for name in ("id_no", "birth_date"):
            file.rows[row][file.column_of(name)] = file.writers[name](file.said[row][name])
        file.expected[row] = Expected("52", "accepted")
    return file
