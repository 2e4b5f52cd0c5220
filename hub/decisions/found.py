"""What a town found on the ground and nobody sent: one visit's facts, each a row of its own through the one gate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from uuid import UUID

import msgspec

from hub import jobs
from hub.database import Database
from hub.decisions.verdicts import WAIT_SECONDS, Outcome, accept_rows, find_sent, operation_for, outcomes_of
from hub.errors import BadRequest
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of, scope_for
from hub.settings import Settings
from mappings.catalogue import Catalogue

FOUND_TYPES = ("town_arrival", "town_departure", "service_request")
_REQUEST, _NUMBER_LENGTH = "service_request", 8


class NotOwnVillage(BadRequest):
    """请选择本镇街的村居。 Choose a village of your own town."""

    problem, status = "not-own-village", 422


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """One fact that was reported, and what became of it."""

    record_type: str
    submission_id: UUID
    receipt: str
    outcome: Outcome
    codes: tuple[str, ...] = ()


def report_found(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    month: str,
    record_type: str,
    row: Mapping[str, str],
    *,
    key: str,
    seconds: float = WAIT_SECONDS,
) -> Reported:
    """Send it and wait; the same facts of the same form again are the same submission."""
    if record_type not in FOUND_TYPES:
        raise BadRequest(record_type)
    operation = operation_for(month, key, [record_type, dict(sorted(row.items()))])
    with database.begin(reach_of(actor)) as connection:
        areas = load_area_index(connection)
        if areas.codes.get(row.get("live_div", "")) not in scope_for(actor, areas).own_areas:
            raise NotOwnVillage()
        known = find_sent(connection, actor, operation)
    accepted = known or _send(database, settings, catalogue, actor, month, record_type, row, operation)
    jobs.wait_until_final(database, accepted.submission_id, seconds, reach_of(actor))
    with database.begin(reach_of(actor)) as connection:
        ((outcome, codes),) = outcomes_of(connection, actor, accepted.submission_id, 1)
    return Reported(
        record_type=record_type, submission_id=accepted.submission_id, receipt=accepted.receipt_number,
        outcome=outcome, codes=codes,
    )  # fmt: skip


def _send(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    month: str,
    record_type: str,
    row: Mapping[str, str],
    operation: str,
) -> jobs.Accepted:
    told = {name: value for name, value in row.items() if value}
    if record_type == _REQUEST:
        told["request_no"] = (
            f"{month.replace('-', '')}-{hashlib.sha256(operation.encode()).hexdigest()[:_NUMBER_LENGTH]}"
        )
    body = msgspec.json.encode(told) + b"\n"
    return accept_rows(database, settings, catalogue, actor, month, body, "upload", operation, record_type)
