"""Markup becomes text: by what its bytes can be, and only in doubt by what it declares."""

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from adapters.formats.encodings import MOVED, guess_utf16
from adapters.formats.unreadable import UnreadableFile, unreadable

_CHUNK = 64 << 10
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_CHINESE = re.compile("[\u3000-\u9fff\uff00-\uffef]")
_SURE_CHARACTERS = 4


class MarkupText:
    """The file's text in chunks. ``encoding`` was proved over the whole file before the first of them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.encoding = self._find_encoding()

    def chunks(self) -> Iterator[str]:
        for chunk in self._decoded(self.encoding):
            if "\0" in chunk:
                raise unreadable("nul")
            yield chunk.translate(MOVED) if self.encoding == "gb18030" else chunk

    def _find_encoding(self) -> str:
        self._file.seek(0)
        head = self._file.read(8192)
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        if wide := guess_utf16(head):
            return wide
        if head.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        declared = _DECLARED.search(head)
        chinese = declared is not None and declared[1].lower().startswith(b"gb")
        return self._first_that_fits(chinese=chinese)

    def _first_that_fits(self, *, chinese: bool) -> str:
        """A few Chinese characters of GB18030 may happen to be sound UTF-8; many are not."""
        try:
            found = sum(len(_CHINESE.findall(chunk)) for chunk in self._decoded("utf-8"))
            return "gb18030" if chinese and found < _SURE_CHARACTERS else "utf-8"
        except UnreadableFile:
            for _ in self._decoded("gb18030"):
                pass
            return "gb18030"

    def _decoded(self, encoding: str) -> Iterator[str]:
        self._file.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)()
        line, raw = 1, b"start"
        while raw:
            raw = self._file.read(_CHUNK)
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as fault:
                at = line + raw[: fault.start].count(b"\n")
                raise UnreadableFile("F_ENCODING", line=at, tried=encoding) from None
            line += text.count("\n")
            yield text
