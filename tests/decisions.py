"""Sending, deciding and looking, in one line each, for tests of what becomes of a submission."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

from hub import jobs
from hub.database import run_sql
from hub.exchange import pipeline, receipts
from hub.jobs import Accepted
from hub.registry.permissions import Actor
from mappings.catalogue import Catalogue
from tests.district import actor
from tests.doors import THIS_MONTH, Hub, move_in
from tests.doors import csv_of as csv_of

TYPE = "hukou_move_in"
SENDER = actor("public_security", "department_clerk", name="gongan")
SECOND = actor("public_security", "data_officer", name="second")


def send(hub: Hub, catalogue: Catalogue, content: bytes, **told: Any) -> Accepted:
    """A file at the web door, taken through the whole line."""
    options: dict[str, Any] = {"record_type": TYPE, "period": THIS_MONTH, "actor": SENDER, **told}
    who: Actor = options.pop("actor")
    accepted = jobs.accept(
        hub.served, hub.settings, who, stream=io.BytesIO(content), file_name="file.csv",
        organisation=who.organisation, door="upload", catalogue=catalogue, **options,
    )  # fmt: skip
    finish(hub, catalogue, accepted.submission_id)
    return accepted


def finish(hub: Hub, catalogue: Catalogue, submission_id: UUID) -> str:
    """What its job would do, at once."""
    return pipeline.run(hub.worker, hub.settings, submission_id, catalogue)


def read(hub: Hub, statement: str, **values: object) -> list[tuple[Any, ...]]:
    with hub.worker.begin() as connection:
        return run_sql(connection, statement, **values)


def receipt(hub: Hub, catalogue: Catalogue, accepted: Accepted) -> dict[str, Any]:
    with hub.worker.begin() as connection:
        return receipts.read_receipt(connection, accepted.receipt_number, catalogue=catalogue)


def state_of(hub: Hub, submission_id: UUID) -> str:
    found = read(hub, "SELECT state FROM {d}.submission WHERE submission_id = :one", one=submission_id)
    return str(found[0][0])


def rows(first: int, last: int, **changes: str) -> bytes:
    return csv_of(*(move_in(serial, **changes) for serial in range(first, last)))


def with_kind(kind: str, *people: dict[str, str]) -> bytes:
    """The same columns and what each row does: 作废 更正."""
    lines = [",".join([*people[0], "变动标识"]), *(",".join([*person.values(), kind]) for person in people)]
    return ("\r\n".join(lines) + "\r\n").encode()
