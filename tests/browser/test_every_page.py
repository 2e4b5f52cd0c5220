"""Every page of every desk, as every role, in a real Chromium: it opens for whoever may, and everybody can use it.

Each page is examined by axe, printed, and put in small windows for the first role that opens it; for a later role only
where its page holds a kind of element (tag, classes, attributes, and what it is in) that no examined page held.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from hub.database import Database
from hub.embedded import Cluster
from hub.registry.permissions import ROLES, Right
from hub.settings import load_settings
from mappings.catalogue import Catalogue
from tests.browser.axe import violations, violations_on_paper
from tests.browser.conftest import Site, _served, sign_in
from tests.browser.every_page import Place, Walk, places_of, sign_in_as
from tests.browser.page_looks import faults_at_twice_the_size, faults_of, faults_of_width, look_at
from tests.browser.page_world import staff_of, stock
from tests.browser.test_journeys import UNTRANSLATED
from tests.conftest import clone_template, execute
from tests.doors import AREAS, founded_hub
from tests.matrix_hub import Asking, Matrix, found_matrix

pytestmark = pytest.mark.browser
MOST_BYTES = 60_000  # of the first page, with everything it loads, as it comes over the line
DESKS = ("department_clerk", "town_officer", "bureau_operator")
SHEETS = ("/cards", "/notice/")  # papers for the village, printed in a stack
NEEDS_A_LINK = ("/quality/rows", "/quality/trend")  # what they show is chosen on the page before
GROWS = ("/audit", "/running")  # by a line for each time it is read, by the seconds since
TELL = (
    "document.addEventListener('securitypolicyviolation', (told) => console.error('policy: ' + told.violatedDirective))"
)


PUT_IN = """(sent) => {
    const page = new DOMParser().parseFromString(sent, "text/html");
    document.title = page.title;
    document.documentElement.lang = page.documentElement.lang;
    document.body.replaceWith(document.adoptNode(page.body));
}"""
WORDS = "main :is(h1, h2, th, td, a[href], input, select, textarea, summary)"
NAMES = [area.name for area in AREAS]  # nobody translates them, in a title or beside a bar
WINDOW: ViewportSize = {"width": 1024, "height": 700}  # the smallest screen in an office


@dataclass
class World:
    """The hub with something on every page, who walks through it, and what was opened and examined."""

    matrix: Matrix
    site: Site
    staff: dict[str, Asking]
    places: list[Place]
    kinds: set[str] = field(default_factory=set)
    printed: set[str] = field(default_factory=set)
    opened: dict[str, str] = field(default_factory=dict)  # template -> the first role that opened it
    walked: set[str] = field(default_factory=set)
    desk: Page | None = None

    def walk(self, role: str) -> Walk:
        return Walk(self.matrix, self.staff[role], self.places, frozenset(self.opened))

    def page_of(self, browser: Browser, role: str, **options: Any) -> Page:
        """A new browser for one account, with nothing kept from before."""
        context = browser.new_context(
            base_url=self.site.address, locale="zh-CN", viewport=WINDOW, reduced_motion="reduce", **options
        )
        page = context.new_page()
        page.add_init_script(TELL)
        self.site.watch(page)
        page.on("response", self._see_answer)
        sign_in_as(page, self.staff[role])
        return page

    def desk_of(self, browser: Browser, role: str) -> Page:
        """The one page the whole walk is made in, at this account's desk."""
        self.desk = self.desk or self.page_of(browser, role)
        sign_in_as(self.desk, self.staff[role])
        return self.desk

    def asks(self, role: str) -> httpx.Client:
        """The same account without a browser."""
        return httpx.Client(base_url=self.site.address, headers=self.staff[role].headers, timeout=60)

    def _see_answer(self, answer: Any) -> None:
        if answer.status >= 400 and answer.request.resource_type != "document":
            self.site.complaints.append(f"{answer.status} {answer.url}")

    def examine(self, page: Page, template: str, role: str, seen: dict[str, Any]) -> Iterator[str]:
        """What was not examined yet: the page of this address, and each kind of element."""
        first = template not in self.opened
        self.opened.setdefault(template, role)
        if first or not self.kinds.issuperset(seen["kinds"]):
            self.kinds.update(seen["kinds"])
            yield from violations(page)
            if not self.printed.issuperset(seen["inside"]):
                self.printed.update(seen["inside"])
                yield from (f"on paper: {one}" for one in violations_on_paper(page))
            yield from faults_of_width(page)
            if first:
                yield from faults_at_twice_the_size(page)


