"""The registry's pages: who takes part, where, and under which columns; each reader sees what is theirs to know."""

from __future__ import annotations

from datetime import date

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.registry.area_changes import merge_areas, recode_area
from hub.registry.areas import AreaRow, import_areas, load_area_index
from hub.registry.permissions import SYSTEM_ACTOR
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, enter_school, visitor
from tests.district import enter
from tests.doors import TOWN, VILLAGE, Hub
from tests.list_hub import body_rows, lay_submissions

Client = TestClient[Litestar]
pytestmark = pytest.mark.usefixtures("staff")


def test_the_list_is_searched_by_name_and_kind_and_says_who_is_out(hub: Hub, bureau: Visitor) -> None:
    enter_school(hub)
    every = bureau.get("/organisations").text
    assert "云岭区教育局" in every and "清溪街道" in every and 'href="/areas/' in every
    towns = bureau.get("/organisations?kind=town").text
    assert "清溪街道" in towns and "云岭区教育局" not in towns
    assert "云岭区教育局" in bureau.get("/organisations?text=教育").text
    assert "云岭区教育局" not in bureau.get("/organisations?text=教育%25局_").text
    assert "没有符合条件的单位" in bureau.get("/organisations?state=off").text


def test_the_list_goes_on_behind_a_long_code(hub: Hub, bureau: Visitor) -> None:
    code = "zz_centre_for_everything_else_and_more"
    with hub.served.begin() as connection:
        enter(connection, code, "department")
    behind = body_rows(bureau.get(f"/organisations?sort=-code&after={code}").text)
    assert body_rows(bureau.get("/organisations?sort=-code").text)[1:] == behind != []


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


def test_every_period_of_an_area_has_the_name_its_parent_had_then(hub: Hub, bureau: Visitor) -> None:
    """A town is renamed and then takes another in: villages keep what was so at their dates."""
    rows = [
        AreaRow("999001002000", "旧镇", "town", "999001000000"),
        AreaRow("999001002001", "旧镇一村", "village", "999001002000"),
    ]
    with hub.served.begin() as connection:
        import_areas(connection, SYSTEM_ACTOR, rows, date(2020, 6, 1))
        codes = load_area_index(connection).codes
        town, old = codes[TOWN], codes["999001002000"]
        recode_area(connection, SYSTEM_ACTOR, town, f"{TOWN}000", "清溪新街道", date(2021, 5, 1))
        merge_areas(connection, SYSTEM_ACTOR, [old], town, date(2022, 3, 1))
    listed = [row[:9] for row in body_rows(bureau.get("/areas/history?text=99900100").text)]
    said = {(row[2], row[0]): row for row in listed}
    assert said["旧镇一村", "2022-03-01"][1:] == [
        "至今", "旧镇一村", "999001002001", "村居", "合并", "—", "清溪新街道", "—",
    ]  # fmt: skip
    assert said["旧镇一村", "2020-06-01"][1] == "2022-03-01" and said["旧镇一村", "2020-06-01"][7] == "旧镇"
    assert (
        said["旧镇", "2020-06-01"][1] == "2022-03-01" and said["旧镇", "2020-06-01"][8] == "清溪新街道 2022-03-01 并入"
    )
    assert said["清溪新街道", "2021-05-01"][5:7] == ["更名", "清溪街道"]
    assert {row[7] for (name, _), row in said.items() if name == "光明社区"} == {"清溪街道"}
    assert [row[0] for row in listed] == sorted((row[0] for row in listed), reverse=True)
    merged = {row[2] for row in body_rows(bureau.get("/areas/history?reason=merge").text)}
    assert merged == {"旧镇", "旧镇一村"}
    since = {row[2] for row in body_rows(bureau.get("/areas/history?since=2021-01-01&until=2021-12-31").text)}
    assert since == {"清溪新街道"}
    assert "旧镇" not in bureau.get("/areas").text.partition("<main")[2]
    assert "2022-03-01 起不再使用" in bureau.get("/areas?state=gone").text
    assert bureau.get("/areas/history?since=2021-13-40").status_code == 400


def test_a_columns_name_is_found_in_every_mapping(bureau: Visitor, catalogue: Catalogue) -> None:
    page = bureau.get("/mappings/columns?text=公民身份号码&organisation=public_security").text
    rows = body_rows(page)
    assert rows and {row[0] for row in rows} == {"云岭区公安分局"} and f'<span class="dim">{len(rows)}</span>' in page
    wanted = [
        rule.header
        for its in catalogue.mappings.values()
        if its.organisation == "public_security"
        for rule in its.columns
        if "公民身份号码" in (rule.header, *rule.synonyms) or rule.field == "id_no"
    ]
    assert {*wanted} <= {row[2] for row in rows}
    first = bureau.get("/mappings/columns").text
    many = sum(len(its.columns) for its in catalogue.mappings.values())
    assert len(body_rows(first)) == 100 and f'<span class="dim">{many:,}</span>' in first
    assert 'rel="next"' not in bureau.get(f"/mappings/columns?after={many - many % 100}").text
    assert bureau.get("/mappings/columns?after=-1").status_code == 400


def test_units_are_ordered_by_when_they_last_sent(hub: Hub, bureau: Visitor) -> None:
    lay_submissions(hub, "labour", 2)
    lay_submissions(hub, "public_security", 5)
    newest = [row[0] for row in body_rows(bureau.get("/organisations?sort=-last_sent_at").text)]
    assert newest[:2] == ["云岭区公安分局", "云岭区人社局"]
    assert [row[0] for row in body_rows(bureau.get("/organisations?sort=last_sent_at").text)] == newest[::-1]
