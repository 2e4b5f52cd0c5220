"""Sixty hostile or broken files, each with the one outcome it must have: a code for the whole file, or so many rows."""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from collections.abc import Callable, Sequence

import xlsxwriter

from adapters.formats.sandbox import Limits
from tests import hostile_files as hostile
from tests import office_files as office
from tests.sheets import death_sheet

LIMITS = Limits(wall_seconds=60)
NAME, SEX, ID_NO, BORN, DIED = 1, 2, 4, 5, 6  # columns of the sheet


@dataclasses.dataclass(frozen=True)
class Hostile:
    """``expected``: an F_ code, or "read" with ``rows`` records; ``tells``: codes that must be said of file or rows."""

    number: int
    name: str
    build: Callable[[], bytes]
    file_name: str
    expected: str
    rows: int = 2
    tells: frozenset[str] = frozenset()
    limits: Limits = LIMITS


def table(*changes: tuple[int, int, object]) -> list[list[object]]:
    """A header and two good rows; ``changes`` are (row, column, value)."""
    rows: list[list[object]] = [list(line.split(",")) for line in death_sheet().decode("utf-8-sig").splitlines()]
    for row, column, value in changes:
        rows[row][column] = value
    return rows


def csv(*changes: tuple[int, int, object], delimiter: str = ",") -> str:
    return "".join(delimiter.join(map(str, row)) + "\n" for row in table(*changes))


def rows_xml(rows: Sequence[Sequence[object]]) -> bytes:
    """Rows as they stand in a sheet's XML; a value that is bytes is a cell of its own making."""
    return b"".join(
        b'<row r="%d">' % number + b"".join(_cell(number, column, cell) for column, cell in enumerate(row)) + b"</row>"
        for number, row in enumerate(rows, 1)
    )


def _cell(row: int, column: int, cell: object) -> bytes:
    reference = f"{chr(65 + column)}{row}"
    return cell % reference.encode() if isinstance(cell, bytes) else hostile.text_cell(reference, str(cell))


def xlsx(*changes: tuple[int, int, object], more: Sequence[hostile.Part] = (), **raw: bytes) -> bytes:
    return hostile.raw_xlsx(rows_xml(table(*changes)), *more, **raw)


def written(write: Callable[[xlsxwriter.Workbook], None], **options: object) -> bytes:
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, options)
    write(book)
    book.close()
    return content.getvalue()


def put(sheet: xlsxwriter.worksheet.Worksheet, rows: Sequence[Sequence[object]], at: int = 0) -> None:
    for number, row in enumerate(rows, at):
        sheet.write_row(number, 0, row)


# Container


def bomb() -> bytes:
    return hostile.raw_xlsx(rows_xml(table()) + b" " * (64 << 20))


def nested_bomb() -> bytes:
    inner = hostile.zipped([("a", b" " * (32 << 20))])
    return xlsx(more=[("xl/media/a.zip", inner)])


def lying_size() -> bytes:
    content = hostile.raw_xlsx(rows_xml(table()) + b" " * (1 << 20))
    return hostile.with_changed_directory(content, "xl/worksheets/sheet1.xml", hostile.set_size(100))


def lying_zip64() -> bytes:
    """The directory says a terabyte, in the fields for such sizes."""
    name, extra = b"xl/worksheets/sheet1.xml", struct.pack("<HHQ", 1, 8, 1 << 40)
    content = hostile.with_changed_directory(xlsx(), name.decode(), hostile.set_size(0xFFFFFFFF))
    changed = bytearray(content)
    at = changed.rindex(b"PK\x01\x02", 0, changed.rindex(name))
    struct.pack_into("<H", changed, at + 30, len(extra))
    changed[at + 46 + len(name) : at + 46 + len(name)] = extra
    end = changed.rindex(b"PK\x05\x06")
    struct.pack_into("<I", changed, end + 12, struct.unpack_from("<I", changed, end + 12)[0] + len(extra))
    return bytes(changed)


def overlapping_entries() -> bytes:
    def point_at_first(changed: bytearray, at: int) -> None:
        changed[at + 42 : at + 46] = (1).to_bytes(4, "little")

    return hostile.with_changed_directory(xlsx(), "xl/workbook.xml", point_at_first)


def duplicate_entry() -> bytes:
    """Made by renaming: the library that writes archives warns of a name used twice."""
    content = xlsx(more=[("xl/workbook.xmk", hostile.WORKBOOK)])
    return content.replace(b"xl/workbook.xmk", b"xl/workbook.xml")


