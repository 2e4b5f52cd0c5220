"""Takes a batch apart into columns of cells as sent, and fills in what 'same as above' stands for."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from hub.exchange.checks.context import CheckContext
from hub.exchange.checks.findings import Findings
from mappings.catalogue import Field
from mappings.fields.reading import FILLED, TEXT, Cells, nothing

DITTO = ["同上", "〃", "″", '"', "〞", "同上行", "''"]


@dataclass
class RowAbove:
    """The last cell of each column before this batch: sheet, text, kind."""

    cells: dict[str, tuple[str | None, str | None, int]] = field(default_factory=dict)


def take_apart(batch: pl.DataFrame, context: CheckContext, above: RowAbove, findings: Findings) -> dict[str, Cells]:
    """The cells of every field the file has, ditto marks filled in."""
    names = [each.name for each in context.record_type.fields]
    _mark_merged(batch, names, findings)
    columns = {name: cells for name in names if (cells := _cells(batch, name, context)) is not None}
    dittos = _dittos(batch, columns)
    return {name: _filled_down(batch, name, cells, dittos[name], above, findings) for name, cells in columns.items()}


def _mark_merged(batch: pl.DataFrame, names: list[str], findings: Findings) -> None:
    """A value of a merged cell stands in every row it covers; the rows below the first are told of it."""
    kinds = {f"{name}__kind": name for name in names if f"{name}__kind" in batch.columns}
    if kinds:
        merged = batch.select(pl.col(list(kinds)).fill_null(TEXT) >= FILLED)
        for column, name in kinds.items():
            findings.mark(name, "W_FILLED_DOWN", merged[column])


def _dittos(batch: pl.DataFrame, columns: dict[str, Cells]) -> dict[str, pl.Series]:
    """Which cells say "as above": of the file's columns together."""
    sent = [name for name in columns if name in batch.columns]
    marks = batch.select(pl.col(sent).is_in(DITTO).fill_null(False)).to_dict()
    return {name: marks[name] if name in marks else cells.text.is_in(DITTO) for name, cells in columns.items()}


def _cells(batch: pl.DataFrame, name: str, context: CheckContext) -> Cells | None:
    if name in batch.columns:
        kinds = f"{name}__kind"
        return Cells(batch[name], batch[kinds].fill_null(TEXT) % FILLED if kinds in batch.columns else None)
    constant = context.mapping.constants.get(name) if context.mapping else None
    return None if constant is None else Cells(pl.repeat(constant, batch.height, dtype=pl.String, eager=True))


def _filled_down(
    batch: pl.DataFrame, name: str, cells: Cells, ditto: pl.Series, above: RowAbove, findings: Findings
) -> Cells:
    if ditto.any():
        cells, nothing_above = _copied(batch["sheet"], cells, ditto, above.cells.get(name))
        findings.mark(name, "E_DITTO_FIRST_ROW", nothing_above)
        findings.mark(name, "W_FILLED_DOWN", ditto & ~nothing_above)
    last_kind = TEXT if cells.kinds is None else cells.kinds[-1]
    above.cells[name] = (batch["sheet"][-1], cells.text[-1], last_kind)
    return cells


def _copied(
    sheet: pl.Series, cells: Cells, ditto: pl.Series, before: tuple[str | None, str | None, int] | None
) -> tuple[Cells, pl.Series]:
    """The cells with each mark replaced by the nearest cell above it on the same sheet; and the marks without one."""
    kinds = pl.repeat(TEXT, len(sheet), dtype=pl.UInt8, eager=True) if cells.kinds is None else cells.kinds
    sheet_before, text_before, kind_before = before or (None, None, TEXT)
    rows = pl.DataFrame({"sheet": sheet, "text": cells.text, "kind": kinds, "ditto": ditto})
    first = pl.DataFrame([[sheet_before], [text_before], [kind_before], [False]], schema=rows.schema, orient="col")
    rows = pl.concat([first, rows]).with_columns(
        source=pl.when(~pl.col("ditto")).then(pl.int_range(pl.len())).forward_fill()
    )
    source = rows["source"]
    same_sheet = (rows["sheet"].gather(source) == rows["sheet"]).fill_null(False)
    lost = (rows["ditto"] & ~same_sheet)[1:]
    text = pl.when(~pl.col("ditto") | same_sheet).then(pl.col("text").gather("source"))
    copied = rows.select(text, pl.col("kind").gather("source"))
    return Cells(copied["text"][1:], None if cells.kinds is None else copied["kind"][1:]), lost


def fill_from_section(batch: pl.DataFrame, cells: dict[str, Cells], context: CheckContext) -> None:
    """Rows under a village's heading, with no village of their own, belong to that village."""
    role = next(iter(context.record_type.people), None)
    if "section" not in batch.columns or role is None or not role.area_fields:
        return
    section = _known_sections(batch["section"], context)
    if section.null_count() == batch.height:
        return
    name = role.area_fields[0]
    own = cells.get(name)
    if own is None:
        cells[name] = Cells(section)
        return
    text = own.text.zip_with(own.text.is_not_null(), section)
    kinds = None if own.kinds is None else own.kinds.zip_with(own.text.is_not_null(), own.kinds * 0)
    cells[name] = Cells(text, kinds)


def _known_sections(section: pl.Series, context: CheckContext) -> pl.Series:
    """Headings that name a place of the district; '一、本月迁入' does not."""
    if section.null_count() == len(section):
        return section
    known = [each for each in section.drop_nulls().unique() if context.area_table.place(each).code is None]
    return section.zip_with(section.is_in(known).fill_null(False), nothing(len(section)))


def beside(batch: pl.DataFrame, area_field: Field) -> pl.Series:
    """What stands beside an area cell and may name its town: the heading above, the address."""
    address = area_field.name.replace("_div", "_addr") if area_field.part else area_field.name.removesuffix("_div")
    columns = [name for name in ("section", address) if name in batch.columns and name != area_field.name]
    if not columns:
        return pl.repeat("", batch.height, dtype=pl.String, eager=True)
    return batch.select(pl.concat_str([pl.col(name).fill_null("") for name in columns]).alias("beside")).to_series()
