"""A masked value in full: one at a time, by whoever may see it, for a reason that is kept; and what stays a count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select

from hub.database import Database, run_sql
from hub.exchange.small_cells import written_count
from hub.exchange.unmasking import BadReason, checked_reason
from hub.settings import Settings
from hub.tables import audit
from mappings.catalogue import Catalogue
from tests.doors import (
    OTHER_VILLAGE,
    PASSWORD,
    THIS_MONTH,
    Hub,
    csv_of,
    founded_hub,
    identity_number,
    move_in,
    open_account,
)
from tests.test_panel import OWN, token_of, upload

REASON = "电话核对迁入登记"
WRONG = "999001199003070000"

Client = TestClient[Litestar]


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        with app_database.begin() as connection:
            open_account(connection, "lingdao", "bureau", "bureau_leader")
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        client.headers.update(OWN)
        yield client


def enter(client: Client, login: str) -> None:
    client.cookies.clear()
    form = {"token": token_of(client.get("/sign-in").text), "login": login, "password": PASSWORD}
    assert client.post("/sign-in", data=form, follow_redirects=False).status_code == 303


def ask(client: Client, place: str, reason: str = REASON) -> Any:
    page = client.get(place)
    token = token_of(page.text) if page.status_code == 200 else "x"
    return client.post(place, data={"token": token, "reason": reason})


def links(page: str, kind: str) -> list[str]:
    return re.findall(rf'href="(/unmask/{kind}/[^"]+)"', page)


def lines(database: Database) -> list[Any]:
    with database.begin() as connection:
        return list(connection.execute(select(audit).where(audit.c.act == "unmask").order_by(audit.c.at)))


@pytest.fixture
def sent(client: Client, hub: Hub) -> str:
    """A file of the police with one person in each of two towns, and one row whose number is wrong; its page."""
    enter(client, "gongan")
    other = move_in(2, 姓名="钱外地", **{"所属社区(村)": OTHER_VILLAGE})
    place = upload(client, csv_of(move_in(1), other, move_in(3, 公民身份号码=WRONG))).headers["location"]
    hub.work()
    return str(place)


def error_link(client: Client, sent: str) -> str:
    (link,) = set(links(client.get(sent).text, "errors"))
    return link


# ---- a row error's value ----


def test_the_sender_sees_a_wrong_value_once_and_says_why(client: Client, sent: str, owner_database: Database) -> None:
    link = error_link(client, sent)
    assert WRONG not in client.get(sent).text
    answer = ask(client, link)
    assert WRONG in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert WRONG not in client.get(link).text
    (line,) = lines(owner_database)
    assert (line.actor, line.outcome, line.facts["reason"], line.facts["what"]) == (
        "gongan",
        "done",
        REASON,
        "row-error",
    )
    assert len(line.facts["digest"]) == 64
    assert WRONG not in str(line)


@pytest.mark.parametrize("login", ["renshe", "qingxi", "quju", "fuyou"])
def test_nobody_else_is_shown_the_senders_value(
    client: Client, sent: str, owner_database: Database, login: str
) -> None:
    link = error_link(client, sent)
    enter(client, login)
    answer = ask(client, link)
    assert answer.status_code == 404
    assert WRONG not in answer.text
    assert lines(owner_database) == []


@pytest.mark.parametrize("login", ["shenji", "lingdao"])
def test_without_the_right_there_is_not_even_a_form(client: Client, sent: str, login: str) -> None:
    link = error_link(client, sent)
    enter(client, login)
    assert client.get(link).status_code == 403
    assert client.post(link, data={"reason": REASON}).status_code == 403


@pytest.mark.parametrize(
    "reason", ["", "    ", "查一下", "核" * 201, "核对 999001199003070011", "核对１２３４５６", "回拨 139 0000 1234"]
)
def test_a_reason_that_is_none_is_refused_and_nothing_is_shown(
    client: Client, sent: str, owner_database: Database, reason: str
) -> None:
    answer = ask(client, error_link(client, sent), reason)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert WRONG not in answer.text
    assert lines(owner_database) == []
    with pytest.raises(BadReason):
        checked_reason(reason)


def test_a_form_without_its_token_shows_nothing(client: Client, sent: str, owner_database: Database) -> None:
    answer = client.post(error_link(client, sent), data={"reason": REASON})
    assert answer.status_code == 403
    assert WRONG not in answer.text
    assert lines(owner_database) == []


def test_what_cannot_be_noted_is_not_shown(client: Client, sent: str, owner_database: Database) -> None:
    link = error_link(client, sent)
    with owner_database.begin() as connection:
        run_sql(connection, "REVOKE INSERT ON {d}.audit FROM hub_app")
    answer = ask(client, link)
    assert answer.status_code == 503
    assert WRONG not in answer.text


# ---- a line of the town's change list ----


def test_a_town_sees_the_numbers_of_one_line_of_its_own(client: Client, sent: str, owner_database: Database) -> None:
    enter(client, "qingxi")
    page = client.get("/changes").text
    (link,) = links(page, "changes")
    assert identity_number(1) not in page
    assert identity_number(1) in ask(client, link).text
    (line,) = lines(owner_database)
    assert (line.actor, line.object, line.facts["what"]) == ("qingxi", f"change/{link.rsplit('/')[-1]}", "change")
    assert identity_number(1) not in str(line)


def test_another_towns_line_is_not_there(client: Client, sent: str, owner_database: Database) -> None:
    enter(client, "qingxi")
    (link,) = links(client.get("/changes").text, "changes")
    enter(client, "bailu")
    (other,) = links(client.get("/changes").text, "changes")
    assert other != link
    answer = ask(client, link)
    assert answer.status_code == 404
    assert identity_number(1) not in answer.text
    for login in ("gongan", "quju", "fuyou"):
        enter(client, login)
        assert ask(client, link).status_code == 403
    assert lines(owner_database) == []


# ---- a row, for who oversees ----


def test_the_bureau_sees_one_row_in_full_and_the_audit_says_which(
    client: Client, sent: str, owner_database: Database
) -> None:
    enter(client, "quju")
    page = client.get(f"{sent}/rows").text
    assert identity_number(1) not in page
    first, second = links(page, "rows")
    answer = ask(client, first).text
    assert identity_number(1) in answer and "王小明" in answer
    assert identity_number(2) not in answer
    (line,) = lines(owner_database)
    assert (line.actor, line.facts["what"], line.facts["field"]) == ("quju", "sent-row", "hukou_move_in")
    assert ask(client, second[: second.rindex("/")] + "/99").status_code == 404
    enter(client, "gongan")
    assert ask(client, first).status_code == 403


# ---- what is only counted, or not even that ----


BOOKINGS = "建册编号,孕妇姓名,孕妇身份证号,末次月经,建册日期"


def book(client: Client, hub: Hub, rows: int, first: int = 0) -> str:
    """Antenatal bookings sent by the care unit; the page of the submission."""
    enter(client, "fuyou")
    written = [f"B-{first + one},孕{one},123,2026-09-01,{THIS_MONTH}-01" for one in range(rows)]
    answer = upload(
        client, "\r\n".join([BOOKINGS, *written]).encode(), name="孕妇王某.csv", record_type="antenatal_booking"
    )
    hub.work()
    return str(answer.headers["location"])


def cells_of(page: str) -> list[str]:
    return re.findall(r"<b>([^<]*)</b>", page[page.rindex("<tbody>") :])


@pytest.mark.parametrize("login", ["quju", "lingdao"])
@pytest.mark.parametrize(("rows", "shown"), [(3, "&lt;5"), (7, "7")])
def test_few_records_of_care_are_not_counted_on_the_board(
    client: Client, hub: Hub, sent: str, login: str, rows: int, shown: str
) -> None:
    book(client, hub, rows)
    enter(client, login)
    page = client.get(f"/board?month={THIS_MONTH}").text
    assert sorted(cells_of(page)) == sorted(["3", shown])
    received = re.search(r"收到行数</dt><dd>(\d+)", page)
    assert received and received.group(1) == "3"  # the sum is that of the other types: nothing to subtract from


def test_the_bureau_learns_nothing_more_of_a_submission_of_care(client: Client, hub: Hub, sent: str) -> None:
    place = book(client, hub, 3)
    own = client.get(place).text
    number = re.search(r"HR[0-9A-Z-]+", own)
    assert number and "孕妇王某" in own and '<dl class="counts">' in own
    enter(client, "quju")
    listed = client.get("/submissions?record_type=antenatal_booking").text
    row = re.search(r"<tbody>(.*?)</tbody>", listed, re.S)
    assert row and "不显示" in row.group(1) and not re.search(r'<td class="n( \w+)?">\d', row.group(1))
    for page in (listed, client.get(place).text, client.get(f"/receipts/{number.group()}").text):
        assert "孕妇王某" not in page
        assert '<dl class="counts">' not in page
        assert "how_many" not in page and 'class="reasons' not in page
    assert client.get(f"{place}/rows").status_code == 403
    refused = ask(client, f"/unmask/rows/{place.split('/')[-1]}/1")
    assert refused.status_code == 403 and "孕0" not in refused.text


def test_without_the_rule_the_small_count_is_seen(
    client: Client, hub: Hub, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = book(client, hub, 3)
    monkeypatch.setattr("hub.exchange.small_cells.is_care_only", lambda record_type: False)
    enter(client, "quju")
    assert '<dl class="counts">' in client.get(place).text


@pytest.mark.parametrize(("count", "written"), [(0, "0"), (1, "<5"), (4, "<5"), (5, "5"), (1234, "1,234")])
def test_counts_from_one_to_four_are_not_written(count: int, written: str) -> None:
    assert written_count(count) == written


def test_a_leader_has_the_board_and_nothing_behind_it(client: Client, sent: str) -> None:
    enter(client, "lingdao")
    first = client.get("/", follow_redirects=False)
    assert first.status_code == 200
    assert 'href="/submissions' not in first.text
    page = client.get(f"/board?month={THIS_MONTH}").text
    assert "3" in cells_of(page)
    assert 'href="/submissions' not in page
    for path in (
        "/submissions",
        sent,
        f"{sent}/rows",
        f"{sent}/progress",
        "/changes",
        f"/changes.xlsx?month={THIS_MONTH}",
    ):
        assert client.get(path).status_code == 403
