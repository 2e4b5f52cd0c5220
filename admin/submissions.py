"""What was sent and what became of it: the list, one submission with its stages and errors, its receipt."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import segno
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy import Connection, Row

from admin.error_table import show_errors, show_reasons, show_refusal
from admin.pages import show
from admin.visits import Visit
from admin.words import COUNTS, DOORS, LEVELS
from hub import audit
from hub.database import Database
from hub.exchange import listing, receipts
from hub.exchange.small_cells import may_see_breakdown
from hub.registry.organisations import find_organisation, list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_READERS = (Right.READ_SUBMISSION, Right.READ_ALL_SUBMISSIONS)
_ERRORS_A_PAGE = 50
_SUBMISSIONS_A_PAGE = 30

Asking = Request[Actor, Visit, Any]
After = Annotated[str, QueryParameter(name="after", pattern=r"^(\d+\.\d+)?$")]
Before = Annotated[UUID | None, QueryParameter(name="before")]


class SubmissionController(Controller):
    """/submissions and /receipts."""

    @get("/submissions", opt={"right": _READERS}, sync_to_thread=True)
    def list_all(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        period: FromQuery[str] = "",
        organisation: FromQuery[str] = "",
        record_type: FromQuery[str] = "",
        before: Before = None,
    ) -> Response[str]:
        wanted = listing.Wanted(
            period=period or None, organisation=organisation or None, record_type=record_type or None
        )
        with database.begin(reach_of(actor)) as connection:
            place = _place_of(connection, actor, before)
            rows = listing.list_submissions(connection, actor, wanted, place, _SUBMISSIONS_A_PAGE + 1)
            known = {one.code: one for one in list_organisations(connection, settings.district)}
        shown = rows[:_SUBMISSIONS_A_PAGE]
        chosen = {"period": period, "organisation": organisation, "record_type": record_type}
        more = shown[-1].submission_id if len(rows) > _SUBMISSIONS_A_PAGE else None
        page: dict[str, Any] = {"rows": shown, "more": more, "chosen": chosen, "sender": known.get(organisation)}
        own = not actor.may(Right.READ_ALL_SUBMISSIONS)
        page["closed"] = {row.submission_id for row in shown if _is_closed(actor, catalogue, row)}
        return show(
            request, "submissions.html", record_types=catalogue.record_types, organisations=known, own=own, **page
        )

    @get("/submissions/{submission_id:uuid}", opt={"right": _READERS}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        submission_id: FromPath[UUID],
        level: FromQuery[str] = "",
        code: FromQuery[str] = "",
        after: After = "",
        repeated: FromQuery[bool] = False,
    ) -> Response[str]:
        chosen = {"level": level, "code": code}
        with database.begin(reach_of(actor)) as connection:
            page = _read_submission(connection, catalogue, actor, submission_id, request.auth)
            page |= _read_errors(connection, catalogue, actor, page["row"], chosen, after, request.auth)
        return show(request, "submission.html", chosen=chosen, repeated=repeated, levels=LEVELS, **page)

    @get("/submissions/{submission_id:uuid}/progress", opt={"right": _READERS}, sync_to_thread=True)
    def progress(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        submission_id: FromPath[UUID],
    ) -> Response[str]:
        with database.begin(reach_of(actor)) as connection:
            page = _read_submission(connection, catalogue, actor, submission_id, request.auth)
        answer = show(request, "_progress.html", **page)
        if page["final"]:
            answer.headers["HX-Refresh"] = "true"
        return answer

    @get("/receipts/{number:str}", opt={"right": _READERS}, sync_to_thread=True)
    def receipt(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        number: FromPath[str],
    ) -> Response[str]:
        with database.begin(reach_of(actor)) as connection:
            found = receipts.find(connection, number)
            page = _read_submission(connection, catalogue, actor, found.submission_id, request.auth)
        return show(request, "receipt.html", qr=draw_code(page["row"]), doors=DOORS, **page)


def _is_closed(actor: Actor, catalogue: Catalogue, row: Row[Any]) -> bool:
    """Of a submission of records that are clinical by existing, others than care see no more than that it is there."""
    return not may_see_breakdown(actor, catalogue.record_types[row.record_type], row.organisation)


def draw_code(row: Row[Any]) -> str:
    """The receipt's number, digest and signature as a picture that a phone can read: a data: address."""
    signature = (row.receipt or {}).get("signature", {})
    content = "\n".join((row.receipt_number, f"sha256:{row.file_sha256}", str(signature.get("value", ""))))
    picture: str = segno.make(content, error="m", micro=False).svg_data_uri(scale=3, border=2)
    return picture


def _place_of(connection: Connection, actor: Actor, before: UUID | None) -> listing.Place | None:
    if before is None:
        return None
    row = listing.find_submission(connection, actor, before)
    return row.received_at, row.submission_id


def _error_place(after: str) -> listing.ErrorPlace | None:
    row_no, _, error_no = after.partition(".")
    return (int(row_no), int(error_no)) if after else None


def _read_submission(
    connection: Connection, catalogue: Catalogue, actor: Actor, submission_id: UUID, visit: Visit
) -> dict[str, Any]:
    row = listing.find_submission(connection, actor, submission_id)
    return {
        "row": row,
        "final": receipts.is_final(row),
        "sender": find_organisation(connection, row.organisation),
        "record_type": catalogue.record_types[row.record_type],
        "refusal": show_refusal(row.refusal, catalogue, visit.language) if row.refusal else None,
        "count_titles": COUNTS,
        "closed": _is_closed(actor, catalogue, row),
    }


def _read_errors(
    connection: Connection,
    catalogue: Catalogue,
    actor: Actor,
    row: Row[Any],
    chosen: dict[str, str],
    after: str,
    visit: Visit,
) -> dict[str, Any]:
    """One page of row errors and the reasons; that they were read is noted. Who may not know of the rows gets neither."""
    if _is_closed(actor, catalogue, row):
        return {"errors": [], "reasons": [], "more": None}
    reasons = show_reasons(listing.count_row_errors(connection, row.submission_id), catalogue, visit.language)
    place = _error_place(after)
    wanted = listing.WantedErrors(level=chosen["level"] or None, code=chosen["code"] or None)
    found = listing.list_row_errors(connection, row.submission_id, wanted, place, _ERRORS_A_PAGE + 1)
    shown = found[:_ERRORS_A_PAGE]
    if shown:
        right = Right.READ_SUBMISSION if actor.may(Right.READ_SUBMISSION) else Right.READ_ALL_SUBMISSIONS
        read = audit.digest_of(f"{one.row_no}.{one.error_no}" for one in shown)
        audit.record(
            connection, actor, right, f"submission/{row.submission_id}", rows=len(shown), digest=read, **chosen
        )
    own = actor.organisation == row.organisation
    more = f"{shown[-1].row_no}.{shown[-1].error_no}" if len(found) > _ERRORS_A_PAGE else None
    return {
        "errors": show_errors(shown, catalogue, catalogue.record_types[row.record_type], visit.language, own=own),
        "reasons": reasons,
        "more": more,
    }
