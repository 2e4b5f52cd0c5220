"""A receiver of slices and its months: how a test sends, pulls, acknowledges, and has completeness certified."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hub.database import Database, run_sql
from hub.errors import CursorGone
from hub.exchange.changelog import number_changes
from hub.exchange.deliver import acknowledge
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext, Page, current_epoch, read_page, snapshot
from hub.registry.permissions import ROLES, Actor
from hub.registry.subscriptions import load_subscription
from hub.sharing.certificates import Certificate, Recomputed, issue_certificate, recompute_certificate
from tests.doors import identity_number
from tests.staged import stage

RECEIVER = Actor(name="wj", organisation="health", kind="department", door="api", rights=ROLES["integrator"])
ZONE = "Asia/Shanghai"
OCTOBER, NOVEMBER = "2025-10", "2025-11"
TENTH = {OCTOBER: datetime(2025, 10, 10, tzinfo=UTC), NOVEMBER: datetime(2025, 11, 10, tzinfo=UTC)}


@dataclass
class Certified:
    """The hub of one test; its receiver reads ``code`` in pages of three."""

    database: Database
    owner: Database
    context: FeedContext
    code: str = "whole"
    cursor: str | None = None
    pages: list[Page] = field(default_factory=list)
    copy: list[str] = field(default_factory=list)

    def send(self, first: int, last: int, month: str = OCTOBER, name: str = "李伟", area: int = 5) -> None:
        """People ``first`` … ``last - 1`` of a village's roll, recorded in this month."""
        record_type = self.context.catalogue.record_types["resident_roll"]
        rows = [
            {"id_no": identity_number(serial), "name": name, "live_div": str(area), "person_area": area}
            for serial in range(first, last)
        ]
        with self.database.begin() as connection:
            submission_id = stage(connection, record_type, rows)
            apply_staged(connection, submission_id, "999001001", record_type, self.context.catalogue)
            number_changes(connection, submission_id)
        self.change("UPDATE {d}.feed_batch SET recorded_at = :at WHERE recorded_at > '2026-01-01'", at=TENTH[month])

    def change(self, statement: str, **values: object) -> None:
        """As somebody who may do anything."""
        with self.owner.begin() as connection:
            run_sql(connection, statement, **values)

    def pull(self, *, acknowledged: bool = True, most: int = 99, limit: int = 3) -> None:
        """Every page there is; at the end the reader comes back once more."""
        for _ in range(most):
            with self.database.begin() as connection:
                page = read_page(connection, RECEIVER, self.context, self.code, self.cursor, limit)
            self.cursor = page.next
            if not page.count:
                return
            self.pages.append(page)
            self.copy += [json.dumps(change) for change in json.loads(f"[{page.changes}]")]
            if acknowledged:
                self.acknowledge(page.first_delivery_no + page.count - 1, page.digest)

    def acknowledge(self, number: int, digest: str) -> None:
        with self.database.begin() as connection:
            own = load_subscription(connection, self.code)
            acknowledge(connection, RECEIVER, own, current_epoch(connection, own), number, digest)

    def begin_anew(self) -> dict[str, Any]:
        """The cursor is stale: the whole slice, acknowledged, and on from there."""
        try:
            self.pull()
            raise AssertionError("the cursor still holds")
        except CursorGone:
            pass
        with self.database.begin(isolation="REPEATABLE READ") as connection:
            *lines, last = snapshot(connection, RECEIVER, self.context, self.code)
        closing: dict[str, Any] = json.loads(last)["snapshot"]
        self.cursor, self.copy = closing["next"], self.copy + [json.dumps(json.loads(line)) for line in lines]
        if closing["count"]:
            self.acknowledge(closing["first_delivery_no"] + closing["count"] - 1, closing["digest"])
        return closing

    def issue(self, period: str = OCTOBER, actor: Actor = RECEIVER) -> Certificate:
        with self.database.begin() as connection:
            return issue_certificate(connection, actor, self.context, self.code, period, ZONE)

    def recompute(self, one: Certificate) -> Recomputed:
        with self.database.begin() as connection:
            return recompute_certificate(connection, RECEIVER, self.context, one.certificate_no)

    @property
    def keys(self) -> dict[str, bytes]:
        return self.context.keyring.public_keys


def four(one: Certificate) -> tuple[int, int, int, int]:
    return one.expected, one.sent, one.fetched, one.acknowledged


def why(one: Certificate) -> list[tuple[str, int, int]]:
    return [(gap["why"], gap["first"], gap["last"]) for gap in one.content["open"]]
