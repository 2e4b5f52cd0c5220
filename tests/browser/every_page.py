"""One role walks through every page it can reach: link by link, as people do, then whatever no link led to."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from playwright.sync_api import Page

from hub.registry.permissions import Right
from tests.matrix_hub import Asking, Matrix, Route, address, query_of, routes_of

_FOR_PROGRAMS = ("/healthz", "/metrics", "/v1/")
_ON_THE_WAY = (
    "/language/{language:str}",
    "/density/{density:str}",
    "/sign-in",
    "/second-factor",
    "/help",
)  # a step, or nothing for who is signed in
_IN_A_PAGE = ("/submissions/{submission_id:uuid}/progress", "/submissions/new/templates")  # fetched into another
_DOWNLOAD = re.compile(r"\.(xlsx|csv|json|pdf)$|/templates/\{file|/file$|^/audit/export$|/pictures/")
_LOOKS = {
    "/submissions/{submission_id:uuid}": 7,
    "/licences/{request_id:uuid}": 5,
    "/access-requests/{request_id:uuid}": 2,
}
_KINDS = {"uuid": "[0-9a-f-]{36}", "int": "[0-9]+", "str": "[^/]+"}
_LINKS = "() => [...document.querySelectorAll('a[href]')].map((one) => one.getAttribute('href'))"


@dataclass(frozen=True)
class Place:
    """One route of the panel, and what its addresses look like."""

    route: Route
    pattern: re.Pattern[str]

    @property
    def template(self) -> str:
        return self.route.template

    @property
    def is_download(self) -> bool:
        return _DOWNLOAD.search(self.template) is not None

    @property
    def is_page(self) -> bool:
        return not self.is_download and self.template not in (*_IN_A_PAGE, *_ON_THE_WAY)


def places_of(matrix: Matrix) -> list[Place]:
    """Every GET route people may use: pages, parts of pages and downloads."""
    routes = [one for one in routes_of(matrix.hub.app) if one.method == "GET"]
    return [Place(one, _pattern(one.template)) for one in routes if not one.template.startswith(_FOR_PROGRAMS)]


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+:(\w+)\}", lambda one: _KINDS[one[1]], template) + r"/?([?#].*)?")


@dataclass
class Walk:
    """What one role has visited, and where the links on its pages lead."""

    matrix: Matrix
    who: Asking
    places: list[Place]
    known: frozenset[str] = frozenset()  # templates somebody else has opened
    visited: dict[str, str] = field(default_factory=dict)  # address -> template
    links: dict[str, str] = field(default_factory=dict)  # where to -> the page it stands on
    downloaded: set[str] = field(default_factory=set)

    def place_of(self, href: str) -> Place | None:
        """The plainest template that fits: /submissions/new before /submissions/{id}."""
        fitting = [one for one in self.places if one.pattern.fullmatch(href)]
        return min(fitting, key=lambda one: one.template.count("{"), default=None)

    def addresses(self, page: Page) -> Iterator[tuple[Place, str]]:
        """The caller opens each address in ``page`` before it asks for the next."""
        looks: Counter[str] = Counter()
        waiting: deque[tuple[Place | None, str]] = deque([(None, "/")])
        while waiting:
            guessed, href = waiting.popleft()
            place = guessed or self.place_of(href)
            if place and place.is_page and href not in self.visited and self._wanted(place, looks):
                looks[place.template] += 1
                self.visited[href] = place.template
                yield place, href
                waiting.extend((None, link) for link in self._links_on(page, href))
            if not waiting:
                waiting.extend(self._left(looks))

    def _wanted(self, place: Place, looks: Counter[str]) -> bool:
        return place.route.open_to(self.who) and looks[place.template] < self._looks_of(place)

    def _looks_of(self, place: Place) -> int:
        """Who comes first looks at files of every kind, those who come later at two."""
        most = _LOOKS.get(place.template, 1)
        return 2 if most > 5 and place.template in self.known else most

    def is_linked(self, href: str) -> bool:
        """Whether a page led here, or it is where everybody begins."""
        return href in self.links or "{" not in self.visited.get(href, "")

    def is_first_download(self, place: Place) -> bool:
        """One of each kind is enough."""
        new = place.template not in self.downloaded
        self.downloaded.add(place.template)
        return new

    def _links_on(self, page: Page, here: str) -> list[str]:
        own = [str(one) for one in page.evaluate(_LINKS) if one.startswith("/") and not one.startswith("/static")]
        self.links = dict.fromkeys(own, here) | self.links
        return own

    def _left(self, looks: Counter[str]) -> list[tuple[Place, str]]:
        """The next page no link led to: asked for with what the matrix knows of one's own."""
        left = [one for one in self.places if one.is_page and not looks[one.template] and one.route.open_to(self.who)]
        fresh = [(one, self.own_address(one)) for one in left if Right.PUBLIC not in one.route.rights]
        return [(place, href) for place, href in fresh if href not in self.visited][:1]

    def own_address(self, place: Place) -> str:
        """Of one's own; nobody owns a person, and whoever may judge them may judge anybody."""
        own = "labour" if place.template.endswith("/identity") else self.who.organisation
        return address(place.route, self.matrix, own) + query_of(place.route, own)


def sign_in_as(page: Page, who: Asking, language: str = "zh") -> None:
    """The account's session, without typing its password again."""
    keep_session(page, who.headers["Cookie"].removeprefix("__Host-sid="), language)


def keep_session(page: Page, value: str, language: str = "zh") -> None:
    """In the browser's own jar; of the protocol's ways only this knows ``__Host-``."""
    session = page.context.new_cdp_session(page)
    kept = {"__Host-sid": value, "__Host-lang": language}
    for name, value in kept.items():
        cookie = {
            "name": name,
            "value": value,
            "url": "https://127.0.0.1/",
            "path": "/",
            "secure": True,
            "sameSite": "Strict",
        }
        assert session.send("Network.setCookie", cookie)["success"]
    session.detach()
