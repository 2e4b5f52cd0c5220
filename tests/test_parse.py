"""A department's sheet is understood as it is: titles, two-row headers, totals, sections; what is not understood is said."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from hub.errors import FileRefused
from hub.exchange.layout import Vocabulary, find_layout, normalise
from hub.exchange.parse import Limits, ParsedFile, parse
from mappings.catalogue import Catalogue, ColumnRule, Field, Mapping, RecordType, Role
from tests.hostile_files import simple_workbook, workbook

LIMITS = Limits(wall_seconds=60)


def _field(name: str, title: str, kind: str = "text", *, required: bool = False) -> Field:
    return Field(name=name, title=title, type=kind, sensitivity="personal", required=required)  # type: ignore[arg-type]


def _type(code: str, title: str, fields: Sequence[Field], people: tuple[Role, ...] = ()) -> RecordType:
    return RecordType(
        code=code, title=title, title_en=code, natural_key=("id_no",), event_date="", sources=("police",), people=people,
        fields=tuple(fields), dropped_headers=("节育措施",),
    )  # fmt: skip


BIRTH = _type("newborn", "新生儿落户", [
    _field("name", "新生儿姓名", "name", required=True), _field("sex", "性别", "code"),
    _field("birth_date", "出生日期", "date", required=True), _field("id_no", "公民身份号码", "id_no", required=True),
    _field("mother_name", "母亲姓名", "name"), _field("mother_id_no", "母亲公民身份号码", "id_no"),
    _field("address", "落户地址"), _field("weight", "出生体重", "decimal"),
], (Role(role="mother", title="母亲", prefix="mother_", required=False, identifiers=()),))  # fmt: skip
DEATH = _type("death", "死亡注销", [
    _field("name", "姓名", "name", required=True), _field("id_no", "公民身份号码", "id_no", required=True),
    _field("sex", "性别", "code"), _field("death_date", "死亡日期", "date", required=True), _field("cause", "注销原因"),
])  # fmt: skip


def _rule(field: str, header: str, *synonyms: str, group: str = "") -> ColumnRule:
    return ColumnRule(field=field, header=header, synonyms=synonyms, group=group)


BIRTH_MAPPING = Mapping(
    organisation="police", record_type="newborn", title="{unit}{month}新生儿落户花名册", ignored=("序号", "承办民警"),
    columns=(
        _rule("name", "新生儿姓名", "姓名"), _rule("sex", "性别"), _rule("birth_date", "出生日期", "出生年月日"),
        _rule("id_no", "公民身份号码", "身份证号"), _rule("mother_name", "姓名", group="母亲"),
        _rule("mother_id_no", "身份证号", group="母亲"), _rule("address", "落户地址"), _rule("weight", "出生体重(g)"),
    ),
)  # fmt: skip
DEATH_MAPPING = Mapping(
    organisation="police", record_type="death", title="死亡注销", ignored=("序号",),
    columns=tuple(_rule(field.name, field.title) for field in DEATH.fields),
)  # fmt: skip
CATALOGUE = Catalogue(
    record_types={"newborn": BIRTH, "death": DEATH}, code_sets={}, row_errors={}, version="1",
    mappings={("police", "newborn"): BIRTH_MAPPING, ("police", "death"): DEATH_MAPPING},
)  # fmt: skip

HEADER = ["序号", "新生儿姓名", "性别", "出生日期", "公民身份号码", "落户地址"]
FANG = ["1", "王芳", "女", "2025-09-01", "999001202509010023", "东风村1组"]
MING = ["2", "李明", "男", "2025-09-02", "999001202509020014", "东风村2组"]
YUN = ["3", "赵云", "男", "2025-09-03", "999001202509030015", "西山村3组"]
Table = Sequence[Sequence[object]]


def csv_file(tmp_path: Path, rows: Table, encoding: str = "utf-8") -> Path:
    path = tmp_path / "upload.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows), encoding=encoding)
    return path


def read(path: Path) -> tuple[pl.DataFrame, ParsedFile]:
    parsed = parse(path, BIRTH, BIRTH_MAPPING, CATALOGUE, LIMITS)
    frame = pl.concat(parsed.frames)
    json.dumps(parsed.facts)  # facts are stored and shown: plain values only
    return frame, parsed


def names(frame: pl.DataFrame) -> list[str]:
    return frame["name"].to_list()


def skipped(parsed: ParsedFile) -> dict[str, list[int]]:
    found = parsed.facts["skipped"]
    assert isinstance(found, dict)
    return {kind: [row["row"] for row in entry["rows"]] for kind, entry in found.items()}


def refusal(path: Path, mapping: Mapping | None = BIRTH_MAPPING) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        list(parse(path, BIRTH, mapping, CATALOGUE, LIMITS).frames)
    return caught.value


def test_a_clean_sheet_becomes_named_columns(tmp_path: Path) -> None:
    frame, parsed = read(csv_file(tmp_path, [HEADER, FANG, MING], "gb18030"))
    assert frame.columns == ["row_no", "sheet", "sheet_row", "section", "name", "sex", "birth_date", "id_no", "address"]
    assert frame.select("row_no", "sheet_row", "name", "id_no").rows() == [
        (1, 2, "王芳", "999001202509010023"), (2, 3, "李明", "999001202509020014"),
    ]  # fmt: skip
    assert [(column.field, column.letter) for column in parsed.columns][:2] == [("name", "B"), ("sex", "C")]
    assert parsed.facts["encoding"] == "gb18030"
    assert parsed.facts["rows"] == 2


def test_workbook_and_csv_give_the_same_rows(tmp_path: Path) -> None:
    from_csv, _ = read(csv_file(tmp_path, [HEADER, FANG, MING]))
    from_book, _ = read(simple_workbook(tmp_path / "a.xlsx", [HEADER, FANG, MING]))
    fields = ["row_no", "sheet_row", "name", "sex", "birth_date", "id_no", "address"]
    assert from_csv.select(fields).equals(from_book.select(fields))
    assert from_book["id_no__kind"].to_list() == [0, 0]


def test_numbers_in_an_identity_column_are_marked(tmp_path: Path) -> None:
    fang = [1, "王芳", "女", "2025-09-01", 999001202509010023, "东风村"]
    frame, _ = read(simple_workbook(tmp_path / "a.xlsx", [HEADER, fang]))
    assert frame["id_no__kind"].to_list() == [1]


@pytest.mark.parametrize("header", [
    "公民身份号码", " 公民 身份\n号码 ", "*公民身份号码", "公民身份号码（必填）", "【必填】公民身份号码", "公民身份号码*：",
    "身份证号", "id_no", "ID_NO",
])  # fmt: skip
def test_a_header_is_recognised_however_it_is_decorated(header: str) -> None:
    layout = find_layout([["姓名", "出生日期", header]], Vocabulary(BIRTH, BIRTH_MAPPING))
    assert {place.field: place.index for place in layout.places} == {"name": 0, "birth_date": 1, "id_no": 2}


def test_a_similar_header_is_not_recognised(tmp_path: Path) -> None:
    header = [*HEADER[:-1], "落户地"]
    _, parsed = read(csv_file(tmp_path, [header, FANG]))
    assert parsed.facts["unknown_columns"] == [{"header": "落户地", "letter": "F", "sheet": "", "perhaps": "落户地址"}]


def test_titles_above_and_a_serial_row_below_the_header_are_skipped(tmp_path: Path) -> None:
    rows = [
        ["某某分局2025年9月新生儿落户花名册"],
        ["填报单位：某所"],
        [],
        HEADER,
        ["1", "2", "3", "4", "5", "6"],
        FANG,
        MING,
    ]
    frame, parsed = read(csv_file(tmp_path, rows))
    assert names(frame) == ["王芳", "李明"]
    assert skipped(parsed) == {"title": [1, 2], "blank": [3], "serial": [5]}


def test_a_header_of_two_rows_tells_the_child_from_the_mother(tmp_path: Path) -> None:
    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet("九月")
        sheet.merge_range(0, 0, 0, 5, "花名册")
        for column, header in enumerate(["序号", "姓  名", "出生日期", "身份证号"]):
            sheet.merge_range(1, column, 2, column, header)
        sheet.merge_range(1, 4, 1, 5, "母亲")
        sheet.write_row(2, 4, ["姓名", "身份证号"])
        sheet.write_row(3, 0, ["1", "王芳", "2025-09-01", "999001202509010023", "李秀英", "999001199003070022"])

    frame, parsed = read(workbook(tmp_path / "a.xlsx", write))
    assert frame.select("name", "id_no", "mother_name", "mother_id_no").rows() == [
        ("王芳", "999001202509010023", "李秀英", "999001199003070022")
    ]
    assert {column.header for column in parsed.columns} >= {"母亲.姓名", "母亲.身份证号", "姓  名"}


def test_two_header_rows_in_csv_fill_the_group_to_the_right(tmp_path: Path) -> None:
    rows = [
        ["姓名", "出生日期", "身份证号", "母亲", ""],
        ["", "", "", "姓名", "身份证号"],
        [*FANG[1:2], *FANG[3:5], "李秀英", "9"],
    ]
    frame, _ = read(csv_file(tmp_path, rows))
    assert frame["mother_name"].to_list() == ["李秀英"]


def test_the_flat_form_of_a_grouped_header_is_the_same_column() -> None:
    rows = [["姓名", "出生日期", "身份证号", "母亲姓名", "母亲.身份证号"]]
    layout = find_layout(rows, Vocabulary(BIRTH, BIRTH_MAPPING))
    assert layout.fields == {"name", "birth_date", "id_no", "mother_name", "mother_id_no"}


def test_a_mother_is_never_taken_for_the_child(tmp_path: Path) -> None:
    rows = [["", "母亲", "", ""], ["出生日期", "姓名", "身份证号", "手机"], ["2025-09-01", "李秀英", "9", ""]]
    error = refusal(csv_file(tmp_path, rows))
    assert error.facts["code"] == "F_MISSING_COLUMN"
    assert error.facts["params"]["fields"] == ["name", "id_no"]  # type: ignore[index]


def test_totals_footers_and_repeated_headers_are_no_records(tmp_path: Path) -> None:
    rows = [
        HEADER, FANG, ["小计", "1"], HEADER, MING, YUN, ["小  计", "2人", "", "", "", ""], ["合计：3人"], [],
        ["填表人：张三", "", "审核人：李四", "", "填报日期：2025-09-30", ""], ["第1页 共1页"],
    ]  # fmt: skip
    frame, parsed = read(csv_file(tmp_path, rows))
    assert names(frame) == ["王芳", "李明", "赵云"]
    assert skipped(parsed) == {"total": [3, 7, 8], "repeated_header": [4], "blank": [9], "footer": [10, 11]}
    assert parsed.facts["total_differs"] == []


def test_a_total_that_differs_from_the_rows_is_told(tmp_path: Path) -> None:
    _, parsed = read(csv_file(tmp_path, [HEADER, FANG, MING, ["合计", "", "5"]]))
    assert parsed.facts["total_differs"] == [{"sheet": "", "row": 4, "stated": 5, "counted": 2}]


def test_a_section_row_is_carried_down_as_the_village(tmp_path: Path) -> None:
    rows = [HEADER, FANG, ["一、东风村（1人）"], MING, ["西山社区"], YUN]
    frame, parsed = read(csv_file(tmp_path, rows))
    assert frame.select("name", "section").rows() == [("王芳", None), ("李明", "东风村"), ("赵云", "西山社区")]
    assert skipped(parsed) == {"section": [3, 5]}


def test_a_section_reaches_over_the_end_of_a_batch(tmp_path: Path) -> None:
    rows = [HEADER, ["一、东风村"], *[FANG] * 20_500, ["二、西山村"], *[MING] * 10]
    frame, _ = read(csv_file(tmp_path, rows))
    assert frame["section"].value_counts().sort("count").rows() == [("西山村", 10), ("东风村", 20_500)]
    assert frame["row_no"].to_list() == list(range(1, 20_511))


def test_a_poor_row_stays_a_record_to_be_checked(tmp_path: Path) -> None:
    frame, parsed = read(csv_file(tmp_path, [HEADER, FANG, ["", "王某", "", "", "", ""], ["", "", "", "", "999", ""]]))
    assert names(frame) == ["王芳", "王某", None]
    assert parsed.facts["skipped"] == {}


def test_blank_rows_and_rows_of_spaces_are_skipped(tmp_path: Path) -> None:
    rows = [HEADER, FANG, ["", "", "", "", "", ""], [" ", " ", " ", "　", " ", " "], MING]
    frame, parsed = read(csv_file(tmp_path, rows))
    assert names(frame) == ["王芳", "李明"]
    assert skipped(parsed) == {"blank": [3, 4]}


def test_a_column_nobody_may_send_is_dropped_and_told(tmp_path: Path) -> None:
    frame, parsed = read(csv_file(tmp_path, [[*HEADER, "节育措施", "承办民警"], [*FANG, "x", "张三"]]))
    assert "x" not in frame.row(0)
    assert parsed.facts["dropped_columns"] == [{"header": "节育措施", "letter": "G", "sheet": ""}]
    assert {"header": "承办民警", "letter": "H", "sheet": ""} in parsed.facts["ignored_columns"]  # type: ignore[operator]


def test_a_column_of_change_kinds_is_handed_on(tmp_path: Path) -> None:
    frame, _ = read(csv_file(tmp_path, [[*HEADER, "操作"], [*FANG, "更正"]]))
    assert frame["change_kind"].to_list() == ["更正"]


def test_a_missing_required_column_is_named(tmp_path: Path) -> None:
    error = refusal(csv_file(tmp_path, [["序号", "新生儿姓名", "性别", "落户地址"], ["1", "王芳", "女", "东风村"]]))
    assert error.facts["code"] == "F_MISSING_COLUMN"
    assert error.facts["params"]["columns"] == "出生日期、公民身份号码"  # type: ignore[index]


def test_another_types_sheet_is_refused_with_its_name(tmp_path: Path) -> None:
    rows = [
        ["序号", "姓名", "公民身份号码", "性别", "死亡日期", "注销原因"],
        ["1", "王芳", "9", "女", "2025-09-01", "死亡"],
    ]
    error = refusal(csv_file(tmp_path, rows))
    assert error.facts["code"] == "F_WRONG_TEMPLATE"
    assert error.facts["params"]["found"] == "死亡注销"  # type: ignore[index]


def test_the_same_header_twice_is_refused_with_both_letters(tmp_path: Path) -> None:
    error = refusal(csv_file(tmp_path, [[*HEADER, "公民身份号码"], [*FANG, "9"]]))
    assert error.facts["code"] == "F_DUPLICATE_HEADER"
    assert "E、G" in str(error.facts["params"])


def test_the_mapping_header_wins_over_a_synonym_and_the_loser_is_told(tmp_path: Path) -> None:
    frame, parsed = read(csv_file(tmp_path, [[*HEADER, "身份证号"], [*FANG, "9"]]))
    assert frame["id_no"].to_list() == ["999001202509010023"]
    assert parsed.facts["unknown_columns"] == [{"header": "身份证号", "letter": "G", "sheet": ""}]


@pytest.mark.parametrize(("rows", "code"), [
    ([["甲", "乙"], ["1", "2"]], "F_NO_HEADER"),
    ([HEADER], "F_NO_ROWS"),
    ([HEADER, ["合计", "0"]], "F_NO_ROWS"),
])  # fmt: skip
def test_a_sheet_without_records_says_so(rows: Table, code: str, tmp_path: Path) -> None:
    assert refusal(csv_file(tmp_path, rows)).facts["code"] == code


def test_an_unreadable_file_is_refused_by_its_code(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert refusal(path).facts["code"] == "F_FORMAT_UNKNOWN"


def test_damage_far_down_the_file_is_refused_while_reading(tmp_path: Path) -> None:
    path = csv_file(tmp_path, [HEADER, *[FANG] * 60_000])
    path.write_bytes(path.read_bytes() + b"\xff\xff\n")
    parsed = parse(path, BIRTH, BIRTH_MAPPING, CATALOGUE, LIMITS)
    with pytest.raises(FileRefused) as caught:
        list(parsed.frames)
    assert caught.value.facts["code"] == "F_ENCODING"
    assert caught.value.facts["params"] == {"line": 60_002, "tried": "utf-8"}


def test_all_sheets_with_our_header_are_read_and_others_are_told(tmp_path: Path) -> None:
    def write(book: xlsxwriter.Workbook) -> None:
        hidden = book.add_worksheet("代码")
        hidden.hide()
        for name, rows in (("说明", [["填表说明"], ["姓名须与户口一致"]]), ("东风村", [HEADER, FANG]), ("空", []),
                           ("西山村", [["题"], [*HEADER, "出生体重(g)"], [*YUN, "3200"]])):  # fmt: skip
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
        book.get_worksheet_by_name("东风村").activate()

    frame, parsed = read(workbook(tmp_path / "a.xlsx", write))
    assert frame.select("row_no", "sheet", "sheet_row", "name", "weight").rows() == [
        (1, "东风村", 2, "王芳", None), (2, "西山村", 3, "赵云", "3200"),
    ]  # fmt: skip
    assert parsed.facts["hidden_sheets"] == ["代码"]
    assert parsed.facts["unread_sheets"] == ["说明", "空"]


def test_serial_dates_of_a_1904_book_are_moved_to_1900(tmp_path: Path) -> None:
    def write(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADER)
        sheet.write_row(1, 0, [1, "王芳", "女", 39340, FANG[4], "东风村"])

    frame, _ = read(workbook(tmp_path / "a.xlsx", write, date_1904=True))
    assert frame["birth_date"].to_list() == ["40802"]
    assert frame["birth_date__kind"].to_list() == [1]


def test_json_rows_take_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    rows = [{"name": "王芳", "birth_date": "2025-09-01", "公民身份号码": "999001202509010023"}, {"name": "李明"}]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    frame, _ = read(path)
    assert frame.select("row_no", "sheet_row", "name", "id_no").rows() == [
        (1, 1, "王芳", "999001202509010023"), (2, 2, "李明", None),
    ]  # fmt: skip


def test_json_rows_that_lack_a_required_key_are_judged_row_by_row(tmp_path: Path) -> None:
    """A program that leaves out what it does not know gets its answer for each row, not one for the file."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"name": "王芳", "sex": "女"}, {"name": "李明", "sex": "男"}]), encoding="utf-8")
    frame, parsed = read(path)
    assert frame.select("row_no", "name").rows() == [(1, "王芳"), (2, "李明")]
    assert {column.field for column in parsed.columns} == {"name", "sex"}


def test_json_of_another_type_is_still_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"name": "王芳", "id_no": "9", "death_date": "2025-09-01"}]), encoding="utf-8")
    assert refusal(path).facts["code"] == "F_WRONG_TEMPLATE"


def test_without_a_mapping_field_names_and_titles_are_headers(tmp_path: Path) -> None:
    path = csv_file(tmp_path, [["name", "出生日期", "公民身份号码"], ["王芳", "2025-09-01", "9"]])
    parsed = parse(path, BIRTH, None, CATALOGUE, LIMITS)
    assert [column.field for column in parsed.columns] == ["name", "birth_date", "id_no"]
    assert pl.concat(parsed.frames).height == 1


def test_normalising_keeps_what_tells_columns_apart() -> None:
    assert normalise("出生体重（g）") == "出生体重(g)"
    assert normalise("村【居】\n") == "村(居)"
    assert normalise("姓　名 *") == "姓名"
