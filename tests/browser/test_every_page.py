"""Every page of every desk, as every role, in a real Chromium: it opens for whoever may, and everybody can use it.

A page is examined by axe, printed, and in small windows once for each of its looks: where a role's page has the same
kinds of elements in the same places as one that was examined (tags, classes, attributes; the main part and what stands
around it apart), nothing new could be found in it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from hub.database import Database
from hub.embedded import Cluster
from hub.registry.permissions import ROLES, Right
from hub.settings import load_settings
from mappings.catalogue import Catalogue
from tests.browser.axe import violations, violations_on_paper
from tests.browser.conftest import Site, _served, sign_in
from tests.browser.every_page import Place, Walk, places_of, sign_in_as
from tests.browser.page_looks import faults_in_small_windows, faults_of, look_at
from tests.browser.page_world import staff_of, stock
from tests.browser.test_journeys import UNTRANSLATED
from tests.conftest import clone_template, execute
from tests.doors import AREAS, founded_hub
from tests.matrix_hub import Asking, Matrix, found_matrix

pytestmark = pytest.mark.browser
MOST_BYTES = 60_000  # of the first page, with everything it loads, as it comes over the line
SHEETS = ("/cards", "/notice/")  # papers for the village, printed in a stack
NEEDS_A_LINK = ("/quality/rows", "/quality/trend")  # what they show is chosen on the page before
GROWS = ("/audit",)  # by a line for each time it is read
TELL = (
    "document.addEventListener('securitypolicyviolation', (told) => console.error('policy: ' + told.violatedDirective))"
)


NAMES = [area.name for area in AREAS]  # nobody translates them, in a title or beside a bar


@dataclass
class World:
    """The hub with something on every page, who walks through it, and which looks were examined."""

    matrix: Matrix
    site: Site
    staff: dict[str, Asking]
    places: list[Place]
    examined: set[str] = field(default_factory=set)

    def walk(self, role: str) -> Walk:
        return Walk(self.matrix, self.staff[role], self.places)

    def page_of(self, browser: Browser, role: str, language: str = "zh", **options: Any) -> Page:
        window = {"width": 1280, "height": 860}
        page = browser.new_context(
            base_url=self.site.address, locale="zh-CN", viewport=window, reduced_motion="reduce", **options
        ).new_page()  # type: ignore[arg-type]
        page.add_init_script(TELL)
        self.site.watch(page)
        page.on("response", self._see_answer)
        sign_in_as(page, self.staff[role], language)
        return page

    def _see_answer(self, answer: Any) -> None:
        if answer.status >= 400 and answer.request.resource_type != "document":
            self.site.complaints.append(f"{answer.status} {answer.url}")

    def is_new(self, seen: dict[str, Any]) -> bool:
        """Whether there is anything on this page that was not examined yet."""
        looks = {seen["inside"], seen["around"]}
        new = not looks <= self.examined
        self.examined |= looks
        return new


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
            yield World(matrix, Site(hub, address), staff, places_of(matrix))
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
    page, walk = quiet.page_of(browser, role), quiet.walk(role)
    faults: list[str] = []
    seen_of: dict[str, dict[str, Any]] = {}
    for place, href in walk.addresses(page):
        faults += [f"{place.template} {href}: {fault}" for fault in visit(quiet, page, place, href, walk, seen_of)]
    faults += dead_links(walk, page)
    page.context.close()
    first_to_open = {href: seen for href, seen in seen_of.items() if first_role(walk, href) == role}
    faults += without_scripts(quiet, browser, role, first_to_open)
    faults += in_english(quiet, browser, role, list(first_to_open))
    assert not faults, "\n".join(faults)
    assert len(walk.visited) >= 5


def visit(
    world: World, page: Page, place: Place, href: str, walk: Walk, seen_of: dict[str, dict[str, Any]]
) -> Iterator[str]:
    answer = page.goto(href, wait_until="domcontentloaded")
    assert answer is not None
    seen = look_at(page)
    guessed = not walk.is_linked(href) or (place.template in NEEDS_A_LINK and href not in walk.links)
    if guessed and answer.status in (400, 403, 404, 409):
        return  # nobody led here: a guess, and the hub said so, on a page
    seen_of[href] = seen
    yield from faults_of(seen, answer.status, sheets=is_stack(href))
    if world.is_new(seen):
        yield from violations(page)
        yield from (f"on paper: {one}" for one in violations_on_paper(page))
        yield from faults_in_small_windows(page)


def is_stack(href: str) -> bool:
    return any(part in href for part in SHEETS)


def dead_links(walk: Walk, page: Page) -> Iterator[str]:
    """A link leads to a page or a file, and to one that its reader may open."""
    for href, here in walk.links.items():
        place = walk.place_of(href)
        if place is None or not place.route.open_to(walk.who):
            yield f"{here}: the link to {href} leads nowhere"
        elif place.is_download and walk.is_first_download(place):
            status = page.request.get(href).status
            if status != 200:
                yield f"{here}: {href} answers {status}"


def first_role(walk: Walk, href: str) -> str:
    place = walk.place_of(href)
    assert place is not None
    return next((role for role, rights in ROLES.items() if rights & {*place.route.rights}), "auditor")


def without_scripts(world: World, browser: Browser, role: str, seen_of: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The same heading, the same tables with as many rows."""
    page = world.page_of(browser, role, java_script_enabled=False)
    for href, before in seen_of.items():
        page.goto(href, wait_until="domcontentloaded")
        seen = look_at(page)
        told = [(one["headings"], one["rows"]) for one in (before, seen)]
        if told[0] != told[1] and href not in GROWS:
            yield f"{href}: {told[0]} with scripts, {told[1]} without"
    page.context.close()


def in_english(world: World, browser: Browser, role: str, hrefs: list[str]) -> Iterator[str]:
    page = world.page_of(browser, role, language="en")
    page.set_viewport_size({"width": 1024, "height": 700})
    for href in hrefs:
        answer = page.goto(href, wait_until="domcontentloaded")
        assert answer is not None
        own = [text for text in page.evaluate(UNTRANSLATED) if not any(name in text for name in NAMES)]
        faults = faults_of(look_at(page), answer.status, "en", is_stack(href)) + own
        yield from (f"{href} in English: {fault}" for fault in faults)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            yield f"{href} in English: hangs over the edge"
    page.context.close()


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_may_not_open_is_refused_on_a_page_that_leads_back(
    quiet: World, browser: Browser, role: str
) -> None:
    page, walk = quiet.page_of(browser, role), quiet.walk(role)
    closed = [one for one in walk.places if not one.route.open_to(walk.who)]
    assert closed
    wrong = []
    for place in closed:
        answer = page.request.get(walk.own_address(place), headers={"Accept": "text/html"}, max_redirects=0)
        text = answer.text()
        if answer.status != 403 or "<h1>无权访问</h1>" not in text or '<a href="/">回到首页</a>' not in text:
            wrong.append(f"{place.template}: {answer.status}")
    assert wrong == []
    shown = page.goto(walk.own_address(next(one for one in closed if one.is_page)))
    assert shown is not None and shown.status == 403
    assert violations(page) + violations_on_paper(page) + faults_in_small_windows(page) == []
    page.click("main >> text=回到首页")
    assert page.locator("h1").inner_text() != "无权访问"
    page.context.close()


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
    assert any("px wide" in one for one in faults_in_small_windows(page))

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
        page, sizes = quiet.page_of(browser, role), []
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
    assert violations(page) + violations_on_paper(page) + faults_in_small_windows(page) == []
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
