"""Small files as departments send them, about people who do not exist."""

from __future__ import annotations

from tests.factories import distinct_name

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_HEADERS = "卡片编号,死者姓名,性别,有效身份证件类别,证件号码,出生日期,死亡日期"


def identity_number(birth: str = "19500101", order: int = 1) -> str:
    """A well-formed number of the unassigned prefix 999001; ``birth`` as YYYYMMDD."""
    body = f"999001{birth}{order:03d}"
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True)) % 11]


def death_row(number: int, *, name: str = "", died: str = "2026-11-03", id_no: str = "") -> str:
    named = name or distinct_name(number)
    sex = "1" if (2 * number + 1) % 2 else "2"
    return f"SW{number:06d},{named},{sex},01,{id_no or identity_number(order=2 * number + 1)},1950-01-01,{died}"


def death_sheet(*rows: str) -> bytes:
    """Two good rows unless told otherwise."""
    return "\n".join([_HEADERS, *(rows or (death_row(1), death_row(2))), ""]).encode("utf-8-sig")
