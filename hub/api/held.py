"""Held rows for a sender's own system: which wait, and what somebody decided about them there."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter

from hub import audit
from hub.api.bodies import require_json
from hub.api.paging import answer_page
from hub.database import Database
from hub.decisions.held import Chosen, Released, refuse_rows, release_rows
from hub.decisions.held_rules import release_of
from hub.decisions.waiting import WaitingItem, WantedItems, list_waiting
from hub.exchange import receipts
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_PAGE = 100
Days = Annotated[int, QueryParameter(name="older_than_days", ge=0, le=3660)]


class PostedDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of rows of one receipt: those named by ``rows``, or all with ``code``, or all that wait."""

    receipt: str
    act: Literal["preview", "release", "refuse"]
    rows: tuple[int, ...] = ()
    code: str = ""
    reason: str = ""
    people: dict[int, dict[str, str]] = msgspec.field(default_factory=dict)  # row -> role -> candidate's id, or "new"


class HeldController(Controller):
    """/v1/held and /v1/held/decisions."""

    @get(
        "/held",
        opt={"right": Right.DECIDE_HELD},
        sync_to_thread=True,
        summary="待核的行 / Rows that wait for a person, the oldest first",
    )
    def list_held(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        code: FromQuery[str] = "",
        record_type: Annotated[str, QueryParameter(name="type")] = "",
        receipt: FromQuery[str] = "",
        older_than_days: Days = 0,
        cursor: FromQuery[str] = "",
    ) -> Response[dict[str, Any]]:
        wanted = WantedItems(
            kind="held", code=code, record_type=record_type, receipt=receipt, older_than_days=older_than_days
        )
        with database.begin(reach_of(actor)) as connection:
            found = list_waiting(connection, actor, wanted, cursor, _PAGE + 1)
            audit.record(connection, actor, Right.DECIDE_HELD, "held", rows=len(found[:_PAGE]))
        following = found[_PAGE - 1].cursor if len(found) > _PAGE else None
        asked = {"code": code, "type": record_type, "receipt": receipt, "older_than_days": older_than_days}
        shown = [_describe_row(one, catalogue) for one in found[:_PAGE]]
        return answer_page("/v1/held", shown, following, **{name: value or None for name, value in asked.items()})

    @post(
        "/held/decisions",
        opt={"right": Right.DECIDE_HELD},
        guards=[require_json],
        status_code=202,
        sync_to_thread=True,
        summary="采纳或不采纳待核的行 / Let held rows pass as they are, or refuse them",
    )
    def decide(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        data: JSONBody[PostedDecision],
    ) -> Response[dict[str, Any]]:
        with database.begin(reach_of(actor)) as connection:
            submission_id = receipts.find(connection, data.receipt).submission_id
        chosen = Chosen(submission_id=submission_id, rows=data.rows, code=data.code)
        if data.act == "refuse":
            return Response({"refused": refuse_rows(database, actor, chosen, data.reason)}, status_code=200)
        preview = data.act == "preview"
        released = release_rows(
            database, settings, actor, chosen,
            reason=data.reason, people=data.people, dry_run=preview, catalogue=catalogue,
        )  # fmt: skip
        return _describe_release(released)


def _describe_row(one: WaitingItem, catalogue: Catalogue) -> dict[str, Any]:
    """Codes and places; what a row says is on its receipt, as far as it is shown at all."""
    return {
        "receipt": one.receipt,
        "submission_id": UUID(one.place),
        "row_no": one.row_no,
        "sheet_row": one.row,
        "type": one.what,
        "codes": [{"code": code, "release": release_of(catalogue, code)} for code in one.codes],
        "held_at": one.since,
        "candidates": one.candidates,
        "under_way": one.under_way,
    }


def _describe_release(released: Released) -> Response[dict[str, Any]]:
    accepted = released.accepted
    content = {
        "submission_id": accepted.submission_id,
        "receipt": accepted.receipt_number,
        "state": accepted.state,
        "repeated": accepted.repeated,
        "rows": released.rows,
        "left_out": released.left_out,
    }
    return Response(content, status_code=202, headers={"Location": f"/v1/submissions/{accepted.submission_id}"})
