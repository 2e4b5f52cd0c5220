"""Attacks on the panel's desks: orders that outlive a right, pages that keep a session alive, addresses nobody would type."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import quote
from uuid import UUID

import pytest
from sqlalchemy import select

from hub.database import Database, run_sql, utc_now
from hub.decisions.round_orders import Order, give_order
from hub.desks.month_asking import ask_for_month
from hub.errors import Conflict
from hub.registry.accounts import set_disabled, set_roles
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from hub.tables import audit
from mappings.catalogue import Catalogue
from tests.doors import THIS_MONTH, Hub, identity_number
from tests.list_hub import Lists, lay_submissions
from tests.list_hub import lists as lists
from tests.matrix_hub import new_asking
from tests.noticed import open_round

NUMBER = identity_number(77)
MONTH = "2026-11"  # of the round


@pytest.fixture(scope="module", autouse=True)
def attacked(lists: Lists) -> None:
    lay_submissions(lists.hub, "labour", 3)
    lay_submissions(lists.hub, "mch_station", 3, record_type="postnatal_visit")
    more = (("fu", "care_worker", "mch_station", "care"), ("xi", "system_administrator", "bureau", "bureau"))
    with lists.hub.served.begin() as connection:
        lists.staff.update({one[0]: new_asking(connection, *one) for one in more})
    with lists.hub.worker.begin() as connection:
        open_round(connection, lines=0)


# ---- orders ----


@pytest.fixture
def chief(lists: Lists) -> Actor:
    """A bureau operator who loses the right between the order and the work."""
    login = f"chief{utc_now():%H%M%S%f}"
    with lists.hub.served.begin() as connection:
        new_asking(connection, login, "bureau_operator", "bureau", "bureau")
    return Actor(name=login, organisation="bureau", kind="bureau", door="panel", rights=ROLES["bureau_operator"])


def order_closing(hub: Hub, chief: Actor) -> None:
    with hub.served.begin(reach_of(chief)) as connection:
        order = Order(what="close", month=MONTH, reason="演练")
        give_order(connection, hub.settings, chief, order, utc_now())


def the_round(hub: Hub) -> tuple[object, ...]:
    with hub.worker.begin() as connection:
        return tuple(run_sql(connection, "SELECT state, closed_by, closed_at FROM {d}.monthly_round")[0])


def lines_about(lists: Lists, who: str, about: str) -> list[tuple[str, str]]:
    reading = Database(str(lists.hub.settings.owner_url), lists.hub.settings.district)
    with reading.begin() as connection:
        its = select(audit).where(audit.c.actor == who, audit.c.object == about).order_by(audit.c.audit_id)
        lines = [(row.outcome, row.facts.get("what") or row.facts.get("why")) for row in connection.execute(its)]
    reading.close()
    return lines


@pytest.mark.parametrize("taken", ["roles", "account"])
def test_an_order_does_not_outlive_the_right_it_was_given_with(lists: Lists, chief: Actor, taken: str) -> None:
    hub = lists.hub
    order_closing(hub, chief)
    with hub.served.begin() as connection:
        if taken == "roles":
            set_roles(connection, SYSTEM_ACTOR, chief.name, ["bureau_leader"])
        else:
            set_disabled(connection, SYSTEM_ACTOR, chief.name, True)
    hub.work()
    assert the_round(hub)[0] == "open"
    assert lines_about(lists, chief.name, f"round/{MONTH}") == [
        ("done", "ask-close"), ("refused", "no-longer-in-charge")
    ]  # fmt: skip


def test_of_two_orders_to_close_one_closes(lists: Lists, chief: Actor) -> None:
    order_closing(lists.hub, chief)
    order_closing(lists.hub, chief)
    lists.hub.work()
    assert the_round(lists.hub)[:2] == ("closed", chief.name)
    assert [what for _, what in lines_about(lists, chief.name, f"round/{MONTH}")] == ["ask-close", "ask-close", "close"]
    with pytest.raises(Conflict):
        order_closing(lists.hub, chief)


def test_a_reminder_does_not_either(lists: Lists, chief: Actor, catalogue: Catalogue) -> None:
    hub = lists.hub
    with hub.served.begin(reach_of(chief)) as connection:
        ask_for_month(connection, hub.settings, catalogue, chief, "health", "2026-10", utc_now())
        set_roles(connection, SYSTEM_ACTOR, chief.name, ["bureau_leader"])
    hub.work()
    assert lines_about(lists, chief.name, "board/2026-10/health")[-1] == ("refused", "no-longer-in-charge")
    with hub.worker.begin() as connection:
        assert run_sql(connection, "SELECT 1 FROM {d}.notice WHERE about = 'board/2026-10'") == []


# ---- pages that ask again by themselves ----


def seen(lists: Lists, login: str, ago: timedelta | None = None) -> datetime:
    """When this account's session was last used; or as if that were so long ago."""
    with lists.hub.served.begin() as connection:
        its = "FROM admin.account a WHERE a.account_id = s.account_id AND a.login = :login"
        if ago is not None:
            moved = f"UPDATE admin.web_session s SET last_seen_at = :at {its} RETURNING s.last_seen_at"
            return datetime.fromisoformat(str(run_sql(connection, moved, login=login, at=utc_now() - ago)[0][0]))
        found = run_sql(
            connection, f"SELECT s.last_seen_at {its.replace('FROM', 'FROM admin.web_session s,')}", login=login
        )
    return datetime.fromisoformat(str(found[0][0]))


