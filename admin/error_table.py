"""Row errors as the error page shows them: where in the sheet, the value (masked), what is wrong, how to fix it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from admin.language import Language, titled
from hub.exchange.row_errors import explain
from hub.registry.masking import mask_within
from mappings.catalogue import Catalogue


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


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason and how many rows have it."""

    code: str
    level: str
    title: str
    how_many: int


def show_errors(rows: Sequence[Row[Any]], catalogue: Catalogue, language: Language, *, own: bool) -> list[ErrorLine]:
    """The sender sees its values with identity numbers masked; anyone else only their first character."""
    return [_show_error(row, catalogue, language, own=own) for row in rows]


def show_reasons(counts: Sequence[Row[Any]], catalogue: Catalogue, language: Language) -> list[Reason]:
    return [
        Reason(code=row.code, level=row.level, title=_title(catalogue, row.code, language), how_many=row.how_many)
        for row in counts
    ]


def show_refusal(refusal: Mapping[str, Any], catalogue: Catalogue, language: Language) -> ErrorLine:
    """Why a whole file was refused."""
    params = {name: mask_within(str(value)) for name, value in refusal.get("params", {}).items()}
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


def _show_error(row: Row[Any], catalogue: Catalogue, language: Language, *, own: bool) -> ErrorLine:
    hide = mask_within if own else _hide
    params = {name: hide(value) if isinstance(value, str) else value for name, value in row.params.items()}
    shown = {"value": hide(row.value), "field": row.header or row.field, "header": row.header}
    told = explain(catalogue, row.code, {**shown, **params}, language)
    return ErrorLine(
        sheet=row.sheet or "",
        row=row.sheet_row,
        column=row.column_letter,
        header=row.header,
        value=hide(row.value),
        level=row.level,
        code=row.code,
        title=_title(catalogue, row.code, language),
        message=told.message,
        fix=told.fix,
    )


def _hide(value: str | None) -> str:
    """For who oversees: that there was a value, and how it begins."""
    return f"{value[:1]}***" if value else ""


def _title(catalogue: Catalogue, code: str, language: Language) -> str:
    kind = catalogue.row_errors[code]
    return titled(kind.title, kind.title_en, language)
