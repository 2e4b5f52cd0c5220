"""What was sent and what became of it: the list, one submission with its stages and errors, its receipt."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import segno
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy import Connection, Row

from admin.effect_table import show_brake
from admin.error_table import show_errors, show_notes, show_reasons
from admin.lists.answering import Door, Fetched, Source, answer_list, id_of, page_of
from admin.lists.asked import Asked, asked_of
from admin.lists.declared import Words
from admin.lists.shown import Options
from admin.lists.submissions import SUBMISSIONS, submission_options
from admin.pages import show
from admin.submission_view import READERS, Asking, is_closed, read_submission
from admin.visits import Visit
from admin.words import DOORS, EFFECTS, LEVELS
from hub import audit
from hub.database import Database
from hub.decisions.correcting import is_made_here, rows_left
from hub.exchange import listing, receipts
from hub.exchange.related import count_waiting, find_undo, find_undone, list_thread
from hub.registry.permissions import Actor, Right
from hub.registry.scope import is_care_only, reach_of
from mappings.catalogue import Catalogue

_ERRORS_A_PAGE = 50

After = Annotated[str, QueryParameter(name="after", pattern=r"^(\d+\.\d+)?$")]


class SubmissionController(Controller):
    """/submissions and /receipts."""

    @get("/submissions", opt={"right": READERS}, sync_to_thread=True)
    def list_all(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(SUBMISSIONS, door.query)
        return answer_list(door, asked, _source(door.actor, door.catalogue, asked), "submissions.html")

    @get("/submissions/{submission_id:uuid}", opt={"right": READERS}, sync_to_thread=True)
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
            page = read_submission(connection, catalogue, actor, submission_id, request.auth)
            page |= _read_related(connection, catalogue, actor, page, request.auth)
            page |= _read_errors(connection, catalogue, actor, page["row"], chosen, after, request.auth)
        page |= {"levels": LEVELS, "effects": EFFECTS}
        return show(request, "submission.html", chosen=chosen, repeated=repeated, **page)

    @get(
        "/submissions/{submission_id:uuid}/progress",
        opt={"right": READERS, "asked": "by-itself"},
        sync_to_thread=True,
    )
    def progress(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        submission_id: FromPath[UUID],
    ) -> Response[str]:
        with database.begin(reach_of(actor)) as connection:
            page = read_submission(connection, catalogue, actor, submission_id, request.auth)
        answer = show(request, "_progress.html", **page)
        if page["settled"]:
            answer.headers["HX-Refresh"] = "true"
        return answer

    @get("/receipts/{number:str}", opt={"right": READERS}, sync_to_thread=True)
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
            page = read_submission(connection, catalogue, actor, found.submission_id, request.auth)
        return show(request, "receipt.html", qr=draw_code(page["row"]), doors=DOORS, **page)


def _closed_types(actor: Actor, catalogue: Catalogue) -> list[str]:
    """Types that are clinical by existing, for who oversees: what they count would tell the rest apart."""
    if not actor.may(Right.READ_ALL_SUBMISSIONS):
        return []
    return [code for code, one in catalogue.record_types.items() if is_care_only(one)]


def draw_code(row: Row[Any]) -> str:
    """The receipt's number, digest and signature as a picture that a phone can read: a data: address."""
    signature = (row.receipt or {}).get("signature", {})
    content = "\n".join((row.receipt_number, f"sha256:{row.file_sha256}", str(signature.get("value", ""))))
    picture: str = segno.make(content, error="m", micro=False).svg_data_uri(scale=3, border=2)
    return picture


def _source(actor: Actor, catalogue: Catalogue, asked: Asked) -> Source:
    chosen = {name: asked[name] or None for name in ("period", "organisation", "record_type", "state")}
    wanted, closed = listing.Wanted(**chosen), _closed_types(actor, catalogue)

    def rows(connection: Connection, before: str, size: int) -> Fetched:
        place = _place_of(connection, actor, before)
        oldest = asked.sort == "received_at"
        found = listing.list_submissions(connection, actor, wanted, place, size + 1, oldest_first=oldest)
        return page_of(found, size, lambda row: str(row.submission_id))

    def options(connection: Connection, words: Words) -> Options:
        return submission_options(listing.count_parts(connection, actor, wanted.period, closed), asked, words)

    return Source(
        rows=rows,
        options=options,
        beside=lambda connection: {"waiting": count_waiting(connection, actor, without=closed)},
    )


def _place_of(connection: Connection, actor: Actor, before: str) -> listing.Place | None:
    if not before:
        return None
    row = listing.find_submission(connection, actor, id_of(before))
    return row.received_at, row.submission_id


def _error_place(after: str) -> listing.ErrorPlace | None:
    row_no, _, error_no = after.partition(".")
    return (int(row_no), int(error_no)) if after else None


def _read_related(
    connection: Connection, catalogue: Catalogue, actor: Actor, page: dict[str, Any], visit: Visit
) -> dict[str, Any]:
    """The other versions of the workbook, what took it back or what it takes back, and why it waits."""
    row = page["row"]
    thread = list_thread(connection, actor, row)
    return {
        "thread": thread if len(thread) > 1 else [],
        "undo": find_undo(connection, actor, row),
        "undone": find_undone(connection, actor, row),
        "notes": [] if page["closed"] or is_made_here(row) else show_notes(row.facts, catalogue, visit.language),
        "left": rows_left(connection, catalogue, actor, row),
        "brake": [] if page["closed"] else show_brake(row.waiting, catalogue, visit.language),
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
    if is_closed(actor, catalogue, row):
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
