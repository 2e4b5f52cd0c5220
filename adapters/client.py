"""For a department's developer: the hub's HTTP interface as a few typed calls. Needs httpx and msgspec, nothing of the hub.

    hub = HubClient("https://hub.example", "hk_…")
    receipt = hub.submit(Path("迁入.xlsx"), "hukou_move_in", "2026-11")
    for page in hub.changes("renshe-moves", FileCursor(Path("cursor"))): ...

Sending is safe to repeat: the same bytes give the same receipt. Reading is at least once: the cursor is saved when the
loop comes back for the next page, never before; who keeps it in the same transaction as the changes has exactly once.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import quote

import httpx
import msgspec

MOST_ATTEMPTS = 6
LONGEST_PAUSE_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.5
_CHUNK_BYTES = 1024 * 1024
_BUSY = frozenset({429, 502, 503, 504})
_FRESH_SECONDS = 30.0  # a token that ends sooner is not used any more

Rows = Iterable[Mapping[str, Any]]
Credentials = str | tuple[str, str]


class HubProblem(Exception):
    """The hub says no (RFC 9457). ``type`` ends with a stable name, such as ``cursor-gone``."""

    def __init__(self, status: int, type: str, title: str, detail: str = "", facts: Mapping[str, Any] = {}) -> None:
        self.status, self.type, self.title, self.detail, self.facts = status, type, title, detail, facts
        super().__init__(f"{status} {title} {detail}".strip())


class Broken(Exception):
    """What arrived is not whole: take it again."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows: received = accepted + unchanged + held + refused, once the receipt is final."""

    received: int | None = None
    accepted: int | None = None
    unchanged: int | None = None
    held: int | None = None
    refused: int | None = None


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one row; row and column are the sheet's own."""

    code: str
    level: str
    message: str
    fix: str
    sheet: str | None = None
    row: int | None = None
    column: str | None = None
    field: str | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a submission; ``signed`` proves it without the hub."""

    receipt: str
    state: str
    sha256: str
    record_type: str
    period: str | None = None
    counts: Counts = Counts()
    issues: tuple[Issue, ...] = ()
    final: bool = False
    signed: dict[str, Any] | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the slice, with the subscribed fields before and after."""

    seq: int
    delivery_no: int
    op: Literal["enter", "update", "leave"]
    record_type: str
    record_id: str
    version: int
    source: str
    person_id: str | None = None
    recorded_at: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    disputed: bool = False  # somebody challenges the record; its source is asked


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Changes in order, without gaps in ``delivery_no``; ``next`` is the cursor behind them."""

    subscription: str
    changes: tuple[Change, ...]
    next: str
    first_delivery_no: int
    digest: str
    more: bool


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A whole slice that lies in a file; changes go on from ``next``."""

    count: int
    seq: int
    digest: str
    next: str


class CursorStore(Protocol):
    """Where the department keeps how far it has read. None: from the beginning."""

    def load(self) -> str | None: ...
    def save(self, cursor: str) -> None: ...


