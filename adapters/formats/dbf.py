"""dBASE and FoxPro tables (.dbf): the header is judged before it is believed, every record is read or counted as deleted."""

import datetime
import struct
from collections.abc import Iterator
from typing import BinaryIO

from dbfread import DBF, FieldParser
from dbfread.dbf import DBFField

from adapters.formats import wire
from adapters.formats.dbf_header import Head, judge_header
from adapters.formats.encodings import MOVED
from adapters.formats.packed_rows import BOOLEAN, DATE, NO_VALUE, NUMBER, TEXT, Budget, RowPacker
from adapters.formats.unreadable import Limits, UnreadableFile, unreadable

_MEMO_TYPES = frozenset("MGP")
_DELETED, _END = b"*", b"\x1a"
_BIG5 = 0x78
_SAMPLE = 4 << 20
_SURE_CHARACTERS = 4

Shown = tuple[str | None, int]  # text, kind


def send_dbf(file: BinaryIO, path: str, pipe: BinaryIO, limits: Limits) -> None:
    """``path`` names the same bytes as ``file``, for the library. ``sheet_row`` is the record's number; names are row 0."""
    head = judge_header(file)
    table = _opened(path, _encoding(file, head))
    columns = _columns(table.fields, head)
    memos = [field.name for field, _ in columns if _is_memo(field)]
    facts: dict[str, object] = {"memo_columns": memos} if memos else {}
    wire.send(pipe, wire.SheetOpens("", False, "dbf", table.encoding, 1, facts))
    packer = RowPacker(lambda batch: wire.send(pipe, wire.BatchOfRows(columns=True), batch), Budget(limits))
    packer.add(0, [field.name for field, _ in columns], [TEXT] * len(columns))
    deleted = 0
    parser = CellParser(table)
    for number, record in enumerate(_records(file, head), 1):
        if record.startswith(_DELETED):
            deleted += 1
            continue
        cells = [parser.shown(field, record[at : at + field.length]) for field, at in columns]
        packer.add(number, [text for text, _ in cells], [kind for _, kind in cells])
    packer.flush()
    wire.send(pipe, wire.SheetEnds({"deleted_rows": deleted, "encoding": table.encoding}))


class CellParser(FieldParser):  # type: ignore[misc]
    """Values as they would be typed; what cannot be read stays the text it is, for the check to judge."""

    def shown(self, field: DBFField, raw: bytes) -> Shown:
        if field.type in "NF":
            return _typed_number(raw)
        if _is_memo(field):
            return None, TEXT
        try:
            return _as_shown(self.parse(field, raw))
        except (ValueError, struct.error, OverflowError):
            return self.decode_text(raw.strip(b"\0 ")) or None, TEXT


def _opened(path: str, encoding: str) -> DBF:
    try:
        return DBF(
            path, encoding=encoding, ignorecase=False, parserclass=CellParser,
            ignore_missing_memofile=True, char_decode_errors="replace",
        )  # fmt: skip
    except (ValueError, struct.error, LookupError, TypeError):
        raise unreadable("dbf_header") from None


def _encoding(file: BinaryIO, head: Head) -> str:
    """Chinese writers leave the language byte empty or wrong; GB18030 unless the text is plainly UTF-8 or says Big5."""
    file.seek(head.length)
    sample = file.read(_SAMPLE)
    if head.language == _BIG5:
        return "cp950"
    try:
        text = sample.decode("utf-8")
    except UnicodeDecodeError as fault:
        if fault.start < len(sample) - 4 or len(sample) < _SAMPLE:
            return "gb18030"
        text = sample[: fault.start].decode("utf-8")
    chinese = sum("\u3000" <= character <= "\u9fff" for character in text)
    return "utf-8" if chinese >= _SURE_CHARACTERS else "gb18030"


def _columns(fields: list[DBFField], head: Head) -> list[tuple[DBFField, int]]:
    """Each field with its place in a record; FoxPro's column of null flags is none of the sender's."""
    columns, at = [], 1
    for field in fields:
        if field.type != "0":
            columns.append((field, at))
        at += field.length
    if at > head.record_length or not columns or not all(field.length for field, _ in columns):
        raise unreadable("dbf_header")
    return columns


def _records(file: BinaryIO, head: Head) -> Iterator[bytes]:
    """As many as the header says. The end mark must stand behind the last of them, else two counts disagree."""
    file.seek(head.length)
    for number in range(head.records):
        record = file.read(head.record_length)
        if len(record) < head.record_length or record.startswith(_END):
            raise UnreadableFile("F_ROW_COUNT", sheet="", counted=head.records, read=number)
        yield record
    if len(rest := file.read(head.record_length)) == head.record_length and rest[:1] in (b" ", _DELETED):
        raise UnreadableFile("F_ROW_COUNT", sheet="", counted=head.records + 1, read=head.records)


def _is_memo(field: DBFField) -> bool:
    """Its text stands in another file, which is not sent."""
    return field.type in _MEMO_TYPES or (field.type == "B" and field.length != 8)


def _typed_number(raw: bytes) -> Shown:
    text = raw.strip(b" \0").decode("ascii", "replace")
    if set(text) == {"*"}:  # the number did not fit its column
        return text, NO_VALUE
    whole, _, rest = text.partition(".")
    return (whole if rest.strip("0") == "" else text) or None, NUMBER


def _as_shown(value: object) -> Shown:
    if value is None or value == "":
        return None, TEXT
    if isinstance(value, bool):
        return "true" if value else "false", BOOLEAN
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "seconds") if value.time() != datetime.time() else value.date().isoformat(), DATE
    if isinstance(value, datetime.date):
        return value.isoformat(), DATE
    if isinstance(value, str):
        return value.translate(MOVED), TEXT
    return (None, TEXT) if isinstance(value, bytes) else (str(value), NUMBER)
