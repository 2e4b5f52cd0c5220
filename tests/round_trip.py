"""One bad cell or row for every row error a sender can correct alone, and what is asked to be written instead."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from tests.doors import THIS_MONTH
from tests.factories import identity_number

POLICE, HEALTH = ("public_security", "hukou_move_in"), ("health", "birth_certificate")
Carrier = tuple[str, str]  # who sends which type


class Case(NamedTuple):
    """``sent`` goes into the column of ``field``; ``corrected`` None: what a good row has there."""

    code: str
    carrier: Carrier
    field: str
    sent: object
    corrected: object = None


_BIRTH = date(1990, 3, 7)
_OTHER = identity_number(_BIRTH, "1", 400)

CASES = (
    Case("E_DITTO_FIRST_ROW", POLICE, "station", "同上", "白鹭派出所"),  # the first row of its file
    Case("E_REQUIRED", POLICE, "name", ""),
    Case("E_CHANGE_KIND", POLICE, "change_kind", "改一下", "更正"),
    Case("E_ID_MISSING", POLICE, "id_no", "无"),
    Case("E_ID_LENGTH", POLICE, "id_no", "9990011990030712"),
    Case("E_ID_CHARSET", POLICE, "id_no", "99900119900307A23X"),
    Case("E_ID_CHECK", POLICE, "id_no", "999001199003071230"),
    Case("E_ID_BIRTH_DATE", POLICE, "id_no", "999001199013011234"),
    Case("E_ID_PROVINCE", POLICE, "id_no", "770001199003071230"),
    Case("E_ID_TRUNCATED", POLICE, "id_no", 999001199003071000),
    Case("E_ID_SCIENTIFIC", POLICE, "id_no", "9.99001E+17"),
    Case("E_ID_IS_REGNO", POLICE, "id_no", "999001600012343"),
    Case("E_ID_IS_HOUSEHOLD", POLICE, "id_no", "999001102201010012"),
    Case("E_ID_NOT_A_NUMBER", POLICE, "id_no", "G12345678"),
    Case("E_NAME_PLACEHOLDER", POLICE, "name", "待定"),
    Case("E_CODE", POLICE, "ethnicity", "火星族"),
    Case("E_DATE", POLICE, "move_date", "2026-02-30"),
    Case("E_DATE_AMBIGUOUS_MONTH", POLICE, "move_date", "2011.1", "2026-10-08"),
    Case("E_DATE_AMBIGUOUS", POLICE, "move_date", "9/10/11"),
    Case("E_DATE_INCOMPLETE", POLICE, "move_date", "2026年10月"),
    Case("E_DATE_LUNAR", POLICE, "move_date", "农历八月初一"),
    Case("E_DATE_FUTURE", POLICE, "move_date", "2199-01-01"),
    Case("E_DATE_ORDER", POLICE, "move_date", "1980-01-01"),
    Case("E_TEXT_TURNED_DATE", POLICE, "hukou_addr", date(2026, 3, 2), "3-2"),
    Case("E_FORMULA_NO_VALUE", POLICE, "household_no", "=B1&C1", "0012"),
    Case("E_MOJIBAKE", POLICE, "hukou_addr", "锟斤拷路1号", "松坪路1号"),
    Case("E_LOGIC_SEX", POLICE, "sex", "2"),
    Case("E_LOGIC_BIRTH", POLICE, "birth_date", "1991-01-01"),
    Case("E_AREA", POLICE, "live_div", "月亮村"),
    Case("E_AREA_AMBIGUOUS", POLICE, "live_div", "东风村", "白鹭镇东风村"),
    Case("E_USCC", HEALTH, "facility_uscc", "92999001000000019A", "92999001000000019W"),
    Case("E_NUMBER", HEALTH, "weight_g", "约七斤八两", "3200"),
    Case("E_NUMBER_TRUNCATED", HEALTH, "facility", 999001102201010012, "白鹭镇卫生院"),
    Case("E_TEXT_TOO_LONG", HEALTH, "issuer", "白鹭镇卫生院" * 1_000, "白鹭镇卫生院"),
    Case("E_CERTIFICATE", HEALTH, "cert_no", "X32010100"),
)

# What no sender corrects alone in the cell that is marked, and why it is not in the round trip.
EXCEPTIONS = {
    "E_KEY_MISSING": "every key of the shipped types is required, so E_REQUIRED is said instead",
    "E_KEY_CONFLICT": "found by comparing two rows of the file: no cell is wrong, one row is taken out",
    "E_VOID_UNKNOWN": "found by comparing with the register: the row is taken out, or the number corrected",
    "E_IDENTIFIER_CONFLICT": "found by comparing with the register: which number is wrong is for a person to decide",
    "E_PERSON_UNCLEAR": "found by comparing with the register: who it is is for a person to decide",
    "E_IDENTITY_TAKEN": "found by comparing with the register: whose number it is is for a person to decide",
}


class ListCase(NamedTuple):
    """``sent`` and ``corrected``: header -> what a town writes into the line of ``name`` on its change list.

    ``marked``: the header of the cell that is wrong; "" where no cell is, and the row says what to do. ``corrected``
    None: the row is taken out of the list, as its reason says.
    """

    code: str
    name: str
    marked: str
    sent: dict[str, str]
    corrected: dict[str, str] | None


LIST_CASES = (
    ListCase(
        "E_ROUND_UNKNOWN", "郑第一", "核对月份", {"核对月份": "2019-01", "核对结果": "属实"}, {"核对月份": THIS_MONTH}
    ),
    ListCase("E_LIST_TAMPERED", "郑第二", "", {"姓名": "陈建国", "核对结果": "属实"}, {"姓名": "郑第二"}),
    ListCase("E_TRANSFER_WHERE", "郑第三", "转派镇街", {"核对结果": "非本辖区"}, {"转派镇街": "白鹭镇"}),
    ListCase(
        "E_VILLAGE_ELSEWHERE",
        "周德",
        "更正村居",
        {"核对结果": "不属实", "更正村居": "松坪村"},
        {"更正村居": "光明社区"},
    ),
    # a colleague said 属实 since the list was taken
    ListCase("E_VERDICT_CONFLICT", "@孙", "核对结果", {"核对结果": "查无此人"}, {"核对结果": "属实"}),
    ListCase("E_LIST_FOREIGN", "未取名", "", {"核对结果": "属实"}, None),  # pasted from the other town's list
    ListCase("E_LIST_UNKNOWN", "冯新", "", {"姓名": "冯新", "核对结果": "属实"}, None),  # written below the list
)
