"""The demo comes out as its truth says, and its pages are the pictures of the handbooks and the README.

``HUB_PICTURES=docs/zh/pictures`` keeps them; otherwise they are taken and thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

from admin.handbooks import PLACE
from hub.database import run_sql
from hub.demo.plan import FEWEST_PEOPLE
from hub.demo.run import run
from hub.embedded import Cluster
from mappings.catalogue import Catalogue
from tests.browser.demo_site import DemoSite, demo_district
from tests.browser.pictures import PICTURES, PLACES, Picture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SMALLEST_BYTES = 8_000  # an empty or broken page is smaller


@pytest.fixture(scope="module")
def demo(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    with demo_district(cluster, catalogue, tmp_path_factory.mktemp("demo") / "home", "pictures") as demo:
        yield demo


def test_the_demo_comes_out_exactly_as_its_truth_says(demo: DemoSite) -> None:
    summary = demo.summary
    assert summary.reckoned.wrong == []
    assert summary.feed_problems == []
    assert [one.code for one in summary.slices if not (one.equal and one.acknowledged)] == []
    assert summary.right
    again = run(demo.settings, FEWEST_PEOPLE, once=True)
    assert again.changes == summary.changes


@pytest.mark.browser
def test_every_picture_is_taken_from_the_running_demo(demo: DemoSite, browser: Browser, tmp_path: Path) -> None:
    folder = Path(os.environ.get("HUB_PICTURES", tmp_path))
    places = _find_places(demo)
    faded = []
    for login in dict.fromkeys(one.login for one in PICTURES):
        context = browser.new_context(
            base_url=demo.site.address, locale="zh-CN", viewport={"width": 1200, "height": 780}
        )
        page = context.new_page()
        demo.site.watch(page)
        _sign_in(page, login, demo.passwords[login])
        faded += [one.name for one in PICTURES if one.login == login and not _take(page, one, places, folder)]
        context.close()
    assert faded == []
    assert demo.site.elsewhere == []
    assert demo.site.complaints == []


def test_a_picture_is_kept_for_everything_the_handbooks_and_the_readme_show() -> None:
    kept = {one.stem for one in (PLACE / "pictures").glob("*.png")}
    assert kept == {one.name for one in PICTURES}


def _take(page: Page, picture: Picture, places: dict[str, str], folder: Path) -> bool:
    """Whether the page was there and had something on it."""
    status = 200
    try:
        if picture.act is not None:
            picture.act(page)
        else:
            answer = page.goto(picture.path.format(**places))
            status = answer.status if answer else 0
    except PlaywrightError as wrong:
        print(picture.name, wrong)
        status = 0
    page.evaluate("document.activeElement?.blur()")
    taken = folder / f"{picture.name}.png"
    page.screenshot(path=taken, animations="disabled")
    return status == 200 and page.locator("h1").count() == 1 and taken.stat().st_size > SMALLEST_BYTES


def _find_places(demo: DemoSite) -> dict[str, str]:
    with demo.site.hub.worker.read() as connection:
        found = {name: run_sql(connection, statement) for name, statement in PLACES.items()}
    assert [name for name, rows in found.items() if not rows] == []
    return {name: str(rows[0][0]) for name, rows in found.items()}


def _sign_in(page: Page, login: str, password: str) -> None:
    page.goto("/sign-in")
    page.fill("#login", login)
    page.fill("#password", password)
    page.click("main button[type=submit]")
    page.wait_for_url(lambda url: "/sign-in" not in url)
