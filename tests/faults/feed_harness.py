"""Many writers and two readers of one feed at once; then what the readers saw is compared with what was committed.

The same transactions feed the change log and, as a control, a plain table with a serial number: the reader that
polls ``id > cursor`` on that one is what a hub without a counter row would offer its subscribers.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Connection

from hub.database import Database, run_sql
from hub.exchange import changelog
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext, read_page
from hub.registry.areas import AreaRow, import_areas
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.tables.version_sql import CHANGES
from mappings.catalogue import Catalogue, RecordType
from tests.factories import row_values
from tests.staged import stage

WRITERS = 16
CODE = "whole-district"
TYPES = (
    "employment", "unemployment", "resident_roll", "marriage", "divorce", "hukou_move_in", "hukou_move_out", "hukou_cancel",
    "cremation", "social_insurance", "labour_transfer", "newborn_hukou", "immunisation_enrol", "residence_registration",
    "business_licence", "death_certificate",
)  # fmt: skip
Change = tuple[str, int]  # record, version


class _ChangedItsMindError(Exception):
    """A writer rolls back after it had its numbers."""


@dataclass
class Seen:
    """Everything that happened in one run, as each side saw it."""

    committed: list[Change] = field(default_factory=list)
    rolled_back: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list)
    naive_committed: list[int] = field(default_factory=list)
    naive_read: list[int] = field(default_factory=list)
    feed: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What the checker says of a run."""

    changes: int
    missed: int
    doubled: int
    invented: int
    breaks: int  # places where sequence or delivery numbers are not the next ones
    feed: list[str]
    naive_changes: int
    naive_missed: int
    rolled_back: int
    seconds: float

    @property
    def is_clean(self) -> bool:
        return not (self.missed or self.doubled or self.invented or self.breaks or self.feed)

    def __str__(self) -> str:
        share = 100 * self.naive_missed / max(self.naive_changes, 1)
        return (
            f"{self.changes} changes in {self.seconds:.1f} s, {self.rolled_back} rolled back: {self.missed} missed,"
            f" {self.doubled} doubled, {self.breaks} breaks; control `id > cursor`: {self.naive_missed} of"
            f" {self.naive_changes} missed ({share:.0f} %)"
        )


def judge(seen: Seen) -> Verdict:
    """Compare the committed changes with those read: each once, numbers contiguous from 1."""
    committed = Counter(seen.committed)
    read = Counter((str(change["record_id"]), int(change["version"])) for change in seen.changes)
    naive = Counter(seen.naive_read)
    return Verdict(
        changes=len(seen.committed),
        missed=(committed - read).total(),
        doubled=sum(number - 1 for number in read.values() if number > 1),
        invented=sum(1 for change in read if change not in committed),
        breaks=_breaks(seen.changes, "seq") + _breaks(seen.changes, "delivery_no"),
        feed=seen.feed,
        naive_changes=len(seen.naive_committed),
        naive_missed=(Counter(seen.naive_committed) - naive).total(),
        rolled_back=seen.rolled_back,
        seconds=seen.seconds,
    )


def _breaks(changes: Iterable[dict[str, Any]], number: str) -> int:
    return sum(1 for expected, change in enumerate(changes, 1) if change[number] != expected)


def prepare(owner: Database, catalogue: Catalogue, *, with_health: bool = True) -> None:
    """One village, one subscriber of everything, and the control's table."""
    rows = [
        AreaRow("999001000000", "云岭区", "district"),
        AreaRow("999001001000", "清溪街道", "town", "999001000000"),
        AreaRow("999001001001", "光明社区", "village", "999001001000"),
    ]
    types = tuple(
        SliceType(code, tuple(one.name for one in catalogue.record_types[code].plain_fields)) for code in TYPES
    )
    with owner.begin() as connection:
        import_areas(connection, SYSTEM_ACTOR, rows, date(2020, 1, 1))
        subscriber = Organisation(code="health", district=owner.district, name="云岭区卫健局", kind="department")
        if with_health:
            save_organisation(connection, SYSTEM_ACTOR, subscriber)
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code=CODE, organisation="health", title="全区",
            definition=SliceDefinition(types), terms=Terms(purpose="核对", legal_basis="条例"),
        )  # fmt: skip
        run_sql(connection, "CREATE TABLE {d}.naive (id bigserial PRIMARY KEY)")
        run_sql(connection, "GRANT SELECT, INSERT ON {d}.naive TO hub_worker")
        run_sql(connection, "GRANT USAGE ON {d}.naive_id_seq TO hub_worker")


