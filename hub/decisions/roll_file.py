"""A roll is read as the line reads a file, by the same parse and the same check, and nothing of it is staged.

Rows that say what stands already were checked when it came: they are told apart first, and only the others checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from adapters.formats.sandbox import Limits
from hub.casework.roll_findings import ERRORS, Finding
from hub.casework.rolls import PLACE, ROLL, Register, numbers_now
from hub.decisions.roll_standing import STANDING, standing_rows
from hub.exchange.check import CheckContext, CheckedBatch, check
from hub.exchange.parse import ParsedColumn, parse
from hub.exchange.pipeline import local_now
from hub.keyring import Keyring
from hub.registry.areas import AreaIndex
from hub.settings import Settings
from mappings.catalogue import Catalogue
from mappings.catalogue import Mapping as ColumnMapping

NOT_OURS = "not_ours"  # people of another town; no error of the line, which takes them from anybody
_NOT_OF_A_NUMBER = re.compile(r"[^0-9Xx]")
_SHOWN = ("name", "id_no", PLACE)  # of a row that cannot be read


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a roll is read with: whose it is, and which areas are theirs."""

    settings: Settings
    catalogue: Catalogue
    areas: AreaIndex
    mapping: ColumnMapping | None
    choices: Mapping[str, str]
    own_areas: frozenset[int]


class SentRoll(msgspec.Struct, frozen=True, kw_only=True):
    """The rows as they stand in the file, numbered from 1; None where there are none."""

    frame: pl.DataFrame | None
    columns: Sequence[ParsedColumn] = ()


class ReadRoll(msgspec.Struct, frozen=True, kw_only=True):
    """``rows``: row, sheet_row, area and the fields. ``unreadable``: lines of the list already.

    ``standing``: row_no of rows that say what stands, and ``its`` place in the register's ``living``; not in ``rows``.
    """

    rows: pl.DataFrame
    standing: pl.DataFrame
    received: int
    unreadable: list[Finding]
    numbers: pl.Series  # on rows that cannot be read

    @property
    def readable(self) -> int:
        return self.rows.height + self.standing.height


def read_sent(path: Path, reading: Reading) -> SentRoll:
    """FileRefused as the line refuses a file."""
    settings = reading.settings
    limits = Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )
    record_type = reading.catalogue.record_types[ROLL]
    parsed = parse(path, record_type, reading.mapping, reading.catalogue, limits, choices=reading.choices)
    frames = list(parsed.frames)
    return SentRoll(frame=pl.concat(frames, rechunk=True) if frames else None, columns=parsed.columns)


def check_roll(sent: SentRoll, reading: Reading, register: Register | None) -> ReadRoll:
    """A row with errors, or of another town's people, is told apart. No ``register``: every row is checked."""
    context = check_context(reading)
    frame, nothing = sent.frame, pl.DataFrame(schema=STANDING)
    if frame is None:
        return _read_roll([], nothing, 0, context)
    standing = standing_rows(frame, register, context) if register else nothing
    checked = [_checked(_but(frame, standing), sent.columns, reading, context)]
    if register and standing.height and checked[0].rows.height:
        again = _named_again(standing, checked[0].rows, register)
        if again.any():
            named, standing = standing.filter(again), standing.filter(~again)
            rows = frame.filter(pl.col("row_no").is_in(named["row_no"].implode()))
            checked.append(_checked(rows, sent.columns, reading, context))
    return _read_roll(checked, standing, frame.height, context)


class _Checked(msgspec.Struct, frozen=True):
    rows: pl.DataFrame
    bad: list[tuple[int, Finding]]  # by row


def _checked(frame: pl.DataFrame, columns: Sequence[ParsedColumn], reading: Reading, context: CheckContext) -> _Checked:
    good, bad = [_no_rows(context)], []
    for batch in check([frame], columns, context):
        rows = _with_area(batch.staged, context)
        ours = pl.col("area").is_null() & pl.col(PLACE).is_null() | pl.col("area").is_in(sorted(reading.own_areas))
        good.append(rows.filter(ours.fill_null(False)))
        bad += [*_refused(batch, frame, context), *_not_ours(rows.filter(~ours.fill_null(False)))]
    return _Checked(pl.concat(good), bad)


