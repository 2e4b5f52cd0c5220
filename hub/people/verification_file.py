"""A file of names and numbers goes in, a file of row numbers and answers comes out; neither is kept."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

import msgspec
import polars as pl
import xlsxwriter

from adapters.formats.sandbox import Limits, RawSheet, UnreadableFile, read_raw
from hub.errors import BadRequest, HubError
from hub.people.verification import Answer, Counts, Pairs, Verified
from hub.settings import Settings

AnswerFormat = Literal["xlsx", "csv"]
NAME_HEADERS = ("姓名",)
NUMBER_HEADERS = ("公民身份号码", "身份证号码", "身份证号", "身份号码")
ANSWERS: dict[Answer, str] = {"match": "一致", "mismatch": "不一致", "not_found": "查无此号"}
_HEADERS = ("行号", "核验结果")
_TOP = 20  # rows of a sheet in which the header stands
_EMPTY = pl.Series([], dtype=pl.String)


class MissingColumns(BadRequest):
    """表中须有“姓名”和“公民身份号码”两列。 The sheet needs the two columns 姓名 and 公民身份号码."""

    problem = "missing-columns"


class CannotRead(HubError):
    """文件无法读取，请另存为 xlsx 或 csv 后重试。 The file cannot be read: save it as xlsx or csv and try again."""

    status, problem, exit_code = 422, "cannot-read", 2


class ReadPairs(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, and the sheet's own row number of each."""

    pairs: Pairs
    sheet_rows: list[int]


def read_pairs(path: Path, settings: Settings) -> ReadPairs:
    """The first sheet that has both columns, read in the limited child; rows without name and number are no rows."""
    limits = Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )
    try:
        for sheet in read_raw(path, limits):
            found = None if sheet.hidden else _read_sheet(sheet)
            if found is not None:
                return _as_pairs(found)
    except UnreadableFile as wrong:
        raise CannotRead(wrong.code) from wrong
    raise MissingColumns()


def _read_sheet(sheet: RawSheet) -> list[pl.DataFrame] | None:
    """Batches with columns sheet_row, name, number and perhaps kind; None without the header."""
    first = next(sheet.batches, None)
    place = None if first is None else _find_header(first)
    if first is None or place is None:
        return None
    row, name, number = place
    batches = [first.slice(row + 1), *sheet.batches]
    return [_two_columns(batch, name, number) for batch in batches]


def _find_header(batch: pl.DataFrame) -> tuple[int, int, int] | None:
    """Row within the batch and the two columns, by the exact header once blanks and marks are gone."""
    columns = [name for name in batch.columns if name.startswith("c")]
    for row, cells in enumerate(batch.select(columns).head(_TOP).iter_rows()):
        headers = [_plain(cell) for cell in cells]
        name, number = _place(headers, NAME_HEADERS), _place(headers, NUMBER_HEADERS)
        if name is not None and number is not None:
            return row, name, number
    return None


def _plain(cell: str | None) -> str:
    return "".join(unicodedata.normalize("NFKC", cell or "").split()).strip("*:")


def _place(headers: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((headers.index(header) for header in wanted if header in headers), None)


def _two_columns(batch: pl.DataFrame, name: int, number: int) -> pl.DataFrame:
    texts = [
        _column(batch, f"c{place}", pl.String).alias(title) for place, title in ((name, "name"), (number, "number"))
    ]
    kinds = (
        [_column(batch, f"k{number}", pl.UInt8).alias("kind")] if any(c.startswith("k") for c in batch.columns) else []
    )
    return batch.select("sheet_row", *texts, *kinds)


def _column(batch: pl.DataFrame, name: str, kind: type[pl.DataType]) -> pl.Expr:
    """A batch may be narrower than the first."""
    return pl.col(name) if name in batch.columns else pl.lit(None, dtype=kind)


def _as_pairs(batches: list[pl.DataFrame]) -> ReadPairs:
    rows = pl.concat(batches, how="diagonal")
    said = pl.any_horizontal(pl.col(name).str.strip_chars().str.len_chars() > 0 for name in ("name", "number"))
    rows = rows.filter(said.fill_null(False))
    kinds = rows["kind"] if "kind" in rows.columns else None
    return ReadPairs(
        pairs=Pairs(names=rows["name"], numbers=rows["number"], kinds=kinds), sheet_rows=rows["sheet_row"].to_list()
    )


def write_answers(path: Path, format: AnswerFormat, sheet_rows: list[int], verified: Verified) -> None:
    """Row number and answer; a workbook has the counts on a second sheet."""
    (_write_workbook if format == "xlsx" else _write_lines)(path, sheet_rows, verified)


def answer_name(verified: Verified, format: AnswerFormat) -> str:
    """The counts are in the name already."""
    told = "_".join(f"{word}{count}" for word, count in _counted(verified.counts))
    return f"核验结果_{told}.{format}"


def _counted(counts: Counts) -> Iterator[tuple[str, int]]:
    for answer, word in ANSWERS.items():
        yield word, cast(int, getattr(counts, answer))


def _write_workbook(path: Path, sheet_rows: list[int], verified: Verified) -> None:
    with xlsxwriter.Workbook(str(path), {"constant_memory": True}) as book:
        sheet = book.add_worksheet("核验结果")
        sheet.write_row(0, 0, _HEADERS)
        for place, (row, answer) in enumerate(zip(sheet_rows, verified.answers, strict=True), 1):
            sheet.write_number(place, 0, row)
            sheet.write_string(place, 1, ANSWERS[answer])
        summary = book.add_worksheet("汇总")
        summary.write_row(0, 0, ("核验编号", str(verified.verification_id)))
        for place, (word, count) in enumerate(_counted(verified.counts), 1):
            summary.write_row(place, 0, (word, count))


def _write_lines(path: Path, sheet_rows: list[int], verified: Verified) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_HEADERS)
        writer.writerows((row, ANSWERS[answer]) for row, answer in zip(sheet_rows, verified.answers, strict=True))
