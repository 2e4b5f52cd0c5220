"""Workbooks and tables in the old formats, written for tests; every person in them is fictitious."""

import datetime
import hashlib
import io
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import msoffcrypto.format.ooxml
import olefile
import pytest
import xlwt
from msoffcrypto.method.rc4 import DocumentRC4

from adapters.formats import biff_scan
from tests import hostile_files as hostile

Cell = object  # str, int, float, datetime.date or None


def xls(write: Callable[[xlwt.Workbook], None]) -> bytes:
    book = xlwt.Workbook(encoding="utf-8")
    write(book)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def simple_xls(rows: Sequence[Sequence[Cell]], name: str = "Sheet1") -> bytes:
    def write(book: xlwt.Workbook) -> None:
        sheet = book.add_sheet(name)
        day = xlwt.XFStyle()
        day.num_format_str = "yyyy-mm-dd"
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if cell is not None:
                    sheet.write(number, column, cell, *([day] if isinstance(cell, datetime.date) else []))

    return xls(write)


def html_table(rows: Sequence[Sequence[Cell]], charset: str = "gb2312") -> bytes:
    body = "".join("<tr>" + "".join(f"<td>{cell or ''}</td>" for cell in row) + "</tr>" for row in rows)
    head = f'<html><head><meta http-equiv="Content-Type" content="text/html; charset={charset}"></head>'
    return f"{head}<body><table border=1>{body}</table></body></html>".encode("gb18030")


SPREADSHEET = (
    '<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n'
    '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet"'
    ' xmlns:x="urn:schemas-microsoft-com:office:excel">%s</Workbook>'
)


def spreadsheet_2003(rows: Sequence[Sequence[Cell]]) -> bytes:
    body = "".join(f"<Row>{''.join(map(_cell_2003, row))}</Row>" for row in rows)
    return (SPREADSHEET % f'<Worksheet ss:Name="Sheet1"><Table>{body}</Table></Worksheet>').encode()


def _cell_2003(cell: Cell) -> str:
    if isinstance(cell, datetime.date):
        return f'<Cell><Data ss:Type="DateTime">{cell.isoformat()}T00:00:00.000</Data></Cell>'
    kind = "Number" if isinstance(cell, (int, float)) else "String"
    return f'<Cell><Data ss:Type="{kind}">{"" if cell is None else cell}</Data></Cell>'


def dbf(
    fields: Sequence[tuple[str, str, int]],
    records: Sequence[Sequence[str | bytes]],
    *,
    language: int = 0,
    version: int = 3,
    deleted: Sequence[int] = (),
) -> bytes:
    """``fields``: name, type, length. Values are written as they are, cut to the field's length in bytes."""
    length = 1 + sum(size for _, _, size in fields)
    head = struct.pack("<4BIHH17xB2x", version, 126, 11, 5, len(records), 32 + 32 * len(fields) + 1, length, language)
    for name, kind, size in fields:
        head += struct.pack("<11s1s4xBB14x", name.encode("gb18030")[:10], kind.encode(), size, 0)
    body = b""
    for number, record in enumerate(records):
        body += b"*" if number in deleted else b" "
        for (_, kind, size), value in zip(fields, record, strict=True):
            raw = value if isinstance(value, bytes) else value.encode("gb18030")
            body += raw[:size].rjust(size) if kind in "NF" else raw[:size].ljust(size)
    return head + b"\r" + body + b"\x1a"


def encrypted(workbook: bytes, password: str) -> bytes:
    content = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(workbook)).encrypt(password, content)
    return content.getvalue()


def large_enough_to_encrypt(rows: bytes = hostile.GOOD_ROWS) -> bytes:
    """The library that encrypts is wrong about packages below 4 KiB."""
    return hostile.raw_xlsx(rows, ("docProps/thumbnail.bin", os.urandom(8_000)))


def ole(stream: str) -> bytes:
    """An OLE container whose only stream has this name."""
    content = simple_xls([["a"]])
    name, new = "Workbook".encode("utf-16-le"), stream.encode("utf-16-le")
    at = content.index(name)
    return content[:at] + new.ljust(64, b"\0") + struct.pack("<H", len(new) + 2) + content[at + 66 :]


