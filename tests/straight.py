"""A client that calls the application in the test's own event loop: a sweep of ten thousand requests in half the time.

What litestar's TestClient does as well (another thread for the application, a cookie jar, every address parsed five
times) is not asked for here.
"""

from __future__ import annotations

import asyncio
import json as jsons
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlencode

from litestar import Litestar

T = TypeVar("T")
_SAFE = "/%:?&=+,;@!$'()*~-._"
_EVERY_REQUEST = {"accept": "*/*", "user-agent": "straight"}


@dataclass(frozen=True)
class Answer:
    """Status, headers and body as they left the application."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


class Straight:
    """Asks one application; nothing is kept from one request to the next. Many requests in one ``run``: the threads
    in which the application answers live as long as that."""

    def __init__(self, app: Litestar, host: str = "hub.test") -> None:
        self._app, self._host, self._loop = app, host, asyncio.new_event_loop()

    def run(self, asking: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(asking)

    async def request(
        self,
        method: str,
        address: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        data: Mapping[str, str] | None = None,
    ) -> Answer:
        sent, kind = _body(json, data)
        scope = self._scope(method, address, {**kind, **(headers or {})})
        return await self._call(scope, sent)

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def _scope(self, method: str, address: str, headers: Mapping[str, str]) -> Any:
        path, _, query = quote(address, safe=_SAFE).partition("?")
        named = _EVERY_REQUEST | {name.lower(): value for name, value in headers.items()}
        raw = [(b"host", self._host.encode()), *((name.encode(), value.encode()) for name, value in named.items())]
        return {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
            "scheme": "https", "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
            "root_path": "", "headers": raw, "client": ("testclient", 50000), "server": (self._host, 443),
            "state": {}, "extensions": {}, "app": self._app, "litestar_app": self._app,
        }  # fmt: skip

    async def _call(self, scope: Any, sent: bytes) -> Answer:
        told: list[Any] = []
        waiting, whole = [sent], asyncio.Event()

        async def receive() -> Any:
            if waiting:
                return {"type": "http.request", "body": waiting.pop(), "more_body": False}
            await whole.wait()  # whoever asks stays for the whole answer
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            told.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                whole.set()

        await self._app(scope, receive, send)
        body = b"".join(one.get("body", b"") for one in told)
        headers = {name.decode().lower(): value.decode() for name, value in told[0]["headers"]}
        return Answer(told[0]["status"], headers, body)


@contextmanager
def straight_to(app: Litestar) -> Iterator[Straight]:
    client = Straight(app)
    yield client
    client.close()


def _body(json: object, data: Mapping[str, str] | None) -> tuple[bytes, dict[str, str]]:
    if json is not None:
        sent, kind = jsons.dumps(json).encode(), "application/json"
    elif data is not None:
        sent, kind = urlencode(data).encode(), "application/x-www-form-urlencoded"
    else:
        return b"", {}
    return sent, {"content-type": kind, "content-length": str(len(sent))}
