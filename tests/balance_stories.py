"""A small fictitious district whose people are born, move and die, month by month: for tests of the month's account."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from hub.casework.balance import Drawn, close_account, draw_account, join_books
from hub.casework.balance_excuses import excuse
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes
from hub.exchange.person_changes import carry_out
from hub.exchange.pipeline import apply_staged
from hub.exchange.rerouting import reroute_areas
from hub.registry.area_changes import merge_areas
from hub.registry.areas import AreaRow, import_areas, load_area_index
from hub.registry.month_calendar import last_day
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import RoundPolicy, Settings
from hub.tables import person_decision
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute, test_settings
from tests.doors import identity_number
from tests.staged import stage

DISTRICT, TOWN_A, TOWN_B, TOWN_C = 1, 2, 3, 4
VILLAGES = {5: TOWN_A, 6: TOWN_A, 7: TOWN_B, 8: TOWN_C}
FIRST = "2026-01"


def found_district(connection: Connection) -> None:
    """Three towns, four villages."""
    code = {DISTRICT: "999001000000", TOWN_A: "999001001000", TOWN_B: "999001002000", TOWN_C: "999001003000"}
    rows = [AreaRow(code[DISTRICT], "区", "district")]
    rows += [AreaRow(code[town], f"镇{town}", "town", code[DISTRICT]) for town in (TOWN_A, TOWN_B, TOWN_C)]
    rows += [AreaRow(f"{code[town][:9]}{200 + at}", f"村{at}", "village", code[town]) for at, town in VILLAGES.items()]
    import_areas(connection, SYSTEM_ACTOR, rows, date(2025, 1, 1))


class Story:
    """What happens in one district, in one transaction."""

    def __init__(self, connection: Connection, settings: Settings, catalogue: Catalogue) -> None:
        self.connection, self.settings, self.catalogue = connection, settings, catalogue
        self._numbers = {identity_number(who): who for who in range(200)}
        self._known: dict[object, int] = {}

    # ---- the books ----

    def join(self, *towns: int, month: str = FIRST) -> None:
        for town in towns:
            join_books(self.connection, SYSTEM_ACTOR, town, month, utc_now(), load_area_index(self.connection))

    def draw(self, month: str) -> Drawn:
        return draw_account(self.connection, self.settings, self.catalogue, SYSTEM_ACTOR, month, _after(month))

    def close(self, month: str) -> Drawn:
        return close_account(self.connection, self.settings, self.catalogue, SYSTEM_ACTOR, month, _after(month))

    def figures(self, month: str) -> dict[int, dict[str, int]]:
        """area -> the columns of its line."""
        names = "area, start, opening, births, deaths, moved_in, moved_out, corrected_in, corrected_out, adjusted_in,"
        names += ' adjusted_out, excused, unexplained, "end"'
        rows = run_sql(self.connection, f"SELECT {names} FROM {{d}}.balance WHERE month = :month", month=month)
        keys = names.replace('"', "").split(", ")
        keys = [key for part in keys for key in part.split(",") if key]
        return {int(str(row[0])): dict(zip(keys[1:], row[1:], strict=True)) for row in rows}  # type: ignore[arg-type]

    def told(self, month: str) -> list[tuple[int, str, int | None, int | None, str, str]]:
        """Who, kind, from, to, of which month, and the first word of the reason, line by line."""
        rows = run_sql(
            self.connection,
            "SELECT person_id, kind, f.leaf_id, t.leaf_id, of_month, split_part(reason, ' ', 1), from_area, to_area"
            " FROM {d}.balance_movement LEFT JOIN {d}.area_place f ON f.area_id = from_area"
            " LEFT JOIN {d}.area_place t ON t.area_id = to_area WHERE month = :month",
            month=month,
        )
        people = self.people()
        return [
            (people[row[0]], str(row[1]), row[2] or row[6], row[3] or row[7], str(row[4]), str(row[5]))  # type: ignore[misc]
            for row in rows
        ]

    def books(self) -> dict[int, int]:
        """Who -> where, as the books have it."""
        rows = run_sql(
            self.connection,
            "SELECT s.person_id, p.leaf_id FROM {d}.resident_stock s JOIN {d}.area_place p ON p.area_id = s.area",
        )
        people = self.people()
        return {people[person]: int(str(area)) for person, area in rows}

    def people(self) -> dict[object, int]:
        """Everybody there ever was, by the number they came with."""
        rows = run_sql(self.connection, "SELECT person_id, value FROM {d}.person_identifier WHERE kind = 'id_no'")
        for person, number in rows:
            self._known.setdefault(person, self._numbers[str(number)])
        return self._known

    def let_pass(self, month: str, who: int) -> None:
        person = next(person for person, known in self.people().items() if known == who)
        excuse(self.connection, SYSTEM_ACTOR, month, "村里核实过", utc_now(), person_id=person)  # type: ignore[arg-type]

    # ---- what is sent ----

    def put(
        self, record_type: str, *rows: dict[str, Any], source: str = "public_security", kind: str = "regular"
    ) -> UUID:
        its = self.catalogue.record_types[record_type]
        submission_id = stage(self.connection, its, list(rows))
        run_sql(
            self.connection,
            "INSERT INTO {d}.submission (submission_id, receipt_number, operation_id, organisation, record_type, kind,"
            " door, actor, file_name, file_size, file_sha256, stored_as, state, received_at) VALUES (:id, :number,"
            " :number, :source, :record_type, :kind, 'api', 'a', 'f', 1, '', '', 'merged', :now)",
            id=submission_id,
            number=f"R-{submission_id}",
            source=source,
            record_type=record_type,
            kind=kind,
            now=utc_now(),
        )
        apply_staged(self.connection, submission_id, source, its, self.catalogue)
        number_changes(self.connection, submission_id)
        return submission_id

    def row(self, record_type: str, who: int, area: int | None, day: str | None) -> dict[str, Any]:
        """One row of a type about one person."""
        return _ROWS[record_type](who, area, day)

    def say(self, record_type: str, who: int, area: int | None, day: str | None = None, **more: Any) -> None:
        self.put(record_type, self.row(record_type, who, area, day) | more)

    def are_one(self, kept: int, other: int) -> None:
        """Somebody finds that these two numbers are one person's."""
        self.people()
        decision, submission = new_uuid(), new_uuid()
        values = {
            "decision_id": decision, "kind": "merge", "organisation": "bureau", "decided_by": "a", "reason": "同一人",
            "decided_at": utc_now(), "person_id": self.person(kept), "other_id": self.person(other),
            "id_no": identity_number(kept), "submission_id": submission,
        }  # fmt: skip
        self.connection.execute(person_decision.insert().values(values))
        carry_out(self.connection, submission, decision, self.catalogue)
        number_changes(self.connection, submission)

    def write_area(self, number: str, day: str, area: int) -> None:
        """Into the record's table itself: no version, no line of the log."""
        run_sql(
            self.connection,
            "UPDATE {d}.rec_hukou_move_in SET person_area = :area WHERE id_no = :number AND move_date = :day",
            area=area,
            number=number,
            day=date.fromisoformat(day),
        )

    def merge_towns(self, absorbed: int, into: int, on: str) -> None:
        changed = merge_areas(self.connection, SYSTEM_ACTOR, [absorbed], into, date.fromisoformat(on))
        submission = new_uuid()
        affected = {*changed.replaced, *changed.moved_villages}
        reroute_areas(self.connection, submission, affected, self.catalogue)
        number_changes(self.connection, submission)

    def person(self, who: int) -> UUID:
        rows = run_sql(
            self.connection,
            "SELECT person_id FROM {d}.person_identifier WHERE kind = 'id_no' AND value = :number",
            number=identity_number(who),
        )
        return UUID(str(rows[0][0]))


