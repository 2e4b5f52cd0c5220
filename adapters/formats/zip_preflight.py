"""A zip container is proved harmless before anything parses what is in it: names, sizes by actual inflation, no macros."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from adapters.formats.unreadable import MIB, Limits, UnreadableFile, unreadable

MAX_ENTRIES = 2_000
MAX_RATIO = 200
RATIO_FROM = 4 * MIB  # below this size a high ratio does no harm
CHUNK = MIB
_LOCAL = struct.Struct("<4s5H3I2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _STRONG = 0x1, 0x40
_FORBIDDEN = (
    ("vbaproject.bin", "F_MACRO", "macro"),
    ("/macrosheets/", "F_MACRO", "macro"),
    ("/externallinks/", "F_ZIP_UNSAFE", "external_link"),
    ("/oleobject", "F_ZIP_UNSAFE", "embedded_object"),
    ("/embeddings/", "F_ZIP_UNSAFE", "embedded_object"),
    ("/activex/", "F_ZIP_UNSAFE", "embedded_object"),
)


class SafeZip:
    """The entries of a container whose directory has been checked; ``inflate`` counts what really comes out."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._file = file
        self._left = limits.memory_bytes // 2
        try:
            entries = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
            raise UnreadableFile("F_TRUNCATED") from None
        _check_directory(entries)
        self.entries = {entry.filename: entry for entry in entries}
        self._starts = self._check_places(entries)

    def names(self) -> list[str]:
        return list(self.entries)

    def read(self, name: str, limit: int = 8 * MIB) -> bytes:
        """A small part, whole."""
        content = io.BytesIO()
        for chunk in self.inflate(name):
            content.write(chunk)
            if content.tell() > limit:
                raise unsafe("part_too_large", name)
        return content.getvalue()

    def inflate(self, name: str) -> Iterator[bytes]:
        """The entry's content in chunks, by our own count and never by the directory's word."""
        entry, size = self.entries[name], 0
        for chunk in self._chunks(entry):
            size += len(chunk)
            self._left -= len(chunk)
            if size > entry.file_size:
                raise unsafe("false_size", name)
            if self._left < 0 or (size > RATIO_FROM and size > MAX_RATIO * max(1, entry.compress_size)):
                raise unsafe("bomb", name)
            yield chunk
        if size != entry.file_size:
            raise unsafe("false_size", name)

    def _chunks(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-15) if entry.compress_type == _DEFLATED else None
        for raw in self._raw(entry):
            if inflater is None:
                yield raw
                continue
            while raw and not inflater.eof:
                try:
                    chunk = inflater.decompress(raw, CHUNK)
                except zlib.error:
                    raise unreadable("damaged_workbook", entry=entry.filename) from None
                raw = inflater.unconsumed_tail
                if chunk:
                    yield chunk
        if inflater is not None and not inflater.eof:
            raise unreadable("damaged_workbook", entry=entry.filename)

    def _raw(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        self._file.seek(self._starts[entry.filename])
        left = entry.compress_size
        while left:
            raw = self._file.read(min(left, 256 << 10))
            if not raw:
                raise unreadable("damaged_workbook", entry=entry.filename)
            left -= len(raw)
            yield raw

    def _check_places(self, entries: list[zipfile.ZipInfo]) -> dict[str, int]:
        """Where each entry's bytes start; no two may share bytes, and both directories must tell the same name."""
        starts: dict[str, int] = {}
        end_of_last = 0
        for entry in sorted(entries, key=lambda entry: entry.header_offset):
            if entry.header_offset < end_of_last:
                raise unsafe("overlap", entry.filename)
            start = self._start_of(entry)
            starts[entry.filename] = start
            end_of_last = start + entry.compress_size
        return starts

    def _start_of(self, entry: zipfile.ZipInfo) -> int:
        self._file.seek(entry.header_offset)
        header = self._file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
            raise unreadable("damaged_workbook", entry=entry.filename)
        fields = _LOCAL.unpack(header)
        flags, name_length, extra_length = fields[2], fields[9], fields[10]
        name = self._file.read(name_length)
        if flags & (_ENCRYPTED | _STRONG) or name != entry.orig_filename.encode("utf-8" if flags & 0x800 else "cp437"):
            raise unsafe("directory_disagrees", entry.filename)
        return entry.header_offset + _LOCAL.size + int(name_length) + int(extra_length)


def unsafe(reason: str, entry: str = "") -> UnreadableFile:
    return UnreadableFile("F_ZIP_UNSAFE", reason=reason, entry=entry[:120])


def _check_directory(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise unsafe("too_many_entries")
    seen: set[str] = set()
    for entry in entries:
        _check_name(entry)
        if entry.filename.lower() in seen:
            raise unsafe("duplicate_entry", entry.filename)
        seen.add(entry.filename.lower())
        if entry.flag_bits & (_ENCRYPTED | _STRONG):
            raise UnreadableFile("F_PASSWORD")
        if entry.compress_type not in (_STORED, _DEFLATED):
            raise unsafe("compression", entry.filename)


def _check_name(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or ":" in name or "\0" in name:
        raise unsafe("path", entry.filename)
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise unsafe("symlink", entry.filename)
    for part, code, reason in _FORBIDDEN:
        if part in "/" + name.lower():
            raise UnreadableFile(code, reason=reason, entry=entry.filename[:120])
