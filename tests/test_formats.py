"""What stands in a file is what comes out: delimited text, workbooks and JSON, as departments really write them."""

import csv
import datetime
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.formats.delimited import Batch, DelimitedReader
from adapters.formats.encodings import TextSource
from adapters.formats.plain_lines import PlainRows
from adapters.formats.sandbox import Limits, RawSheet, UnreadableFile, read_raw
from adapters.formats.unreadable import Order
from tests import hostile_files as hostile
from tests.hostile_files import simple_workbook, workbook

LIMITS = Limits(wall_seconds=60)


class Sheet:
    """A sheet read to its end."""

    def __init__(self, raw: RawSheet) -> None:
        frames = list(raw.batches)
        self.raw = raw
        self.frame = pl.concat(frames, how="diagonal") if frames else pl.DataFrame()

    def cells(self) -> list[tuple[str | None, ...]]:
        return self.frame.select(pl.selectors.matches(r"^c\d+$")).rows()

    def kinds(self) -> list[tuple[int, ...]]:
        return self.frame.select(pl.selectors.matches(r"^k\d+$")).rows()


def sheets_of(path: Path) -> list[Sheet]:
    return [Sheet(raw) for raw in read_raw(path, LIMITS)]


def text_cells(tmp_path: Path, content: bytes) -> list[tuple[str | None, ...]]:
    path = tmp_path / "upload"
    path.write_bytes(content)
    return sheets_of(path)[0].cells()


TABLE = "姓名,性别\n王芳,女\n李明,男\n"
ROWS = [("姓名", "性别"), ("王芳", "女"), ("李明", "男")]


