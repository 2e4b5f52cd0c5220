"""A district that takes files and gives them back, as its worker and as a sender's clerk at the web door see it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
from sqlalchemy import select

from hub import jobs
from hub.database import Database
from hub.exchange import pipeline
from hub.exchange.workbooks.returned import Returned, find_returned, write_returned
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.round_trip import Carrier


@dataclass(frozen=True)
class Hub:
    """What a test needs to send a file and to fetch it again."""

    worker: Database
    served: Database
    settings: Settings
    catalogue: Catalogue
    folder: Path

    def send(self, carrier: Carrier, content: bytes, name: str) -> Any:
        """The ledger row once the line is through."""
        organisation, record_type = carrier
        accepted = jobs.accept(
            self.worker, self.settings, SYSTEM_ACTOR, stream=io.BytesIO(content), file_name=name, door="command",
            record_type=record_type, organisation=organisation, period="2026-10", catalogue=self.catalogue,
        )  # fmt: skip
        pipeline.run(self.worker, self.settings, accepted.submission_id, self.catalogue)
        return self.row(accepted.submission_id)

    def row(self, submission_id: UUID) -> Any:
        with self.worker.begin() as connection:
            return connection.execute(select(submission).where(submission.c.submission_id == submission_id)).one()

    def give_back(self, row: Any, language: str = "zh") -> tuple[Returned, Any]:
        """As the sender's clerk, through the web door's role."""
        target, clerk = self.folder / f"{row.receipt_number}.xlsx", clerk_of(row.organisation)
        with self.served.begin(reach_of(clerk)) as connection:
            find_returned(connection, clerk, row.submission_id)
            made = write_returned(connection, self.settings, self.catalogue, row.submission_id, target, language)
        return made, openpyxl.load_workbook(target)


def clerk_of(organisation: str, role: str = "department_clerk", kind: str = "department") -> Actor:
    return Actor(name="clerk", organisation=organisation, kind=kind, door="panel", rights=ROLES[role])
