"""A roll is read as the line reads a file, by the same parse and the same check, and nothing of it is staged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from adapters.formats.sandbox import Limits
from hub.casework.roll_findings import ERRORS, Finding
from hub.casework.rolls import PLACE, ROLL
from hub.exchange.check import CheckContext, CheckedBatch, check
from hub.exchange.parse import parse
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


class ReadRoll(msgspec.Struct, frozen=True, kw_only=True):
    """``rows``: row, sheet_row, area, content_digest and the fields. ``unreadable``: lines of the list already."""

    rows: pl.DataFrame
    received: int
    unreadable: list[Finding]
    numbers: pl.Series  # on rows that cannot be read


def read_roll(path: Path, reading: Reading) -> ReadRoll:
    """FileRefused as the line refuses a file; a row with errors, or of another town's people, is told apart."""
    context = check_context(reading)
    record_type, settings = context.record_type, reading.settings
    limits = Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )
    parsed = parse(path, record_type, reading.mapping, reading.catalogue, limits, choices=reading.choices)
    sent: list[pl.DataFrame] = []  # the frame that is being checked: of a row with errors only this has the cells
    good, bad, received = [], [], 0
    for batch in check(_watched(parsed.frames, sent), parsed.columns, context):
        received += batch.received
        rows = _with_area(batch.staged, context)
        ours = pl.col("area").is_null() & pl.col(PLACE).is_null() | pl.col("area").is_in(sorted(reading.own_areas))
        good.append(rows.filter(ours.fill_null(False)))
        bad += [*_refused(batch, sent[-1], context), *_not_ours(rows.filter(~ours.fill_null(False)))]
    rows = pl.concat(good) if good else _no_rows(context)
    numbers = pl.Series([_NOT_OF_A_NUMBER.sub("", one.number).upper() for one in bad], dtype=pl.String)
    return ReadRoll(rows=rows, received=received, unreadable=bad, numbers=numbers.filter(numbers != ""))


def no_roll(reading: Reading) -> ReadRoll:
    """The roll of a place where nobody lives."""
    return ReadRoll(
        rows=_no_rows(check_context(reading)), received=0, unreadable=[], numbers=pl.Series([], dtype=pl.String)
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


def _watched(frames: Iterable[pl.DataFrame], sent: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    for frame in frames:
        sent[:] = [frame]
        yield frame


def _with_area(staged: pl.DataFrame, context: CheckContext) -> pl.DataFrame:
    """Only rows that stand, and the village as the area it is now."""
    standing = staged.filter(pl.col("change_kind") != "void")
    area = context.area_table.ids_of(standing[PLACE].cast(pl.String)).alias("area")
    fields = [
        pl.col(field.name).dt.strftime("%Y-%m-%d") if field.type == "date" else pl.col(field.name).cast(pl.String)
        for field in context.record_type.plain_fields
    ]
    return standing.select(pl.col("row_no").alias("row"), "sheet_row", area, "content_digest", *fields)


def _no_rows(context: CheckContext) -> pl.DataFrame:
    fields = {field.name: pl.String for field in context.record_type.plain_fields}
    return pl.DataFrame(
        schema={"row": pl.Int32, "sheet_row": pl.Int32, "area": pl.Int32, "content_digest": pl.String, **fields}
    )


def _refused(batch: CheckedBatch, sent: pl.DataFrame, context: CheckContext) -> Iterator[Finding]:
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
        yield Finding(kind="unreadable", told={**told, ERRORS: wrong[row]}, sheet_row=sheet_row)


def _not_ours(rows: pl.DataFrame) -> Iterator[Finding]:
    """People of another town have no place on this one's roll: the register is not asked for them."""
    for row in rows.select("sheet_row", *_SHOWN).iter_rows(named=True):
        told: dict[str, list[Any]] = {name: [str(row[name] or ""), "", ""] for name in _SHOWN}
        yield Finding(
            kind="unreadable", told={**told, ERRORS: [[NOT_OURS, PLACE, row[PLACE], "{}"]]}, sheet_row=row["sheet_row"]
        )