class Load:
    """Writers and readers on one database, until the time is over and everything is read."""

    def __init__(
        self, database: Database, context: FeedContext, seconds: float, seed: int, writers: int = WRITERS
    ) -> None:
        self.database, self.context, self.seed, self.writers = database, context, seed, writers
        self.seconds = seconds
        self.seen = Seen()
        self._until = 0.0
        self._written = threading.Event()
        self._noting = threading.Lock()

    def run(self) -> Seen:
        """All threads at once; an error in any of them is an error of the run."""
        started = time.monotonic()
        self._until = started + self.seconds
        with ThreadPoolExecutor(self.writers + 2) as threads:
            readers = [threads.submit(self._read_feed), threads.submit(self._read_naively)]
            writers = [threads.submit(self._write, number) for number in range(self.writers)]
            _await(writers, self._written)
            _await(readers, threading.Event())
        self.seen.seconds = time.monotonic() - started
        with self.database.begin() as connection:
            self.seen.feed = changelog.verify_feed(connection, self.context.catalogue)
        return self.seen

    def _write(self, number: int) -> None:
        chance = random.Random(f"{self.seed}/{number}")
        record_type = self.context.catalogue.record_types[TYPES[number % len(TYPES)]]
        serial = number * 100_000
        while time.monotonic() < self._until:
            serial += 4
            with suppress(_ChangedItsMindError):
                self._submit(record_type, serial, chance)

    def _submit(self, record_type: RecordType, serial: int, chance: random.Random) -> None:
        rows = self._rows(record_type, serial, chance)
        changes_its_mind = chance.random() < 0.1
        try:
            with self.database.begin() as connection:
                naive = _number_naively(connection, len(rows))
                changes = self._change_register(connection, record_type, rows)
                time.sleep(chance.choice((0.0, 0.0, 0.002, 0.02)))
                if changes_its_mind:
                    raise _ChangedItsMindError
        except _ChangedItsMindError:
            with self._noting:
                self.seen.rolled_back += 1
            raise
        with self._noting:
            self.seen.committed += changes
            self.seen.naive_committed += naive

    def _rows(self, record_type: RecordType, serial: int, chance: random.Random) -> list[dict[str, Any]]:
        """New records, and sometimes a correction of the one sent before."""
        rows = [self._row(record_type, number) for number in range(serial, serial + chance.randint(1, 4))]
        if chance.random() < 0.3:
            name = next(
                one.name for one in record_type.plain_fields if one.type == "text" and _is_free(one.name, record_type)
            )
            rows.append(self._row(record_type, serial - 4) | {name: f"改{serial}", "change_kind": "correct"})
        return rows

    def _row(self, record_type: RecordType, serial: int) -> dict[str, Any]:
        """A record of its own, of people nobody else speaks of."""
        values = row_values(self.context.catalogue, record_type.code)
        plain = {one.name: values[one.name] for one in record_type.plain_fields if one.name in values}
        named = {one.field for role in record_type.people for one in role.identifiers}
        texts = {
            name
            for name in record_type.natural_key
            if record_type.by_name[name].type in ("text", "certificate", "uscc")
        }
        return plain | {name: f"{name}-{serial}" for name in named | texts}

    def _change_register(
        self, connection: Connection, record_type: RecordType, rows: list[dict[str, Any]]
    ) -> list[Change]:
        submission_id = stage(connection, record_type, rows)
        apply_staged(connection, submission_id, record_type.sources[0], record_type, self.context.catalogue)
        changelog.number_changes(connection, submission_id)
        staged = run_sql(
            connection,
            f"SELECT record_id, version FROM {{d}}.difference WHERE submission_id = :submission AND outcome IN {CHANGES}",
            submission=submission_id,
        )
        return [(str(record), int(str(version))) for record, version in staged]

    def _read_feed(self) -> None:
        cursor = None
        while True:
            last_look = self._written.is_set()
            with self.database.begin() as connection:
                page = read_page(connection, SYSTEM_ACTOR, self.context, CODE, cursor, limit=200)
            self.seen.changes += json.loads(f"[{page.changes}]")
            cursor = page.next
            if not page.more:
                if last_look:
                    return
                time.sleep(0.01)

    def _read_naively(self) -> None:
        cursor = 0
        while True:
            last_look = self._written.is_set()
            with self.database.begin() as connection:
                rows = run_sql(connection, "SELECT id FROM {d}.naive WHERE id > :cursor ORDER BY id", cursor=cursor)
            self.seen.naive_read += [int(str(row[0])) for row in rows]
            cursor = self.seen.naive_read[-1] if self.seen.naive_read else 0
            if last_look:
                return
            time.sleep(0.01)


def _await(futures: list[Future[None]], done: threading.Event) -> None:
    try:
        for future in futures:
            future.result()
    finally:
        done.set()


def _number_naively(connection: Connection, count: int) -> list[int]:
    rows = run_sql(connection, "INSERT INTO {d}.naive SELECT FROM generate_series(1, :count) RETURNING id", count=count)
    return [int(str(row[0])) for row in rows]


def _is_free(name: str, record_type: RecordType) -> bool:
    """A text that is in no key and names nobody."""
    named = {one.field for role in record_type.people for one in role.identifiers}
    return name not in named and name not in record_type.natural_key


# ---- a numbering that is wrong on purpose ----


@contextmanager
def numbers_taken_early(database: Database) -> Iterator[None]:
    """The counter is moved in a transaction of its own, so its row is free again before the changes are visible."""
    proper = changelog._take_numbers

    def take(connection: Connection, count: int) -> tuple[int, int, bytes]:
        with database.begin() as apart:
            return proper(apart, count)

    changelog._take_numbers = take
    try:
        yield
    finally:
        changelog._take_numbers = proper
