"""Files a department's system takes away: its workbook with the errors marked, the list of errors, its templates."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from litestar import Controller, Request, Response, get
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import File

from hub.database import Database
from hub.exchange.workbooks.handing_out import Handed, error_list, own_template, returned_workbook
from hub.problems import prefers_english
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"
Month = Annotated[str | None, QueryParameter(name="period", description="YYYY-MM")]


class FileController(Controller):
    """/v1/submissions/{id}/returned and /errors; /v1/record-types/{code}/template."""

    @get(
        "/submissions/{submission_id:uuid}/returned",
        opt={"right": Right.READ_SUBMISSION},
        sync_to_thread=True,
        summary="带标注的原表 / The workbook as it was sent, errors marked",
    )
    def returned(
        self,
        request: Request[Actor, Any, Any],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
    ) -> File:
        language = _language(request)
        return _hand_over(returned_workbook(database, settings, catalogue, request.user, submission_id, language), XLSX)

    @get(
        "/submissions/{submission_id:uuid}/errors",
        opt={"right": Right.READ_SUBMISSION},
        sync_to_thread=True,
        summary="差错清单 / Every row error, as CSV",
    )
    def errors(
        self,
        request: Request[Actor, Any, Any],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
    ) -> File:
        language = _language(request)
        return _hand_over(error_list(database, settings, catalogue, request.user, submission_id, language), CSV)

    @get(
        "/record-types/{code:str}/template",
        opt={"right": Right.SUBMIT},
        sync_to_thread=True,
        summary="报送模板 / The workbook to fill in",
    )
    def template(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        code: FromPath[str],
        period: Month = None,
        fill: FromQuery[Literal["words", "codes"]] = "words",
    ) -> Response[bytes]:
        with database.begin(reach_of(actor)) as connection:
            name, content = own_template(connection, catalogue, actor, code, period, fill)
        named = f"attachment; filename=\"{code}.xlsx\"; filename*=UTF-8''{quote(name)}"
        digest = hashlib.sha256(content).digest()
        return Response(
            content, media_type=XLSX, headers={"Content-Disposition": named, "Content-Digest": _stated(digest)}
        )


def _hand_over(handed: Handed, media_type: str) -> File:
    """The file with its digest (RFC 9530), gone from the hub's disk once it is sent."""
    away = BackgroundTask(Path.unlink, handed.path, missing_ok=True)
    with handed.path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").digest()
    headers = {"Content-Digest": _stated(digest)}
    return File(handed.path, filename=handed.file_name, media_type=media_type, headers=headers, background=away)


def _stated(digest: bytes) -> str:
    return f"sha-256=:{base64.b64encode(digest).decode()}:"


def _language(request: Request[Actor, Any, Any]) -> str:
    return "en" if prefers_english(request.headers.get("accept-language", "")) else "zh"
