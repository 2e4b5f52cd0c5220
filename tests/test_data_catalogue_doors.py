"""The data catalogue at its doors: for systems, on pages from draft to publication, on the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from openpyxl import load_workbook
from typer.testing import CliRunner

from hub.__main__ import app
from hub.database import Database, run_sql
from hub.settings import Settings
from hub.sharing.entries import list_entries
from hub.sharing.entry_export import as_workbook
from mappings.catalogue import Catalogue
from tests.desk_visits import add_staff, visitor
from tests.district import actor
from tests.doors import Hub, founded_hub

PAGE = "/catalogue/death_certificate"


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        add_staff(founded)
        yield founded


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


def test_a_system_reads_the_catalogue_one_entry_its_versions_and_takes_it_along(
    hub: Hub, client: TestClient[Litestar], catalogue: Catalogue
) -> None:
    def ask(path: str) -> tuple[int, bytes]:
        answer = client.get(f"/v1/catalogue{path}", headers=hub.key_of("labour"))
        return answer.status_code, answer.content

    enabled = [one.code for one in catalogue.record_types.values() if one.enabled]
    listed = json.loads(ask("")[1])
    assert listed["meta"]["count"] == len(enabled)
    one = json.loads(ask("/birth_certificate")[1])
    assert (one["catalogue_no"], one["provider"], one["sharing"]) == ("QX-FY-0001", "mch_station", "conditional")
    assert {item["field"]: item["shared"] for item in one["items"]}["weight_g"] is False
    assert one["open_version"] is None and one["provider_takes_part"] is True
    assert json.loads(ask("/marriage")[1])["provider_takes_part"] is False
    assert [each["version"] for each in json.loads(ask("/birth_certificate/versions")[1])["data"]] == [1]
    status, refused = ask("/nothing")
    assert status == 404 and "没有信息类别 nothing" in refused.decode()
    assert ask("/nothing/versions")[0] == 404
    assert {each["record_type"] for each in json.loads(ask("/export.json")[1])["entries"]} == set(enabled)
    book = load_workbook(io.BytesIO(ask("/export.xlsx")[1]))
    assert book.sheetnames == ["目录条目", "数据项"]
    entries, items = book["目录条目"], book["数据项"]
    assert entries.max_row == len(enabled) + 1 and items["A1"].value == "目录编号"
    assert items.max_row == 1 + sum(len(catalogue.record_types[code].fields) for code in enabled)
    unknown = [row[3].value for row in entries.iter_rows(min_row=2) if row[2].value == "marriage"]
    assert unknown == ["civil_affairs（本区没有此单位）"]


def test_a_cell_that_looks_like_a_formula_is_text(hub: Hub) -> None:
    with hub.worker.begin() as connection:
        run_sql(
            connection,
            "UPDATE {d}.catalogue_version SET content = jsonb_set(content, '{conditions}', '\"=1+1\"')"
            " WHERE record_type = 'marriage'",
        )
        found = list_entries(connection, actor())
    cells = [
        cell for row in load_workbook(io.BytesIO(as_workbook(found, found[0].published_at)))["目录条目"] for cell in row
    ]
    assert [cell.data_type for cell in cells if cell.value == "=1+1"] == ["s"]


def test_a_data_officer_updates_an_entry_and_the_bureau_publishes_it(hub: Hub, client: TestClient[Litestar]) -> None:
    officer, reviewer = visitor(hub, client, "weishu"), visitor(hub, client, "quju")
    assert (
        "QX-WJ-0001" in officer.get("/catalogue").text and "民政" not in officer.get("/catalogue?provider=health").text
    )
    assert officer.post(f"{PAGE}/begin", cause="短").status_code == 400
    begun = officer.post(f"{PAGE}/begin", cause="死亡证明增加共享要求")
    assert begun.headers["Location"] == f"{PAGE}/edit"
    form = officer.get(begun.headers["Location"]).text
    assert 'name="shared-name"' in form and "underlying_icd10" not in form  # clinical: not even offered
    given = {
        "sharing": "conditional", "reason": "限履行法定职责", "conditions": "仅限核销待遇", "frequency": "daily",
        "classification": "4", "formats-csv": "on", "modes-download": "on", "shared-name": "on", "shared-id_no": "on",
    }  # fmt: skip
    assert officer.post(f"{PAGE}/edit", **(given | {"classification": "9"})).status_code == 400
    assert officer.post(f"{PAGE}/edit", **(given | {"reason": ""})).status_code == 422
    assert officer.post(f"{PAGE}/edit", **given).headers["Location"] == f"{PAGE}?done=saved"
    refused = officer.post(f"{PAGE}/submit")
    assert (
        refused.status_code == 400
        and refused.text.count("<li data-text>") >= 4
        and "负责人批准日期未填写" in refused.text
    )
    signed = {
        "assessed_on": "2026-01-05",
        "assessed_by": "法制科",
        "approved_on": "2026-01-06",
        "approved_by": "分管负责人",
    }
    officer.post(f"{PAGE}/edit", **given, **signed)
    assert officer.post(f"{PAGE}/submit").headers["Location"] == f"{PAGE}?done=submit"
    assert "待审核" in reviewer.get("/catalogue").text
    assert officer.post(f"{PAGE}/publish").status_code == 403
    assert reviewer.post(f"{PAGE}/return", wrong="").status_code == 400
    assert reviewer.post(f"{PAGE}/return", wrong="使用要求过宽\n批准人不符").status_code == 303
    assert (
        "使用要求过宽" in officer.get(PAGE).text and "使用要求过宽" not in visitor(hub, client, "renshe").get(PAGE).text
    )
    officer.post(f"{PAGE}/submit")
    assert reviewer.post(f"{PAGE}/publish").headers["Location"] == f"{PAGE}?done=publish"
    shown = visitor(hub, client, "renshe").get(PAGE).text
    assert "仅限核销待遇" in shown and "/begin" not in shown
    assert "Shared conditionally" in officer.get(PAGE, "en").text


def test_pages_refuse_another_units_entry_unknown_types_and_unknown_acts(
    hub: Hub, client: TestClient[Litestar]
) -> None:
    officer, clerk = visitor(hub, client, "weishu"), visitor(hub, client, "renshe")
    assert officer.get("/catalogue/nothing").status_code == 404
    assert officer.get("/catalogue/employment/edit").status_code == 403
    assert officer.post("/catalogue/employment/begin", cause="不是本单位的").status_code == 403
    assert officer.get(f"{PAGE}/edit").status_code == 409
    assert officer.post(f"{PAGE}/burn").status_code == 404
    assert clerk.post(f"{PAGE}/begin", cause="没有权限的人").status_code == 403
    bureau = visitor(hub, client, "quju")
    named = bureau.post("/catalogue/marriage/provider", organisation="health", provider_reason="民政职责并入")
    assert named.status_code == 303 and "/catalogue/marriage" in officer.get("/catalogue").text


def test_the_command_line_lists_shows_and_exports(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    told = {
        "HUB_HOME": str(settings.home), "HUB_DATABASE_URL": settings.database_url, "HUB_WORKER_URL": settings.worker_url,
        "HUB_OWNER_URL": settings.owner_url,
    }  # fmt: skip

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["catalogue", *words], env=told)
        return done.exit_code, done.output

    assert "QX-MZ-0001  marriage  结婚登记  civil_affairs（本区没有此单位）" in run("list")[1]
    assert "- weight_g" in run("show", "birth_certificate")[1]
    assert run("show", "nothing")[0] != 0
    assert run("export", str(tmp_path / "all.xlsx"))[0] == 0 and load_workbook(tmp_path / "all.xlsx").sheetnames
    assert run("export", str(tmp_path / "all.json"))[0] == 0 and json.loads((tmp_path / "all.json").read_bytes())
    assert run("export", str(tmp_path / "all.pdf"))[0] == 2
