"""What a decision for the roll sends: rows of the town's own record types, as the lines of the list tell them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from hub.casework.roll_findings import LEFT_AS, REGISTERED
from hub.casework.roll_items import RollItem
from hub.casework.rolls import PLACE, ROLL
from hub.registry.areas import AreaIndex
from mappings.catalogue import Mapping as ColumnMapping

ARRIVAL, DEPARTURE = "town_arrival", "town_departure"
_WAS_NOT_REGISTERED = "4"  # of arrival_kind
_ARRIVING = ("name", "id_no", "sex", "birth_date", "live_addr", "phone", "household_no", "relation")
Row = dict[str, str]


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """Where the roll is of, and when was decided: the same lines make the same bytes whenever they are sent."""

    place: int  # village, or town
    areas: AreaIndex
    decided_at: datetime  # on the district's clock


Making = Callable[[RollItem, Occasion], Row]


def carriers(items: Sequence[RollItem]) -> Iterator[tuple[str, list[RollItem], Making]]:
    """Record type, the lines it carries, and how one becomes a row. A roll row says what is so; who is registered
    elsewhere has arrived as well, and who is not on the roll has left."""
    roll = [one for one in items if one.kind in ("missing_here", "different", "duplicated")]
    arriving = [one for one in roll if one.kind == "missing_here" and one.told[REGISTERED] != ["nobody"]]
    leaving = [one for one in items if one.kind == "missing_there"]
    yield from ((code, some, make) for code, some, make in (
        (ROLL, roll, roll_row), (ARRIVAL, arriving, arrival_row), (DEPARTURE, leaving, departure_row),
    ) if some)  # fmt: skip


def roll_row(item: RollItem, occasion: Occasion) -> Row:
    """As the roll says; what it leaves empty stays as the last roll said it."""
    row = {name: str(three[0] or three[2]) for name, three in item.told.items() if not name.startswith("*")}
    row[PLACE] = row.get(PLACE) or _code(item, occasion)
    return row


def arrival_row(item: RollItem, occasion: Occasion) -> Row:
    """Lives here and was not registered here."""
    row = {name: str(item.told[name][0]) for name in _ARRIVING if name in item.told}
    return row | _found(item, occasion, _WAS_NOT_REGISTERED, str(item.told.get(PLACE, [""])[0]))


def departure_row(item: RollItem, occasion: Occasion) -> Row:
    """Moved away, or never lived here, as was decided."""
    row = {name: str(item.told[name][1]) for name in ("name", "id_no") if name in item.told}
    return row | _found(item, occasion, str(item.told[LEFT_AS][0]), str(item.told[PLACE][1]))


def _found(item: RollItem, occasion: Occasion, kind: str, place: str) -> Row:
    day = occasion.decided_at.date().isoformat()
    return {
        "kind": kind,
        "changed_on": day,
        "found_on": day,
        "text": item.reason,
        PLACE: place or _code(item, occasion),
    }


def _code(item: RollItem, occasion: Occasion) -> str:
    areas = occasion.areas
    return areas.code_of.get(item.village or occasion.place) or areas.code_of[occasion.place]


def as_csv(rows: Sequence[Mapping[str, Any]], mapping: ColumnMapping) -> bytes:
    """Under the town's own headers."""
    columns = [(rule.field, rule.header) for rule in mapping.columns if any(row.get(rule.field) for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header for _, header in columns)
    writer.writerows([row.get(field, "") for field, _ in columns] for row in rows)
    return text.getvalue().encode()
