"""Where a request comes from and whom it takes us for: the peer itself, or what a trusted proxy says; nobody else.

A proxy named in ``trusted_proxies`` must set ``X-Forwarded-For`` and ``Client-Cert`` (RFC 9440) itself, and drop what
the client sent under these names. Scheme and host are never taken from forwarded headers.
"""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import ip_address
from typing import Any

from litestar.connection import ASGIConnection

from hub.errors import BadRequest, HubError
from hub.registry.network_addresses import is_within, read_address, read_networks
from hub.settings import BadSettings, Settings

Connection = ASGIConnection[Any, Any, Any, Any]
_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/]+={0,2}):")  # RFC 8941
_HOST = re.compile(r"(?P<name>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?")
_LARGEST_PORT = 65_535
_OWN_NAMES = frozenset({"localhost"})


class WrongHost(HubError):
    """此主机名不是枢纽的，须先列入 hub.toml 的 allowed_hosts。 Not the hub's host name: list it under allowed_hosts in hub.toml."""

    status, problem = 421, "wrong-host"


def client_address(connection: Connection) -> str:
    """The client's address, as text; "" when the server does not know it.

    The TCP peer. Behind a trusted proxy, the right-most address of X-Forwarded-For that is no trusted proxy: what
    stands left of it, the client may have written itself. A list that is not all addresses is not believed.
    """
    peer = _peer(connection)
    if not _is_trusted(connection, peer):
        return peer
    stated = ",".join(connection.headers.getall("x-forwarded-for", [])).split(",")
    for text in reversed(stated):
        address = read_address(text)
        if address is None:
            return peer
        if not _is_trusted(connection, str(address)):
            return str(address)
    return peer


def client_certificate(connection: Connection) -> bytes | None:
    """The certificate (DER) the client showed to a trusted proxy: ``Client-Cert: :<base64>:``; None otherwise."""
    stated = connection.headers.getall("client-cert", [])
    if len(stated) != 1 or not _is_trusted(connection, _peer(connection)):
        return None
    written = _BYTE_SEQUENCE.fullmatch(stated[0].strip())
    try:
        return base64.b64decode(written[1], validate=True) if written else None
    except binascii.Error:
        return None


def _peer(connection: Connection) -> str:
    """The other end of the TCP connection; an IPv4 address seen through an IPv6 socket is written as IPv4."""
    if connection.client is None:
        return ""
    address = read_address(connection.client.host)
    return str(address) if address else connection.client.host


def _is_trusted(connection: Connection, address: str) -> bool:
    settings: Settings = connection.app.state.settings
    return is_within(address, settings.trusted_proxies)


def refuse_wrong_host(connection: Connection) -> None:
    """A name that is not ours may be a foreign site's that was pointed here (DNS rebinding): it gets no answer.

    Ours are localhost, literal addresses, ``host`` and ``allowed_hosts`` of the settings, and the name the server
    itself says it listens at: under uvicorn the socket's own address, in tests the name it was called by.
    """
    stated = connection.headers.getall("host", [])
    written = _HOST.fullmatch(stated[0].lower()) if len(stated) == 1 else None
    if written is None or int(written["port"] or 0) > _LARGEST_PORT:
        raise BadRequest("Host")
    if not _is_own(connection, written["name"]):
        raise WrongHost()


def _is_own(connection: Connection, name: str) -> bool:
    settings: Settings = connection.app.state.settings
    listens_at = (connection.scope.get("server") or ("",))[0]
    named = {settings.host.lower(), str(listens_at).lower(), *map(str.lower, settings.allowed_hosts)}
    return name in _OWN_NAMES or name in named or _is_literal(name)


def _is_literal(name: str) -> bool:
    try:
        return bool(ip_address(name.strip("[]")))
    except ValueError:
        return False


def refuse_wrong_settings(settings: Settings) -> None:
    """At the start: better no hub than one that believes the wrong machines."""
    named = {
        "trusted_proxies": settings.trusted_proxies,
        "accounts.administrator_addresses": settings.accounts.administrator_addresses,
    }
    for name, networks in named.items():
        try:
            read_networks(networks)
        except BadRequest as wrong:
            raise BadSettings(f"{name}: {wrong.detail}") from wrong
