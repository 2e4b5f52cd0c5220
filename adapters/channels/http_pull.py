"""Another system's HTTP interface read from its first page to its last: four ways of paging, two ways to sign in."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, quote_plus, urlencode, urljoin, urlsplit, urlunsplit

import msgspec

from adapters.outbound import Outbound, Reply

Paging = Literal["none", "page", "offset", "cursor", "link"]
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel\s*=\s*"?next"?', re.I)
_BUSY = (429, 503)
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class PullFailed(Exception):
    """对方接口未给出可用的答复。 The other side's interface did not answer as declared."""

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(f"{(PullFailed.__doc__ or '').strip()} {detail}")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What is read from where. ``items`` and ``next_cursor`` are places in the answer, like ``data.items``."""

    url: str
    items: str
    paging: Paging = "none"
    parameter: str = ""  # of the page's number, of the offset, or of the cursor
    size_parameter: str = ""
    page_size: int = 500
    first_page: int = 1
    next_cursor: str = ""
    parameters: Mapping[str, str] = {}
    most_pages: int = 200
    most_bytes: int = 100 * 1024 * 1024
    seconds: float = 300.0


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """OAuth 2.0 client credentials (RFC 6749, 4.4)."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str = ""


def fetch_token(outbound: Outbound, credentials: Credentials) -> str:
    """A fresh access token; the client is named in the Authorization header, as the RFC would have it."""
    form = {"grant_type": "client_credentials"} | ({"scope": credentials.scope} if credentials.scope else {})
    named = f"{quote_plus(credentials.client_id)}:{quote_plus(credentials.client_secret)}"
    headers = _FORM | {"Authorization": f"Basic {base64.b64encode(named.encode()).decode()}"}
    answered = _read_json(outbound.ask("POST", credentials.token_url, urlencode(form).encode(), headers))
    token = answered.get("access_token") if isinstance(answered, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise PullFailed("access_token")
    return token


def pull(outbound: Outbound, source: Source, headers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Every item of every page. An answer that is not as declared, too long, too late or without end is a PullFailed."""
    pages, size, deadline = 0, 0, time.monotonic() + source.seconds
    url: str | None = _with(source.url, _first(source))
    asked = set()
    while url is not None:
        if url in asked or pages >= source.most_pages or time.monotonic() > deadline:
            raise PullFailed(f"分页没有尽头 pages without end: {pages}")
        asked.add(url)
        reply = outbound.ask("GET", url, headers={"Accept": "application/json", **headers})
        answered, pages, size = _read_json(reply), pages + 1, size + len(reply.content)
        if size > source.most_bytes:
            raise PullFailed(f"> {source.most_bytes} bytes")
        items = _items(answered, source)
        yield from items
        url = _NEXT_URLS[source.paging](source, url, len(items), answered, reply)


def place_in(answered: Any, place: str) -> Any:
    """What stands at ``a.b.c``; None if nothing does."""
    for step in place.split(".") if place else ():
        answered = answered.get(step) if isinstance(answered, dict) else None
    return answered


def seconds_of(retry_after: str, now: datetime) -> float | None:
    """A Retry-After header, as seconds or as a date (RFC 9110, 10.2.3)."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def _read_json(reply: Reply) -> Any:
    if reply.status in _BUSY:
        wait = seconds_of(reply.headers.get("retry-after", ""), datetime.now(UTC))
        raise PullFailed(f"HTTP {reply.status}", retry_after=wait)
    if reply.status != 200:
        raise PullFailed(f"HTTP {reply.status}")
    try:
        return msgspec.json.decode(reply.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kind = reply.headers.get("content-type", "?").split(";")[0][:60]
        raise PullFailed(f"不是 JSON not JSON: {kind!r}") from None


def _items(answered: Any, source: Source) -> list[dict[str, Any]]:
    items = place_in(answered, source.items)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise PullFailed(f"items: {source.items!r}")
    return items


# ---- the next page ----


def _first(source: Source) -> dict[str, str]:
    start = {"page": str(source.first_page), "offset": "0"}.get(source.paging)
    sized = {source.size_parameter: str(source.page_size)} if source.size_parameter else {}
    return {**source.parameters, **sized, **({source.parameter: start} if start is not None else {})}


def _counted(source: Source, url: str, step: int, found: int) -> str | None:
    """Where the page's size is asked for, a shorter page is the last; otherwise only an empty one is."""
    if found == 0 or (source.size_parameter and found < source.page_size):
        return None
    number = int(dict(parse_qsl(urlsplit(url).query))[source.parameter])
    return _with(url, {source.parameter: str(number + step)})


def _following_address(source: Source, url: str, found: int, answered: Any, reply: Reply) -> str | None:
    return _counted(source, url, 1, found)


def _next_offset(source: Source, url: str, found: int, answered: Any, reply: Reply) -> str | None:
    return _counted(source, url, found, found)


def _next_cursor(source: Source, url: str, found: int, answered: Any, reply: Reply) -> str | None:
    following = place_in(answered, source.next_cursor)
    if following is None or following == "":
        return None
    if not isinstance(following, str | int):
        raise PullFailed(source.next_cursor)
    return _with(url, {source.parameter: str(following)})


def _next_link(source: Source, url: str, found: int, answered: Any, reply: Reply) -> str | None:
    """RFC 8288; a link that leads to another host is not followed: the credentials are not for it."""
    link = _NEXT.search(reply.headers.get("link", ""))
    if link is None:
        return None
    following: str = urljoin(url, link.group(1))
    if urlsplit(following)[:2] != urlsplit(source.url)[:2]:
        raise PullFailed("Link: rel=next 指向别处 leads elsewhere")
    return following


_NEXT_URLS: dict[str, Callable[[Source, str, int, Any, Reply], str | None]] = {
    "none": lambda source, url, found, answered, reply: None,
    "page": _following_address,
    "offset": _next_offset,
    "cursor": _next_cursor,
    "link": _next_link,
}


def _with(url: str, parameters: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **parameters}
    return urlunsplit(parts._replace(query=urlencode(query)))
