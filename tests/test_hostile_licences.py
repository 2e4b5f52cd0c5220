"""Who wants more than was approved: between asking and answering, by somebody else's code, by two slices, by what they type."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from hub.database import Database, run_sql, utc_now
from hub.errors import BadRequest, ClinicalBoundary, Conflict, NotAllowed, NotFound
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition
from hub.registry.subscriptions import Terms, change_subscription, load_subscription
from hub.settings import Settings
from hub.sharing.answers import LimitPassed, RequestOutdated, answer_request, send_back
from hub.sharing.entries import load_entry
from hub.sharing.entry_keeping import (
    Edited,
    EntryMoved,
    drop_version,
    name_provider,
    publish_version,
    save_draft,
    submit_version,
)
from hub.sharing.request_list import list_requests
from hub.sharing.requests import draft_request, escalate_request, revise_request, submit_request
from hub.sharing.subscription_life import ask_to_stop, events_of
from mappings.catalogue import Catalogue
from tests.desk_visits import visitor
from tests.district import actor
from tests.doors import Hub, founded_hub, open_account
from tests.licensed import (
    BUREAU,
    HEALTH,
    JOBS,
    LABOUR,
    MONDAY,
    MOVES,
    NEXT_YEAR,
    POLICE,
    answer,
    ask,
    granted,
    pull,
    wanted,
    watch,
    work,
)

NARROWER = {"record_type": "hukou_move_in", "fields": ["name"]}
WIDER = {"record_type": "hukou_move_in", "fields": ["name", "id_no", "move_date", "from_addr"]}
BY_SEX = {
    "record_type": "hukou_move_in",
    "fields": ["name"],
    "conditions": [{"field": "sex", "op": "in", "values": ["2"]}],
}
BY_AGE = {
    "record_type": "residence_registration",
    "fields": ["name"],
    "conditions": [{"field": "birth_date", "op": "from", "values": ["1990-01-01"]}],
}


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        yield founded


def draft(
    hub: Hub, catalogue: Catalogue, *types: dict[str, Any], kind: str = "new", code: str = "", **changes: Any
) -> Any:
    with hub.served.begin(reach_of(HEALTH)) as connection:
        written = wanted(*types, **changes)
        return draft_request(connection, hub.settings, catalogue, HEALTH, kind, code, written, utc_now())


def rewrite_entry(hub: Hub, statement: str) -> None:
    """The bureau publishes an entry that says less, between asking and answering."""
    with hub.worker.begin() as connection:
        run_sql(connection, f"UPDATE {{d}}.{statement} WHERE record_type = 'hukou_move_in'")


def without(field: str) -> str:
    one = f"CASE WHEN i ->> 'field' = '{field}' THEN i || '{{\"shared\": false}}' ELSE i END"
    items = f"(SELECT jsonb_agg({one}) FROM jsonb_array_elements(content -> 'items') i)"
    return f"catalogue_version SET content = content || jsonb_build_object('items', {items})"


# ---- between asking and answering ----


def test_an_item_the_entry_no_longer_shares_is_not_approved_and_what_was_approved_stands(
    hub: Hub, catalogue: Catalogue
) -> None:
    code, asked = granted(hub, catalogue), ask(hub, catalogue, WIDER, code="weijian-more")
    rewrite_entry(hub, without("id_no"))
    with pytest.raises(RequestOutdated, match="id_no"):
        answer(hub, catalogue, POLICE, asked)
    assert answer(hub, catalogue, POLICE, asked, "refused", "该数据项已不再共享").state == "refused"
    pull(hub, catalogue, code)  # an entry stops no slice: the bureau does
    renewal = ask(hub, catalogue, kind="renew", code=code)
    assert renewal.state == "incomplete" and "id_no" in "".join(renewal.missing)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("catalogue_entry SET version = 0", "not published"),
        ('catalogue_version SET content = content || \'{"provider": "labour"}\'', "its provider is another"),
        ('catalogue_version SET content = content || \'{"modes": ["download"]}\'', "this mode"),
    ],
)
def test_an_entry_withdrawn_handed_on_or_closed_is_not_approved(
    hub: Hub, catalogue: Catalogue, statement: str, told: str
) -> None:
    asked = ask(hub, catalogue)
    rewrite_entry(hub, statement)
    with pytest.raises(RequestOutdated, match=told):
        answer(hub, catalogue, POLICE, asked)


def test_neither_after_its_last_day_nor_for_a_receiver_that_was_disabled(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue)
    with pytest.raises(LimitPassed):
        answer(hub, catalogue, POLICE, asked, now=utc_now() + timedelta(days=301))
    with hub.worker.begin() as connection:
        run_sql(connection, "UPDATE shared.organisation SET enabled = false WHERE code = 'health'")
    with pytest.raises(RequestOutdated, match="disabled"):
        answer(hub, catalogue, POLICE, asked)


def test_what_was_handed_in_is_not_written_over_and_not_approved_under_another_slice(
    hub: Hub, catalogue: Catalogue
) -> None:
    asked = ask(hub, catalogue)
    with pytest.raises(Conflict), hub.served.begin(reach_of(HEALTH)) as connection:
        revise_request(connection, hub.settings, catalogue, HEALTH, asked.request_id, wanted(WIDER), utc_now())
    code = answer(hub, catalogue, POLICE, asked).subscription_code
    early = draft(hub, catalogue, WIDER, kind="renew", code=code)
    assert early.wanted.definition == asked.wanted.definition  # whatever was written of it
    answer(hub, catalogue, POLICE, ask(hub, catalogue, MOVES | {"fields": ["name"]}, kind="change", code=code))
    with hub.served.begin(reach_of(HEALTH)) as connection:
        handed_in = submit_request(connection, hub.settings, catalogue, HEALTH, early.request_id, utc_now())
    assert [one.fields for one in handed_in.wanted.definition.record_types] == [("name",)]
    widened = msgspec.convert({"record_types": [MOVES, JOBS]}, SliceDefinition)  # by the registry, meanwhile
    with hub.served.begin(reach_of(SYSTEM_ACTOR)) as connection:
        terms = Terms(purpose="核对", legal_basis="条例")
        change_subscription(connection, SYSTEM_ACTOR, catalogue, code, definition=widened, terms=terms)
    with pytest.raises(RequestOutdated):
        answer(hub, catalogue, POLICE, handed_in)  # labour was never asked


# ---- of others, and two together ----


def test_a_code_that_is_anybodys_or_can_be_none_is_told_before_there_is_a_draft(hub: Hub, catalogue: Catalogue) -> None:
    code = granted(hub, catalogue)
    with pytest.raises(Conflict):
        ask(hub, catalogue, who=LABOUR, code=code)
    for wrong in ("Ab\x00", "x", "订阅"):
        with pytest.raises(BadRequest):
            ask(hub, catalogue, who=LABOUR, code=wrong)
    with pytest.raises(NotFound):
        ask(hub, catalogue, who=LABOUR, kind="change", code="no\x00ne")
    work(hub, HEALTH, code, "end", "业务已停办，不再需要")
    for kind in ("renew", "change"):
        with pytest.raises(Conflict):
            ask(hub, catalogue, kind=kind, code=code)


def test_two_slices_approved_at_once_are_judged_beside_each_other(hub: Hub, catalogue: Catalogue) -> None:
    one, other = ask(hub, catalogue, BY_SEX), ask(hub, catalogue, BY_AGE)
    assert one.state == other.state == "submitted"  # alone, each may be had
    with ThreadPoolExecutor(1) as pool:
        with hub.served.begin(reach_of(POLICE)) as connection:
            answer_request(connection, hub.settings, catalogue, POLICE, one.request_id, "approved", "", utc_now())
            second = pool.submit(answer, hub, catalogue, POLICE, other)
            assert not wait([second], timeout=0.6).done  # it waits until the first is kept
        with pytest.raises(NotAllowed):
            second.result()


def test_a_type_that_is_handed_on_takes_its_slices_along_and_is_not_given_back_alone(
    hub: Hub, catalogue: Catalogue
) -> None:
    code, now = granted(hub, catalogue), utc_now()
    with hub.served.begin(reach_of(BUREAU)) as connection:
        name_provider(connection, hub.settings, BUREAU, "hukou_move_in", "labour", "职责调整，改由其提供", now)
        content = load_entry(connection, "hukou_move_in").content
    with pytest.raises(EntryMoved), hub.served.begin(reach_of(LABOUR)) as connection:
        drop_version(connection, LABOUR, catalogue, "hukou_move_in", "不愿承担此项", now)
    signed = {"assessed_on": now.date() - timedelta(days=3), "assessed_by": "法制\x00科", "approved_by": "负责人"}
    said = {name: getattr(content, name) for name in Edited.__struct_fields__ if name != "shared"}
    edited = Edited(**(said | signed | {"approved_on": now.date() - timedelta(days=2)}), shared=content.shared_fields)
    with hub.served.begin(reach_of(LABOUR)) as connection:
        save_draft(connection, LABOUR, catalogue, "hukou_move_in", edited)
        submit_version(connection, hub.settings, LABOUR, catalogue, "hukou_move_in", now)
    with hub.served.begin(reach_of(BUREAU)) as connection:
        publish_version(connection, hub.settings, BUREAU, catalogue, "hukou_move_in", now)
    with hub.worker.begin() as connection:
        assert load_subscription(connection, code).providers == ("labour",)
        assert load_entry(connection, "hukou_move_in").content.assessed_by == "法制科"


# ---- clocks and notices ----


def test_an_answer_is_late_by_the_districts_own_day(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue, now=MONDAY)
    after_midnight = datetime(2026, 12, 7, 16, 30, tzinfo=UTC)  # half past midnight of the day after the last
    answer(hub, catalogue, POLICE, asked, "refused", "使用场景不需要身份号码", now=after_midnight)
    with hub.served.begin(reach_of(HEALTH)) as connection:
        (line,) = list_requests(connection, hub.settings, HEALTH, after_midnight)
    assert line.clocks[0].late and line.clocks[0].reply_by.isoformat() == "2026-12-07"


def test_who_has_to_judge_anew_is_told_so_and_asking_twice_to_stop_is_asking_once(
    hub: Hub, catalogue: Catalogue
) -> None:
    asked = ask(hub, catalogue, now=MONDAY)
    answer(hub, catalogue, POLICE, asked, "refused", "使用场景不需要身份号码", now=MONDAY)
    assert ("public_security", "licence_reminded") not in watch(hub, MONDAY)
    with hub.served.begin(reach_of(HEALTH)) as connection:
        escalate_request(connection, HEALTH, asked.request_id, 1, "该字段为接种建档所必需")
    with hub.served.begin(reach_of(BUREAU)) as connection:
        send_back(
            connection, hub.settings, BUREAU, asked.request_id, "public_security", "请按接种建档需要重新研究", MONDAY
        )
    assert ("public_security", "licence_reminded") in watch(hub, MONDAY)
    code = answer(hub, catalogue, POLICE, asked).subscription_code
    for _ in range(2):
        with hub.served.begin(reach_of(POLICE)) as connection:
            ask_to_stop(connection, POLICE, code, "发现超范围使用，提请暂停")
    with hub.worker.begin() as connection:
        known = load_subscription(connection, code)
        assert [one.what for one in events_of(connection, known.subscription_id)] == ["stop_asked", "approved"]


# ---- what is typed ----


def test_what_cannot_be_kept_or_turns_the_reading_about_is_left_out(hub: Hub, catalogue: Catalogue) -> None:
    asked = ask(hub, catalogue, title="迁\x00入\u202e人员\x07", purpose="<script>alert(1)</script>")
    assert (asked.state, asked.wanted.title) == ("submitted", "迁入人员")
    odd = {
        "record_type": "hukou_move_in",
        "fields": ["name"],
        "conditions": [{"field": "name", "op": "in", "values": ["\x00"]}],
    }
    more: dict[str, Any] = {"na\x00me": 1}
    told = ask(hub, catalogue, odd, **more)
    assert told.state == "incomplete" and not told.wanted.definition.record_types
    done = answer(hub, catalogue, POLICE, asked, "refused", "=cmd|'/c calc'!A1 \x00不符合目录所列条件")
    assert done.state == "refused"
    with hub.served.begin() as connection:
        open_account(connection, "weishu", "health", "data_officer")
    with TestClient(hub.app, base_url="https://hub.test") as client:
        visits = visitor(hub, client, "weishu")
        page = visits.get(f"/licences/{asked.request_id}").text
        assert "<script>alert" not in page and "&lt;script&gt;" in page
        terms = {name: value for name, value in wanted().items() if name != "definition"}
        odd_form = {"chosen-hukou_move_in": "1", "field-hukou_move_in-name": "on", "area-²": "on", "title": "a\x00"}
        assert visits.post("/licences/new?kind=new", **(terms | odd_form)).status_code == 303
        for place in ("/licences/new?kind=renew&subscription=no%00ne", "/catalogue/no%00ne", "/catalogue/no%00ne/edit"):
            assert visits.get(place).status_code == 404
        police = visitor(hub, client, "gongan")
        assert police.get(f"/licences/{asked.request_id}").status_code == 200


def test_care_asks_for_clinical_items_and_nobody_else_does(hub: Hub, catalogue: Catalogue) -> None:
    weighed = catalogue.record_types["birth_certificate"].clinical_fields[0].name
    one = {"record_type": "birth_certificate", "fields": [weighed]}
    care = actor("mch_station", "data_officer", name="fuyou")
    assert ask(hub, catalogue, one, who=care, expires_on=NEXT_YEAR).missing == ()
    with pytest.raises(ClinicalBoundary):
        ask(hub, catalogue, one)
