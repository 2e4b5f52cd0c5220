"""Row errors as the error page shows them: where in the sheet, the value (masked), what is wrong, how to fix it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from admin.language import Language, titled
from hub.exchange.file_notes import file_notes
from hub.exchange.row_errors import explain, masked_facts
from hub.registry.masking import View, mask_field, mask_within
from mappings.catalogue import Catalogue, RecordType


class ErrorLine(msgspec.Struct, frozen=True, kw_only=True):
    """One row error, ready to be shown."""

    sheet: str
    row: int
    column: str
    header: str
    value: str
    level: str
    code: str
    title: str
    message: str
    fix: str
    row_no: int = 0  # its number in the submission
    place: str = ""  # row and error number, where the value may be asked for with a reason


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason and how many rows have it."""

    code: str
    level: str
    title: str
    how_many: int


def show_errors(
    rows: Sequence[Row[Any]], catalogue: Catalogue, record_type: RecordType, language: Language, *, own: bool
) -> list[ErrorLine]:
    """The sender sees its values with numbers and addresses masked; anyone else only their first character."""
    return [_show_error(row, catalogue, record_type, language, "own" if own else "oversight") for row in rows]


def show_reasons(counts: Sequence[Row[Any]], catalogue: Catalogue, language: Language) -> list[Reason]:
    return [
        Reason(code=row.code, level=row.level, title=_title(catalogue, row.code, language), how_many=row.how_many)
        for row in counts
    ]


def show_refusal(refusal: Mapping[str, Any], catalogue: Catalogue, language: Language) -> ErrorLine:
    """Why a whole file was refused."""
    params = masked_facts(refusal.get("params", {}))
    told = explain(catalogue, refusal["code"], params, language)
    return ErrorLine(
        sheet=str(params.get("sheet", "")),
        row=0,
        column="",
        header="",
        value="",
        level="error",
        code=refusal["code"],
        title=_title(catalogue, refusal["code"], language),
        message=told.message,
        fix=told.fix,
    )


def show_notes(facts: Mapping[str, Any], catalogue: Catalogue, language: Language) -> list[ErrorLine]:
    """What was noticed of the file as a whole: columns not taken, sheets not read, totals that differ."""
    return [
        show_refusal({"code": code, "params": params}, catalogue, language) for code, _, params in file_notes(facts)
    ]


def _show_error(
    row: Row[Any], catalogue: Catalogue, record_type: RecordType, language: Language, view: View
) -> ErrorLine:
    field = record_type.by_name.get(row.field)
    shown = mask_field(row.value, field, view)
    facts = {"value": row.value, "field": row.header or row.field, "header": row.header, **row.params}
    told = explain(catalogue, row.code, masked_facts(facts, field, view), language)
    return ErrorLine(
        sheet=mask_within(row.sheet),
        row=row.sheet_row,
        column=row.column_letter,
        header=mask_within(row.header),
        value=shown,
        level=row.level,
        code=row.code,
        title=_title(catalogue, row.code, language),
        message=told.message,
        fix=told.fix,
        row_no=row.row_no,
        place=f"{row.row_no}/{row.error_no}" if view == "own" and shown != (row.value or "") else "",
    )


def _title(catalogue: Catalogue, code: str, language: Language) -> str:
    kind = catalogue.row_errors[code]
    return titled(kind.title, kind.title_en, language)
