"""Text becomes UTF-8, by a ladder and never by a statistical guess: mark, UTF-16, strict UTF-8, strict GB18030, refusal."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from adapters.formats.unreadable import UnreadableFile, unreadable

BLOCK = 3 << 20
MAX_LINE = 1 << 20
_SURE_CHARACTERS = 4  # this many Chinese characters read as UTF-8 before the first fault: it is UTF-8, with a fault

# GB 18030-2022 moved these out of the private use area; Python's codec is still the mapping of 2000.
MOVED = dict(zip(
    [*range(0xE78D, 0xE797), 0xE81E, 0xE826, 0xE82B, 0xE82C, 0xE832, 0xE843, 0xE854, 0xE864, 0xE7C7],
    [0xFE10, 0xFE12, 0xFE11, *range(0xFE13, 0xFE1A), *range(0x9FB4, 0x9FBC), 0x1E3F],
    strict=True,
))  # fmt: skip


def guess_utf16(head: bytes) -> str:
    """``utf-16-le``/``-be`` when zeros stand only on one side of the pairs, as in text with digits and commas; else ''."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if (even and odd) or even + odd < max(2, len(head) // 20):
        return ""
    return "utf-16-le" if odd else "utf-16-be"


class TextSource:
    """A text file as blocks of UTF-8, each ending with a line end (but the last).

    ``encoding`` is known after the first block that is not plain ASCII. From then on blocks of UTF-8 are handed out
    unproved: whoever takes them apart proves them, and asks ``fault_in`` what to say of one that is not sound.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.encoding = ""
        self._file = file
        self._before = 0  # bytes before the current block
        self._line_end = b"\n"

    def blocks(self) -> Iterator[bytes]:
        """Raises UnreadableFile F_ENCODING with the line that is not text."""
        head = self._file.read(8192)
        self._file.seek(0)
        if head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
            raise UnreadableFile("F_ENCODING", line=1, found="utf-32")
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            self._file.seek(2)
            self.encoding = "utf-16-le" if head[0] == 0xFF else "utf-16-be"
        else:
            self.encoding = guess_utf16(head)
        if self.encoding:
            yield from self._utf16_blocks()
        else:
            yield from self._byte_blocks(head)

    def _byte_blocks(self, head: bytes) -> Iterator[bytes]:
        if head.startswith(codecs.BOM_UTF8):
            self.encoding = "utf-8-sig"
            self._file.seek(3)
            self._before = 3
        self._line_end = b"\r" if b"\r" in head and b"\n" not in head else b"\n"
        for raw in self._whole_lines():
            if b"\0" in raw:
                raise unreadable("nul", line=self._line_at(raw, raw.index(b"\0")))
            yield self._as_utf8(raw)
            self._before += len(raw)

    def _whole_lines(self) -> Iterator[bytes]:
        """Cut at line feeds: a line feed is never part of a character in UTF-8 or GB18030."""
        rest = b""
        while block := self._file.read(BLOCK):
            if self._line_end == b"\r":
                block = block.replace(b"\r", b"\n")
            end = block.rfind(b"\n") + 1
            if not end:
                rest += block
                if len(rest) > MAX_LINE:
                    raise unreadable("line_too_long", line=self._line_at(b"", 0))
                continue
            yield rest + block[:end]
            rest = block[end:]
        if rest:
            yield rest

    def _as_utf8(self, raw: bytes) -> bytes:
        if self.encoding == "gb18030":
            return self._from_gb18030(raw)
        if self.encoding or raw.isascii():
            return raw
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as fault:
            return self._after_utf8_fault(raw, fault)
        self.encoding = "utf-8"
        return raw

    def fault_in(self, text: bytes, first_line: int) -> UnreadableFile | None:
        """What is wrong with a block of UTF-8 handed out unproved, if it is its encoding."""
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as fault:
            return UnreadableFile("F_ENCODING", line=first_line + text[: fault.start].count(b"\n"), tried="utf-8")
        return None

    def _after_utf8_fault(self, raw: bytes, fault: UnicodeDecodeError) -> bytes:
        sound = raw[: fault.start].decode("utf-8")
        if sum("\u3000" <= character <= "\u9fff" for character in sound) >= _SURE_CHARACTERS:
            raise self._not_text(raw, fault) from None
        self.encoding = "gb18030"
        return self._from_gb18030(raw)

    def _from_gb18030(self, raw: bytes) -> bytes:
        try:
            text = raw.decode("gb18030")
        except UnicodeDecodeError as fault:
            raise self._not_text(raw, fault) from None
        encoded = text.encode("utf-8")
        if b"\xee" in encoded:  # the lead byte of the private use area, where the moved characters were
            return text.translate(MOVED).encode("utf-8")
        return encoded

    def _not_text(self, raw: bytes, fault: UnicodeDecodeError) -> UnreadableFile:
        return UnreadableFile("F_ENCODING", line=self._line_at(raw, fault.start), tried=fault.encoding)

    def _line_at(self, raw: bytes, place: int) -> int:
        """The line of a place in the current block, counted only when it must be told."""
        self._file.seek(0)
        line, left = 1, self._before
        while left and (block := self._file.read(min(left, BLOCK))):
            line += block.count(self._line_end)
            left -= len(block)
        return line + raw[:place].count(b"\n")

    def _utf16_blocks(self) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        rest, raw, line = "", b"start", 1
        while raw:
            raw = self._file.read(BLOCK)
            try:
                rest += decoder.decode(raw, final=not raw)
            except UnicodeDecodeError:
                raise UnreadableFile("F_ENCODING", line=line, tried=self.encoding) from None
            if "\0" in rest:
                raise unreadable("nul", line=line + rest[: rest.index("\0")].count("\n"))
            end = rest.rfind("\n") + 1 if raw else len(rest)
            if len(rest) - end > MAX_LINE:
                raise unreadable("line_too_long", line=line)
            if end:
                text, rest = rest[:end].encode("utf-8"), rest[end:]
                yield text
                line += text.count(b"\n")
