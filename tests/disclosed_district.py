"""A district whose subscribers write down everything they receive, so that the ledger can be held against it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert

from hub.database import Database, new_uuid, run_sql, utc_now
from hub.exchange.changelog import number_changes
from hub.exchange.erasure import erase_person
from hub.exchange.person_changes import carry_out
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext, current_epoch, query_slice, read_page, snapshot
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, change_subscription, create_subscription, load_subscription
from hub.settings import Settings
from hub.sharing.disclosure_derivation import Disclosure
from hub.tables import organisation, person_decision, slice_export
from mappings.catalogue import Catalogue
from tests.staged import stage
from tests.test_oracle import TOWN_A, TOWN_B, prepare

TYPES = ("resident_roll", "employment", "marriage", "hukou_move_in", "newborn_hukou", "antenatal_booking")
TERMS = Terms(purpose="核对", legal_basis="条例")
CLINIC = SliceDefinition(
    (SliceType("antenatal_booking", ("booked_on", "edd", "facility")), SliceType("resident_roll", ("name",)))
)
# person, kind, subscription, number, record, version, op, fields, masked fields
Line = tuple[UUID, str, str, str, str, int, str, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Received:
    """One record in something a subscriber got."""

    kind: str
    code: str
    number: str
    record_type: str
    record_id: str
    version: int
    op: str
    fields: tuple[str, ...]
    masked: tuple[str, ...]


@dataclass
class District:
    """What happened, who every version named when it was made, and what each subscriber received."""

    worker: Database
    owner: Database
    settings: Settings
    catalogue: Catalogue
    names: dict[tuple[str, int], set[UUID]] = field(default_factory=lambda: defaultdict(set))
    about: dict[str, UUID] = field(default_factory=dict)  # whom a record is about
    received: list[Received] = field(default_factory=list)
    cursors: dict[str, str | None] = field(default_factory=dict)
    numbers: Counter[tuple[str, str]] = field(default_factory=Counter)
    same: list[tuple[UUID, UUID]] = field(default_factory=list)  # are one
    taken_for: list[tuple[UUID, UUID]] = field(default_factory=list)  # the one was taken for the other
    erased: set[UUID] = field(default_factory=set)

    @property
    def context(self) -> FeedContext:
        return FeedContext(self.catalogue, Keyring.load(self.settings.home))

    # ---- what happens ----

    @cached_property
    def everybody(self) -> list[UUID]:
        """Whoever is a person at the end of the story, or was one."""
        with self.worker.begin() as connection:
            return [UUID(str(one)) for (one,) in run_sql(connection, "SELECT person_id FROM {d}.person")]

    def begin(self) -> None:
        with self.worker.begin() as connection:
            prepare(connection, self.catalogue)
            row = {"code": "clinic", "district": "d999001", "name": "妇幼站", "kind": "care"}
            connection.execute(organisation.insert().values(row))
            create_subscription(
                connection, SYSTEM_ACTOR, self.catalogue, code="care", organisation="clinic", title="建册",
                definition=CLINIC, terms=TERMS,
            )  # fmt: skip

    def put(self, code: str, rows: Sequence[dict[str, Any]], source: str = "public_security") -> None:
        record_type = self.catalogue.record_types[code]
        with self.worker.begin() as connection:
            submission_id = stage(connection, record_type, list(rows))
            apply_staged(connection, submission_id, source, record_type, self.catalogue)
            number_changes(connection, submission_id)
            self._look(connection, submission_id)

    def decide(self, kind: str, kept: UUID | None, other: UUID | None = None, **said: Any) -> UUID:
        """A decision about persons, carried out; the decision."""
        decision_id = new_uuid()
        with self.worker.begin() as connection:
            submission_id = stage(connection, self.catalogue.record_types["employment"], [])
            values = {"decision_id": decision_id, "kind": kind, "organisation": "bureau", "decided_by": "tester"}
            values |= {"decided_at": utc_now(), "reason": "核实", "identifiers": [], "other_id": other, **said}
            connection.execute(insert(person_decision).values({**values, "person_id": kept or decision_id}))
            carry_out(connection, submission_id, decision_id, self.catalogue)
            number_changes(connection, submission_id)
            self._look(connection, submission_id)
        return decision_id

    def merge(self, kept: UUID, other: UUID) -> UUID:
        self.same.append((kept, other))
        return self.decide("merge", kept, other)

    def unmerge(self, decision: UUID, kept: UUID, other: UUID) -> None:
        self.same.remove((kept, other))
        self.taken_for.append((other, kept))
        self.decide("undo", None, undoes=decision)

    def split(self, kept: UUID, number: str) -> None:
        self.decide("split", kept, identifiers=[["id_no", number]])
        self.taken_for.append((self.person_of(number), kept))

    def erase(self, person_id: UUID) -> None:
        erase_person(
            self.worker, self.settings, self.catalogue, SYSTEM_ACTOR, person_id, "个人信息保护法", "本人申请删除"
        )
        self.erased.add(person_id)
        with self.worker.begin() as connection:
            (submission_id,) = run_sql(connection, "SELECT submission_id FROM {d}.erasure ORDER BY erased_at DESC")[0]
            self._look(connection, submission_id)

    def change(self, code: str, definition: SliceDefinition) -> None:
        """Other rights: a new version and epoch, begun with a snapshot."""
        with self.worker.begin() as connection:
            change_subscription(connection, SYSTEM_ACTOR, self.catalogue, code, definition=definition, terms=TERMS)
        self.take_snapshot(code)

    def restore(self) -> None:
        """A new epoch of the feed, as after a restore: every cursor is gone."""
        with self.worker.begin() as connection:
            run_sql(connection, "UPDATE {d}.feed_head SET epoch = 'again', epoch_start = last_seq")
        for code in self.cursors:
            self.take_snapshot(code)

    def person_of(self, number: str) -> UUID:
        with self.worker.begin() as connection:
            statement = "SELECT person_id FROM {d}.person_identifier WHERE kind = 'id_no' AND value = :number"
            return UUID(str(run_sql(connection, statement, number=number)[0][0]))

    def _look(self, connection: Connection, submission_id: object) -> None:
        """Who is named by each version this submission made: seen now, whatever becomes of it."""
        for one in map(self.catalogue.record_types.__getitem__, TYPES):
            for place, role in enumerate(one.people):
                statement = f"SELECT record_id, version, {role.role}_ref FROM {{d}}.ver_{one.code}"
                made = f"{statement} WHERE submission_id = :submission AND {role.role}_ref IS NOT NULL"
                for record_id, version, person_id in run_sql(connection, made, submission=submission_id):
                    self.names[str(record_id), int(str(version))].add(UUID(str(person_id)))
                    if place == 0:
                        self.about[str(record_id)] = UUID(str(person_id))

    # ---- what is received ----

    def pull(self, code: str, limit: int) -> None:
        more = True
        while more:
            with self.worker.begin() as connection:
                page = read_page(connection, SYSTEM_ACTOR, self.context, code, self.cursors.get(code), limit)
                masked = self._masked(connection, code)
            self.cursors[code], more = page.next, page.more
            if page.count:
                number = self._numbered(code, page.epoch)
                for one in json.loads(f"[{page.changes}]"):
                    self._receive("page", code, number, one, masked)

    def take_snapshot(self, code: str) -> None:
        with self.worker.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            epoch = current_epoch(connection, load_subscription(connection, code))
            *lines, last = snapshot(connection, SYSTEM_ACTOR, self.context, code)
            masked = self._masked(connection, code)
            connection.commit()
        number = self._numbered(code, epoch)
        self.cursors[code] = json.loads(last)["snapshot"]["next"]
        for line in lines:
            self._receive("snapshot", code, number, json.loads(line), masked)

    def export(self, code: str, areas: list[int] | None = None, types: list[str] | None = None) -> None:
        """A numbered file of the slice as it stands, or of a part of it."""
        number = self._numbered(code, "E")
        with self.worker.begin() as connection:
            known = load_subscription(connection, code)
            kept = tuple(one for one in known.definition.record_types if types is None or one.record_type in types)
            narrowed = SliceDefinition(kept, known.definition.areas if areas is None else tuple(areas))
            lines = [*query_slice(connection, self.context, narrowed)]
            head = run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0]
            row = {
                "export_id": new_uuid(), "export_no": number, "subscription_id": known.subscription_id,
                "epoch": current_epoch(connection, known), "definition_version": known.version, "form": "csv",
                "whole": True, "from_seq": 0, "to_seq": head, "areas": areas, "record_types": types,
                "rows": len(lines), "digest": "", "made_by": "tester", "made_at": utc_now(),
            }  # fmt: skip
            connection.execute(insert(slice_export).values(row))
        for line in lines:
            self._receive("export", code, number, {**line, "op": "enter", "before": None}, self._of(known.definition))

    def _masked(self, connection: Connection, code: str) -> dict[str, tuple[str, ...]]:
        return self._of(load_subscription(connection, code).definition)

    @staticmethod
    def _of(definition: SliceDefinition) -> dict[str, tuple[str, ...]]:
        return {one.record_type: one.masked for one in definition.record_types}

    def _numbered(self, code: str, epoch: str) -> str:
        self.numbers[code, epoch] += 1
        return f"{epoch}/{self.numbers[code, epoch]}" if epoch != "E" else f"{code}-{self.numbers[code, epoch]}"

    def _receive(
        self, kind: str, code: str, number: str, one: dict[str, Any], masked: dict[str, tuple[str, ...]]
    ) -> None:
        fields = tuple(sorted(one["after"] or one["before"] or ()))
        told = one["record_type"], str(one["record_id"]), one["version"], one["op"], fields
        self.received.append(Received(kind, code, number, *told, masked[one["record_type"]]))

    # ---- what the ledgers should say ----

    def expected(self, hidden: Iterable[str] = ("antenatal_booking",)) -> Counter[Line]:
        """A line a person and record received, kept as it came."""
        whose = self._whose()
        lines: Counter[Line] = Counter()
        for one in self.received:
            if one.record_type not in {*hidden}:
                told = (one.kind, one.code, one.number, one.record_id, one.version, one.op, one.fields, one.masked)
                lines.update({(person, *told) for named in self._told(one) for person in whose(named, one.record_id)})
        return Counter({line: times for line, times in lines.items() if not self._forgotten(line[0], line[4])})

    def _forgotten(self, person: UUID, record_id: str) -> bool:
        """A record about somebody erased says of nobody else any more that it named them."""
        return self.about[record_id] in self.erased - self._one_with(person)

    def _told(self, one: Received) -> set[UUID]:
        now, before = (self.names.get((one.record_id, one.version - back), set()) for back in (0, 1))
        return {"enter": now, "leave": before, "update": now | before}[one.op]

    def _whose(self) -> Any:
        """Everybody whom an id meant: who is one with them, and who of this record was taken for them."""
        of_record: dict[str, set[UUID]] = defaultdict(set)
        for (record_id, _), persons in self.names.items():
            of_record[record_id] |= persons

        def meant(person: UUID, record_id: str) -> set[UUID]:
            own = self._one_with(person)
            apart = {
                each
                for other, kept in self.taken_for
                if kept in own
                for each in self._one_with(other)
                if self._one_with(other) & of_record[record_id]
            }
            return own | apart

        return meant

    def _one_with(self, person: UUID) -> set[UUID]:
        found, added = {person}, True
        while added:
            more = {each for pair in self.same if set(pair) & found for each in pair} - found
            found, added = found | more, bool(more)
        return found


def line_of(person: UUID, one: Disclosure) -> Line:
    """A line of the ledger as the district keeps it."""
    told = (str(one.record_id), one.version, one.op, tuple(sorted(one.fields)), one.masked)
    return (person, one.kind, one.subscription, one.number, *told)


def number_of(serial: int) -> str:
    return f"999001199001{serial // 1000 + 1:02d}{serial % 1000:03d}{serial % 10}"


def live(district: District, people: int) -> None:
    """A story with everything in it: some fifty deliveries to four subscribers."""
    district.begin()
    _settle_in(district, people)
    _go_on(district, people)
    _judge(district, people)
    _end(district, people)


def _settle_in(district: District, people: int) -> None:
    rows = [
        {"id_no": number_of(n), "name": f"甲{n % 7}", "live_div": str(5 + n % 4), "person_area": 5 + n % 4}
        for n in range(people)
    ]
    district.put("resident_roll", rows, "999001001")
    _pull_all(district, people, 8)
    district.put("employment", [_works(n, "乙", n % 3) for n in range(0, people, 2)], "labour")
    district.put("marriage", [_marries(n, people) for n in range(0, people // 4, 2)], "civil_affairs")
    moves = [_moves(n) for n in range(1, people, 3)]
    district.put("hukou_move_in", moves)
    booked = [
        {"woman_id_no": number_of(n), "handbook_no": f"H{n}", "booked_on": "2026-02-01", "facility": "妇幼站"}
        for n in range(0, people, 50)
    ]
    district.put("antenatal_booking", booked, "clinic")
    _pull_all(district, people, 6)


def _go_on(district: District, people: int) -> None:
    """Corrections, voids, moves; the town's slice gets more fields and other areas, another one a mask."""
    district.put("employment", [_works(n, "丙", 1) | {"change_kind": "correct"} for n in range(0, people, 6)], "labour")
    district.put(
        "marriage", [_marries(n, people) | {"change_kind": "void"} for n in range(0, people // 8, 6)], "civil_affairs"
    )
    _pull_all(district, people, 6)
    types = (SliceType("resident_roll", ("id_no", "name")), SliceType("employment", ("employer", "post")))
    district.change("town", SliceDefinition((*types, SliceType("marriage", ("kind",))), areas=(TOWN_B,)))
    roll = SliceType("resident_roll", ("name", "id_no"), masked=("id_no",))
    district.change("whole", SliceDefinition((roll, SliceType("newborn_hukou", ("cert_no",)))))
    district.export("town")
    district.export("whole", areas=[TOWN_A], types=["resident_roll"])
    born = [
        {"child_id_no": None, "cert_no": f"Q{n:09d}", "registered_on": "2026-03-05", "child_area": 5,
         "mother_id_no": number_of(n), "head_name": "甲"} for n in range(0, people, 20)
    ]  # fmt: skip
    district.put("newborn_hukou", born)
    moved = [
        {"id_no": number_of(n), "name": "丁", "live_div": "7", "person_area": 7, "change_kind": "correct"}
        for n in range(0, people, 5)
    ]
    district.put("resident_roll", moved, "999001001")
    _pull_all(district, people, 5)


def _judge(district: District, people: int) -> None:
    """Pairs become one, some of them two again; one number of a person turns out to be another's."""
    pairs = [(district.person_of(number_of(n)), district.person_of(number_of(n + 2))) for n in range(0, 40, 4)]
    decisions = [district.merge(*pair) for pair in pairs]
    _pull_all(district, people, 2)
    for decision, pair in zip(decisions[:3], pairs[:3], strict=True):
        district.unmerge(decision, *pair)
    for n in (12, 16, 20):
        district.split(district.person_of(number_of(n)), number_of(n + 2))
    district.put("employment", [_works(n, "戊", 2) | {"change_kind": "correct"} for n in range(0, 60, 2)], "labour")
    _pull_all(district, people, 2)


def _end(district: District, people: int) -> None:
    """Some are lawfully erased, the hub is restored, and it goes on."""
    for n in (5, 60, people - 51):
        district.erase(district.person_of(number_of(n)))
    _pull_all(district, people, 2)
    district.restore()
    district.export("conditioned")
    district.put("employment", [_works(n, "己", 0) | {"change_kind": "correct"} for n in range(70, 100, 2)], "labour")
    _pull_all(district, people, 3)


def _pull_all(district: District, people: int, parts: int) -> None:
    """Pages of different sizes."""
    for place, code in enumerate(("whole", "town", "conditioned", "care")):
        district.pull(code, max(people * (2 + place) // (2 * parts), 1))


def _works(n: int, employer: str, kind: int) -> dict[str, Any]:
    return {"id_no": number_of(n), "start_date": "2026-01-05", "employer": employer, "post": "甲乙丙"[kind]}


def _marries(n: int, people: int) -> dict[str, Any]:
    both = {"male_id_no": number_of(n), "female_id_no": number_of(people - 1 - n)}
    return {"cert_no": f"J{n}", "registered_on": "2026-01-05", "kind": "甲", "male_area": 5 + n % 3, **both}


def _moves(n: int) -> dict[str, Any]:
    place = {"from_addr": "甲乙"[n % 2], "person_area": 5 + n % 4}
    return {"id_no": number_of(n), "move_date": "2026-02-05", **place}