@pytest.fixture(scope="module")
def world(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    clone_template(cluster, "every_page")
    urls, home = cluster.urls("every_page"), tmp_path_factory.mktemp("every_page")
    settings = load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit,
        fictitious_prefixes=("999001",), demo=True, requests_per_minute=10_000_000,
        accounts={"second_factor_roles": []},
    )  # fmt: skip
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub:
        matrix = found_matrix(hub, catalogue)
        staff = staff_of(matrix)
        stock(matrix, catalogue)
        with _served(hub) as address:
            world = World(matrix, Site(hub, address), staff, places_of(matrix))
            yield world
    worker.close()
    served.close()
    execute(cluster, "DROP DATABASE every_page WITH (FORCE)")


@pytest.fixture
def quiet(world: World) -> Iterator[World]:
    """Nothing was asked of others, the browser had nothing to complain about."""
    world.site.complaints.clear()
    yield world
    assert world.site.elsewhere == [], "the panel asked for something outside the hub"
    assert world.site.complaints == [], "the browser complained"


@pytest.mark.parametrize("role", ROLES)
def test_every_page_a_role_may_open_is_in_good_order(quiet: World, browser: Browser, role: str) -> None:
    page, walk = quiet.desk_of(browser, role), quiet.walk(role)
    faults: list[str] = []
    with quiet.asks(role) as client:
        for place, href in walk.addresses(page):
            faults += [f"{place.template} {href}: {fault}" for fault in visit(quiet, page, place, href, walk)]
            if place.template in quiet.opened and quiet.opened[place.template] == role:
                faults += [f"{place.template} {href}: {fault}" for fault in in_english(page, client, href)]
        faults += dead_links(walk, client)
    assert not faults, "\n".join(faults)
    assert len(walk.visited) >= 5
    quiet.walked.add(role)


def visit(world: World, page: Page, place: Place, href: str, walk: Walk) -> Iterator[str]:
    answer = page.goto(href, wait_until="domcontentloaded")
    assert answer is not None
    guessed = not walk.is_linked(href) or (place.template in NEEDS_A_LINK and href not in walk.links)
    if guessed and answer.status in (400, 403, 404, 409):
        walk.visited.pop(href)
        return  # nobody led here: a guess, and the hub said so, on a page
    seen = look_at(page, answer)
    yield from faults_of(seen, answer.status, sheets=is_stack(href))
    if seen["told"] != seen["served"]:
        yield f"{seen['served']} came, a script made {seen['told']} of it"
    if answer.status == 200:
        yield from world.examine(page, place.template, walk.who.role, seen)


def is_stack(href: str) -> bool:
    return any(part in href for part in SHEETS)


def dead_links(walk: Walk, client: httpx.Client) -> Iterator[str]:
    """A link leads to a page or a file, and to one that its reader may open."""
    for href, here in walk.links.items():
        place = walk.place_of(href)
        if place is None or not place.route.open_to(walk.who):
            yield f"{here}: the link to {href} leads nowhere"
        elif place.is_download and walk.is_first_download(place):
            status = client.get(href).status_code
            if status != 200:
                yield f"{here}: {href} answers {status}"


def in_english(page: Page, client: httpx.Client, href: str) -> Iterator[str]:
    """The same page as it is sent to who reads English, put in the place of the one that is open."""
    answer = client.get(href, headers={"Cookie": client.headers["Cookie"] + "; __Host-lang=en"})
    page.evaluate(PUT_IN, answer.text)
    own = [text for text in page.evaluate(UNTRANSLATED) if not any(name in text for name in NAMES)]
    faults = faults_of(look_at(page), answer.status_code, "en", is_stack(href)) + own + faults_of_width(page)
    yield from (f"in English: {fault}" for fault in faults)


def test_no_page_was_left_out(world: World) -> None:
    """Every page was opened by somebody, with something on it."""
    if not world.walked >= ROLES.keys():
        pytest.skip("not everybody has walked")
    left = {one.template for one in world.places if one.is_page} - world.opened.keys()
    assert left == set(), sorted(left)


@pytest.mark.parametrize("role", DESKS)
def test_the_main_pages_of_a_desk_say_the_same_without_scripts(quiet: World, browser: Browser, role: str) -> None:
    """In a browser that runs none; that the hub sends every page whole is seen on each of them."""
    page, plain = quiet.desk_of(browser, role), quiet.page_of(browser, role, java_script_enabled=False)
    page.goto("/", wait_until="domcontentloaded")
    hrefs = page.eval_on_selector_all("nav.tabs a", "(many) => many.map((one) => one.getAttribute('href'))")
    assert len(hrefs) >= 4
    told = {}
    for href in hrefs:
        told[href] = [_words_of(one, href) for one in (page, plain)]
    plain.context.close()
    assert {href: both for href, both in told.items() if both[0] != both[1] and href not in GROWS} == {}


