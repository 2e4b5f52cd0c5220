"""Help: every page leads to the task it belongs to, in the reader's own handbook; handbooks name no page that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from admin.handbooks import HANDBOOKS, PLACE, TASKS, help_path, read_handbook
from admin.navigation import pages_of
from admin.pages import TEMPLATES
from hub.database import Database
from hub.registry.permissions import ROLES, Actor
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.doors import founded_hub

CATALOGUE = TEMPLATES.parent / "locale" / "en.po"


@pytest.fixture
def client(
    database: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> Iterator[TestClient[Litestar]]:
    with (
        founded_hub(database, app_database, settings, catalogue) as hub,
        TestClient(hub.app, base_url="https://hub.test") as client,
    ):
        yield client


def clerk_of(role: str) -> Actor:
    kind = {"town_officer": "town", "care_worker": "care"}.get(role, "department")
    return Actor(name=role, organisation="health", kind=kind, door="panel", rights=ROLES[role])


@pytest.mark.parametrize("role", [one for one in ROLES if one != "integrator"])
def test_every_page_of_a_desk_leads_to_its_task_in_that_desks_handbook(role: str) -> None:
    reader = clerk_of(role)
    lost = [page.path for page in pages_of(reader) if "#" not in help_path(page.path, reader)]
    assert lost == []


@pytest.mark.parametrize("code", HANDBOOKS)
def test_a_handbook_shows_pictures_and_pages_that_exist(code: str, client: TestClient[Litestar]) -> None:
    text = (PLACE / f"{code}.md").read_text("utf-8")
    pictures = re.findall(r"\]\(pictures/([^)]+)\)", text)
    assert [one for one in pictures if not (PLACE / "pictures" / one).is_file()] == []
    routes = {route.path for route in client.app.routes}
    named = {
        one
        for one in re.findall(r"`(/[a-z][a-z/-]*)`", text)
        if not one.startswith(("/v1", "/in", "/out", "/rejected", "/receipts"))
    }
    assert [one for one in named if not any(path.startswith(one) for path in routes)] == []
    assert len({task.anchor for task in read_handbook(code).tasks}) == len(read_handbook(code).tasks)


@pytest.mark.parametrize("code", HANDBOOKS)
def test_what_a_handbook_tells_to_press_is_written_on_a_page(code: str) -> None:
    on_pages = set(re.findall(r'^msgid "(.*)"$', CATALOGUE.read_text("utf-8"), re.M))
    told = re.findall(r"\*\*([^*]+)\*\*", (PLACE / f"{code}.md").read_text("utf-8"))
    assert [one for one in told if one not in on_pages] == []


def test_help_is_open_before_signing_in_and_shows_nothing_else(client: TestClient[Litestar]) -> None:
    answer = client.get("/help/clerk")
    assert answer.status_code == 200
    assert 'id="start"' in answer.text
    assert client.get("/help/../settings").status_code == 404
    assert client.get("/help/unknown").status_code == 404
    assert client.get("/help/pictures/..%2Fclerk.md").status_code == 404


def test_every_task_that_a_page_names_is_in_some_handbook() -> None:
    known = {task.anchor for code in HANDBOOKS for task in read_handbook(code).tasks}
    assert set(TASKS.values()) - known == set()
