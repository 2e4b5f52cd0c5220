"""A list in one of the orders its statement knows, a page at a time: behind the row of a key, never by counting rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, literal, tuple_

Order = ColumnElement[Any] | tuple[ColumnElement[Any], ...]


def in_order(
    query: Select[Any], columns: Mapping[str, Order], sort: str, key: ColumnElement[Any], after: Any = None,
    seen: Select[Any] | None = None,
) -> Select[Any]:  # fmt: skip
    """By one of the columns (``-`` before its name: downwards), then by the key; behind the row whose key is ``after``.

    Several columns under one name stand as an index has them. None holds a NULL. ``seen``: all that this reader may see,
    where a row may leave the query from one page to the next; a row that is not there either has nothing behind it.
    """
    if after is None:
        return behind(query, columns, sort, key, None)
    among = query if seen is None else seen
    its = [among.with_only_columns(each).where(key == after).correlate(None) for each in _parts(columns, sort)]
    return behind(query, columns, sort, key, (*(each.scalar_subquery() for each in its), literal(after, key.type)))


def behind(
    query: Select[Any], columns: Mapping[str, Order], sort: str, key: ColumnElement[Any], place: Sequence[Any] | None
) -> Select[Any]:
    """The same behind a place, which stays where it is when its row leaves the query: what was worked off leaves a list."""
    parts, down = (*_parts(columns, sort), key), sort.startswith("-")
    ordered = query.order_by(*(each.desc() if down else each for each in parts))
    if place is None:
        return ordered
    here, there = tuple_(*parts), tuple_(*place)
    return ordered.where(here < there if down else here > there)


def place_of_row(row: Row[Any], columns: Mapping[str, Order], sort: str, key: ColumnElement[Any]) -> tuple[Any, ...]:
    """Where a row stands in an order."""
    return tuple(row._mapping[each] for each in (*_parts(columns, sort), key))


def _parts(columns: Mapping[str, Order], sort: str) -> tuple[ColumnElement[Any], ...]:
    chosen = columns[sort.removeprefix("-")]
    return chosen if isinstance(chosen, tuple) else (chosen,)


def both_ways(columns: Iterable[str]) -> tuple[str, ...]:
    """Every order upwards and downwards, as an address says it."""
    return tuple(f"{sign}{name}" for name in columns for sign in ("", "-"))
