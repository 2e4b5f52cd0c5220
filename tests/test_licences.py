"""Requests for slices: what is missing is said once, providers answer in their days, and then the slice is in force."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from hub.database import Database, run_sql, utc_now
from hub.errors import BadRequest, ClinicalBoundary, Conflict, CursorGone, NotAllowed, NotFound
from hub.registry.requests import SamePerson
from hub.registry.scope import reach_of
from hub.registry.subscriptions import load_subscription
from hub.settings import Settings
from hub.sharing.answers import (
    AnsweredAlready,
    NotArbitrary,
    answer_request,
    answers_of,
    ask_extension,
    consent_to_extension,
    send_back,
)
from hub.sharing.licence import new_request_number, read_request_number
from hub.sharing.request_list import days_left, list_requests, show_request
from hub.sharing.requests import (
    BadReasonGiven,
    RequestMoved,
    draft_request,
    escalate_request,
    find_request,
    revise_request,
    submit_request,
    withdraw_request,
)
from hub.sharing.subscription_life import ask_to_stop, events_of
from hub.sharing.terms_watch import note_first_deliveries
from mappings.catalogue import Catalogue
from tests.district import actor
from tests.doors import TOWN, Hub, founded_hub
from tests.licensed import (
    BUREAU,
    HEALTH,
    JOBS,
    LABOUR,
    MONDAY,
    MOVES,
    NEXT_YEAR,
    POLICE,
    SHOPS,
    answer,
    ask,
    granted,
    pull,
    wanted,
    watch,
    work,
)


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        yield founded


# ---- the way of a request ----


def test_an_approved_request_is_a_subscription_and_its_first_delivery_is_noted(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue, freshness_hours=48)
    assert (asked.state, asked.providers, asked.missing) == ("submitted", ("public_security",), ())
    assert read_request_number(asked.request_no.lower()) == asked.request_no
    done = answer(hub, catalogue, POLICE, asked, reason="仅限接种服务")
    assert (done.state, done.delivered_at) == ("approved", None)
    with hub.worker.begin() as connection:
        known = load_subscription(connection, done.subscription_code)
        assert (known.organisation, known.request_id, known.scope) == ("health", asked.request_id, "本局接种服务")
        assert (known.freshness_hours, known.providers, known.mode) == (48, ("public_security",), "interface")
        assert [one.what for one in events_of(connection, known.subscription_id)] == ["approved"]
        assert note_first_deliveries(connection, utc_now()) == 0
    deliver_something(hub, known.subscription_id)
    with hub.worker.begin() as connection:
        assert [note_first_deliveries(connection, utc_now()) for _ in range(2)] == [1, 0]


def deliver_something(hub: Hub, subscription_id: object) -> None:
    with hub.worker.begin() as connection:
        run_sql(
            connection,
            "INSERT INTO {d}.delivery (subscription_id, epoch, page_no, kind, definition_version, from_seq, to_seq,"
            " first_delivery_no, count, digest, delivered_at)"
            " VALUES (:id, 'e.1', 1, 'page', 1, 0, 1, 1, 1, 'd', :now)",
            id=subscription_id,
            now=utc_now(),
        )


def test_everything_that_is_missing_is_said_in_one_list_and_the_clock_waits(hub: Hub, catalogue: Catalogue) -> None:
    unknown = {"record_type": "no_such_type", "fields": ["name"]}
    wrong = {"record_type": "hukou_move_in", "fields": ["name", "no_such_field"]}
    asked = ask(
        hub, catalogue, unknown, wrong, purpose="", legal_basis=" ", scope="", expires_on="2050-01-01", mode="post",
        freshness_hours="often", colour="red",
    )  # fmt: skip
    assert (asked.state, asked.submitted_at) == ("incomplete", None)
    told = "\n".join(asked.missing)
    for named in ("purpose", "legal_basis", "scope", "expires_on", "mode", "no_such_type", "no_such_field"):
        assert named in told
    with hub.served.begin(reach_of(HEALTH)) as connection:
        assert answers_of(connection, asked.request_id) == []
        revised = revise_request(connection, hub.settings, catalogue, HEALTH, asked.request_id, wanted(), utc_now())
        assert revised.missing == ()
        again = submit_request(connection, hub.settings, catalogue, HEALTH, asked.request_id, utc_now())
        assert (again.state, len(answers_of(connection, asked.request_id))) == ("submitted", 1)
    assert ("health", "licence_incomplete") not in watch(hub, utc_now())


def test_what_cannot_be_read_is_named_and_nothing_is_refused_for_it(hub: Hub, catalogue: Catalogue) -> None:
    with hub.served.begin(reach_of(HEALTH)) as connection:
        drafted = draft_request(
            connection, hub.settings, catalogue, HEALTH, "new", "",
            {"definition": "everything", "expires_on": "someday", "colour": 1}, utc_now(),
        )  # fmt: skip
    told = "\n".join(drafted.missing)
    assert drafted.state == "draft"
    for named in ("definition", "expires_on", "colour", "title", "purpose", "record type"):
        assert named in told


_WOMEN_BY_AGE = [
    {"field": "sex", "op": "in", "values": ["2"]},
    {"field": "birth_date", "op": "not_empty"},
]


@pytest.mark.parametrize(
    ("one", "refused"),
    [
        ({"record_type": "antenatal_booking", "fields": ["booked_on"]}, ClinicalBoundary),
        (MOVES | {"conditions": _WOMEN_BY_AGE}, NotAllowed),
        ({"record_type": "assistance_request", "fields": []}, NotAllowed),
    ],
)
def test_what_the_floor_forbids_is_told_at_once(
    hub: Hub, catalogue: Catalogue, one: dict[str, Any], refused: type[Exception]
) -> None:
    with pytest.raises(refused):
        ask(hub, catalogue, one)
    with hub.worker.begin() as connection:
        assert run_sql(connection, "SELECT 1 FROM {d}.licence_request") == []


def test_a_town_asks_for_its_own_area_even_where_it_names_none(hub: Hub, catalogue: Catalogue) -> None:
    with hub.worker.begin() as connection:
        rows = run_sql(connection, "SELECT area_id FROM shared.organisation WHERE code = :code", code=TOWN)
    town = actor(TOWN, "town_officer", name="qingxi", area_id=int(str(rows[0][0])))
    asked = ask(hub, catalogue, who=town)
    assert asked.state == "submitted"
    assert asked.wanted.definition.areas is not None and len(asked.wanted.definition.areas) == 3
    foreign = {"record_types": [MOVES], "areas": [5]}
    with pytest.raises(NotAllowed):
        ask(hub, catalogue, who=town, definition=foreign)


def test_two_providers_answer_each_for_its_own_and_one_is_not_enough(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue, MOVES, JOBS)
    assert asked.providers == ("labour", "public_security")
    assert answer(hub, catalogue, LABOUR, asked).state == "submitted"
    with pytest.raises(NotFound), hub.worker.begin() as connection:
        load_subscription(connection, asked.subscription_code)
    assert answer(hub, catalogue, LABOUR, asked).state == "submitted"  # the same person, the same answer
    other = actor("labour", "data_officer", name="renshu-2")
    with pytest.raises(AnsweredAlready):
        answer(hub, catalogue, other, asked, "refused", "用途与目录所列条件不符")
    assert answer(hub, catalogue, POLICE, asked).state == "approved"


def test_one_refusal_refuses_with_its_reason_and_the_others_answers_stay(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue, MOVES, JOBS)
    answer(hub, catalogue, LABOUR, asked)
    with pytest.raises(BadReasonGiven):
        answer(hub, catalogue, POLICE, asked, "refused", "不行")
    done = answer(hub, catalogue, POLICE, asked, "refused", "使用场景不需要身份号码")
    assert (done.state, done.level) == ("refused", 0)
    with hub.served.begin(reach_of(HEALTH)) as connection:
        assert {one.provider: one.state for one in answers_of(connection, asked.request_id)} == {
            "labour": "approved", "public_security": "refused",
        }  # fmt: skip
        brought = escalate_request(connection, HEALTH, asked.request_id, 1, "该字段为接种建档所必需")
        assert brought.level == 1
        with pytest.raises(NotAllowed):
            escalate_request(connection, HEALTH, asked.request_id, 2, "该字段为接种建档所必需")
    with hub.served.begin(reach_of(BUREAU)) as connection:
        back = send_back(
            connection, hub.settings, BUREAU, asked.request_id, "public_security", "请按接种建档需要重新研究", utc_now()
        )
    assert back.state == "submitted"
    assert answer(hub, catalogue, POLICE, asked).state == "approved"


def test_unconditional_sharing_is_not_refused_at_will_and_goes_to_the_bureau(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue, SHOPS, now=MONDAY)
    with hub.worker.begin() as connection:
        (its,) = answers_of(connection, asked.request_id)
    assert (its.provider, its.sharing, its.reply_by) == ("bureau", "unconditional", date(2026, 11, 24))
    with pytest.raises(NotArbitrary):
        answer(hub, catalogue, BUREAU, asked, "refused", "目前不便提供此项数据", now=MONDAY)
    refused = answer(
        hub,
        catalogue,
        BUREAU,
        asked,
        "refused",
        "申请的是经营异常名录，与目录条目所列的登记信息不是同一内容",
        now=MONDAY,
    )
    assert (refused.state, refused.level) == ("refused", 1)


def test_who_asks_never_answers_whatever_roles_they_hold(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue, who=POLICE)
    with pytest.raises(SamePerson):
        answer(hub, catalogue, POLICE, asked)
    colleague = actor("public_security", "data_officer", name="gongshu-2")
    assert answer(hub, catalogue, colleague, asked).state == "approved"


def test_the_rights_of_each_role(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue)
    for role in ("department_clerk", "integrator"):
        with pytest.raises(NotAllowed):
            ask(hub, catalogue, who=actor("labour", role))
        with pytest.raises(NotAllowed):
            answer(hub, catalogue, actor("public_security", role), asked)
    with pytest.raises(NotAllowed):
        answer(hub, catalogue, BUREAU, asked)  # no provider of this one
    for stranger in (LABOUR, actor("labour", "integrator")):
        with pytest.raises(NotFound), hub.served.begin(reach_of(stranger)) as connection:
            find_request(connection, stranger, asked.request_id)
    for knows in (HEALTH, POLICE, BUREAU, actor("health", "integrator")):
        with hub.served.begin(reach_of(knows)) as connection:
            assert len(list_requests(connection, hub.settings, knows, utc_now())) == 1
    for who in (HEALTH, POLICE):
        with pytest.raises(NotAllowed), hub.served.begin(reach_of(who)) as connection:
            consent_to_extension(connection, hub.settings, who, asked.request_id, "public_security", utc_now())
    with pytest.raises(NotAllowed), hub.served.begin(reach_of(POLICE)) as connection:
        withdraw_request(connection, POLICE, asked.request_id, utc_now())
    with hub.served.begin(reach_of(HEALTH)) as connection:
        assert withdraw_request(connection, HEALTH, asked.request_id, utc_now()).state == "withdrawn"
    with pytest.raises(RequestMoved):
        answer(hub, catalogue, POLICE, asked)


# ---- clocks ----


def test_an_extension_needs_the_bureau_and_the_receiver_is_told(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue, now=MONDAY)
    with hub.served.begin(reach_of(POLICE)) as connection:
        (its,) = answers_of(connection, asked.request_id)
        assert its.reply_by == date(2026, 12, 7)
        with pytest.raises(BadRequest):
            ask_extension(connection, hub.settings, POLICE, asked.request_id, 11, "需会同法制部门研究", MONDAY)
        ask_extension(connection, hub.settings, POLICE, asked.request_id, 10, "需会同法制部门研究", MONDAY)
    assert ("bureau", "licence_extension") in watch(hub, MONDAY)
    with hub.served.begin(reach_of(BUREAU)) as connection:
        later = consent_to_extension(connection, hub.settings, BUREAU, asked.request_id, "public_security", MONDAY)
    assert later.reply_by == date(2026, 12, 21)
    assert {("health", "licence_extended"), ("public_security", "licence_extended")} <= watch(hub, MONDAY)


def test_an_overdue_answer_comes_before_the_bureau_by_itself(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue, now=MONDAY)
    assert watch(hub, MONDAY) == {("public_security", "licence_asked")}
    assert ("public_security", "licence_due") in watch(hub, MONDAY + timedelta(days=10))
    told = watch(hub, MONDAY + timedelta(days=15))
    assert {("public_security", "licence_overdue"), ("bureau", "licence_escalated")} <= told
    with hub.served.begin(reach_of(BUREAU)) as connection:
        (line,) = list_requests(connection, hub.settings, BUREAU, MONDAY + timedelta(days=15))
        assert (line.request.level, line.overdue, line.clocks[0].left) == (1, True, -1)
        assert escalate_request(connection, BUREAU, asked.request_id, 2, "提供单位逾期仍未答复").level == 2
        with pytest.raises(RequestMoved):
            escalate_request(connection, BUREAU, asked.request_id, 2, "提供单位逾期仍未答复")


def test_days_left_are_working_days_and_below_zero_when_over() -> None:
    from hub.registry.working_days import Calendar

    calendar, monday = Calendar(), date(2026, 11, 23)
    left = [days_left(calendar, monday, monday + timedelta(days=each)) for each in (0, 1, 7, -1, -3)]
    assert left == [0, 1, 5, -1, -1]
    assert read_request_number(new_request_number(monday)[:-1] + "?") is None


# ---- the life of a subscription ----


def test_a_change_begins_a_new_epoch_and_renewing_keeps_the_cursor(hub: Hub, catalogue: Catalogue) -> None:
    code = granted(hub, catalogue)
    cursor = pull(hub, catalogue, code).next
    renewal = ask(hub, catalogue, kind="renew", code=code, scope="本局与接种单位")
    answer(hub, catalogue, POLICE, renewal)
    cursor = pull(hub, catalogue, code, cursor).next
    narrower = {"record_type": "hukou_move_in", "fields": ["name"]}
    change = ask(hub, catalogue, narrower, kind="change", code=code)
    assert pull(hub, catalogue, code, cursor).epoch.endswith(".1")
    answer(hub, catalogue, POLICE, change)
    with pytest.raises(CursorGone):
        pull(hub, catalogue, code, cursor)
    with hub.worker.begin() as connection:
        known = load_subscription(connection, code)
        assert (known.version, known.epoch, known.scope) == (3, 2, "本局接种服务")
        assert [one.what for one in events_of(connection, known.subscription_id)] == ["changed", "renewed", "approved"]
    with pytest.raises(NotFound):
        ask(hub, catalogue, who=LABOUR, kind="renew", code=code)


def test_suspending_stops_the_pull_at_once_and_a_provider_may_only_ask(hub: Hub, catalogue: Catalogue) -> None:
    code = granted(hub, catalogue)
    for who in (HEALTH, POLICE):
        with pytest.raises(NotAllowed):
            work(hub, who, code, "suspend")
    with hub.served.begin(reach_of(POLICE)) as connection:
        ask_to_stop(connection, POLICE, code, "发现超范围使用，提请暂停")
    pull(hub, catalogue, code)
    with pytest.raises(BadReasonGiven):
        work(hub, BUREAU, code, "suspend", "查")
    work(hub, BUREAU, code, "suspend")
    with pytest.raises(NotAllowed):
        pull(hub, catalogue, code)
    work(hub, BUREAU, code, "resume", "整改完成，予以恢复")
    pull(hub, catalogue, code)
    work(hub, HEALTH, code, "end", "业务已停办，不再需要")
    assert work(hub, HEALTH, code, "end", "业务已停办，不再需要").state == "ended"
    told = watch(hub, utc_now())
    assert {("bureau", "subscription_stop_asked"), ("public_security", "subscription_suspended")} <= told
    assert {("health", "subscription_resumed"), ("public_security", "subscription_ended")} <= told
    with pytest.raises(Conflict):
        work(hub, BUREAU, code, "resume", "整改完成，予以恢复")


def test_a_subscription_lapses_on_its_day_and_everybody_is_told_before(hub: Hub, catalogue: Catalogue) -> None:
    code = granted(hub, catalogue)
    last = datetime.fromisoformat(f"{NEXT_YEAR}T02:00:00+00:00")
    assert ("health", "subscription_expiring") not in watch(hub, last - timedelta(days=31))
    for days in (30, 7, 0):
        assert ("health", "subscription_expiring") in watch(hub, last - timedelta(days=days))
    with hub.worker.begin() as connection:
        counted = "SELECT count(*) FROM {d}.notice WHERE kind = 'subscription_expiring' AND organisation = 'health'"
        assert run_sql(connection, counted) == [(3,)]
        run_sql(connection, "UPDATE {d}.subscription_version SET expires_on = :day", day=date(2026, 1, 1))
    told = watch(hub, utc_now())
    assert {("health", "subscription_lapsed"), ("public_security", "subscription_lapsed")} <= told
    with hub.worker.begin() as connection:
        known = load_subscription(connection, code)
        assert [one.what for one in events_of(connection, known.subscription_id)] == ["lapsed", "approved"]
    with pytest.raises(NotAllowed):
        pull(hub, catalogue, code)


# ---- twice at once ----


def test_the_form_sent_twice_is_one_request(hub: Hub, catalogue: Catalogue) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: ask(hub, catalogue), range(2))
    assert one.request_id == other.request_id


def test_two_approvals_at_the_same_moment_create_one_subscription(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue, MOVES, JOBS)
    with ThreadPoolExecutor(1) as pool:
        with hub.served.begin(reach_of(POLICE)) as connection:
            first = answer_request(
                connection, hub.settings, catalogue, POLICE, asked.request_id, "approved", "", utc_now()
            )
            other = pool.submit(answer, hub, catalogue, LABOUR, asked)
            assert not wait([other], timeout=0.3).done  # it waits until the first is kept
        assert (first.state, other.result().state) == ("submitted", "approved")
    with hub.worker.begin() as connection:
        assert run_sql(connection, "SELECT count(*) FROM {d}.subscription") == [(1,)]


# ---- what stays in care ----


def test_what_stays_in_care_is_named_to_nobody_else(hub: Hub, catalogue: Catalogue) -> None:
    care = actor("mch_station", "data_officer", name="fuyou")
    visits = {"record_type": "postnatal_visit", "fields": ["visit_date"]}
    asked = ask(hub, catalogue, MOVES, visits, who=care)
    assert asked.state == "submitted", asked.missing
    with hub.served.begin(reach_of(BUREAU)) as connection:
        seen = show_request(connection, hub.settings, catalogue, BUREAU, asked.request_id, utc_now())
    assert seen.withheld
    assert [one.record_type for one in seen.record_types] == ["hukou_move_in"]
    assert "postnatal_visit" not in str(seen)
    with hub.served.begin(reach_of(care)) as connection:
        own = show_request(connection, hub.settings, catalogue, care, asked.request_id, utc_now())
    assert len(own.record_types) == 2 and not own.withheld
