"""差错清单: the errors of a submission as CSV for people, one line an error; values masked, no cell a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, TextIO
from uuid import UUID

from sqlalchemy import Connection, Row, select

from hub.exchange.file_notes import file_notes
from hub.exchange.row_errors import explain, masked_facts
from hub.registry.masking import mask_field
from hub.tables import row_error, submission
from mappings.catalogue import Catalogue, RecordType

HEADERS = {
    "zh": ("工作表", "行", "列", "列名", "级别", "代码", "填写的值", "原因", "修改办法"),
    "en": ("Sheet", "Row", "Column", "Header", "Level", "Code", "Value", "Reason", "What to do"),
}
LEVELS = {
    "zh": {"error": "退回", "hold": "待核", "warning": "警告", "note": "提示"},
    "en": {"error": "refused", "hold": "held", "warning": "warning", "note": "note"},
}
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
_BYTE_ORDER_MARK = "\ufeff"  # spreadsheets take UTF-8 for the local encoding without it
_BATCH = 5_000


def write_error_list(
    connection: Connection, catalogue: Catalogue, submission_id: UUID, stream: TextIO, language: str = "zh"
) -> int:
    """Write the list; how many lines. Who may read it was decided by the caller (see ``find_returned``)."""
    row = connection.execute(select(submission).where(submission.c.submission_id == submission_id)).one()
    spoken = "en" if language == "en" else "zh"
    stream.write(_BYTE_ORDER_MARK)
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(HEADERS[spoken])
    count = 0
    for line in _lines(connection, catalogue, row, spoken):
        writer.writerow(map(as_text, line))
        count += 1
    return count


def as_text(cell: str) -> str:
    """A cell that a spreadsheet would calculate is marked as text."""
    return f"'{cell}" if cell.startswith(_FORMULA_SIGNS) else cell


def _lines(connection: Connection, catalogue: Catalogue, row: Row[Any], language: str) -> Iterator[tuple[str, ...]]:
    """The whole file's first, then row by row."""
    if row.refusal:
        yield _of_file(catalogue, row.refusal["code"], 0, row.refusal.get("params") or {}, language)
    for code, at, facts in file_notes(row.facts):
        yield _of_file(catalogue, code, at, facts, language)
    its, record_type = row_error.c, catalogue.record_types[row.record_type]
    mine = select(row_error).where(its.submission_id == row.submission_id).order_by(its.row_no, its.error_no)
    for error in connection.execution_options(yield_per=_BATCH).execute(mine):
        yield _of_row(catalogue, record_type, error, language)


def _of_file(catalogue: Catalogue, code: str, at: int, facts: dict[str, Any], language: str) -> tuple[str, ...]:
    told = explain(catalogue, code, masked_facts(facts), language)
    level = LEVELS[language][catalogue.row_errors[code].level]
    return str(facts.get("sheet") or ""), str(at or ""), "", "", level, code, "", told.message, told.fix


def _of_row(catalogue: Catalogue, record_type: RecordType, error: Row[Any], language: str) -> tuple[str, ...]:
    field = record_type.by_name.get(error.field)
    params = {"value": error.value, "field": error.header or error.field, "header": error.header, **error.params}
    told = explain(catalogue, error.code, masked_facts(params, field), language)
    place = (error.sheet or "", str(error.sheet_row), error.column_letter, error.header)
    value = mask_field(error.value, field, "own")
    return *place, LEVELS[language][error.level], error.code, value, told.message, told.fix