def test_the_screen_on_the_wall_keeps_no_session_alive_and_hangs_until_its_end(lists: Lists) -> None:
    before = seen(lists, "qu", timedelta(minutes=20))
    assert lists.get("qu", "/screen").status_code == 200
    assert seen(lists, "qu") == before
    seen(lists, "qu", timedelta(minutes=31))
    assert lists.get("qu", "/board").headers["location"].startswith("/sign-in")
    assert lists.get("qu", "/screen").status_code == 200
    assert lists.get("qu", "/board").status_code == 303  # looking at the wall brought nothing back to life
    seen(lists, "qu", timedelta())


def test_two_pages_left_open_do_not_keep_each_other_alive(lists: Lists) -> None:
    before = seen(lists, "qu", timedelta(minutes=20))
    back = lists.get("qu", "/sign-in?next=/board&idle=true")
    assert back.status_code == 303 and back.headers["location"] == "/board"
    kept = back.headers["set-cookie"].partition(";")[0]
    cookies = {"Cookie": f"{lists.staff['qu'].headers['Cookie']}; {kept}"}
    page = lists.get("qu", "/board", **cookies)
    assert page.status_code == 200 and seen(lists, "qu") == before
    assert int(page.headers["refresh"].partition(";")[0]) <= 10 * 60 + 5
    lists.get("qu", "/board")
    assert seen(lists, "qu") > before


def test_progress_that_is_asked_for_every_second_is_nobodys_work(lists: Lists) -> None:
    with lists.hub.worker.begin() as connection:
        found = run_sql(connection, "SELECT submission_id FROM {d}.submission WHERE organisation = 'labour' LIMIT 1")
    before = seen(lists, "wang", timedelta(minutes=20))
    assert lists.get("wang", f"/submissions/{UUID(str(found[0][0]))}/progress").status_code == 200
    assert seen(lists, "wang") == before
    seen(lists, "wang", timedelta())


# ---- addresses nobody would type ----


