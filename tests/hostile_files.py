"""Files as they really come, and files made to do harm; all fictitious."""

import io
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import xlsxwriter

Part = tuple[str, bytes]

CONTENT_TYPES = (
    b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    b'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    b'<Default Extension="xml" ContentType="application/xml"/></Types>'
)
ROOT_RELATIONS = (
    b'<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    b'<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"'
    b' Target="xl/workbook.xml"/></Relationships>'
)
WORKBOOK = (
    b'<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    b' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    b'<sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>'
)
WORKBOOK_RELATIONS = (
    b'<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    b'<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"'
    b' Target="worksheets/sheet1.xml"/>'
    b'<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"'
    b' Target="sharedStrings.xml"/></Relationships>'
)
SHEET_HEAD = (
    b'<?xml version="1.0"?>%s<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">%s<sheetData>'
)
SHEET_FOOT = b"</sheetData></worksheet>"


def text_cell(reference: str, text: str) -> bytes:
    return f'<c r="{reference}" t="inlineStr"><is><t>{text}</t></is></c>'.encode()


def sheet_xml(rows: bytes, *, doctype: bytes = b"", dimension: bytes = b"") -> bytes:
    return SHEET_HEAD % (doctype, dimension) + rows + SHEET_FOOT


GOOD_ROWS = (
    b'<row r="1">' + text_cell("A1", "a") + text_cell("B1", "b") + b"</row>"
    b'<row r="2">' + text_cell("A2", "x") + b'<c r="B2"><v>5</v></c></row>'
)  # fmt: skip


def raw_parts(sheet: bytes, *more: Part) -> list[Part]:
    return [
        ("[Content_Types].xml", CONTENT_TYPES), ("_rels/.rels", ROOT_RELATIONS), ("xl/workbook.xml", WORKBOOK),
        ("xl/_rels/workbook.xml.rels", WORKBOOK_RELATIONS), ("xl/worksheets/sheet1.xml", sheet), *more,
    ]  # fmt: skip


def zipped(parts: Sequence[Part]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts:
            archive.writestr(name, part)
    return content.getvalue()


def raw_xlsx(rows: bytes = GOOD_ROWS, *more: Part, doctype: bytes = b"", dimension: bytes = b"") -> bytes:
    return zipped(raw_parts(sheet_xml(rows, doctype=doctype, dimension=dimension), *more))


def with_changed_directory(content: bytes, name: str, change: Callable[[bytearray, int], None]) -> bytes:
    """Rewrite the central directory's entry of ``name``; ``change`` gets the bytes and where the entry starts."""
    changed = bytearray(content)
    at = changed.rindex(b"PK\x01\x02", 0, changed.rindex(name.encode()))
    change(changed, at)
    return bytes(changed)


def set_size(size: int) -> Callable[[bytearray, int], None]:
    def change(content: bytearray, at: int) -> None:
        struct.pack_into("<I", content, at + 24, size)

    return change


def set_encrypted(content: bytearray, at: int) -> None:
    content[at + 8] |= 1


def set_symlink(content: bytearray, at: int) -> None:
    content[at + 5] = 3  # made by Unix
    struct.pack_into("<I", content, at + 38, 0o120777 << 16)


def workbook(path: Path, write: Callable[[xlsxwriter.Workbook], None], **options: object) -> Path:
    book = xlsxwriter.Workbook(str(path), options)
    write(book)
    book.close()
    return path


def simple_workbook(path: Path, rows: Sequence[Sequence[object]], name: str = "Sheet1") -> Path:
    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet(name)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)

    return workbook(path, write)
