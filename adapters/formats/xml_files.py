"""XML is read as it streams by: a spreadsheet of 2003, or rows of named fields; a document type is refused."""

from typing import BinaryIO, Protocol
from xml.parsers import expat

from adapters.formats.markup_text import MarkupText
from adapters.formats.packed_rows import MAX_CELL, PackedSheet, send_sheets
from adapters.formats.unreadable import Limits, UnreadableFile, unreadable
from adapters.formats.xml_records import RecordReader
from adapters.formats.xml_spreadsheet import SpreadsheetReader
from adapters.formats.zip_preflight import unsafe

_DEEPEST = 64
_NOT_ROWS = frozenset({"html", "svg", "rss", "document", "package"})


class Reader(Protocol):
    """What makes sheets of elements; ``path`` are the local names of the open elements, the last one included.

    ``take`` gets the text between two tags, whole.
    """

    format: str

    def start(self, path: list[str], attributes: dict[str, str]) -> None: ...
    def take(self, path: list[str], text: str) -> None: ...
    def end(self, path: list[str]) -> None: ...
    def finished(self) -> list[PackedSheet]: ...


def send_xml(file: BinaryIO, pipe: BinaryIO, limits: Limits) -> None:
    source = MarkupText(file)
    elements = _Elements(limits)
    for chunk in source.chunks():
        elements.feed(chunk.encode("utf-8"), final=False)
    elements.feed(b"", final=True)
    reader = elements.reader
    sheets = reader.finished() if reader is not None else []
    if reader is None or not sheets:
        raise UnreadableFile("F_FORMAT_UNKNOWN", found="xml")
    send_sheets(sheets, pipe, reader.format, source.encoding)


class _Elements:
    """Elements by local name, and the text between them."""

    def __init__(self, limits: Limits) -> None:
        self.reader: Reader | None = None
        self._limits = limits
        self._path: list[str] = []
        self._text: list[str] = []
        self._length = 0
        self._parser = expat.ParserCreate("utf-8")  # whatever it declares: the text is ours by now
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def feed(self, chunk: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(chunk, final)
        except expat.ExpatError as error:
            raise unreadable("xml", line=error.lineno) from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._hand_over()
        self._path.append(_local(name))
        if len(self._path) > _DEEPEST:
            raise unreadable("xml_nested", line=self._parser.CurrentLineNumber)
        if self.reader is None:
            self.reader = self._reader_of(self._path[0])
        self.reader.start(self._path, {_local(key): value for key, value in attributes.items()})

    def _reader_of(self, root: str) -> Reader:
        if root.lower() in _NOT_ROWS:
            raise UnreadableFile("F_FORMAT_UNKNOWN", found=root.lower())
        return SpreadsheetReader(self._limits) if root == "Workbook" else RecordReader(self._limits)

    def _end(self, _: str) -> None:
        assert self.reader is not None
        self._hand_over()
        self.reader.end(self._path)
        self._path.pop()

    def _hand_over(self) -> None:
        if self._text and self.reader is not None:
            self.reader.take(self._path, "".join(self._text))
        self._text, self._length = [], 0

    def _characters(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_CELL:
            raise unreadable("cell_too_long", line=self._parser.CurrentLineNumber)
        self._text.append(text)


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _refuse_doctype(*_: object) -> None:
    raise unsafe("doctype")
