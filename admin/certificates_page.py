"""完整性证明: those issued, one to print with its four figures and what is open, and issuing one."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Connection

from admin.desk_forms import FORM, Asking, Choice, Field, Form, detail_of, field_of, gaps, typed
from admin.language import N_
from admin.lists.answering import Door, Fetched, Source, answer_list, page_of
from admin.lists.asked import Asked, asked_of, fresh
from admin.lists.declared import Words, named_options
from admin.lists.sharing import CERTIFICATES
from admin.lists.shown import Options
from admin.pages import go, show
from hub.database import Database
from hub.errors import BadRequest
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.certificates import (
    WantedCertificates,
    issue_certificate,
    list_certificates,
    list_certified,
    list_issuable,
    load_certificate,
)

_READ = {"right": Right.READ_SHARING}
_CLOSED = {"": None, "yes": True, "no": False}
WHYS = {
    "never_delivered": N_("尚未下发：请继续读取变动；更换版本后请先取全量"),
    "not_fetched": N_("已下发，尚未取走：请用上次的游标继续读取"),
    "not_acknowledged": N_("已取走，尚未签收：请核对摘要后签收"),
    "mismatch": N_("签收摘要不一致：请重新取这些编号，核对后再签收"),
    "differs": N_("下发数与变动日志不一致：请联系枢纽运维"),
    "broken": N_("下发记录不连续：请联系枢纽运维"),
}


class CertificateController(Controller):
    """/certificates."""

    path = "/certificates"

    @get("/", opt=_READ, sync_to_thread=True)
    def read_all(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(CERTIFICATES, door.query)
        return _show_list(door, asked)

    @post("/", opt=_READ, dependencies=FORM, status_code=200, sync_to_thread=True)
    def issue(self, door: NamedDependency[Door], keyring: NamedDependency[Keyring], form: Form) -> Response[Any]:
        fields = _fields(())
        given = typed(fields, form)
        if errors := gaps(fields, given):
            return _show_list(door, fresh(CERTIFICATES), given, errors)
        context = FeedContext(door.catalogue, keyring, door.settings.page_window)
        try:
            with door.database.begin(reach_of(door.actor)) as connection:
                one = issue_certificate(
                    connection, door.actor, context, given["code"], given["period"], door.settings.time_zone
                )
        except BadRequest as wrong:
            errors = {field_of(wrong, [field.name for field in fields]): detail_of(wrong, door.request.auth)}
            return _show_list(door, fresh(CERTIFICATES), given, errors)
        return go(door.request, f"/certificates/{one.certificate_no}")

    @get("/{certificate_no:str}", opt=_READ, sync_to_thread=True)
    def read_one(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        certificate_no: FromPath[str],
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            one = load_certificate(connection, request.user, certificate_no)
            known = {each.code: each for each in list_organisations(connection, settings.district)}
        return show(request, "certificate.html", one=one, organisations=known, whys=WHYS)

    @get("/{certificate_no:str}/file", opt=_READ, sync_to_thread=True)
    def take(
        self, request: Asking, database: NamedDependency[Database], certificate_no: FromPath[str]
    ) -> Response[bytes]:
        with database.begin(reach_of(request.user)) as connection:
            one = load_certificate(connection, request.user, certificate_no)
        name = quote(f"{one.certificate_no}.json")
        content = json.dumps(one.content, ensure_ascii=False, indent=1).encode()
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return Response(content, media_type="application/json", headers=headers)


def _fields(choices: tuple[Choice, ...]) -> tuple[Field, ...]:
    hint = N_("月份写作 2026-11；或下发编号，如 1..500。")
    return (
        Field(name="code", title=N_("订阅"), kind="choice", choices=choices),
        Field(name="period", title=N_("期间"), hint=hint, longest=40),
    )


def _show_list(
    door: Door, asked: Asked, given: dict[str, str] | None = None, errors: dict[str, str] | None = None
) -> Response[Any]:
    actor = door.request.user

    def rows(connection: Connection, after: str, size: int) -> Fetched:
        wanted = WantedCertificates(
            code=asked["subscription"] or None, period=asked["period"] or None, closed=_CLOSED[asked["closed"]],
            sort=asked.order, after=after or None,
        )  # fmt: skip
        return page_of(list_certificates(connection, actor, wanted, size + 1), size, lambda one: one.certificate_no)

    def beside(connection: Connection) -> dict[str, Any]:
        mine = list_issuable(connection, actor)
        return {"fields": _fields(tuple(Choice(one.code, f"{one.code} {one.title}") for one in mine))}

    def options(connection: Connection, words: Words) -> Options:
        codes = {*list_certified(connection, actor), *filter(None, (asked["subscription"],))}
        return {"subscription": named_options(sorted(codes), str)}

    titles = {field.name: field.title for field in _fields(())}
    return answer_list(
        door, asked, Source(rows=rows, options=options, beside=beside), "certificates.html",
        status=422 if errors else 200, titles=titles, errors=errors or {},
        given=given or {"code": asked["subscription"], "period": ""},
    )  # fmt: skip