def _words_of(page: Page, href: str) -> list[str]:
    page.goto(href, wait_until="domcontentloaded")
    words: list[str] = page.eval_on_selector_all(WORDS, "(many) => many.map((one) => one.name || one.textContent)")
    return words


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_may_not_open_is_refused_on_a_page_that_leads_back(
    quiet: World, browser: Browser, role: str
) -> None:
    page, walk = quiet.desk_of(browser, role), quiet.walk(role)
    with quiet.asks(role) as client:
        assert wrongly_open(walk, client) == []
    shown = page.goto(walk.own_address(next(one for one in closed_to(walk) if one.is_page)))
    assert shown is not None and shown.status == 403
    assert [*quiet.examine(page, "refused", role, look_at(page, shown))] == []
    page.click("main >> text=回到首页")
    expect(page.locator("h1")).not_to_have_text("无权访问")


def closed_to(walk: Walk) -> list[Place]:
    return [one for one in walk.places if not one.route.open_to(walk.who)]


def wrongly_open(walk: Walk, client: httpx.Client) -> list[str]:
    closed = closed_to(walk)
    assert closed
    answers = [(one.template, client.get(walk.own_address(one))) for one in closed]
    said = ("<h1>无权访问</h1>", '<a href="/">回到首页</a>')
    return [
        f"{template}: {one.status_code}"
        for template, one in answers
        if one.status_code != 403 or not all(part in one.text for part in said)
    ]


def test_a_page_given_to_a_wrong_role_is_found(world: World) -> None:
    """An auditor who should not have been given the audit: the pages of that right are named."""
    walk = world.walk("auditor")
    walk.who = replace(walk.who, rights=walk.who.rights - {Right.READ_AUDIT})
    with world.asks("auditor") as client:
        found = wrongly_open(walk, client)
    assert "/audit: 200" in found


def test_what_is_planted_is_found(world: World, browser: Browser) -> None:
    """A picture without words, faint letters, a script in the page, a file from elsewhere: the nets hold."""
    page = world.page_of(browser, "department_clerk")
    page.goto("/account")
    assert violations(page) == []
    page.evaluate(
        "document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=/static/icon.svg><p id=faint>太淡的字</p>');"
        "document.getElementById('faint').style.color = '#bbb'"
    )
    assert {one.split(":")[0] for one in violations(page)} == {"image-alt", "color-contrast"}
    page.evaluate("document.querySelector('main').style.width = '1600px'")
    assert any("px wide" in one for one in faults_of_width(page))
    page.evaluate("document.querySelector('#faint').innerHTML = '<a href=/>盖住的链接</a>'")
    page.evaluate("document.querySelector('.skip').style.cssText = 'position: fixed; inset: 0; z-index: 9'")
    assert any("is hidden at" in one for one in faults_at_twice_the_size(page))

    def with_script(route: Route) -> None:
        answer = route.fetch()
        planted = "</h1><script>window.planted = true</script><img src='/static/none.svg' alt=''>"
        route.fulfill(response=answer, body=answer.text().replace("</h1>", planted))

    world.site.complaints.clear()
    page.route("**/account", with_script)
    page.goto("/account")
    assert page.evaluate("window.planted") is None
    told = " ".join(world.site.complaints)
    assert "policy: script-src" in told and "404" in told
    assert faults_of(look_at(page) | {"text": "{{ name }}"}, 200) == ["raw text ['{{', '}}']"]
    page.context.close()


def test_the_first_page_comes_in_sixty_kilobytes(quiet: World, browser: Browser) -> None:
    """Signed in, nothing kept from before: what the line carries until the first page stands."""
    weights = {}
    for role in ROLES:
        sizes: list[int] = []
        page = quiet.page_of(browser, role)
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.loadingFinished", lambda told, sizes=sizes: sizes.append(told["encodedDataLength"]))
        page.goto("/", wait_until="networkidle")
        weights[role] = sum(sizes)
        assert len(sizes) >= 4
        page.context.close()
    print(f"\nfirst page: {weights}")
    assert {role: size for role, size in weights.items() if size > MOST_BYTES} == {}


def test_the_door_itself_is_in_good_order(quiet: World, browser: Browser) -> None:
    """The sign-in page, and what it says to a wrong password."""
    page = browser.new_context(base_url=quiet.site.address, locale="zh-CN", reduced_motion="reduce").new_page()
    page.add_init_script(TELL)
    quiet.site.watch(page)
    answer = page.goto("/sign-in")
    assert answer is not None and faults_of(look_at(page), answer.status) == []
    assert violations(page) + violations_on_paper(page) + faults_at_twice_the_size(page) == []
    page.fill("#login", "sweep-clerk")
    page.fill("#password", "nobody knows")
    page.click("main button[type=submit]")
    page.wait_for_selector(".alert-box.error")
    assert violations(page) == []
    sign_in(page, "sweep-clerk")
    page.context.close()


def test_every_role_has_a_page_that_others_have_not() -> None:
    """The sweep would not notice a right that opens nothing."""
    assert all(rights > {Right.SIGNED_IN} for rights in ROLES.values())