class FileCursor:
    """A cursor in a file: whole or not at all, and still there after a power cut."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> str | None:
        return self.path.read_text("ascii") if self.path.exists() else None

    def save(self, cursor: str) -> None:
        with _written_durably(self.path) as write:
            write(cursor.encode("ascii"))


class HubClient:
    """One department's way to the hub: by its key, or by client id and secret traded for short-lived tokens."""

    def __init__(
        self, base_url: str, credentials: Credentials, *, verify: str | bool = True, timeout: float = 60.0
    ) -> None:
        trusted = httpx.create_ssl_context(verify=verify)
        self._http = httpx.Client(base_url=base_url, verify=trusted, timeout=timeout, follow_redirects=False)
        self._credentials = credentials
        self._token, self._token_until = "", 0.0

    def close(self) -> None:
        self._http.close()

    # ---- sending ----

    def submit(
        self,
        what: Path | bytes | Rows,
        record_type: str,
        period: str | None = None,
        *,
        wait: bool = True,
        idempotency_key: str | None = None,
        file_name: str | None = None,
    ) -> Receipt:
        """Send a file, bytes or rows; with ``wait`` the receipt is final. Again is safe: nothing is taken twice."""
        body: Path | bytes = what if isinstance(what, Path | bytes) else _lines(what)
        name = file_name or (body.name if isinstance(body, Path) else f"{record_type}.ndjson")
        digest = _digest_of(body)
        asked = {"type": record_type, "period": period, "file_name": name, "wait": "true" if wait else None}
        headers = {
            "Idempotency-Key": idempotency_key or _key_of(record_type, period, digest),
            "Content-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:",
            "Content-Type": "application/octet-stream",
            "Content-Length": str(body.stat().st_size if isinstance(body, Path) else len(body)),
        }
        answer = self._call("POST", "/v1/submissions", params=asked, headers=headers, body=body)
        receipt = self.receipt(msgspec.json.decode(answer, type=_Numbered).receipt)
        return self.wait(receipt) if wait else receipt

    def receipt(self, number: str) -> Receipt:
        """What became of a submission."""
        return msgspec.json.decode(self._call("GET", f"/v1/receipts/{quote(number, safe='')}"), type=Receipt)

    def wait(self, receipt: Receipt, seconds: float = 600.0) -> Receipt:
        """Look again until the receipt is final; TimeoutError."""
        until = time.monotonic() + seconds
        while not receipt.final:
            if time.monotonic() > until:
                raise TimeoutError(receipt.receipt)
            time.sleep(_FIRST_PAUSE_SECONDS)
            receipt = self.receipt(receipt.receipt)
        return receipt

    # ---- reading ----

    def changes(self, subscription: str, store: CursorStore, *, limit: int = 1000, wait: int = 0) -> Iterator[Page]:
        """Every page there is now. The store gets the page's cursor when the loop comes back: the page is done then.

        Where there is none, the hub holds the answer for up to ``wait`` seconds (at most 30) until there is one.
        """
        cursor, more = store.load(), True
        while more:
            page = self._page(subscription, cursor, limit, wait)
            if page.changes:
                yield page
            if page.next != cursor:
                store.save(page.next)
            cursor, more = page.next, page.more

    def acknowledge(self, page: Page) -> bool:
        """Tell the hub that everything up to this page has arrived; False if the two sides do not hold the same."""
        return self.acknowledge_to(page.subscription, page.first_delivery_no + len(page.changes) - 1, page.digest)

    def acknowledge_to(self, subscription: str, delivery_no: int, digest: str) -> bool:
        """The same by the number and digest that were kept with the page, should the program have died in between."""
        said = msgspec.json.encode({"to_delivery_no": delivery_no, "digest": digest})
        headers = {"Content-Type": "application/json"}
        path = f"/v1/subscriptions/{quote(subscription, safe='')}/acks"
        return msgspec.json.decode(self._call("POST", path, headers=headers, body=said), type=_Acknowledged).matches

    def snapshot(self, subscription: str, file: Path) -> Snapshot:
        """The whole slice into a file of JSON lines, checked to be whole; Broken if it is not."""
        path = f"/v1/subscriptions/{quote(subscription, safe='')}/snapshot"
        digest, count, last = hashlib.sha256(), 0, b""
        with (
            _written_durably(file) as write,
            self._http.stream("GET", path, headers=self._authorization()) as response,
        ):
            _refuse_problem(response)
            for line in _whole_lines(response.iter_bytes()):
                if last:
                    digest.update(last)
                    count += 1
                last = line
                write(line + b"\n")
            closing = _closing(last)
            if (closing.count, closing.digest) != (count, digest.hexdigest()):
                raise Broken(subscription)
        return closing

    def _page(self, subscription: str, cursor: str | None, limit: int, wait: int) -> Page:
        path = f"/v1/subscriptions/{quote(subscription, safe='')}/changes"
        asked = {"cursor": cursor, "limit": limit, "wait": wait or None}
        sent = msgspec.json.decode(self._call("GET", path, params=asked), type=_SentPage)
        meta = sent.meta
        if meta.count != len(sent.data):
            raise Broken(subscription)
        return Page(
            subscription=subscription,
            changes=sent.data,
            next=sent.next,
            first_delivery_no=meta.first_delivery_no,
            digest=meta.digest,
            more=meta.more,
        )

    # ---- beneath ----

    def post(self, path: str, body: bytes) -> bytes:
        """JSON to any of the hub's addresses, such as adapters.copy_check speaks to; the answer's bytes."""
        return self._call("POST", path, headers={"Content-Type": "application/json"}, body=body)

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] = {},
        headers: Mapping[str, str] = {},
        body: Path | bytes = b"",
    ) -> bytes:
        """The answer's bytes; tried again while the hub is busy or away, as late as it asks."""
        asked = {name: value for name, value in params.items() if value is not None}
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                whole = {**headers, **self._authorization()}
                response = self._http.request(method, path, params=asked, headers=whole, content=_chunks(body))
            except httpx.TransportError:
                if attempt == MOST_ATTEMPTS:
                    raise
                time.sleep(_pause(attempt, None))
                continue
            if response.status_code == 401 and attempt == 1 and self._token:
                self._token = ""  # it ended, or its key was revoked: the new one will tell
            elif response.status_code in _BUSY and attempt < MOST_ATTEMPTS:
                time.sleep(_pause(attempt, response.headers.get("retry-after")))
            else:
                _refuse_problem(response)
                return response.content
        raise AssertionError("the last attempt answers or raises")

    def _authorization(self) -> dict[str, str]:
        if isinstance(self._credentials, str):
            return {"Authorization": f"Bearer {self._credentials}"}
        if not self._token or time.monotonic() > self._token_until:
            self._fetch_token(*self._credentials)
        return {"Authorization": f"Bearer {self._token}"}

    def _fetch_token(self, client_id: str, client_secret: str) -> None:
        """OAuth 2.0 client credentials (RFC 6749, 4.4)."""
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        response = self._http.post("/v1/oauth/token", data=form)
        _refuse_problem(response)
        granted = msgspec.json.decode(response.content, type=_Granted)
        self._token, self._token_until = granted.access_token, time.monotonic() + granted.expires_in - _FRESH_SECONDS


