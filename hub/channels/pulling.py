"""A department's HTTP interface is read, its items renamed to the record type's fields, and sent in as one submission."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from adapters.channels.http_pull import Credentials, PullFailed, Source, fetch_token, place_in, pull
from adapters.outbound import CallFailed, CallRefused, Outbound
from hub import jobs
from hub.channels.declarations import HttpPull, Sign, caller
from hub.channels.run import ChannelFailed, Ran, Tools, sender
from hub.channels.secret_files import read_secret
from hub.channels.state import State, keep_cursor
from hub.database import utc_now

_LONGEST_SINCE = 200
Item = dict[str, Any]


def pull_rows(tools: Tools, name: str, channel: HttpPull, state: State) -> Ran:
    """One pull: all pages first, then the gate, then the place from which the next one asks."""
    begun = utc_now()
    try:
        outbound = caller(
            tools.settings, channel, resolve=tools.resolve,
            seconds=channel.page_seconds, largest_answer=channel.page_bytes,
        )  # fmt: skip
        items = list(pull(outbound, _source(channel, state), _headers(tools, channel.auth, outbound)))
    except CallRefused as refused:
        raise ChannelFailed(str(refused), alarm=True) from None
    except PullFailed as wrong:
        raise ChannelFailed(str(wrong), pause=wrong.retry_after) from None
    except CallFailed as wrong:
        raise ChannelFailed(str(wrong)) from None
    receipts = (_send(tools, name, channel, items, begun),) if items else ()
    if channel.since_parameter:
        keep_cursor(tools.database, name, since_value=_reached(tools, channel, state, items, begun))
    return Ran(taken=len(items), receipts=receipts)


def _source(channel: HttpPull, state: State) -> Source:
    since = state.cursor.get("since_value") or channel.since_first
    asked = {channel.since_parameter: since} if channel.since_parameter and since else {}
    same = {each: getattr(channel, each) for each in Source.__struct_fields__ if each != "parameters"}
    return Source(**same, parameters={**channel.parameters, **asked})


def _headers(tools: Tools, auth: Sign | None, outbound: Outbound) -> dict[str, str]:
    if auth is None:
        return {}
    secret = read_secret(tools.settings, auth.secret_file)
    if auth.kind == "header":
        return {auth.header: f"{auth.prefix}{secret}"}
    asked = Credentials(token_url=auth.token_url, client_id=auth.client_id, client_secret=secret, scope=auth.scope)
    return {"Authorization": f"Bearer {fetch_token(outbound, asked)}"}


def _send(tools: Tools, name: str, channel: HttpPull, items: list[Item], begun: datetime) -> str:
    month = begun.astimezone(ZoneInfo(tools.settings.time_zone)).strftime("%Y-%m")
    with tools.database.begin() as connection:
        actor = sender(connection, name, channel.organisation, "pull")
    return jobs.accept(
        tools.database,
        tools.settings,
        actor,
        stream=io.BytesIO(write_rows(channel.fields, items)),
        file_name=f"{name}.ndjson",
        record_type=channel.record_type,
        organisation=channel.organisation,
        period=month if channel.period == "current" else None,
        door="pull",
        catalogue=tools.catalogue,
    ).receipt_number


def write_rows(fields: dict[str, str], items: Iterable[Item]) -> bytes:
    """NDJSON under the record type's names, in the order declared: the same items give the same bytes."""
    rows = ({field: _plain(place_in(item, place), place) for place, field in fields.items()} for item in items)
    return msgspec.json.Encoder().encode_lines(rows)


def _plain(value: Any, place: str) -> Any:
    if isinstance(value, dict | list):
        raise ChannelFailed(f"fields: {place}: 不是单个值 not a single value")
    return value


def _reached(tools: Tools, channel: HttpPull, state: State, items: list[Item], begun: datetime) -> str:
    """The largest value seen, or when this pull began, a little earlier: the same row twice changes nothing."""
    before = str(state.cursor.get("since_value") or channel.since_first)
    if not channel.since_item:
        here = begun.astimezone(ZoneInfo(tools.settings.time_zone)) - timedelta(seconds=channel.overlap_seconds)
        return here.isoformat(timespec="seconds")
    values = [value for item in items if (value := place_in(item, channel.since_item)) is not None]
    if not all(isinstance(value, str | int) and len(str(value)) <= _LONGEST_SINCE for value in values):
        raise ChannelFailed(f"since_item: {channel.since_item}")
    if all(isinstance(value, int) for value in values) and (before or "0").isdecimal():
        return str(max([int(before or 0), *values]))
    return max([before, *map(str, values)])
