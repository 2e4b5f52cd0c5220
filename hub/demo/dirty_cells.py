"""How a row goes wrong: each function spoils one row as clerks and spreadsheets do, or says it cannot here."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta

from hub.demo.areas import TOWNS_OF_TWICE, TWICE
from hub.demo.departments import Cell, Formula, Sheet
from hub.demo.names import PREFIX, check_digit

FULL_WIDTH = str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")
NUMERALS = "○一二三四五六七八九"


@dataclass(slots=True)
class Target:
    """One row of a sheet about to be spoilt."""

    rng: random.Random
    sheet: Sheet
    row: int

    @property
    def workbook(self) -> bool:
        return self.sheet.format == "xlsx"

    def field(self, part: str) -> str:
        """The first person's field for this part, "" where the department has no such column."""
        fields = self.sheet.record_type.fields
        return next((one.name for one in fields if one.part == part and self.sheet.column_of(one.name) >= 0), "")

    def said(self, name: str) -> str:
        return self.sheet.said[self.row].get(name, "") if name else ""

    def cell(self, name: str) -> Cell:
        return self.sheet.rows[self.row][self.sheet.column_of(name)]

    def put(self, name: str, value: Cell) -> bool:
        """Write over one cell; False where there is no such column or nothing was in it."""
        place = self.sheet.column_of(name) if name else -1
        if place < 0 or self.sheet.rows[self.row][place] == "":
            return False
        self.sheet.rows[self.row][place] = value
        return True

    def say(self, name: str, value: str) -> bool:
        """Change what the row says and how it is written."""
        if not self.put(name, self.sheet.writers[name](value)):
            return False
        self.sheet.said[self.row] = {**self.sheet.said[self.row], name: value}
        return True

    @property
    def number(self) -> tuple[str, str]:
        """The first identity number: its field and itself."""
        name = self.field("id_no")
        return name, self.said(name)

    @property
    def event(self) -> str:
        name = self.sheet.record_type.event_date
        known = self.sheet.record_type.by_name.get(name)
        return name if known is not None and known.type == "date" and self.sheet.column_of(name) >= 0 else ""


def number_rounded_by_a_spreadsheet(target: Target) -> bool:
    name, number = target.number
    return target.workbook and bool(number) and target.put(name, float(number[:15] + "000"))


def number_written_by_a_script(target: Target) -> bool:
    name, number = target.number
    return target.workbook and number.isdigit() and target.put(name, float(number))


def number_in_scientific_notation(target: Target) -> bool:
    name, number = target.number
    return not target.workbook and bool(number) and target.put(name, f"{int(number[:6]) / 1e5:.5f}E+17")


def number_with_a_stray_mark(target: Target) -> bool:
    name, number = target.number
    around = target.rng.choice((("'", ""), ("`", ""), ("", "\u00a0"), ("", "\u200b"), ("", "\t")))
    return bool(number) and target.put(name, around[0] + number + around[1])


def number_in_full_width(target: Target) -> bool:
    name, number = target.number
    return bool(number) and target.put(name, number.translate(FULL_WIDTH))


def number_with_small_x(target: Target) -> bool:
    name, number = target.number
    return number.endswith("X") and target.put(name, number.lower())


def number_with_cyrillic_x(target: Target) -> bool:
    name, number = target.number
    return number.endswith("X") and target.put(name, number[:-1] + target.rng.choice("Х×*"))


def number_in_groups(target: Target) -> bool:
    name, number = target.number
    gap = target.rng.choice(" -")
    return bool(number) and target.put(name, gap.join((number[:6], number[6:14], number[14:])))


def number_of_fifteen_digits(target: Target) -> bool:
    name, number = target.number
    return number[6:8] == "19" and target.put(name, number[:6] + number[8:17])


def registration_number_as_identity(target: Target) -> bool:
    """The fifteen digits market regulation once gave a shop (check digit MOD 11,10)."""
    name, number = target.number
    digits = f"{PREFIX}699{target.rng.randrange(10**5):05d}"
    rest = 10
    for digit in digits:
        rest = (rest + int(digit)) % 10 or 10
        rest = rest * 2 % 11
    return bool(number) and target.put(name, digits + str((11 - rest) % 10))


def household_number_as_identity(target: Target) -> bool:
    name, number = target.number
    return bool(number) and target.put(name, f"{PREFIX}102203{target.rng.randrange(1, 20):02d}0012")


def number_mistyped(target: Target) -> bool:
    name, number = target.number
    right = check_digit(number[:17]) if number else ""
    return bool(number) and target.put(name, number[:17] + target.rng.choice([d for d in "0123456789" if d != right]))


def number_of_ones(target: Target) -> bool:
    name, number = target.number
    return bool(number) and target.put(name, "1" * 18)


def sex_against_number(target: Target) -> bool:
    name = target.field("sex")
    if not name or not target.said(name.removesuffix("sex") + "id_no"):
        return False
    return target.put(name, target.sheet.writers[name]("2" if target.said(name) == "1" else "1"))


