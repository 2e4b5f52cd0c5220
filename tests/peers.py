"""The application as one machine sees it: its requests come from that machine's address."""

from __future__ import annotations

from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from litestar.types import ASGIApp, Receive, Scope, Send


def client_at(app: Litestar, address: str) -> TestClient[Any]:
    """A client whose TCP connection comes from this address. The address it calls is a literal one."""

    async def from_there(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":  # type: ignore[comparison-overlap]
            scope["client"] = (address, 40_000)
        await app(scope, receive, send)

    inside: ASGIApp = from_there
    return TestClient(inside, base_url="http://127.0.0.1")
