"""Working days on China's real calendar, with the holidays and the swapped Saturdays and Sundays of each year.

The library knows the years the State Council has announced; a district imports a later year as
``<home>/calendar/<year>.toml`` (``holidays = [2027-01-01, …]``, ``workdays = […]``). Of a year that nobody has announced
yet Monday to Friday are taken, and ``knows`` says no.
"""

from __future__ import annotations

import tomllib
from datetime import date, timedelta

import chinese_calendar
import msgspec

from hub.settings import BadSettings, Settings

_FIRST = 2004
_LAST = max(day.year for day in chinese_calendar.constants.holidays)


class ImportedYear(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of <home>/calendar."""

    holidays: tuple[date, ...]
    workdays: tuple[date, ...] = ()


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """Working days of every year; ``imported`` goes before what the library knows."""

    imported: dict[int, ImportedYear] = msgspec.field(default_factory=dict)

    def knows(self, year: int) -> bool:
        """Whether the year's holidays are known at all."""
        return year in self.imported or _FIRST <= year <= _LAST

    def is_working_day(self, day: date) -> bool:
        own = self.imported.get(day.year)
        if own is not None:
            return day in own.workdays or (day.weekday() < 5 and day not in own.holidays)
        return bool(chinese_calendar.is_workday(day)) if self.knows(day.year) else day.weekday() < 5

    def after(self, day: date, working_days: int) -> date:
        """The last day of so many working days that begin the day after ``day``."""
        while working_days > 0:
            day += timedelta(days=1)
            working_days -= self.is_working_day(day)
        return day

    def between(self, first: date, last: date) -> int:
        """How many working days lie after ``first``, up to and with ``last``."""
        days = (first + timedelta(days=number) for number in range(1, (last - first).days + 1))
        return sum(self.is_working_day(day) for day in days)


def load_calendar(settings: Settings) -> Calendar:
    """The library's years and the district's own; BadSettings names a file that cannot be read."""
    imported = {}
    for path in sorted((settings.home / "calendar").glob("[0-9][0-9][0-9][0-9].toml")):
        try:
            imported[int(path.stem)] = msgspec.convert(tomllib.loads(path.read_text("utf-8")), ImportedYear)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as wrong:
            raise BadSettings(f"calendar/{path.name}: {wrong}") from wrong
    return Calendar(imported=imported)