@pytest.mark.parametrize(
    "address",
    [
        "/search?q=%00", "/areas?text=%00", "/organisations/%00", "/mappings/%00/%00", "/keys/%00", "/month?month=0000-01",
        "/month?month=9999-12", "/board?month=9999-12", "/screen?theme=%00", "/areas/99999999999999999999",
        "/matrix?month=8999-12&many=999999999999999999999", "/quality/trend?organisation=%00&record_type=employment",
        "/quality/rows?organisation=labour&record_type=employment&month=2026-09&after=99999999999999999999",
        "/subscriptions/%00?before=99999999999999999999", "/help/..%2f..%2fREADME", "/help/pictures/..%2fclerk.md",
        "/submissions/new?record_type=%00&period=9999-12", "/rounds/9999-12/close", "/balance/0000-01/orders",
    ],
)  # fmt: skip
@pytest.mark.parametrize("login", ["wang", "qu"])
def test_no_address_breaks_a_page(lists: Lists, login: str, address: str) -> None:
    assert lists.get(login, address).status_code < 500


@pytest.mark.parametrize(
    "address", ["/balance/people?figure=excused&purpose=verify&reason=查找差异人员&after=", "/corrections?before="]
)
def test_a_number_of_thousands_of_digits_breaks_no_page(lists: Lists, address: str) -> None:
    assert lists.get("qu", address + "9" * 5000).status_code == 400


def test_a_form_with_a_zero_character_is_refused_and_breaks_nothing(lists: Lists) -> None:
    answer = lists.post("wang", "/views/submissions", name="一\x00二")
    assert answer.headers["location"] == "/submissions?view=all&unsaved=bad-view-name"
    assert lists.post("qu", "/board/remind", month=THIS_MONTH, organisation="\x00").status_code in (400, 404, 409)


def test_whose_lines_a_matrix_opens_is_a_unit_or_nothing_and_no_number_gets_into_the_audit(lists: Lists) -> None:
    for asked in (f"whose={NUMBER}", f"whose=labour&part={NUMBER}", f"measure=round&whose={NUMBER}", "whose="):
        address = f"/matrix/rows?month=2026-10&{asked}" + ("" if "measure" in asked else "&measure=asked")
        answer = lists.get("qu", address)
        assert (
            answer.status_code == 404 and NUMBER not in answer.text.replace(quote(quote(address)), "").split("<main")[1]
        )
    assert lists.get("qu", "/matrix/rows?month=2026-10&measure=asked&whose=labour").status_code == 200
    reading = Database(str(lists.hub.settings.owner_url), lists.hub.settings.district)
    with reading.begin() as connection:
        assert run_sql(connection, "SELECT 1 FROM {d}.audit WHERE object LIKE :it", it=f"%{NUMBER}%") == []
    reading.close()


def test_a_number_behind_the_letters_of_a_receipt_is_a_number_all_the_same(lists: Lists) -> None:
    answer = lists.get("wang", f"/search?q=AB1234-{NUMBER}")
    assert answer.status_code == 303 and NUMBER not in answer.headers["location"]


# ---- what is nobody else's ----


def test_how_often_care_sent_what_is_clinical_by_existing_only_care_is_told(lists: Lists) -> None:
    def line(login: str) -> str:
        page = lists.get(login, "/organisations/mch_station").text
        return next(row for row in page.split("<tr>") if "产后" in row)

    assert "不显示" in line("qu") and '<td class="n">3</td>' not in line("qu")
    assert '<td class="n">3</td>' in line("fu")


@pytest.mark.parametrize("login", ["xi", "anquan", "shen"])
def test_the_three_administrators_find_no_business_anywhere(lists: Lists, login: str) -> None:
    pages = ("/", "/running", "/organisations", "/organisations/labour", "/search?q=labour", "/search?q=R-labour-0001",
             "/search?q=HR2026", "/month", "/board", "/matrix", "/screen", "/submissions", "/doors", "/quality")  # fmt: skip
    for address in pages:
        answer = lists.get(login, address)
        assert answer.status_code in (200, 403), address
        told = answer.text.split("<main")[1].replace("R-labour-0001", "", 3 if "R-labour" in address else 0)
        assert "R-labour" not in told and "labour-1.csv" not in told, address