def converted(source: Path, formats: Sequence[str], folder: Path) -> dict[str, Path]:
    """The workbook as LibreOffice saves it in each format; skips where it is not installed."""
    office = shutil.which("soffice")
    if office is None:
        if os.environ.get("HUB_REQUIRE_BROWSER"):
            pytest.fail("LibreOffice is not installed")
        pytest.skip("LibreOffice is not installed")
    made = {}
    for kind in formats:
        target = folder / kind
        command = [
            office, f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", kind,
            "--outdir", str(target), str(source),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        made[kind] = target / f"{source.stem}.{kind}"
    return made


def xlsb(rows: Sequence[Sequence[Cell]], *, hidden_row: int | None = None, far_row: int | None = None) -> bytes:
    """The few records of a binary workbook that make a sheet of texts and numbers."""
    sheet = _record(129) + _record(148, struct.pack("<IIII", 0, 0, 0, 0)) + _record(145)
    for number, row in enumerate(rows):
        at = far_row if far_row is not None and number == len(rows) - 1 else number
        flags = bytes([0, 0x10 if number == hidden_row else 0, 0])
        sheet += _record(0, struct.pack("<IIH", at, 0, 300) + flags + struct.pack("<I", 0))
        for column, cell in enumerate(row):
            if isinstance(cell, (int, float)):
                sheet += _record(5, struct.pack("<IId", column, 0, cell))
            elif cell is not None:
                sheet += _record(6, struct.pack("<II", column, 0) + _wide(str(cell)))
    sheet += _record(146) + _record(130)
    book = _record(131) + _record(153, struct.pack("<III", 0, 0, 0)) + _record(143)
    book += _record(156, struct.pack("<II", 0, 1) + _wide("rId1") + _wide("S")) + _record(144) + _record(132)
    relations = hostile.WORKBOOK_RELATIONS.replace(b"sheet1.xml", b"sheet1.bin")
    types = hostile.CONTENT_TYPES.replace(b'"xml"', b'"bin"')
    return hostile.zipped([
        ("[Content_Types].xml", types), ("_rels/.rels", hostile.ROOT_RELATIONS.replace(b".xml", b".bin")),
        ("xl/workbook.bin", book), ("xl/_rels/workbook.bin.rels", relations), ("xl/worksheets/sheet1.bin", sheet),
    ])  # fmt: skip


def _record(kind: int, content: bytes = b"") -> bytes:
    head = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    length, size = len(content), b""
    while length > 127:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return head + size + bytes([length]) + content


def _wide(text: str) -> bytes:
    encoded = text.encode("utf-16-le")
    return struct.pack("<I", len(encoded) // 2) + encoded


def ods(rows: Sequence[Sequence[Cell]], more_rows: str = "") -> bytes:
    """The least of an OpenDocument sheet. ``more_rows`` stands below the rows, as it is."""
    body = "".join(f"<table:table-row>{''.join(map(_cell_ods, row))}</table:table-row>" for row in rows)
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    content = (
        f'<?xml version="1.0"?><office:document-content{spaces}><office:body><office:spreadsheet>'
        f'<table:table table:name="S">{body}{more_rows}</table:table></office:spreadsheet></office:body></office:document-content>'
    )
    mimetype = b"application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{mimetype.decode()}"/></manifest:manifest>'
    )
    parts = [("mimetype", mimetype), ("content.xml", content.encode()), ("META-INF/manifest.xml", manifest.encode())]
    return hostile.zipped(parts)


def _cell_ods(cell: Cell) -> str:
    if cell is None:
        return "<table:table-cell/>"
    if isinstance(cell, (int, float)):
        return f'<table:table-cell office:value-type="float" office:value="{cell}"/>'
    return f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'


def encrypted_xls(rows: Sequence[Sequence[Cell]], password: str) -> bytes:
    """An .xls with an opening password, as Excel 97 wrote it (RC4): its records are in cipher, their heads are not."""
    salt, verifier = bytes(range(16)), b"0123456789abcdef"
    cipher = io.BytesIO(verifier + hashlib.md5(verifier, usedforsecurity=False).digest())
    proof = DocumentRC4.decrypt(password, salt, cipher, blocksize=1024).read()
    file_pass = struct.pack("<HHHHH", 0x2F, 54, 1, 1, 1) + salt + proof
    with olefile.OleFileIO(io.BytesIO(simple_xls(rows))) as book:
        plain = book.openstream("Workbook").read()
    stream = bytearray()
    mask = bytearray()  # 1 where a byte stays as it is
    for kind, _, content in biff_scan.records(plain.rstrip(b"\0") + b"\0" * 3):
        if kind == 0x85:  # where a sheet begins: everything has moved
            content = struct.pack("<I", int.from_bytes(content[:4], "little") + len(file_pass)) + content[4:]
        stream += struct.pack("<HH", kind, len(content)) + content
        kept = len(content) if kind == 0x809 else 4 if kind == 0x85 else 0
        mask += b"\1" * (4 + kept) + b"\0" * (len(content) - kept)
        if kind == 0x809 and file_pass not in stream:
            stream += file_pass
            mask += b"\1" * len(file_pass)
    spare = -len(stream) % 4  # the library that decrypts takes the padding for records of four bytes
    stream += struct.pack("<HH", 0, spare) + bytes(spare)
    mask += b"\1" * (4 + spare)
    secret = DocumentRC4.decrypt(password, salt, io.BytesIO(bytes(stream)), blocksize=1024).read()
    mixed = bytes(open_ if keep else shut for open_, shut, keep in zip(stream, secret, mask, strict=True))
    container = io.BytesIO()
    xlwt.CompoundDoc.XlsDoc().save(container, mixed)
    return container.getvalue()
