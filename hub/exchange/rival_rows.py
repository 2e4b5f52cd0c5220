"""Rows of one file that say different things of one record: each is told the others' places, in the sheet's own numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

MOST_NAMED = 5


class Clashing(NamedTuple):
    """A row that clashes; ``record_key`` is the same in those that mean one record."""

    row_no: int
    sheet_row: int
    record_key: str


class SheetRanges:
    """Which sheet a row of a file stands in: its rows are numbered through, sheet after sheet."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        """``facts``: the submission's; what parsing told of its sheets."""
        sheets = facts.get("sheets") or []
        self.names = [str(one["sheet"] or "") for one in sheets]
        self._ends = list(accumulate(int(one.get("rows") or 0) for one in sheets))

    def covers(self, rows: int) -> bool:
        """Whether every row of the file has its sheet."""
        return bool(self._ends) and self._ends[-1] == rows

    def sheet_of(self, row_no: int) -> str:
        """Empty where the file has no such row."""
        at = bisect_left(self._ends, row_no)
        return self.names[at] if at < len(self.names) else ""


def name_rivals(clashing: Sequence[Clashing], facts: Mapping[str, Any]) -> dict[int, dict[str, object]]:
    """Row number -> what its sentence needs: the first few places, and how many rows there are in all.

    A sheet is named only where the file has several.
    """
    ranges = SheetRanges(facts)
    several = len(ranges.names) > 1
    by_record: dict[str, list[Clashing]] = defaultdict(list)
    for one in clashing:
        by_record[one.record_key].append(one)

    def told(one: Clashing) -> dict[str, object]:
        others = [other for other in by_record[one.record_key][: MOST_NAMED + 1] if other is not one][:MOST_NAMED]
        places = [
            {"row": other.sheet_row} | ({"sheet": ranges.sheet_of(other.row_no)} if several else {}) for other in others
        ]
        return {"places": places, "count": len(by_record[one.record_key]) - 1}

    return {one.row_no: told(one) for one in clashing}
