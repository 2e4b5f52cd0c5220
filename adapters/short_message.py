"""Short messages through a site's HTTP gateway: a body filled in as the gateway wants it, and whether it was taken.

Refused means this one number, for good. Failed means the gateway: the same message, with the same id, may be sent again.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple
from urllib.parse import quote, quote_plus, urlsplit

from adapters.outbound import CallFailed, CallRefused, Outbound, listed_address

_PLACE = re.compile(r"\{(phone|text|id)\}")
_TAKEN = range(200, 300)
_PORTS = {"https": 443, "http": 80}
_NOT_THIS_NUMBER = frozenset({400, 404, 410, 422})
FORM_TYPE = "application/x-www-form-urlencoded"


class MessageRefused(Exception):
    """短信网关拒收此号码。 The gateway does not take this number."""


class MessageFailed(Exception):
    """短信未能发出。 The short message could not be sent."""


class MessageDelayed(MessageFailed):
    """短信网关答复但未收下。 The gateway answered, and has not taken the message."""


class Gateway(NamedTuple):
    """How the gateway is asked. ``accepted``: what the answer holds when the message was taken; "": any 2xx."""

    url: str
    method: Literal["POST", "GET"]
    body: str
    content_type: str
    token_header: str
    token: str
    accepted: str


class ShortMessage(NamedTuple):
    """One message to one number. ``id`` stays the same when it is sent again: the gateway may drop doubles by it."""

    id: str
    phone: str
    text: str


def send_short_message(outbound: Outbound, gateway: Gateway, message: ShortMessage) -> None:
    """Back once the gateway has taken it. MessageRefused, MessageFailed."""
    headers = {gateway.token_header: gateway.token} if gateway.token else {}
    url, body = filled(gateway, message)
    try:
        reply = outbound.ask(
            gateway.method, url, body, headers | ({"Content-Type": gateway.content_type} if body else {})
        )
    except (CallFailed, CallRefused) as wrong:
        raise MessageFailed(str(wrong)) from None
    if reply.status in _NOT_THIS_NUMBER:
        raise MessageRefused(f"HTTP {reply.status}")
    if reply.status not in _TAKEN:
        raise MessageFailed(f"HTTP {reply.status}")
    if gateway.accepted not in reply.content.decode("utf-8", "replace"):
        raise MessageDelayed(f"HTTP {reply.status}，答复中没有 no {gateway.accepted!r} in the answer")


def reach_gateway(
    gateway: Gateway, allowed_hosts: Collection[str], allowed_networks: Collection[str], seconds: float
) -> None:
    """The gateway is listed, may be called, and something listens there; nothing is sent. MessageFailed."""
    try:
        url = urlsplit(gateway.url)
        host, port = url.hostname or "", url.port or _PORTS.get(url.scheme, 0)
        found = listed_address(url.scheme, host, port, allowed_hosts, allowed_networks)
        socket.create_connection((str(found), port), timeout=seconds).close()
    except (CallRefused, OSError, ValueError) as wrong:
        raise MessageFailed(f"{wrong}" if isinstance(wrong, CallRefused) else type(wrong).__name__) from None


def filled(gateway: Gateway, message: ShortMessage) -> tuple[str, bytes]:
    """Address and body with the message in its places, escaped as each of them asks; a GET has no body."""
    values = message._asdict()
    url = _fill(gateway.url, {name: quote(value, safe="") for name, value in values.items()})
    if gateway.method == "GET":
        return url, b""
    escape = quote_plus if gateway.content_type.startswith(FORM_TYPE) else _as_json
    return url, _fill(gateway.body, {name: escape(value) for name, value in values.items()}).encode()


def _fill(template: str, values: Mapping[str, str]) -> str:
    """One pass: what was filled in is not filled in again."""
    return _PLACE.sub(lambda place: values[place[1]], template)


def _as_json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]
