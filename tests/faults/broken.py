"""Pipelines that are wrong on purpose, each in one way: the checker must notice every one of them.

Each function is called in the forked process before the command runs; each of these dies where its mistake shows.
"""

from __future__ import annotations

import os
import signal
from uuid import UUID

from sqlalchemy import Connection

from hub import accepting
from hub.database import Database
from hub.exchange import outcomes, pipeline, receipts, receive
from hub.exchange.changelog import number_changes
from hub.keyring import Keyring
from hub.registry.permissions import Actor
from hub.settings import Settings
from mappings.catalogue import Catalogue


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def register_before_ledger() -> None:
    """Register and change log are committed; the ledger's state would follow in a second transaction."""

    def change(
        database: Database, settings: Settings, catalogue: Catalogue, keyring: Keyring, submission_id: UUID
    ) -> str:
        with database.begin() as connection:
            row = pipeline._lock(connection, submission_id)
            pipeline.apply_staged(
                connection, submission_id, row.organisation, catalogue.record_types[row.record_type], catalogue
            )
            number_changes(connection, submission_id)
        _die()
        return "checked"

    pipeline._change_register = change


def ledger_before_change_log() -> None:
    """Register, receipt and state are committed; the numbers would follow in a second transaction."""

    def finish(connection: Connection, keyring: Keyring, submission_id: UUID) -> None:
        receipts.issue(connection, keyring, submission_id)

    pipeline._finish = finish
    pipeline.tidy = lambda database, submission_id: _die()


def receipt_after_commit() -> None:
    """State and register are committed; the receipt would be signed afterwards."""

    def finish(connection: Connection, keyring: Keyring, submission_id: UUID) -> None:
        number_changes(connection, submission_id)

    pipeline._finish = finish
    pipeline.tidy = lambda database, submission_id: _die()


def state_before_register() -> None:
    """The ledger says merged before anything was."""

    def change(
        database: Database, settings: Settings, catalogue: Catalogue, keyring: Keyring, submission_id: UUID
    ) -> str:
        with database.begin() as connection:
            row = pipeline._lock(connection, submission_id)
            counted = outcomes.Counted(row.received, 0, 0, 0, {"new": row.received}, [])
            outcomes.note(connection, row, counted, "merged")
            receipts.issue(connection, keyring, submission_id)
        _die()
        return "merged"

    pipeline._change_register = change


def told_before_commit() -> None:
    """The sender reads a receipt number while its ledger row can still be lost."""

    def enter(
        database: Database, settings: Settings, actor: Actor, file: receive.StoredFile, sending: receive.Sending
    ) -> receive.Received:
        with database.begin() as connection:
            received = receive.receive(connection, settings, actor, file, sending)
            print(f'{{"receipt": "{received.receipt_number}"}}', flush=True)
            _die()
        return received

    accepting._enter = enter


def job_in_another_transaction() -> None:
    """The ledger row is committed; the job would be queued afterwards. Not lost: the sweep finds it."""

    def enter(
        database: Database, settings: Settings, actor: Actor, file: receive.StoredFile, sending: receive.Sending
    ) -> receive.Received:
        with database.begin() as connection:
            receive.receive(connection, settings, actor, file, sending)
        _die()
        raise AssertionError

    accepting._enter = enter
