"""Walks the panel as somebody does: from their own first page along the links they see, to one address of every page.

So every id in an address is a real one within their rights, and a page that is added is found without being named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from litestar import Litestar
from litestar.testing import TestClient

from hub.registry.permissions import Right
from tests.matrix_hub import Asking, Route

_LINK = re.compile(r'(?:href|hx-get|src)="(/[^"#]*)')
_NOT_READ = ("/static", "/schema", "/v1", "/language", "/healthz", "/metrics", "/sign-in", "/second-factor")
_FILE = re.compile(r"[?&]export=|/export|\.(xlsx|csv|json|png)(\?|$)")  # as long as what it holds, and no page
_WAYS = 5  # to look at one list
_STEPS = 4  # from the first page


@dataclass(frozen=True)
class Address:
    """One address, of one page (its route and which of its settings are set), as one account may ask for it."""

    who: Asking
    template: str
    path: str

    @property
    def page(self) -> str:
        names = sorted({name for name, value in parse_qsl(urlsplit(self.path).query) if value})
        return self.template + (f"?{'&'.join(names)}" if names else "")


@dataclass
class Walked:
    """What was found: the addresses of pages for people, and what answered otherwise."""

    addresses: list[Address] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)


def walk(
    client: TestClient[Litestar], who: Asking, routes: list[Route], more: Iterable[str] = (), steps: int = _STEPS
) -> Walked:
    """Breadth first; of addresses that are one page but for their ids and values, the first.

    ``more``: addresses that no link leads to, where this account may go.
    """
    pages = [one for one in routes if one.method == "GET" and one.open_to(who) and not one.for_machines]
    known = [(re.compile(_pattern(one.template)), one) for one in pages]
    wanted = [one.template for one in pages if "{" not in one.template and Right.PUBLIC not in one.rights]
    found, seen = Walked(), set[str]()
    ahead = [*_addresses(who, known, ["/", *wanted, *more])]
    for _ in range(steps):
        behind = [one for each in ahead if _is_new(each, seen) for one in _open(client, each, known, found)]
        ahead = behind
    return found


def _is_new(address: Address, seen: set[str]) -> bool:
    """Not every choice of filters is a page of its own."""
    ways = sum(one.partition("?")[0] == address.template for one in seen)
    if address.page in seen or ways >= _WAYS:
        return False
    seen.add(address.page)
    return True


def _open(
    client: TestClient[Litestar], address: Address, known: list[tuple[re.Pattern[str], Route]], found: Walked
) -> Iterator[Address]:
    answer = asked(client, address)
    if answer.status_code >= 400:
        found.failed[f"{address.who.name} {address.path}"] = answer.status_code
    elif "text/html" not in answer.headers.get("content-type", ""):
        found.files.add(address.template)
    elif answer.status_code == 200:
        found.addresses.append(address)
    links = _LINK.findall(answer.text if "html" in answer.headers.get("content-type", "") else "")
    yield from _addresses(address.who, known, [unescape(link) for link in dict.fromkeys(links)])


def _addresses(who: Asking, known: list[tuple[re.Pattern[str], Route]], paths: Iterable[str]) -> Iterator[Address]:
    for path in paths:
        template = next((one.template for pattern, one in known if pattern.fullmatch(urlsplit(path).path)), None)
        if template and not path.startswith(_NOT_READ) and not _FILE.search(path):
            yield Address(who, template, path)


def asked(client: TestClient[Litestar], address: Address) -> Any:
    client.cookies.clear()
    return client.get(address.path, headers=address.who.headers, follow_redirects=False)


def _pattern(template: str) -> str:
    kinds = {"int": r"-?\d+", "uuid": r"[0-9a-f-]{36}"}
    return re.sub(
        r"\\\{(\w+):(\w+)\\\}", lambda named: kinds.get(named[2], "[^/]+"), re.escape(template).replace(r"\:", ":")
    )
