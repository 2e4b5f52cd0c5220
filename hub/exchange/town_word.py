"""What a town says takes effect in the transaction in which it is merged: lines settled, sources asked, records marked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row

from hub.casework.town_finds import report_found
from hub.casework.verdict_effects import settle_answers
from hub.casework.verdict_rows import VERIFICATION, AnswerContext, mark_rows
from hub.database import utc_now
from hub.exchange.disputes import mark_disputed
from hub.settings import Settings
from mappings.catalogue import Catalogue, RecordType

FOUND = ("town_arrival", "town_departure")


def hold_against_list(
    connection: Connection, row: Row[Any], record_type: RecordType, catalogue: Catalogue, context: AnswerContext | None
) -> None:
    """Before a town's answers are linked: each is held against the line it answers."""
    if record_type.code == VERIFICATION and context is not None:
        mark_rows(connection, row.submission_id, row.organisation, catalogue, context)


def take_effect(connection: Connection, settings: Settings, catalogue: Catalogue, row: Row[Any]) -> None:
    """After the merge and before the numbers: what follows from the town's word is part of the same change."""
    if row.record_type == VERIFICATION:
        settle_answers(connection, settings, catalogue, row, utc_now())
    elif row.record_type in FOUND:
        report_found(connection, settings, catalogue, row.submission_id, utc_now())
    else:
        return
    mark_disputed(connection, row.submission_id, catalogue)
