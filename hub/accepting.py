"""The one gate behind every door: a submission is received and its job queued in one transaction.

The queue only says what to look at; who works it (``hub.jobs``) is not known here.
"""

from __future__ import annotations

from typing import BinaryIO
from uuid import UUID

import msgspec
from procrastinate import App, SyncPsycopgConnector
from procrastinate.manager import JobManager
from sqlalchemy import Connection

from hub import audit
from hub.database import Database, driver
from hub.errors import HubError
from hub.exchange import receive
from hub.exchange.pipeline import catalogue_in_force
from hub.faults import point
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_QUEUE = App(connector=SyncPsycopgConnector())  # never opened: jobs are written on the caller's connection
_on_the_callers_connection = JobManager(SyncPsycopgConnector())


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What a door may tell its sender: the bytes are safe and have a number."""

    submission_id: UUID
    receipt_number: str
    state: str
    repeated: bool


def accept(
    database: Database,
    settings: Settings,
    actor: Actor,
    *,
    stream: BinaryIO,
    file_name: str,
    record_type: str,
    organisation: str,
    period: str | None,
    door: str,
    dry_run: bool = False,
    operation_id: str | None = None,
    kind: str = "regular",
    expected_sha256: str | None = None,
    catalogue: Catalogue | None = None,
) -> Accepted:
    """The one gate behind every door: bytes on disk, ledger row and job together, or a HubError and nothing kept."""
    sending = receive.Sending(
        organisation=organisation,
        record_type=record_type,
        period=period,
        file_name=file_name,
        door=door,
        kind=kind,
        dry_run=dry_run,
        operation_id=operation_id,
    )
    _admit(database, actor, sending, catalogue or catalogue_in_force())
    with receive.stored(settings, stream, expected_sha256) as file:
        received = _enter(database, settings, actor, file, sending)
    point("accept.after_commit")
    return Accepted(
        submission_id=received.submission_id,
        receipt_number=received.receipt_number,
        state=received.state,
        repeated=received.repeated,
    )


def enqueue(connection: Connection, submission_id: UUID, organisation: str, record_type: str) -> None:
    """Queue the submission's job in this transaction. One sender's files of one type run in the order they came."""
    raw = driver(connection)
    job = _QUEUE.configure_task("run_submission", lock=f"{organisation}/{record_type}").job
    raw.execute("SET LOCAL search_path = jobs")
    _on_the_callers_connection.defer_job(job.evolve(task_kwargs={"submission_id": str(submission_id)}), connection=raw)
    raw.execute("SET LOCAL search_path TO DEFAULT")


def _admit(database: Database, actor: Actor, sending: receive.Sending, catalogue: Catalogue) -> None:
    """Refuse early, and note the refusal: it must outlive the transaction it ends."""
    try:
        with database.begin(reach_of(actor)) as connection:
            receive.admit(connection, catalogue, actor, sending)
    except HubError as refused:
        with database.begin() as connection:
            facts = {"record_type": sending.record_type, "problem": refused.problem}
            audit.record(connection, actor, Right.SUBMIT, sending.organisation, "refused", **facts)
        raise


def _enter(
    database: Database, settings: Settings, actor: Actor, file: receive.StoredFile, sending: receive.Sending
) -> receive.Received:
    with database.begin(reach_of(actor)) as connection:
        received = receive.receive(connection, settings, actor, file, sending)
        point("accept.before_enqueue")
        if received.must_run:
            enqueue(connection, received.submission_id, sending.organisation, sending.record_type)
        point("accept.before_commit")
    return received
