"""What the dirty cases are written in: people told by field, files under the departments' headers, what must come of a row."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import xlsxwriter

from mappings.catalogue import load_catalogue
from tests.doors import identity_number

CATALOGUE = load_catalogue()
VILLAGE, OTHER_VILLAGE = "999001100200", "999001100201"
Fields = dict[str, Any]


def mover(case: int, order: int = 0, /, **changes: Any) -> Fields:
    """Somebody nobody else in the catalogue is, who moved in; an even order is a man's."""
    serial = case * 10 + order + 1
    row = {
        "name": "王小明",
        "id_no": identity_number(serial),
        "sex": "男" if serial % 2 else "女",
        "birth_date": "1990-03-07",
        "live_div": VILLAGE,
        "move_date": "2026-11-01",
    }
    return row | changes


def with_last_x(case: int) -> str:
    """A number of this case whose check character is X."""
    return next(one for born in range(10, 29) if (one := identity_number(case * 10 + 1, f"199003{born}")).endswith("X"))


def dead(case: int, order: int = 0, /, **changes: Any) -> Fields:
    row = {
        "cert_no": f"SW{case:03d}{order:03d}",
        "name": "张建国",
        "id_no": identity_number(case * 10 + order + 1, "19500101"),
        "birth_date": "1950-01-01",
        "death_date": "2026-11-03",
    }
    return row | changes


def newborn(case: int, order: int = 0, /, **changes: Any) -> Fields:
    row = {
        "cert_no": f"X{case:03d}{order:06d}",
        "child_name": "王一",
        "child_sex": "男",
        "birth_time": "2026-11-01 08:30:00",
        "mother_name": "李芳",
        "mother_id_no": identity_number(case * 10 + 2, "19920501"),
        "mother_live_div": VILLAGE,
        "issued_on": "2026-11-03",
    }
    return row | changes


def wedding(case: int, **changes: Any) -> Fields:
    row = {
        "registered_on": "2026-11-01",
        "cert_no": f"J110101-2026-{case:06d}",
        "male_name": "王强",
        "male_id_no": identity_number(case * 10 + 1),
        "female_name": "李芳",
        "female_id_no": identity_number(case * 10 + 2),
    }
    return row | changes


def table(
    rows: Sequence[Fields], organisation: str = "public_security", kind: str = "hukou_move_in"
) -> list[list[Any]]:
    """A header row as the department writes it, and the rows under it."""
    fields = list(dict.fromkeys(field for row in rows for field in row))
    rules = {rule.field: rule for rule in CATALOGUE.mappings[organisation, kind].columns}
    headers = [rules[field].group + rules[field].header for field in fields]
    return [headers, *([row.get(field, "") for field in fields] for row in rows)]


def text(rows: Sequence[Sequence[Any]], encoding: str = "utf-8") -> bytes:
    lines = ["\t".join(map(str, row)) for row in rows] if encoding == "tsv" else [_line(row) for row in rows]
    return ("\r\n".join(lines) + "\r\n").encode("gb18030" if encoding == "tsv" else encoding)


def _line(row: Sequence[Any]) -> str:
    return ",".join(f'"{cell}"' if set(str(cell)) & set(',"\n') else str(cell) for cell in row)


def book(rows: Sequence[Sequence[Any]], change: Callable[[Any, Any], None] | None = None, **options: Any) -> bytes:
    """An .xlsx; numbers and dates stay what they are, ``change`` gets the book and its sheet."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"default_date_format": "yyyy-mm-dd", "in_memory": True, **options}) as made:
        sheet = made.add_worksheet("名册")
        for at, row in enumerate(rows):
            for column, cell in enumerate(row):
                put = sheet.write_string if isinstance(cell, str) else sheet.write
                put(at, column, cell)
        if change is not None:
            change(made, sheet)
    return content.getvalue()


@dataclass(frozen=True)
class Row:
    """What must come of one row; ``values``: fields as they are kept."""

    outcome: str
    codes: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)


def ok(*codes: str, **values: Any) -> Row:
    return Row("accepted", codes, values)


def held(*codes: str) -> Row:
    return Row("held", codes)


def refused(*codes: str) -> Row:
    return Row("refused", codes)


def unchanged(*codes: str) -> Row:
    return Row("unchanged", codes)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One file and what must come of it: its rows, or the code by which all of it is refused."""

    content: bytes
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()  # codes said of the file as a whole
    refusal: str = ""
    detail: str = ""  # what the sentence of the refusal names
    organisation: str = "public_security"
    record_type: str = "hukou_move_in"
    file_name: str = "名册"
    period: str | None = "2026-11"
    most_bytes: int = 200 << 20
    is_known: bool = False  # the same bytes were here before: nothing happens


HEALTH: Fields = {"organisation": "health", "record_type": "death_certificate"}
CARE: Fields = {"organisation": "mch_station", "record_type": "birth_certificate"}
CIVIL: Fields = {"organisation": "civil_affairs", "record_type": "marriage"}
POLICE_ROLL: Fields = {"record_type": "resident_roll"}
CORRECTION: Fields = {"record_type": "identity_correction"}


def csv(*pairs: tuple[dict[str, Any], Row], encoding: str = "utf-8", **sent: Any) -> Sent:
    """A text file of rows with what must come of each."""
    rows = table([row for row, _ in pairs], *_whose(sent))
    return Sent(content=text(rows, encoding), rows=tuple(expected for _, expected in pairs), **sent)


def xlsx(*pairs: tuple[dict[str, Any], Row], change: Any = None, options: Any = None, **sent: Any) -> Sent:
    rows = table([row for row, _ in pairs], *_whose(sent))
    content = book(rows, change, **(options or {}))
    return Sent(content=content, rows=tuple(expected for _, expected in pairs), **sent)


def _whose(sent: dict[str, Any]) -> tuple[str, str]:
    return sent.get("organisation", "public_security"), sent.get("record_type", "hukou_move_in")


def each(case: int, name: str, expected: Row, *cells: Any) -> list[tuple[dict[str, Any], Row]]:
    """The same field written in several ways, by as many people."""
    return [(mover(case, at * 2, **{name: cell}), expected) for at, cell in enumerate(cells)]
