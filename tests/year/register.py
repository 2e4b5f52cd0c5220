"""The hub as the year meets it: founded with its towns, fed through its one gate, and its desks, where people decide."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from hub import following, jobs
from hub.database import Database, run_sql
from hub.decisions.effect import release
from hub.decisions.held import Chosen, release_rows
from hub.decisions.held_rules import NEW
from hub.demo.areas import VALID_FROM, area_rows
from hub.demo.founding import KINDS
from hub.demo.settling import follow
from hub.exchange import pipeline
from hub.registry.areas import AreaIndex, import_areas, load_area_index
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.year.world import World

FEW, MANY = 150, 4000  # rows of a file: below what the line reads without a process of its own, and what a system sends
Files = dict[tuple[str, str], list[dict[str, str]]]  # sender and record type -> rows


@dataclass(slots=True)
class Register:
    """One hub. ``worker`` does the queued work, ``served`` is what the desks read through."""

    worker: Database
    served: Database
    settings: Settings
    catalogue: Catalogue
    world: World
    area_ids: dict[str, int] = field(default_factory=dict)  # twelve digits -> area id
    queue: bool = True
    sent: int = 0

    def found(self) -> None:
        """The areas, the departments, the bureau and a town office for every town."""
        district = self.world.district
        with self.served.begin() as connection:
            import_areas(connection, SYSTEM_ACTOR, area_rows(district), VALID_FROM)
            self.area_ids = dict(load_area_index(connection).codes)
            for code, kind in KINDS.items():
                one = Organisation(code=code, district=self.settings.district, name=code, kind=kind)
                save_organisation(connection, SYSTEM_ACTOR, one)
            for town in district.towns:
                one = Organisation(
                    code=town.organisation, district=self.settings.district, name=town.name, kind="town",
                    area_id=self.area_ids[town.code],
                )  # fmt: skip
                save_organisation(connection, SYSTEM_ACTOR, one)

    # ---- who acts ----

    def officer(self, town: int) -> Actor:
        code = self.world.district.towns[town].code
        return Actor(
            name="zhenjie", organisation=code[:9], kind="town", door="panel", rights=ROLES["town_officer"],
            area_id=self.area_ids[code],
        )  # fmt: skip

    def clerk(self, organisation: str, name: str = "jingban") -> Actor:
        if organisation[:1].isdigit():
            codes = [town.code[:9] for town in self.world.district.towns]
            return self.officer(codes.index(organisation))
        kind = KINDS[organisation]
        return Actor(name=name, organisation=organisation, kind=kind, door="panel", rights=ROLES["department_clerk"])

    def areas(self) -> AreaIndex:
        with self.served.read() as connection:
            return load_area_index(connection)

    # ---- what is sent ----

    def send(self, files: Files, month: str, name: str) -> None:
        """Rows of each sender and record type, as files of rows; what was queued is done before this returns."""
        self.enter(files, month, name)
        self.work()

    def enter(self, files: Files, month: str, name: str) -> None:
        """The same, queued alone."""
        for (sender, record_type), rows in files.items():
            at_once = FEW if len(rows) <= 2 * FEW else MANY
            for first in range(0, len(rows), at_once):
                part = json.dumps(rows[first : first + at_once], ensure_ascii=False).encode()
                self.hand_in(sender, record_type, month, part, f"{sender}_{record_type}_{month}_{name}_{first}.json")

    def hand_in(self, sender: str, record_type: str, month: str, content: bytes, name: str) -> UUID:
        """One file through the gate, queued."""
        accepted = jobs.accept(
            self.worker, self.settings, self.clerk(sender), stream=io.BytesIO(content), file_name=name, door="panel",
            record_type=record_type, organisation=sender, period=month, catalogue=self.catalogue,
        )  # fmt: skip
        self.sent += 1
        return accepted.submission_id

    def work(self) -> None:
        """Everything that is queued, and whatever people have to decide before it can go on."""
        self._work_off()
        while self._release_braked() + self._decide_held():
            self._work_off()

    def _work_off(self) -> None:
        """With ``queue`` the worker does it; else what its job does is done here, which saves a third of the time."""
        if self.queue:
            jobs.work(self.worker, self.settings, wait=False, concurrency=1)
            return
        while waiting := self.ask(_RECEIVED):
            for (submission_id,) in waiting:
                pipeline.run(self.worker, self.settings, UUID(str(submission_id)), self.catalogue)
                following.follow(self.worker, self.settings, self.catalogue, UUID(str(submission_id)))

    def know(self) -> None:
        """What is known of people follows the log, as the worker has it do every minute."""
        follow(self.worker, self.catalogue)

    def _release_braked(self) -> int:
        braked = self.ask("SELECT submission_id, organisation FROM {d}.submission WHERE state = 'braked'")
        for submission_id, organisation in braked:
            second = self.clerk(str(organisation), "fuhe")
            release(self.served, self.settings, second_person(second), UUID(str(submission_id)))
        return len(braked)

    def _decide_held(self) -> int:
        """Rows that may mean somebody known: they do where name and day of birth agree, else they mean somebody new."""
        judged: dict[tuple[str, int, str], dict[str, str]] = {}
        for submission_id, row_no, organisation, role, person, is_same in self.ask(_HELD):
            people = judged.setdefault((str(submission_id), int(str(row_no)), str(organisation)), {})
            if person is not None:
                people.setdefault(str(role), str(person) if is_same else NEW)
        for (submission, row, organisation), people in judged.items():
            release_rows(
                self.served, self.settings, self.clerk(organisation), Chosen(submission_id=UUID(submission), rows=(row,)),
                reason="核实后采纳", people={row: people} if people else None, catalogue=self.catalogue,
            )  # fmt: skip
        return len(judged)

    # ---- what is read ----

    def ask(self, statement: str, **values: Any) -> list[tuple[object, ...]]:
        with self.worker.begin() as connection:
            return [tuple(row) for row in run_sql(connection, statement, **values)]

    def do(self, act: Callable[[Connection], object]) -> Any:
        with self.worker.begin() as connection:
            return act(connection)

    def errors(self) -> list[tuple[object, ...]]:
        """Rows that were refused, and files: there must be none the year does not expect."""
        return [
            *self.ask("SELECT record_type, refusal::text, '' FROM {d}.submission WHERE state = 'refused'"),
            *self.ask(_ERRORS),
        ]

    def waiting(self) -> list[tuple[object, ...]]:
        return self.ask(
            "SELECT record_type, state, organisation FROM {d}.submission WHERE state NOT IN ('merged', 'refused')"
        )


def second_person(actor: Actor) -> Actor:
    """Another clerk of the same unit."""
    return Actor(
        name="fuhe", organisation=actor.organisation, kind=actor.kind, door=actor.door, rights=actor.rights,
        area_id=actor.area_id,
    )  # fmt: skip


_RECEIVED = "SELECT submission_id FROM {d}.submission WHERE state IN ('received', 'checked') ORDER BY received_at"
_HELD = """
SELECT h.submission_id, h.row_no, s.organisation, c.role, c.person_id,
       c.features #>> '{name,0}' IN ('equal', 'variant') AND c.features #>> '{birth_date,0}' = 'equal'
FROM {d}.held_row h JOIN {d}.submission s USING (submission_id)
LEFT JOIN {d}.held_candidate c ON c.submission_id = h.submission_id AND c.row_no = h.row_no
WHERE h.state = 'waiting' ORDER BY 1, 2, 6 DESC NULLS LAST, c.score DESC
"""
_ERRORS = """
SELECT s.record_type, e.code, e.field || ' ' || coalesce(e.value, '')
FROM {d}.row_error e JOIN {d}.submission s USING (submission_id) WHERE e.level = 'error'
"""
