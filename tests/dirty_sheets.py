"""Dirty sheets and files, and files that meet an earlier one; cases 30 to 52."""

from __future__ import annotations

from typing import Any

from tests import hostile_files as hostile
from tests import office_files as office
from tests.dirty_files import (
    CARE,
    CORRECTION,
    HEALTH,
    OTHER_VILLAGE,
    POLICE_ROLL,
    VILLAGE,
    Sent,
    book,
    csv,
    dead,
    each,
    held,
    mover,
    newborn,
    ok,
    refused,
    table,
    text,
    unchanged,
    xlsx,
)
from tests.doors import identity_number


def header_of_two_rows() -> list[Sent]:
    row = newborn(30)
    cells = [row["cert_no"], "王一", "男", row["birth_time"], "李芳", row["mother_id_no"], VILLAGE, "2026-11-03"]

    def write(made: Any, sheet: Any) -> None:
        sheet.merge_range(0, 0, 0, 7, "某妇幼服务站2026年11月出生医学证明签发名册")
        for column, header in ((0, "出生医学证明编号"), (7, "签发日期")):
            sheet.merge_range(2, column, 3, column, header)
        sheet.merge_range(2, 1, 2, 3, "新生儿")
        sheet.merge_range(2, 4, 2, 6, "母亲")
        sheet.write_row(3, 1, ["姓  名", "性别", "出生日期时间", "姓名", "证件号码", "现住村居"])
        sheet.write_row(4, 0, [1, 2, 3, 4, 5, 6, 7, 8])
        sheet.write_row(5, 0, cells)

    kept = ok(child_name="王一", mother_name="李芳", mother_id_no=row["mother_id_no"])
    return [Sent(content=book([], write), rows=(kept,), notes=("N_ROWS_SKIPPED",), **CARE)]


def totals_and_signatures() -> list[Sent]:
    header, first, second = table([mover(31), mover(31, 2)])
    rows = [
        header,
        first,
        ["小计", "1"],
        header,
        second,
        ["合计", "", "5"],
        ["填表人：张三", "审核人：李四"],
        ["第1页 共3页"],
    ]
    return [Sent(content=text(rows), rows=(ok(), ok()), notes=("W_TOTAL_DIFFERS", "N_ROWS_SKIPPED"))]


def villages_as_sections() -> list[Sent]:
    header, first, second = table([mover(32, live_div=""), mover(32, 2, live_div="")])
    rows = [header, ["一、红旗村（1人）"], first, ["二、旧旗村"], second]
    placed = ok(live_div=OTHER_VILLAGE)
    return [Sent(content=text(rows), rows=(placed, placed), notes=("N_ROWS_SKIPPED",))]


def merged_and_ditto() -> list[Sent]:
    header, *rows = table([mover(33, at, sex="") for at in range(3)])
    below = [header, rows[0], [*rows[1][:4], "同上", rows[1][5]], [*rows[2][:4], "〃", rows[2][5]]]
    filled = ok("W_FILLED_DOWN", live_div=VILLAGE)

    def merge(made: Any, sheet: Any) -> None:
        sheet.merge_range(1, 4, 3, 4, VILLAGE)

    blank = [[*row[:4], None, row[5]] for row in rows]
    first = [header, [*rows[0][:4], "同上", rows[0][5]]]
    return [
        Sent(content=text(below), rows=(ok(), filled, filled)),
        Sent(content=book([header, *blank], merge), rows=(ok(live_div=VILLAGE), filled, filled)),
        Sent(content=text(first), rows=(refused("E_DITTO_FIRST_ROW"),)),
    ]


def hidden_parts() -> list[Sent]:
    def hide(made: Any, sheet: Any) -> None:
        sheet.set_column(1, 1, None, None, {"hidden": True})
        sheet.set_row(2, None, None, {"hidden": True})
        made.add_worksheet("旧数据").hide()

    notes = ("W_HIDDEN_SHEET", "W_HIDDEN_ROWS", "W_HIDDEN_COLUMNS")
    return [xlsx((mover(34), ok()), (mover(34, 2), ok(id_no=identity_number(343))), change=hide, notes=notes)]


