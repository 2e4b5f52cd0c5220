"""The masks a slice may lay over its fields: what a receiver gets instead of the value, in PostgreSQL and in Python.

Both say the same, and always the same for the same value, so that a page can be derived again. An empty field stays
empty. A mask never lets somebody have what they may not have: clinical fields stay in care, masked or not.

    identifier   first six and last four, of a short one the first and the last character    110101********0011
    phone        first three and last four                                                  139****1234
    address      where it begins, at most half of it                                        清溪街道***
    name         first character                                                            李***
    date         the year                                                                   1990-**-**
    closed       nothing: of a code, a number or a yes the first character would tell it all  ***
    place, other first character                                                            9***
    open         stays as it is: public and internal fields
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hub.registry.masking import Kind, kind_of, mask_address, mask_identifier, mask_phone
from mappings.catalogue import Field

_CLOSED_TYPES = frozenset({"code", "boolean", "integer", "decimal"})


class SliceMask(msgspec.Struct, frozen=True):
    """One mask twice: ``sql`` with {v} for the value as text, ``python`` for the same in a program."""

    sql: str
    python: Callable[[str], str]


def _first(value: str) -> str:
    return f"{value[:1]}***" if len(value) > 1 else "***"  # of a value this short the first would be all of it


def _year(value: str) -> str:
    return f"{value[:4]}-**-**"


def _nothing(value: str) -> str:
    return "***"


def _itself(value: str) -> str:
    return value


_FIRST = SliceMask("CASE WHEN length({v}) > 1 THEN left({v}, 1) || '***' ELSE '***' END", _first)
_CLOSED = SliceMask("'***'", _nothing)
_IDENTIFIER = SliceMask(
    "CASE WHEN length({v}) > 11 THEN left({v}, 6) || repeat('*', length({v}) - 10) || right({v}, 4)"
    " WHEN length({v}) > 2 THEN left({v}, 1) || repeat('*', length({v}) - 2) || right({v}, 1)"
    " ELSE repeat('*', length({v})) END",
    mask_identifier,
)
_PHONE = SliceMask(
    "CASE WHEN length({v}) >= 11 THEN left({v}, 3) || repeat('*', length({v}) - 7) || right({v}, 4)"
    " ELSE repeat('*', length({v}) - least(2, length({v}) / 3)) || right({v}, least(2, length({v}) / 3)) END",
    mask_phone,
)
_MASKS: dict[Kind, SliceMask] = {
    "identifier": _IDENTIFIER,
    "phone": _PHONE,
    "address": SliceMask("left({v}, least(4, length({v}) / 2)) || '***'", mask_address),
    "name": _FIRST,
    "date": SliceMask("left({v}, 4) || '-**-**'", _year),
    "place": _FIRST,
    "open": SliceMask("{v}", _itself),
    "other": _FIRST,
}


def mask_of(field: Field) -> SliceMask:
    """The mask that lies over this field when a slice masks it."""
    kind = kind_of(field)
    return _CLOSED if kind == "other" and field.type in _CLOSED_TYPES else _MASKS[kind]


def masked_sql(field: Field, column: str) -> str:
    """The column as a slice that masks it gives it: SQL text, NULL where the column is."""
    return f"CASE WHEN {column} IS NOT NULL THEN {mask_of(field).sql.format(v=f'{column}::text')} END"


def masked_value(field: Field, value: object) -> str | None:
    """The same of a value in a program."""
    return None if value is None else mask_of(field).python(str(value))
