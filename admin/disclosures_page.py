"""信息去向: one person by their number, and everybody who received what of them; to read, to print, to take along."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from litestar import Controller, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.response import File

from admin.desk_forms import FORM, Asking, Form, choices_of, detail_of
from admin.downloads import CSV, XLSX
from admin.language import N_
from admin.pages import show
from admin.people_pages import PURPOSES
from hub.database import Database, new_uuid, utc_now
from hub.errors import BadRequest, HubError
from hub.people.purposes import NoPurpose, oversees
from hub.registry.permissions import Right
from hub.settings import Settings
from hub.sharing.disclosure_doors import LedgerAnswer, LedgerQuestion, NobodyNamed, answer_question
from hub.sharing.disclosure_lines import LedgerCover, LedgerForm, LedgerLine, lines_of, write_ledger
from mappings.catalogue import Catalogue

KINDS = {
    "page": N_("下发"),
    "snapshot": N_("全量"),
    "export": N_("导出文件"),
    "repair": N_("副本修补"),
    "list": N_("月度清单"),
    "look": N_("单人查阅"),
}
CHANGES = {"enter": N_("进入"), "update": N_("更正"), "leave": N_("移出"), "void": N_("作废")}
_CARE = N_("医疗照护单位的临床信息去向，请向该单位查询；这里不显示，也不计数。")
_SENTENCES: dict[type[HubError], str] = {
    NoPurpose: N_("请选择查阅目的；选“其他”或在区局查阅时，请用 4 至 200 个字写明理由，不要写号码。"),
    NobodyNamed: N_("请填写完整身份号码，或人员编号。"),
}
_RIGHT = {"right": Right.READ_DISCLOSURES}
_MOST_LINES = 500  # on the page; the file has all of them
_FIELDS = ("purpose", "reason", "id_no", "person_id", "since")


class DisclosureController(Controller):
    """/disclosures and /disclosures/file."""

    path = "/disclosures"

    @get(opt=_RIGHT, sync_to_thread=True)
    def ask(self, request: Asking) -> Response[str]:
        return _ledger_page(request, _asked_for({}))

    @post(opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def tell(
        self,
        request: Asking,
        database: NamedDependency[Database],
        audit_database: NamedDependency[Database | None],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
    ) -> Response[str]:
        asked = _asked_for(form)
        try:
            answer = answer_question(database, audit_database, settings, catalogue, request.user, _question(asked))
        except BadRequest as refused:
            return _ledger_page(request, asked, refused=refused)
        return _ledger_page(request, asked, answer, _lines(request, catalogue, answer))

    @post("/file", opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def take(
        self,
        request: Asking,
        database: NamedDependency[Database],
        audit_database: NamedDependency[Database | None],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
    ) -> File | Response[str]:
        asked = _asked_for(form)
        try:
            answer = answer_question(database, audit_database, settings, catalogue, request.user, _question(asked))
        except BadRequest as refused:
            return _ledger_page(request, asked, refused=refused)
        return _hand_out(request, settings, catalogue, answer, "csv" if form.get("form") == "csv" else "xlsx")


def _asked_for(form: dict[str, str]) -> dict[str, str]:
    return {name: form.get(name, "")[:200] for name in _FIELDS}


def _question(asked: dict[str, str]) -> LedgerQuestion:
    try:
        since = date.fromisoformat(asked["since"]) if asked["since"] else None
    except ValueError:
        raise BadRequest("日期应为 YYYY-MM-DD。 A date is YYYY-MM-DD.") from None
    return LedgerQuestion(**{**asked, "since": since})  # type: ignore[arg-type]


def _lines(request: Asking, catalogue: Catalogue, answer: LedgerAnswer) -> list[LedgerLine]:
    english = request.auth.language == "en"
    return [*lines_of(answer.ledger, catalogue, answer.organisations, answer.zone, english=english)]


def _ledger_page(
    request: Asking,
    asked: dict[str, str],
    answer: LedgerAnswer | None = None,
    lines: list[LedgerLine] | None = None,
    refused: HubError | None = None,
) -> Response[str]:
    """Form and ledger; what was asked for goes in the body, never in an address."""
    error = (_SENTENCES.get(type(refused)) or detail_of(refused, request.auth)) if refused else ""
    page: dict[str, Any] = {"asked": asked, "answer": answer, "error": error, "care": _CARE}
    return show(
        request, "disclosures.html", status=refused.status if refused else 200, lines=(lines or [])[:_MOST_LINES],
        count=len(lines or ()), kinds=KINDS, changes=CHANGES, purposes=choices_of(PURPOSES, request.auth),
        purpose_words=PURPOSES, must_explain=oversees(request.user), **page,
    )  # fmt: skip


def _hand_out(
    request: Asking, settings: Settings, catalogue: Catalogue, answer: LedgerAnswer, form: LedgerForm
) -> File:
    """The ledger as a file, gone from the hub's disk once it is sent."""
    actor, now = request.user, utc_now().astimezone(answer.zone)
    said = " ".join(each for each in (PURPOSES[answer.purpose.code], answer.purpose.text) if each)
    cover = LedgerCover(
        organisation=answer.organisations.get(actor.organisation, actor.organisation), login=actor.name, made_at=now,
        purpose=said,
    )  # fmt: skip
    path = settings.files / "tmp" / f"disclosures-{new_uuid()}"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [*lines_of(answer.ledger, catalogue, answer.organisations, answer.zone)]
    write_ledger(path, form, answer.ledger, lines, cover)
    away = BackgroundTask(Path.unlink, path, missing_ok=True)
    name, media = f"disclosures-{now:%Y%m%d-%H%M}.{form}", CSV if form == "csv" else XLSX
    return File(path, filename=name, media_type=media, background=away)