class _Numbered(msgspec.Struct):
    receipt: str


class _Acknowledged(msgspec.Struct):
    matches: bool


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float


class _Meta(msgspec.Struct):
    first_delivery_no: int
    count: int
    digest: str
    more: bool


class _SentPage(msgspec.Struct):
    data: tuple[Change, ...]
    next: str
    meta: _Meta


class _Closing(msgspec.Struct):
    snapshot: Snapshot


class _Refusal(msgspec.Struct):
    type: str = "about:blank"
    title: str = ""
    detail: str = ""
    error: str = ""  # the token's own form (RFC 6749, 5.2)
    error_description: str = ""


def _refuse_problem(response: httpx.Response) -> None:
    if response.is_success:
        return
    content = response.read()
    try:
        told, facts = msgspec.json.decode(content, type=_Refusal), msgspec.json.decode(content)
    except msgspec.DecodeError:
        raise HubProblem(response.status_code, "about:blank", response.reason_phrase) from None
    title = told.title or told.error or response.reason_phrase
    raise HubProblem(response.status_code, told.type, title, told.detail or told.error_description, facts)


def _lines(rows: Rows) -> bytes:
    return msgspec.json.Encoder().encode_lines([dict(row) for row in rows])


def _chunks(body: Path | bytes) -> bytes | Iterator[bytes]:
    """Anew for every attempt; a file is never whole in memory."""
    return body if isinstance(body, bytes) else _read(body)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _digest_of(body: Path | bytes) -> bytes:
    digest = hashlib.sha256()
    for chunk in (body,) if isinstance(body, bytes) else _read(body):
        digest.update(chunk)
    return digest.digest()


def _key_of(record_type: str, period: str | None, digest: bytes) -> str:
    """The same bytes as another type or for another month are another submission."""
    return hashlib.sha256(f"{record_type}\n{period or ''}\n{digest.hex()}".encode()).hexdigest()


def _pause(attempt: int, retry_after: str | None) -> float:
    asked = _seconds_of(retry_after) if retry_after else None
    if asked is None:
        asked = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311
    return min(asked, LONGEST_PAUSE_SECONDS)


def _seconds_of(retry_after: str) -> float | None:
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _whole_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _closing(line: bytes) -> Snapshot:
    try:
        return msgspec.json.decode(line, type=_Closing).snapshot
    except msgspec.DecodeError:
        raise Broken("the last line is missing") from None


@contextmanager
def _written_durably(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Under a temporary name until it is whole and on disk."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        yield file.write
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
