"""订阅申请: the list with its clocks, one request with its preview and answers, and everything that is done with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.catalogue_words import MODES
from admin.desk_forms import FORM, Asking, Form, detail_of, field_of
from admin.licence_conditions import told_values
from admin.licence_words import (
    ANSWER_STATES,
    ANSWERS,
    EVENTS,
    LEVELS,
    LICENCE_DONE,
    REQUEST_KINDS,
    REQUEST_STATES,
    SHARED_HOW,
    SUBSCRIPTION_STATES,
)
from admin.lists.answering import Door, Fetched, Source, answer_list, id_of, page_of
from admin.lists.asked import Asked, asked_of
from admin.lists.sharing import LICENCES
from admin.pages import go, show
from admin.subscriptions_page import OP_WORDS
from hub.database import Database, utc_now
from hub.errors import BadRequest, ClinicalBoundary, Conflict, HubError, NotAllowed, NotFound
from hub.refusals import note_refusal
from hub.registry.areas import load_area_index
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.answers import answer_request, ask_extension, consent_to_extension, remind_providers, send_back
from hub.sharing.preview import Preview, preview
from hub.sharing.request_list import ShownRequest, list_requests, show_request
from hub.sharing.requests import (
    LicenceRequest,
    escalate_request,
    find_request,
    submit_request,
    withdraw_request,
)
from hub.sharing.subscription_life import ask_to_stop, events_of, find_subscription, work_subscription
from mappings.catalogue import Catalogue

_READ = {"right": Right.READ_SHARING}
_WORK = {"right": (Right.ASK_SLICE, Right.ANSWER_SLICE, Right.OVERSEE_SHARING)}
_WORDS: dict[str, Any] = {
    "kinds": REQUEST_KINDS, "states": REQUEST_STATES, "answer_states": ANSWER_STATES, "answers": ANSWERS,
    "sharings": SHARED_HOW, "levels": LEVELS, "modes": MODES, "events": EVENTS,
    "subscription_states": SUBSCRIPTION_STATES, "ops": OP_WORDS,
}  # fmt: skip


class LicenceController(Controller):
    """/licences."""

    path = "/licences"

    @get("/", opt=_READ, sync_to_thread=True)
    def read_all(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(LICENCES, door.query)
        return answer_list(door, asked, _source(door.actor, door.settings, asked), "licences.html")

    @get("/{request_id:uuid}", opt=_READ, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        request_id: FromPath[UUID],
        done: FromQuery[str] = "",
        previewed: FromQuery[bool] = False,
    ) -> Response[str]:
        notice = LICENCE_DONE.get(done, "")
        return _show_one(request, database, settings, catalogue, request_id, notice=notice, previewed=previewed)

    @post("/{request_id:uuid}/{act:str}", opt=_WORK, dependencies=FORM, status_code=200, sync_to_thread=True)
    def work(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        request_id: FromPath[UUID],
        act: FromPath[str],
    ) -> Response[Any]:
        try:
            with database.begin(reach_of(request.user)) as connection:
                _act(connection, settings, catalogue, request.user, request_id, act, form)
                state = find_request(connection, request.user, request_id).state
        except (BadRequest, Conflict, NotAllowed, ClinicalBoundary) as refused:
            return _show_refused(request, database, settings, catalogue, request_id, act, form, refused)
        return go(request, f"/licences/{request_id}?done={state if act == 'submit' else act}")


# ---- what is done ----


def _source(actor: Actor, settings: Settings, asked: Asked) -> Source:
    def rows(connection: Connection, before: str, size: int) -> Fetched:
        last = find_request(connection, actor, id_of(before)) if before else None
        place = (last.asked_at, last.request_id) if last else None
        found = list_requests(
            connection, settings, actor, utc_now(), state=asked["state"], before=place, limit=size + 1
        )
        return page_of(found, size, lambda one: str(one.request.request_id))

    return Source(rows=rows)


def _act(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    request_id: UUID,
    act: str,
    form: dict[str, str],
) -> None:
    reason, provider, now = form.get("reason", ""), form.get("provider", ""), utc_now()
    acts: dict[str, Callable[[], object]] = {
        "submit": lambda: submit_request(connection, settings, catalogue, actor, request_id, now),
        "withdraw": lambda: withdraw_request(connection, actor, request_id, now),
        "answer": lambda: answer_request(
            connection, settings, catalogue, actor, request_id, form.get("outcome", ""), reason, now  # type: ignore[arg-type]
        ),
        "extension": lambda: ask_extension(connection, settings, actor, request_id, _number(form, "days"), reason, now),
        "consent": lambda: consent_to_extension(connection, settings, actor, request_id, provider, now),
        "remind": lambda: remind_providers(connection, settings, actor, request_id, now),
        "escalate": lambda: escalate_request(connection, actor, request_id, _number(form, "level"), reason),
        "send-back": lambda: send_back(connection, settings, actor, request_id, provider, reason, now),
        "ask-stop": lambda: ask_to_stop(connection, actor, _code_of(connection, actor, request_id), reason),
    }  # fmt: skip
    for life in ("suspend", "resume", "end"):
        acts[life] = lambda life=life: work_subscription(  # type: ignore[misc]
            connection, actor, _code_of(connection, actor, request_id), life, reason
        )
    if act not in acts:
        raise NotFound(act[:40])
    acts[act]()


def _code_of(connection: Connection, actor: Actor, request_id: UUID) -> str:
    return find_request(connection, actor, request_id).subscription_code


def _number(form: dict[str, str], name: str) -> int:
    try:
        return int(form.get(name, ""))
    except ValueError:
        raise BadRequest("请填写数字。 Give a number.", **{name: ""}) from None


# ---- one request, shown ----


def _show_refused(
    request: Asking,
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    request_id: UUID,
    act: str,
    form: dict[str, str],
    refused: HubError,
) -> Response[str]:
    """The page again, with what was typed, and why it was not done."""
    field = field_of(refused, ("reason", "days", "level", "outcome", "provider"))
    page = _show_one(
        request, database, settings, catalogue, request_id, status=refused.status, error=detail_of(refused, request.auth),
        failed=act, wrong=field, said=form.get("reason", "")[:500], outcome=form.get("outcome", "")[:20],
    )  # fmt: skip
    page.background = note_refusal(request, refused)
    return page


def _show_one(
    request: Asking,
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    request_id: UUID,
    *,
    status: int = 200,
    previewed: bool = False,
    **filled: str,
) -> Response[str]:
    actor = request.user
    with database.begin(reach_of(actor)) as connection:
        one = show_request(connection, settings, catalogue, actor, request_id, utc_now())
        known = {each.code: each for each in list_organisations(connection, settings.district)}
        life, areas = _life(connection, actor, one.request), load_area_index(connection)
    blank = {"notice": "", "error": "", "failed": "", "wrong": "", "said": "", "outcome": ""}
    seen = _preview(database, catalogue, actor, one) if previewed or "answer" in one.may else None
    page = {"one": one, "asked": one.request, "organisations": known, "types": catalogue.record_types, "preview": seen}
    page["told"] = partial(told_values, catalogue=catalogue, areas=areas, language=request.auth.language)
    return show(request, "licence.html", status=status, **page, **life, **_WORDS, **(blank | filled))


def _life(connection: Connection, actor: Actor, asked: LicenceRequest) -> dict[str, Any]:
    """The subscription a request led to, and what happened to it since."""
    if asked.state != "approved":
        return {"subscription": None, "life": []}
    try:
        known = find_subscription(connection, actor, asked.subscription_code)
    except NotFound:  # it was changed since, and this viewer provides nothing of it any more
        return {"subscription": None, "life": []}
    return {"subscription": known, "life": events_of(connection, known.subscription_id)}


def _preview(database: Database, catalogue: Catalogue, actor: Actor, one: ShownRequest) -> Preview | None:
    """In a transaction of its own: what it opens is closed with it. None where there is nothing to preview."""
    asked = one.request
    replacing = asked.subscription_code if asked.kind != "new" or asked.state == "approved" else ""
    try:
        with database.begin(reach_of(actor)) as connection:
            return preview(
                connection, catalogue, asked.wanted.definition, asked.organisation, actor, replacing=replacing
            )
    except (BadRequest, NotAllowed, ClinicalBoundary):
        return None
