"""Every route × role × kind of organisation × own or another's: who gets in, and that nobody else's data comes out.

Twice: as the hub is, and with every Scope saying yes, so that row security and grants stand alone.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from io import BytesIO

import pytest
from sqlalchemy import true

from admin.lists.every import EVERY
from hub.database import Database
from hub.embedded import Cluster
from hub.registry.permissions import ROLES, Right
from hub.registry.scope import Scope
from hub.settings import load_settings
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.doors import TOWN, founded_hub
from tests.matrix_hub import CLINICAL, SENDERS, Asking, Matrix, Route, ask, file_of, found_matrix, routes_of
from tests.straight import Answer, Straight, straight_to

NAMED_BEHIND = ("/quality/rows", "/quality/trend", "/matrix/rows")  # a unit stands behind the address
SUBSCRIBERS = ("health", "labour", TOWN)  # labour has none: nothing is there
ENDS_ITS_SESSION = ("/sign-out", "/account/", "/password", "/second-factor", "/sign-in")


@pytest.fixture(scope="module")
def matrix(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    clone_template(cluster, "matrix")
    urls, home = cluster.urls("matrix"), tmp_path_factory.mktemp("matrix")
    settings = load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit,
        fictitious_prefixes=("999001",),
        demo=True, requests_per_minute=10_000_000, accounts={"second_factor_roles": []},
    )  # fmt: skip
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub:
        yield found_matrix(hub, catalogue)
    worker.close()
    served.close()
    execute(cluster, "DROP DATABASE matrix WITH (FORCE)")


@pytest.fixture
def client(matrix: Matrix) -> Iterator[Straight]:
    with straight_to(matrix.hub.app) as client:
        yield client


def body_of(answer: Answer) -> str:
    """What came back as text; a workbook's cells as well."""
    if answer.content[:2] == b"PK":
        with zipfile.ZipFile(BytesIO(answer.content)) as workbook:
            return "".join(workbook.read(name).decode("utf-8", "replace") for name in workbook.namelist())
    return answer.text


def leaks_in(matrix: Matrix, route: Route, who: Asking | None, text: str) -> list[str]:
    """Numbers, names, clinical values and lines of the ledger in an answer to somebody who may not know them."""
    if who is not None and Right.UNMASK in who.rights and "unmask" in route.template:
        return [CLINICAL] if CLINICAL in text else []  # a reasoned act; what it may show is tested with it
    strangers = [one for one in matrix.people if who is None or not matrix.may_know(who, one)]
    found = [value for one in strangers for value in (one.number, one.name) if value in text]
    if who is None or Right.READ_ALL_SUBMISSIONS not in who.rights:
        found += [file_of(each) for each in SENDERS if file_of(each) in text and (not who or who.organisation != each)]
    if CLINICAL in text and (who is None or who.kind != "care"):
        found.append(CLINICAL)
    return found


def owners_for(route: Route) -> tuple[str, ...]:
    """Whose ids to fill in: of everybody who has such a thing, once where the address names nothing."""
    if "{code" in route.template:
        return SUBSCRIBERS
    return tuple(SENDERS) if "{" in route.template or route.template in NAMED_BEHIND else ("labour",)


def sweep(matrix: Matrix, client: Straight, within: str = "") -> tuple[int, list[str], list[str]]:
    return client.run(_sweep(matrix, client, within))


async def _sweep(matrix: Matrix, client: Straight, within: str) -> tuple[int, list[str], list[str]]:
    """Ask everything; how often, the leaks, and whoever got in or was kept out against the declared right."""
    asked, leaks, wrong = 0, [], []
    for route in [each for each in routes_of(matrix.hub.app) if within in each.name]:
        for who in (None, *matrix.asking):
            for owner in owners_for(route):
                if who and route.method == "POST" and route.template.startswith(ENDS_ITS_SESSION):
                    continue
                answer = await ask(client, route, who, matrix, owner)
                asked += 1
                place = f"{route.name} by {who.name if who else 'nobody'} at {owner}'s: {answer.status_code}"
                leaks += [f"{place}: {leak}" for leak in leaks_in(matrix, route, who, body_of(answer))]
                if not _as_declared(route, who, answer.status_code):
                    wrong.append(place)
    return asked, leaks, wrong


def _as_declared(route: Route, who: Asking | None, status: int) -> bool:
    """Without the right: refused, or sent to sign in. With it: anything but refused for want of the right."""
    if status >= 500:
        return False
    if Right.PUBLIC in route.rights:
        return True
    knows_them = who is not None and who.machine == route.for_machines
    if not knows_them:
        return status in (401, 403, 303, 302)
    assert who is not None
    return status != 401 if route.open_to(who) else status == 403


def test_every_route_names_rights_that_some_role_or_the_hub_has(matrix: Matrix) -> None:
    held = {Right.PUBLIC} | {right for rights in ROLES.values() for right in rights}
    routes = routes_of(matrix.hub.app)
    assert len(routes) > 30
    assert [one.name for one in routes if not one.rights or not {*one.rights} <= held] == []


def test_nobody_gets_in_without_the_right_and_nothing_of_others_comes_out(matrix: Matrix, client: Straight) -> None:
    asked, leaks, wrong = sweep(matrix, client)
    print(f"\nrights matrix: {asked} requests")
    assert asked > 2_000
    assert leaks == []
    assert wrong == []


def test_no_list_taken_away_as_a_file_holds_anything_of_others(matrix: Matrix, client: Straight) -> None:
    taken, leaks = client.run(_take_lists(matrix, client))
    assert taken > 40
    assert leaks == []


async def _take_lists(matrix: Matrix, client: Straight) -> tuple[int, list[str]]:
    """Every list with all its columns, by everybody it is for; how many files, and the leaks."""
    taken, leaks = 0, []
    routes = {one.template: one for one in routes_of(matrix.hub.app) if one.method == "GET"}
    for page in EVERY.values():
        columns = ",".join(one.code for one in page.columns)
        for who in [one for one in matrix.asking if not one.machine and routes[page.path].open_to(one)]:
            answer = await client.request("GET", f"{page.path}?export=xlsx&columns={columns}", headers=who.headers)
            found = leaks_in(matrix, routes[page.path], who, body_of(answer))
            leaks += [f"{page.path} by {who.name}: {leak}" for leak in found]
            taken += answer.content[:2] == b"PK"
    return taken, leaks


def test_with_every_scope_saying_yes_row_security_and_grants_hold_alone(
    matrix: Matrix, client: Straight, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_scopes_off(monkeypatch)
    for within in ("GET /", "unmask"):
        asked, leaks, _ = sweep(matrix, client, within)
        assert asked > 100
        assert leaks == []


def switch_scopes_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every predicate true, every question yes."""
    for name in ("submissions", "counts", "row_errors", "own_subscriptions", "records_in_areas", "records_sent",
                 "records", "people"):  # fmt: skip
        monkeypatch.setattr(Scope, name, lambda self, *columns: true())
    for name in ("may_see_clinical", "may_see_type", "stored_file", "in_own_areas"):
        monkeypatch.setattr(Scope, name, lambda self, *asked: True)


def test_with_both_walls_down_the_matrix_finds_the_leaks(
    matrix: Matrix, client: Straight, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two tests above can fail: a hub without either wall gives others' rows away."""
    switch_scopes_off(monkeypatch)
    monkeypatch.setattr(matrix.hub.served, "begin", matrix.hub.worker.begin)
    _, leaks, _ = sweep(matrix, client, within="GET /submissions")
    assert leaks
