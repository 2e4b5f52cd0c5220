"""Notices in the panel, at the interface and on the command line; the district's calendar; needs reported by towns."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub import jobs
from hub.__main__ import app
from hub.casework.notices import list_notices
from hub.casework.reminders import make_due_notices
from hub.database import Database, run_sql, utc_now
from hub.registry.calendar_years import BadYear, describe_year, read_year
from hub.registry.working_days import Calendar
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import add_staff, visitor
from tests.district import actor
from tests.doors import OTHER_TOWN, TOWN, VILLAGE, Hub, founded_hub, identity_number
from tests.factories import row_values
from tests.noticed import tell


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        add_staff(founded)
        with database.begin() as connection:
            for unit in (TOWN, OTHER_TOWN, "health", "bureau"):
                tell(connection, settings, unit)
        yield founded


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient]:  # type: ignore[type-arg]
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


def test_the_page_head_counts_what_nobody_has_read_until_one_ticks_it_off(hub: Hub, client: TestClient) -> None:  # type: ignore[type-arg]
    clerk = visitor(hub, client, "qingxi")
    page = clerk.get("/notices").text
    assert 'class="unread" href="/notices">提醒 <b>1</b>' in page
    assert "还有 25 项未回报" in page and "25 lines" in clerk.get("/notices", "en").text
    with hub.worker.begin() as connection:
        one = list_notices(connection, actor(TOWN, "town_officer"))[0]
    assert clerk.post(f"/notices/{one.notice_id}/read").status_code == 303
    seen = clerk.get("/notices").text
    assert "没有提醒" in seen and 'class="unread"' not in seen
    assert "已阅" in clerk.get("/notices?all=true").text
    other = visitor(hub, client, "bailu")
    assert other.post(f"/notices/{one.notice_id}/read").status_code == 404
    assert 'class="unread"' in other.get("/notices").text


def test_the_bureaus_leader_reads_and_leaves_it_unread(hub: Hub, client: TestClient) -> None:  # type: ignore[type-arg]
    leader = visitor(hub, client, "lingdao")
    assert "25 项" in leader.get("/notices").text
    assert leader.post("/notices/read").status_code == 403
    assert visitor(hub, client, "quju").post("/notices/read").status_code == 303
    assert "没有提醒" in leader.get("/notices").text


def test_a_desk_keeps_its_contacts_and_is_told_what_is_wrong(hub: Hub, client: TestClient) -> None:  # type: ignore[type-arg]
    clerk = visitor(hub, client, "qingxi")
    wrong = clerk.post("/contacts", name="李明", mail="nowhere", phone="")
    assert (wrong.status_code, 'id="mail-error"' in wrong.text, 'value="nowhere"' in wrong.text) == (422, True, True)
    assert clerk.post("/contacts", name="", mail="", phone="").status_code == 422
    assert clerk.post("/contacts", name="李明", mail="liming@qingxi.test", phone="10000000001").status_code == 303
    page = clerk.get("/contacts?done=added").text
    assert "liming@qingxi.test" in page and "未开通短信" in page
    assert "liming" not in visitor(hub, client, "bailu").get("/contacts").text
    assert visitor(hub, client, "lingdao").get("/contacts").status_code == 403
    [contact] = contacts(hub)
    assert clerk.post(f"/contacts/{contact}/remove").status_code == 303
    assert contacts(hub) == []


def contacts(hub: Hub) -> list[str]:
    with hub.worker.begin() as connection:
        return [str(one) for (one,) in run_sql(connection, "SELECT contact_id FROM {d}.contact")]


def test_a_system_reads_its_units_notices_page_by_page(hub: Hub, client: TestClient) -> None:  # type: ignore[type-arg]
    with hub.worker.begin() as connection:
        for day in range(2):
            tell(connection, hub.settings, "health", about=f"round/2027-0{day + 1}")
    first = client.get("/v1/notices?limit=2", headers=hub.key_of("health")).json()
    rest = client.get(f"/v1/notices?limit=2&before={first['next']}", headers=hub.key_of("health")).json()
    assert (len(first["data"]), len(rest["data"]), rest["next"]) == (2, 1, None)
    assert first["data"][0]["text"].endswith("到期。") and first["data"][0]["facts"]["items"] == 25
    assert client.get("/v1/notices", headers=hub.key_of("labour")).json()["data"] == []


# ---- needs ----


def test_needs_are_told_to_the_unit_they_name_or_to_the_bureau_without_a_word_of_them(
    hub: Hub, settings: Settings, catalogue: Catalogue
) -> None:
    wanted = ("云岭区卫健局", "", "不认识的单位", "云岭区卫健局")
    rows = [
        row_values(catalogue, "service_request", number)
        | {"request_no": f"XQ{number}", "name": "王小明", "id_no": identity_number(number), "to_org": unit}
        | {"live_div": VILLAGE, "hukou_div": VILLAGE, "status": "3" if number == 3 else "1", "text": "需要轮椅"}
        for number, unit in enumerate(wanted)
    ]
    known = catalogue.record_types["service_request"].by_name
    lines = [{name: value for name, value in row.items() if name in known} for row in rows]
    jobs.accept(
        hub.worker, settings, actor(TOWN, "town_officer"), stream=io.BytesIO(msgspec.json.Encoder().encode_lines(lines)),
        file_name="needs.ndjson", record_type="service_request", organisation=TOWN, period="2026-11", door="command",
    )  # fmt: skip
    hub.work()
    with hub.worker.begin() as connection:
        assert make_due_notices(connection, settings, utc_now()) == 2
        assert make_due_notices(connection, settings, utc_now() + timedelta(days=1)) == 0
        found = run_sql(
            connection,
            "SELECT organisation, facts::text FROM {d}.notice WHERE kind = 'reported' ORDER BY organisation",
        )
    assert found == [("bureau", '{"items": 2}'), ("health", '{"items": 1}')]


# ---- the command line ----


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    settings.home.mkdir(parents=True, exist_ok=True)
    return {
        "HUB_HOME": str(settings.home),
        "HUB_DATABASE_URL": settings.database_url or "",
        "HUB_OWNER_URL": settings.owner_url or "",
        "HUB_WORKER_URL": settings.worker_url or "",
    }


def run(environment: dict[str, str], *arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments), env=environment)
    assert done.exit_code == status, done.output
    return done.output


def test_notices_and_contacts_from_the_command_line(hub: Hub, environment: dict[str, str]) -> None:
    assert "25 项未回报" in run(environment, "notices", "list", "--org", TOWN)
    contact = run(environment, "contact", "add", "--org", TOWN, "--name", "李明", "--mail", "a@b.test").strip()
    assert contact in run(environment, "contact", "list", "--org", TOWN)
    assert run(environment, "contact", "remove", contact, "--org", OTHER_TOWN, status=4)
    run(environment, "contact", "remove", contact, "--org", TOWN)
    assert json.loads(run(environment, "contact", "list", "--org", TOWN, "--json")) == []
    assert json.loads(run(environment, "notices", "send", "--json")) == {"sent": 0, "later": 0, "failed": 0}
    assert "[mail] host" in run(environment, "notices", "test", "--mail", "a@b.test", status=4)
    run(environment, "notices", "make")


# ---- the calendar ----

_GOOD = "holidays = [{}]\nworkdays = [2031-01-04]\n".format(", ".join(f"2031-01-0{day}" for day in (1, 2, 3, 6, 7)))


def test_a_years_holidays_are_imported_after_checking_and_shown(
    hub: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "2031.toml"
    file.write_text(_GOOD)
    assert "尚未公布" in run(environment, "calendar", "show", "2031", status=1)
    assert "257" in run(environment, "calendar", "import", str(file))
    shown = json.loads(run(environment, "calendar", "show", "2031", "--json"))
    assert (shown["origin"], shown["working_days"], shown["workdays"]) == ("imported", 257, ["2031-01-04"])
    assert "--replace" in run(environment, "calendar", "import", str(file), status=4)
    run(environment, "calendar", "import", str(file), "--replace")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("holidays = [", "Invalid value"),
        ("feast = [2031-01-01]", "feast"),
        ("holidays = []", "one year"),
        ("holidays = [2031-01-01, 2032-01-01]", "[2031, 2032]"),
        (_GOOD.replace("2031-01-04", "2031-01-08"), "Saturdays and Sundays only: 2031-01-08"),
        (_GOOD.replace("2031-01-07", "2031-01-01"), "twice: 2031-01-01"),
        (_GOOD.replace("2031-01-07", "2031-01-04"), "both off and worked: 2031-01-04"),
        ("holidays = [2031-01-01]", "weekdays off: 1"),
    ],
)
def test_a_file_that_cannot_be_a_years_holidays_is_refused_with_the_reason(content: str, told: str) -> None:
    with pytest.raises(BadYear) as refused:
        read_year(content.encode())
    assert told in str(refused.value)


def test_a_year_the_library_knows_is_described_as_announced() -> None:
    year = describe_year(Calendar(), 2026)
    assert year.origin == "library" and date(2026, 1, 1) in year.holidays
    assert all(day.weekday() >= 5 for day in year.workdays) and year.workdays
