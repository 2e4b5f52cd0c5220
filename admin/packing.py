"""Pages and static files go out as gzip where the browser takes it: three quarters less on the town's line.

A page holds a form's token and people's data, and the length of what is packed tells about both (BREACH): so a page is
packed only for a browser that says that our own page or the person asked for it, never for what another site set off.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_OWN_WISH = ("same-origin", "none")  # Sec-Fetch-Site: from our page, or typed into the address bar
_WORTH_IT = 600  # bytes: below it the packet is as full
_QUICK, _SMALL = 6, 9


def takes_gzip(headers: Mapping[str, str]) -> bool:
    named = [one.replace(" ", "") for one in headers.get("accept-encoding", "").lower().split(",")]
    return any(one == "gzip" or (one.startswith("gzip;q=") and one[7:].strip("0.")) for one in named)


def pack_page(text: bytes) -> bytes:
    return gzip.compress(text, _QUICK, mtime=0)


def pack_file(content: bytes) -> bytes:
    return gzip.compress(content, _SMALL, mtime=0)


def pack_pages(app: ASGIApp) -> ASGIApp:
    """Middleware: an HTML answer is held until it is whole, then sent packed; everything else passes untouched."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers.from_scope(scope)
        own = headers.get("sec-fetch-site") in _OWN_WISH
        await app(scope, receive, _Packer(send).take if own and takes_gzip(headers) else send)

    return answer


class _Packer:
    """One answer on its way out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._parts: list[bytes] = []

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            self._parts.append(message["body"])
            if not message["more_body"]:
                await self._send_packed(self._start)
        else:
            await self._send(message)

    async def _send_packed(self, start: Message) -> None:
        body = b"".join(self._parts)
        if len(body) > _WORTH_IT:
            body = pack_page(body)
            headers = MutableScopeHeaders.from_message(start)
            headers["content-encoding"], headers["content-length"] = "gzip", str(len(body))
            headers.add("vary", "Accept-Encoding, Sec-Fetch-Site")
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _is_page(start: Message) -> bool:
    headers = MutableScopeHeaders.from_message(start)
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers
