"""The auditor's page: the audit searched, page by page, and taken away as a numbered file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Stream

from admin.language import N_
from admin.pages import show
from admin.visits import Visit
from hub.audit import AuditLine
from hub.database import Database, utc_now
from hub.errors import BadRequest, HubError
from hub.operations.audit_keeping import number_of
from hub.operations.audit_search import Place, Wanted, all_lines, begin_export, search
from hub.registry.permissions import Actor, Right
from hub.settings import Settings

_LONG_DIGEST = re.compile(r"[0-9a-f]{40,}")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_OUTCOMES = {"done": N_("完成"), "refused": N_("拒绝"), "failed": N_("失败")}
_HEADERS = AuditLine.__struct_fields__[:-1]  # the mark is for the verification

Asking = Request[Actor, Visit, Any]


class NoAuditRole(HubError):
    """未设置 HUB_AUDIT_URL，不能查询审计，请联系系统管理员。 HUB_AUDIT_URL is not set: the audit cannot be searched."""

    status, problem = 503, "no-audit-role"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The form's fields, as typed; days are the district's, both inside."""

    actor: str = ""
    organisation: str = ""
    act: str = ""
    object: str = ""
    outcome: str = ""
    address: str = ""
    since: str = ""
    until: str = ""

    def wanted(self, zone: ZoneInfo) -> Wanted:
        return Wanted(
            actor=self.actor.strip(),
            organisation=self.organisation.strip(),
            act=self.act.strip(),
            object_prefix=self.object.strip(),
            outcome=self.outcome,
            address=self.address.strip(),
            since=_midnight(self.since, zone),
            until=_midnight(self.until, zone, days=1),
        )

    def query(self) -> dict[str, str]:
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}


class AuditController(Controller):
    """/audit and /audit/export."""

    path = "/audit"

    @get("/", opt={"right": Right.READ_AUDIT}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        audit_database: NamedDependency[Database | None],
        settings: NamedDependency[Settings],
        before: FromQuery[str] = "",
    ) -> Response[str]:
        asked, zone = _asked(request), ZoneInfo(settings.time_zone)
        if audit_database is None:
            return show(request, "audit.html", status=503, missing=True, asked=asked, found=None)
        with audit_database.begin() as connection:
            found = search(connection, request.user, asked.wanted(zone), _place(before))
        older = urlencode(asked.query() | {"before": _written(found.older)}) if found.older else ""
        page: dict[str, Any] = {"asked": asked, "found": found, "older": older, "chosen": urlencode(asked.query())}
        return show(
            request, "audit.html", missing=False, rights=[*Right], outcomes=_OUTCOMES, described=_in_short, **page
        )

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
        wanted = _ended(_asked(request).wanted(ZoneInfo(settings.time_zone)), now)
        with audit_database.begin() as connection:
            number = number_of(begin_export(connection, request.user, wanted, form), now)
        named = {"Content-Disposition": f'attachment; filename="audit-{number}.{form}"', "X-Export-Number": number}
        return Stream(_written_lines(audit_database, wanted, form), media_type=_TYPES[form], headers=named)


def _asked(request: Asking) -> Asked:
    given = {name: request.query_params.get(name, "") for name in Asked.__struct_fields__}
    return msgspec.convert(given, Asked)


def _described(line: AuditLine) -> str:
    return msgspec.json.encode(line.facts).decode()


def _in_short(line: AuditLine) -> str:
    """The facts for the eye: name and value, a digest by its beginning. The export has them whole."""
    if not isinstance(line.facts, dict):
        return _described(line)
    return "，".join(f"{name} {_short(value)}" for name, value in line.facts.items() if value not in (None, "", []))


def _short(value: object) -> str:
    written = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"{written[:12]}…" if _LONG_DIGEST.fullmatch(written) else written


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
    shown = value.isoformat() if isinstance(value, datetime) else str(value)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown
