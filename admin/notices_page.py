"""What a unit was told, read and ticked off; whom it wants told by mail and short message."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.desk_forms import FORM, Asking, Field, Form, detail_of, field_of, gaps, typed
from admin.language import N_
from admin.lists.answering import Door, Fetched, Source, answer_list, id_of, page_of
from admin.lists.asked import Asked, asked_of
from admin.lists.notices import NOTICES, Told
from admin.navigation import pages_of
from admin.pages import go, show
from hub.casework.contacts import KEEPERS, add_contact, list_contacts, remove_contact
from hub.casework.notice_words import wording_of
from hub.casework.notices import MARKERS, READERS, Notice, list_notices, mark_read
from hub.database import Database
from hub.errors import BadRequest, Conflict
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from hub.settings import Settings

_READ, _MARK, _KEEP = {"right": READERS}, {"right": MARKERS}, {"right": KEEPERS}
_FIELDS = (
    Field(name="name", title=N_("姓名"), longest=40),
    Field(name="mail", title=N_("邮箱"), longest=200, required=False),
    Field(name="phone", title=N_("手机号"), hint=N_("短信只写件数和日期，不含个人信息。"), longest=16, required=False),
)
_DONE = {"added": N_("已登记，从下一条提醒起发送。"), "removed": N_("已移除。")}


class NoticeController(Controller):
    """/notices."""

    path = "/notices"

    @get("/", opt=_READ, sync_to_thread=True)
    def read(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(NOTICES, door.query)
        may_mark = any(door.actor.may(right) for right in MARKERS)
        may_keep = any(door.actor.may(right) for right in KEEPERS)
        source = _source(door.actor, asked)
        return answer_list(door, asked, source, "notices.html", may_mark=may_mark, may_keep=may_keep)

    @post("/read", opt=_MARK, dependencies=FORM, status_code=200, sync_to_thread=True)
    def mark(self, request: Asking, database: NamedDependency[Database], form: Form) -> Response[Any]:
        with database.begin(reach_of(request.user)) as connection:
            mark_read(connection, request.user)
        return go(request, "/notices")

    @post("/{notice_id:uuid}/read", opt=_MARK, dependencies=FORM, status_code=200, sync_to_thread=True)
    def mark_one(
        self, request: Asking, database: NamedDependency[Database], form: Form, notice_id: FromPath[UUID]
    ) -> Response[Any]:
        with database.begin(reach_of(request.user)) as connection:
            mark_read(connection, request.user, notice_id)
        return go(request, "/notices")


class ContactController(Controller):
    """/contacts."""

    path = "/contacts"

    @get("/", opt=_KEEP, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        done: FromQuery[str] = "",
    ) -> Response[str]:
        return _show_contacts(request, database, settings, notice=_DONE.get(done, ""))

    @post("/", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def add(
        self, request: Asking, database: NamedDependency[Database], settings: NamedDependency[Settings], form: Form
    ) -> Response[Any]:
        given = typed(_FIELDS, form)
        if errors := gaps(_FIELDS, given):
            return _show_contacts(request, database, settings, given=given, errors=errors)
        try:
            with database.begin(reach_of(request.user)) as connection:
                add_contact(connection, request.user, **given)
        except (BadRequest, Conflict) as wrong:
            errors = {field_of(wrong, [field.name for field in _FIELDS]): detail_of(wrong, request.auth)}
            return _show_contacts(request, database, settings, given=given, errors=errors)
        return go(request, "/contacts?done=added")

    @post("/{contact_id:uuid}/remove", opt=_KEEP, dependencies=FORM, status_code=200, sync_to_thread=True)
    def remove(
        self, request: Asking, database: NamedDependency[Database], form: Form, contact_id: FromPath[UUID]
    ) -> Response[Any]:
        with database.begin(reach_of(request.user)) as connection:
            remove_contact(connection, request.user, contact_id)
        return go(request, "/contacts?done=removed")


def _source(actor: Actor, asked: Asked) -> Source:
    def rows(connection: Connection, before: str, size: int) -> Fetched:
        place = id_of(before) if before else None
        found = list_notices(connection, actor, unread=not asked["all"], before=place, limit=size + 1, sort=asked.order)
        page = page_of(found, size, lambda one: str(one.notice_id))
        return Fetched(rows=[_told(actor, one) for one in page.rows], more=page.more)

    return Source(rows=rows)


def _told(actor: Actor, one: Notice) -> Told:
    """With where its work is done, if that is a page of this account's."""
    words = wording_of(one.kind, one.facts)
    is_theirs = any(words.page.startswith(page.path) for page in pages_of(actor))
    return Told(notice=one, words=words, page=words.page if is_theirs else "")


def _show_contacts(
    request: Asking,
    database: Database,
    settings: Settings,
    *,
    given: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    notice: str = "",
) -> Response[str]:
    with database.begin(reach_of(request.user)) as connection:
        contacts = list_contacts(connection, request.user)
    answer = show(
        request, "contacts.html", status=422 if errors else 200, contacts=contacts, fields=_FIELDS,
        given=given or dict.fromkeys((field.name for field in _FIELDS), ""), errors=errors or {}, notice=notice,
        titles={field.name: field.title for field in _FIELDS},
        by_mail=bool(settings.mail.host), by_sms=bool(settings.sms.url),
    )  # fmt: skip
    answer.headers["Cache-Control"] = "no-store"
    return answer
