"""Files to take away: the workbook with its errors marked, the list of errors, the templates of one's own types."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import quote
from uuid import UUID

from litestar import Controller, Response, get
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import File

from admin.pages import show
from admin.submission_view import Asking
from admin.uploads import recent_months, sendable_types, today_of
from hub.database import Database
from hub.errors import NotFound
from hub.exchange.workbooks.handing_out import Handed, error_list, own_template, returned_workbook
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"


class DownloadController(Controller):
    """/submissions/{id}/returned.xlsx and errors.csv; /templates."""

    @get("/submissions/{submission_id:uuid}/returned.xlsx", opt={"right": Right.READ_SUBMISSION}, sync_to_thread=True)
    def returned(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
    ) -> File:
        language = request.auth.language
        return _hand_over(returned_workbook(database, settings, catalogue, request.user, submission_id, language), XLSX)

    @get("/submissions/{submission_id:uuid}/errors.csv", opt={"right": Right.READ_SUBMISSION}, sync_to_thread=True)
    def errors(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
    ) -> File:
        language = request.auth.language
        return _hand_over(error_list(database, settings, catalogue, request.user, submission_id, language), CSV)

    @get("/templates", opt={"right": Right.SUBMIT}, sync_to_thread=True)
    def templates(
        self,
        request: Asking,
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromQuery[str] = "",
    ) -> Response[str]:
        months = recent_months(today_of(settings))
        known = sendable_types(catalogue, request.user)
        return show(
            request, "templates.html", record_types=known, months=months, month=month if month in months else months[0]
        )

    @get("/templates/{file:str}", opt={"right": Right.SUBMIT}, sync_to_thread=True)
    def template(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        file: FromPath[str],
        month: FromQuery[str] = "",
        fill: FromQuery[Literal["words", "codes"]] = "words",
    ) -> Response[bytes]:
        code, dot, ending = file.rpartition(".")
        if (dot, ending) != (".", "xlsx"):
            raise NotFound()
        with database.begin(reach_of(request.user)) as connection:
            name, content = own_template(connection, catalogue, request.user, code, month or None, fill)
        return Response(content, media_type=XLSX, headers={"Content-Disposition": _named(f"{code}.xlsx", name)})


def _hand_over(handed: Handed, media_type: str) -> File:
    """The file, gone from the hub's disk once it is sent."""
    away = BackgroundTask(Path.unlink, handed.path, missing_ok=True)
    return File(handed.path, filename=handed.file_name, media_type=media_type, background=away)


def _named(plain: str, name: str) -> str:
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
