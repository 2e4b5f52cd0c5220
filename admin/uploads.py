"""The upload page: choose what it is and which month, choose the file, send: one action, a receipt at once."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery

from admin.forms import UploadForm, upload_form
from admin.language import N_
from admin.pages import go, show
from admin.visits import Visit
from hub import jobs
from hub.database import Database
from hub.errors import BadRequest, FileRefused, HubError, NotAllowed, TooLarge
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from mappings.catalogue import Catalogue, RecordType

_NO_FILE = N_("请选择要上传的文件。")
_REFUSALS: dict[type[HubError], str] = {
    TooLarge: N_("文件超过允许的大小，请拆分后再上传。"),
    NotAllowed: N_("本单位不能报送这一信息类别。"),
    FileRefused: N_("文件无法接收，请检查信息类别与文件后重试。"),
    BadRequest: N_("填写的内容有误，请检查信息类别与月份。"),
}
_MONTHS_SHOWN = 13


class UploadController(Controller):
    """GET and POST /submissions/new."""

    path = "/submissions/new"

    @get(opt={"right": Right.SUBMIT}, sync_to_thread=True)
    def ask(
        self,
        request: Request[Actor, Visit, Any],
        catalogue: NamedDependency[Catalogue],
        settings: NamedDependency[Settings],
        record_type: FromQuery[str] = "",
        period: FromQuery[str] = "",
    ) -> Response[str]:
        return _form_page(request, catalogue, settings, chosen={"record_type": record_type, "period": period})

    @post(
        opt={"right": Right.SUBMIT}, dependencies={"form": Provide(upload_form)}, status_code=200, sync_to_thread=True
    )
    def send(
        self,
        request: Request[Actor, Visit, Any],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: NamedDependency[UploadForm],
    ) -> Response[Any]:
        if not form.file_name or not form.size:
            return _form_page(request, catalogue, settings, chosen=form.fields, error=_NO_FILE)
        try:
            accepted = _accept(database, settings, catalogue, request.user, form)
        except (TooLarge, NotAllowed, FileRefused, BadRequest) as refused:
            return _form_page(request, catalogue, settings, chosen=form.fields, error=_explain(refused))
        repeated = "?repeated=true" if accepted.repeated else ""
        return go(request, f"/submissions/{accepted.submission_id}{repeated}")


def sendable_types(catalogue: Catalogue, actor: Actor) -> list[RecordType]:
    """What this unit may send, in the catalogue's order."""
    known = (one for one in catalogue.record_types.values() if one.enabled)
    return [one for one in known if actor.organisation in one.sources or actor.kind in one.sources]


def recent_months(today: date) -> list[str]:
    """This month and the year before it, the newest first."""
    last = today.year * 12 + today.month - 1
    return [f"{month // 12:04d}-{month % 12 + 1:02d}" for month in range(last, last - _MONTHS_SHOWN, -1)]


def today_of(settings: Settings) -> date:
    return datetime.now(ZoneInfo(settings.time_zone)).date()


def _accept(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, form: UploadForm
) -> jobs.Accepted:
    with form.path.open("rb") as stream:
        return jobs.accept(
            database,
            settings,
            actor,
            stream=stream,
            file_name=form.file_name,
            record_type=form.fields.get("record_type", ""),
            organisation=actor.organisation,
            period=form.fields.get("period") or None,
            door="upload",
            dry_run=form.fields.get("dry_run") == "on",
            catalogue=catalogue,
        )


def _explain(refused: HubError) -> str:
    return next(sentence for kind, sentence in _REFUSALS.items() if isinstance(refused, kind))


def _form_page(
    request: Request[Actor, Visit, Any],
    catalogue: Catalogue,
    settings: Settings,
    *,
    chosen: dict[str, str],
    error: str = "",
) -> Response[str]:
    return show(
        request,
        "upload.html",
        status=422 if error else 200,
        record_types=sendable_types(catalogue, request.user),
        months=recent_months(today_of(settings)),
        chosen={"record_type": chosen.get("record_type", ""), "period": chosen.get("period", "")},
        largest=settings.max_file_bytes,
        error=error,
    )