@pytest.mark.parametrize(("content", "encoding"), [
    (TABLE.encode(), "utf-8"),
    (TABLE.encode("utf-8-sig"), "utf-8-sig"),
    (TABLE.encode("gb18030"), "gb18030"),
    (TABLE.encode("utf-16"), "utf-16-le"),
    (b"\xfe\xff" + TABLE.encode("utf-16-be"), "utf-16-be"),
    (TABLE.encode("utf-16-le"), "utf-16-le"),
    (TABLE.encode("utf-16-be"), "utf-16-be"),
])  # fmt: skip
def test_every_encoding_of_the_ladder_gives_the_same_rows(content: bytes, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    sheet = sheets_of(path)[0]
    assert sheet.cells() == ROWS
    assert sheet.raw.encoding == encoding


@pytest.mark.parametrize("text", ["姓名\n王芳", "男", "联系\n通知"])
def test_a_very_short_gb18030_file_is_not_taken_for_another_encoding(text: str, tmp_path: Path) -> None:
    assert text_cells(tmp_path, text.encode("gb18030")) == [(line,) for line in text.split("\n")]


def test_a_file_that_is_ascii_for_megabytes_may_still_be_gb18030(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" * 1_000_000 + "王芳,女\n".encode("gb18030"))
    sheet = sheets_of(path)[0]
    assert sheet.cells()[-1] == ("王芳", "女")
    assert sheet.raw.facts["encoding"] == "gb18030"


@pytest.mark.parametrize(("gb_bytes", "character"), [
    (b"\xfe\x59", "龴"), (b"\xfe\xa0", "\u9fbb"), (b"\xa8\xbc", "\u1e3f"), (b"\xa6\xd9", "\ufe10"), (b"\xa6\xda", "\ufe12"),
    ("䶮".encode("gb18030"), "䶮"), ("𬭎".encode("gb18030"), "𬭎"), (b"\xa1\xa4", "·"),
])  # fmt: skip
def test_characters_gb18030_2022_moved_arrive_where_they_are_now(
    gb_bytes: bytes, character: str, tmp_path: Path
) -> None:
    content = "姓名,性别\n王".encode("gb18030") + gb_bytes + ",女\n".encode("gb18030")
    assert text_cells(tmp_path, content)[1] == (f"王{character}", "女")


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_found(delimiter: str, tmp_path: Path) -> None:
    assert text_cells(tmp_path, TABLE.replace(",", delimiter).encode()) == ROWS


def test_a_title_with_commas_does_not_choose_the_delimiter(tmp_path: Path) -> None:
    text = "东风镇,花名册,2025年\n姓名;性别\n王芳;女\n李明;男\n"
    assert text_cells(tmp_path, text.encode())[2] == ("王芳", "女")


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_understood(line_end: str, tmp_path: Path) -> None:
    assert text_cells(tmp_path, TABLE.replace("\n", line_end).encode()) == ROWS


def test_quotes_line_ends_in_cells_and_ragged_rows_lose_nothing(tmp_path: Path) -> None:
    text = 'a,b\n"x, ""y""","1\n2"\nshort\nlong,1,2,3\n5" pipe,\n'
    assert text_cells(tmp_path, text.encode()) == [
        ("a", "b", None, None), ('x, "y"', "1\n2", None, None), ("short", None, None, None), ("long", "1", "2", "3"),
        ('5" pipe', None, None, None),
    ]  # fmt: skip


def test_blank_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n\n1,2\n")
    frame = sheets_of(path)[0].frame
    assert frame.rows() == [(1, "a", "b"), (2, None, None), (3, "1", "2")]


def test_a_row_longer_than_any_before_keeps_its_cells(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" * 400_000 + b"1,2,3\n" + b"a,b\n" * 900_000)
    frame = sheets_of(path)[0].frame
    assert frame.row(400_000) == (400_001, "1", "2", "3")
    assert frame.height == 1_300_001
    assert frame["sheet_row"].to_list()[-1] == 1_300_001


def rows_of(batch: Batch) -> list[tuple[str | None, ...]]:
    return [*zip(*batch.columns, strict=True)] if isinstance(batch, PlainRows) else batch[:, 1:].rows()


_cells = st.text(alphabet='a中 ",\n;', max_size=4)
_tables = st.lists(st.lists(_cells, min_size=1, max_size=4), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(_tables, st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_what_a_csv_writer_wrote_is_read_back(rows: list[list[str]], quoting: int) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows(rows)  # type: ignore[arg-type]
    reader = DelimitedReader(TextSource(io.BytesIO(text.getvalue().encode())), LIMITS)
    reader_learns = reader._learn

    def learn(sample: bytes) -> None:  # which delimiter a heap of punctuation suggests is not the question here
        reader_learns(sample)
        reader.delimiter, reader.width = ",", max(map(len, rows))

    reader._learn = learn  # type: ignore[method-assign]
    got = [[cell for cell in row if cell] for batch in reader.batches() for row in rows_of(batch)]
    assert got == [[cell for cell in row if cell] for row in rows]


_texts = st.lists(st.sampled_from(["a", "中", ",", "\t", ";", "\n", "\r\n", "\r", " ", "'", "\ufeff", '"']), min_size=1)


@settings(max_examples=300, deadline=None)
@given(_texts, st.integers(1, 4), st.sampled_from(",\t;"))
def test_what_is_split_line_by_line_is_what_the_vectorised_reader_would_give(
    text: list[str], width: int, delimiter: str
) -> None:
    sent = "".join(text).encode()
    reader = DelimitedReader(TextSource(io.BytesIO(sent)), LIMITS)
    reader.delimiter, reader.width = delimiter, width
    if plain := [row for batch in reader._plain(sent) for row in rows_of(batch)]:
        frame = reader._vectorised(sent, quoted=False)
        assert frame is not None and plain == frame.rows()


@pytest.mark.parametrize(("sent", "needed"), [(b"a,b\r\n1,2\n3,4", False), (b'a,b\n"1",2\n', True)])
def test_a_small_plain_file_is_read_without_what_reads_millions_of_rows(
    tmp_path: Path, sent: bytes, needed: bool
) -> None:
    """To load it is most of the time such a file takes."""
    path = tmp_path / "a.csv"
    path.write_bytes(sent)
    told = "import sys; from adapters.formats.child import main; main(sys.argv[1]); sys.exit('polars' in sys.modules)"
    order = msgspec.json.encode(Order(limits=LIMITS)).decode()
    with path.open("rb") as file:
        done = subprocess.run([sys.executable, "-c", told, order], stdin=file, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (needed, b"")


def test_a_workbook_gives_texts_and_kinds(tmp_path: Path) -> None:
    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet("一")
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, ["文字", "数", "小数", "日期", "时间", "真", "公式", "无值", "错"])
        sheet.write_row(1, 0, ["王芳", 7, 2011.1])
        sheet.write_datetime(1, 3, datetime.datetime(2025, 9, 1), day)
        sheet.write_datetime(
            1, 4, datetime.datetime(2025, 9, 1, 8, 30), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        )
        sheet.write_boolean(1, 5, True)
        sheet.write_formula(1, 6, "=B2", None, 7)
        sheet.write_formula(1, 7, "=B2", None, "")
        sheet.write_formula(1, 8, "=1/0", None, "#DIV/0!")

    sheet = sheets_of(workbook(tmp_path / "a.xlsx", write))[0]
    assert sheet.cells()[1] == (
        "王芳",
        "7",
        "2011.1",
        "2025-09-01",
        "2025-09-01 08:30:00",
        "true",
        "7",
        "=B2",
        "#DIV/0!",
    )
    assert sheet.kinds()[1] == (0, 1, 1, 2, 2, 3, 1, 4, 4)


def test_an_identity_number_typed_as_a_number_is_a_number(tmp_path: Path) -> None:
    path = simple_workbook(tmp_path / "a.xlsx", [["身份证号"], [999001199003071233]])
    sheet = sheets_of(path)[0]
    assert sheet.kinds()[1] == (1,)
    text = sheet.cells()[1][0]
    assert text is not None
    assert text.startswith("9990011990030712")
    assert text.isdigit()


def test_columns_keep_their_letters_when_the_first_is_empty(tmp_path: Path) -> None:
    sheet = sheets_of(simple_workbook(tmp_path / "a.xlsx", [[], [None, None, "姓名"], [], [None, None, "王芳"]]))[0]
    assert sheet.frame["c0"].to_list() == [None] * 4
    assert sheet.frame.select("sheet_row", "c2").rows() == [(1, None), (2, "姓名"), (3, None), (4, "王芳")]


def test_a_value_merged_over_rows_stands_in_each_and_is_told(tmp_path: Path) -> None:
    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["村", "姓名"])
        sheet.merge_range(1, 0, 3, 0, "东风村")
        for row, name in enumerate(["王芳", "李明", "赵云"], 1):
            sheet.write(row, 1, name)

    sheet = sheets_of(workbook(tmp_path / "a.xlsx", write))[0]
    assert sheet.cells()[1:] == [("东风村", "王芳"), ("东风村", "李明"), ("东风村", "赵云")]
    assert sheet.raw.facts["merged_cells"] == [[3, 0], [4, 0]]


def test_a_hidden_sheet_is_told_and_not_read(tmp_path: Path) -> None:
    def write(book: xlsxwriter.Workbook) -> None:
        hidden = book.add_worksheet("代码")
        shown = book.add_worksheet("名册")
        hidden.write(0, 0, "机密")
        shown.write(0, 0, "姓名")
        shown.activate()
        shown.set_first_sheet()
        hidden.hide()

    sheets = sheets_of(workbook(tmp_path / "a.xlsx", write))
    assert [(sheet.raw.name, sheet.raw.hidden, sheet.frame.height) for sheet in sheets] == [
        ("代码", True, 0),
        ("名册", False, 1),
    ]


def test_hidden_rows_and_columns_are_read_and_told(tmp_path: Path) -> None:
    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        for row in range(4):
            sheet.write_row(row, 0, ["a", "b", "c"])
        sheet.set_row(2, None, None, {"hidden": True})
        sheet.set_column(1, 1, None, None, {"hidden": True})

    sheet = sheets_of(workbook(tmp_path / "a.xlsx", write))[0]
    assert sheet.cells() == [("a", "b", "c")] * 4
    assert (sheet.raw.facts["hidden_rows"], sheet.raw.facts["hidden_columns"]) == (1, [2])


def test_the_1904_epoch_is_told_and_dates_are_right(tmp_path: Path) -> None:
    def write(book: xlsxwriter.Workbook) -> None:
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        book.add_worksheet().write_datetime(0, 0, datetime.datetime(2011, 9, 16), day)

    sheet = sheets_of(workbook(tmp_path / "a.xlsx", write, date_1904=True))[0]
    assert sheet.cells() == [("2011-09-16",)]
    assert sheet.raw.facts["epoch_1904"] is True


@pytest.mark.parametrize("dimension", [b'<dimension ref="A1:A1"/>', b'<dimension ref="A1:XFD1048576"/>'])
def test_a_false_dimension_changes_nothing(dimension: bytes, tmp_path: Path) -> None:
    assert text_cells(tmp_path, hostile.raw_xlsx(dimension=dimension)) == [("a", "b"), ("x", "5")]


def test_blank_formatted_rows_below_the_table_cost_nothing(tmp_path: Path) -> None:
    blank = b"".join(b'<row r="%d"><c r="A%d" s="0"/></row>' % (n, n) for n in range(3, 200_000))
    assert text_cells(tmp_path, hostile.raw_xlsx(hostile.GOOD_ROWS + blank)) == [("a", "b"), ("x", "5")]


def test_a_row_of_empty_strings_is_no_disagreement_of_counts(tmp_path: Path) -> None:
    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["a", "b"])
        sheet.write_row(2, 0, ["x", "y"])
        sheet.write_string(3, 0, "")
        sheet.write_string(4, 0, " ")

    sheet = sheets_of(workbook(tmp_path / "a.xlsx", write))[0]
    assert sheet.cells()[:3] == [("a", "b"), (None, None), ("x", "y")]


def test_two_counts_that_disagree_refuse_the_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    commented = b"<!-- " + hostile.GOOD_ROWS.replace(b'r="1"', b'r="3"').replace(b'r="2"', b'r="4"') + b" -->"
    path.write_bytes(hostile.raw_xlsx(hostile.GOOD_ROWS + commented))  # the parser skips what the scan counts
    with pytest.raises(UnreadableFile, match="F_ROW_COUNT"):
        sheets_of(path)


def test_a_namespace_prefix_is_read_like_none(tmp_path: Path) -> None:
    prefixed = hostile.sheet_xml(hostile.GOOD_ROWS).replace(b"xmlns=", b"xmlns:x=").replace(b"</", b"</x:")
    for tag in (b"worksheet", b"sheetData", b"row", b"c ", b"v>", b"is>", b"t>"):
        prefixed = prefixed.replace(b"<" + tag, b"<x:" + tag)
    path = tmp_path / "a.xlsx"
    path.write_bytes(hostile.zipped(hostile.raw_parts(prefixed)))
    assert sheets_of(path)[0].cells() == [("a", "b"), ("x", "5")]


@pytest.mark.parametrize("content", [
    '{"姓名":"王芳","数":5}\n{"姓名":null,"数":1.5,"真":true}\n',
    '[{"姓名":"王芳","数":5},{"姓名":null,"数":1.5,"真":true}]',
    '{"rows": [{"姓名":"王芳","数":5},\n {"姓名":null,"数":1.5,"真":true}]}',
])  # fmt: skip
def test_json_becomes_rows_under_its_keys(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    sheet = sheets_of(path)[0]
    assert sheet.cells() == [("姓名", "数", "真"), ("王芳", "5", None), (None, "1.5", "true")]
    assert sheet.frame["sheet_row"].to_list() == [0, 1, 2]


def test_a_long_number_in_json_keeps_every_digit(tmp_path: Path) -> None:
    assert text_cells(tmp_path, b'{"id":999001199003071233}\n')[1] == ("999001199003071233",)


@pytest.fixture
def stopped_child(tmp_path: Path) -> Iterator[tuple[int, Iterator[pl.DataFrame]]]:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n" * 1_000_000)
    sheets = read_raw(path, LIMITS)
    batches = next(sheets).batches
    next(batches)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    yield int(children[-1]), batches
    sheets.close()


def test_a_child_that_is_killed_is_an_unreadable_file(stopped_child: tuple[int, Iterator[pl.DataFrame]]) -> None:
    child, batches = stopped_child
    os.kill(child, signal.SIGKILL)
    time.sleep(0.1)
    with pytest.raises(UnreadableFile, match="F_UNREADABLE"):
        for _ in batches:
            pass
