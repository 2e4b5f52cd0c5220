"""Matrices by town: every cell is as long as the list it opens, who may see what, and the board's month and reminders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Connection, insert

from hub.database import new_uuid, run_sql
from hub.desks.due_month import due_month
from hub.oversight.matrix import MATRIX_MEASURES, asked_of, list_behind, read_matrix
from hub.registry.month_calendar import month_after
from hub.registry.scope import reach_of
from hub.tables import balance, balance_month, balance_movement, comparison_item
from mappings.catalogue import Catalogue
from tests.district import actor
from tests.doors import OTHER_TOWN, THIS_MONTH, TOWN, Hub, founded_hub, open_account
from tests.noticed import enter_line, open_round, raise_one
from tests.quality_months import plant
from tests.test_unmasking import enter

MONTH, BEFORE = "2026-09", "2026-08"
LAST = month_after(THIS_MONTH, -1)  # who never sent anything owes the month that ended last
QINGXI, GUANGMING, BAILU, SONGPING = 2, 3, 5, 6
BUREAU, LEADER = actor("bureau", "bureau_operator"), actor("bureau", "bureau_leader")
Client = TestClient[Litestar]


@pytest.fixture
def hub(database: Any, app_database: Any, settings: Any, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        with database.begin() as connection:
            plant(connection, catalogue, 2)
            plant_rounds(connection)
            plant_account(connection)
            plant_comparisons(connection)
        yield founded


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test", raise_server_exceptions=False) as visitor:
        visitor.headers["Sec-Fetch-Site"] = "same-origin"
        yield visitor


def plant_rounds(connection: Connection) -> None:
    open_round(connection, lines=3, month=MONTH)
    enter_line(connection, number=4, village=GUANGMING, record_type="marriage", state="answered", result="1")
    enter_line(connection, number=1, town=BAILU, state="answered", result="1")
    enter_line(connection, number=2, town=BAILU, record_type="antenatal_booking")  # in no matrix
    for day, state, code in ((3, "open", TOWN), (9, "answered", TOWN), (10, "closed", TOWN), (30, "open", OTHER_TOWN)):
        raised = datetime(2026, 9, day, 20, tzinfo=UTC)  # the 30th at 20:00 UTC is the first of the next month here
        raise_one(connection, raised_at=raised, state=state, raised_by=code)
    raise_one(connection, raised_at=datetime(2026, 9, 4, tzinfo=UTC), record_type="antenatal_booking", raised_by=TOWN)


def plant_account(connection: Connection) -> None:
    nothing = dict.fromkeys(("start", "end"), 0)
    now = datetime(2026, 10, 1, tzinfo=UTC)
    drawn = {"month": MONTH, "as_of": date(2026, 9, 30), "state": "drawn", "drawn_at": now, "up_to_seq": 9}
    connection.execute(insert(balance_month), [drawn])
    for area, many in ((1, 2), (QINGXI, 2), (GUANGMING, 2), (BAILU, 0)):
        connection.execute(insert(balance), [{"month": MONTH, "area": area, "unexplained": many} | nothing])
    for _ in range(2):
        one = {"movement_id": new_uuid(), "month": MONTH, "person_id": new_uuid(), "kind": "unexplained"}
        connection.execute(insert(balance_movement), [one | {"to_area": GUANGMING, "of_month": MONTH}])


def plant_comparisons(connection: Connection) -> None:
    for number, (code, state) in enumerate(((TOWN, "open"), (TOWN, "closed"), ("public_security", "open"))):
        found = datetime(2026, 8 + number % 2, 5, tzinfo=UTC)
        one: dict[str, Any] = {"item_id": new_uuid(), "check_code": "death_not_cancelled", "subject": str(number)}
        one |= {
            "sides": [],
            "organisation": code,
            "areas": [],
            "state": state,
            "opened_at": found,
            "last_seen_at": found,
        }
        connection.execute(insert(comparison_item), [one])


def figure_of(measure: str, cell: str) -> int:
    """How many are not done, as the cell says."""
    short = re.search(r"未达 ([\d,]+) /", cell)
    told = short or re.search(r"<b>([\d,]+)</b>", cell)
    assert told, cell
    return int(told[1].replace(",", ""))


def linked_cells(page: str) -> list[tuple[str, str]]:
    found = re.findall(r'<td class="heat[^>]*><a href="([^"]+)">(.*?)</a></td>', page, re.S)
    return [(address.replace("&amp;", "&"), cell) for address, cell in found]


def length_of(client: Client, address: str) -> int:
    """How many lines the address says it has; never another matrix with a sum that differs."""
    if address.startswith("/balance"):
        address += "&purpose=verify&reason=核对差异人员"
    page = client.get(address.partition("#")[0])
    assert page.status_code == 200, page.text
    if address.startswith("/matrix?"):
        mine = re.search(rf'<tr id="{address.partition("#")[2]}">(.*?)</tr>', page.text, re.S)
        assert mine
        cells = re.findall(r'<td class="heat[^>]*>(.*?)</td>', mine[1], re.S)
        return sum(figure_of("", cell) for cell in cells)
    if address.startswith("/quality"):
        listed = re.findall(r"空缺：(.*?)\s*</td>", page.text, re.S)
        if "measure=complete" in address:
            return sum(len(one.strip().split("；")) for one in listed)
    if address.startswith("/balance"):
        return len(re.findall(r"<tr>", page.text[page.text.index("<tbody>") :]))
    total = re.search(r"(?:未完成的共|未达到的共) ([\d,]+)", page.text)
    assert total, page.text
    rows = re.findall(r"<tr>", page.text[page.text.index("<tbody>") :])
    assert len(rows) == int(total[1])
    return int(total[1])


def test_every_cell_of_every_measure_is_as_long_as_what_it_opens(client: Client, hub: Hub) -> None:
    enter(client, "quju")
    opened = dict[str, int]()
    for measure in MATRIX_MEASURES:
        for by in ("month", "part"):
            page = client.get(f"/matrix?measure={measure}&month={MONTH}&many=3&units=all&by={by}").text
            for address, cell in linked_cells(page):
                assert figure_of(measure, cell) == length_of(client, address), address
                opened[measure] = opened.get(measure, 0) + 1
    assert set(opened) == set(MATRIX_MEASURES), opened


def test_from_a_red_figure_to_its_rows_takes_three_openings_at_most(client: Client, hub: Hub) -> None:
    enter(client, "quju")
    board = client.get(f"/board?month={MONTH}").text
    first = re.search(r'href="(/matrix\?[^"]+)"', board)
    assert first
    page = client.get(first[1].replace("&amp;", "&")).text
    address, _ = linked_cells(page)[0]
    assert "/matrix/rows" in address and "<tbody>" in client.get(address).text


def test_counts_are_of_their_month_and_of_what_is_not_done(hub: Hub, catalogue: Catalogue) -> None:
    cells = dict[str, Any]()
    with hub.served.begin(reach_of(LEADER)) as connection:
        for measure in ("round", "raised", "comparison", "balance"):
            asked = asked_of(measure, [MONTH, BEFORE], "month")
            matrix = read_matrix(connection, LEADER, hub.settings, catalogue, asked)
            cells[measure] = {
                line.name: [cell and (cell.against, cell.of) for cell in line.cells] for line in matrix.lines
            }
    assert cells["round"] == {"清溪街道": [(3, 4), None], "白鹭镇": [(0, 1), None]}
    assert cells["raised"] == {"清溪街道": [(2, 3), None], "白鹭镇": [None, None]}
    assert cells["comparison"] == {"清溪街道": [(0, 1), (1, 1)], "白鹭镇": [None, None]}
    assert cells["balance"] == {"清溪街道": [(2, None), None], "白鹭镇": [(0, None), None]}


def test_what_is_clinical_by_existing_is_in_no_matrix(hub: Hub, catalogue: Catalogue) -> None:
    with hub.served.begin(reach_of(BUREAU)) as connection:
        for measure in ("round", "raised", "asked"):
            asked = asked_of(measure, [MONTH], "part", towns_only=False)
            matrix = read_matrix(connection, BUREAU, hub.settings, catalogue, asked)
            assert "antenatal_booking" not in matrix.columns and matrix.columns
            behind = list_behind(connection, BUREAU, hub.settings, catalogue, asked, TOWN, "antenatal_booking")
            assert behind.total == 0


def test_a_page_of_lines_goes_on_where_the_last_one_ended(hub: Hub, catalogue: Catalogue) -> None:
    asked = asked_of("round", [MONTH], "month")
    with hub.served.begin(reach_of(BUREAU)) as connection:
        whole = list_behind(connection, BUREAU, hub.settings, catalogue, asked, "999001001000")
        rest = list_behind(
            connection, BUREAU, hub.settings, catalogue, asked, "999001001000", after=whole.lines[0].id, limit=5
        )
    assert whole.total == rest.total == 3 and rest.lines == whole.lines[1:]
    with hub.worker.begin() as connection:
        noted = run_sql(connection, "SELECT count(*) FROM {d}.audit WHERE object = 'matrix/round/999001001000'")
    assert noted[0][0] == 2


def test_a_leader_sees_counts_and_opens_nothing(client: Client, hub: Hub) -> None:
    with hub.served.begin() as connection:
        open_account(connection, "lingdao", "bureau", "bureau_leader")
    enter(client, "lingdao")
    for measure in MATRIX_MEASURES:
        page = client.get(f"/matrix?measure={measure}&month={MONTH}&units=all").text
        assert "<tbody>" in page and linked_cells(page) == []
    assert client.get(f"/matrix/rows?measure=round&month={MONTH}&whose=999001001000").status_code == 403
    board = client.get(f"/board?month={MONTH}").text
    assert "/board/remind" not in board and 'href="/submissions' not in board


def test_a_town_has_no_matrix(client: Client, hub: Hub) -> None:
    enter(client, "qingxi")
    assert client.get("/matrix").status_code == client.get("/screen").status_code == 403


# ---- the board ----


def test_the_board_opens_on_the_month_that_is_due(hub: Hub, catalogue: Catalogue) -> None:
    days = [date(2026, 9, 5), date(2026, 9, 22), date(2026, 9, 23), date(2026, 10, 31), date(2027, 1, 1)]
    with hub.worker.begin() as connection:
        due = [due_month(connection, catalogue, hub.settings, day) for day in days]
    assert due == ["2026-08", "2026-08", "2026-09", "2026-09", "2026-12"]  # somebody sent September, nobody October


def test_a_unit_that_has_not_sent_is_reminded_once_a_day(client: Client, hub: Hub) -> None:
    enter(client, "quju")
    page = client.get(f"/board?month={LAST}").text
    token = re.search(r'name="token" value="([^"]+)"', page)
    assert token and 'action="/board/remind"' in page
    form = {"token": token[1], "month": LAST, "organisation": "health", "only": ""}
    first = client.post("/board/remind", data=form, follow_redirects=False)
    assert first.status_code == 303, first.text
    assert first.headers["location"] == f"/board?month={LAST}&told=reminded"
    hub.work()
    again = client.post("/board/remind", data=form)
    assert again.status_code == 409 and "今天已提醒过" in again.text and "已提醒 1 次" in again.text
    nothing = client.post("/board/remind", data=form | {"month": "2020-01"})
    assert nothing.status_code == 409 and "无须提醒" in nothing.text
    with hub.worker.begin() as connection:
        notices = run_sql(connection, "SELECT organisation, kind, level FROM {d}.notice WHERE kind = 'month_asked'")
        open_account(connection, "weijian", "health", "department_clerk")
    assert notices == [("health", "month_asked", 1)]
    enter(client, "weijian")
    assert "区局催报" in client.get("/notices").text


def test_only_units_in_one_state_are_shown_and_the_address_says_so(client: Client, hub: Hub) -> None:
    enter(client, "quju")
    shown = 0
    for state in ("due", "overdue"):
        page = client.get(f"/board?month={LAST}&only={state}").text
        lines = page.partition('<div class="scroll board">')[2].split("<tr>")[2:]
        assert [line for line in lines if f'<li class="chip {state}"' not in line] == []
        shown += len(lines)
    assert shown
