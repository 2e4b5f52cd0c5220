"""Files made to do harm beside the sixty of the catalogue end in a clear code, and the parent stays healthy."""

import io
import os
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from adapters.formats.sandbox import Limits, UnreadableFile, read_raw
from tests import hostile_files as hostile
from tests import office_files as office

LIMITS = Limits(wall_seconds=60)


def read(path: Path, limits: Limits = LIMITS) -> list[pl.DataFrame]:
    return [batch for sheet in read_raw(path, limits) for batch in sheet.batches]


def refusal_of(path: Path, limits: Limits = LIMITS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(path, limits)
    return caught.value


def far_cell_hidden_from_the_scan() -> bytes:
    rows = hostile.GOOD_ROWS + b"<row r='1048576'><c\tr='XFD1048576'><v>1</v></c></row>"
    return hostile.raw_xlsx(rows)


def entity_in_shared_strings() -> bytes:
    shared = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "http://127.0.0.1/">]><sst><si><t>&f;</t></si></sst>'
    return hostile.raw_xlsx(hostile.GOOD_ROWS, ("xl/sharedStrings.xml", shared))


def utf16_sheet() -> bytes:
    sheet = hostile.sheet_xml(hostile.GOOD_ROWS).decode().encode("utf-16")
    return hostile.zipped(hostile.raw_parts(sheet))


def row_too_far() -> bytes:
    return hostile.raw_xlsx(hostile.GOOD_ROWS + b'<row r="4294967296"><c r="A4294967296"><v>1</v></c></row>')


def ods_row(rows: int, columns: int) -> str:
    cell = f'<table:table-cell table:number-columns-repeated="{columns}" office:value-type="float" office:value="1"/>'
    return f'<table:table-row table:number-rows-repeated="{rows}">{cell}</table:table-row>'


def xlsb_of(sheet: bytes) -> bytes:
    """A binary workbook whose sheet is these bytes."""
    with zipfile.ZipFile(io.BytesIO(office.xlsb([["a"]]))) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    return hostile.zipped([(name, sheet if name.endswith("sheet1.bin") else part) for name, part in parts])


FAR_CELL: list[list[object]] = [["a"], [None] * 16_383 + ["b"]]

