"""Which cell of a row a finding of the comparison is about: the one a person has to write otherwise.

Where the file has this column is known when it is read, and kept with the submission until it is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.exchange.checks.context import Column

KEPT_AS = "finding_cells"
_FIELDS = {
    "E_ROUND_UNKNOWN": "round",
    "E_TRANSFER_WHERE": "to_town",
    "E_VILLAGE_ELSEWHERE": "right_village",
    "E_VERDICT_CONFLICT": "result",
}
_NO_CELL = ("", "", "", "")


def note_cells(columns: Sequence[Column]) -> dict[str, object]:
    """A fact of the submission: field -> sheet, letter and header. Nothing of a file with several sheets: a finding
    knows its row, not the sheet."""
    sheets = {column.sheet for column in columns}
    if len(sheets) != 1:
        return {}
    asked = set(_FIELDS.values())
    found = {one.field: [one.sheet, one.letter, one.header] for one in reversed(columns) if one.field in asked}
    return {KEPT_AS: found} if found else {}


def cell_of(facts: Mapping[str, Any], code: str) -> tuple[str, str, str, str]:
    """Field, sheet, letter and header; empty where no cell is wrong, or the file has no such column."""
    field = _FIELDS.get(code, "")
    place = facts.get(KEPT_AS, {}).get(field)
    return (field, *place) if place else _NO_CELL
