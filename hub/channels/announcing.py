"""The other side is told that its slice has moved; the same message, by the standard's timetable, until it is heard."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from adapters.channels import webhook
from adapters.outbound import CallFailed, CallRefused
from hub.channels.declarations import Webhook, caller
from hub.channels.run import ChannelFailed, Ran, Tools, reader
from hub.channels.state import State, feed_head, keep_cursor
from hub.database import new_uuid, utc_now
from hub.registry.subscriptions import load_for_pull


def announce(tools: Tools, name: str, channel: Webhook, state: State) -> Ran:
    """Send what is pending, or a new message if the feed has moved. It is kept before it is sent: its id never changes."""
    head = _feed_head(tools, name, channel)
    pending = state.cursor.get("pending") or _new_message(state, head)
    if pending is None:
        return Ran(spoke=False)
    keep_cursor(tools.database, name, pending={**pending, "attempt": pending["attempt"] + 1})
    told = _tell(tools, channel, pending)
    if told.heard or told.status == webhook.GONE or pending["attempt"] >= len(webhook.RETRY_SECONDS):
        keep_cursor(tools.database, name, pending=None, announced=pending["seq"])
    if not told.heard:
        raise _failure(told, pending["attempt"])
    return Ran(taken=1)


def _feed_head(tools: Tools, name: str, channel: Webhook) -> int:
    """Who may no longer pull the slice is not told of it either."""
    with tools.database.begin() as connection:
        actor = reader(connection, name, channel.organisation)
        load_for_pull(connection, actor, tools.catalogue, channel.subscription, date.today())
        return feed_head(connection)


def _new_message(state: State, head: int) -> dict[str, Any] | None:
    """None while nothing has happened."""
    if head == state.cursor.get("announced", 0):
        return None
    return {"id": f"msg_{new_uuid().hex}", "seq": head, "at": utc_now().isoformat(), "attempt": 0}


def _tell(tools: Tools, channel: Webhook, pending: dict[str, Any]) -> webhook.Told:
    """No answer in time is a failure like any other; an address that may not be called is for a person to see."""
    at = datetime.fromisoformat(pending["at"])
    message = webhook.reached(pending["id"], channel.subscription, pending["seq"], at)
    outbound = caller(tools.settings, channel, resolve=tools.resolve, seconds=channel.seconds, largest_answer=65_536)
    try:
        return webhook.tell(outbound, channel.url, message, tools.keyring.sign, utc_now())
    except CallRefused as refused:
        raise ChannelFailed(str(refused), alarm=True) from None
    except CallFailed:
        return webhook.Told(status=0)


def _failure(told: webhook.Told, attempt: int) -> ChannelFailed:
    if told.status == webhook.GONE:
        return ChannelFailed("HTTP 410", alarm=True, disable=True)
    if attempt >= len(webhook.RETRY_SECONDS):
        return ChannelFailed(f"HTTP {told.status}: 已放弃此通知 this message is given up", alarm=True)
    return ChannelFailed(f"HTTP {told.status or '-'}", pause=max(webhook.RETRY_SECONDS[attempt], told.retry_after or 0))
