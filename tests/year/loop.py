"""The year, driven down the real line: files, round, answers, challenges, the month's account, and what must be true."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from uuid import UUID

from hub.casework import balance, challenges, item_list, rounds
from hub.casework.challenge_settling import settle_by_itself
from hub.casework.list_delivery import make_list
from hub.casework.standing import standing_sql
from hub.exchange.area_submission import change_areas
from hub.exchange.dispute_submission import lift_settled
from hub.registry import month_calendar
from hub.registry.area_changes import merge_areas
from hub.registry.areas import AreaIndex
from hub.registry.permissions import SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of, scope_for
from hub.settings import RoundPolicy
from tests.year.departments import DEATHS, Departments, Report
from tests.year.paper import fill_in
from tests.year.register import Register
from tests.year.rows import KEYS, village_code
from tests.year.towns import Line, Towns, answer_row, left_unanswered
from tests.year.world import MONTHS, OUTSIDE, Event, Person, World, month_end

_PRINTED = ("source_record_id", "round", "name")
ASKED_AGAIN = 5  # a line may be passed on so often in one month
FLOWS = "start + opening + births - deaths + moved_in - moved_out + corrected_in - corrected_out"
BALANCES = f'{FLOWS} + adjusted_in - adjusted_out + excused = "end"'


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
    share: float = 1.0
    months: int = len(MONTHS)
    patience: random.Random = field(default_factory=lambda: random.Random(1))  # of the sources
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
        challenged = self._let_sources_answer(month)
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
        found = sum(self._return_list(town, month) for town in self._offices())
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

    def _offices(self) -> list[int]:
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
        villages = {areas.codes[one.code]: place for place, one in enumerate(self.world.district.villages)}
        waiting = [item for item in listed.items if item.state == "open"]
        reports = self._reports_behind([(item.record_type, item.record_id) for item in waiting])
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

    def _reports_behind(self, records: list[tuple[str, UUID]]) -> dict[UUID, Report]:
        """What the departments know these records as."""
        found: dict[UUID, Report] = {}
        for record_type in sorted({code for code, _ in records}):
            columns = ", ".join(f"coalesce({name}::text, '')" for name in KEYS[record_type])
            rows = self.register.ask(
                f"SELECT record_id, {columns} FROM {{d}}.rec_{record_type} WHERE record_id = ANY(CAST(:records AS uuid[]))",
                records=[record for code, record in records if code == record_type],
            )
            for record_id, *key in rows:
                found[UUID(str(record_id))] = self.departments.on_record[record_type, *(str(part) for part in key)]
        return found

    # ---- the sources ----

    def _let_sources_answer(self, month: int) -> int:
        """Each department looks at what is open against it: some at once, some next month; at the end all of it."""
        last = month == self.months - 1
        taken = [one for one in self.register.ask(_CHALLENGES) if last or self.patience.random() < 0.8]
        reports: list[Report] = []
        answers: list[tuple[object, str, str]] = []
        for challenge_id, kind, record_type, record_id, person_id, against in taken:
            sent, outcome = self._looked_again(str(kind), str(record_type), record_id, person_id, str(against))
            reports += [one for one in sent if one not in reports]
            answers.append((challenge_id, str(against), outcome))
        self.register.know()
        self.register.send(self.departments.rows_of(reports), MONTHS[month], "corrections")
        for challenge_id, against, outcome in answers:
            self._answer_challenge(month, UUID(str(challenge_id)), against, outcome)
        self._settle_challenges(month)
        return len(taken)

    def _settle_challenges(self, month: int) -> None:
        """What the register itself shows is settled; the other answers are accepted by who asked; marks follow."""
        hub, when = self.register, _instant(month, "due_on")
        hub.do(lambda connection: settle_by_itself(connection, SYSTEM_ACTOR, hub.catalogue, when))
        for challenge_id, raised_by in hub.ask(
            "SELECT challenge_id, raised_by FROM {d}.challenge WHERE state = 'answered'"
        ):
            self._accept_answer(UUID(str(challenge_id)), hub.clerk(str(raised_by)), when)
        lift_settled(hub.worker, hub.settings, hub.catalogue)

    def _accept_answer(self, challenge_id: UUID, officer: Actor, when: datetime) -> None:
        self.register.do(lambda connection: challenges.close(connection, officer, challenge_id, when))

    def _looked_again(
        self, kind: str, record_type: str, record_id: object, person_id: object, against: str
    ) -> tuple[list[Report], str]:
        """What the source sends, and what it says."""
        if kind != "unreported":
            report = self._reports_behind([(record_type, UUID(str(record_id)))])[UUID(str(record_id))]
            sent = self.departments.set_right(report)
            return sent, "stands" if not sent else "voided" if report.event is None else "corrected"
        event = self._event_of(record_type, person_id)
        own = self.departments.type_of(event, against) if event else ""
        if event is None or not own:
            return [], "stands"
        return self.departments.register(event, own), "registered"

    def _event_of(self, record_type: str, person_id: object) -> Event | None:
        """What a town found of this person, as the town remembers it."""
        table = "town_departure" if record_type in (*DEATHS, "hukou_move_out") else "town_arrival"
        rows = self.register.ask(
            f"SELECT name, changed_on::text FROM {{d}}.rec_{table} WHERE person_ref = :person AND NOT voided"
            " ORDER BY record_id DESC",
            person=person_id,
        )
        known = (self.towns.reported.get((table, str(name), str(day))) for name, day in rows)
        return next((one for one in known if isinstance(one, Event)), None)

    def _answer_challenge(self, month: int, challenge_id: UUID, against: str, outcome: str) -> None:
        """Unless it is settled already: what the source sent has closed it."""
        when = _instant(month, "due_on")
        state = self.register.ask("SELECT state FROM {d}.challenge WHERE challenge_id = :one", one=challenge_id)[0][0]
        if state == "open":
            clerk = self.register.clerk(against)
            self.register.do(
                lambda connection: challenges.answer(
                    connection, self.register.settings, clerk, challenge_id, outcome, "已核实，见更正", when
                )
            )

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
            lambda connection: balance.excuse(
                connection, SYSTEM_ACTOR, MONTHS[month], "已逐人查明", when, person_id=person
            )
        )

    def _remember(self, month: int, items: int, found: int, challenged: int, drawn: balance.Drawn) -> None:
        books, truth = self.residents(month), self.world.living_on(month_end(month))
        apart = sum(books.get(person) != truth.get(person) for person in {*books, *truth})
        answered = int(str(self.register.ask(_ANSWERED, month=MONTHS[month])[0][0]))
        self.told.append(
            Told(
                MONTHS[month], items, answered, challenged, found, drawn.unexplained, len(books), len(truth), apart
            )
        )  # fmt: skip

    # ---- what must be true ----

    def residents(self, month: int) -> dict[Person, int]:
        """Who stands in the register at the end of a month, by what is known now, and in which village."""
        rows = self.register.ask(
            f"SELECT s.person_id, s.area FROM ({standing_sql(self.register.catalogue)}) s", day=month_end(month)
        )
        known, areas = self._known_people(), self.register.areas()
        villages = {areas.codes[one.code]: place for place, one in enumerate(self.world.district.villages)}
        stands: dict[Person, int] = {}
        for person_id, area in rows:
            person = known[person_id]
            assert person not in stands, f"{person.name} stands twice"
            stands[person] = villages[int(str(area))]
        return stands

    def _known_people(self) -> dict[object, Person]:
        """Whom the hub's persons are: by number, else by name and day of birth."""
        everybody = [*self.world.people, *self.towns.never_there, *self.departments.told_of]
        numbers = {person.id_no: person for person in everybody}
        names = {(person.name, str(person.born)): person for person in everybody}
        known: dict[object, Person] = {}
        for person_id, name, born in self.register.ask(_NAMED):
            if (str(name), str(born)) in names:
                known[person_id] = names[str(name), str(born)]
        for person_id, number in self.register.ask(_NUMBERED):
            if str(number) in numbers:
                known[person_id] = numbers[str(number)]
        return known

    def differences(self) -> list[str]:
        """Everybody the register has elsewhere than they are; empty when it tells the truth."""
        last = self.months - 1
        books, truth = self.residents(last), self.world.living_on(month_end(last))
        return [
            f"{one.name} {one.id_no}: {self._place(books.get(one))}, in truth {self._place(truth.get(one))} {one.stays}"
            for one in {**books, **truth}
            if books.get(one) != truth.get(one)
        ]

    def _place(self, village: int | None) -> str:
        return "nowhere" if village is None else village_code(self.world, village)

    def out_of_balance(self) -> list[tuple[object, ...]]:
        """Lines of the account that do not add up, or do not begin where the month before ended."""
        return [*self.register.ask(_DOES_NOT_ADD_UP), *self.register.ask(_DOES_NOT_FOLLOW)]

    def open_lines(self) -> set[tuple[str, int, str]]:
        """Month, town and record of every line nobody answered."""
        areas = self.register.areas()
        towns = {areas.codes[self.world.district.towns[town].code]: town for town in self._offices()}
        rows = self.register.ask(_OPEN)
        return {(str(month), towns[int(str(town))], str(record)) for month, town, record in rows}

    def unsettled(self) -> list[tuple[object, ...]]:
        """Challenges that are not over, and records that are still marked as disputed."""
        marked = " UNION ALL ".join(
            f"SELECT '{code}', count(*)::text FROM {{d}}.rec_{code} WHERE disputed AND NOT voided HAVING count(*) > 0"
            for code in KEYS
        )
        over = "SELECT kind, state FROM {d}.challenge WHERE state NOT IN ('closed', 'withdrawn')"
        return [*self.register.ask(over), *self.register.ask(marked)]

    def lost_changes(self) -> int:
        """Changes of the log up to the last round that touch a town and are on no town's list."""
        return int(str(self.register.ask(_LOST)[0][0]))

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
    year = Year(register, register.world, departments, towns, share, months)
    year.begin()
    return year


