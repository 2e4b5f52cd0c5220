"""The bureau opens, closes and reminds: each with what it will do counted beforehand, closing with the month typed."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Connection

from admin.desk_forms import FORM, Form
from admin.lists.answering import Door
from admin.pages import go, show
from admin.refused_words import told_of
from hub.casework.round_progress import progress
from hub.casework.rounds import count_new_changes, load_round, refuse_opening
from hub.database import utc_now
from hub.decisions.round_orders import Order, give_order, wait_for_order
from hub.errors import BadRequest, Conflict, HubError
from hub.registry import month_calendar
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings

_MANAGE = {"right": Right.MANAGE_ROUND}
_PATIENCE_SECONDS = 3.0


class RoundOrderController(Controller):
    """/rounds/{month}/open, close, remind."""

    path = "/rounds/{month:str}"

    @get("/open", opt=_MANAGE, sync_to_thread=True)
    def ask_opening(self, door: NamedDependency[Door], month: FromPath[str]) -> Response[str]:
        return _opening_page(door, month)

    @post("/open", opt=_MANAGE, dependencies=FORM, status_code=200, sync_to_thread=True)
    def open_month(self, door: NamedDependency[Door], form: Form, month: FromPath[str]) -> Response[Any]:
        try:
            done = put_order(door, Order(what="open", month=month))
        except (BadRequest, Conflict) as refused:
            return _opening_page(door, month, refused)
        return go(door.request, f"/rounds/{month}?done=open" if done else "/rounds")

    @get("/close", opt=_MANAGE, sync_to_thread=True)
    def ask_closing(self, door: NamedDependency[Door], month: FromPath[str]) -> Response[str]:
        return _closing_page(door, month)

    @post("/close", opt=_MANAGE, dependencies=FORM, status_code=200, sync_to_thread=True)
    def close_month(self, door: NamedDependency[Door], form: Form, month: FromPath[str]) -> Response[Any]:
        try:
            refuse_untyped(form, month)
            put_order(door, Order(what="close", month=month, reason=form.get("reason", "")))
        except (BadRequest, Conflict) as refused:
            return _closing_page(door, month, refused, form)
        return go(door.request, f"/rounds/{month}?done=close")

    @post("/remind", opt=_MANAGE, dependencies=FORM, status_code=200, sync_to_thread=True)
    def remind(self, door: NamedDependency[Door], form: Form, month: FromPath[str]) -> Response[Any]:
        """Every town with open lines, or the one whose button it was."""
        try:
            put_order(door, Order(what="remind", month=month, town=form.get("town", "")[:12]))
        except Conflict:
            return go(door.request, f"/rounds/{month}?done=nobody")
        return go(door.request, f"/rounds/{month}?done=remind")


def put_order(door: Door, order: Order) -> bool:
    """Put it to the worker and wait a moment, so that the next page shows what came of it."""
    with door.database.begin(reach_of(door.actor)) as connection:
        job = give_order(connection, door.settings, door.actor, order, utc_now())
    return wait_for_order(door.database, job, _PATIENCE_SECONDS)


def refuse_untyped(form: dict[str, str], month: str) -> None:
    if form.get("confirmation", "").strip() != month:
        raise BadRequest(f"请照样输入月份 {month}。 Type the month exactly as it is: {month}.", confirmation="")


def _opening_page(door: Door, month: str, refused: HubError | None = None) -> Response[str]:
    month_calendar.read_month(month)
    with door.database.begin(reach_of(door.actor)) as connection:
        why = refused or _why_not_open(connection, door.settings, door.actor, month)
        changes = count_new_changes(connection)
    return show(
        door.request,
        "round_open.html",
        status=refused.status if refused else 200,
        month=month,
        changes=changes,
        due_on=month_calendar.due_on(month, door.settings.rounds),
        error=told_of(why, door.request.auth) if why else "",
        problem=why.problem if why else "",
    )


def _why_not_open(connection: Connection, settings: Settings, actor: Actor, month: str) -> HubError | None:
    try:
        refuse_opening(connection, settings, actor, month, utc_now())
    except (BadRequest, Conflict) as refused:
        return refused
    return None


def _closing_page(
    door: Door, month: str, refused: HubError | None = None, given: dict[str, str] | None = None
) -> Response[str]:
    """Who has how much open: what would stay open if the month were closed now."""
    with door.database.begin(reach_of(door.actor)) as connection:
        its = load_round(connection, month)
        towns = progress(connection, door.actor, month, door.settings.time_zone)
    unfinished = sorted((one for one in towns if one.tally.open), key=lambda one: -one.tally.open)
    field = next((name for name in ("confirmation", "reason") if refused and name in refused.facts), "")
    return show(
        door.request,
        "round_close.html",
        status=refused.status if refused else 200,
        its=its,
        unfinished=unfinished,
        still_open=sum(one.tally.open for one in unfinished),
        towns=len(towns),
        error=told_of(refused, door.request.auth) if refused else "",
        field=field,
        given=given or {},
        early=utc_now().date() <= its.due_on,
    )
