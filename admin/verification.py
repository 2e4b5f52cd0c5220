"""The verification page: a file of names and numbers in, a file of row numbers and answers out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import Controller, Request, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency, Provide
from litestar.response import File

from admin.forms import UploadForm, upload_form
from admin.language import N_
from admin.pages import show
from admin.visits import Visit
from hub.database import Database, new_uuid
from hub.errors import HubError
from hub.people import verification
from hub.people.verification_file import (
    NAME_HEADERS,
    NUMBER_HEADERS,
    AnswerFormat,
    CannotRead,
    MissingColumns,
    answer_name,
    read_pairs,
    write_answers,
)
from hub.registry.permissions import Actor, Right
from hub.settings import Settings

_NO_FILE = N_("请选择要核验的文件。")
_REFUSALS: dict[type[HubError], str] = {
    MissingColumns: N_("表中须有“姓名”和“公民身份号码”两列。"),
    CannotRead: N_("文件无法读取，请另存为 xlsx 或 csv 后重试。"),
    verification.PurposeMissing: N_("请用 4 至 200 个字写明核验目的，不要写号码。"),
    verification.NothingToVerify: N_("没有可核验的行。"),
    verification.TooManyRows: N_("一次核验的行数过多，请分几次。"),
    verification.DayIsUsedUp: N_("本单位今天的核验行数已用完，请明天再来。"),
    verification.TriesOutNames: N_("同一号码配了多个姓名，不予核验。"),
    verification.ConsentNeeded: N_("今天的核验大多姓名不符，须经区局同意方可继续。"),
}
_MEDIA = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
}


class VerificationController(Controller):
    """GET and POST /verify."""

    path = "/verify"

    @get(opt={"right": Right.VERIFY_PEOPLE}, sync_to_thread=True)
    def ask(self, request: Request[Actor, Visit, Any], settings: NamedDependency[Settings]) -> Response[str]:
        return _verify_page(request, settings, purpose="", error="")

    @post(
        opt={"right": Right.VERIFY_PEOPLE},
        dependencies={"form": Provide(upload_form)},
        status_code=200,
        sync_to_thread=True,
    )
    def answer(
        self,
        request: Request[Actor, Visit, Any],
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        form: NamedDependency[UploadForm],
    ) -> Response[str] | File:
        purpose = form.fields.get("purpose", "")
        if not form.file_name or not form.size:
            return _verify_page(request, settings, purpose=purpose, error=_NO_FILE)
        try:
            return _answered(database, settings, request.user, form)
        except tuple(_REFUSALS) as refused:
            return _verify_page(request, settings, purpose=purpose, error=_REFUSALS[type(refused)])


def _answered(database: Database, settings: Settings, actor: Actor, form: UploadForm) -> File:
    """The answers as a file, gone from the hub's disk once it is sent."""
    read = read_pairs(form.path, settings)
    verified = verification.verify(database, settings, actor, read.pairs, form.fields.get("purpose", ""))
    format: AnswerFormat = "csv" if form.fields.get("format") == "csv" else "xlsx"
    path = settings.files / "tmp" / f"answers-{new_uuid()}"
    write_answers(path, format, read.sheet_rows, verified)
    away = BackgroundTask(Path.unlink, path, missing_ok=True)
    return File(path, filename=answer_name(verified, format), media_type=_MEDIA[format], background=away)


def _verify_page(request: Request[Actor, Visit, Any], settings: Settings, *, purpose: str, error: str) -> Response[str]:
    policy = settings.verification
    return show(
        request, "verify.html", status=422 if error else 200, purpose=purpose, error=error,
        columns=(NAME_HEADERS[0], NUMBER_HEADERS[0]), most=policy.rows_a_request, most_a_day=policy.rows_a_day,
    )  # fmt: skip
