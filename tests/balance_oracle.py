"""The month's account as a small model in plain Python: who lives where, and which lines make the difference.

It knows nothing of SQL: places are found by hearing all events up to a moment, again for every single event.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

DISTRICT = 1
EVER = "9999-12-31"
SAYS = {
    "resident_roll": ("arrives", "correction"),
    "newborn_hukou": ("arrives", "birth"),
    "hukou_move_in": ("arrives", "moved"),
    "hukou_move_out": ("leaves", "moved"),
    "death_certificate": ("dies", "death"),
    "cremation": ("dies", "death"),
}
Line = tuple[int, str, int | None, int | None, str, str]  # who, kind, from, to, of which month, why


@dataclass(eq=False)
class Said:
    """One record: what it says, since when it is known, and whether it still stands."""

    number: int
    record_type: str
    who: int
    area: int | None
    day: str | None
    since: str  # the month then open
    voided: bool = False

    @property
    def does(self) -> str:
        return SAYS[self.record_type][0]

    @property
    def counts_as(self) -> str:
        return SAYS[self.record_type][1]


@dataclass
class BalanceOracle:
    """The district's people, and the books."""

    towns: dict[int, int]  # village -> town, town -> itself
    joined: dict[int, str] = field(default_factory=dict)  # town -> month
    records: list[Said] = field(default_factory=list)
    causes: dict[int, str] = field(
        default_factory=dict
    )  # who -> why something else is known of them; since the closing
    books: dict[int, int] = field(default_factory=dict)
    closed: str = ""
    into: dict[int, int] = field(default_factory=dict)  # areas
    one: dict[int, int] = field(default_factory=dict)  # persons

    # ---- what happens ----

    def say(self, record_type: str, who: int, area: int | None, day: str | None, month: str) -> Said:
        said = Said(len(self.records), record_type, self.survivor(who), area, day, month)
        self.records.append(said)
        return said

    def void(self, said: Said) -> None:
        said.voided = True
        self.causes[said.who] = "void"

    def moves_elsewhere(self, said: Said, area: int) -> None:
        said.area = area
        self.causes[said.who] = "update"

    def merge_people(self, kept: int, other: int) -> None:
        """Of two rolls the kept person's stands."""
        self.one[other] = kept
        theirs = [one for one in self.records if one.who == other]
        for record_type in ("resident_roll", "newborn_hukou"):
            mine = [one for one in self.records if (one.who, one.record_type, one.voided) == (kept, record_type, False)]
            for said in theirs:
                said.voided |= bool(mine) and said.record_type == record_type
        for said in theirs:
            said.who = kept
            self.causes[kept] = "merge"
        self.causes[other] = "merge"

    def merge_towns(self, absorbed: int, into: int) -> None:
        self.towns = {area: into if town == absorbed else town for area, town in self.towns.items() if area != absorbed}
        self.into[absorbed] = into
        if absorbed in self.joined:
            self.joined[into] = min(self.joined.pop(absorbed), self.joined.get(into, EVER))

    def close(self, month: str) -> None:
        self.books, self.closed, self.causes = self.stock(month), month, {}

    # ---- what follows ----

    def survivor(self, who: int) -> int:
        return self.survivor(self.one[who]) if who in self.one else who

    def current(self, area: int | None) -> int | None:
        return self.into.get(area, area) if area is not None else None

    def in_books(self, area: int | None, month: str) -> bool:
        area = self.current(area)
        return area is not None and self.joined.get(self.towns[area], EVER) <= month

    def place(self, heard: list[Said], month: str) -> int | None:
        """Where the books have somebody of whom this was heard."""
        if any(said.does == "dies" for said in heard):
            return None
        told = [said for said in heard if said.does != "arrives" or said.area is not None]
        last = max(told, key=lambda said: (said.day or "", said.number), default=None)
        here = last is not None and last.does == "arrives" and self.in_books(last.area, month)
        return self.current(last.area) if here and last else None

    def of(self, who: int) -> list[Said]:
        return [said for said in self.records if said.who == who and not said.voided]

    def stock(self, month: str) -> dict[int, int]:
        found = {}
        for who in {said.who for said in self.records}:
            place = self.place([one for one in self.of(who) if (one.day or "") <= f"{month}-31"], month)
            if place is not None:
                found[who] = place
        return found

    def lines(self, month: str) -> Counter[Line]:
        everybody = {said.who for said in self.records} | set(self.books)
        return Counter(line for who in everybody for line in self._of_one(who, month))

    def _of_one(self, who: int, month: str) -> list[Line]:
        before = [one for one in self.of(who) if (one.day or "")[:7] < month]
        during = [one for one in self.of(who) if (one.day or "")[:7] == month]
        during.sort(key=lambda one: (one.day, one.does == "dies", one.number))
        was, eve = self.current(self.books.get(who)), self.place(before, month)
        told = self._told(before)
        opens = eve is not None and self.closed < self.joined[self.towns[eve]] <= month
        if was is None and told and told.day is None and (opens or told.since > self.closed):
            here = (one for one in during if self.in_books(one.area, month) or one.does == "dies")
            if self._comes_to(next(here, None), eve):
                return self._month(who, [], during, month)
        return [*self._revised(who, was, eve, told, opens, month), *self._month(who, before, during, month)]

    def _comes_to(self, said: Said | None, place: int | None) -> bool:
        return (
            said is not None
            and said.counts_as in ("birth", "moved")
            and said.does == "arrives"
            and self.current(said.area) == place
        )

    def _told(self, heard: list[Said]) -> Said | None:
        told = [said for said in heard if said.does != "arrives" or said.area is not None]
        return max(told, key=lambda said: (said.does == "dies", said.day or "", said.number), default=None)

    def _revised(
        self, who: int, was: int | None, eve: int | None, told: Said | None, opens: bool, month: str
    ) -> list[Line]:
        if was == eve:
            return []
        if was is None and opens:
            return [(who, "opening", was, eve, month, "")]
        if told and told.since > self.closed:
            return [(who, told.counts_as, was, eve, told.day[:7] if told.day else month, "")]
        if who in self.causes:
            return [(who, "correction", was, eve, month, self.causes[who])]
        return [(who, "unexplained", was, eve, month, "no_cause")]

    def _month(self, who: int, before: list[Said], during: list[Said], month: str) -> list[Line]:
        return [line for at in range(len(during)) for line in self._event(who, before, during[: at + 1], month)]

    def _event(self, who: int, before: list[Said], during: list[Said], month: str) -> list[Line]:
        """The lines of the last event of these."""
        *earlier, said = during
        places = [self.place([*before, *during[:at]], month) for at in range(len(during) + 1)]
        was, now, here = places[-2], places[-1], self.current(said.area)
        if was != now:
            kind = ("moved" if now is None else "correction" if was else "birth") if said.counts_as == "birth" else ""
            return [(who, kind or said.counts_as, was, now, month, "")]
        if said.area is None and said.does == "arrives":  # in these stories: a child of whom nothing else is known
            return self._nobody(who, said, None, DISTRICT, "lives_nowhere", month)
        if not self.in_books(said.area, month):
            return []
        if any(one.does == "dies" for one in [*before, *earlier]):
            late = said.does == "arrives" and said.counts_as != "correction"
            return self._nobody(who, said, None, here, "after_death", month) if late else []
        if said.counts_as == "birth" and not any(one.counts_as == "birth" for one in earlier):
            return self._nobody(who, said, None, here, "here_already", month)
        left = any(came is not None and then is None for came, then in pairwise(places))
        if was is None and (said.does == "dies" or (said.does == "leaves" and not left)):
            return self._nobody(who, said, here, None, "not_here", month)
        return []

    def _nobody(self, who: int, said: Said, origin: int | None, to: int | None, why: str, month: str) -> list[Line]:
        return [
            (who, said.counts_as, origin, to, month, ""),
            (who, "unexplained", to, origin, month, why),
        ]