def birth_date_against_number(target: Target) -> bool:
    name = target.field("birth_date")
    if not name or not target.said(name.removesuffix("birth_date") + "id_no") or not target.said(name):
        return False
    other = date.fromisoformat(target.said(name)) - timedelta(days=target.rng.randrange(2, 300))
    return target.put(name, target.sheet.writers[name](str(other)))


def name_spread_out(target: Target) -> bool:
    name = target.field("name")
    said = target.said(name)
    return bool(said) and target.put(name, target.rng.choice("　 ").join(said))


def name_with_another_dot(target: Target) -> bool:
    name = target.field("name")
    said = target.said(name)
    return "·" in said and target.put(name, said.replace("·", target.rng.choice("•・．‧")))


def name_not_encodable(target: Target) -> bool:
    name = target.field("name")
    return bool(target.said(name)) and target.put(name, target.said(name)[0] + "?")


def name_missing(target: Target) -> bool:
    name = target.field("name")
    kind = target.sheet.record_type.by_name.get(name)
    return kind is not None and kind.required and target.put(name, "")


def newborn_without_name(target: Target) -> bool:
    return target.sheet.record_type.no_id_allowed and target.put("child_name", target.rng.choice(("未取名", "待定")))


def date_in_another_manner(target: Target) -> bool:
    name = target.event or target.field("birth_date")
    said = target.said(name)
    if not said:
        return False
    day = date.fromisoformat(said)
    return target.put(name, target.rng.choice((
        f"{day.year}年{day.month}月{day.day}日", f"{day.year}.{day.month}.{day.day}", f"{day:%Y%m%d}",
        f"{day.year}/{day.month}/{day.day} 00:00:00", _in_numerals(day),
    )))  # fmt: skip


def _in_numerals(day: date) -> str:
    year = "".join(NUMERALS[int(digit)] for digit in str(day.year))
    return f"{year}年{_spoken(day.month)}月{_spoken(day.day)}日"


def _spoken(number: int) -> str:
    tens, ones = divmod(number, 10)
    return ("" if tens == 0 else "十" if tens == 1 else NUMERALS[tens] + "十") + (NUMERALS[ones] if ones else "")


def date_as_serial_number(target: Target) -> bool:
    name = target.event or target.field("birth_date")
    said = target.said(name)
    return target.workbook and bool(said) and target.put(name, (date.fromisoformat(said) - date(1899, 12, 30)).days)


def date_as_year_and_month_number(target: Target) -> bool:
    return target.workbook and bool(target.event) and target.put(target.event, 2026.1)


def date_that_never_was(target: Target) -> bool:
    return bool(target.event) and target.put(target.event, target.rng.choice(("2026年2月30日", "2026-04-31")))


def date_of_the_farmers_calendar(target: Target) -> bool:
    return bool(target.event) and target.put(target.event, "农历八月初一")


def address_turned_into_a_date(target: Target) -> bool:
    name = target.field("hukou_addr") or target.field("live_addr")
    return target.workbook and target.put(name, date(2026, 3, 2))


def event_in_the_future(target: Target) -> bool:
    if not target.event:
        return False
    return target.put(target.event, target.sheet.writers[target.event](f"2062{target.said(target.event)[4:]}"))


def same_as_above(target: Target) -> bool:
    name = target.field("ethnicity")
    if not name or target.row == 0 or (target.row - 1) in target.sheet.expected or not target.said(name):
        return False
    return target.put(name, target.rng.choice(("同上", "〃")))


def formula_without_value(target: Target) -> bool:
    name = target.field("name")
    return target.workbook and target.put(name, Formula("=VLOOKUP(A1,Z:Z,1,0)"))


def value_not_available(target: Target) -> bool:
    name = target.event or target.field("name")
    return not target.workbook and target.put(name, "#N/A")


def ethnicity_by_another_word(target: Target) -> bool:
    name = target.field("ethnicity")
    return target.said(name) == "01" and target.put(name, target.rng.choice(("汉", "01", "1", "汉族")))


def ethnicity_nobody_knows(target: Target) -> bool:
    return target.put(target.field("ethnicity"), "云岭族")


def village_of_two_towns(target: Target) -> bool:
    """Nothing in the row may tell which of the two it is: who lives or is registered in either town does not serve."""
    name = target.field("live_div")
    places = (target.said(name), target.said(name.removesuffix("live_div") + "hukou_div"))
    if not name or any(place.startswith(TOWNS_OF_TWICE) for place in places):
        return False
    return target.put(name, TWICE)


def village_of_another_district(target: Target) -> bool:
    name = target.field("live_div")
    return bool(name) and target.say(name, "999002101201")


def two_telephones(target: Target) -> bool:
    name = target.field("phone")
    return bool(target.said(name)) and target.put(name, f"{target.said(name)}/0999-5550123")


def address_with_a_line_break(target: Target) -> bool:
    name = target.field("hukou_addr") or target.field("live_addr")
    said = target.said(name)
    return bool(said) and target.put(name, f"{said[:4]}\n{said[4:]}")
