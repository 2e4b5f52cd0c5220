"""Changes written for people and programs: NDJSON, CSV or a workbook."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any, TextIO

from hub.errors import BadRequest
from hub.exchange.plain_cells import plain_cell

_LEADING = ("seq", "delivery_no", "op", "record_type", "record_id", "person_id", "version", "recorded_at", "source")

Change = dict[str, Any]


def write_changes(changes: list[Change], form: str, output: Path | None) -> None:
    """``form``: ndjson, csv, or xlsx (only to a file)."""
    if form == "xlsx":
        if output is None:
            raise BadRequest("xlsx: -o FILE.xlsx")
        _write_workbook(changes, output)
    elif form not in ("ndjson", "csv"):
        raise BadRequest(f"--format {form}: ndjson | csv | xlsx")
    elif output is None:
        _write_text(changes, form, sys.stdout)
    else:
        with output.open("w", encoding="utf-8-sig" if form == "csv" else "utf-8", newline="") as file:
            _write_text(changes, form, file)


def _write_text(changes: list[Change], form: str, file: TextIO) -> None:
    if form == "csv":
        csv.writer(file).writerows(_table(changes))
    else:
        file.writelines(json.dumps(change, ensure_ascii=False) + "\n" for change in changes)


def _write_workbook(changes: list[Change], output: Path) -> None:
    import xlsxwriter

    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(str(output), options) as book:
        sheet = book.add_worksheet("changes")
        for number, row in enumerate(_table(changes)):
            sheet.write_row(number, 0, row)


def _table(changes: list[Change]) -> list[list[str]]:
    """One row a change; the payload's fields before and after side by side, in order of first appearance."""
    fields = list(dict.fromkeys(f for c in changes for part in ("after", "before") for f in (c[part] or {})))
    heading = [*_LEADING, *(f"{part}.{field}" for part in ("before", "after") for field in fields)]
    return [heading, *([plain_cell(value) for value in _values(change, fields)] for change in changes)]


def _values(change: Change, fields: list[str]) -> list[object]:
    payload = [(change[part] or {}).get(field) for part in ("before", "after") for field in fields]
    return [*(change[name] for name in _LEADING), *payload]
