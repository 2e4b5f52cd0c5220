"""Stories of a district for tests of rounds: people move between towns, marry, are corrected and voided, areas merge."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from hub.casework.rounds import OpenedRound, open_round
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.exchange.area_submission import change_areas
from hub.exchange.changelog import number_changes
from hub.exchange.person_changes import carry_out
from hub.exchange.pipeline import apply_staged
from hub.registry.area_changes import merge_areas
from hub.registry.areas import AreaRow, import_areas, load_area_index
from hub.registry.month_calendar import month_after
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from hub.tables import person_decision
from mappings.catalogue import Catalogue
from tests.factories import distinct_name
from tests.staged import stage

DISTRICT, *TOWNS = 1, 2, 3, 4, 5
VILLAGES = {6: 2, 7: 2, 8: 3, 9: 3, 10: 4, 11: 4, 12: 5}
PEOPLE = [f"9990011990010100{serial:02d}" for serial in range(10, 24)]
FIRST_MONTH = "2026-01"
Row = dict[str, Any]


def found_towns(connection: Connection) -> None:
    """Four towns with their offices and seven villages; ids as above."""
    rows = [AreaRow("999001000000", "云岭区", "district")]
    rows += [AreaRow(f"99900110{town}000", f"第{town}镇", "town", "999001000000") for town in TOWNS]
    rows += [
        AreaRow(f"99900110{town}{village:03d}", f"第{village}村", "village", f"99900110{town}000")
        for village, town in VILLAGES.items()
    ]
    import_areas(connection, SYSTEM_ACTOR, rows, date(2020, 1, 1))
    for town in TOWNS:
        one = Organisation(code=f"99900110{town}", district="d999001", name=f"第{town}镇", kind="town", area_id=town)
        save_organisation(connection, SYSTEM_ACTOR, one)


def opening_day(month: str) -> datetime:
    """Noon of a day on which the month is over."""
    return datetime.fromisoformat(f"{month_after(month)}-02T04:00:00+00:00").astimezone(UTC)


@dataclass
class Story:
    """One district's months, the same for the same seed."""

    database: Database
    settings: Settings
    catalogue: Catalogue
    seed: int
    month: str = FIRST_MONTH
    sent: int = 0
    couples: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    # ---- what happens ----

    def live(self, happenings: int) -> None:
        acts = (
            self.move,
            self.move,
            self.marry,
            self.work,
            self.correct,
            self.void,
            self.backfill,
            self.late,
            self.judge,
        )
        for _ in range(happenings):
            self.chance.choice(acts)()

    def move(self, kind: str = "regular", day: date | None = None) -> None:
        number, village = self.chance.choice(PEOPLE), self.chance.choice(list(VILLAGES))
        moved = day or date(2026, 1, 1) + timedelta(days=self.sent)
        self.send(
            "public_security", "hukou_move_in", [person(number) | {"person_area": village, "move_date": moved}], kind
        )

    def late(self) -> None:
        self.move(day=date(2020, 1, 1) + timedelta(days=self.chance.randrange(2000)))

    def backfill(self) -> None:
        self.move("backfill")

    def marry(self, kind: str = "regular") -> None:
        him, her = self.chance.sample(PEOPLE, 2)
        self.couples.append(f"J{self.sent}")
        self._tell_marriage(self.couples[-1], him, her)

    def correct(self) -> None:
        """The same certificate about somebody else: with the people, the towns change."""
        if self.couples:
            self._tell_marriage(self.chance.choice(self.couples), *self.chance.sample(PEOPLE, 2), change_kind="correct")

    def work(self) -> None:
        number = self.chance.choice(PEOPLE)
        job = {"employer": self.chance.choice(["甲厂", "乙厂"]), "start_date": "2024-01-01", "emp_form": "1"}
        self.send("labour", "employment", [person(number) | job])

    def void(self) -> None:
        if self.couples:
            couple = self.chance.choice(self.couples)
            self._tell_marriage(couple, *self.chance.sample(PEOPLE, 2), change_kind="void")

    def judge(self) -> None:
        """Two persons turn out to be one: what named the one names the other."""
        with self.database.begin() as connection:
            known = run_sql(connection, "SELECT DISTINCT ON (person_id) value, person_id FROM {d}.person_identifier"
                                        " WHERE value = ANY (:people) ORDER BY person_id, value", people=PEOPLE)  # fmt: skip
            if len(known) < 6:
                return
            (number, kept), (_, other) = self.chance.sample(sorted(known), 2)
            decision_id = new_uuid()
            values = {
                "decision_id": decision_id, "kind": "merge", "organisation": "bureau", "decided_by": "x", "id_no": number,
                "decided_at": utc_now(), "reason": "同一人", "person_id": kept, "other_id": other,
            }  # fmt: skip
            connection.execute(person_decision.insert().values(values))
            submission_id = stage(connection, self.catalogue.record_types["employment"], [])
            self._enter(connection, submission_id, "hub", "person", "system")
            carry_out(connection, submission_id, decision_id, self.catalogue)
            number_changes(connection, submission_id)

    def merge(self) -> None:
        """Two towns, or two villages, that still stand."""
        with self.database.begin() as connection:
            areas = load_area_index(connection)
        kind = self.chance.choice(["town", "village"])
        standing = [area for area, its in areas.kind.items() if its == kind]
        if len(standing) > 2:
            absorbed, into = self.chance.sample(standing, 2)
            self.merge_these(absorbed, into)

    def merge_these(self, absorbed: int, into: int) -> None:
        change_areas(
            self.database,
            self.settings,
            self.catalogue,
            SYSTEM_ACTOR,
            lambda connection: merge_areas(connection, SYSTEM_ACTOR, [absorbed], into, date(2026, 1, 1)),
        )

    def open(self) -> OpenedRound:
        """This month's round; the next month begins."""
        with self.database.begin() as connection:
            opened = open_round(
                connection, self.settings, self.catalogue, SYSTEM_ACTOR, self.month, opening_day(self.month)
            )
        self.month = month_after(self.month)
        return opened

    # ---- how it is sent ----

    def _tell_marriage(self, couple: str, him: str, her: str, **facts: object) -> None:
        row = {"cert_no": couple, "registered_on": "2026-01-05", **facts}
        for role, number in (("male", him), ("female", her)):
            row |= {f"{role}_name": distinct_name(PEOPLE.index(number)), f"{role}_id_no": number}
            if self.chance.random() < 0.3:
                row[f"{role}_area"] = self.chance.choice(list(VILLAGES))
        self.send("civil_affairs", "marriage", [row])

    def send(self, source: str, code: str, rows: list[Row], kind: str = "regular") -> UUID:
        with self.database.begin() as connection:
            return self.tell(connection, source, code, rows, kind)

    def tell(self, connection: Connection, source: str, code: str, rows: list[Row], kind: str = "regular") -> UUID:
        """Down the line inside this transaction."""
        self.sent += 1
        record_type = self.catalogue.record_types[code]
        standing = [self._where_it_stands(connection, row) for row in rows]
        submission_id = stage(connection, record_type, standing)
        self._enter(connection, submission_id, source, code, kind)
        apply_staged(connection, submission_id, source, record_type, self.catalogue)
        number_changes(connection, submission_id)
        return submission_id

    def _enter(self, connection: Connection, submission_id: UUID, source: str, code: str, kind: str) -> None:
        named = {"id": submission_id, "number": submission_id.hex, "organisation": source, "record_type": code}
        run_sql(connection, _SUBMISSION, **named, kind=kind, now=utc_now())

    def _where_it_stands(self, connection: Connection, row: Row) -> Row:
        """Whoever sends names areas as they are now."""
        areas = load_area_index(connection)
        return {name: areas.current(value) if name.endswith("_area") else value for name, value in row.items()}


_SUBMISSION = """
INSERT INTO {d}.submission (submission_id, receipt_number, operation_id, organisation, record_type, kind, door, actor,
                            file_name, file_size, file_sha256, stored_as, state, received_at)
VALUES (:id, :number, :number, :organisation, :record_type, :kind, 'api', 'x', 'x.csv', 1, 'x', 'x', 'merged', :now)
"""


def person(number: str) -> Row:
    return {"name": distinct_name(PEOPLE.index(number)), "id_no": number}
