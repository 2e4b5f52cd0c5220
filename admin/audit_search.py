"""The auditor's page: the audit searched, page by page, and taken away as a numbered file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Stream
from sqlalchemy import Connection

from admin.audit_words import AUDITED_ACTS, HUB
from admin.lists.access import AUDIT
from admin.lists.answering import Door, Fetched, Source, answer_list
from admin.lists.asked import Asked, asked_of
from admin.lists.declared import Option, Words
from admin.pages import show
from admin.visits import Visit
from hub.audit import AuditLine
from hub.database import Database, utc_now
from hub.errors import BadRequest, HubError
from hub.exchange.plain_cells import plain_cell
from hub.operations.audit_keeping import number_of
from hub.operations.audit_search import Place, Wanted, all_lines, begin_export, search
from hub.registry.permissions import Actor, Right
from hub.settings import Settings

_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_HEADERS = AuditLine.__struct_fields__[:-1]  # the mark is for the verification

Asking = Request[Actor, Visit, Any]


class NoAuditRole(HubError):
    """未设置 HUB_AUDIT_URL，不能查询审计，请联系系统管理员。 HUB_AUDIT_URL is not set: the audit cannot be searched."""

    status, problem = 503, "no-audit-role"


def _wanted(asked: Asked, zone: ZoneInfo) -> Wanted:
    """Days are the district's, both inside."""
    names = ("actor", "organisation", "act", "outcome", "address")
    return Wanted(
        **{name: asked[name] for name in names}, object_prefix=asked["object"],
        since=_midnight(asked["since"], zone), until=_midnight(asked["until"], zone, days=1),
    )  # fmt: skip


class AuditController(Controller):
    """/audit and /audit/export."""

    path = "/audit"

    @get("/", opt={"right": Right.READ_AUDIT}, sync_to_thread=True)
    def read(self, door: NamedDependency[Door], audit_database: NamedDependency[Database | None]) -> Response[Any]:
        asked = asked_of(AUDIT, door.query)
        if audit_database is None:
            return show(door.request, "audit.html", status=503, missing=True, list=None)
        wanted = _wanted(asked, ZoneInfo(door.settings.time_zone))
        return answer_list(door, asked, _source(audit_database, door.actor, wanted), "audit.html", missing=False)

    @get("/export", opt={"right": Right.READ_AUDIT}, sync_to_thread=True)
    def export(
        self,
        request: Asking,
        audit_database: NamedDependency[Database | None],
        settings: NamedDependency[Settings],
        form: FromQuery[Literal["csv", "ndjson"]] = "csv",
    ) -> Stream:
        if audit_database is None:
            raise NoAuditRole()
        now = utc_now()
        asked = asked_of(AUDIT, request.query_params.dict())
        wanted = _ended(_wanted(asked, ZoneInfo(settings.time_zone)), now)
        with audit_database.begin() as connection:
            number = number_of(begin_export(connection, request.user, wanted, form), now)
        named = {"Content-Disposition": f'attachment; filename="audit-{number}.{form}"', "X-Export-Number": number}
        return Stream(_written_lines(audit_database, wanted, form), media_type=_TYPES[form], headers=named)


def _source(audit_database: Database, actor: Actor, wanted: Wanted) -> Source:
    def rows(connection: Connection, before: str, size: int) -> Fetched:
        found = search(connection, actor, wanted, _place(before), size)
        return Fetched(rows=found.lines, more=_written(found.older) if found.older else "")

    return Source(rows=rows, options=lambda connection, words: _choices(words), reader=audit_database)


def _choices(words: Words) -> dict[str, list[Option]]:
    acts = [Option(value=right, title=words.say(title)) for right, title in AUDITED_ACTS.items()]
    units = [Option(value=code, title=words.organisation(code), data=True) for code in words.organisations]
    return {"act": acts, "organisation": [*units, Option(value="hub", title=words.say(HUB))]}


def _described(line: AuditLine) -> str:
    return msgspec.json.encode(line.facts).decode()


def _midnight(day: str, zone: ZoneInfo, days: int = 0) -> datetime | None:
    if not day:
        return None
    try:
        begin = date.fromisoformat(day) + timedelta(days=days)
    except (ValueError, OverflowError):
        raise BadRequest(f"{day}：日期应为 YYYY-MM-DD。 A date is YYYY-MM-DD.") from None
    return datetime.combine(begin, datetime.min.time(), zone)


def _ended(wanted: Wanted, now: datetime) -> Wanted:
    """What is counted and what is taken are the same lines: none that comes later."""
    return msgspec.structs.replace(wanted, until=min(wanted.until or now, now))


def _written(place: Place) -> str:
    return f"{place[0].isoformat()}/{place[1]}"


def _place(before: str) -> Place | None:
    if not before:
        return None
    at, _, audit_id = before.partition("/")
    try:
        return datetime.fromisoformat(at), UUID(audit_id)
    except ValueError:
        raise BadRequest("before") from None


# ---- the file ----


def _written_lines(database: Database, wanted: Wanted, form: str) -> Iterator[bytes]:
    with database.read() as connection:
        lines = all_lines(connection, wanted)
        yield from (_as_csv(lines) if form == "csv" else (msgspec.json.encode(line) + b"\n" for line in lines))


def _as_csv(lines: Iterator[AuditLine]) -> Iterator[bytes]:
    yield "\ufeff".encode() + _csv_row(_HEADERS)
    for line in lines:
        values = msgspec.structs.asdict(line) | {"facts": _described(line)}
        yield _csv_row(_safe(values[name]) for name in _HEADERS)


def _csv_row(cells: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _safe(value: object) -> str:
    """Text that a spreadsheet will not run as a formula."""
    return plain_cell(value.isoformat() if isinstance(value, datetime) else value)
