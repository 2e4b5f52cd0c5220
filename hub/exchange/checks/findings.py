"""Gathers what was found in a batch, and writes it down as row errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import polars as pl

from hub.exchange.checks.context import CheckContext, Column
from mappings.fields.reading import NOTHING_FOUND

CHANGE_KIND_TITLE = "变动标识"
LONGEST_VALUE = 500
DETAIL_NAMES = {
    "E_ID_LENGTH": "found",
    "N_ID_OTHER_DOCUMENT": "found",
    "W_AGE": "found",
    "E_TEXT_TOO_LONG": "limit",
    "E_AREA_AMBIGUOUS": "count",
    "E_DATE_ORDER": "other",
}  # the name under which a sentence asks for the detail; "expected" for all others

ERRORS = pl.Schema(
    {
        "row_no": pl.Int32,
        "error_no": pl.Int32,
        "sheet": pl.String,
        "sheet_row": pl.Int32,
        "column_letter": pl.String,
        "header": pl.String,
        "field": pl.String,
        "code": pl.String,
        "level": pl.String,
        "value": pl.String,
        "params": pl.String,
    }
)
NO_ERRORS = pl.DataFrame(schema=ERRORS)


class Findings:
    """What was found so far in one batch, by field."""

    def __init__(self, context: CheckContext) -> None:
        self._context = context
        self._found: dict[str, list[pl.DataFrame]] = {}

    def add(self, field: str, found: pl.DataFrame) -> None:
        """Rows of row, code, detail."""
        if found.height:
            self._found.setdefault(field, []).append(found)

    def mark(self, field: str, code: str, rows: pl.Series, detail: str | None = None) -> None:
        """The same code for all rows where the mask is true; null is not."""
        if rows.any():
            places = rows.fill_null(False).arg_true().cast(pl.UInt32)
            words = [pl.lit(code).alias("code"), pl.lit(detail, dtype=pl.String).alias("detail")]
            self.add(field, pl.DataFrame({"row": places}).with_columns(words))

    def of(self, field: str) -> pl.DataFrame:
        found = self._found.get(field, [NOTHING_FOUND])
        return found[0] if len(found) == 1 else pl.concat(found)

    def replace(self, field: str, found: pl.DataFrame) -> None:
        self._found[field] = [found]

    def unreadable(self, field: str, height: int) -> pl.Series:
        """Rows whose cell is already refused or held: nothing more is asked of it."""
        return self._rows([self.of(field)], ("error", "hold"), height)

    def refused(self, height: int) -> pl.Series:
        return self._rows(self._all(), ("error",), height)

    def held(self, height: int) -> pl.Series:
        held = self._rows(self._all(), ("hold",), height)
        return held & ~self.refused(height) if held.any() else held

    def _all(self) -> list[pl.DataFrame]:
        return [found for each in self._found.values() for found in each]

    def _rows(self, found: Iterable[pl.DataFrame], levels: Sequence[str], height: int) -> pl.Series:
        mask = pl.Series([False]).new_from_index(0, height)
        for each in found:
            codes = [code for code in each["code"].unique() if self._context.level(code) in levels]
            if codes:
                mask = mask.scatter(each.filter(pl.col("code").is_in(codes))["row"], True)
        return mask

    def as_errors(self, batch: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
        """One row an error, numbered within its row in the order of the fields."""
        if not any(each.height for each in self._all()):
            return NO_ERRORS
        order = {name: place for place, name in enumerate(["change_kind", *self._context.record_type.by_name])}
        fields = sorted(self._found, key=lambda name: order.get(name, 0))
        written = [self._written(batch, name, self.of(name)) for name in fields]
        errors = _placed(pl.concat(written), columns).sort("row_no", maintain_order=True)
        number = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("row_no")
        return errors.with_columns(error_no=number).select(ERRORS.names()).cast(ERRORS)

    def _written(self, batch: pl.DataFrame, name: str, found: pl.DataFrame) -> pl.DataFrame:
        """The errors of one field; of a clinical one neither the value nor anything derived from it."""
        field = self._context.record_type.by_name.get(name)
        clinical = field is not None and field.clinical
        title = field.title if field else CHANGE_KIND_TITLE
        rows = batch.select("row_no", "sheet", "sheet_row")[found["row"]]
        sent = batch[name].gather(found["row"]) if name in batch.columns and not clinical else None
        if clinical:
            found = found.with_columns(detail=pl.lit(None, dtype=pl.String))
        levels = {code: self._context.level(code) for code in found["code"].unique()}
        return rows.with_columns(
            found["code"],
            _params(found, title),
            field=pl.lit(name),
            level=found["code"].replace_strict(levels, return_dtype=pl.String),
            value=pl.lit(None, dtype=pl.String) if sent is None else _storable(sent),
        )


def _params(found: pl.DataFrame, title: str) -> pl.Series:
    """JSON: the field's title, and the detail under the name its sentence uses."""
    whole = {"field": title}
    plain = json.dumps(whole, ensure_ascii=False)
    if found["detail"].null_count() == found.height:
        return pl.repeat(plain, found.height, dtype=pl.String, eager=True).alias("params")
    texts = {
        (code, detail): json.dumps(
            whole | ({DETAIL_NAMES.get(code, "expected"): detail} if detail else {}), ensure_ascii=False
        )
        for code, detail in found.select("code", "detail").unique().iter_rows()
    }
    pairs = zip(found["code"], found["detail"], strict=True)
    return pl.Series("params", [texts[pair] for pair in pairs], dtype=pl.String)


def _storable(sent: pl.Series) -> pl.Series:
    """As sent, but no longer than a cell may be shown, and without what PostgreSQL cannot keep."""
    return sent.str.replace_all("\x00", "", literal=True).str.slice(0, LONGEST_VALUE)


def _placed(errors: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """With the letter and header of the field's column on its sheet."""
    schema = {"sheet": pl.String, "field": pl.String, "column_letter": pl.String, "header": pl.String}
    rows = [(each.sheet, each.field, each.letter, each.header) for each in columns]
    places = pl.DataFrame(rows, schema=schema, orient="row").unique(
        ["sheet", "field"], keep="first", maintain_order=True
    )
    return errors.join(places, on=["sheet", "field"], how="left", nulls_equal=True, maintain_order="left").with_columns(
        pl.col("column_letter", "header").fill_null("")
    )
