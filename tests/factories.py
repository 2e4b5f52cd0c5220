"""Small things tests are made of: valid fictitious people, rows of any record type, files as departments write them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from hub.demo.areas import District, make_district
from hub.demo.departments import Sheet, write_down
from hub.demo.names import PREFIX, check_digit, make_uscc
from hub.demo.sheets import csv_bytes, write
from hub.demo.year import Row
from mappings.catalogue import Catalogue, Field

DISTRICT: District = make_district()
VILLAGE = "999001100200"  # 白鹭镇's first village
OTHER_VILLAGE = "999001200201"  # in another town
MONTH = "2026-10"
_SURNAMES, _GIVEN = "张王李赵刘陈杨黄周吴", "建国明华志强文军平安永福春生海涛玉兰秀英桂芳淑"


def distinct_name(number: int) -> str:
    """Names of two thousand people; neighbours differ in two characters, or they would be taken for one another."""
    first, second = _GIVEN[(number + number // 10) % len(_GIVEN)], _GIVEN[(number * 5 + number // 230) % len(_GIVEN)]
    return _SURNAMES[number % 10] + first + second


def identity_number(born: date = date(1990, 3, 7), sex: str = "1", sequence: int = 0) -> str:
    """A valid number nobody can have; odd sequences are men."""
    first = f"{PREFIX}{born:%Y%m%d}{2 * sequence + (1 if sex == '1' else 2):03d}"
    return first + check_digit(first)


def person_values(
    prefix: str = "", *, born: date = date(1990, 3, 7), sex: str = "1", sequence: int = 0
) -> dict[str, str]:
    """Every part of one person, consistent with the identity number."""
    return {
        f"{prefix}name": "王芳" if sex == "2" else "李伟",
        f"{prefix}id_type": "111",
        f"{prefix}id_no": identity_number(born, sex, sequence),
        f"{prefix}sex": sex,
        f"{prefix}birth_date": born.isoformat(),
        f"{prefix}ethnicity": "01",
        f"{prefix}hukou_div": VILLAGE,
        f"{prefix}hukou_addr": "白鹭镇松坪村1组1号",
        f"{prefix}live_div": VILLAGE,
        f"{prefix}live_addr": "白鹭镇松坪村1组1号",
        f"{prefix}phone": "19900001234",
    }


def row_values(catalogue: Catalogue, record_type: str, sequence: int = 0, **changes: str) -> dict[str, str]:
    """One valid row: consistent people, every required field and the key filled; ``sequence`` makes it another row."""
    kind = catalogue.record_types[record_type]
    people: dict[str, str] = {}
    for number, role in enumerate(kind.people):
        sex = "2" if role.role in ("female", "mother", "woman", "adopter_female") else "1"
        born = date(2026, 9, 1) if role.role == "child" else date(1990, 3, 7)
        people |= person_values(role.prefix, born=born, sex=sex, sequence=sequence * 10 + number)
    own = {
        one.name: _value(catalogue, one, sequence)
        for one in kind.fields
        if not one.part and _needed(kind.natural_key, one)
    }
    return {name: value for name, value in (people | own).items() if name in kind.by_name} | changes


def _needed(natural_key: tuple[str, ...], field: Field) -> bool:
    return field.required or field.name in natural_key


def _value(catalogue: Catalogue, field: Field, sequence: int) -> str:
    match field.type:
        case "date":
            return "2026-10-08"
        case "datetime":
            return "2026-10-08 09:30"
        case "month":
            return MONTH
        case "code":
            return catalogue.code_sets[field.code_set].codes[0].value
        case "certificate":
            return f"Z99{sequence:07d}"
        case "uscc":
            return make_uscc(1 + sequence)
        case "integer" | "decimal":
            return "1"
        case _:
            return f"{field.name}-{sequence}"


def sheet_of(catalogue: Catalogue, organisation: str, record_type: str, rows: list[dict[str, str]]) -> Sheet:
    """The rows as this organisation would write them down in October 2026."""
    (sheet,) = write_down(catalogue, DISTRICT, [Row(record_type, organisation, MONTH, values) for values in rows])
    return sheet


def csv_of(catalogue: Catalogue, organisation: str, record_type: str, rows: list[dict[str, str]]) -> bytes:
    """The file as CSV in the organisation's own encoding, headers, words and manner of dates."""
    sheet = sheet_of(catalogue, organisation, record_type, rows)
    sheet.format = "csv"
    return csv_bytes(sheet)[0]


def workbook_of(
    catalogue: Catalogue, organisation: str, record_type: str, rows: list[dict[str, str]], folder: Path
) -> Path:
    """The file as a workbook with title, headers and signature."""
    sheet = sheet_of(catalogue, organisation, record_type, rows)
    sheet.format = "xlsx"
    return write(sheet, folder)[0]
