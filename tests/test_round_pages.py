"""The months' rounds on the bureau's page: opened, reminded, closed with what it does counted first; a town's next step."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select

from hub.casework.balance import join_books
from hub.casework.rounds import months_to_open
from hub.database import Database, run_sql, utc_now
from hub.decisions.round_orders import Order
from hub.registry.areas import load_area_index
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from hub.tables import audit
from mappings.catalogue import Catalogue
from tests.decisions import rows, send
from tests.desk_visits import Visitor, add_staff, visitor
from tests.doors import TOWN, Hub, founded_hub

Client = TestClient[Litestar]


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        add_staff(hub)
        send(hub, catalogue, rows(1, 4))
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


@pytest.fixture
def bureau(hub: Hub, client: Client) -> Visitor:
    return visitor(hub, client, "quju")


@pytest.fixture
def month(hub: Hub) -> str:
    """The last month that is over."""
    with hub.worker.begin() as connection:
        return months_to_open(connection, hub.settings, utc_now())[0]


def opened(hub: Hub, bureau: Visitor, month: str) -> None:
    assert bureau.post(f"/rounds/{month}/open").status_code == 303
    hub.work()


def lines_of(hub: Hub, owner_database: Database, month: str) -> list[tuple[str, str]]:
    with owner_database.read() as connection:
        its = select(audit).where(audit.c.object == f"round/{month}").order_by(audit.c.at, audit.c.audit_id)
        return [(line.actor, line.facts["what"]) for line in connection.execute(its)]


def test_the_bureau_opens_the_month_that_is_over_in_its_own_name(
    hub: Hub, bureau: Visitor, month: str, owner_database: Database
) -> None:
    assert f'href="/rounds/{month}/open"' in bureau.get("/rounds").text
    asked = bureau.get(f"/rounds/{month}/open").text
    assert "变动日志新增 3 条" in asked and "截止日期" in asked
    answer = bureau.post(f"/rounds/{month}/open")
    assert (answer.status_code, answer.headers["location"]) == (303, "/rounds")
    assert "“开启”已受理" in bureau.get("/rounds").text
    hub.work()
    page = bureau.get(f"/rounds/{month}").text
    assert ("进行中" in page or "已逾期" in page) and "催办未核完的镇街" in page
    assert lines_of(hub, owner_database, month) == [("quju", "ask-open"), ("quju", "open")]


def test_what_cannot_be_opened_is_said_in_words_and_never_queued(hub: Hub, bureau: Visitor, month: str) -> None:
    coming = bureau.post("/rounds/2999-01/open")
    assert coming.status_code == 400 and "统计月尚未结束" in coming.text
    opened(hub, bureau, month)
    assert bureau.post(f"/rounds/{month}/open").status_code == 409
    earlier = bureau.post("/rounds/2001-01/open")
    assert earlier.status_code == 409 and "不能再开更早的月份" in earlier.text
    assert bureau.post("/rounds/never/open").status_code == 400
    with hub.worker.begin() as connection:
        queued = "SELECT count(*) FROM jobs.procrastinate_jobs WHERE task_name = 'carry_out_round_order'"
        assert run_sql(connection, queued) == [(1,)]


def test_closing_counts_what_stays_open_and_wants_the_month_typed(
    hub: Hub, bureau: Visitor, month: str, owner_database: Database
) -> None:
    opened(hub, bureau, month)
    with hub.worker.begin() as connection:
        run_sql(connection, "UPDATE {d}.monthly_round SET due_on = current_date + 5 RETURNING 1")
    asked = bureau.get(f"/rounds/{month}/close").text
    assert "3 条将留作未核" in asked and "清溪街道" in asked and "提前关闭须写明理由" in asked
    untyped = bureau.post(f"/rounds/{month}/close", confirmation="2001-01", reason="演练结束")
    assert untyped.status_code == 400 and "请照样输入月份" in untyped.text and "演练结束" in untyped.text
    early = bureau.post(f"/rounds/{month}/close", confirmation=month)
    assert early.status_code == 400 and "提前结束请写明理由" in early.text
    assert bureau.post(f"/rounds/{month}/close", confirmation=month, reason="演练结束").status_code == 303
    hub.work()
    assert "已结束，仍有未核" in bureau.get(f"/rounds/{month}").text
    assert bureau.post(f"/rounds/{month}/close", confirmation=month).status_code == 409
    assert lines_of(hub, owner_database, month)[2:] == [("quju", "ask-close"), ("quju", "close")]


def test_a_town_is_reminded_once_a_day_and_reads_it(hub: Hub, client: Client, bureau: Visitor, month: str) -> None:
    opened(hub, bureau, month)
    assert bureau.post(f"/rounds/{month}/remind", town=TOWN).headers["location"].endswith("done=remind")
    hub.work()
    page = bureau.get(f"/rounds/{month}?done=remind").text
    assert "今天已催办" in page and "镇街会收到提醒" in page
    assert bureau.post(f"/rounds/{month}/remind").headers["location"].endswith("done=nobody")
    assert f"{month} 月度核对还有 3 项未核" in visitor(hub, client, "qingxi").get("/notices").text
    assert "区局催办" not in visitor(hub, client, "bailu").get("/notices").text


def test_a_town_sees_its_villages_and_its_next_step(hub: Hub, client: Client, bureau: Visitor, month: str) -> None:
    opened(hub, bureau, month)
    town = visitor(hub, client, "qingxi")
    page = town.get(f"/rounds/{month}").text
    assert re.search(rf'href="/rounds/{month}/items">在网页上核对（还有 3 项）', page) and "打印清单" in page
    assert "<progress" in page and "光明社区" in page and "/close" not in page and "/remind" not in page
    with hub.worker.begin() as connection:
        run_sql(
            connection, "UPDATE {d}.round_item SET state = 'answered', result = '1', answered_at = now() RETURNING 1"
        )
    done = town.get(f"/rounds/{month}").text
    assert "本月清单已核完" in done and "已完成核对，待关闭" in done and "进行中" not in done
    assert "已完成核对，待关闭" in bureau.get("/rounds").text


def test_nobody_but_the_bureau_gives_orders(hub: Hub, client: Client, month: str) -> None:
    for login in ("qingxi", "gongan", "lingdao", "xitong"):
        who = visitor(hub, client, login)
        for act in ("open", "close", "remind"):
            assert who.post(f"/rounds/{month}/{act}").status_code == 403, (login, act)


def test_an_order_that_fails_says_so_on_the_page(hub: Hub, bureau: Visitor, month: str) -> None:
    """Between asking and doing the month was opened and closed elsewhere."""
    opened(hub, bureau, month)
    assert bureau.post(f"/rounds/{month}/remind").status_code == 303
    with hub.worker.begin() as connection:
        run_sql(
            connection, "UPDATE {d}.round_item SET state = 'answered', result = '1', answered_at = now() RETURNING 1"
        )
    hub.work()
    assert "上次“催办”没有办成" in bureau.get(f"/rounds/{month}").text


def test_the_account_is_drawn_explained_and_closed_on_the_page(
    hub: Hub, bureau: Visitor, month: str, owner_database: Database
) -> None:
    with hub.worker.begin() as connection:
        index = load_area_index(connection)
        join_books(connection, SYSTEM_ACTOR, index.codes[TOWN], month, utc_now(), index)
    place = f"/balance/{month}/orders"
    assert bureau.post(place, what="draw").status_code == 303
    hub.work()
    assert "没有差异人员" in bureau.get(place).text and place in bureau.get(f"/balance?month={month}").text
    untyped = bureau.post(place, what="seal", confirmation="2001-01")
    assert untyped.status_code == 400 and "请照样输入月份" in untyped.text
    unsaid = bureau.post(place, what="excuse", town=f"{TOWN}000", reason="短")
    assert unsaid.status_code == 400 and "4 至 200 个字" in unsaid.text
    assert bureau.post(place, what="seal", confirmation=month).status_code == 303
    hub.work()
    assert "已封账，不再变动" in bureau.get(place).text
    assert bureau.post(place, what="draw").status_code == 409
    with owner_database.read() as connection:
        asked = connection.execute(select(audit.c.actor).where(audit.c.object == f"balance/{month}")).scalars().all()
    assert asked.count("quju") == 4


def test_an_order_carries_no_right_of_its_own() -> None:
    who = Order(what="close", month="2026-10", name="quju", organisation="bureau", kind="bureau").actor
    assert who.rights == frozenset()
