"""The statutory clocks against the State Council's announced holidays: every day here was counted by hand.

2025: off 28 Jan-4 Feb, 4-6 Apr, 1-5 May, 31 May-2 Jun, 1-8 Oct; worked Sun 26 Jan, Sat 8 Feb, Sun 27 Apr, Sun 28 Sep,
Sat 11 Oct. 2026: off 1-3 Jan, 15-23 Feb, 4-6 Apr, 1-5 May, 19-21 Jun, 25-27 Sep, 1-7 Oct; worked Sun 4 Jan, Sat 14 Feb,
Sat 28 Feb, Sat 9 May, Sun 20 Sep, Sat 10 Oct.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hub.registry.working_days import Calendar, load_calendar
from hub.settings import load_settings
from hub.sharing.working_day_clocks import (
    ExtensionTooLong,
    day_of_receipt,
    deliver_by,
    extended_reply_by,
    extended_update_by,
    reply_by,
    review_by,
    update_by,
)

ANNOUNCED = Calendar()
CHINA = "Asia/Shanghai"


def day(written: str) -> date:
    return date.fromisoformat(written)


# submitted, reply within 1 working day, within 10, within 10 and 10 more
REPLIES = [
    # National Day and Mid-Autumn 2025
    ("2025-09-27", "2025-09-29", "2025-10-17", "2025-10-31"),  # Saturday: received on the worked Sunday
    ("2025-09-28", "2025-09-29", "2025-10-17", "2025-10-31"),  # that Sunday itself
    ("2025-09-30", "2025-10-09", "2025-10-21", "2025-11-04"),  # last day before: ten days, the worked Saturday in them
    ("2025-10-01", "2025-10-10", "2025-10-22", "2025-11-05"),  # a holiday: received on 9 October
    ("2025-10-08", "2025-10-10", "2025-10-22", "2025-11-05"),  # the last of them: the same
    ("2025-10-11", "2025-10-13", "2025-10-24", "2025-11-07"),  # the worked Saturday
    # Spring Festival 2025
    ("2025-01-27", "2025-02-05", "2025-02-17", "2025-03-03"),
    ("2025-01-28", "2025-02-06", "2025-02-18", "2025-03-04"),  # New Year's Eve
    # New Year 2026: over the turn of the year
    ("2025-12-31", "2026-01-04", "2026-01-15", "2026-01-29"),
    # Spring Festival 2026
    ("2026-02-13", "2026-02-14", "2026-03-05", "2026-03-19"),  # Friday: due on the worked Saturday
    ("2026-02-14", "2026-02-24", "2026-03-06", "2026-03-20"),  # that Saturday itself
    ("2026-02-15", "2026-02-25", "2026-03-09", "2026-03-23"),  # the first day off
    # Labour Day, Mid-Autumn and National Day 2026
    ("2026-04-30", "2026-05-06", "2026-05-18", "2026-06-01"),
    ("2026-09-20", "2026-09-21", "2026-10-10", "2026-10-23"),  # worked Sunday, three festivals' days between
    ("2026-09-24", "2026-09-28", "2026-10-15", "2026-10-29"),
    ("2026-09-30", "2026-10-08", "2026-10-20", "2026-11-03"),
]


@pytest.mark.parametrize(("submitted", "one", "ten", "twenty"), REPLIES)
def test_a_reply_is_due_after_working_days_as_they_were_announced(
    submitted: str, one: str, ten: str, twenty: str
) -> None:
    assert reply_by(ANNOUNCED, day(submitted), "unconditional") == day(one)
    assert reply_by(ANNOUNCED, day(submitted), "conditional") == day(ten)
    assert extended_reply_by(ANNOUNCED, day(ten)) == day(twenty)


@pytest.mark.parametrize(
    ("approved", "due"),
    [
        ("2025-09-30", "2025-11-04"),
        ("2025-10-01", "2025-11-04"),  # approved on a holiday: it happened that day, day one is 9 October all the same
        ("2025-01-27", "2025-03-03"),
        ("2026-02-13", "2026-03-19"),
        ("2026-09-30", "2026-11-03"),
    ],
)
def test_a_delivery_is_due_twenty_working_days_after_the_approval(approved: str, due: str) -> None:
    assert deliver_by(ANNOUNCED, day(approved)) == day(due)


@pytest.mark.parametrize(
    ("caused", "due", "extended"),
    [
        ("2025-09-26", "2025-10-16", "2025-10-23"),
        ("2025-10-04", "2025-10-21", "2025-10-28"),  # a change on a holiday
        ("2026-02-13", "2026-03-05", "2026-03-12"),
    ],
)
def test_an_update_is_due_ten_working_days_after_its_cause_and_five_more(caused: str, due: str, extended: str) -> None:
    assert update_by(ANNOUNCED, day(caused)) == day(due)
    assert extended_update_by(ANNOUNCED, day(due)) == day(extended)


@pytest.mark.parametrize(
    ("submitted", "due"),
    [
        ("2025-09-30", "2025-10-10"),
        ("2026-02-13", "2026-02-24"),  # the worked Saturday, then the first day after the festival
        ("2026-02-21", "2026-02-26"),  # handed in on a holiday: received on the 24th
        ("2026-10-09", "2026-10-12"),  # Friday: the worked Saturday counts, Sunday does not
    ],
)
def test_a_review_is_due_two_working_days_after_the_entry_came_in(submitted: str, due: str) -> None:
    assert review_by(ANNOUNCED, day(submitted)) == day(due)


@pytest.mark.parametrize(
    ("moment", "received"),
    [
        ("2025-09-30 00:05", "2025-09-30"),  # early is the same day
        ("2025-09-30 17:29", "2025-09-30"),
        ("2025-09-30 17:30", "2025-10-09"),  # after office hours: the next working day
        ("2025-10-03 10:00", "2025-10-09"),
        ("2026-02-13 23:00", "2026-02-14"),  # Friday night: the worked Saturday
        ("2026-02-14 18:00", "2026-02-24"),
    ],
)
def test_what_comes_after_hours_or_on_a_day_off_is_received_on_the_next_working_day(moment: str, received: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(CHINA))
    assert day_of_receipt(ANNOUNCED, at, CHINA) == day(received)
    assert day_of_receipt(ANNOUNCED, at.astimezone(ZoneInfo("UTC")), CHINA) == day(received)


def test_a_year_the_district_imported_is_counted_by_it_and_one_nobody_announced_by_the_week(tmp_path: Path) -> None:
    """1 October 2027 is a Friday; nobody has announced the year."""
    assert not ANNOUNCED.knows(2027)
    assert reply_by(ANNOUNCED, day("2027-09-30"), "unconditional") == day("2027-10-01")
    assert reply_by(ANNOUNCED, day("2027-09-30"), "conditional") == day("2027-10-14")
    assert deliver_by(ANNOUNCED, day("2026-12-22")) == day("2027-01-19")
    (tmp_path / "calendar").mkdir()
    (tmp_path / "calendar/2027.toml").write_text(
        "holidays = [2027-01-01, 2027-10-01, 2027-10-04, 2027-10-05, 2027-10-06, 2027-10-07]\nworkdays = [2027-10-09]\n"
    )
    imported = load_calendar(load_settings(tmp_path))
    assert imported.knows(2027)
    assert reply_by(imported, day("2027-09-30"), "unconditional") == day("2027-10-08")
    assert reply_by(imported, day("2027-09-30"), "conditional") == day("2027-10-20")  # Saturday the 9th is worked
    assert deliver_by(imported, day("2026-12-22")) == day("2027-01-20")
    assert reply_by(imported, day("2025-09-30"), "conditional") == day("2025-10-21")  # other years stay as announced


@pytest.mark.parametrize("more", [0, -1, 11])
def test_a_reply_is_put_off_by_ten_working_days_at_most(more: int) -> None:
    with pytest.raises(ExtensionTooLong, match="1–10"):
        extended_reply_by(ANNOUNCED, day("2025-10-21"), more)


@pytest.mark.parametrize("more", [0, 6])
def test_an_update_is_put_off_by_five_working_days_at_most(more: int) -> None:
    with pytest.raises(ExtensionTooLong, match="1–5"):
        extended_update_by(ANNOUNCED, day("2025-10-21"), more)