def _named(who: int, area: int | None) -> dict[str, Any]:
    return {"id_no": identity_number(who), "name": f"人{who}", "person_area": area}


_ROWS: dict[str, Callable[[int, int | None, str | None], dict[str, Any]]] = {
    "resident_roll": lambda who, area, day: _named(who, area) | {"moved_on": day},
    "newborn_hukou": lambda who, area, day: {
        "child_id_no": identity_number(who), "child_name": f"人{who}", "child_sex": "1", "child_area": area,
        "child_birth_date": day, "registered_on": day,
    },
    "hukou_move_in": lambda who, area, day: _named(who, area) | {"move_date": day},
    "hukou_move_out": lambda who, area, day: _named(who, area) | {"move_date": day},
    "residence_registration": lambda who, area, day: _named(who, area) | {"arrive_date": day},
    "hukou_cancel": lambda who, area, day: _named(who, area) | {"happened_on": day, "cancel_date": day, "kind": "1"},
    "town_arrival": lambda who, area, day: _named(who, area) | {"changed_on": day, "kind": "1"},
    "death_certificate": lambda who, area, day: _named(who, area) | {"death_date": day, "cert_no": f"D{who}"},
    "cremation": lambda who, area, day: _named(who, area)
    | {"cremated_on": day, "cremation_no": f"H{who}-{day}", "home": "馆"},
}  # fmt: skip


def _after(month: str) -> datetime:
    """A moment well after the month's end."""
    day = last_day(month, RoundPolicy())
    return datetime(day.year + 1, day.month, 1, tzinfo=UTC)


class Books:
    """One district for all stories: each is one transaction that is rolled back."""

    def __init__(self, database: Database, settings: Settings, catalogue: Catalogue) -> None:
        self.database, self.settings, self.catalogue = database, settings, catalogue

    @contextmanager
    def story(self) -> Iterator[Story]:
        with self.database.engine.connect() as connection, connection.begin() as transaction:
            yield Story(connection, self.settings, self.catalogue)
            transaction.rollback()


@contextmanager
def balance_books(cluster: Cluster, catalogue: Catalogue, home: Path, name: str) -> Iterator[Books]:
    """Three towns in a database of their own, as the worker sees it."""
    name = f"balance_{name}_{os.getpid()}"
    clone_template(cluster, name)
    database, owner = (Database(url, "d999001") for url in (cluster.urls(name).worker, cluster.urls(name).owner))
    with owner.begin() as connection:
        found_district(connection)
    yield Books(database, test_settings(home), catalogue)
    database.close()
    owner.close()
    execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")
