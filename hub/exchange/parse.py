"""A received file becomes frames of named text columns: header found, rows that are no records told apart and counted."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from collections.abc import Mapping as Map
from pathlib import Path

import msgspec
import polars as pl

from adapters.formats.sandbox import Limits, RawSheet, UnreadableFile, read_raw
from hub.casework.list_sheets import HIDDEN_FIELDS, is_of_another_type
from hub.exchange.file_refusals import Refusals
from hub.exchange.layout import (
    CHANGE_KIND,
    Cells,
    Layout,
    Vocabulary,
    find_layout,
    is_serial,
    letter,
    row_kind,
    section_name,
    stated_totals,
    vocabulary_of,
)
from hub.exchange.marks import HIDDEN_SHEET, read_template_mark
from hub.exchange.returned_rows import ReturnedRows
from mappings.catalogue import Catalogue, Mapping, RecordType

__all__ = ["Limits", "ParsedColumn", "ParsedFile", "parse"]

_TOP = 40  # rows of a sheet in which titles and header stand
_LISTED = 50  # row numbers kept of each kind of skipped row
_OURS = ("填表说明", "错误汇总")  # sheets of a template and of a returned workbook that hold no rows
_DAYS_1904 = 1462  # between the two epochs of serial dates


class ParsedColumn(msgspec.Struct, frozen=True):
    """A column of the sheet and the field it fills."""

    field: str
    header: str
    letter: str
    sheet: str


class ParsedFile(msgspec.Struct, kw_only=True):
    """``facts`` and, with several sheets, ``columns`` are complete when ``frames`` has been read to its end.

    A frame has ``row_no`` Int32 (1..N over the file, records only), ``sheet``, ``sheet_row`` Int32, ``section``, one
    String column a field (and ``<field>__kind`` UInt8 for workbooks), ``change_kind`` when the file has it. Every
    frame of a file has the same columns. ``frames`` raises FileRefused when the file turns out to be damaged.
    """

    columns: list[ParsedColumn]
    facts: dict[str, object]
    frames: Iterator[pl.DataFrame]


def parse(
    path: Path,
    record_type: RecordType,
    mapping: Mapping | None,
    catalogue: Catalogue,
    limits: Limits,
    *,
    choices: Map[str, str] | None = None,
    period: str | None = None,
) -> ParsedFile:
    """Read ``path`` as rows of ``record_type``. FileRefused carries ``code`` (F_...) and ``params``.

    ``choices``: what people said unknown headers mean, normalised header -> field. ``period``: the month the file was
    sent for, YYYY-MM. ColumnsUnconfirmed carries the question a person must answer before the file can be read.
    """
    reading = _Reading(record_type, mapping, catalogue, choices or {}, period)
    sheets = read_raw(path, limits)
    try:
        first = reading.first_sheet(sheets)
    except UnreadableFile as refusal:
        raise reading.refusals.refused(refusal.code, refusal.params) from refusal
    except BaseException:
        sheets.close()
        raise
    frames = reading.frames(first, sheets)
    return ParsedFile(columns=reading.columns, facts=reading.facts, frames=frames)


class _OpenSheet(msgspec.Struct):
    """A sheet whose header is known: its remaining batches, and what it takes to tell its rows apart."""

    raw: RawSheet
    layout: Layout
    top: pl.DataFrame  # the batch the header stands in
    header_cells: list[Cells]
    titles: set[str]
    serial: Cells
    section: str | None = None
    marks: frozenset[int] = frozenset()  # the hub's own columns: they tell nothing of a row
    numbering: int | None = None  # and the one that numbers the rows of a returned workbook
    since_subtotal: int = 0


class _Reading:
    """One file on its way from raw sheets to frames."""

    def __init__(
        self,
        record_type: RecordType,
        mapping: Mapping | None,
        catalogue: Catalogue,
        choices: Map[str, str],
        period: str | None,
    ) -> None:
        self.record_type, self.mapping, self.catalogue, self.period = record_type, mapping, catalogue, period
        self.vocabulary = vocabulary_of(record_type, mapping, choices)
        self.refusals = Refusals(record_type, mapping, catalogue, self.vocabulary)
        self.returned = ReturnedRows()
        self.columns: list[ParsedColumn] = []
        self.fields: list[str] = []
        self.skipped: dict[str, dict[str, object]] = {}
        self.total_differs: list[dict[str, object]] = []
        self.sheets: list[dict[str, object]] = []
        self.tops: list[tuple[str, list[Cells]]] = []  # of sheets without our header, to say what they look like
        self.row_no = 0
        self.facts: dict[str, object] = {
            "sheets": self.sheets, "skipped": self.skipped, "total_differs": self.total_differs,
            "hidden_sheets": [], "unread_sheets": [], "unknown_columns": [], "ignored_columns": [], "dropped_columns": [],
        }  # fmt: skip

    def first_sheet(self, sheets: Iterator[RawSheet]) -> _OpenSheet:
        for raw in sheets:
            self.facts.setdefault("format", raw.format)
            self.facts.setdefault("encoding", raw.encoding)
            opened = self._open(raw)
            if opened is not None:
                self._settle_fields(opened)
                return opened
        raise self.refusals.no_header(self.tops, [str(name) for name in _listed(self.facts, "hidden_sheets")])

    def frames(self, first: _OpenSheet, sheets: Generator[RawSheet]) -> Iterator[pl.DataFrame]:
        try:
            yield from self._records(first)
            for raw in sheets:
                opened = self._open(raw)
                if opened is not None:
                    yield from self._records(opened)
        except UnreadableFile as refusal:
            raise self.refusals.refused(refusal.code, refusal.params) from refusal
        finally:
            sheets.close()  # ends the child, also when the reader of the frames stops early
        self.facts["rows"] = self.row_no
        if self.returned.receipt_number is not None:
            self.facts |= {"returned_from": self.returned.receipt_number, "returned_rows": self.returned.ranges()}
        if not self.row_no:
            raise self.refusals.refused("F_NO_ROWS", {})

    def _open(self, raw: RawSheet) -> _OpenSheet | None:
        """None when the sheet is hidden or has no header of ours; both are told in the facts.

        The town's workbook is read once for each of its record types: the other types' sheets are nothing to tell.
        """
        anothers = raw.visible_sheets > 1 and is_of_another_type(raw.name, self.record_type.code)
        if raw.name == HIDDEN_SHEET or raw.name in _OURS or anothers:
            return None
        if raw.hidden:
            _append(self.facts, "hidden_sheets", raw.name)
            return None
        top = next(raw.batches, None)
        rows: list[Cells] = [row[1:] for row in _texts(top.head(_TOP)).rows()] if top is not None else []
        self._heed_template(rows)
        layout = find_layout(rows, self.vocabulary)
        if top is None or not self._complete(layout, raw, rows):
            self.tops.append((raw.name, rows))
            _append(self.facts, "unread_sheets", raw.name)
            return None
        self._tell(raw, layout, top)
        titles = {text for row in rows[: layout.header_rows[0]] for cell in row if cell and (text := cell.strip())}
        header_cells = [rows[at] for at in layout.header_rows]
        marks = frozenset(index for index, _ in layout.marks)
        after = _without(rows[layout.next_row], marks) if layout.next_row < len(rows) else []
        serial = after if is_serial([cell.strip() if cell else "" for cell in after]) else []
        numbering = self.returned.column(layout.marks)
        return _OpenSheet(raw, layout, top, header_cells, titles, serial, marks=marks, numbering=numbering)

    def _complete(self, layout: Layout, raw: RawSheet, rows: list[Cells]) -> bool:
        """The header has every required column. Half a header is a fault where nothing else explains it."""
        missing = [name for name in self.vocabulary.required if name not in layout.fields]
        if len(layout.fields) < min(2, len(self.record_type.fields)):
            return False
        if missing and raw.format == "json":  # every object says for itself what it lacks
            return self.refusals.closest_other([rows], len(layout.fields)) is None
        if missing and not self._meant(layout):
            return False
        if missing and self.refusals.closest_other([rows], len(layout.fields)) is None:
            raise self.refusals.missing_columns(missing, layout, raw.name)
        if not missing and layout.repeated:
            raise self.refusals.duplicate_header(layout, raw.name)
        return not missing

    def _heed_template(self, rows: list[Cells]) -> None:
        """A template says itself what it was made for."""
        marks = (read_template_mark(cell) for row in rows for cell in row if cell and "hub:" in cell.lower())
        mark = next((mark for mark in marks if mark is not None), None)
        if mark is None:
            return
        other = self.catalogue.record_types.get(mark.record_type)
        if other is not None and other.code != self.record_type.code:
            raise self.refusals.wrong_template(other)
        self.facts["template"] = msgspec.structs.asdict(mark)
        if mark.month and self.period and mark.month != self.period:
            self.facts["template_month"] = {"found": mark.month, "expected": self.period}

    def _meant(self, layout: Layout) -> bool:
        """Whether a header with columns missing is still plainly ours: it has most of its columns from us."""
        others = len(layout.unknown) + len(layout.lost) + len(layout.ignored)
        return len(layout.fields) >= 2 and len(layout.fields) >= others

    def _settle_fields(self, opened: _OpenSheet) -> None:
        """Every frame of the file has the same fields; other sheets may have columns that this one has not."""
        self.fields = [place.field for place in sorted(opened.layout.places, key=lambda place: place.index)]
        if opened.raw.visible_sheets > 1 and self.mapping is not None:
            self.fields += [rule.field for rule in self.mapping.columns if rule.field not in self.fields]

    # What is told

    def _tell(self, raw: RawSheet, layout: Layout, top: pl.DataFrame) -> None:
        first_row = [int(top["sheet_row"][at]) for at in layout.header_rows]
        self.sheets.append({"sheet": raw.name, "header_rows": first_row})
        self.columns += [
            ParsedColumn(place.field, place.header, letter(place.index), raw.name)
            for place in sorted(layout.places, key=lambda place: place.index)
        ]
        unknown = sorted(layout.unknown + layout.lost)
        for name, indexes in (("unknown", unknown), ("ignored", layout.ignored), ("dropped", layout.dropped)):
            for index in indexes:
                column = {"header": layout.headers[index], "letter": letter(index), "sheet": raw.name}
                if index in layout.unknown and (near := self.refusals.names.suggest(column["header"], layout.fields)):
                    column["perhaps"] = near[0].title
                _append(self.facts, f"{name}_columns", column)

    def _tell_end(self, opened: _OpenSheet, rows: int) -> None:
        raw = opened.raw
        self.sheets[-1] |= {"rows": rows, **{key: fact for key, fact in raw.facts.items() if key != "merged"}}
        hidden = raw.facts.get("hidden_columns")
        if isinstance(hidden, list):  # counted from 1; the hub's own are meant to be hidden
            meant = opened.marks | {place.index for place in opened.layout.places if place.field in HIDDEN_FIELDS}
            self.sheets[-1]["hidden_columns"] = [number for number in hidden if number - 1 not in meant]
        self.facts["encoding"] = raw.facts.get("encoding", raw.encoding)

    def _skip(self, kind: str, sheet: str, sheet_row: int) -> None:
        entry = self.skipped.setdefault(kind, {"count": 0, "rows": []})
        entry["count"] = int(str(entry["count"])) + 1
        rows = entry["rows"]
        assert isinstance(rows, list)
        if len(rows) < _LISTED:
            rows.append({"sheet": sheet, "row": sheet_row} if sheet else {"row": sheet_row})

    # Records

    def _records(self, opened: _OpenSheet) -> Iterator[pl.DataFrame]:
        before = self.row_no
        top = _texts(opened.top)
        for at, kind in _rows_above(opened):
            self._skip(kind, opened.raw.name, int(top["sheet_row"][at]))
        yield from self._frames_of(opened, opened.top.slice(opened.layout.next_row))
        for batch in opened.raw.batches:
            yield from self._frames_of(opened, batch)
        self._tell_end(opened, self.row_no - before)

    def _frames_of(self, opened: _OpenSheet, batch: pl.DataFrame) -> Iterator[pl.DataFrame]:
        suspicious = batch.select(_suspicion(opened, batch.columns, self.vocabulary)).to_series()
        section: pl.Expr = pl.lit(opened.section, dtype=pl.String)
        counted = batch.height
        if suspicious.any():
            batch, section = self._sieve(opened, batch, suspicious)
            counted = batch.height
        else:
            opened.since_subtotal += counted
        if counted:
            if opened.numbering is not None and f"c{opened.numbering}" in batch.columns:
                self.returned.add(batch[f"c{opened.numbering}"])
            yield self._named(opened, batch, section)
            self.row_no += counted

    def _sieve(self, opened: _OpenSheet, batch: pl.DataFrame, suspicious: pl.Series) -> tuple[pl.DataFrame, pl.Expr]:
        """Take the rows out that are no records; a section row's name is carried down."""
        at_rows = suspicious.arg_true().to_list()
        out: list[int] = []
        sections: dict[int, str] = {}
        counted_to = 0
        for at, row in zip(at_rows, _texts(batch).filter(suspicious).rows(), strict=True):
            cells = _without(row[1:], opened.marks)
            kind = row_kind(cells, opened.header_cells, opened.titles)
            if kind == "record":
                continue
            opened.since_subtotal += at - counted_to
            counted_to = at + 1
            if kind == "total":
                self._compare_total(opened, cells, int(row[0]), self.row_no + at - len(out))
            elif kind == "section":
                sections[at] = section_name(cells)
            out.append(at)
            self._skip(kind, opened.raw.name, int(row[0]))
        opened.since_subtotal += batch.height - counted_to
        carried = self._carry(opened, batch.height, sections)
        keep = ~pl.int_range(batch.height, eager=True).is_in(out)
        return batch.with_columns(carried).filter(keep), pl.col("section")

    def _carry(self, opened: _OpenSheet, height: int, sections: dict[int, str]) -> pl.Series:
        names: list[str | None] = [opened.section, *[None] * (height - 1)]
        for at, name in sections.items():
            names[at] = name
        carried = pl.Series("section", names, dtype=pl.String).fill_null(strategy="forward")
        opened.section = carried[-1]
        return carried

    def _compare_total(self, opened: _OpenSheet, cells: Cells, sheet_row: int, counted: int) -> None:
        """A total may speak of the rows since the last one, or of all; a sum of something else is among several."""
        stated = stated_totals(cells)
        possible = {counted, opened.since_subtotal}
        if stated and not possible & set(stated):
            differs = {
                "sheet": opened.raw.name,
                "row": sheet_row,
                "stated": stated[0],
                "counted": opened.since_subtotal,
            }
            self.total_differs.append(differs)
        opened.since_subtotal = 0

    def _named(self, opened: _OpenSheet, batch: pl.DataFrame, section: pl.Expr) -> pl.DataFrame:
        places = {place.field: place.index for place in opened.layout.places}
        height = batch.height
        columns = [
            pl.int_range(self.row_no + 1, self.row_no + 1 + height, dtype=pl.Int32).alias("row_no"),
            pl.lit(opened.raw.name, dtype=pl.String).alias("sheet"),
            pl.col("sheet_row"),
            section.alias("section"),
        ]
        with_kinds = "k0" in batch.columns or opened.raw.format not in ("csv", "json")
        for field in self.fields:
            columns += _field_columns(field, places.get(field), batch.columns, with_kinds=with_kinds)
        frame = batch.select(columns)
        return self._to_1900(frame) if opened.raw.facts.get("epoch_1904") else frame

    def _to_1900(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A bare serial number in a date column counts from 1904 in such a book; everyone else counts from 1900."""
        known = self.record_type.by_name
        dates = [name for name in self.fields if name in known and known[name].type in ("date", "datetime", "month")]
        for name in dates:
            serial = pl.col(name).cast(pl.Float64, strict=False)
            is_serial_date = (pl.col(f"{name}__kind") % 8 == 1) & serial.is_between(8_000, 60_000)
            moved = (serial + _DAYS_1904).cast(pl.Int64).cast(pl.String)
            frame = frame.with_columns(pl.when(is_serial_date).then(moved).otherwise(pl.col(name)).alias(name))
        return frame


def _suspicion(opened: _OpenSheet, columns: Sequence[str], vocabulary: Vocabulary) -> pl.Expr:
    """A cheap sign that a row may be no record; everything else is not looked at again."""
    present = set(columns)
    places = [place for place in opened.layout.places if f"c{place.index}" in present]
    names = [f"c{place.index}" for place in places]
    required = [f"c{place.index}" for place in places if place.field in vocabulary.required] or names[:1]
    filled = pl.sum_horizontal(pl.col(name).is_not_null() for name in names)
    sign = filled <= max(2, min(len(names) // 2, 4))
    sign |= pl.any_horizontal(pl.col(name).is_null() for name in required)
    sign |= pl.col(required[0]).str.strip_chars() == ""
    for cells in (*opened.header_cells, opened.serial):
        sign |= _equals_one_of(names, cells)
    return sign


def _equals_one_of(names: Sequence[str], cells: Cells) -> pl.Expr:
    """The first mapped column that the row ``cells`` fills has the same text."""
    for name in names:
        index = int(name[1:])
        if index < len(cells) and cells[index]:
            return pl.col(name) == cells[index]
    return pl.lit(False)


def _rows_above(opened: _OpenSheet) -> Iterator[tuple[int, str]]:
    """Rows over the header: titles and blank ones."""
    texts = _texts(opened.top.head(opened.layout.header_rows[0])).rows()
    for at, row in enumerate(texts):
        yield at, "title" if any(cell and cell.strip() for cell in row[1:]) else "blank"


def _field_columns(field: str, index: int | None, present: Sequence[str], *, with_kinds: bool) -> list[pl.Expr]:
    absent = index is None or f"c{index}" not in present
    text = pl.lit(None, dtype=pl.String) if absent else pl.col(f"c{index}")
    if not with_kinds or field == CHANGE_KIND:
        return [text.alias(field)]
    kind = pl.lit(0, dtype=pl.UInt8) if absent else pl.col(f"k{index}")
    return [text.alias(field), kind.alias(f"{field}__kind")]


def _without(cells: Cells, places: frozenset[int]) -> Cells:
    return [None if at in places else cell for at, cell in enumerate(cells)] if places else cells


def _texts(batch: pl.DataFrame) -> pl.DataFrame:
    return batch.select("sheet_row", *(name for name in batch.columns if name[0] == "c"))


def _append(facts: dict[str, object], key: str, value: object) -> None:
    _listed(facts, key).append(value)


def _listed(facts: dict[str, object], key: str) -> list[object]:
    listed = facts[key]
    assert isinstance(listed, list)
    return listed