def formulas() -> list[Sent]:
    def write(made: Any, sheet: Any) -> None:
        sheet.write_formula(1, 0, "=VLOOKUP(A1,Z:Z,1,0)", None, "")

    broken = held("E_FORMULA_NO_VALUE")
    words = ("#N/A", '=HYPERLINK("http://x")')
    return [xlsx((mover(35), broken), change=write), csv(*each(35, "name", broken, *words))]


def other_formats() -> list[Sent]:
    rows = table([mover(36)])
    kinds = (office.html_table(rows), office.spreadsheet_2003(rows), text(rows, "tsv"))
    named = [Sent(content=content, rows=(ok(),), file_name="名册.xls") for content in kinds]
    refusal = Sent(content=office.ole("EtDocument"), refusal="F_FORMAT_UNKNOWN", file_name="名册.et")
    return [*named, Sent(content=office.simple_xls(rows), rows=(ok(),), file_name="名册.xlsx"), refusal]


def passwords() -> list[Sent]:
    plain = book(table([mover(37, at, sex="", hukou_addr=f"甲镇{at}号") for at in range(9)]))
    protected = xlsx((mover(37), ok()), change=lambda made, sheet: sheet.protect("secret"))
    return [
        Sent(content=office.encrypted(plain, "only-ours"), refusal="F_PASSWORD"),
        Sent(content=office.encrypted(plain, "VelvetSweatshop"), rows=(ok(),) * 9),
        protected,
    ]


def encodings() -> list[Sent]:
    row = (mover(38, name="王芳"), ok(name="王芳"))
    right = [csv(row, encoding=encoding) for encoding in ("gb18030", "utf-8-sig", "utf-16")]
    whole = text(table([mover(38, at, sex="", hukou_addr="白鹭镇红旗村三组") for at in range(5)]))
    mixed = whole + "王芳,女".encode("gb18030") + b"\r\n"
    cut = whole[: whole.rindex("组".encode()) + 2]
    broken = [Sent(content=content, refusal="F_ENCODING", detail=line) for content, line in ((mixed, "7"), (cut, "6"))]
    return [*right, *broken]


def old_tables() -> list[Sent]:
    fields = [("姓名", "C", 7), ("身份证号", "C", 18), ("迁入日期", "D", 8), ("备注", "M", 10)]
    number = [identity_number(400 + at) for at in range(4)]
    records = [
        ("王芳", number[0], "20261101", "         1"), ("李明", number[1], "20110931", ""),
        ("删", number[2], "20261101", ""), ("李明明明", number[3], "20261101", ""),
    ]  # fmt: skip
    rows = (ok(name="王芳"), refused("E_DATE"), ok("W_NAME_UNENCODABLE"))
    return [
        Sent(content=office.dbf(fields, records, deleted=[2]), rows=rows, notes=("W_MEMO_MISSING", "N_ROWS_DELETED"))
    ]


def sent_again() -> list[Sent]:
    people = [mover(41), mover(41, 2)]
    first = csv(*[(one, ok()) for one in people])
    known = Sent(content=first.content, is_known=True)
    saved_again = xlsx(*[(one, unchanged()) for one in people])
    return [first, known, Sent(content=first.content, is_known=True, file_name="另一个名字"), saved_again]


def cumulative() -> list[Sent]:
    people = [mover(42, at * 2) for at in range(4)]
    old, new = [(one, ok()) for one in people[:3]], [(one, unchanged()) for one in people[:3]]
    return [csv(*old, period="2026-10"), csv(*new, (people[3], ok()), notes=("W_OVERLAP",))]


def wrong_template() -> list[Sent]:
    rows = table([dead(43)], "health", "death_certificate")
    births: dict[str, Any] = {"organisation": "health", "record_type": "birth_certificate"}
    return [Sent(content=text(rows), refusal="F_WRONG_TEMPLATE", detail="死亡医学证明", **births)]


def twins() -> list[Sent]:
    apart = [(newborn(44, at), ok()) for at in range(2)]
    at_once = [(newborn(44, 5, child_name=name), held("E_KEY_CONFLICT")) for name in ("王一", "王二")]
    return [csv(*apart, **CARE), csv(*at_once, **CARE)]


