"""Where a request comes from: the peer itself, or what a trusted proxy says of it; nobody else is believed."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection


def client_address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The client's address, as text; "" when the server does not know it."""
    return connection.client.host if connection.client else ""
