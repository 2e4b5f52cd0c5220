"""校核: what a unit has to answer and what it has asked, one challenge with what both sides say, and working it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.corrections_page import REACHED
from admin.desk_forms import FORM, Asking, Form
from admin.language import N_
from admin.lists.answering import Door, Fetched, Source, answer_list, id_of, page_of
from admin.lists.asked import Asked, asked_of
from admin.lists.challenges import CHALLENGE_KINDS, CHALLENGE_STATES, CHALLENGES, SIDES
from admin.lists.declared import Words
from admin.lists.sharing import OPERATIONS
from admin.lists.shown import Options
from admin.pages import go, show
from hub.casework.challenge_list import (
    WantedChallenges,
    count_by_source,
    list_challenges,
    place_of_challenge,
    read_challenge,
)
from hub.casework.challenges import BadAnswer, is_bureau, today
from hub.database import Database, utc_now
from hub.decisions.challenges import unmask_challenge, work_challenge
from hub.exchange.unmasking import BadReason
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.sharing.corrections_reading import told_of_challenge
from mappings.catalogue import Catalogue

_RIGHT = {"right": Right.WORK_CHALLENGE}
_PURPOSE_LIST, _PURPOSE_ONE = "challenges/screen", "challenge/screen"
_BAD_ANSWER = N_("请选择核实结果并写明情况（4 至 500 个字）。")
_BAD_REASON = N_("请用 4 至 200 个字说明理由，不要写身份号码、电话等号码。")
ANSWERS = {
    "corrected": N_("已更正"),
    "voided": N_("已作废"),
    "registered": N_("已登记"),
    "stands": N_("记录无误"),
}
_DONE = {
    "answer": N_("已答复，提出单位会看到。"),
    "close": N_("已办结。记录不再标为存疑。"),
    "insist": N_("已再次提出，答复期限重新计算。"),
    "withdraw": N_("已撤回。记录不再标为存疑。"),
}
_FOR_A_RECORD, _FOR_NOTHING = ("corrected", "voided", "stands"), ("registered", "stands")


class ChallengeController(Controller):
    """/challenges."""

    path = "/challenges"

    @get("/", opt=_RIGHT, sync_to_thread=True)
    def read_all(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(CHALLENGES, door.query)
        return answer_list(door, asked, _source(door, asked), "challenges.html", bureau=is_bureau(door.actor))

    @get("/{challenge_id:uuid}", opt=_RIGHT, sync_to_thread=True)
    def read(
        self,
        door: NamedDependency[Door],
        challenge_id: FromPath[UUID],
        done: FromQuery[str] = "",
    ) -> Response[str]:
        return _show_one(door, challenge_id, notice=_DONE.get(done, ""))

    @post("/{challenge_id:uuid}/{act:str}", opt=_RIGHT, dependencies=FORM, status_code=200, sync_to_thread=True)
    def work(
        self, door: NamedDependency[Door], form: Form, challenge_id: FromPath[UUID], act: FromPath[str]
    ) -> Response[Any]:
        outcome, text = form.get("answer", ""), form.get("text", "")
        try:
            work_challenge(door.database, door.settings, door.actor, challenge_id, act, outcome=outcome, text=text)
        except BadAnswer:
            return _show_one(
                door, challenge_id, status=422, error=_BAD_ANSWER, failed=act, said=text[:500], outcome=outcome
            )
        return go(door.request, f"/challenges/{challenge_id}?done={act}")

    @get("/{challenge_id:uuid}/unmask", opt={"right": Right.UNMASK}, sync_to_thread=False)
    def ask(self, request: Asking, challenge_id: FromPath[UUID]) -> Response[str]:
        return _show_unmasked(request)

    @post(
        "/{challenge_id:uuid}/unmask",
        opt={"right": Right.UNMASK},
        dependencies=FORM,
        status_code=200,
        sync_to_thread=True,
    )
    def unmask(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        challenge_id: FromPath[UUID],
    ) -> Response[str]:
        reason = form.get("reason", "")
        try:
            with database.begin(reach_of(request.user)) as connection:
                unmasked = unmask_challenge(connection, request.user, catalogue, challenge_id, reason)
        except BadReason:
            return _show_unmasked(request, status=422, error=_BAD_REASON, reason=reason[:200])
        return _show_unmasked(request, unmasked=unmasked)


_WORDS: dict[str, Any] = {"kinds": CHALLENGE_KINDS, "states": CHALLENGE_STATES, "sides": SIDES, "answers": ANSWERS}


def _source(door: Door, asked: Asked) -> Source:
    actor, catalogue, day = door.actor, door.catalogue, today(door.settings, utc_now())
    wanted = WantedChallenges(
        side=asked["side"],  # type: ignore[arg-type]
        state=asked["state"],  # type: ignore[arg-type]
        overdue_on=day if asked["overdue"] else None,
        escalated=bool(asked["escalated"]),
        sort=asked.order,
    )

    def rows(connection: Connection, before: str, size: int) -> Fetched:
        place = place_of_challenge(connection, actor, wanted, id_of(before)) if before else None
        found = list_challenges(
            connection, actor, catalogue, wanted, purpose=_PURPOSE_LIST, limit=size + 1, before=place
        )
        return page_of(found, size, lambda one: str(one.challenge_id))

    def options(connection: Connection, words: Words) -> Options:
        return {"side": []} if is_bureau(actor) else {}

    return Source(
        rows=rows,
        options=options,
        beside=lambda connection: {"counts": count_by_source(connection, actor, day), "today": day},
    )


def _show_one(
    door: Door,
    challenge_id: UUID,
    *,
    status: int = 200,
    **filled: str,
) -> Response[str]:
    actor = door.actor
    with door.database.begin(reach_of(actor)) as connection:
        shown = read_challenge(connection, actor, door.catalogue, challenge_id, purpose=_PURPOSE_ONE)
        known = {one.code: one for one in list_organisations(connection, door.settings.district)}
        told = told_of_challenge(connection, actor, door.catalogue, challenge_id)
    record_type = door.catalogue.record_types.get(shown.line.record_type)
    field = record_type.by_name.get(shown.line.field) if record_type else None
    choices = _FOR_NOTHING if shown.line.kind == "unreported" else _FOR_A_RECORD
    blank = {"notice": "", "error": "", "failed": "", "said": "", "outcome": ""}
    page: dict[str, Any] = {"one": shown, "record_type": record_type, "field": field, "organisations": known}
    page |= {"told": told, "operations": OPERATIONS, "reached": REACHED}
    page |= {"choices": choices, "today": today(door.settings, utc_now()), "bureau": is_bureau(actor)}
    return show(door.request, "challenge.html", status=status, **page, **_WORDS, **(blank | filled))


def _show_unmasked(request: Asking, *, status: int = 200, **filled: Any) -> Response[str]:
    answer = show(request, "unmask.html", status=status, **({"unmasked": None, "error": "", "reason": ""} | filled))
    answer.headers["Cache-Control"] = "no-store"
    return answer