def _instant(month: int, which: str) -> datetime:
    """An hour of a day of the month's calendar: opens_on, due_on or closes_on."""
    day = getattr(month_calendar, which)(MONTHS[month], RoundPolicy())
    return datetime.combine(day, time(2, 0), UTC)


_CHALLENGES = """
SELECT challenge_id, kind, record_type, record_id, person_id, against FROM {d}.challenge
WHERE state = 'open' ORDER BY kind, record_type, against, record_id IS NULL, challenge_id
"""
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
_NUMBERED = """
SELECT coalesce(p.merged_into, p.person_id), i.value FROM {d}.person_identifier i JOIN {d}.person p USING (person_id)
WHERE i.kind = 'id_no'
"""
_NAMED = """
SELECT child_ref, child_name, child_birth_date FROM {d}.rec_birth_certificate
UNION ALL SELECT person_ref, name, birth_date FROM {d}.rec_town_arrival
"""
_DOES_NOT_ADD_UP = f"SELECT month, area, unexplained FROM {{d}}.balance WHERE NOT ({BALANCES}) OR unexplained <> 0"
_DOES_NOT_FOLLOW = """
SELECT b.month, b.area, b.start, sum(p."end") FROM {d}.balance b
JOIN {d}.area a ON a.area_id = b.area OR a.successor_id = b.area
JOIN {d}.balance p ON p.area = a.area_id AND p.month = (SELECT max(month) FROM {d}.balance_month WHERE month < b.month)
GROUP BY 1, 2, 3 HAVING b.start <> sum(p."end")
"""
_OPEN = """
SELECT m.month, i.town, i.record_id FROM {d}.round_item i JOIN {d}.monthly_round m USING (round_id) WHERE i.state = 'open'
"""
_LOST = """
SELECT count(*) FROM {d}.change_log c
WHERE c.seq <= (SELECT max(up_to_seq) FROM {d}.monthly_round) AND c.op IN ('new', 'update', 'void', 'restore')
  AND c.record_type = ANY (ARRAY['hukou_move_in', 'hukou_move_out', 'residence_registration', 'hukou_cancel',
                                 'death_certificate', 'newborn_hukou', 'birth_certificate', 'marriage', 'cremation'])
  AND NOT EXISTS (SELECT 1 FROM {d}.round_change r WHERE r.seq = c.seq)
"""
