"""The bureau's month at a glance: which unit sent which record type, how it went, down to the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Row

from admin.pages import show
from admin.uploads import recent_months, today_of
from admin.visits import Visit
from hub.database import Database
from hub.exchange import listing
from hub.exchange.related import count_waiting
from hub.exchange.sent_rows import list_sent_rows
from hub.exchange.small_cells import written_count
from hub.registry.organisations import Organisation, find_organisation, list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import is_care_only, reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue, RecordType

_ROWS_A_PAGE = 50

Asking = Request[Actor, Visit, Any]


class BoardRow(msgspec.Struct, frozen=True, kw_only=True):
    """One organisation's line: a cell for every record type of the board."""

    organisation: Organisation
    cells: Sequence[Row[Any] | None]


class BoardController(Controller):
    """/board and the rows behind a submission."""

    @get("/board", opt={"right": (Right.READ_ALL_SUBMISSIONS, Right.READ_MEASURES)}, sync_to_thread=True)
    def board(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromQuery[str] = "",
    ) -> Response[str]:
        months = recent_months(today_of(settings))
        chosen = month or months[0]
        with database.begin(reach_of(request.user)) as connection:
            cells = listing.month_board(connection, request.user, chosen)
            organisations = list_organisations(connection, settings.district)
            closed = [code for code, one in catalogue.record_types.items() if is_care_only(one)]
            waiting = count_waiting(connection, request.user, month=chosen, without=closed)
        types = _sent_types(catalogue, cells)
        return show(
            request,
            "board.html",
            month=chosen,
            months=months,
            record_types=types,
            board=_arrange(organisations, types, cells),
            total=_total(catalogue, cells),
            waiting=waiting,
            care_only={one.code for one in types if is_care_only(one)},
            linked=request.user.may(Right.READ_ALL_SUBMISSIONS),
            written_count=written_count,
        )

    @get("/submissions/{submission_id:uuid}/rows", opt={"right": Right.READ_ALL_SUBMISSIONS}, sync_to_thread=True)
    def rows(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
        after: FromQuery[int] = 0,
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            sent = listing.find_submission(connection, request.user, submission_id)
            sender = find_organisation(connection, sent.organisation)
            record_type = catalogue.record_types[sent.record_type]
            found = list_sent_rows(connection, request.user, sent.submission_id, record_type, after, _ROWS_A_PAGE + 1)
        shown = found.rows[:_ROWS_A_PAGE]
        more = shown[-1].row_no if len(found.rows) > _ROWS_A_PAGE else None
        page: dict[str, Any] = {"row": sent, "sender": sender, "record_type": record_type, "fields": found.fields}
        return show(request, "rows.html", shown=shown, more=more, **page)


def _sent_types(catalogue: Catalogue, cells: Sequence[Row[Any]]) -> list[RecordType]:
    """Columns of the board: the types somebody sent this month, in the catalogue's order."""
    sent = {cell.record_type for cell in cells}
    return [one for code, one in catalogue.record_types.items() if code in sent]


def _arrange(
    organisations: Sequence[Organisation], types: Sequence[RecordType], cells: Sequence[Row[Any]]
) -> list[BoardRow]:
    """Every organisation that may send and is switched on has a line, empty or not."""
    by_place = {(cell.organisation, cell.record_type): cell for cell in cells}
    senders = [one for one in organisations if one.enabled and one.kind in ("department", "care", "town")]
    return [
        BoardRow(organisation=one, cells=[by_place.get((one.code, each.code)) for each in types]) for one in senders
    ]


def _total(catalogue: Catalogue, cells: Sequence[Row[Any]]) -> dict[str, int]:
    """Sums without the types that are clinical by existing: a suppressed cell is not to be had by subtraction."""
    open_cells = [cell for cell in cells if not is_care_only(catalogue.record_types[cell.record_type])]
    names = ("files", "unfinished", "failed", "received", "accepted", "unchanged", "held", "refused")
    return {name: sum(int(getattr(cell, name) or 0) for cell in open_cells) for name in names}
