"""The conditions a slice may set on its records: which may ask about which field, what is wrong with one, and its SQL.

A small vocabulary and no SQL of anybody else's: ``in`` and ``not_in`` some values (an empty field is in none of them),
``empty``, ``not_empty``, and on days, months and numbers ``from`` and ``to``, both inclusive, compared as what they are.
A moment is compared by its day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Literal

from mappings.catalogue import Catalogue, Field, FieldType

Op = Literal["in", "not_in", "empty", "not_empty", "from", "to"]
Values = dict[str, object]

MOST_CONDITIONS = 10  # on one record type
MOST_VALUES = 500
LONGEST_VALUE = 100  # characters

_OF_FREE_TEXT: frozenset[Op] = frozenset({"in", "empty", "not_empty"})
_OF_CLOSED: frozenset[Op] = _OF_FREE_TEXT | {"not_in"}
_OF_ORDERED: frozenset[Op] = _OF_CLOSED | {"from", "to"}
_CLOSED: frozenset[FieldType] = frozenset({"code", "boolean", "area", "division"})
_SQL_TYPES: dict[FieldType, str] = {
    "date": "date", "datetime": "date", "month": "text", "integer": "numeric", "decimal": "numeric",
}  # fmt: skip
_VALUES_WANTED: dict[Op, tuple[int, int, str]] = {
    "in": (1, MOST_VALUES, f"1–{MOST_VALUES} 个取值 (1 to {MOST_VALUES} values)"),
    "not_in": (1, MOST_VALUES, f"1–{MOST_VALUES} 个取值 (1 to {MOST_VALUES} values)"),
    "from": (1, 1, "一个取值 (one value)"),
    "to": (1, 1, "一个取值 (one value)"),
    "empty": (0, 0, "不带取值 (no value)"),
    "not_empty": (0, 0, "不带取值 (no value)"),
}
_BLANK_WOULD_MEET: frozenset[str] = frozenset({"not_in", "empty"})
_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")


def ops_of(field: Field) -> frozenset[Op]:
    """The conditions that may ask about this field."""
    if field.type in _SQL_TYPES:
        return _OF_ORDERED
    return _OF_CLOSED if field.type in _CLOSED else _OF_FREE_TEXT


def blank_would_meet(ops: Iterable[str]) -> bool:
    """Whether a version whose values were lawfully erased could look as if it met these conditions."""
    return any(op in _BLANK_WOULD_MEET for op in ops)


# ---- what is wrong with one ----


def condition_problems(field: Field, op: Op, values: tuple[str, ...], catalogue: Catalogue) -> Iterator[str]:
    """What is wrong with one condition: what, and what to do instead. The place is the caller's to say."""
    least, most, wanted = _VALUES_WANTED[op]
    if op not in ops_of(field):
        yield f"条件 {op} 不能用于「{field.title}」，可用 {_listed(ops_of(field))} (choose one of these)"
    elif not least <= len(values) <= most:
        yield f"条件 {op} 需要{wanted}"
    elif any(not one.strip() or len(one) > LONGEST_VALUE for one in values):
        yield f"取值不得为空，且不超过 {LONGEST_VALUE} 个字 (values are 1 to {LONGEST_VALUE} characters)"
    else:
        yield from _value_problems(field, op, values, catalogue)


def _listed(ops: frozenset[Op]) -> str:
    return " ".join(sorted(ops))


def _value_problems(field: Field, op: Op, values: tuple[str, ...], catalogue: Catalogue) -> Iterator[str]:
    wrong = [one for one in values if not _may_be(field, op, one, catalogue)]
    if wrong:
        shown = "、".join(wrong[:3])
        yield f"「{shown}」不是「{field.title}」的取值，请填{_expected(field, op)}"


def _may_be(field: Field, op: Op, value: str, catalogue: Catalogue) -> bool:
    if field.type == "code":
        known = catalogue.code_sets.get(field.code_set)
        return known is None or any(one.value == value for one in known.codes)
    if field.type == "boolean":
        return value in ("true", "false")
    return field.type not in _SQL_TYPES or (op in ("in", "not_in") and field.type == "datetime") or _is(field, value)


def _is(field: Field, value: str) -> bool:
    try:
        _compared(field, value)
    except (ValueError, InvalidOperation):
        return False
    return True


def _compared(field: Field, value: str) -> object:
    """The value as what the field is; ValueError or InvalidOperation if it is none."""
    if field.type == "month":
        if not _MONTH.fullmatch(value):
            raise ValueError(value)
        return value
    if field.type in ("integer", "decimal"):
        number = Decimal(value)
        if not number.is_finite() or (field.type == "integer" and number != number.to_integral_value()):
            raise ValueError(value)
        return number
    if len(value) != len("YYYY-MM-DD"):
        raise ValueError(value)
    return date.fromisoformat(value)


def _expected(field: Field, op: Op) -> str:
    if field.type == "code":
        return f"代码集 {field.code_set} 中的代码 (a code of {field.code_set})"
    if field.type == "boolean":
        return " true 或 false (true or false)"
    if field.type == "month":
        return "月份 YYYY-MM (a month)"
    return "数字 (a number)" if field.type in ("integer", "decimal") else "日期 YYYY-MM-DD (a day)"


def is_upside_down(field: Field, first: str, last: str) -> bool:
    """Whether a range ends before it begins: nothing could lie in it."""
    return _is(field, first) and _is(field, last) and _compared(field, first) > _compared(field, last)  # type: ignore[operator]


# ---- its SQL ----


def condition_sql(field: Field, op: Op, chosen: tuple[str, ...], alias: str, bind: str, values: Values) -> str:
    """One test on a version (``alias``); what it compares with is bound under the name ``bind``."""
    column = f"{alias}.{field.name}"
    if op in ("empty", "not_empty"):
        return f"{column} IS {'NOT ' if op == 'not_empty' else ''}NULL"
    if op in ("from", "to"):
        values[bind] = chosen[0]
        return _bound_sql(field, column, ">=" if op == "from" else "<=", bind)
    values[bind] = list(chosen)
    among = f"{column}::text = ANY(CAST(:{bind} AS text[]))"
    return f"NOT coalesce({among}, false)" if op == "not_in" else among


def _bound_sql(field: Field, column: str, compares: str, bind: str) -> str:
    kind = _SQL_TYPES[field.type]
    order = ' COLLATE "C"' if kind == "text" else ""
    return f"{column}::{kind}{order} {compares} CAST(CAST(:{bind} AS text) AS {kind})"