def encrypted_zip() -> bytes:
    return hostile.with_changed_directory(xlsx(), "xl/workbook.xml", hostile.set_encrypted)


def encrypted_workbook() -> bytes:
    return office.encrypted(office.large_enough_to_encrypt(rows_xml(table())), "秘密")


def many_entries(count: int = 100_000) -> bytes:
    local, central = io.BytesIO(), io.BytesIO()
    for number in range(count):
        name, at = b"xl/%d.xml" % number, local.tell()
        sizes = struct.pack("<HHIIIHH", 0, 33, zlib.crc32(b""), 0, 0, len(name), 0)
        local.write(b"PK\x03\x04" + struct.pack("<HHH", 20, 0, 0) + sizes + name)
        central.write(
            b"PK\x01\x02" + struct.pack("<HHHH", 20, 20, 0, 0) + sizes + struct.pack("<HHHII", 0, 0, 0, 0, at) + name
        )
    listed = min(count, 0xFFFF)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, listed, listed, central.tell(), local.tell(), 0)
    return local.getvalue() + central.getvalue() + end


def symbolic_link() -> bytes:
    return hostile.with_changed_directory(xlsx(more=[("xl/link", b"/etc/passwd")]), "xl/link", hostile.set_symlink)


# XML


def billion_laughs() -> bytes:
    entities = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    return xlsx(doctype=b'<!DOCTYPE x [<!ENTITY a0 "ha">' + entities + b"]>")


def quadratic_entity() -> bytes:
    many = b'<row r="9"><c r="A9" t="inlineStr"><is><t>' + b"&a;" * 50_000 + b"</t></is></c></row>"
    long = b'<!DOCTYPE x [<!ENTITY a "' + b"ha" * 50_000 + b'">]>'
    return hostile.raw_xlsx(rows_xml(table()) + many, doctype=long)


def external_entity(address: bytes) -> bytes:
    return xlsx(doctype=b'<!DOCTYPE x [<!ENTITY f SYSTEM "' + address + b'">]>')


