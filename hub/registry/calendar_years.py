"""One year of working days: as it is counted, and as it is imported once the State Council has announced its holidays."""

from __future__ import annotations

import calendar
import os
import tomllib
from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.errors import BadRequest, Conflict
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.working_days import Calendar, ImportedYear, load_calendar
from hub.settings import Settings

_FEWEST, _MOST = 5, 40  # days off on Mondays to Fridays that a year can have
_SATURDAY = 5
_EXAMPLE = "holidays = [2027-01-01]  workdays = [2027-02-20]"


class BadYear(BadRequest):
    """放假安排文件有误，未导入。 The file of holidays is wrong: nothing was imported."""

    problem = "bad-calendar-year"


class DescribedYear(msgspec.Struct, frozen=True, kw_only=True):
    """A year as the hub counts it: Mondays to Fridays off, Saturdays and Sundays worked."""

    working_days: int
    holidays: tuple[date, ...]
    workdays: tuple[date, ...]
    origin: Literal["imported", "library", "unknown"]


def describe_year(days: Calendar, year: int) -> DescribedYear:
    first = date(year, 1, 1)
    whole = [first + timedelta(days=number) for number in range(366 if calendar.isleap(year) else 365)]
    worked = {day for day in whole if days.is_working_day(day)}
    return DescribedYear(
        working_days=len(worked),
        holidays=tuple(day for day in whole if day.weekday() < _SATURDAY and day not in worked),
        workdays=tuple(day for day in whole if day.weekday() >= _SATURDAY and day in worked),
        origin="imported" if year in days.imported else "library" if days.knows(year) else "unknown",
    )


def import_year(
    connection: Connection, settings: Settings, actor: Actor, file: Path, *, replace: bool = False
) -> tuple[int, DescribedYear]:
    """Check a file and lay it down as <home>/calendar/<year>.toml; BadYear, or Conflict where the year is known."""
    require(actor, Right.OPERATE)
    content = file.read_bytes()
    year, imported = read_year(content)
    if load_calendar(settings).knows(year) and not replace:
        raise Conflict(f"{year} 年的安排已有，更换请加 --replace。 {year} is known: --replace to take this instead.")
    _lay_down(settings.home / "calendar" / f"{year}.toml", content)
    told = describe_year(Calendar(imported={year: imported}), year)
    audit.record(connection, actor, Right.OPERATE, f"calendar/{year}", working_days=told.working_days)
    return year, told


def read_year(content: bytes) -> tuple[int, ImportedYear]:
    """The year a file is of and its days; BadYear says what is wrong with it."""
    try:
        imported = msgspec.convert(tomllib.loads(content.decode("utf-8")), ImportedYear)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as wrong:
        raise BadYear(f"{wrong}；例 for instance: {_EXAMPLE}") from wrong
    years = {day.year for day in (*imported.holidays, *imported.workdays)}
    if len(years) != 1:
        raise BadYear(f"须为同一年的日期 dates of one year, not {sorted(years)}")
    _refuse_impossible(imported)
    return years.pop(), imported


def _refuse_impossible(imported: ImportedYear) -> None:
    for name, days in (("holidays", imported.holidays), ("workdays", imported.workdays)):
        if twice := {day for day in days if days.count(day) > 1}:
            raise BadYear(f"{name} 中重复 twice: {_listed(twice)}")
    if both := {*imported.holidays} & {*imported.workdays}:
        raise BadYear(f"既放假又上班 both off and worked: {_listed(both)}")
    if weekdays := {day for day in imported.workdays if day.weekday() < _SATURDAY}:
        raise BadYear(f"workdays 只列周六、周日 Saturdays and Sundays only: {_listed(weekdays)}")
    off = sum(day.weekday() < _SATURDAY for day in imported.holidays)
    if not _FEWEST <= off <= _MOST:
        raise BadYear(f"周一至周五放假 {off} 天，应为 {_FEWEST} 至 {_MOST} 天 weekdays off: {off}")


def _listed(days: Collection[date]) -> str:
    return ", ".join(f"{day:%Y-%m-%d}" for day in sorted(days))


def _lay_down(place: Path, content: bytes) -> None:
    """Whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(place)