def words_for_codes() -> list[Sent]:
    known = [
        (mover(45, at, sex="", ethnicity=word), ok(ethnicity="01")) for at, word in enumerate(("汉", "汉族", "01", "1"))
    ]
    others = [(mover(45, 5, ethnicity="维族", marital="已婚"), ok(ethnicity="05", marital="20")),
              (mover(45, 7, ethnicity="毛难族", marital="再婚"), ok(ethnicity="36", marital="22"))]  # fmt: skip
    return [csv(*known, *others, (mover(45, 9, ethnicity="云岭族", marital="20"), held("E_CODE")))]


def villages_by_name() -> list[Sent]:
    places = [
        ("红旗村", OTHER_VILLAGE),
        ("旧旗村", OTHER_VILLAGE),
        ("红旗村（原旧旗村）", OTHER_VILLAGE),
        ("甲镇东风村", VILLAGE),
    ]
    known = [(mover(46, at, sex="", live_div=name), ok(live_div=code)) for at, (name, code) in enumerate(places)]
    return [csv(*known, (mover(46, 6, live_div="东风村"), held("E_AREA_AMBIGUOUS")))]


def phones_and_addresses() -> list[Sent]:
    row = mover(48, phone="13900001111/0731-8888888", live_addr="甲镇东风村\n三组")
    del row["move_date"]
    clean = ok(phone="13900001111/0731-8888888", live_addr="甲镇东风村三组")
    return [csv((row, clean), **POLICE_ROLL)]


def hostile_workbooks() -> list[Sent]:
    bomb = hostile.raw_xlsx(hostile.GOOD_ROWS, ("xl/media/a", b"\0" * (40 << 20)))
    link = hostile.raw_xlsx(hostile.GOOD_ROWS, ("xl/externalLinks/externalLink1.xml", b"<x/>"))
    entity = hostile.raw_xlsx(doctype=b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>')
    macro = hostile.raw_xlsx(hostile.GOOD_ROWS, ("xl/vbaProject.bin", b"x"))
    unsafe = [Sent(content=content, refusal="F_ZIP_UNSAFE") for content in (bomb, link, entity)]
    large = Sent(content=text(table([mover(49)])), refusal="F_TOO_LARGE", most_bytes=100)
    return [*unsafe, Sent(content=macro, refusal="F_MACRO"), large]


def corrected(case: int, old: str, new: str) -> Sent:
    row = {
        "name": "王小明",
        "id_no": old,
        "new_id": new,
        "item": "12",
        "changed_on": "2026-11-05",
        "hukou_div": VILLAGE,
    }
    return csv((row, ok()), **CORRECTION)


def a_number_corrected() -> list[Sent]:
    new = identity_number(505)
    later = dead(50, id_no=new, birth_date="1990-03-07")
    return [csv((mover(50), ok())), corrected(50, identity_number(501), new), csv((later, ok()), **HEALTH)]


def older_version() -> list[Sent]:
    first, right = mover(51, hukou_addr="红旗村1组"), mover(51, hukou_addr="红旗村2组", change_kind="更正")
    back = mover(51, hukou_addr="红旗村1组", change_kind="更正")
    again = csv((first, unchanged("N_OLDER_VERSION")), file_name="旧", period="2026-10", notes=("W_OVERLAP",))
    return [csv((first, ok())), csv((right, ok())), again, csv((back, ok(hukou_addr="红旗村1组")))]


def old_number_after_the_correction() -> list[Sent]:
    old, new = identity_number(521), identity_number(525)
    first = mover(52)
    return [
        csv((first, ok())), corrected(52, old, new),
        csv((first, unchanged()), file_name="旧号", period="2026-10", notes=("W_OVERLAP",)),
        csv((first | {"id_no": new}, unchanged()), file_name="新号", period="2026-10", notes=("W_OVERLAP",)),
    ]  # fmt: skip


def garbled_texts() -> list[Sent]:
    return [csv(*each(39, "hukou_addr", held("E_MOJIBAKE"), "锟斤拷路1号", "鐜嬭姵", "Íõ·¼"))]


def another_district() -> list[Sent]:
    return [csv((mover(47, live_div="999002101201"), ok("N_OTHER_DISTRICT")))]
