"""The pages on which people decide about what was sent: columns, effects, undo, password, nothing to report, templates."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select
from typer.testing import CliRunner

from hub import audit
from hub.__main__ import app
from hub.database import Database, utc_now
from hub.decisions import unlocking
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, visitor
from tests.doors import HEADERS, THIS_MONTH, Hub, csv_of, founded_hub, move_in, open_account
from tests.office_files import encrypted

SECRET = "春眠不觉晓-3333"
NEWCOMERS = (
    ("gongan2", "public_security", "department_clerk"),
    ("shuju", "public_security", "data_officer"),
)


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        with app_database.begin() as connection:
            for login, organisation, role in NEWCOMERS:
                open_account(connection, login, organisation, role)
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


@pytest.fixture
def clerk(hub: Hub, client: TestClient[Litestar]) -> Visitor:
    return visitor(hub, client, "gongan")


def upload(who: Visitor, body: bytes, name: str = "moves.csv", **fields: str) -> str:
    """Where the upload led to."""
    form = {"token": who.token, "record_type": "hukou_move_in", "period": THIS_MONTH, **fields}
    who.client.cookies.clear()
    files = {"file": (name, body, "application/octet-stream")}
    answer = who.client.post("/submissions/new", data=form, files=files, headers=who.headers, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def row_of(hub: Hub, place: str) -> Any:
    with hub.worker.begin() as connection:
        mine = submission.c.submission_id == UUID(place.rpartition("/")[2])
        return connection.execute(select(submission).where(mine)).one()


def sheet_of(*rows: dict[str, str]) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    page = book.worksheets[0]
    page.append(list(HEADERS))
    for row in rows:
        page.append([row[header] for header in HEADERS])
    book.save(content)
    return content.getvalue()


def nth(page: str, pattern: str) -> str:
    found = re.search(pattern, page, re.S)
    assert found, page
    return found.group(1)


# ---- columns ----


def renamed(*rows: dict[str, str]) -> bytes:
    """The identity numbers and the names stand under headers nobody knows."""
    return csv_of(*rows).decode().replace("公民身份号码", "公民身份证号").replace("迁入日期", "迁入的日期").encode()


def test_unknown_columns_are_asked_once_and_nothing_is_chosen_before(hub: Hub, clerk: Visitor) -> None:
    place = upload(clerk, renamed(move_in(1)))
    hub.work()
    assert row_of(hub, place).state == "asking"
    page = clerk.get(place).text
    assert "待办：" in page and f"{place}/columns" in page and 'hx-trigger="every 1s"' not in page
    form = clerk.get(f"{place}/columns").text
    asked = re.findall(r'<select class="form-select" id="(column-\d+)"', form)
    assert asked and " selected" not in form and "建议" in form
    refused = clerk.post(f"{place}/columns")
    assert refused.status_code == 422 and f'href="#{asked[0]}"' in refused.text and "错误：" in refused.text
    twice = clerk.post(f"{place}/columns", **dict.fromkeys(asked, "name"))
    assert twice.status_code == 422 and "不止一列" in twice.text
    answers = {one: nth(form, rf'id="{one}".*?<optgroup label="[^"]+">\s*<option value="(\w+)"') for one in asked}
    assert clerk.post(f"{place}/columns", **answers).headers["location"] == place
    hub.work()
    assert row_of(hub, place).state == "merged"
    again = upload(clerk, renamed(move_in(2)))
    hub.work()
    assert row_of(hub, again).state == "merged"
    assert clerk.get(f"{again}/columns").status_code == 303


def test_another_units_columns_are_not_there(hub: Hub, client: TestClient[Litestar], clerk: Visitor) -> None:
    place = upload(clerk, renamed(move_in(1)))
    hub.work()
    stranger = visitor(hub, client, "renshe")
    for path in ("columns", "effect", "undo", "unlock", "returned.xlsx", "errors.csv"):
        assert stranger.get(f"{place}/{path}").status_code == 404
    for path in ("columns", "release", "withdraw", "undo", "unlock"):
        assert stranger.post(f"{place}/{path}", reason="报错", password="x").status_code in (403, 404)
    assert row_of(hub, place).state == "asking"


# ---- effects ----


def braked(hub: Hub, who: Visitor) -> str:
    place = upload(who, csv_of(move_in(1, 姓名="王小明"), move_in(2)), backfill="on")
    hub.work()
    assert row_of(hub, place).state == "braked"
    return place


def test_an_unusual_effect_is_shown_and_released_by_another_person(
    hub: Hub, client: TestClient[Litestar], clerk: Visitor
) -> None:
    place = braked(hub, clerk)
    mine = clerk.get(f"{place}/effect").text
    assert "报送人不能放行自己的报送" in mine and f'action="{place}/release"' not in mine
    assert "王小明" in mine and "999001********" in mine
    officer = visitor(hub, client, "shuju")
    assert "等待复核 1 份" in officer.get("/submissions").text
    assert f'action="{place}/release"' in officer.get(f"{place}/effect").text
    assert officer.post(f"{place}/release").headers["location"] == place
    hub.work()
    row = row_of(hub, place)
    assert (row.state, row.released_by, row.accepted) == ("merged", "shuju", 2)
    assert "复核人" in clerk.get(f"/receipts/{row.receipt_number}").text
    assert officer.post(f"{place}/release").status_code == 409


def test_who_sent_it_cannot_release_it_even_by_asking_directly(hub: Hub, clerk: Visitor) -> None:
    place = braked(hub, clerk)
    answer = clerk.post(f"{place}/release")
    assert answer.status_code == 403 and "错误：" in answer.text
    assert row_of(hub, place).state == "braked"


def test_a_waiting_submission_is_withdrawn_with_a_reason(hub: Hub, clerk: Visitor) -> None:
    place = braked(hub, clerk)
    unsaid = clerk.post(f"{place}/withdraw", reason=" ")
    assert unsaid.status_code == 400 and "错误：" in unsaid.text
    assert clerk.post(f"{place}/withdraw", reason="月份选错").headers["location"] == place
    assert row_of(hub, place).state == "refused"
    assert "月份选错" in clerk.get(place).text


def test_the_bureau_sees_of_an_effect_first_characters_alone(
    hub: Hub, client: TestClient[Litestar], clerk: Visitor
) -> None:
    place = braked(hub, clerk)
    overseer = visitor(hub, client, "quju")
    page = overseer.get(f"{place}/effect").text
    assert "王***" in page and "王小明" not in page
    assert f'action="{place}/withdraw"' not in page
    board = overseer.get(f"/board?month={THIS_MONTH}").text
    assert re.search(r"等待复核</dt><dd>1<", board)


def test_a_dry_run_shows_its_effect_with_old_and_new(hub: Hub, clerk: Visitor) -> None:
    upload(clerk, csv_of(move_in(1, 姓名="王小明"), move_in(2)))
    hub.work()
    place = upload(clerk, csv_of(move_in(1, 姓名="王晓明"), move_in(2), move_in(3)), dry_run="on")
    hub.work()
    page = clerk.get(f"{place}/effect").text
    assert "<del>王小明</del> → <ins>王晓明</ins>" in page
    assert "正式报送" in page and "<button" not in page.partition("<main")[2].partition("</main")[0]
    assert [int(many) for many in re.findall(r"<dd>(\d+)</dd>", page)] == [1, 1, 1, 0, 0, 0, 0]


def test_the_samples_an_effect_page_shows_are_noted(hub: Hub, clerk: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    place, noted = braked(hub, clerk), list[dict[str, Any]]()
    monkeypatch.setattr(audit, "record", lambda *_, **facts: noted.append(facts))
    clerk.get(f"{place}/effect")
    assert [(one["what"], one["rows"]) for one in noted if "what" in one] == [("effect", 2)]


# ---- undo ----


def test_a_submission_is_taken_back_once_what_came_later_is(hub: Hub, clerk: Visitor) -> None:
    first = upload(clerk, csv_of(move_in(1, 姓名="王小明")))
    hub.work()
    later = upload(clerk, csv_of(move_in(1, 姓名="王晓明")))
    hub.work()
    in_the_way = clerk.get(f"{first}/undo").text
    assert f'href="{later}"' in in_the_way and 'name="reason"' not in in_the_way
    assert clerk.post(f"{first}/undo", reason="报错了月份").status_code == 409
    assert clerk.post(f"{later}/undo").status_code == 400
    undone = clerk.post(f"{later}/undo", reason="报错了月份").headers["location"]
    hub.work()
    assert (row_of(hub, undone).kind, row_of(hub, undone).state) == ("undo", "merged")
    assert undone in clerk.get(later).text and later in clerk.get(undone).text
    assert 'name="reason"' in clerk.get(f"{first}/undo").text
    assert "撤销报送" in clerk.get("/submissions").text


def test_what_changed_nothing_cannot_be_taken_back(hub: Hub, clerk: Visitor) -> None:
    place = upload(clerk, csv_of(move_in(1)), dry_run="on")
    hub.work()
    assert f"{place}/undo" not in clerk.get(place).text
    page = clerk.get(f"{place}/undo")
    assert page.status_code == 409 and "没有可以撤销的变动" in page.text


# ---- passwords ----


@pytest.fixture
def locked(hub: Hub, clerk: Visitor) -> str:
    rows = [move_in(serial) for serial in range(1, 40)]
    place = upload(clerk, encrypted(sheet_of(*rows), SECRET), "迁入.xlsx")
    hub.work()
    assert row_of(hub, place).refusal["code"] == "F_PASSWORD"
    return place


def test_a_file_with_a_password_is_opened_once_and_the_password_kept_nowhere(
    hub: Hub, clerk: Visitor, locked: str, owner_database: Database
) -> None:
    assert f"{locked}/unlock" in clerk.get(locked).text
    wrong = clerk.post(f"{locked}/unlock", file_password="nobody knows")
    assert wrong.status_code == 422 and "错误：" in wrong.text and "nobody knows" not in wrong.text
    opened = clerk.post(f"{locked}/unlock", file_password=SECRET).headers["location"]
    hub.work()
    row = row_of(hub, opened)
    assert (row.state, row.accepted, row.file_name) == ("merged", 39, "迁入.xlsx")
    assert opened in clerk.get(locked).text
    assert list((hub.settings.files / "tmp").iterdir()) == []
    with owner_database.begin() as connection:
        kept = connection.exec_driver_sql("SELECT string_agg(a::text, '') FROM d999001.audit a").scalar_one()
        ledger = connection.exec_driver_sql("SELECT string_agg(s::text, '') FROM d999001.submission s").scalar_one()
    assert SECRET not in kept + ledger
    assert SECRET.encode() not in b"".join(one.read_bytes() for one in hub.settings.home.rglob("*") if one.is_file())


def test_wrong_passwords_are_counted_for_an_hour(
    hub: Hub, clerk: Visitor, locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlocking, "_decrypt", lambda *_: False)
    answers = [clerk.post(f"{locked}/unlock", file_password=str(number)).status_code for number in range(12)]
    assert answers == [422] * unlocking.MOST_TRIES + [429] * 2
    later = utc_now() + unlocking._WITHIN
    monkeypatch.setattr(unlocking, "utc_now", lambda: later)
    assert clerk.post(f"{locked}/unlock", file_password="1").status_code == 422


def test_only_what_was_refused_for_a_password_is_opened(hub: Hub, clerk: Visitor) -> None:
    place = upload(clerk, csv_of(move_in(1)))
    hub.work()
    assert clerk.get(f"{place}/unlock").headers["location"] == place
    assert clerk.post(f"{place}/unlock", file_password="x").status_code == 409


def test_the_verb_takes_the_password_from_standard_input(
    hub: Hub, locked: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", settings.database_url or "")
    monkeypatch.setenv("HUB_WORKER_URL", settings.worker_url or "")
    number, home = row_of(hub, locked).receipt_number, str(settings.home)
    command = ["unlock", number, "--as", "public_security", "--json", "--home", home]
    wrong = CliRunner().invoke(app, command, input="nobody knows\n")
    assert wrong.exit_code == 2 and "密码不对" in wrong.output
    opened = json.loads(CliRunner().invoke(app, command, input=f"{SECRET}\n").stdout.splitlines()[-1])
    assert opened["state"] == "received" and opened["receipt"] != number
    assert CliRunner().invoke(app, [*command[:3], "labour", *command[4:]], input="x\n").exit_code == 3


# ---- nothing to report, templates ----


def test_a_month_without_changes_is_one_click_with_a_receipt(hub: Hub, clerk: Visitor) -> None:
    form = {"record_type": "hukou_move_in", "period": THIS_MONTH}
    place = clerk.post("/submissions/new/nothing", **form).headers["location"]
    row = row_of(hub, place)
    assert (row.kind, row.state) == ("nil", "merged")
    for page in (place, f"/receipts/{row.receipt_number}", "/submissions"):
        assert "本月无变动" in clerk.get(page).text
    assert clerk.post("/submissions/new/nothing", **form).headers["location"] == f"{place}?repeated=true"
    foreign = clerk.post("/submissions/new/nothing", record_type="employment", period=THIS_MONTH)
    assert foreign.status_code == 422 and "错误：" in foreign.text


def test_what_was_sent_already_is_not_nothing(hub: Hub, clerk: Visitor) -> None:
    upload(clerk, csv_of(move_in(1)))
    hub.work()
    answer = clerk.post("/submissions/new/nothing", record_type="hukou_move_in", period=THIS_MONTH)
    assert answer.status_code == 422 and "不能报“本月无变动”" in answer.text


def test_the_templates_are_those_of_ones_own_types(clerk: Visitor) -> None:
    page = clerk.get("/templates").text
    assert "/templates/hukou_move_in.xlsx" in page and "/templates/employment.xlsx" not in page
    links = clerk.get(f"/submissions/new/templates?record_type=hukou_move_in&period={THIS_MONTH}").text
    answer = clerk.get(nth(links, r'href="([^"]+)"').replace("&amp;", "&"))
    headers = [cell.value for row in openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0] for cell in row]
    assert any(str(header).startswith("公民身份号码") for header in headers)
    for foreign in ("employment.xlsx", "hukou_move_in", "nothing.xlsx"):
        assert clerk.get(f"/templates/{foreign}").status_code == 404


# ---- the workbook that goes back and forth ----


def test_the_marked_workbook_and_the_list_of_errors_are_the_senders_alone(
    hub: Hub, client: TestClient[Litestar], clerk: Visitor
) -> None:
    place = upload(clerk, sheet_of(move_in(1), move_in(2, 迁入日期="2026-13-45")), "迁入.xlsx")
    hub.work()
    page = clerk.get(place).text
    assert f"{place}/returned.xlsx" in page and f"{place}/errors.csv" in page
    book = openpyxl.load_workbook(io.BytesIO(clerk.get(f"{place}/returned.xlsx").content))
    cells = [str(cell.value) for row in book.worksheets[0] for cell in row]
    assert "2026-13-45" in cells and any("退回" in cell for cell in cells)
    assert "2026-13-45" in clerk.get(f"{place}/errors.csv").text
    assert list((hub.settings.files / "tmp").iterdir()) == []
    overseer = visitor(hub, client, "quju")
    assert "returned.xlsx" not in overseer.get(place).text
    assert overseer.get(f"{place}/returned.xlsx").status_code == 403
