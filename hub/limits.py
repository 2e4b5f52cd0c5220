"""How often one machine or one address may ask in a minute; who asks more often is told when to come back.

Counted in this process alone, in memory: two serving processes let through twice as much, a restart forgets.
A machine is counted by its key, however many tokens it has, once what it presents has been found good here: whoever
floods from its address, or sends wrong keys, uses up the address's share and not the machine's. Everyone else is
counted by address, of IPv6 by the /64 network a site is given.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from litestar import Request

from hub.errors import HubError
from hub.origins import client_address, client_certificate
from hub.registry.network_addresses import read_address
from hub.registry.permissions import Actor

WINDOW_SECONDS = 60
SIGN_INS_PER_MINUTE = 30  # of one address, machines and people together
_MOST_KEPT = 50_000
_UNCOUNTED = re.compile(r"/static/.*|/healthz")
_SIGNING_IN = re.compile(r"/sign-in(/.*)?|/v1/oauth/token")
_SLASHES = re.compile(r"/+")
Clock = Callable[[], float]


class TooManyRequests(HubError):
    """请求过于频繁，请稍后再试。 Too many requests: wait a little, then try again."""

    status, problem = 429, "too-many-requests"

    def __init__(self, limit: int, seconds: int) -> None:
        super().__init__(f"Retry-After: {seconds}", limit=limit, retry_after=seconds)
        self.headers = {
            "Retry-After": str(seconds),
            "RateLimit-Limit": str(limit),
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(seconds),
            "RateLimit-Policy": f"{limit};w={WINDOW_SECONDS}",
        }


class Tally:
    """Requests of each asker since its window began; when too many askers are kept, the oldest windows go."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def count(self, asker: str, limit: int) -> None:
        """One more; TooManyRequests beyond the limit."""
        now = self._clock()
        began, asked = self._windows.get(asker, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, asked = now, 0
        if asked >= limit:
            raise TooManyRequests(limit, max(1, round(began + WINDOW_SECONDS - now)))
        if asked == 0:
            self._begin(asker)
        self._windows[asker] = (began, asked + 1)

    def _begin(self, asker: str) -> None:
        """Entries stand in the order their windows began."""
        self._windows.pop(asker, None)
        if len(self._windows) >= _MOST_KEPT:
            del self._windows[next(iter(self._windows))]


class Limits:
    """What one application lets through."""

    def __init__(self, requests_per_minute: int, clock: Clock = time.monotonic) -> None:
        self._requests_per_minute = requests_per_minute
        self._tally = Tally(clock)
        self._machines: dict[str, str] = {}  # digest of a credential found good -> its machine, the latest last

    def count(self, request: Request[Any, Any, Any]) -> None:
        """One more request; TooManyRequests if it is one too many."""
        path = _SLASHES.sub("/", request.scope["path"]).rstrip("/")
        if _UNCOUNTED.fullmatch(path):
            return
        address = _site_of(client_address(request))
        if request.method == "POST" and _SIGNING_IN.fullmatch(path):
            self._tally.count(f"sign-in {address}", SIGN_INS_PER_MINUTE)
        machine = self._machines.get(_presented_digest(request))
        self._tally.count(f"machine {machine}" if machine else f"address {address}", self._requests_per_minute)

    def learn(self, request: Request[Any, Any, Any]) -> None:
        """After the answer: a machine that was let in is known by what it presented."""
        user: Actor | None = request.scope.get("user")
        credential = _presented_digest(request)
        if not credential or user is None or user.door != "api":  # a browser's session does not vouch for a key
            return
        self._machines.pop(credential, None)
        if len(self._machines) >= _MOST_KEPT:
            del self._machines[next(iter(self._machines))]
        self._machines[credential] = user.name


def _presented_digest(request: Request[Any, Any, Any]) -> str:
    """What a machine shows of itself, as a digest; "" for nothing."""
    bearer = request.headers.get("authorization", "").encode("latin-1", "replace")
    shown = bearer or client_certificate(request)
    return hashlib.sha256(shown).hexdigest() if shown else ""


def _site_of(address: str) -> str:
    known = read_address(address)
    return str(IPv6Network((known, 64), strict=False)) if isinstance(known, IPv6Address) else address
