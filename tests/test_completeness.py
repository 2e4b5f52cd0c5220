"""Whether a file has its end is seen in its own structure: cut anywhere what lacks its last bytes is called cut."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import openpyxl
import pytest
import xlwt

from adapters.completeness import Completeness, judge

WHOLE, CUT, UNKNOWN = Completeness.WHOLE, Completeness.CUT, Completeness.UNKNOWN


def workbook() -> bytes:
    book, packed = openpyxl.Workbook(), io.BytesIO()
    for number in range(300):
        book.active.append([f"行{number}", number])  # type: ignore[union-attr]
    book.save(packed)
    return packed.getvalue()


def old_workbook() -> bytes:
    book, packed = xlwt.Workbook(), io.BytesIO()
    sheet = book.add_sheet("一")
    for number in range(300):
        sheet.write(number, 0, f"行{number}")
    book.save(packed)
    return packed.getvalue()


def table() -> bytes:
    head = struct.pack("<BBBBIHH20x", 3, 124, 11, 3, 40, 65, 11) + b"NAME".ljust(11, b"\0") + b"C" + bytes(20) + b"\r"
    return head + b" 0123456789" * 40 + b"\x1a"


FILES = {
    "xlsx": workbook(),
    "xls": old_workbook(),
    "dbf": table(),
    "csv": "姓名,性别\r\n张三,男\r\n李四,女\r\n".encode("gb18030"),
    "utf-16": "a,b\n1,2\n".encode("utf-16"),
    "json": json.dumps([{"a": 1}, {"b": [2, 3]}]).encode(),
    "ndjson": b'{"a": 1}\n{"b": 2}\n',
    "html": "<table><tr><td>1</td></tr></table>\n".encode("gb2312"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_whole_file_is_whole_and_without_its_last_bytes_it_is_not(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(FILES[kind])
    assert judge(path) is WHOLE
    path.write_bytes(FILES[kind][:-3])
    assert judge(path) is CUT


def test_a_workbook_with_one_wrong_byte_is_not_whole(tmp_path: Path) -> None:
    packed, path = io.BytesIO(), tmp_path / "file"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("xl/workbook.xml", b"<workbook/>" * 100)
    content = bytearray(packed.getvalue())
    content[200] ^= 1
    path.write_bytes(content)
    assert judge(path) is CUT


def test_a_bomb_is_not_inflated_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.completeness._MOST_INFLATED", 1024 * 1024)
    path = tmp_path / "file"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(64 * 1024 * 1024))
    pieces = 0
    plain = zipfile.ZipExtFile.read

    def counted(file: zipfile.ZipExtFile, wanted: int | None = -1) -> bytes:
        nonlocal pieces
        pieces += 1
        return plain(file, wanted)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    assert judge(path) is WHOLE
    assert pieces == 1


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\x00\x00", bytes(100)])
def test_what_has_no_end_we_know_is_unknown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert judge(path) is UNKNOWN
