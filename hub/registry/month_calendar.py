"""The statistical months of a district: where one ends, when its round opens, is due and closes. Pure."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta

from hub.errors import BadRequest
from hub.settings import RoundPolicy

_MONTH = re.compile(r"^[1-8][0-9]{3}-(0[1-9]|1[0-2])\Z")  # years around which a calendar can count


def read_month(month: str) -> tuple[int, int]:
    """Year and month of ``YYYY-MM``; BadRequest for anything else."""
    if not _MONTH.match(month):
        raise BadRequest(f"month: {month!r}; YYYY-MM")
    return int(month[:4]), int(month[5:])


def month_after(month: str, months: int = 1) -> str:
    """The month so many months later (earlier, if negative)."""
    year, number = read_month(month)
    place = year * 12 + number - 1 + months
    return f"{place // 12:04d}-{place % 12 + 1:02d}"


def last_day(month: str, policy: RoundPolicy) -> date:
    """The last day of the statistical month."""
    year, number = read_month(month)
    return date(year, number, policy.month_ends_on or calendar.monthrange(year, number)[1])


def first_day(month: str, policy: RoundPolicy) -> date:
    return last_day(month_after(month, -1), policy) + timedelta(days=1)


def month_of(day: date, policy: RoundPolicy) -> str:
    """The statistical month a day lies in."""
    month = f"{day:%Y-%m}"
    return month if day <= last_day(month, policy) else month_after(month)


def opens_on(month: str, policy: RoundPolicy) -> date:
    return last_day(month, policy) + timedelta(days=policy.opens_after)


def due_on(month: str, policy: RoundPolicy) -> date:
    """The last day on which the towns' answers are in time."""
    return last_day(month, policy) + timedelta(days=policy.due_after)


def closes_on(month: str, policy: RoundPolicy) -> date:
    return last_day(month, policy) + timedelta(days=policy.closes_after)


def statistical_year(month: str, policy: RoundPolicy) -> int:
    """The year a month is counted in: named after the year in which it ends."""
    year, number = read_month(month)
    return year + 1 if policy.year_begins > 1 and number >= policy.year_begins else year