def far_cell() -> bytes:
    return hostile.raw_xlsx(rows_xml(table()) + b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')


def false_unique_count(claim: bytes = b"4294967295") -> bytes:
    shared = b'<?xml version="1.0"?><sst uniqueCount="' + claim + b'"><si><t>a</t></si></sst>'
    return xlsx(more=[("xl/sharedStrings.xml", shared)])


def many_cells() -> bytes:
    row = b'<row r="%d">' + b'<c r="%s%d"><v>%d</v></c>' * 7 + b"</row>"
    letters = (b"A", b"B", b"C", b"D", b"E", b"F", b"G")

    def cells(number: int) -> list[bytes | int]:
        return [
            part for place, letter in enumerate(letters) for part in (letter, number, (number * 7919 + place) % 99991)
        ]

    return hostile.raw_xlsx(b"".join(row % (number, *cells(number)) for number in range(1, 60_001)))


def blank_formatted_rows() -> bytes:
    blank = b"".join(b'<row r="%d" s="1" customFormat="1"/>' % number for number in range(4, 1_048_577))
    return hostile.raw_xlsx(rows_xml(table()) + blank)


def widest_sheet() -> bytes:
    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        put(sheet, table())
        for column in range(7, 16_384):
            sheet.write(1, column, column)

    return written(write)


# Sheet


def hidden_sheet_first() -> bytes:
    def write(book: xlsxwriter.Workbook) -> None:
        hidden, shown = book.add_worksheet("代码"), book.add_worksheet("名册")
        put(hidden, table())
        put(shown, table())
        shown.activate()
        shown.set_first_sheet()
        hidden.hide()

    return written(write)


def hidden_rows_and_columns() -> bytes:
    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        put(sheet, table())
        sheet.set_row(1, None, None, {"hidden": True})
        sheet.set_column(ID_NO, ID_NO, None, None, {"hidden": True})

    return written(write)


def merged_header() -> bytes:
    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        put(sheet, table()[1:], 2)
        for column, header in enumerate(table()[0]):
            sheet.merge_range(0, column, 1, column, header)

    return written(write)


def two_header_rows() -> bytes:
    """The person's columns stand together under one heading."""

    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        put(sheet, table()[1:], 2)
        sheet.merge_range(0, NAME, 0, BORN, "死者")
        for column, header in enumerate(table()[0]):
            sheet.write(0 if column in (0, DIED) else 1, column, header)

    return written(write)


def with_rows_around(above: Sequence[Sequence[object]], below: Sequence[Sequence[object]] = ()) -> bytes:
    return written(lambda book: put(book.add_worksheet(), [*above, *table(), *below]))


def dates_of_1904() -> bytes:
    """A text, eight digits, and a bare serial number of a book that counts from 1904: the same month."""

    def write(book: xlsxwriter.Workbook) -> None:
        rows = table((1, DIED, "2026年11月3日"), (2, DIED, 44867), (2, BORN, "19500101"))
        put(book.add_worksheet(), rows)

    return written(write, date_1904=True)


def read(number: int, name: str, build: Callable[[], bytes], file_name: str, *tells: str, rows: int = 2) -> Hostile:
    return Hostile(number, name, build, file_name, "read", rows, frozenset(tells))


def in_text(
    number: int, name: str, text: Callable[[], str], *tells: str, encoding: str = "utf-8", rows: int = 2
) -> Hostile:
    return read(number, name, lambda: text().encode(encoding), "a.csv", *tells, rows=rows)


FORMULA, BROKEN = b'<c r="%s"><f>A1</f></c>', b'<c r="%s" t="e"><f>1/0</f><v>#N/A</v></c>'
NUMBER = b'<c r="%s"><v>999001195001010030</v></c>'
COMMANDS = ((1, NAME, "=cmd|'/c calc'!A1"), (2, NAME, "@SUM(1)"))
MACRO = ("xl/vbaProject.bin", b"macro")
OBJECT = ("xl/embeddings/oleObject1.bin", b"object")
LINK = ("xl/externalLinks/externalLink1.xml", b"<externalLink/>")
FEW_CELLS = Limits(wall_seconds=60, max_cells=400_000)

CATALOGUE: list[Hostile] = [
    Hostile(1, "an empty file", lambda: b"", "a.xlsx", "F_EMPTY"),
    Hostile(2, "a picture", lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, "a.xlsx", "F_FORMAT_UNKNOWN"),
    Hostile(3, "a workbook cut in half", lambda: xlsx()[: len(xlsx()) // 2], "a.xlsx", "F_TRUNCATED"),
    Hostile(4, "a workbook minus its last byte", lambda: xlsx()[:-1], "a.xlsx", "F_TRUNCATED"),
    Hostile(5, "a zip bomb of blanks", bomb, "a.xlsx", "F_ZIP_UNSAFE"),
    read(6, "a bomb inside an entry that nobody opens", nested_bomb, "a.xlsx"),
    Hostile(7, "a false size in the directory", lying_size, "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(8, "a false size in the zip64 fields", lying_zip64, "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(9, "overlapping entries", overlapping_entries, "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(10, "a duplicate entry", duplicate_entry, "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(11, "an encrypted zip", encrypted_zip, "a.xlsx", "F_PASSWORD"),
    Hostile(12, "a workbook with a password", encrypted_workbook, "a.xlsx", "F_PASSWORD"),
    Hostile(13, "100,000 entries", many_entries, "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(14, "an entry outside", lambda: xlsx(more=[("../../etc/cron.d/x", b"")]), "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(15, "a symbolic link", symbolic_link, "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(16, "a macro", lambda: xlsx(more=[MACRO]), "a.xlsm", "F_MACRO"),
    Hostile(17, "an embedded object", lambda: xlsx(more=[OBJECT]), "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(18, "an external link", lambda: xlsx(more=[LINK]), "a.xlsx", "F_ZIP_UNSAFE"),
    read(19, "an .xls", lambda: office.simple_xls(table()), "a.xls"),
    read(20, "HTML named .xls", lambda: office.html_table(table()), "a.xls"),
    read(21, "a GBK table of text named .xls", lambda: csv(delimiter="\t").encode("gbk"), "a.xls"),
    read(22, "a WPS .et", lambda: office.simple_xls(table()), "a.et"),
    read(23, "an .ods", lambda: office.ods(table()), "a.ods"),
    Hostile(24, "text that begins like a zip", lambda: b"PK\x03\x04" + death_sheet(), "a.csv", "F_TRUNCATED"),
    Hostile(25, "a billion laughs", billion_laughs, "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(26, "a long entity many times", quadratic_entity, "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(27, "an entity of a file", lambda: external_entity(b"file:///etc/passwd"), "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(28, "an entity of the net", lambda: external_entity(b"http://127.0.0.1/"), "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(29, "a cell at XFD1048576", far_cell, "a.xlsx", "F_ZIP_UNSAFE"),
    Hostile(30, "a false count of strings", false_unique_count, "a.xlsx", "F_ZIP_UNSAFE"),
    read(31, "a dimension too small", lambda: xlsx(dimension=b'<dimension ref="A1:B2"/>'), "a.xlsx"),
    read(32, "a dimension too large", lambda: xlsx(dimension=b'<dimension ref="A1:XFD1048576"/>'), "a.xlsx"),
    Hostile(33, "more cells than allowed", many_cells, "a.xlsx", "F_TOO_MANY_CELLS", limits=FEW_CELLS),
    read(34, "1,048,576 blank formatted rows", blank_formatted_rows, "a.xlsx"),
    read(35, "16,384 columns", widest_sheet, "a.xlsx"),
    read(36, "a cell of 40,000 characters", lambda: xlsx((1, NAME, "王" * 40_000)), "a.xlsx", "E_TEXT_TOO_LONG"),
    read(37, "control characters", lambda: xlsx((1, NAME, "王_x0000__x0007_芳")), "a.xlsx"),
    read(38, "a hidden sheet first", hidden_sheet_first, "a.xlsx", "W_HIDDEN_SHEET"),
    read(39, "hidden rows and columns", hidden_rows_and_columns, "a.xlsx", "W_HIDDEN_ROWS", "W_HIDDEN_COLUMNS"),
    read(40, "a merged header", merged_header, "a.xlsx"),
    read(41, "two header rows", two_header_rows, "a.xlsx"),
    read(42, "a title above the header", lambda: with_rows_around([["死亡名册"], ["2026年11月"]]), "a.xlsx", "N_ROWS_SKIPPED"),
    Hostile(43, "a header twice", lambda: xlsx((0, SEX, "死者姓名")), "a.xlsx", "F_DUPLICATE_HEADER"),
    read(44, "a header with marks and blanks", lambda: xlsx((0, NAME, "*死者\u3000姓 \n名")), "a.xlsx"),
    read(45, "a total at the end", lambda: with_rows_around([], [["合计", 3]]), "a.xlsx", "N_ROWS_SKIPPED", "W_TOTAL_DIFFERS"),
    read(46, "a formula without a value", lambda: xlsx((1, DIED, FORMULA)), "a.xlsx", "E_FORMULA_NO_VALUE"),
    read(47, "an error in a cell", lambda: xlsx((1, NAME, BROKEN)), "a.xlsx", "E_FORMULA_NO_VALUE"),
    read(48, "an identity number typed as a number", lambda: xlsx((1, ID_NO, NUMBER)), "a.xlsx", "E_ID_TRUNCATED"),
    read(49, "dates in many forms", dates_of_1904, "a.xlsx"),
    in_text(50, "characters GB 18030-2022 moved", lambda: csv((1, NAME, "王\ue81e")), encoding="gb18030"),
    in_text(51, "a name beyond the basic plane", lambda: csv((1, NAME, "王𬭎")), encoding="gb18030"),
    Hostile(52, "two encodings", lambda: csv().encode() + csv().encode("gbk"), "a.csv", "F_ENCODING"),
    in_text(53, "UTF-16 without a mark", csv, encoding="utf-16-le"),
    Hostile(54, "a quote never closed", lambda: csv((2, NAME, '"王芳')).encode(), "a.csv", "F_UNREADABLE"),
    in_text(55, "a line end inside a cell", lambda: csv((1, NAME, '"王\r\n芳"'))),
    Hostile(56, "NUL bytes", lambda: csv((1, NAME, "王\0芳")).encode(), "a.csv", "F_UNREADABLE"),
    in_text(57, "semicolons", lambda: csv(delimiter=";")),
    in_text(58, "a command for a spreadsheet", lambda: csv(*COMMANDS), "E_FORMULA_NO_VALUE"),
    in_text(59, "characters without width", lambda: csv((1, NAME, "王\u200b\u202e芳"))),
    Hostile(60, "a single line of 10 MB", lambda: b"a,b\n" + b"x" * (10 << 20), "a.csv", "F_UNREADABLE"),
]  # fmt: skip
