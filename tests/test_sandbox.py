"""Files made to do harm end in a clear code, and the parent stays healthy."""

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

LIMITS = Limits(wall_seconds=60)


def read(path: Path, limits: Limits = LIMITS) -> list[pl.DataFrame]:
    return [batch for sheet in read_raw(path, limits) for batch in sheet.batches]


def refusal_of(path: Path, limits: Limits = LIMITS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(path, limits)
    return caught.value


def far_cell() -> bytes:
    rows = hostile.GOOD_ROWS + b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    return hostile.raw_xlsx(rows)


def far_cell_hidden_from_the_scan() -> bytes:
    rows = hostile.GOOD_ROWS + b"<row r='1048576'><c\tr='XFD1048576'><v>1</v></c></row>"
    return hostile.raw_xlsx(rows)


def bomb() -> bytes:
    return hostile.raw_xlsx(hostile.GOOD_ROWS + b" " * (128 << 20))


def lying_size() -> bytes:
    content = hostile.raw_xlsx(hostile.GOOD_ROWS + b" " * (1 << 20))
    return hostile.with_changed_directory(content, "xl/worksheets/sheet1.xml", hostile.set_size(100))


def false_unique_count(claim: bytes = b"4294967295") -> bytes:
    shared = b'<?xml version="1.0"?><sst uniqueCount="' + claim + b'"><si><t>a</t></si></sst>'
    return hostile.raw_xlsx(hostile.GOOD_ROWS, ("xl/sharedStrings.xml", shared))


def billion_laughs() -> bytes:
    entities = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    return hostile.raw_xlsx(hostile.GOOD_ROWS, doctype=b'<!DOCTYPE x [<!ENTITY a0 "ha">' + entities + b"]>")


def external_entity() -> bytes:
    return hostile.raw_xlsx(hostile.GOOD_ROWS, doctype=b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>')


def entity_in_shared_strings() -> bytes:
    shared = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "http://127.0.0.1/">]><sst><si><t>&f;</t></si></sst>'
    return hostile.raw_xlsx(hostile.GOOD_ROWS, ("xl/sharedStrings.xml", shared))


def duplicate_entry() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive, pytest.warns(UserWarning):
        for name, part in [
            *hostile.raw_parts(hostile.sheet_xml(hostile.GOOD_ROWS)),
            ("xl/workbook.xml", hostile.WORKBOOK),
        ]:
            archive.writestr(name, part)
    return content.getvalue()


def encrypted_flag() -> bytes:
    return hostile.with_changed_directory(hostile.raw_xlsx(), "xl/workbook.xml", hostile.set_encrypted)


def symbolic_link() -> bytes:
    content = hostile.raw_xlsx(hostile.GOOD_ROWS, ("xl/link", b"/etc/passwd"))
    return hostile.with_changed_directory(content, "xl/link", hostile.set_symlink)


def overlapping_entries() -> bytes:
    content = hostile.raw_xlsx()

    def point_at_first(changed: bytearray, at: int) -> None:
        changed[at + 42 : at + 46] = (1).to_bytes(4, "little")

    return hostile.with_changed_directory(content, "xl/workbook.xml", point_at_first)


def many_entries() -> bytes:
    return hostile.zipped([(f"xl/{n}.xml", b"") for n in range(2_100)])


def encrypted_ole() -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2048) + "EncryptedPackage".encode("utf-16-le") + bytes(2048)


def word_document() -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2048) + "WordDocument".encode("utf-16-le") + bytes(2048)


def utf16_sheet() -> bytes:
    sheet = hostile.sheet_xml(hostile.GOOD_ROWS).decode().encode("utf-16")
    return hostile.zipped(hostile.raw_parts(sheet))


def row_too_far() -> bytes:
    return hostile.raw_xlsx(hostile.GOOD_ROWS + b'<row r="4294967296"><c r="A4294967296"><v>1</v></c></row>')


MACRO, LINK, OBJECT = b"macro", b"<externalLink/>", b"object"

