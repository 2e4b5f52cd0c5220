"""Who one person is: the identifiers that find them, splitting them in two, and what was decided before."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from admin.desk_forms import FORM, Asking, Form, detail_of
from admin.language import N_
from admin.pages import go, show
from hub.database import Database
from hub.decisions.persons import ask_split, ask_undo, list_decisions, list_identifiers
from hub.errors import BadRequest, Conflict, HubError
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings

KINDS = {"id_no": N_("公民身份号码"), "birth_cert": N_("出生医学证明"), "row": N_("一条没有号码的记录")}
DECISIONS = {"merge": N_("合并"), "split": N_("拆分"), "apart": N_("不是同一人"), "undo": N_("撤回认定")}
STATES = {"asked": N_("正在办理"), "done": N_("已生效"), "refused": N_("未能办理"), "undone": N_("已撤回")}
_RIGHT = {"right": Right.JUDGE_PERSON}


class IdentityController(Controller):
    """/people/{id}/identity."""

    path = "/people/{person_id:uuid}/identity"

    @get(opt=_RIGHT, sync_to_thread=True)
    def ask(self, request: Asking, database: NamedDependency[Database], person_id: FromPath[UUID]) -> Response[Any]:
        return _identity_page(request, database, person_id)

    @post("/split", opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def split(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        form: Form,
        person_id: FromPath[UUID],
    ) -> Response[Any]:
        ticked = {int(name[1:]): form[name] for name in form if name[:1] == "i" and name[1:].isdecimal()}
        reason = form.get("reason", "")
        try:
            ask_split(database, settings, request.user, person_id, list(ticked), reason, shown=ticked)
        except (BadRequest, Conflict) as refused:
            return _identity_page(request, database, person_id, refused)
        return go(request, f"/people/{person_id}/identity")

    @post("/undo", opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def undo(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        form: Form,
        person_id: FromPath[UUID],
    ) -> Response[Any]:
        try:
            ask_undo(database, settings, request.user, _decision_named(form), form.get("reason", ""))
        except (BadRequest, Conflict) as refused:
            return _identity_page(request, database, person_id, refused)
        return go(request, f"/people/{person_id}/identity")


def _decision_named(form: dict[str, str]) -> UUID:
    try:
        return UUID(form.get("decision", ""))
    except ValueError:
        raise BadRequest("请选择一项决定。 Choose a decision.") from None


def _identity_page(
    request: Request[Any, Any, Any], database: Database, person_id: UUID, refused: HubError | None = None
) -> Response[str]:
    with database.begin(reach_of(request.user)) as connection:
        # Decisions first: one taken effect between the two reads must not be told beside the old identifiers.
        decided = list_decisions(connection, request.user, person_id)
        known = list_identifiers(connection, request.user, person_id)
    return show(
        request, "identity.html", status=refused.status if refused else 200, person_id=person_id, known=known,
        decided=decided, kinds=KINDS, decisions=DECISIONS, states=STATES,
        error=detail_of(refused, request.auth) if refused else "",
    )  # fmt: skip
