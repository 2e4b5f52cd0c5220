"""The upload page: choose what it is and which month, choose the file, send; or say that the month had no changes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery

from admin.desk_forms import FORM, Form
from admin.forms import UploadForm, upload_form
from admin.language import N_
from admin.pages import go, show
from admin.visits import Visit
from hub import jobs
from hub.database import Database
from hub.decisions.nothing import RowsAccepted, report_nothing
from hub.decisions.recognising import LockedUnknown, NotRecognised, Recognised, recognise
from hub.errors import BadRequest, FileRefused, HubError, NotAllowed, TooLarge
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue, RecordType

_NO_FILE = N_("请选择要上传的文件。")
_REFUSALS: dict[type[HubError], str] = {
    TooLarge: N_("文件超过允许的大小，请拆分后再上传。"),
    NotAllowed: N_("本单位不能报送这一信息类别。"),
    FileRefused: N_("文件无法接收，请检查信息类别与文件后重试。"),
    LockedUnknown: N_("文件设了打开密码，认不出是哪一类：请选择信息类别，再选一次文件上传，随后输入密码。"),
    NotRecognised: N_("认不出这份文件是哪一类：请选择信息类别，再选一次文件上传。"),
    BadRequest: N_("填写的内容有误，请检查信息类别与月份。"),
    RowsAccepted: N_("这个月已有入库的数据，不能报“本月无变动”。"),
}
_MONTHS_SHOWN, _MONTHS_TAKEN = 13, 37  # history goes further back than the pages do


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
            unknown = isinstance(refused, NotRecognised)
            return _form_page(
                request, catalogue, settings, chosen=form.fields, error=_explain(refused), unknown=unknown
            )
        return _on_to(request, accepted)

    @get("/templates", opt={"right": Right.SUBMIT}, sync_to_thread=False)
    def template_links(
        self,
        request: Request[Actor, Visit, Any],
        catalogue: NamedDependency[Catalogue],
        settings: NamedDependency[Settings],
        record_type: FromQuery[str] = "",
        period: FromQuery[str] = "",
    ) -> Response[str]:
        """The links below the type that was just chosen."""
        chosen = _chosen(catalogue, settings, request.user, {"record_type": record_type, "period": period})
        return show(request, "_template_links.html", record_type=chosen["record_type"], period=chosen["period"])

    @post("/nothing", opt={"right": Right.SUBMIT}, dependencies=FORM, status_code=200, sync_to_thread=True)
    def nothing(
        self,
        request: Request[Actor, Visit, Any],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
    ) -> Response[Any]:
        actor, record_type, period = request.user, form.get("record_type", ""), form.get("period", "")
        try:
            accepted = report_nothing(database, settings, actor, actor.organisation, record_type, period, catalogue)
        except (RowsAccepted, NotAllowed, FileRefused, BadRequest) as refused:
            return _form_page(request, catalogue, settings, chosen=form, error=_explain(refused))
        return _on_to(request, accepted)


def _on_to(request: Request[Actor, Visit, Any], accepted: jobs.Accepted) -> Response[Any]:
    repeated = "?repeated=true" if accepted.repeated else ""
    return go(request, f"/submissions/{accepted.submission_id}{repeated}")


def sendable_types(catalogue: Catalogue, actor: Actor) -> list[RecordType]:
    """What this unit may send, in the catalogue's order."""
    known = (one for one in catalogue.record_types.values() if one.enabled)
    return [one for one in known if actor.organisation in one.sources or actor.kind in one.sources]


def recent_months(today: date, many: int = _MONTHS_SHOWN) -> list[str]:
    """This month and those before it, the newest first."""
    last = today.year * 12 + today.month - 1
    return [f"{month // 12:04d}-{month % 12 + 1:02d}" for month in range(last, last - many, -1)]


def today_of(settings: Settings) -> date:
    return datetime.now(ZoneInfo(settings.time_zone)).date()


def _accept(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, form: UploadForm
) -> jobs.Accepted:
    what = _what_it_is(database, settings, catalogue, actor, form)
    with form.path.open("rb") as stream:
        return jobs.accept(
            database,
            settings,
            actor,
            stream=stream,
            file_name=form.file_name,
            record_type=what.record_type,
            organisation=actor.organisation,
            period=what.period,
            door="upload",
            dry_run=form.fields.get("dry_run") == "on",
            kind="backfill" if form.fields.get("backfill") == "on" else "regular",
            catalogue=catalogue,
        )


def _what_it_is(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, form: UploadForm
) -> Recognised:
    """As it was chosen; where no type was, by the file itself."""
    chosen, period = form.fields.get("record_type", ""), form.fields.get("period") or None
    if chosen:
        return Recognised(record_type=chosen, period=period)
    with database.begin(reach_of(actor)) as connection:
        types = sendable_types(catalogue, actor)
        found = recognise(connection, settings, catalogue, actor, form.path, types)
    return Recognised(record_type=found.record_type, period=found.period or period)


def _explain(refused: HubError) -> str:
    return next(sentence for kind, sentence in _REFUSALS.items() if isinstance(refused, kind))


def _chosen(catalogue: Catalogue, settings: Settings, actor: Actor, asked: dict[str, str]) -> dict[str, str]:
    """Record type and month as far as they can be chosen here; this month where none is."""
    codes, months = (
        [one.code for one in sendable_types(catalogue, actor)],
        recent_months(today_of(settings), _MONTHS_TAKEN),
    )
    only = codes[0] if len(codes) == 1 else ""
    record_type, period = asked.get("record_type", ""), asked.get("period", "")
    return {
        "record_type": record_type if record_type in codes else only,
        "period": period if period in months else months[0],
    }


def _form_page(
    request: Request[Actor, Visit, Any],
    catalogue: Catalogue,
    settings: Settings,
    *,
    chosen: dict[str, str],
    error: str = "",
    unknown: bool = False,
) -> Response[str]:
    return show(
        request,
        "upload.html",
        status=422 if error else 200,
        record_types=sendable_types(catalogue, request.user),
        months=recent_months(today_of(settings), _MONTHS_TAKEN),
        chosen=_chosen(catalogue, settings, request.user, chosen),
        ticked={name for name in ("dry_run", "backfill") if chosen.get(name) == "on"},
        largest=settings.max_file_bytes,
        error=error,
        unknown=unknown,
    )