def _but(frame: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Every row of the file but those; rows are numbered from 1."""
    rest = pl.Series([True]).new_from_index(0, frame.height).scatter(standing["row_no"] - 1, False)
    return frame.filter(rest) if standing.height else frame


def _named_again(standing: pl.DataFrame, rows: pl.DataFrame, register: Register) -> pl.Series:
    """Rows whose person another row names too, in another way of writing: then neither goes without a look."""
    numbers = numbers_now(rows.select("id_no"), register.replaced)["id_no"]
    return register.living["id_no"].gather(standing["its"]).is_in(numbers.implode())


def _read_roll(checked: Sequence[_Checked], standing: pl.DataFrame, received: int, context: CheckContext) -> ReadRoll:
    """In the order of the file."""
    rows = pl.concat([_no_rows(context), *(one.rows for one in checked)]).sort("row")
    bad = [finding for _, finding in sorted((pair for one in checked for pair in one.bad), key=lambda pair: pair[0])]
    numbers = pl.Series([_NOT_OF_A_NUMBER.sub("", one.number).upper() for one in bad], dtype=pl.String)
    return ReadRoll(
        rows=rows, standing=standing, received=received, unreadable=bad, numbers=numbers.filter(numbers != "")
    )


def check_context(reading: Reading) -> CheckContext:
    """The line's own, but that nothing gets a number of its own here: nothing is staged."""
    keyring = Keyring.load(reading.settings.home)
    return CheckContext(
        record_type=reading.catalogue.record_types[ROLL],
        mapping=reading.mapping,
        catalogue=reading.catalogue,
        areas=reading.areas,
        today=local_now(reading.settings).date(),
        fictitious_prefixes=reading.settings.fictitious_prefixes,
        digest_key=keyring.digest_key,
        seal=keyring.seal,
        new_uuids=lambda many: [""] * many,
    )


def _with_area(staged: pl.DataFrame, context: CheckContext) -> pl.DataFrame:
    """Only rows that stand, and the village as the area it is now."""
    standing = staged.filter(pl.col("change_kind") != "void")
    area = context.area_table.ids_of(standing[PLACE].cast(pl.String)).alias("area")
    fields = [
        pl.col(field.name).dt.strftime("%Y-%m-%d") if field.type == "date" else pl.col(field.name).cast(pl.String)
        for field in context.record_type.plain_fields
    ]
    return standing.select(pl.col("row_no").alias("row"), "sheet_row", area, *fields)


def _no_rows(context: CheckContext) -> pl.DataFrame:
    fields = {field.name: pl.String for field in context.record_type.plain_fields}
    return pl.DataFrame(schema={"row": pl.Int32, "sheet_row": pl.Int32, "area": pl.Int32, **fields})


def _refused(batch: CheckedBatch, sent: pl.DataFrame, context: CheckContext) -> Iterator[tuple[int, Finding]]:
    """One line a row, with every error of it."""
    if not batch.refused:
        return
    wrong: dict[int, list[Any]] = {}
    refusing = batch.errors.filter(pl.col("level") == "error")
    for row, code, field, value, params in refusing.select("row_no", "code", "field", "value", "params").iter_rows():
        wrong.setdefault(row, []).append([code, field, value or "", params])
    shown = [name for name in _SHOWN if name in sent.columns]
    rows = sent.filter(pl.col("row_no").is_in(list(wrong))).select("row_no", "sheet_row", *shown)
    for row, sheet_row, *cells in rows.iter_rows():
        told: dict[str, list[Any]] = {name: [str(cell or ""), "", ""] for name, cell in zip(shown, cells, strict=True)}
        yield row, Finding(kind="unreadable", told={**told, ERRORS: wrong[row]}, sheet_row=sheet_row)


def _not_ours(rows: pl.DataFrame) -> Iterator[tuple[int, Finding]]:
    """People of another town have no place on this one's roll: the register is not asked for them."""
    for row in rows.select("row", "sheet_row", *_SHOWN).iter_rows(named=True):
        told: dict[str, list[Any]] = {name: [str(row[name] or ""), "", ""] for name in _SHOWN}
        wrong = [[NOT_OURS, PLACE, row[PLACE], "{}"]]
        yield row["row"], Finding(kind="unreadable", told={**told, ERRORS: wrong}, sheet_row=row["sheet_row"])
