"""The list as a town's clerk sends it back: the downloaded workbook with its answers, and what was found on its own sheets."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

import openpyxl
from openpyxl.worksheet.worksheet import Worksheet

from hub.casework.list_sheets import LIST_SHEET, ROUND_SHEETS
from mappings.catalogue import Catalogue

_HEADER, _FIRST = 3, 4


def fill_in(
    catalogue: Catalogue,
    downloaded: bytes,
    answers: Mapping[str, Mapping[str, str]],
    found: Mapping[str, Iterable[Mapping[str, str]]],
) -> bytes:
    """``answers``: record -> what is said of its line; ``found``: record type -> rows. Codes in the words of the lists."""
    book = openpyxl.load_workbook(io.BytesIO(downloaded))
    listed = book[LIST_SHEET]
    columns = _columns(catalogue, listed, "town_verification")
    for row in range(_FIRST, listed.max_row + 1):
        said = answers.get(str(listed.cell(row, columns["source_record_id"]).value or ""), {})
        _fill_row(catalogue, listed, row, columns, "town_verification", said)
    for sheet, record_type in ROUND_SHEETS.items():
        columns = _columns(catalogue, book[sheet], record_type)
        for row, said in enumerate(found.get(record_type, ()), start=_FIRST):
            _fill_row(catalogue, book[sheet], row, columns, record_type, said)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _columns(catalogue: Catalogue, sheet: Worksheet, record_type: str) -> dict[str, int]:
    """Where each field stands, by the headers the sheet was printed with."""
    rules = catalogue.mappings["town", record_type].columns
    named = {header: rule.field for rule in rules for header in (rule.header, *rule.synonyms)}
    headers = {column: sheet.cell(_HEADER, column).value for column in range(1, sheet.max_column + 1)}
    return {named[str(header)]: column for column, header in headers.items() if header in named}


def _fill_row(
    catalogue: Catalogue, sheet: Worksheet, row: int, columns: Mapping[str, int], code: str, said: Mapping[str, str]
) -> None:
    fields = catalogue.record_types[code].by_name
    for name, value in said.items():
        field = fields.get(name)
        if name in columns and field is not None:
            titles = (
                {one.value: one.title for one in catalogue.code_sets[field.code_set].codes} if field.code_set else {}
            )
            sheet.cell(row, columns[name]).value = titles.get(value, value)
