"""The year, driven down the real line: files, round, answers, challenges, the month's account, and what must be true."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from uuid import UUID

from hub.casework import balance, balance_excuses, item_list, rounds
from hub.casework.list_delivery import make_list
from hub.exchange.area_submission import change_areas
from hub.registry import month_calendar
from hub.registry.area_changes import merge_areas
from hub.registry.areas import AreaIndex
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of, scope_for
from hub.settings import RoundPolicy
from tests.year.departments import Departments
from tests.year.paper import fill_in
from tests.year.proofs import residents
from tests.year.register import Register
from tests.year.sources import Sources
from tests.year.towns import Line, Towns, answer_row, left_unanswered
from tests.year.world import MONTHS, OUTSIDE, World, month_end

_PRINTED = ("source_record_id", "round", "name")
ASKED_AGAIN = 5  # a line may be passed on so often in one month


@dataclass(frozen=True, slots=True)
class Told:
    """One month as it came out."""

    month: str
    items: int
    answered: int
    challenged: int
    found: int
    unexplained: int
    residents: int
    truth: int
    apart: int  # people the books have elsewhere than they are, at the month's closing


@dataclass(slots=True)
class Year:
    """One run. ``share``: of their lines, how many the towns answer."""

    register: Register
    world: World
    departments: Departments
    towns: Towns
    sources: Sources
    share: float = 1.0
    months: int = len(MONTHS)
    unanswered: set[tuple[str, int, str]] = field(default_factory=set)  # month, town, record
    verdicts: Counter[str] = field(default_factory=Counter)
    excuses: Counter[str] = field(default_factory=Counter)
    told: list[Told] = field(default_factory=list)
    on_paper: set[tuple[int, int]] = field(default_factory=set)  # town and month of lists that come back as workbooks
    midway: dict[int, Callable[[], None]] = field(default_factory=dict)  # what happens while a month's round is open

    # ---- the story ----

    def begin(self) -> None:
        """The hub is founded, the towns send their rolls, and their people are in the books."""
        self.register.found()
        rolls = {(self._office(town), "resident_roll"): rows for town, rows in sorted(self.towns.rolls().items())}
        self.register.send(rolls, "2025-10", "roll")
        self.register.know()
        areas = self.register.areas()
        for town in self.world.district.towns:
            self._join_books(areas, areas.codes[town.code])

    def _join_books(self, areas: AreaIndex, town: int) -> None:
        when = _instant(0, "opens_on")
        self.register.do(lambda connection: balance.join_books(connection, SYSTEM_ACTOR, town, MONTHS[0], when, areas))

    def live_through(self) -> None:
        for month in range(self.months):
            self.pass_month(month)

    def pass_month(self, month: int) -> None:
        """Files come, the towns are asked and answer, sources look again, and the account is closed."""
        self.departments.hear_of(month)
        self.register.send(self.departments.send(month), MONTHS[month], "files")
        opened = self._open_round(month)
        found = self._let_towns_answer(month)
        challenged = self.sources.answer_all(MONTHS[month], _instant(month, "due_on"), last=month == self.months - 1)
        self._close_round(month)
        drawn = self._draw(month)
        self._remember(month, opened.items, found, challenged, drawn)

    def _open_round(self, month: int) -> rounds.OpenedRound:
        opened = self.register.do(
            lambda connection: rounds.open_round(
                connection, self.register.settings, self.register.catalogue, SYSTEM_ACTOR, MONTHS[month],
                _instant(month, "opens_on"),
            )
        )  # fmt: skip
        assert isinstance(opened, rounds.OpenedRound)
        return opened

    def _close_round(self, month: int) -> None:
        when = _instant(month, "closes_on")
        self.register.do(lambda connection: rounds.close_round(connection, SYSTEM_ACTOR, MONTHS[month], when))

    # ---- the towns ----

    def _let_towns_answer(self, month: int) -> int:
        """Town by town, with what nobody sent; then what was passed on, until nothing is open that will be answered."""
        found = sum(self._return_list(town, month) for town in self.offices())
        self.register.know()
        self.register.work()
        for attempt in range(ASKED_AGAIN):
            waiting = self._towns_waiting(month)
            files = {(self._office(town), "town_verification"): self._answer_list(town, month) for town in waiting}
            if not any(files.values()):
                return found
            self.register.send({to: rows for to, rows in files.items() if rows}, MONTHS[month], f"again-{attempt}")
        raise AssertionError("lines are passed on without end")

    def _return_list(self, town: int, month: int) -> int:
        """A town's return, in the workbook or as rows; how many it found whom nobody had sent."""
        if town == 2 and month in self.midway:
            self.register.work()
            self.midway[month]()
        if town in self.world.absorbed:
            return 0
        listed = self._printed(town, month) if (town, month) in self.on_paper else None
        rows, found = self._answer_list(town, month), self.towns.find(town, month)
        if listed is not None and rows:
            self._send_back(town, month, listed, rows, found)
        else:
            office = self._office(town)
            files = {"town_verification": rows} | found
            self.register.enter({(office, code): each for code, each in files.items() if each}, MONTHS[month], "return")
        return sum(len(each) for each in found.values())

    def _printed(self, town: int, month: int) -> bytes:
        """The workbook as the town downloads it."""
        officer = self.register.officer(town)
        with self.register.served.begin(reach_of(officer)) as connection:
            made = make_list(connection, self.register.settings, self.register.catalogue, officer, MONTHS[month])
        return made.content

    def _send_back(
        self, town: int, month: int, listed: bytes, rows: list[dict[str, str]], found: dict[str, list[dict[str, str]]]
    ) -> None:
        answers = {row["source_record_id"]: {name: row[name] for name in row if name not in _PRINTED} for row in rows}
        content = fill_in(self.register.catalogue, listed, answers, found)
        office = self._office(town)
        name = f"{self.world.district.towns[town].name}{MONTHS[month]}变动清单.xlsx"
        self.register.hand_in(office, "town_verification", MONTHS[month], content, name)

    def _towns_waiting(self, month: int) -> list[int]:
        waiting = self.register.ask(_WAITING, month=MONTHS[month])
        codes = {str(code): town for town, code in enumerate(one.organisation for one in self.world.district.towns)}
        return sorted(codes[str(code)] for (code,) in waiting)

    def offices(self) -> list[int]:
        """The towns there are by now."""
        return [town for town in range(len(self.world.district.towns)) if town not in self.world.absorbed]

    def _answer_list(self, town: int, month: int) -> list[dict[str, str]]:
        """The rows the town sends: what is open on its list and it comes to."""
        rows, lines = [], self._open_lines(town, month)
        lazy = left_unanswered([line for line, _ in lines], self.share) if self.share < 1 else set()
        for line, item in lines:
            asked = (MONTHS[month], town, line.record_id)
            if asked in self.unanswered:
                continue
            if line.record_id in lazy and line.came != "transfer":
                self.unanswered.add(asked)
                self.towns.take_note(line)
                continue
            answer = self.towns.answer(line, month, last=month == self.months - 1)
            self.verdicts[answer.result] += 1
            row = answer_row(self.world, answer, month) | {
                "source_record_id": line.record_id, "round": MONTHS[month], "name": item.name or "无名",
            }  # fmt: skip
            rows.append(row)
        return rows

    def _open_lines(self, town: int, month: int) -> list[tuple[Line, item_list.ListedItem]]:
        officer = self.register.officer(town)
        areas = self.register.areas()
        with self.register.served.begin(reach_of(officer)) as connection:
            listed = item_list.read_list(
                connection, self.register.catalogue, scope_for(officer, areas), areas, MONTHS[month], purpose="核对"
            )
        villages = self.village_ids()
        waiting = [item for item in listed.items if item.state == "open"]
        reports = self.sources.reports_behind([(item.record_type, item.record_id) for item in waiting])
        return [
            (
                Line(
                    town, str(item.record_id), item.change, item.came, villages.get(item.village or 0, OUTSIDE),
                    reports[item.record_id],
                ),
                item,
            )
            for item in waiting
        ]  # fmt: skip

    # ---- the account ----

    def _draw(self, month: int) -> balance.Drawn:
        """The month is drawn, what is unexplained is noted and let pass, and it is closed."""
        hub, when = self.register, _instant(month, "closes_on")
        tools = (hub.worker, hub.settings, hub.catalogue, SYSTEM_ACTOR, MONTHS[month], when)
        drawn = balance.draw_month(*tools)
        for person_id, kind, record_type, reason in hub.ask(_UNEXPLAINED, month=MONTHS[month]):
            self.excuses[f"{MONTHS[month]} {kind} {record_type} {reason}"] += 1
            self._let_pass(month, UUID(str(person_id)))
        balance.close_month(*tools)
        return drawn

    def _let_pass(self, month: int, person: UUID) -> None:
        when = _instant(month, "closes_on")
        self.register.do(
            lambda connection: balance_excuses.excuse(
                connection, SYSTEM_ACTOR, MONTHS[month], "已逐人查明", when, person_id=person
            )
        )

    def _remember(self, month: int, items: int, found: int, challenged: int, drawn: balance.Drawn) -> None:
        books, truth = residents(self, month), self.world.living_on(month_end(month))
        apart = sum(books.get(person) != truth.get(person) for person in {*books, *truth})
        answered = int(str(self.register.ask(_ANSWERED, month=MONTHS[month])[0][0]))
        self.told.append(
            Told(
                MONTHS[month], items, answered, challenged, found, drawn.unexplained, len(books), len(truth), apart
            )
        )  # fmt: skip

    def village_ids(self) -> dict[int, int]:
        """Area id -> place of the village in the district."""
        codes = self.register.areas().codes
        return {codes[one.code]: place for place, one in enumerate(self.world.district.villages)}

    # ---- towns merge ----

    def merge_towns(self, absorbed: int, into: int) -> None:
        """From now on the second town answers for both."""
        hub, areas = self.register, self.register.areas()
        codes = [self.world.district.towns[town].code for town in (absorbed, into)]
        change_areas(
            hub.worker, hub.settings, hub.catalogue, SYSTEM_ACTOR,
            lambda connection: merge_areas(
                connection, SYSTEM_ACTOR, [areas.codes[codes[0]]], areas.codes[codes[1]], _instant(3, "opens_on").date()
            ),
        )  # fmt: skip
        self.world.absorbed[absorbed] = into
        self.towns.follow(absorbed, into)
        self.unanswered = {(month, into if town == absorbed else town, one) for month, town, one in self.unanswered}

    def _office(self, town: int) -> str:
        return self.world.district.towns[town].organisation


