"""Why somebody's place in the books changed: first what is now known of before the month, then the month's own events.

Pure. Every event that counts is one movement; one that moved nobody is followed by its contrary, which is unexplained:
so the movements of a person always lead from where the books had them to where they live, and say where they do not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import cast
from uuid import UUID

import msgspec

FLOWS = ("birth", "moved")
# what is wrong with a movement that is unexplained
NO_CAUSE, NOT_HERE, LIVES_NOWHERE, AFTER_DEATH, HERE_ALREADY = (
    "no_cause", "not_here", "lives_nowhere", "after_death", "here_already",
)  # fmt: skip
WRONG = (NO_CAUSE, NOT_HERE, LIVES_NOWHERE, AFTER_DEATH, HERE_ALREADY)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a standing record says of one person."""

    area: int | None
    day: date | None
    record_id: UUID
    record_type: str
    does: str  # arrives leaves dies
    counts_as: str  # birth death moved correction

    @property
    def order(self) -> tuple[date, bool, UUID, bool]:
        """The order in which they are heard, the one that decides last."""
        return self.day or date.min, self.does == "dies", self.record_id, self.does == "leaves"


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the account's people."""

    kind: str
    from_area: int | None
    to_area: int | None
    of_month: str
    event: Event | None = None
    record_type: str = ""
    record_id: UUID | None = None
    reason: str = ""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why what was known of somebody is another now, though nothing new happened to them."""

    why: str
    record_type: str = ""
    record_id: UUID | None = None


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """Which areas are in the account, and what is taken into it this month."""

    month: str
    district: int
    town_of: dict[int, int]
    joined: frozenset[int]  # towns
    opening: frozenset[int]  # towns of them that the books did not have when they were last closed

    def has(self, area: int | None) -> bool:
        return area is not None and self.town_of.get(area) in self.joined

    def opens(self, area: int | None) -> bool:
        return area is not None and self.town_of.get(area) in self.opening


class Mover(msgspec.Struct, frozen=True, kw_only=True):
    """One person: where the books have them, where they live, and all that may explain it."""

    was: int | None
    now: int | None
    told: Event | None  # what decides on the eve of the month, by all that is known now
    told_in: str = ""  # the month its day lies in
    told_by: str = ""  # kind of the submission that brought it since the books were closed; "": they knew it
    events: tuple[Event, ...] = ()  # of the month
    cause: Cause | None = None


def explain(books: Books, mover: Mover) -> list[Movement]:
    """The movements that lead from where the books had somebody to where they live."""
    revised = list(_revision(books, mover))
    place = revised[-1].to_area if revised else mover.was
    walk = _Walk(books, place, dead=mover.told is not None and mover.told.does == "dies")
    for event in sorted(mover.events, key=lambda one: one.order):
        walk.hear(event, mover.events)
    return [*revised, *walk.movements, *walk.end(mover.now)]


# ---- before the month ----


def _revision(books: Books, mover: Mover) -> Iterator[Movement]:
    """From the place in the books to the place on the eve, by all that is known now."""
    told, eve = mover.told, _place_by(books, mover.told)
    if eve == mover.was or _came_with_the_roll(books, mover, eve):
        return
    if mover.was is None and books.opens(eve):
        yield _line(books, "opening", None, eve, told)
    elif told is not None and mover.told_by:
        taken_in = mover.was is None and told.day is None and mover.told_by == "backfill"
        kind = "opening" if taken_in else told.counts_as
        of_month = mover.told_in if told.day is not None else books.month
        yield msgspec.structs.replace(_line(books, kind, mover.was, eve, told), of_month=of_month)
    elif mover.cause is not None:
        found = mover.cause
        yield Movement(
            kind="correction", from_area=mover.was, to_area=eve, of_month=books.month,
            record_type=found.record_type, record_id=found.record_id, reason=found.why,
        )  # fmt: skip
    else:
        yield _line(books, "unexplained", mover.was, eve, None, NO_CAUSE)


def _place_by(books: Books, told: Event | None) -> int | None:
    return told.area if told is not None and told.does == "arrives" and books.has(told.area) else None


def _came_with_the_roll(books: Books, mover: Mover, eve: int | None) -> bool:
    """A roll without days already has whoever was born or moved in this month: it is that event by which they came."""
    told = mover.told
    if told is None or told.day is not None or mover.was is not None:
        return False
    if not (mover.told_by or books.opens(eve)):
        return False
    here = (one for one in sorted(mover.events, key=lambda one: one.order) if books.has(one.area) or one.does == "dies")
    first = next(here, None)
    return first is not None and first.does == "arrives" and first.counts_as in FLOWS and first.area == eve


# ---- the month ----


class _Walk:
    """One person through the month: where they are, and the lines so far."""

    def __init__(self, books: Books, place: int | None, *, dead: bool) -> None:
        self.books, self.place, self.dead = books, place, dead
        self.born = self.left = False
        self.nowhere: Event | None = None  # somewhere in the district, nobody says where
        self.movements: list[Movement] = []

    def hear(self, event: Event, everything: Iterable[Event]) -> None:
        if event.does == "dies":
            self._die(event)
        elif event.does == "leaves":
            self._leave(event)
        elif event.area is None:
            self._arrive_nowhere(event, everything)
        elif not self.books.has(event.area):
            self._leave(event)
        else:
            self._arrive(event, event.area)

    def end(self, now: int | None) -> Iterator[Movement]:
        """What still leads to where they live."""
        if self.nowhere is not None:
            yield _line(self.books, "unexplained", self.place, now, self.nowhere, LIVES_NOWHERE)
        elif self.place != now:
            yield _line(self.books, "unexplained", self.place, now, None, NO_CAUSE)

    def _go(self, kind: str, to: int | None, event: Event) -> None:
        self.movements.append(_line(self.books, kind, self.place, to, event))
        self.place, self.nowhere = to, None

    def _arrive(self, event: Event, area: int) -> None:
        if self.dead:
            self._move_nobody(event, None, area, AFTER_DEATH)
        elif area == self.place:
            if event.counts_as == "birth" and not self.born:
                self._move_nobody(event, None, area, HERE_ALREADY)
        else:
            here = self.place is not None
            self._go("correction" if here and event.counts_as == "birth" else event.counts_as, area, event)
        self.born |= event.counts_as == "birth"

    def _arrive_nowhere(self, event: Event, everything: Iterable[Event]) -> None:
        elsewhere = any(one.does == "arrives" and one.area is not None for one in everything)
        if event.counts_as in FLOWS and self.place is None and not self.dead and not elsewhere:
            self._go(event.counts_as, self.books.district, event)
            self.nowhere, self.born = event, event.counts_as == "birth"

    def _leave(self, event: Event) -> None:
        if self.dead:
            return
        if self.place is not None:
            self._go("moved" if event.counts_as == "birth" else event.counts_as, None, event)
            self.left = True
        elif event.does == "leaves" and event.counts_as in FLOWS and not self.left and self.books.has(event.area):
            self._move_nobody(event, event.area, None, NOT_HERE)

    def _die(self, event: Event) -> None:
        if self.dead:
            return
        self.dead = True
        if self.place is not None:
            self._go(event.counts_as, None, event)
        elif self.books.has(event.area):
            self._move_nobody(event, event.area, None, NOT_HERE)

    def _move_nobody(self, event: Event, origin: int | None, to: int | None, wrong: str) -> None:
        """It is counted, as the source counts it; that it moved nobody is the difference."""
        if event.counts_as == "correction":
            return
        self.movements.append(_line(self.books, event.counts_as, origin, to, event))
        self.movements.append(_line(self.books, "unexplained", to, origin, event, wrong))


def _line(
    books: Books, kind: str, origin: int | None, to: int | None, event: Event | None, reason: str = ""
) -> Movement:
    return Movement(
        kind=kind, from_area=origin, to_area=to, of_month=books.month, event=event, reason=reason,
        record_type=event.record_type if event else "", record_id=event.record_id if event else None,
    )  # fmt: skip


def movement_rows(month: str, person_id: UUID, movements: Sequence[Movement]) -> Iterator[dict[str, object]]:
    """As they are kept in balance_movement."""
    for one in movements:
        yield {
            "month": month, "person_id": person_id, "kind": one.kind, "from_area": one.from_area,
            "to_area": one.to_area, "of_month": one.of_month, "record_type": one.record_type,
            "record_id": one.record_id, "event_date": one.event.day if one.event else None, "reason": one.reason,
        }  # fmt: skip


def event_of(row: Sequence[object]) -> Event:
    """An event as the statements of hub.casework.balance_sql give it, after its person."""
    area, day, record_id, record_type, does, counts_as = row
    return Event(
        area=cast("int | None", area), day=cast("date | None", day), record_id=cast(UUID, record_id),
        record_type=str(record_type), does=str(does), counts_as=str(counts_as),
    )  # fmt: skip
