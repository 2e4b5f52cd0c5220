"""Plain XML of rows: one element a row, its fields are child elements or attributes named as the field or its header."""

from adapters.formats.packed_rows import TEXT, Budget, PackedSheet
from adapters.formats.unreadable import Limits, unreadable

_MOST_FIELDS = 1_000
_ROW_DEPTH, _FIELD_DEPTH = 2, 3


class RecordReader:
    """``sheet_row`` is the number of the row element; the header row of the names seen is row 0."""

    format = "xml"

    def __init__(self, limits: Limits) -> None:
        self._budget = Budget(limits)
        self._sheet = PackedSheet("")
        self._packer = self._sheet.packer(self._budget)
        self._columns: dict[str, int] = {}
        self._row: dict[str, str] = {}
        self._text = ""
        self._number = 0

    def start(self, path: list[str], attributes: dict[str, str]) -> None:
        if len(path) == _ROW_DEPTH:
            self._number += 1
            self._row = {}
            for name, value in attributes.items():
                self._put(name, value)
        elif len(path) == _FIELD_DEPTH:
            self._text = ""
        elif len(path) > _FIELD_DEPTH:
            raise unreadable("xml_nested", line=self._number)

    def take(self, path: list[str], text: str) -> None:
        if len(path) == _FIELD_DEPTH:
            self._text = text.strip()

    def end(self, path: list[str]) -> None:
        if len(path) == _FIELD_DEPTH:
            self._put(path[-1], self._text)
        elif len(path) == _ROW_DEPTH and self._row:
            texts: list[str | None] = [None] * len(self._columns)
            for name, value in self._row.items():
                texts[self._columns[name]] = value or None
            self._packer.add(self._number, texts, [TEXT] * len(texts))

    def finished(self) -> list[PackedSheet]:
        if not self._columns:
            return []
        self._packer.flush()
        header = self._sheet.packer(self._budget)
        header.add(0, list(self._columns), [TEXT] * len(self._columns))
        header.flush()
        self._sheet.batches.insert(0, self._sheet.batches.pop())
        return [self._sheet]

    def _put(self, name: str, value: str) -> None:
        """A field twice in one row could mean either; the file is refused rather than one of them lost."""
        if name in self._row:
            raise unreadable("xml_repeated", line=self._number)
        self._row[name] = value
        if name not in self._columns and len(self._columns) == _MOST_FIELDS:
            raise unreadable("columns", columns=_MOST_FIELDS + 1)
        self._columns.setdefault(name, len(self._columns))