def begin_year(register: Register, *, seed: int, share: float = 1.0, months: int = len(MONTHS)) -> Year:
    """A founded hub whose towns are in the books; ``register.world`` is what happens."""
    departments = Departments(register.world, random.Random(seed + 1))
    towns = Towns(register.world, random.Random(seed + 2))
    sources = Sources(register, departments, towns)
    year = Year(register, register.world, departments, towns, sources, share, months)
    year.begin()
    return year


def _instant(month: int, which: str) -> datetime:
    """An hour of a day of the month's calendar: opens_on, due_on or closes_on."""
    day = getattr(month_calendar, which)(MONTHS[month], RoundPolicy())
    return datetime.combine(day, time(2, 0), UTC)


_UNEXPLAINED = """
SELECT person_id, kind, record_type, reason FROM {d}.balance_movement WHERE month = :month AND kind = 'unexplained'
"""
_WAITING = """
SELECT DISTINCT t.organisation FROM {d}.round_item i JOIN {d}.monthly_round m USING (round_id)
JOIN {d}.round_town t USING (round_id, town) WHERE m.month = :month AND i.state = 'open'
"""
_ANSWERED = """
SELECT count(*) FROM {d}.round_item JOIN {d}.monthly_round USING (round_id) WHERE month = :month AND round_item.state <> 'open'
"""