CASES: list[tuple[str, Callable[[], bytes], str]] = [
    ("an empty file", lambda: b"", "F_EMPTY"),
    ("a file of blanks", lambda: b" \n\n \n", "F_EMPTY"),
    ("a picture named xlsx", lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, "F_FORMAT_UNKNOWN"),
    ("a PDF", lambda: b"%PDF-1.7\n", "F_FORMAT_UNKNOWN"),
    ("HTML named xls", lambda: "<html><meta charset=gb2312><table><tr><td>姓名".encode("gb18030"), "F_FORMAT_UNKNOWN"),
    ("XML 2003 named xls", lambda: b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com"/>', "F_FORMAT_UNKNOWN"),
    ("a Word document", word_document, "F_FORMAT_UNKNOWN"),
    ("a zip of something else", lambda: hostile.zipped([("a.txt", b"a")]), "F_FORMAT_UNKNOWN"),
    ("a workbook cut in half", lambda: hostile.raw_xlsx()[:700], "F_TRUNCATED"),
    ("a workbook without its last bytes", lambda: hostile.raw_xlsx()[:-20], "F_TRUNCATED"),
    ("128 MiB of blanks", bomb, "F_ZIP_UNSAFE"),
    ("a false size in the directory", lying_size, "F_ZIP_UNSAFE"),
    ("overlapping entries", overlapping_entries, "F_ZIP_UNSAFE"),
    ("a duplicate entry", duplicate_entry, "F_ZIP_UNSAFE"),
    ("an encrypted entry", encrypted_flag, "F_PASSWORD"),
    ("an encrypted workbook", encrypted_ole, "F_PASSWORD"),
    ("2,100 entries", many_entries, "F_ZIP_UNSAFE"),
    ("an entry outside", lambda: hostile.raw_xlsx(hostile.GOOD_ROWS, ("../../etc/cron.d/x", b"")), "F_ZIP_UNSAFE"),
    ("an absolute entry", lambda: hostile.raw_xlsx(hostile.GOOD_ROWS, ("/etc/x", b"")), "F_ZIP_UNSAFE"),
    ("a symbolic link", symbolic_link, "F_ZIP_UNSAFE"),
    ("a macro", lambda: hostile.raw_xlsx(hostile.GOOD_ROWS, ("xl/vbaProject.bin", MACRO)), "F_MACRO"),
    ("an external link", lambda: hostile.raw_xlsx(hostile.GOOD_ROWS, ("xl/externalLinks/externalLink1.xml", LINK)), "F_ZIP_UNSAFE"),
    ("an embedded object", lambda: hostile.raw_xlsx(hostile.GOOD_ROWS, ("xl/embeddings/oleObject1.bin", OBJECT)), "F_ZIP_UNSAFE"),
    ("a billion laughs", billion_laughs, "F_ZIP_UNSAFE"),
    ("an external entity", external_entity, "F_ZIP_UNSAFE"),
    ("an entity in the shared strings", entity_in_shared_strings, "F_ZIP_UNSAFE"),
    ("a sheet in UTF-16", utf16_sheet, "F_ZIP_UNSAFE"),
    ("a cell at XFD1048576", far_cell, "F_ZIP_UNSAFE"),
    ("a far cell spelled to escape the scan", far_cell_hidden_from_the_scan, "F_UNREADABLE"),
    ("a row beyond the last", row_too_far, "F_ZIP_UNSAFE"),
    ("a false uniqueCount", false_unique_count, "F_ZIP_UNSAFE"),
    ("NUL bytes in a CSV", lambda: b"a,b\n1,\0\n", "F_UNREADABLE"),
    ("an unclosed quote", lambda: b'a,b\n1,2\n3,"x\n4,5\n', "F_UNREADABLE"),
    ("a single line of 10 MB", lambda: b"a,b\n" + b"x" * (10 << 20), "F_UNREADABLE"),
    ("one GB18030 line in UTF-8", lambda: "姓名,性别\n王芳,女\n".encode() + "李明,男\n".encode("gb18030"), "F_ENCODING"),
    ("UTF-8 cut mid-character", lambda: "姓名,性别\n王芳,女\n李".encode()[:-1], "F_ENCODING"),
    ("UTF-32", lambda: "姓名,性别\n".encode("utf-32"), "F_ENCODING"),
    ("bytes that are no text", lambda: b"a,b\n\xff\xff,\x80\n", "F_ENCODING"),
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
    path.write_bytes(b"a,b\n" * 1000)
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
