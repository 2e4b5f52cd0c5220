"""What a system may decide about what it sent: withdraw it, undo it, say there is nothing. The rest is for people.

What an unknown column means and whether an unusual effect may happen is said by a person: a page and a command, no route.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy import Connection, Row

from hub import audit
from hub.api.bodies import require_json
from hub.database import Database
from hub.decisions.effect import refuse
from hub.decisions.nothing import report_nothing
from hub.decisions.undoing import undo
from hub.errors import NotFound
from hub.exchange import listing
from hub.exchange.effect import read_samples
from hub.exchange.small_cells import may_see_breakdown
from hub.jobs import Accepted
from hub.registry.masking import View, mask_field
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue, RecordType

_OWN = "/submissions/{submission_id:uuid}"


class PostedReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why; no numbers of persons in it."""

    reason: str


class PostedMonth(msgspec.Struct, frozen=True, kw_only=True):
    """Of which type, and of which month (YYYY-MM), there is nothing to report."""

    type: str
    period: str


class DecisionController(Controller):
    """/v1/submissions/{id}/effect, /withdraw, /undo; /v1/nil-returns."""

    @get(
        f"{_OWN}/effect",
        opt={"right": (Right.READ_SUBMISSION, Right.READ_ALL_SUBMISSIONS)},
        sync_to_thread=True,
        summary="影响：数量、原因与样例 / What it would change: counts, reasons, samples old and new",
    )
    def effect(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        submission_id: FromPath[UUID],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            row = listing.find_submission(connection, actor, submission_id)
            record_type = catalogue.record_types[row.record_type]
            if not may_see_breakdown(actor, record_type, row.organisation):
                raise NotFound()
            samples = _read_samples(connection, actor, row, record_type)
        return _describe_effect(row) | {"samples": samples}

    @post(
        f"{_OWN}/withdraw",
        opt={"right": Right.SUBMIT},
        guards=[require_json],
        status_code=200,
        sync_to_thread=True,
        summary="撤回或退回 / Withdraw before it takes effect",
    )
    def withdraw(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        actor: NamedDependency[Actor],
        submission_id: FromPath[UUID],
        data: JSONBody[PostedReason],
    ) -> dict[str, Any]:
        return {"submission_id": submission_id, "state": refuse(database, settings, actor, submission_id, data.reason)}

    @post(
        f"{_OWN}/undo",
        opt={"right": Right.SUBMIT},
        guards=[require_json],
        status_code=202,
        sync_to_thread=True,
        summary="撤销 / Take a merged submission back by a compensating one",
    )
    def undo(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        submission_id: FromPath[UUID],
        data: JSONBody[PostedReason],
    ) -> Response[dict[str, Any]]:
        return _entered(undo(database, settings, actor, submission_id, data.reason, catalogue), 202)

    @post(
        "/nil-returns",
        opt={"right": Right.SUBMIT},
        guards=[require_json],
        status_code=200,
        sync_to_thread=True,
        summary="本月无变动 / Nothing to report this month",
    )
    def nothing(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        data: JSONBody[PostedMonth],
    ) -> Response[dict[str, Any]]:
        return _entered(
            report_nothing(database, settings, actor, actor.organisation, data.type, data.period, catalogue), 200
        )


def _entered(accepted: Accepted, status: int) -> Response[dict[str, Any]]:
    """The submission a decision became."""
    content = {
        "submission_id": accepted.submission_id,
        "receipt": accepted.receipt_number,
        "state": accepted.state,
        "repeated": accepted.repeated,
    }
    location = f"/v1/submissions/{accepted.submission_id}"
    return Response(content, status_code=status, headers={"Location": location})


def _describe_effect(row: Row[Any]) -> dict[str, Any]:
    return {
        "submission_id": row.submission_id,
        "state": row.state,
        "effect": row.facts.get("effect"),
        "held": row.held,
        "refused": row.refused,
        "reasons": (row.waiting or {}).get("reasons", []),
        "released_by": row.released_by,
    }


def _read_samples(
    connection: Connection, actor: Actor, row: Row[Any], record_type: RecordType
) -> dict[str, list[dict[str, Any]]]:
    """By outcome, masked as on the pages; that they were read is noted."""
    view: View = "own" if actor.organisation == row.organisation else "oversight"
    found = read_samples(connection, row.submission_id)
    numbers = [one["row_no"] for samples in found.values() for one in samples]
    if numbers:
        audit.record(
            connection, actor, Right.READ_SUBMISSION, f"submission/{row.submission_id}",
            what="effect", rows=len(numbers), digest=audit.digest_of(numbers),
        )  # fmt: skip
    return {outcome: [_masked(one, record_type, view) for one in samples] for outcome, samples in found.items()}


def _masked(sample: dict[str, Any], record_type: RecordType, view: View) -> dict[str, Any]:
    sides = {side: _masked_side(sample[side], record_type, view) for side in ("before", "after")}
    return {"row": sample["sheet_row"], **sides}


def _masked_side(version: dict[str, Any] | None, record_type: RecordType, view: View) -> dict[str, str] | None:
    if version is None:
        return None
    return {name: mask_field(value, record_type.by_name.get(name), view) for name, value in version.items()}
