"""The first page: what is due, what came back, what went wrong, and the desk's main work one click away."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from sqlalchemy import Connection

from admin.desk_forms import Asking
from admin.inbox_words import SECTIONS, tell
from admin.language import N_
from admin.pages import go, show
from admin.words import ROLES
from hub.casework.rounds import list_rounds
from hub.database import Database, utc_now
from hub.desks.inbox import read_inbox
from hub.exchange.listing import Wanted, list_submissions
from hub.registry.accounts import load_account
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_RECENT = 6
# the first that one may do is the desk's main work
_MAIN_WORK = (
    (Right.READ_CHANGE_LIST, "/rounds", N_("打开本月核对")),
    (Right.SUBMIT, "/submissions/new", N_("上传报送")),
    (Right.READ_ALL_SUBMISSIONS, "/board", N_("月度总览")),
    (Right.READ_MEASURES, "/board", N_("月度总览")),
    (Right.ANSWER_SLICE, "/licences", N_("订阅申请")),
    (Right.MANAGE_ACCOUNTS, "/access-requests", N_("权限申请")),
    (Right.ASK_ACCESS, "/accounts", N_("账号")),
    (Right.READ_AUDIT, "/audit", N_("审计查询")),
)


class InboxController(Controller):
    """GET /."""

    @get("/", opt={"right": Right.SIGNED_IN}, sync_to_thread=True)
    def home(
        self,
        request: Asking,
        database: NamedDependency[Database],
        audit_database: NamedDependency[Database | None],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
    ) -> Response[Any]:
        if request.auth.session is not None and request.auth.session.must_change_password:
            return go(request, "/password")
        actor = request.user
        with database.begin(reach_of(actor)) as connection:
            account = load_account(connection, actor.name)
            if account.must_enrol(settings.accounts):
                return go(request, "/account/second-factor")
            page = _read_page(connection, settings, catalogue, request, audit_database)
        roles = [ROLES[role] for role in account.roles if role in ROLES]
        return show(request, "home.html", account=account, roles=roles, sections=SECTIONS, **page)


def _read_page(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    request: Asking,
    audit_database: Database | None,
) -> dict[str, Any]:
    """The inbox is read last: it widens the transaction."""
    actor, now = request.user, utc_now()
    known = {one.code: one for one in list_organisations(connection, settings.district)}
    page = {"organisations": known, "record_types": catalogue.record_types, "main": _main_work(connection, actor)}
    page |= {"recent": _recent(connection, actor), "now": now}
    looks_at_seals = audit_database is not None and actor.may(Right.READ_AUDIT)
    with audit_database.begin() if audit_database and looks_at_seals else nullcontext() as seals:
        inbox = read_inbox(connection, settings, catalogue, actor, now, seals)
    told = {part: [tell(line, known, request.auth.language) for line in getattr(inbox, part)] for part in SECTIONS}
    return page | {"told": told, "is_empty": inbox.is_empty}


def _recent(connection: Connection, actor: Actor) -> Any:
    may_read = actor.may(Right.READ_SUBMISSION) or actor.may(Right.READ_ALL_SUBMISSIONS)
    return list_submissions(connection, actor, Wanted(), limit=_RECENT) if may_read else []


def _main_work(connection: Connection, actor: Actor) -> tuple[str, str] | None:
    right, path, title = next((one for one in _MAIN_WORK if actor.may(one[0])), (None, "", ""))
    if right == Right.READ_CHANGE_LIST and (rounds := list_rounds(connection)):
        path = f"/rounds/{rounds[0].month}/items"
    return (path, title) if right else None
