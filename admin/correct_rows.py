"""Bad rows as the correcting page shows them: the bad cells to be written anew, the good ones beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from admin.error_table import ErrorLine, show_errors
from admin.language import Language
from hub.decisions.correcting import LONGEST_CELL, BadRow, BadRows, closed_columns
from hub.exchange.sheet_rows import SheetColumn, SheetRows
from hub.exchange.workbooks.template_columns import area_choices
from hub.registry.areas import AreaIndex
from hub.registry.masking import mask_field, mask_within
from hub.registry.permissions import Actor
from mappings.catalogue import Catalogue, Field, RecordType

Reasons = Sequence[ErrorLine]
_MOST_CHOICES = 300


class ShownCell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell. ``value`` stands in its field; ``now`` is what is written, as the page may say it."""

    name: str
    letter: str
    header: str
    field: str
    value: str
    now: str
    reasons: Reasons = ()
    open: bool = True  # clinical facts are written on the pages of care alone
    kept: bool = False  # the field begins empty, and stays as it is when left so


class ShownRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its place, its bad cells, its others, and what is wrong with it as a whole."""

    row_no: int
    sheet: str
    row: int
    level: str
    bad: Sequence[ShownCell]
    others: Sequence[ShownCell]
    reasons: Sequence[tuple[str, str]]  # what, and what to do
    waits: bool


def show_rows(
    bad: BadRows,
    catalogue: Catalogue,
    record_type: RecordType,
    actor: Actor,
    language: Language,
    typed: Mapping[int, Mapping[int, str]],
) -> list[ShownRow]:
    sheets = {sheet.name: sheet for sheet in bad.sheets}
    closed = closed_columns(bad.sheets, catalogue, record_type.code, actor)
    showing = _Showing(catalogue, record_type, language)
    return [
        showing.row(row, sheets[row.sheet], {index for name, index in closed if name == row.sheet}, typed)
        for row in bad.rows
        if row.sheet in sheets and row.sheet_row in sheets[row.sheet].rows
    ]


def choices_for(
    rows: Sequence[ShownRow], catalogue: Catalogue, record_type: RecordType, areas: AreaIndex, own_area: int | None
) -> dict[str, tuple[str, ...]]:
    """What may stand in the bad cells: the words of a code, the villages; nothing where they would be too many."""
    fields = {cell.field for row in rows for cell in row.bad if cell.field in record_type.by_name}
    found = {name: _choices_of(record_type.by_name[name], catalogue, areas, own_area) for name in sorted(fields)}
    return {name: words for name, words in found.items() if 0 < len(words) <= _MOST_CHOICES}


def _choices_of(field: Field, catalogue: Catalogue, areas: AreaIndex, own_area: int | None) -> tuple[str, ...]:
    if field.type == "code":
        return tuple(code.title for code in catalogue.code_sets[field.code_set].codes)
    if field.type == "boolean":
        return ("是", "否")
    return area_choices(areas, own_area, "words") if field.type == "area" else ()


class _Showing:
    """What every row of one record type is shown with."""

    def __init__(self, catalogue: Catalogue, record_type: RecordType, language: Language) -> None:
        self.catalogue, self.record_type, self.language = catalogue, record_type, language

    def row(
        self, row: BadRow, sheet: SheetRows, closed: Collection[int], typed: Mapping[int, Mapping[int, str]]
    ) -> ShownRow:
        lines = show_errors(row.errors, self.catalogue, self.record_type, self.language, own=True)
        by_letter: dict[str, list[ErrorLine]] = {}
        for line in lines:
            by_letter.setdefault(line.column, []).append(line)
        cells = [
            self._cell(row, sheet, column, by_letter.pop(column.letter, []), column.index in closed, typed)
            for column in sheet.columns
            if column.field or column.letter in by_letter
        ]
        return ShownRow(
            row_no=row.row_no,
            sheet=mask_within(row.sheet) if row.sheet else "",
            row=row.sheet_row,
            level=lines[0].level if lines else "hold",
            bad=[cell for cell in cells if cell.reasons],
            others=[cell for cell in cells if not cell.reasons],
            reasons=[(line.message, line.fix) for rest in by_letter.values() for line in rest],
            waits=row.waits,
        )

    def _cell(
        self,
        row: BadRow,
        sheet: SheetRows,
        column: SheetColumn,
        reasons: Reasons,
        closed: bool,
        typed: Mapping[int, Mapping[int, str]],
    ) -> ShownCell:
        """A bad cell shows what is written in it; of a good one, no more than any page of one's own rows."""
        written = sheet.rows[row.sheet_row][column.index][0] or ""
        field = self.record_type.by_name.get(column.field)
        now = "" if closed else mask_field(written, field, "own")
        kept = not reasons and now != written
        return ShownCell(
            name=f"{'k' if kept else 'c'}-{row.row_no}-{column.index}",
            letter=column.letter,
            header=mask_within(column.header),
            field=column.field,
            value=typed.get(row.row_no, {}).get(column.index, "" if kept or closed else written),
            now=now,
            reasons=reasons,
            open=not closed and len(written) <= LONGEST_CELL,
            kept=kept,
        )
