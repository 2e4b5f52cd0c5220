"""What a file is, by its content; its name is never asked."""

from typing import BinaryIO, Literal

from adapters.formats.dbf_header import looks_like_dbf
from adapters.formats.encodings import guess_utf16

Kind = Literal[
    "zip", "ole", "delimited", "json", "dbf", "html", "xml",
    "empty", "mhtml", "rtf", "pdf", "image", "compressed", "binary",
]  # fmt: skip
_HEAD = 8192
_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"PK\x07\x08", "zip"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"%PDF-", "pdf"), (b"\x89PNG", "image"), (b"\xff\xd8\xff", "image"), (b"GIF8", "image"), (b"BM\x00", "image"),
    (b"{\\rtf", "rtf"), (b"\x1f\x8b", "compressed"), (b"Rar!", "compressed"), (b"7z\xbc\xaf", "compressed"),
    (b"BZh", "compressed"), (b"\xfd7zXZ", "compressed"), (b"\x7fELF", "binary"), (b"MZ\x90", "binary"),
    (b"SQLite format 3", "binary"), (b"\x09\x08", "binary"),
)  # fmt: skip
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def sniff(file: BinaryIO) -> Kind:
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(0)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if looks_like_dbf(head):
        return "dbf"
    if head.startswith(_BOMS[1:]) or guess_utf16(head):
        return _wide_text_kind(head)
    return _text_kind(head.removeprefix(_BOMS[0]))


def _wide_text_kind(head: bytes) -> Kind:
    """Text in UTF-16 may be markup as well."""
    big = head.startswith(b"\xfe\xff") or guess_utf16(head) == "utf-16-be"
    text = head.decode("utf-16-be" if big else "utf-16-le", "ignore").lstrip("\ufeff")
    kind = _text_kind(text.encode("utf-8", "ignore"))
    return kind if kind in ("html", "xml") else "delimited"


def _text_kind(head: bytes) -> Kind:
    text = head.lstrip()
    if not text:
        return "empty"
    start = text[:512].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<table", b"<meta")) or b"<html" in start:
        return "html"
    if start.startswith(b"<"):
        return "xml" if start.startswith((b"<?xml", b"<workbook")) or b"<table" not in text.lower() else "html"
    if start.startswith(b"mime-version:"):
        return "mhtml"
    if text[:1] == b"{" or (text[:1] == b"[" and text[1:].lstrip()[:1] in (b"{", b"]")):
        return "json"
    return "binary" if _looks_binary(head) else "delimited"


def _looks_binary(head: bytes) -> bool:
    """Text has no control characters but tab, line feed, carriage return; a stray few are judged by the reader."""
    controls = sum(byte < 9 or 13 < byte < 32 for byte in head)
    return controls > max(8, len(head) // 20)
