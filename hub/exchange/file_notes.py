"""What was noticed of a file as a whole, from what parsing kept of it: columns not taken, sheets not read, totals that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Note = tuple[str, int, dict[str, Any]]  # code, the sheet's row (0: the whole file), what the sentence needs


def file_notes(facts: Mapping[str, Any]) -> Iterator[Note]:
    """Codes of the row-error catalogue with their facts; each is said once for the file."""
    yield from _columns("N_COLUMN_DROPPED", facts.get("dropped_columns") or [])
    yield from _columns("N_COLUMN_IGNORED", facts.get("unknown_columns") or [])
    for name in facts.get("hidden_sheets") or []:
        yield "W_HIDDEN_SHEET", 0, {"sheet": name}
    for name in facts.get("unread_sheets") or []:
        yield "N_SHEET_IGNORED", 0, {"sheet": name}
    for differs in facts.get("total_differs") or []:
        yield "W_TOTAL_DIFFERS", differs["row"], {"found": differs["stated"], "expected": differs["counted"]}
    skipped = sum(entry["count"] for entry in (facts.get("skipped") or {}).values())
    if skipped:
        yield "N_ROWS_SKIPPED", 0, {"count": skipped}


def _columns(code: str, columns: list[dict[str, Any]]) -> Iterator[Note]:
    if columns:
        yield code, 0, {"columns": "、".join(f"{column['letter']} {column['header']}" for column in columns)}
