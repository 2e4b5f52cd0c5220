"""The header of a dBASE table is recognised, and its figures are judged against the file before they are believed."""

import io
import struct
from typing import BinaryIO

import msgspec

from adapters.formats.unreadable import UnreadableFile, unreadable

_HEADER = struct.Struct("<4BIHH17xB2x")
_VERSIONS = frozenset(b"\x02\x03\x04\x05\x30\x31\x32\x43\x63\x7b\x83\x8b\x8e\xcb\xe5\xf5\xfb")
_TYPES = frozenset(b"CNFDLMGPBITY@O+0VQW")
_FIELD = 32  # bytes of the header, and of each field's description behind it


class Head(msgspec.Struct, frozen=True):
    """The first 32 bytes, as far as they matter."""

    records: int
    length: int
    record_length: int
    language: int


def looks_like_dbf(head: bytes) -> bool:
    """A version, a date of last change, and a first field of a known type; text never begins like that."""
    if len(head) < 2 * _FIELD + 1:
        return False
    version, _, month, day, _, length, _, _ = _HEADER.unpack_from(head)
    dated = version in _VERSIONS and month <= 12 and day <= 31
    return dated and length > _FIELD and head[12:14] == b"\0\0" and head[_FIELD + 11] in _TYPES


def judge_header(file: BinaryIO) -> Head:
    """Nothing is reserved or skipped on the header's word alone. Raises UnreadableFile."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    *_, records, length, record_length, language = _HEADER.unpack(file.read(_HEADER.size))
    if record_length < 2 or length < 2 * _FIELD + 1 or length > size:
        raise unreadable("dbf_header")
    fields = file.read(length - _FIELD)
    if not any(fields[at : at + 1] in (b"\r", b"\n") for at in range(0, len(fields), _FIELD)):
        raise unreadable("dbf_header")
    if size < length + records * record_length:
        raise UnreadableFile("F_TRUNCATED")
    return Head(records, length, record_length, language)
