"""Rows of a roll that say, cell for cell, what the town's last roll says of that person: they need no check again.

What stands was checked when it came, and reads as itself. A cell written otherwise (a code's words, 1990年3月7日) is read
by the line's own reader, each different text once; codes and areas always are, for they are read by tables that change.
"""

from __future__ import annotations

import polars as pl

from hub.casework.rolls import LAST, PLACE, Register
from hub.exchange.check import CheckContext
from hub.exchange.checks.columns import read_columns
from hub.exchange.checks.findings import Findings
from hub.exchange.checks.raw_cells import DITTO
from mappings.catalogue import Field
from mappings.fields.reading import FILLED, TEXT, Cells

_BY_TABLE = ("area", "code")
STANDING = {"row_no": pl.Int32, "its": pl.UInt32}
_Said = tuple[pl.Series, pl.Series | None]  # a column's texts and, of a workbook, their kinds


def standing_rows(sent: pl.DataFrame, register: Register, context: CheckContext) -> pl.DataFrame:
    """``row_no`` of each such row, and ``its`` place in the register's ``living``; all of them found only once each.

    Of rows that lean on others ("as above") none is told apart; nor is a row that says what is to become of it.
    """
    pairs = _pairs(sent, register)
    same = _of_the_village(register.living, context).gather(pairs["its"])
    for field in context.record_type.plain_fields:
        known = register.living[f"{LAST}{field.name}"]
        if known.null_count() < len(known) or _is_said(sent, field, context):
            same &= _alike(field, _said(sent, field, pairs["at"], context), known.gather(pairs["its"]), context)
    found = pairs.filter(same).select(sent["row_no"].gather(pairs["at"].filter(same)), "its")
    return found.clear() if _leans_on_others(sent, found["row_no"], context) else found


def _pairs(sent: pl.DataFrame, register: Register) -> pl.DataFrame:
    """``at`` in the file and ``its``, by the number as it is written; of everybody who is on either side once."""
    if "id_no" not in sent.columns:
        return pl.DataFrame(schema={"at": pl.UInt32, "its": pl.UInt32})
    asked = sent.select("id_no").with_row_index("at").filter(_says_nothing_else(sent))
    living = register.living.select("id_no").with_row_index("its")
    pairs = asked.join(living, on="id_no", how="inner", maintain_order="left")
    old = register.replaced["id_no"]
    unsure = pl.col("id_no").is_in(old.implode()) if len(old) else pl.lit(False)
    once = _once(pairs["at"], sent.height) & _once(pairs["its"], living.height)
    found = pairs.filter(once & ~unsure).select("at", "its")
    its = register.living.select(~(pl.col("gone") | pl.col("doubtful"))).to_series()
    return found.filter(its.gather(found["its"]))


def _once(places: pl.Series, of: int) -> pl.Series:
    """Which places are named but once; of all of them that is told by counting."""
    named = pl.Series([False]).new_from_index(0, of).scatter(places, True)
    if named.sum() == len(places):
        return pl.Series([True]).new_from_index(0, len(places))
    return ~places.is_duplicated()


def _says_nothing_else(sent: pl.DataFrame) -> pl.Series:
    """Whether a row is a plain record: it gives its own village, and no kind of change."""
    plain = pl.lit(True)
    if "change_kind" in sent.columns:
        plain &= pl.col("change_kind").is_null()
    if "section" in sent.columns and PLACE in sent.columns:
        plain &= pl.col(PLACE).is_not_null() | pl.col("section").is_null()
    return sent.select(plain.alias("plain") & pl.col("id_no").is_not_null()).to_series()


def _of_the_village(living: pl.DataFrame, context: CheckContext) -> pl.Series:
    """The last roll's village is where their home is; its number is the one that is right."""
    area = context.area_table.ids_of(living[f"{LAST}{PLACE}"])
    numbered = living.select((pl.col(f"{LAST}id_no") == pl.col("id_no")).fill_null(False)).to_series()
    return numbered & (area == living["home"]).fill_null(False)


def _is_said(sent: pl.DataFrame, field: Field, context: CheckContext) -> bool:
    return field.name in sent.columns or bool(context.mapping and field.name in context.mapping.constants)


def _said(sent: pl.DataFrame, field: Field, at: pl.Series, context: CheckContext) -> _Said | None:
    """The cells of some rows. None: the file does not have the column."""
    if field.name in sent.columns:
        kinds = f"{field.name}__kind"
        its_kinds = sent[kinds].gather(at).fill_null(TEXT) % FILLED if kinds in sent.columns else None
        return sent[field.name].gather(at), its_kinds
    constant = context.mapping.constants.get(field.name) if context.mapping else None
    return None if constant is None else (pl.Series([constant]).new_from_index(0, len(at)), None)


def _alike(field: Field, said: _Said | None, known: pl.Series, context: CheckContext) -> pl.Series:
    """Where the cell says what is known; an empty one says nothing, which is known only where nothing is."""
    if said is None or said[0].null_count() == len(known):
        return known.is_null()
    texts, kinds = said
    same = texts.eq_missing(known)
    if kinds is not None:
        same &= texts.is_null() | (kinds == TEXT)
    if field.type in _BY_TABLE:
        return _read_alike(field, texts, kinds, known, context)
    if same.all():
        return same
    other = ~same
    rest = None if kinds is None else kinds.filter(other)
    read = _read_alike(field, texts.filter(other), rest, known.filter(other), context)
    return same.scatter(other.arg_true(), read)


def _read_alike(
    field: Field, texts: pl.Series, kinds: pl.Series | None, known: pl.Series, context: CheckContext
) -> pl.Series:
    """Each different cell is read once, by the reader of its column and alone."""
    cells = pl.DataFrame({"text": texts} if kinds is None else {"text": texts, "kind": kinds})
    different = cells.unique().filter(pl.col("text").is_not_null())
    read = _read_each(field, different, context)
    plain = read.filter((pl.col("text") == pl.col("value")).fill_null(False))
    if plain.height == read.height:
        return texts.eq_missing(known)
    found = cells.join(read, on=cells.columns, how="left", maintain_order="left")
    readable = found["readable"].fill_null(True)
    return readable & found["value"].eq_missing(known)


def _read_each(field: Field, cells: pl.DataFrame, context: CheckContext) -> pl.DataFrame:
    findings = Findings(context)
    sent = Cells(cells["text"], cells["kind"] if "kind" in cells.columns else None)
    values = read_columns(cells.select("text"), {field.name: sent}, context, findings)[field.name]
    written = values.dt.strftime("%Y-%m-%d") if field.type == "date" else values.cast(pl.String)
    return cells.with_columns(written.alias("value"), readable=~findings.unreadable(field.name, cells.height))


def _leans_on_others(sent: pl.DataFrame, standing: pl.Series, context: CheckContext) -> bool:
    """Whether a row that is to be checked takes a cell from a row above it, which must be there then."""
    names = [field.name for field in context.record_type.plain_fields if field.name in sent.columns]
    rest = sent.filter(~pl.col("row_no").is_in(standing.implode())) if len(standing) else sent
    return bool(rest.select(pl.any_horizontal(pl.col(names).is_in(DITTO)).any()).item())
