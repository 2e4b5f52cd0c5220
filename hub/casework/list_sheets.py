"""The sheets of the workbook that goes out to a town and comes back, by name: what each of them is read as."""

from __future__ import annotations

from uuid import UUID

LIST_SHEET, GUIDE_SHEET = "变动清单", "填表说明"
CHOICES_SHEET = "_hub"  # what is in it is never read
FOOT = "填表人："  # begins the last row of a sheet
# A returned workbook is read once for each of these record types: a sheet of one is not looked at for another.
ROUND_SHEETS = {
    LIST_SHEET: "town_verification",
    "增加人员": "town_arrival",
    "减少人员": "town_departure",
    "服务需求": "service_request",
}
# Columns by which a line is known again: they are hidden on purpose.
HIDDEN_FIELDS = frozenset({"source_record_id", "round", "list_mark"})


def sheet_step(answers: UUID, record_type: str) -> str:
    """The operation id under which a sheet is sent on from the submission of the answers beside it."""
    return f"{answers}:sheet:{record_type}"


def is_of_another_type(sheet: str, record_type: str) -> bool:
    """Whether a sheet of the town's workbook belongs to another of its record types."""
    return record_type in ROUND_SHEETS.values() and ROUND_SHEETS.get(sheet, record_type) != record_type
