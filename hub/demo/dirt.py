"""Two rows in a hundred go wrong, every way in turn, and each is written down with what must come of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from hub.demo import dirty_cells as cells
from hub.demo.departments import Cell, Expected, Sheet
from hub.demo.dirty_cells import Target
from hub.demo.truth import Outcome

SHARE = 0.02


class Dirt(NamedTuple):
    """One way a row goes wrong, its number in the list of cases, and what the hub must do about it."""

    spoil: Callable[[Target], bool]
    case: str
    outcome: Outcome
    codes: tuple[str, ...] = ()


WAYS = (
    Dirt(cells.number_rounded_by_a_spreadsheet, "1", "held", ("E_ID_TRUNCATED",)),
    Dirt(cells.number_written_by_a_script, "2", "held", ("E_ID_TRUNCATED",)),
    Dirt(cells.number_in_scientific_notation, "3", "refused", ("E_ID_SCIENTIFIC",)),
    Dirt(cells.number_with_a_stray_mark, "4", "accepted"),
    Dirt(cells.number_in_full_width, "5", "accepted"),
    Dirt(cells.number_with_small_x, "6", "accepted"),
    Dirt(cells.number_with_cyrillic_x, "6", "accepted", ("W_ID_CLEANED",)),
    Dirt(cells.number_in_groups, "7", "accepted"),
    Dirt(cells.number_of_fifteen_digits, "8", "accepted", ("W_ID_UPGRADED",)),
    Dirt(cells.registration_number_as_identity, "9", "refused", ("E_ID_IS_REGNO",)),
    Dirt(cells.household_number_as_identity, "10", "held", ("E_ID_IS_HOUSEHOLD",)),
    Dirt(cells.number_mistyped, "11", "held", ("E_ID_CHECK",)),
    Dirt(cells.number_of_ones, "14", "held"),
    Dirt(cells.sex_against_number, "15", "held", ("E_LOGIC_SEX",)),
    Dirt(cells.birth_date_against_number, "15", "held", ("E_LOGIC_BIRTH",)),
    Dirt(cells.name_spread_out, "16", "accepted"),
    Dirt(cells.name_with_another_dot, "17", "accepted"),
    Dirt(cells.name_not_encodable, "20", "accepted", ("W_NAME_UNENCODABLE",)),
    Dirt(cells.name_missing, "23", "refused", ("E_REQUIRED",)),
    Dirt(cells.newborn_without_name, "23", "accepted"),
    Dirt(cells.date_in_another_manner, "24", "accepted"),
    Dirt(cells.date_as_serial_number, "25", "accepted"),
    Dirt(cells.date_as_year_and_month_number, "26", "held", ("E_DATE_AMBIGUOUS_MONTH",)),
    Dirt(cells.date_that_never_was, "27", "refused", ("E_DATE",)),
    Dirt(cells.date_of_the_farmers_calendar, "27", "held"),
    Dirt(cells.address_turned_into_a_date, "28", "held", ("E_TEXT_TURNED_DATE",)),
    Dirt(cells.event_in_the_future, "29", "held", ("E_DATE_FUTURE",)),
    Dirt(cells.same_as_above, "33", "accepted", ("W_FILLED_DOWN",)),
    Dirt(cells.formula_without_value, "35", "held", ("E_FORMULA_NO_VALUE",)),
    Dirt(cells.value_not_available, "35", "held", ("E_FORMULA_NO_VALUE",)),
    Dirt(cells.ethnicity_by_another_word, "45", "accepted"),
    Dirt(cells.ethnicity_nobody_knows, "45", "held", ("E_CODE",)),
    Dirt(cells.village_of_two_towns, "46", "held", ("E_AREA_AMBIGUOUS",)),
    Dirt(cells.village_of_another_district, "47", "accepted", ("N_OTHER_DISTRICT",)),
    Dirt(cells.two_telephones, "48", "accepted"),
    Dirt(cells.address_with_a_line_break, "48", "accepted"),
)


def scatter(rng: random.Random, sheets: list[Sheet]) -> None:
    """Spoil rows of every sheet, the ways least used so far first; then repeat and contradict a few."""
    used: Counter[Dirt] = Counter()
    for sheet in sheets:
        count = int(SHARE * len(sheet.rows) + rng.random())
        for row in sorted(rng.sample(range(len(sheet.rows)), min(count, len(sheet.rows)))):
            _spoil(rng, sheet, row, used)
        repeated = _repeat(rng, sheet) if rng.random() < 0.25 else None
        if rng.random() < 0.25:
            _contradict(rng, sheet, repeated)


def _spoil(rng: random.Random, sheet: Sheet, row: int, used: Counter[Dirt]) -> None:
    for way in sorted(WAYS, key=lambda way: used[way]):
        if way.spoil(Target(rng, sheet, row)):
            used[way] += 1
            sheet.expected[row] = Expected(way.case, way.outcome, way.codes)
            return


def _clean_row(rng: random.Random, sheet: Sheet, but: int | None = None) -> int | None:
    clean = [row for row in range(len(sheet.rows)) if row not in sheet.expected and row != but]
    return rng.choice(clean) if clean else None


def _append(sheet: Sheet, cells: list[Cell], said: dict[str, str], expected: Expected) -> None:
    sheet.rows.append(cells)
    sheet.said.append(said)
    sheet.expected[len(sheet.rows) - 1] = expected


def _repeat(rng: random.Random, sheet: Sheet) -> int | None:
    """The same row again at the end: nothing new. Which row it was."""
    row = _clean_row(rng, sheet)
    if row is not None:
        again = Expected("repeated row", "unchanged", ("N_REPEATED_ROW",))
        _append(sheet, list(sheet.rows[row]), sheet.said[row], again)
    return row


def _contradict(rng: random.Random, sheet: Sheet, repeated: int | None) -> None:
    """Two rows with one key that say different things: both wait for a human (two births on one certificate)."""
    row, other = _clean_row(rng, sheet, repeated), _free_text_field(sheet)
    if row is None or not other or any(role.sets_home for role in sheet.record_type.people):
        return
    place = sheet.column_of(other)
    cells = list(sheet.rows[row])
    if not cells[place]:
        return
    cells[place] = f"{cells[place]}二部"
    case = "44" if sheet.record_type.code == "birth_certificate" else "one key twice"
    clash = Expected(case, "held", ("E_KEY_CONFLICT",))
    sheet.expected[row] = clash
    _append(sheet, cells, {**sheet.said[row], other: str(cells[place])}, clash)


def _free_text_field(sheet: Sheet) -> str:
    """A text field outside the key that this department fills."""
    kind = sheet.record_type
    free = [one for one in kind.fields if one.type == "text" and not one.clinical and one.name not in kind.natural_key]
    return next((one.name for one in reversed(free) if sheet.column_of(one.name) >= 0), "")
