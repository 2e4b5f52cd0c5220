"""The registry's pages: who takes part, where, and under which columns; each reader sees what is theirs to know."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.database import Database
from hub.registry.area_changes import merge_areas, recode_area
from hub.registry.areas import load_area_index
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, add_staff, enter_school, visitor
from tests.doors import TOWN, VILLAGE, Hub, founded_hub

Client = TestClient[Litestar]


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        add_staff(hub)
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


@pytest.fixture
def bureau(hub: Hub, client: Client) -> Visitor:
    return visitor(hub, client, "quju")


def test_the_list_is_searched_by_name_and_kind_and_says_who_is_out(hub: Hub, bureau: Visitor) -> None:
    enter_school(hub)
    every = bureau.get("/organisations").text
    assert "云岭区教育局" in every and "清溪街道" in every and 'href="/areas/' in every
    towns = bureau.get("/organisations?kind=town").text
    assert "清溪街道" in towns and "云岭区教育局" not in towns
    assert "云岭区教育局" in bureau.get("/organisations?text=教育").text
    assert "云岭区教育局" not in bureau.get("/organisations?text=教育%25局_").text
    assert "没有符合条件的单位" in bureau.get("/organisations?state=off").text


def test_each_sees_of_an_organisation_what_is_theirs_to_know(hub: Hub, client: Client, bureau: Visitor) -> None:
    """The bureau counts accounts, the administrator sees logins and no ledger, a data officer their own desk alone."""
    page = bureau.get("/organisations/labour").text
    assert "在用账号 2 个" in page and "renshe" not in page and "报送次数" in page
    administrator = visitor(hub, client, "xitong").get("/organisations/labour").text
    assert (
        "renshe" in administrator and "报送次数" not in administrator and "/access-requests/new/save-" in administrator
    )
    officer = visitor(hub, client, "shuju")
    own, other = officer.get("/organisations/labour").text, officer.get("/organisations/health").text
    assert "renshe" in own and "接口" in own
    assert "weishu" not in other and "系统密钥" not in other.partition("<main")[2]
    assert bureau.get("/organisations/nobody").status_code == 404


def test_an_areas_history_tells_its_old_names_and_what_it_went_into(hub: Hub, bureau: Visitor) -> None:
    with hub.served.begin() as connection:
        codes = load_area_index(connection).codes
        kept, gone = codes[VILLAGE], codes["999001001002"]
        recode_area(connection, SYSTEM_ACTOR, kept, "999001001009", "光明新社区", date(2021, 5, 1))
        merge_areas(connection, SYSTEM_ACTOR, [gone], kept, date(2022, 3, 1))
    town = bureau.get(f"/areas/{codes[f'{TOWN}000']}").text
    assert "光明新社区" in town and "和平社区" not in town
    page = bureau.get(f"/areas/{kept}").text
    assert "光明社区" in page and "2021-05-01" in page and "代码变更" in page and "2022-03-01 并入本区划" in page
    assert f'2022-03-01 并入 <a href="/areas/{kept}"' in bureau.get(f"/areas/{gone}").text
    found = bureau.get("/areas?text=光明社区").text
    assert f'href="/areas/{kept}"' in found and "光明新社区" in found
    assert "2022-03-01 起不再使用" in bureau.get("/areas?text=999001001002").text
    assert bureau.get("/areas/987654").status_code == 404


def test_no_page_of_areas_grows_with_the_register(hub: Hub, bureau: Visitor) -> None:
    from hub.registry.areas import AreaRow, import_areas

    rows = [AreaRow(f"999001001{n:03d}", f"新村{n}", "village", "999001001000") for n in range(100, 260)]
    with hub.served.begin() as connection:
        import_areas(connection, SYSTEM_ACTOR, rows, date(2020, 1, 1))
        town = load_area_index(connection).codes[TOWN]
    page = bureau.get(f"/areas/{town}").text
    assert page.count("新村") == 98 and "after=999001001197" in page
    assert bureau.get(f"/areas/{town}?after=999001001197").text.count("新村") == 62


def test_a_mapping_shows_its_columns_codes_errors_and_place(bureau: Visitor, catalogue: Catalogue) -> None:
    listed = bureau.get("/mappings?organisation=public_security").text
    assert "/mappings/public_security/hukou_move_in" in listed and "/mappings/labour" not in listed
    page = bureau.get("/mappings/public_security/hukou_move_in").text
    assert "公民身份号码" in page and "居民身份证号" in page and "E_ID_CHECK" in page and "GB/T 2261.1" in page
    assert "public_security/hukou_move_in.toml" in page and catalogue.version[:12] in page
    assert "/work" not in page and "/home" not in page
    assert bureau.get("/mappings/public_security/nothing").status_code == 404
    for one in catalogue.mappings.values():
        assert bureau.get(f"/mappings/{one.organisation}/{one.record_type}").status_code == 200, one.file