CASES: list[tuple[str, Callable[[], bytes], str]] = [
    ("a file of blanks", lambda: b" \n\n \n", "F_EMPTY"),
    ("a PDF", lambda: b"%PDF-1.7\n", "F_FORMAT_UNKNOWN"),
    ("a Word document", lambda: office.ole("WordDocument"), "F_FORMAT_UNKNOWN"),
    ("a zip of something else", lambda: hostile.zipped([("a.txt", b"a")]), "F_FORMAT_UNKNOWN"),
    ("an absolute entry", lambda: hostile.raw_xlsx(hostile.GOOD_ROWS, ("/etc/x", b"")), "F_ZIP_UNSAFE"),
    ("an entity in the shared strings", entity_in_shared_strings, "F_ZIP_UNSAFE"),
    ("a sheet in UTF-16", utf16_sheet, "F_ZIP_UNSAFE"),
    ("a far cell spelled to escape the scan", far_cell_hidden_from_the_scan, "F_UNREADABLE"),
    ("a row beyond the last", row_too_far, "F_ZIP_UNSAFE"),
    ("UTF-8 cut mid-character", lambda: "姓名,性别\n王芳,女\n李".encode()[:-1], "F_ENCODING"),
    ("UTF-32", lambda: "姓名,性别\n".encode("utf-32"), "F_ENCODING"),
    ("bytes that are no text", lambda: b"a,b\n\xff\xff,\x80\n", "F_ENCODING"),
    ("a macro in an .xls", lambda: office.ole("_VBA_PROJECT_CUR"), "F_MACRO"),
    ("an .xls cut in half", lambda: office.simple_xls([["a"]] * 500)[:8_000], "F_TRUNCATED"),
    ("rows of an .ods repeated a million times", lambda: office.ods([["a"]], ods_row(1_048_000, 30)), "F_ZIP_UNSAFE"),
    ("columns of an .ods repeated beyond the last", lambda: office.ods([["a"]], ods_row(1, 20_000)), "F_ZIP_UNSAFE"),
    ("columns of an .ods repeated without end", lambda: office.ods([["a"]], ods_row(1, 99_999_999)), "F_TOO_MANY_CELLS"),
    ("a repeat in an .ods that is no number", lambda: office.ods([["a"]], ods_row(-1, 1)), "F_UNREADABLE"),
    ("a cell of an .xlsb at XFD1048576", lambda: office.xlsb(FAR_CELL, far_row=1_048_575), "F_ZIP_UNSAFE"),
    ("an .xlsb of records without end", lambda: xlsb_of(b"\xff" * 4_000), "F_UNREADABLE"),
    ("nested JSON", lambda: b'{"a":1}\n{"a":{"b":1}}\n', "F_UNREADABLE"),
    ("broken JSON", lambda: b'{"a":1}\n{"a":\n', "F_UNREADABLE"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_hostile_file_ends_in_a_clear_code(content: Callable[[], bytes], code: str, tmp_path: Path) -> None:
    path = tmp_path / "upload.xlsx"
    path.write_bytes(content())
    assert refusal_of(path).code == code


def test_after_a_hostile_file_the_next_one_is_read(tmp_path: Path) -> None:
    hostile_path, good_path = tmp_path / "bad.xlsx", tmp_path / "good.xlsx"
    hostile_path.write_bytes(far_cell_hidden_from_the_scan())
    good_path.write_bytes(hostile.raw_xlsx())
    refusal_of(hostile_path)
    assert read(good_path)[0]["c0"].to_list() == ["a", "x"]


@pytest.mark.parametrize(("content", "line"), [
    (b'a,b\n1,2\n3,"x\n4,5\n', 3),
    (b'a,b\n"1","2"\n"3","4\n"5","6"\n', 3),
    (b"a,b\n1,2\n3,\0\n", 3),
    ("姓名,性别\n王芳,女\n".encode() + "李明,男\n".encode("gb18030"), 3),
    ("\ufeff姓名,性别\n王芳,女\n".encode() + b"\xff,\n", 3),
    (b'{"a":1}\n{"a":[1]}\n', 2),
])  # fmt: skip
def test_a_broken_text_is_refused_with_its_line(content: bytes, line: int, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert refusal_of(path).params["line"] == line


def test_a_file_over_the_size_limit_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" * 100)
    assert refusal_of(path, Limits(max_bytes=100)).code == "F_TOO_LARGE"


def test_more_cells_than_allowed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" * 100)
    assert refusal_of(path, Limits(max_cells=100)).code == "F_TOO_MANY_CELLS"


def test_a_child_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" * 100)
    refusal = refusal_of(path, Limits(wall_seconds=0.01))
    assert refusal.params == {"reason": "time"}


def test_a_child_without_memory_is_a_refusal_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" * 20_000)
    assert refusal_of(path, Limits(memory_bytes=40 << 20)).code == "F_UNREADABLE"


def test_a_reader_that_stops_early_leaves_no_child(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n" * 400_000)
    others = _children()
    sheets = read_raw(path, LIMITS)
    next(next(sheets).batches)
    children = _children() - others
    assert children
    sheets.close()
    assert not _children() & children


def test_a_refusal_in_the_middle_leaves_no_child(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n" * 400_000 + b'"x')
    others = _children()
    sheets = read_raw(path, LIMITS)
    with pytest.raises(UnreadableFile):
        for _ in next(sheets).batches:
            running = _children() - others
    assert running and not _children() & running


def _children() -> set[str]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(listed.read_text().split())


def _peak_kib(pid: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) if "VmHWM:" in status else 0


def test_reading_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    others = _children()
    path = tmp_path / "large.csv"
    line = "王芳,女,999001199003071233,示范区东风镇东风村1组1号,2025-09-30\n".encode()
    path.write_bytes(line * 700_000)  # 60 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows, child_peaks = 0, []
    for sheet in read_raw(path, LIMITS):
        for batch in sheet.batches:
            rows += batch.height
            child_peaks += [_peak_kib(pid) for pid in _children() - others]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert rows == 700_000
    assert after - before < 100 << 10
    assert 0 < max(child_peaks) < 350 << 10
