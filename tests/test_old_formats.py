"""Old and odd formats, as the systems of departments really write them, give the rows that stand in them."""

import datetime
import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas
import pytest
import xlwt

from adapters.formats import xml_files
from adapters.formats.sandbox import Limits, UnreadableFile, decrypt, read_raw
from hub.exchange.check import CheckContext, check
from hub.exchange.file_notes import file_notes
from hub.exchange.parse import parse
from hub.registry.areas import build_index
from mappings.catalogue import Catalogue
from tests import hostile_files as hostile
from tests import office_files as office
from tests.hostile_files import simple_workbook
from tests.sheets import death_sheet, identity_number
from tests.test_formats import LIMITS, Sheet, sheets_of

ROWS: list[list[office.Cell]] = [
    ["姓名", "数", "日期"],
    ["王芳", 7, datetime.date(2011, 9, 16)],
    ["买买提·吐尔逊", 2.5, datetime.date(2026, 11, 3)],
    ["𬭎䶮", None, None],
]
TEXTS = [
    ("姓名", "数", "日期"),
    ("王芳", "7", "2011-09-16"),
    ("买买提·吐尔逊", "2.5", "2026-11-03"),
    ("𬭎䶮", None, None),
]
KINDS = [(0, 0, 0), (0, 1, 2), (0, 1, 2), (0, 0, 0)]


def read(tmp_path: Path, content: bytes, name: str = "upload.xls") -> list[Sheet]:
    path = tmp_path / name
    path.write_bytes(content)
    return sheets_of(path)


def refusal(tmp_path: Path, content: bytes) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(tmp_path, content)
    return caught.value


def written_by_openpyxl(path: Path) -> Path:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in ROWS:
        book.active.append(row)
    book.save(path)
    return path


