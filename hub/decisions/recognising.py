"""What an uploaded file is, by what stands in it: the hub's own marks, else the one record type that has its columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import polars as pl
from sqlalchemy import Connection, select

from adapters.formats.sandbox import Limits, RawSheet, UnreadableFile, read_raw
from hub.errors import BadRequest
from hub.exchange.header_choices import load_choices
from hub.exchange.layout import Cells, find_layout, vocabulary_of
from hub.exchange.marks import read_row_mark, read_template_mark
from hub.exchange.receipt_number import read_receipt_number
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import Scope
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue, RecordType

_TOP = 40  # rows of a sheet in which titles and header stand


class NotRecognised(BadRequest):
    """认不出这份文件是哪一类，请选择信息类别后再上传。 This file's record type is not plain: choose it, then send again."""

    problem, status = "not-recognised", 422


class LockedUnknown(NotRecognised):
    """文件设了打开密码，认不出是哪一类：请选择信息类别后再上传，随后输入密码。 The file has a password: choose its record type."""


class Recognised(msgspec.Struct, frozen=True, kw_only=True):
    """A record type; and the month, where a returned workbook brings its own."""

    record_type: str
    period: str | None = None


def recognise(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    file: Path,
    types: Sequence[RecordType],
) -> Recognised:
    """What the file is, of the types its sender may send; NotRecognised where two are equally likely, or none is."""
    require(actor, Right.SUBMIT)
    tops = _tops(file, settings)
    known = {one.code: one for one in types}
    for mark in _marks(tops):
        marked = _by_mark(connection, actor, mark)
        if marked is not None and marked.record_type in known:
            return marked
    fitting = _by_columns(connection, catalogue, actor, types, tops)
    best = max(fitting.values(), default=0)
    likely = [code for code, fields in fitting.items() if fields == best]
    if len(likely) != 1:
        raise NotRecognised()
    return Recognised(record_type=likely[0])


def _tops(file: Path, settings: Settings) -> list[list[Cells]]:
    """The first rows of every visible sheet."""
    limits = Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )
    try:
        with closing(read_raw(file, limits)) as sheets:
            return list(_visible_tops(sheets))
    except UnreadableFile as unreadable:
        raise (LockedUnknown() if unreadable.code == "F_PASSWORD" else NotRecognised()) from unreadable


def _visible_tops(sheets: Iterable[RawSheet]) -> Iterator[list[Cells]]:
    """Of a file of one sheet no more is read than its top."""
    for raw in sheets:
        if not raw.hidden:
            yield _top(raw)
            if raw.visible_sheets <= 1:
                return


def _top(raw: RawSheet) -> list[Cells]:
    first = next(raw.batches, None)
    if first is None:
        return []
    texts: pl.DataFrame = first.head(_TOP).select(name for name in first.columns if name.startswith("c"))
    return list(texts.rows())


def _marks(tops: Sequence[Sequence[Cells]]) -> Iterator[str]:
    return (cell for rows in tops for row in rows for cell in row if cell and "hub:" in cell.lower())


def _by_mark(connection: Connection, actor: Actor, mark: str) -> Recognised | None:
    """A returned workbook is of the type and month it was; a template of the type it was made for."""
    number = read_receipt_number(read_row_mark(mark) or "")
    if number is not None:
        its = submission.c
        own = select(its.record_type, its.period).where(its.receipt_number == number)
        row = connection.execute(own.where(Scope(actor=actor).row_errors(submission))).first()
        return Recognised(record_type=row.record_type, period=row.period) if row else None
    template = read_template_mark(mark)
    return Recognised(record_type=template.record_type) if template else None


def _by_columns(
    connection: Connection,
    catalogue: Catalogue,
    actor: Actor,
    types: Sequence[RecordType],
    tops: Sequence[Sequence[Cells]],
) -> Mapping[str, int]:
    """Record type -> how many of its columns the fullest sheet has, where none that it must have is missing."""
    found: dict[str, int] = {}
    for one in types:
        mapping = catalogue.mapping_for(actor.organisation, actor.kind, one.code)
        words = vocabulary_of(one, mapping, load_choices(connection, actor.organisation, one.code))
        layouts = [find_layout(rows, words) for rows in tops if rows]
        whole = [len(each.fields) for each in layouts if each.fields and set(words.required) <= each.fields]
        if whole:
            found[one.code] = max(whole)
    return found
