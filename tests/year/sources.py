"""What departments do about what is put to them: look again, send what is right, and say so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zlib import crc32

from hub.casework import challenges
from hub.casework.challenge_settling import settle_by_itself
from hub.exchange.dispute_submission import lift_settled
from hub.registry.permissions import SYSTEM_ACTOR
from tests.year.departments import DEATHS, Departments, Report
from tests.year.register import Register
from tests.year.rows import KEYS
from tests.year.towns import Towns
from tests.year.world import Event

_SLOW = 20  # of a hundred challenges wait for the next month


@dataclass(frozen=True, slots=True)
class Asked:
    """One challenge, and what the source finds it to be about: its record, or what it never registered."""

    challenge_id: UUID
    against: str
    about: Report | Event | None

    def is_slow(self, month: str) -> bool:
        """Whether it waits for another month; the same for the same matter whatever the order."""
        about = self.about
        named = about.key if isinstance(about, Report) else (about.kind, about.day, about.person.name) if about else ()
        return crc32(repr((month, named)).encode()) % 100 < _SLOW


@dataclass(slots=True)
class Sources:
    """All departments at their desks."""

    register: Register
    departments: Departments
    towns: Towns

    def answer_all(self, month: str, when: datetime, *, last: bool) -> int:
        """What is open is looked at, some of it only next month; at the end all of it. How many."""
        asked = [self._read(*row) for row in self.register.ask(_OPEN)]
        taken = [one for one in asked if last or not one.is_slow(month)]
        reports: list[Report] = []
        outcomes: list[tuple[Asked, str]] = []
        for one in taken:
            sent, outcome = self._look_again(one)
            reports += [each for each in sent if each not in reports]
            outcomes.append((one, outcome))
        self.register.know()
        self.register.send(self.departments.rows_of(reports), month, "corrections")
        for one, outcome in outcomes:
            self._answer(one, outcome, when)
        self._settle(when)
        return len(taken)

    def reports_behind(self, records: list[tuple[str, UUID]]) -> dict[UUID, Report]:
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

    def _read(
        self,
        challenge_id: object,
        kind: object,
        record_type: object,
        record_id: object,
        person: object,
        against: object,
    ) -> Asked:
        about: Report | Event | None
        if kind == "unreported":
            about = self._event_of(str(record_type), person)
        else:
            about = self.reports_behind([(str(record_type), UUID(str(record_id)))])[UUID(str(record_id))]
        return Asked(UUID(str(challenge_id)), str(against), about)

    def _event_of(self, record_type: str, person_id: object) -> Event | None:
        """What a town found of this person, as the town remembers it."""
        table = "town_departure" if record_type in (*DEATHS, "hukou_move_out") else "town_arrival"
        rows = self.register.ask(
            f"SELECT name, changed_on::text FROM {{d}}.rec_{table} WHERE person_ref = :person AND NOT voided"
            " ORDER BY record_id DESC",
            person=person_id,
        )
        known = (self.towns.reported.get((table, str(name), str(day))) for name, day in rows)
        return next((one for one in known if one is not None), None)

    def _look_again(self, asked: Asked) -> tuple[list[Report], str]:
        """What the source sends, and what it says."""
        if isinstance(asked.about, Report):
            sent = self.departments.set_right(asked.about)
            return sent, "stands" if not sent else "voided" if asked.about.event is None else "corrected"
        own = self.departments.type_of(asked.about, asked.against) if asked.about else ""
        if asked.about is None or not own:
            return [], "stands"
        return self.departments.register(asked.about, own), "registered"

    def _answer(self, asked: Asked, outcome: str, when: datetime) -> None:
        """Unless it is settled already: what was sent has closed it."""
        rows = self.register.ask("SELECT state FROM {d}.challenge WHERE challenge_id = :one", one=asked.challenge_id)
        if rows[0][0] == "open":
            clerk, settings = self.register.clerk(asked.against), self.register.settings
            said = (clerk, asked.challenge_id, outcome, "已核实，见更正", when)
            self.register.do(lambda connection: challenges.answer(connection, settings, *said))

    def _settle(self, when: datetime) -> None:
        """What the register itself shows is settled; the other answers are accepted by who asked; marks follow."""
        hub = self.register
        hub.do(lambda connection: settle_by_itself(connection, SYSTEM_ACTOR, hub.catalogue, when))
        for challenge_id, raised_by in hub.ask(_ANSWERED):
            self._accept(UUID(str(challenge_id)), str(raised_by), when)
        lift_settled(hub.worker, hub.settings, hub.catalogue)

    def _accept(self, challenge_id: UUID, raised_by: str, when: datetime) -> None:
        officer = self.register.clerk(raised_by)
        self.register.do(lambda connection: challenges.close(connection, officer, challenge_id, when))


_OPEN = """
SELECT challenge_id, kind, record_type, record_id, person_id, against FROM {d}.challenge
WHERE state = 'open' ORDER BY kind, record_type, against, challenge_id
"""
_ANSWERED = "SELECT challenge_id, raised_by FROM {d}.challenge WHERE state = 'answered' ORDER BY challenge_id"