@pytest.fixture(scope="module")
def workbooks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same rows, written by every program at hand."""
    folder = tmp_path_factory.mktemp("workbooks")
    made = {"openpyxl": written_by_openpyxl(folder / "a.xlsx")}
    pandas.DataFrame(ROWS[1:], columns=ROWS[0]).to_excel(folder / "pandas.xlsx", index=False)
    made |= {"pandas": folder / "pandas.xlsx", "xlsxwriter": folder / "xlsxwriter.xlsx"}
    hostile.workbook(made["xlsxwriter"], lambda book: _write(book), default_date_format="yyyy-mm-dd")
    contents = {"xlwt": office.simple_xls(ROWS), "XML of 2003": office.spreadsheet_2003(ROWS)}
    for name, content in contents.items():
        made[name] = folder / f"{name}.et"
        made[name].write_bytes(content)
    made |= {
        f"LibreOffice {kind}": path
        for kind, path in office.converted(made["openpyxl"], ("ods", "xls", "xlsx"), folder).items()
    }
    return made


def _write(book: object) -> None:
    sheet = book.add_worksheet()  # type: ignore[attr-defined]
    for number, row in enumerate(ROWS):
        sheet.write_row(number, 0, row)


def test_every_program_that_writes_workbooks_is_read_alike(workbooks: dict[str, Path]) -> None:
    read_of = {name: sheets_of(path)[0] for name, path in workbooks.items()}
    assert {name: sheet.cells() for name, sheet in read_of.items()} == dict.fromkeys(workbooks, TEXTS)
    assert {name: sheet.kinds() for name, sheet in read_of.items()} == dict.fromkeys(workbooks, KINDS)


def test_a_binary_workbook_is_read(tmp_path: Path) -> None:
    sheet = read(tmp_path, office.xlsb([["姓名", "数"], ["王芳", 7], ["李明", 2.5]], hidden_row=1))[0]
    assert sheet.raw.format == "xlsb"
    assert sheet.cells() == [("姓名", "数"), ("王芳", "7"), ("李明", "2.5")]
    assert sheet.raw.facts["hidden_rows"] == 1


@pytest.mark.parametrize("name", ["upload.xlsx", "upload.xls", "upload.et", "upload.csv"])
def test_the_content_decides_and_never_the_name(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, office.simple_xls(ROWS), name)[0].cells() == TEXTS
    assert read(tmp_path, simple_workbook(tmp_path / "a", [["a"]]).read_bytes(), name)[0].cells() == [("a",)]
    assert read(tmp_path, "姓名\t数\n王芳\t7\n".encode("gb18030"), name)[0].cells() == [("姓名", "数"), ("王芳", "7")]


def test_an_old_workbook_tells_its_epoch_its_errors_and_what_it_hides(tmp_path: Path) -> None:
    def write(book: xlwt.Workbook) -> None:
        book.dates_1904 = True
        sheet = book.add_sheet("名册")
        day = xlwt.XFStyle()
        day.num_format_str = "yyyy-mm-dd"
        sheet.write(0, 0, "日期")
        sheet.write(1, 0, datetime.date(2011, 9, 16), day)
        sheet.write(2, 0, "#N/A")
        sheet.row(3).set_cell_error(0, 0x2A)
        sheet.row(2).hidden = True
        sheet.write(0, 1, "性别")
        sheet.col(1).hidden = True
        book.add_sheet("代码").visibility = 1

    first, second = read(tmp_path, office.xls(write))
    assert first.cells() == [("日期", "性别"), ("2011-09-16", None), ("#N/A", None), ("#N/A", None)]
    assert first.kinds() == [(0, 0), (2, 0), (0, 0), (4, 0)]
    facts = first.raw.facts
    assert (facts["epoch_1904"], facts["hidden_rows"], facts["hidden_columns"]) == (True, 1, [2])
    assert (second.raw.name, second.raw.hidden) == ("代码", True)


# HTML, XML


def test_html_under_a_workbooks_name_is_laid_out_as_it_is_shown(tmp_path: Path) -> None:
    page = (
        '<html><head><meta http-equiv="Content-Type" content="text/html; charset=gb2312"><style>td{}</style></head>'
        "<body><p>导出</p><table><TR><td colspan=3 align=center>花名册</TR><tr><th>村<th>姓名<th>住址</tr>"
        "<tr><td rowspan=2>东风村<td><b>买买提</b>&middot;吐尔逊<td>1组<br>\n 2号</tr><!-- <tr><td>x</tr> -->"
        "<tr><td>王芳&nbsp;<td>&lt;无&gt;</table></body></html>"
    )
    sheet = read(tmp_path, page.encode("gb18030"))[0]
    assert sheet.raw.format == "html"
    assert sheet.cells() == [
        ("花名册", None, None), ("村", "姓名", "住址"), ("东风村", "买买提·吐尔逊", "1组\n2号"), ("东风村", "王芳", "<无>"),
    ]  # fmt: skip
    assert sheet.frame["k0"].to_list() == [0, 0, 0, 8]


def test_each_table_with_rows_is_a_sheet_also_inside_another(tmp_path: Path) -> None:
    page = (
        b"<table><tr><td>outer<td><table><tr><td>inner</table></tr></table><table></table><table><tr><td>last</table>"
    )
    sheets = read(tmp_path, page)
    assert [(sheet.raw.name, sheet.cells()) for sheet in sheets] == [
        ("表1", [("outer", None)]), ("表2", [("inner",)]), ("表3", [("last",)]),
    ]  # fmt: skip


@pytest.mark.parametrize(("encoding", "declared"), [("utf-8", "gb2312"), ("gbk", "utf-8"), ("utf-16", "gb2312")])
def test_html_is_read_by_its_bytes_and_not_by_a_false_declaration(encoding: str, declared: str, tmp_path: Path) -> None:
    page = f"<html><meta charset={declared}><table><tr><td>姓名<td>性别<td>住址</table>"
    assert read(tmp_path, page.encode(encoding))[0].cells() == [("姓名", "性别", "住址")]


def test_a_spreadsheet_in_the_xml_of_2003_keeps_places_types_merges_and_hidden_parts(tmp_path: Path) -> None:
    body = (
        '<ExcelWorkbook xmlns="urn:schemas-microsoft-com:office:excel"><Date1904/></ExcelWorkbook>'
        '<Worksheet ss:Name="名册"><Table><Column ss:Index="2" ss:Hidden="1" ss:Span="1"/>'
        '<Row ss:Index="3"><Cell ss:MergeDown="1" ss:MergeAcross="1"><ss:Data ss:Type="String">东<B>风</B>村</ss:Data></Cell>'
        '<Cell><Data ss:Type="Number">9.99001199003071E17</Data></Cell><Cell ss:Formula="=RC[-1]+1"/></Row>'
        '<Row ss:Hidden="1"><Cell ss:Index="3"><Data ss:Type="DateTime">2026-11-03T08:30:00.000</Data><Comment>'
        "<ss:Data>批注</ss:Data></Comment></Cell>"
        '<Cell><Data ss:Type="Error">#N/A</Data></Cell><Cell><Data ss:Type="Boolean">1</Data></Cell></Row></Table></Worksheet>'
        '<Worksheet ss:Name="代码"><Table><Row><Cell><Data ss:Type="String">x</Data></Cell></Row></Table>'
        "<x:WorksheetOptions><x:Visible>SheetHidden</x:Visible></x:WorksheetOptions></Worksheet>"
    )
    first, second = read(tmp_path, (office.SPREADSHEET % body).encode())
    assert first.frame["sheet_row"].to_list() == [3, 4]
    assert first.cells() == [
        ("东风村", None, "999001199003070976", "=RC[-1]+1", None),
        ("东风村", None, "2026-11-03 08:30:00", "#N/A", "true"),
    ]  # fmt: skip
    assert first.kinds() == [(0, 0, 1, 4, 0), (8, 0, 2, 4, 3)]
    facts = first.raw.facts
    assert (facts["epoch_1904"], facts["hidden_rows"], facts["hidden_columns"]) == (True, 1, [2, 3])
    assert (second.raw.name, second.raw.hidden, second.frame.height) == ("代码", True, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "gb2312", "utf-16"])
def test_plain_xml_of_named_fields_is_rows_under_their_names(encoding: str, tmp_path: Path) -> None:
    page = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<x:表 xmlns:x="urn:x"><row><姓名>王芳</姓名><性别> 女 </性别></row>'
        '<record 姓名="李明"><住址>1组&amp;2组</住址></record><row/></x:表>'
    )
    sheet = read(tmp_path, page.encode(encoding))[0]
    assert sheet.frame["sheet_row"].to_list() == [0, 1, 2]
    assert sheet.cells() == [("姓名", "性别", "住址"), ("王芳", "女", None), ("李明", None, "1组&2组")]


def sheet_2003(rows: str) -> bytes:
    return (office.SPREADSHEET % f"<Worksheet><Table>{rows}</Table></Worksheet>").encode()


@pytest.mark.parametrize(("content", "code", "reason"), [
    (b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "b">]><r><row><a>&a;</a></row></r>', "F_ZIP_UNSAFE", "doctype"),
    (b'<!DOCTYPE r SYSTEM "http://127.0.0.1/"><r><row><a>1</a></row></r>', "F_ZIP_UNSAFE", "doctype"),
    (b"<r>" + b"<a>" * 1_000_000, "F_UNREADABLE", "xml_nested"),
    (b"<r><row><a>1</a><a>2</a></row></r>", "F_UNREADABLE", "xml_repeated"),
    (b"<r><row><a>1", "F_UNREADABLE", "xml"),
    (b"<r></r>", "F_FORMAT_UNKNOWN", None),
    (sheet_2003('<Row ss:Index="99999999"/>'), "F_ZIP_UNSAFE", "far_cell"),
    (sheet_2003('<Row><Cell ss:Index="-1"/></Row>'), "F_UNREADABLE", "damaged_workbook"),
    (sheet_2003("<Row><Cell><Data>" + f"<B>{'x' * 1000}</B>" * 1_100 + "</Data></Cell></Row>"), "F_UNREADABLE",
     "cell_too_long"),
    (b"<html><body>404 Not Found</body></html>", "F_FORMAT_UNKNOWN", None),
    (b"MIME-Version: 1.0\nContent-Type: multipart/related\n\n<html>", "F_FORMAT_UNKNOWN", None),
    (b"<html><table>" * 3_000, "F_UNREADABLE", "nested_tables"),
    (b"<table><tr>" + b"<td colspan=1000>" * 20, "F_UNREADABLE", "columns"),
    (b"<table><!-- " + b"x" * (3 << 20), "F_UNREADABLE", "markup"),
    (b"<table><tr><td>" + b"x" * (3 << 20), "F_UNREADABLE", "cell_too_long"),
])  # fmt: skip
def test_markup_made_to_do_harm_ends_in_a_clear_code(
    content: bytes, code: str, reason: str | None, tmp_path: Path
) -> None:
    refused = refusal(tmp_path, content)
    assert (refused.code, refused.params.get("reason")) == (code, reason)


def test_an_entity_would_be_read_if_a_document_type_were_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    page = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "王芳">]><r><row><姓名>&a;</姓名></row></r>'.encode()
    with pytest.raises(UnreadableFile, match="doctype"):
        xml_files.send_xml(io.BytesIO(page), io.BytesIO(), LIMITS)
    monkeypatch.setattr(xml_files, "_refuse_doctype", lambda *_: None)
    sent = io.BytesIO()
    xml_files.send_xml(io.BytesIO(page), sent, LIMITS)
    assert "王芳".encode() in sent.getvalue()


def test_merges_over_a_million_places_are_counted_and_refused(tmp_path: Path) -> None:
    page = b"<table><tr>" + b"<td colspan=1000 rowspan=1000000>a" * 16 + b"<tr><td>b" * 3_000
    path = tmp_path / "a.xls"
    path.write_bytes(page)
    with pytest.raises(UnreadableFile, match="F_TOO_MANY_CELLS"):
        list(read_raw(path, Limits(max_cells=1_000_000)))


# dBASE

FIELDS = [("姓名", "C", 7), ("出生日期", "D", 8), ("号码", "N", 20), ("备注", "M", 10), ("在籍", "L", 1)]
RECORDS = [
    ("王芳", "19900307", "7", "         1", "T"), ("买买提", "20110931", "2.50", "", "F"),
    ("删", "00000000", "", "", ""), ("李明明明", "00000000", "*" * 20, "", "?"),
]  # fmt: skip


def test_a_dbase_table_without_a_language_is_read_and_its_faults_are_told(tmp_path: Path) -> None:
    sheet = read(tmp_path, office.dbf(FIELDS, RECORDS, deleted=[2]), "upload.dbf")[0]
    assert sheet.frame["sheet_row"].to_list() == [0, 1, 2, 4]
    assert sheet.cells()[1:] == [
        ("王芳", "1990-03-07", "7", None, "true"), ("买买提", "20110931", "2.50", None, "false"),
        ("李明明\ufffd", None, "*" * 20, None, None),
    ]  # fmt: skip
    assert sheet.kinds()[1:] == [(0, 2, 1, 0, 3), (0, 0, 1, 0, 3), (0, 0, 4, 0, 0)]
    assert (sheet.raw.facts["deleted_rows"], sheet.raw.facts["memo_columns"]) == (1, ["备注"])


@pytest.mark.parametrize("language", [0, 0x03, 0x4D, 0x7A])
def test_the_language_of_a_chinese_dbase_table_is_never_asked(language: int, tmp_path: Path) -> None:
    content = office.dbf([("姓名", "C", 10)], [("𬭎䶮",), (b"\xb2\xee\xa1\xa4\xfe\x59",)], language=language)
    assert read(tmp_path, content)[0].cells() == [("姓名",), ("𬭎䶮",), ("差·龴",)]


def _changed(at: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content[:at] + value + content[at + len(value) :]


@pytest.mark.parametrize(("change", "code"), [
    (_changed(4, b"\xff\xff\xff\xff"), "F_TRUNCATED"),
    (_changed(4, b"\x02\0\0\0"), "F_ROW_COUNT"),
    (_changed(8, b"\xff\xff"), "F_UNREADABLE"),
    (_changed(10, b"\0\0"), "F_UNREADABLE"),
    (_changed(32 + 16, b"\xff"), "F_UNREADABLE"),
    (_changed(32 + 16, b"\0"), "F_UNREADABLE"),
    (lambda content: content[:-60], "F_TRUNCATED"),
], ids=["2**32 records", "fewer records", "long header", "record of nothing", "wide field", "field of nothing", "cut"])  # fmt: skip
def test_a_dbase_header_that_lies_is_not_believed(change: Callable[[bytes], bytes], code: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, change(office.dbf(FIELDS, RECORDS))).code == code


# Passwords


def test_a_workbook_protected_by_the_default_password_opens_silently(tmp_path: Path) -> None:
    content = office.encrypted(office.large_enough_to_encrypt(), "VelvetSweatshop")
    assert read(tmp_path, content)[0].cells() == [("a", "b"), ("x", "5")]


def test_a_password_opens_a_workbook_once_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    plain = office.large_enough_to_encrypt()
    path, target = tmp_path / "a.xlsx", tmp_path / "opened"
    path.write_bytes(office.encrypted(plain, "秘密Pass1"))
    with pytest.raises(UnreadableFile, match="F_PASSWORD"):
        sheets_of(path)
    with pytest.raises(UnreadableFile, match="F_WRONG_PASSWORD"):
        decrypt(path, "秘密pass1", target, LIMITS)
    assert not target.exists()
    decrypt(path, "秘密Pass1", target, LIMITS)
    assert target.read_bytes() == plain
    assert [Sheet(raw).cells() for raw in read_raw(path, LIMITS, password="秘密Pass1")] == [[("a", "b"), ("x", "5")]]


def test_an_old_workbook_with_a_password_opens_with_it_or_silently_with_the_default(tmp_path: Path) -> None:
    path, target = tmp_path / "a.xls", tmp_path / "opened"
    path.write_bytes(office.encrypted_xls(ROWS, "Pass1"))
    with pytest.raises(UnreadableFile, match="F_PASSWORD"):
        sheets_of(path)
    with pytest.raises(UnreadableFile, match="F_WRONG_PASSWORD"):
        decrypt(path, "pass1", target, LIMITS)
    decrypt(path, "Pass1", target, LIMITS)
    assert sheets_of(target)[0].cells() == TEXTS
    assert read(tmp_path, office.encrypted_xls(ROWS, "VelvetSweatshop"))[0].cells() == TEXTS


def test_a_password_stands_on_no_command_line_and_in_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[object, object]] = []
    start = subprocess.Popen

    def noted(command: list[str], **options: Any) -> object:
        started.append((command, options["env"]))
        return start(command, **options)

    monkeypatch.setattr(subprocess, "Popen", noted)
    path = tmp_path / "a.xlsx"
    path.write_bytes(office.encrypted(office.large_enough_to_encrypt(), "秘密Pass1"))
    decrypt(path, "秘密Pass1", tmp_path / "opened", LIMITS)
    assert len(started) == 1
    assert "Pass1" not in str(started)


def test_what_has_no_password_is_not_decrypted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n")
    with pytest.raises(UnreadableFile, match="F_FORMAT_UNKNOWN"):
        decrypt(path, "x", tmp_path / "opened", LIMITS)


# What is told of it


def test_what_a_file_hides_or_leaves_behind_is_told_once() -> None:
    sheets = [
        {"sheet": "名册", "hidden_rows": 3, "hidden_columns": [2, 28]},
        {"sheet": "", "deleted_rows": 2, "memo_columns": ["备注"], "hidden_rows": 0, "hidden_columns": []},
    ]
    assert list(file_notes({"sheets": sheets})) == [
        ("W_HIDDEN_ROWS", 0, {"sheet": "名册", "count": 3}),
        ("W_HIDDEN_COLUMNS", 0, {"sheet": "名册", "columns": "B、AB"}),
        ("W_MEMO_MISSING", 0, {"columns": "备注"}),
        ("N_ROWS_DELETED", 0, {"count": 2}),
    ]


def test_data_of_a_merged_cell_is_taken_for_each_row_and_warned_of(tmp_path: Path, catalogue: Catalogue) -> None:
    rows = [line.split(",") for line in death_sheet().decode("utf-8-sig").splitlines()]

    def write(book: xlwt.Workbook) -> None:
        sheet = book.add_sheet("一")
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if column != 6 or not number:
                    sheet.write(number, column, cell)
        sheet.write_merge(1, 2, 6, 6, rows[1][6])

    path = tmp_path / "a.xls"
    path.write_bytes(office.xls(write))
    record_type = catalogue.record_types["death_certificate"]
    parsed = parse(path, record_type, catalogue.mapping_for("health", "health", record_type.code), catalogue, LIMITS)
    context = CheckContext(
        record_type=record_type, mapping=None, catalogue=catalogue, areas=build_index([]),
        today=datetime.date(2026, 11, 20), fictitious_prefixes=("999001",), digest_key=b"x" * 32,
        seal=lambda many: many, new_uuids=lambda count: [identity_number(order=n) for n in range(count)],
    )  # fmt: skip
    batches = list(check(parsed.frames, parsed.columns, context))
    warned = [row for batch in batches for row in batch.errors.rows(named=True) if row["code"] == "W_FILLED_DOWN"]
    assert [row["row_no"] for row in warned] == [2]
    assert [date for batch in batches for date in batch.staged["death_date"].to_list()] == [
        datetime.date(2026, 11, 3)
    ] * 2
