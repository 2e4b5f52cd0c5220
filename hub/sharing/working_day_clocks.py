"""When answers, deliveries, updates and reviews are due: the statutory working days, as pure functions of a calendar.

政务数据共享条例: art. 21 (reply to a request: 1 or 10 working days, at most 10 more), art. 22 (deliver within 20), art. 17
(update an entry within 10, at most 5 more; review it within 2). The rule of counting, the same for all of them:

* The day something happens is never counted: day one is the working day after it, and the last day counts whole.
* What is handed in after office hours or on a day off reaches nobody that day: it is taken as handed in on the next working
  day (``day_of_receipt``), and day one is the working day after that one. This goes for a request and for an entry handed in
  for review, which wait on somebody else's desk.
* What one does oneself (an approval, a change to one's own record type) happens when it happens: from a day off, day one is
  the next working day.
* Working days more are counted on from the day that would have been the last.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hub.errors import BadRequest
from hub.registry.working_days import Calendar

OFFICE_CLOSES = time(17, 30)  # the district's own time; what comes later comes on the next working day
REPLY_DAYS = {"unconditional": 1, "conditional": 10}
REPLY_DAYS_MORE = 10
DELIVERY_DAYS = 20
UPDATE_DAYS = 10
UPDATE_DAYS_MORE = 5
REVIEW_DAYS = 2


class ExtensionTooLong(BadRequest):
    """延长的工作日数不在规定之内，请改正。 So many more working days are not allowed: correct the number."""

    problem = "extension-too-long"


def day_of_receipt(calendar: Calendar, at: datetime, time_zone: str) -> date:
    """The working day on which what was handed in at this moment counts as received."""
    there = at.astimezone(ZoneInfo(time_zone))
    late = there.time() >= OFFICE_CLOSES
    return _working_day_from(calendar, there.date() + timedelta(days=late))


def reply_by(calendar: Calendar, submitted: date, sharing: str) -> date:
    """Last day to answer a request for what is shared so (unconditional: 1 working day, conditional: 10)."""
    return calendar.after(_working_day_from(calendar, submitted), REPLY_DAYS[sharing])


def extended_reply_by(calendar: Calendar, due: date, more: int = REPLY_DAYS_MORE) -> date:
    """Last day to answer once the bureau has consented to so many working days more (1 to 10)."""
    return calendar.after(due, _allowed(more, REPLY_DAYS_MORE))


def deliver_by(calendar: Calendar, approved: date) -> date:
    """Last day for the first delivery under an approval."""
    return calendar.after(approved, DELIVERY_DAYS)


def update_by(calendar: Calendar, caused: date) -> date:
    """Last day to hand in an entry whose matter changed on that day."""
    return calendar.after(caused, UPDATE_DAYS)


def extended_update_by(calendar: Calendar, due: date, more: int = UPDATE_DAYS_MORE) -> date:
    """Last day to hand in an entry, with so many working days more (1 to 5)."""
    return calendar.after(due, _allowed(more, UPDATE_DAYS_MORE))


def review_by(calendar: Calendar, submitted: date) -> date:
    """Last day for the bureau to publish an entry or give it back."""
    return calendar.after(_working_day_from(calendar, submitted), REVIEW_DAYS)


def _working_day_from(calendar: Calendar, day: date) -> date:
    """The day itself if it is a working day, or else the next one."""
    while not calendar.is_working_day(day):
        day += timedelta(days=1)
    return day


def _allowed(more: int, most: int) -> int:
    if not 1 <= more <= most:
        raise ExtensionTooLong(f"{more} (1–{most})")
    return more
