"""What a town takes along on paper: its list, a card a household, a slip for one person; its own area's alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub.__main__ import app
from hub.database import new_uuid
from hub.embedded import Cluster
from hub.registry.api_keys import issue_key
from hub.registry.permissions import SYSTEM_ACTOR, Right
from mappings.catalogue import Catalogue
from tests.decisions import read
from tests.desk_visits import Visitor, visitor
from tests.doors import OTHER_TOWN, THIS_MONTH, TOWN, Hub
from tests.fresh_databases import FreshDatabases
from tests.paper_hub import BOTH_TOWNS, HUSBAND, MOTHER, NAMESAKE, book_of, lines_of, papered_hub
from tests.round_hub import items_of

PAGES = ("list.xlsx", "cards.xlsx", "print", "cards")
HERE, THERE = "光明社区", "松坪村"


@pytest.fixture(scope="module")
def hub(
    cluster: Cluster, fresh_databases: FreshDatabases, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    with papered_hub(cluster, fresh_databases, catalogue, tmp_path_factory.mktemp("prints")) as hub:
        yield hub


@pytest.fixture(scope="module")
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


@pytest.fixture
def town(hub: Hub, client: TestClient[Litestar]) -> Visitor:
    return visitor(hub, client, "qingxi")


def at(page: str, month: str = THIS_MONTH) -> str:
    return f"/rounds/{month}/{page}"


def item_named(hub: Hub, town: str, name: str) -> UUID:
    return next(UUID(str(one["item_id"])) for one in items_of(hub, town) if one["name"] == name)


def downloads(hub: Hub) -> dict[str, Any]:
    return dict(read(hub, "SELECT organisation, downloaded_at FROM {d}.round_town"))


def readings(hub: Hub) -> list[Any]:
    return [facts for (facts,) in read(hub, "SELECT facts FROM {d}.audit WHERE object LIKE 'round/%' ORDER BY at")]


def test_the_first_download_is_remembered_and_every_one_is_noted(hub: Hub, town: Visitor) -> None:
    assert downloads(hub) == {TOWN: None, OTHER_TOWN: None}
    answer = town.get(at("list.xlsx"))
    assert answer.status_code == 200 and len(lines_of(book_of(answer.content))) == 9
    first = downloads(hub)
    assert first[TOWN] is not None and first[OTHER_TOWN] is None
    town.get(at("list.xlsx"))
    assert downloads(hub) == first
    noted = [facts for facts in readings(hub) if facts.get("purpose") == "monthly-check/workbook"]
    assert [facts["count"] for facts in noted] == [9, 9] and len(noted[0]["digest"]) == 64
    assert [facts for facts in readings(hub) if "first_download" in facts] == [{"first_download": True}]


@pytest.mark.parametrize("page", PAGES)
def test_nobody_but_a_town_gets_any_of_it(hub: Hub, client: TestClient[Litestar], page: str) -> None:
    for login in ("gongan", "fuyou", "quju", "shenji"):
        assert visitor(hub, client, login).get(at(page)).status_code == 403, login


@pytest.mark.parametrize("page", PAGES)
def test_a_month_that_is_none_or_has_no_round_is_refused(town: Visitor, page: str) -> None:
    assert town.get(at(page, "2026-13")).status_code == 400
    assert town.get(at(page, "%2e%2e")).status_code in (400, 404)
    assert town.get(at(page, "2001-01")).status_code == 404


def test_each_town_prints_its_own_lines(hub: Hub, client: TestClient[Litestar], town: Visitor) -> None:
    pages = {"qingxi": town.get(at("print")).text, "bailu": visitor(hub, client, "bailu").get(at("print")).text}
    assert HERE in pages["qingxi"] and THERE not in pages["qingxi"]
    assert THERE in pages["bailu"] and HERE not in pages["bailu"]
    for page in pages.values():
        assert "结婚登记" in page and "建册" not in page
        assert "999001********" in page and not re.search(r"999001\d{11}[\dX]", page)
    assert "=王" in pages["qingxi"] and "清溪街道 qingxi 于" in pages["qingxi"]
    forged = town.get(at("print") + f"?town={OTHER_TOWN}").text
    assert THERE not in forged


def test_a_card_is_one_household_with_who_is_known_to_live_there(town: Visitor) -> None:
    page = town.get(at("cards")).text
    cards = page.split('<section class="card-page">')[1:]
    (family,) = [card for card in cards if "H-01" in card]
    assert "光明社区2组8号" in family
    assert "周德（" in family and "李梅（" in family
    assert "结婚登记" in family and "出生医学证明签发" in family
    assert len(cards) == 8 and not re.search(r"999001\d{11}[\dX]", page)


def test_cards_in_a_workbook_have_a_page_each(town: Visitor) -> None:
    sheet = book_of(town.get(at("cards.xlsx")).content)["入户核对卡"]
    assert len(sheet.row_breaks.brk) == 7
    said = "\n".join(str(cell.value) for row in sheet.iter_rows() for cell in row if cell.value)
    assert said.count("户编码：H-01") == 1 and "周德（" in said and HUSBAND not in said and MOTHER not in said
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value} == {"s"}


def test_a_slip_tells_one_person_and_has_a_part_to_send_back(hub: Hub, town: Visitor) -> None:
    item = item_named(hub, TOWN, "郑第一")
    page = town.get(at(f"notice/{item}")).text
    assert "人口变动通知单" in page and "回执联" in page and "郑第一" in page and "和平社区" in page
    assert "郑第二" not in page and "□ 属实" in page
    number = re.findall(rf"{THIS_MONTH.replace('-', '')}-{TOWN}-\d{{4}}", page)
    assert len(set(number)) == 1 and len(number) >= 2


def test_another_towns_slip_or_one_of_another_month_is_not_there(hub: Hub, town: Visitor) -> None:
    theirs, own = item_named(hub, OTHER_TOWN, "郑第一"), item_named(hub, TOWN, "郑第一")
    assert town.get(at(f"notice/{theirs}")).status_code == 404
    assert town.get(at(f"notice/{own}", "2001-01")).status_code == 404
    assert town.get(at(f"notice/{new_uuid()}")).status_code == 404


def test_the_papers_frames_are_in_english_when_asked(town: Visitor) -> None:
    assert "Visit cards" in town.get(at("cards"), "en").text
    assert "Others involved" in town.get(at("print"), "en").text


def test_a_towns_own_system_fetches_its_list_and_nobody_elses_does(hub: Hub, client: TestClient[Litestar]) -> None:
    with hub.served.begin() as connection:
        scopes = frozenset({Right.READ_CHANGE_LIST, Right.SIGNED_IN})
        key = issue_key(connection, SYSTEM_ACTOR, organisation=OTHER_TOWN, title="村务系统", scopes=scopes).text
    client.cookies.clear()
    path = f"/v1{at('list.xlsx')}"
    answer = client.get(path, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200 and len(lines_of(book_of(answer.content))) == 5
    assert client.get(path, headers=hub.key_of("health")).status_code == 403
    assert client.get(path).status_code == 401


# ---- from the machine itself ----


def run(hub: Hub, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    urls = {"DATABASE": hub.settings.database_url, "WORKER": hub.settings.worker_url, "OWNER": hub.settings.owner_url}
    for name, url in urls.items():
        monkeypatch.setenv(f"HUB_{name}_URL", url or "")
    hub.settings.home.mkdir(parents=True, exist_ok=True)
    (hub.settings.home / "hub.toml").write_text('fictitious_prefixes = ["999001"]\n')
    return CliRunner().invoke(app, ["round", *arguments, "--home", str(hub.settings.home)])


def test_the_operator_exports_every_towns_list_and_sends_one_back(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "list.xlsx"
    assert run(hub, monkeypatch, "export", "--month", THIS_MONTH, "-o", str(target)).exit_code == 0
    counted = {code: len(lines_of(book_of((tmp_path / f"list-{code}.xlsx").read_bytes()))) for code in BOTH_TOWNS}
    assert counted == {TOWN: 9, OTHER_TOWN: 5}
    cards = run(hub, monkeypatch, "export", "--month", THIS_MONTH, "--town", TOWN, "--cards", "-o", str(target))
    sheet = book_of(target.read_bytes())["入户核对卡"]
    said = "\n".join(str(cell.value) for row in sheet.iter_rows() for cell in row if cell.value)
    assert cards.exit_code == 0 and "李梅（" in said and NAMESAKE not in said
    sent = run(hub, monkeypatch, "return", str(tmp_path / f"list-{OTHER_TOWN}.xlsx"), "--as", OTHER_TOWN, "--json")
    assert sent.exit_code == 0 and json.loads(sent.stdout)["receipt"].startswith("HR")


@pytest.mark.parametrize("asked", [("2026-13", TOWN), (THIS_MONTH, "999001999"), (THIS_MONTH, "health")])
def test_a_month_or_a_town_that_is_none_is_refused(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, str]
) -> None:
    target = tmp_path / "list.xlsx"
    made = run(hub, monkeypatch, "export", "--month", asked[0], "--town", asked[1], "-o", str(target))
    assert made.exit_code != 0 and not target.exists()
