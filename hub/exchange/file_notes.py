"""What was noticed of a file as a whole, from what parsing kept of it: columns not taken, sheets not read, totals that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Note = tuple[str, int, dict[str, Any]]  # code, the sheet's row (0: the whole file), what the sentence needs


def file_notes(facts: Mapping[str, Any]) -> Iterator[Note]:
    """Codes of the row-error catalogue with their facts; each is said once for the file."""
    yield from _columns("N_COLUMN_DROPPED", facts.get("dropped_columns") or [])
    unknown = facts.get("unknown_columns") or []
    yield from _columns("N_COLUMN_IGNORED", [column for column in unknown if not column.get("perhaps")])
    for column in unknown:
        if column.get("perhaps"):
            yield "N_COLUMN_SIMILAR", 0, {"columns": _placed(column), "expected": column["perhaps"]}
    if facts.get("template_month"):
        yield "W_TEMPLATE_MONTH", 0, dict(facts["template_month"])
    for name in facts.get("hidden_sheets") or []:
        yield "W_HIDDEN_SHEET", 0, {"sheet": name}
    for sheet in facts.get("sheets") or []:
        yield from _of_sheet(sheet)
    for name in facts.get("unread_sheets") or []:
        yield "N_SHEET_IGNORED", 0, {"sheet": name}
    for differs in facts.get("total_differs") or []:
        yield "W_TOTAL_DIFFERS", differs["row"], {"found": differs["stated"], "expected": differs["counted"]}
    if facts.get("overlap"):
        yield "W_OVERLAP", 0, {"count": facts["overlap"]}
    if facts.get("returned_unknown"):
        yield "N_RETURNED_UNKNOWN", 0, {"found": facts["returned_unknown"]}
    skipped = sum(entry["count"] for entry in (facts.get("skipped") or {}).values())
    if skipped:
        yield "N_ROWS_SKIPPED", 0, {"count": skipped}


def question_params(question: Mapping[str, Any]) -> dict[str, Any]:
    """What the sentence needs that says a file waits: the columns nobody knows, and those still missing."""
    missing = "、".join(each["title"] for each in question["missing"])
    asked = "、".join(map(_placed, question["headers"]))
    return {"columns": asked, "expected": missing, "sheet": question["sheet"], "row": question["header_row"]}


def _of_sheet(sheet: dict[str, Any]) -> Iterator[Note]:
    """What a sheet hides is read all the same; what it does not bring with it is not."""
    if sheet.get("hidden_rows"):
        yield "W_HIDDEN_ROWS", 0, {"sheet": sheet["sheet"], "count": sheet["hidden_rows"]}
    if sheet.get("hidden_columns"):
        letters = "、".join(map(_letter, sheet["hidden_columns"]))
        yield "W_HIDDEN_COLUMNS", 0, {"sheet": sheet["sheet"], "columns": letters}
    if sheet.get("memo_columns"):
        yield "W_MEMO_MISSING", 0, {"columns": "、".join(sheet["memo_columns"])}
    if sheet.get("deleted_rows"):
        yield "N_ROWS_DELETED", 0, {"count": sheet["deleted_rows"]}


def _letter(number: int) -> str:
    """The letter of a column counted from 1."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _columns(code: str, columns: list[dict[str, Any]]) -> Iterator[Note]:
    if columns:
        yield code, 0, {"columns": "、".join(map(_placed, columns))}


def _placed(column: dict[str, Any]) -> str:
    return f"{column['letter']} {column['header']}"
