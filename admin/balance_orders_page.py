"""The bureau's acts on a month's account: drawn anew, differences of a town explained, closed when it balances."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.balance_page import STATES
from admin.desk_forms import FORM, Form
from admin.language import N_
from admin.lists.answering import Door
from admin.pages import go, show
from admin.refused_words import told_of
from admin.round_orders_page import put_order, refuse_untyped
from admin.rounds_page import ORDER_WORDS
from hub.casework.balance_reading import Account, area_named_by_code, list_months, read_account
from hub.decisions.round_orders import OF_ACCOUNTS, Order, newest_order
from hub.errors import BadRequest, Conflict, HubError, NotFound
from hub.registry import month_calendar
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of

_MANAGE = {"right": Right.MANAGE_ROUND}
_DONE = {
    "draw": N_("已重新生成。"),
    "seal": N_("已封账。"),
    "excuse": N_("已说明，差异通过。"),
    "take-back": N_("已收回说明。"),
}


class BalanceOrderController(Controller):
    """/balance/{month}/orders."""

    path = "/balance/{month:str}/orders"

    @get("/", opt=_MANAGE, sync_to_thread=True)
    def read(self, door: NamedDependency[Door], month: FromPath[str], done: FromQuery[str] = "") -> Response[str]:
        return _desk(door, month, notice=_DONE.get(done, ""))

    @post("/", opt=_MANAGE, dependencies=FORM, status_code=200, sync_to_thread=True)
    def give(self, door: NamedDependency[Door], form: Form, month: FromPath[str]) -> Response[Any]:
        try:
            with door.database.begin(reach_of(door.actor)) as connection:
                order = _order_in(connection, door.actor, form, month)
            done = put_order(door, order)
        except (BadRequest, Conflict, NotFound) as refused:
            return _desk(door, month, refused, form)
        return go(door.request, f"/balance/{month}/orders" + (f"?done={order.what}" if done else ""))


def _order_in(connection: Connection, actor: Actor, form: dict[str, str], month: str) -> Order:
    """What was pressed; a town is named by its code."""
    what = form.get("what", "")
    if what == "draw":
        return Order(what="draw", month=month)
    if what == "seal":
        refuse_untyped(form, month)
        return Order(what="seal", month=month)
    if what == "excuse":
        area = area_named_by_code(load_area_index(connection), actor, form.get("town", ""))
        return Order(what="excuse", month=month, area=area, reason=form.get("reason", ""))
    raise BadRequest("没有这种办理。 There is no such act.")


def _desk(
    door: Door, month: str, refused: HubError | None = None, given: dict[str, str] | None = None, notice: str = ""
) -> Response[str]:
    month_calendar.read_month(month)
    with door.database.begin(reach_of(door.actor)) as connection:
        account = _account(connection, door.actor, month)
        order = newest_order(connection, month, OF_ACCOUNTS)
    field = next((name for name in ("confirmation", "reason") if refused and name in refused.facts), "")
    return show(
        door.request,
        "balance_orders.html",
        status=refused.status if refused else 200,
        month=month,
        account=account,
        differing=[line for line in account.lines if line.kind == "town" and line.unexplained] if account else [],
        states=STATES,
        order=order,
        orders=ORDER_WORDS,
        notice=notice,
        error=told_of(refused, door.request.auth) if refused else "",
        field=field,
        given=given or {},
    )


def _account(connection: Connection, actor: Actor, month: str) -> Account | None:
    """The month as it was last drawn; none before that."""
    if month not in list_months(connection, actor):
        return None
    return read_account(connection, actor, load_area_index(connection), month)
