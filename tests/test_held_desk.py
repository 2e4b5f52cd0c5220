"""The desk for what waits for a person: its list and pages, the interface, the commands; who sees how much."""

from __future__ import annotations

import json
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import insert, select

from hub.database import new_uuid, utc_now
from hub.decisions.held import Chosen, refuse_rows
from hub.decisions.waiting import WantedItems, count_waiting_items, list_waiting
from hub.errors import BadRequest
from hub.registry import api_keys
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.registry.scope import reach_of
from hub.tables import audit, comparison_item, person_pair
from mappings.catalogue import Catalogue
from tests.decisions import finish, read, send, state_of
from tests.desk_visits import Visitor, visitor
from tests.district import actor
from tests.doors import Hub, csv_of, identity_number, move_in
from tests.test_held import BAD_NUMBER, DECIDER, NO_SUCH_CODE, WRONG_SEX, candidate_for, person_of, waiting

BUREAU = actor("bureau", "bureau_operator", name="quju")


def listed(hub: Hub, who: Actor, after: str = "", limit: int = 50, **wanted: Any) -> Any:
    with hub.served.begin(reach_of(who)) as connection:
        return list_waiting(connection, who, WantedItems(**wanted), after, limit)


def add_open_work(hub: Hub) -> None:
    """A pair for the bureau, and a difference for the police to work off."""
    first, second = sorted((new_uuid(), new_uuid()))
    pair = {"first_id": first, "second_id": second, "score": 7.0, "features": {}, "state": "open"}
    item = {
        "item_id": new_uuid(), "check_code": "dead_but_active", "subject": "x", "sides": [], "areas": [],
        "organisation": "public_security", "state": "open", "opened_at": utc_now(), "last_seen_at": utc_now(),
    }  # fmt: skip
    with hub.worker.begin() as connection:
        connection.execute(insert(person_pair).values(**pair, found_at=utc_now()))
        connection.execute(insert(comparison_item).values(item))


def test_one_list_holds_everything_that_waits_the_oldest_first(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX), move_in(3, **NO_SUCH_CODE), move_in(5)))
    add_open_work(hub)
    found = listed(hub, DECIDER)
    assert [(one.kind, one.row_no) for one in found] == [("held", 1), ("held", 2), ("comparison", 0)]
    assert (found[0].receipt, found[0].codes) == (sent.receipt_number, ("E_LOGIC_SEX",))
    assert [one.row_no for one in listed(hub, DECIDER, code="E_CODE")] == [2]
    assert listed(hub, DECIDER, older_than_days=1) == []
    assert listed(hub, DECIDER, record_type="marriage") == []
    pages = [listed(hub, DECIDER, limit=2), listed(hub, DECIDER, after=found[1].cursor, limit=2)]
    assert [one.key for page in pages for one in page] == [one.key for one in found]
    with pytest.raises(BadRequest):
        listed(hub, DECIDER, after="yesterday")


def test_the_bureau_sees_how_much_waits_and_no_row_of_it(
    hub: Hub, catalogue: Catalogue, client: TestClient[Litestar]
) -> None:
    send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX), move_in(3, **WRONG_SEX)))
    add_open_work(hub)
    assert [one.kind for one in listed(hub, BUREAU)] == ["pair"]
    with hub.served.begin(reach_of(BUREAU)) as connection:
        counts = count_waiting_items(connection, BUREAU)
        closed = count_waiting_items(connection, BUREAU, without=["hukou_move_in"])
    told = [(one.kind, one.organisation, one.what, one.how_many) for one in counts]
    assert told == [
        ("held", "public_security", "hukou_move_in", 2), ("pair", "", "person", 1),
        ("comparison", "public_security", "dead_but_active", 1),
    ]  # fmt: skip
    assert [one.kind for one in closed] == ["pair", "comparison"]
    assert listed(hub, actor("labour", "department_clerk")) == []
    page = visitor(hub, client, "quju").get("/held").text
    assert ('href="/pairs/' in page, "性别与身份号码不符" in page, 'name="row-' in page) == (True, False, False)


def test_rows_are_ticked_and_pass_or_are_refused(hub: Hub, catalogue: Catalogue, gongan: Visitor) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX), move_in(3, **WRONG_SEX), move_in(5, **NO_SUCH_CODE)))
    page = gongan.get("/held?code=E_LOGIC_SEX").text
    ticks = [f"row-{sent.submission_id}-{row_no}" for row_no in (1, 2, 3)]
    assert [tick in page for tick in ticks] == [True, True, False]
    assert gongan.post("/held", act="release").status_code == 400  # nothing ticked
    shown = gongan.post("/held", act="preview", **{ticks[0]: "1"})
    preview = shown.headers["location"].rpartition("/")[2]
    assert finish(hub, catalogue, preview) == "previewed"
    assert "王小明" in gongan.get(f"/submissions/{preview}/effect").text
    done = gongan.post("/held", act="release", reason="已核对", **{ticks[0]: "1", ticks[1]: "1"})
    release = done.headers["location"].rpartition("/")[2]
    assert "处理中" in gongan.get("/held").text
    hub.work()
    assert state_of(hub, release) == "merged"
    assert gongan.get(f"/submissions/{release}").status_code == 200
    assert gongan.post("/held", act="refuse", **{ticks[2]: "1"}).status_code == 400  # no reason given
    assert gongan.post("/held", act="refuse", reason="查无此人", **{ticks[2]: "1"}).status_code == 303
    assert "没有等待处理的" in gongan.get("/held").text
    assert "Nothing waits." in gongan.get("/held", "en").text


def test_a_row_shows_why_it_waits_and_whom_it_may_mean_masked(
    hub: Hub, catalogue: Catalogue, gongan: Visitor, client: TestClient[Litestar]
) -> None:
    send(hub, catalogue, csv_of(move_in(1)))
    sent = send(hub, catalogue, csv_of(move_in(3, 姓名="王小朋", **BAD_NUMBER)))
    meant = person_of(hub, identity_number(1))
    candidate_for(hub, sent, 1, meant)
    address = f"/held/{sent.receipt_number}/1"
    page = gongan.get(address).text
    assert "身份号码校验位不对" in page
    assert "请对照证件核对" in page
    assert "王小朋" in page  # a cell as it was sent
    assert str(meant) in page
    assert "王小明" in page  # the candidate
    for number in (identity_number(1), identity_number(1)[-4:], BAD_NUMBER["公民身份号码"]):
        assert number not in page
    noted = read(hub, "SELECT facts ->> 'what' FROM {d}.audit WHERE act = 'decide-held' ORDER BY at")
    assert noted == [("held-row",), ("candidates",)]
    assert gongan.post(address, act="release").status_code == 409  # nobody said who is meant
    done = gongan.post(address, act="release", **{"person-person": str(meant)})
    hub.work()
    assert state_of(hub, done.headers["location"].rpartition("/")[2]) == "merged"
    assert read(hub, "SELECT count(*) FROM {d}.rec_hukou_move_in WHERE person_ref = :it", it=meant) == [(1,)]
    assert "已采纳" in gongan.get(address).text
    for login, status in (("renshe", 404), ("quju", 403)):
        assert visitor(hub, client, login).get(address).status_code == status


def test_the_interface_lists_and_decides_for_who_has_the_right_alone(
    hub: Hub, catalogue: Catalogue, client: TestClient[Litestar]
) -> None:
    send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX)))
    assert client.get("/v1/held", headers=hub.key_of("public_security")).status_code == 403
    answer = client.post(
        "/v1/held/decisions", headers=hub.key_of("public_security"), json={"receipt": "x", "act": "refuse"}
    )
    assert answer.status_code == 403


def test_a_system_that_has_the_right_lists_and_decides(
    hub: Hub, catalogue: Catalogue, client: TestClient[Litestar]
) -> None:
    headers = key_that_decides(hub)
    sent = send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX), move_in(3, **WRONG_SEX), move_in(5, **NO_SUCH_CODE)))
    listed = client.get("/v1/held", params={"code": "E_LOGIC_SEX"}, headers=headers).json()
    assert [(one["row_no"], one["codes"]) for one in listed["data"]] == [
        (1, [{"code": "E_LOGIC_SEX", "release": "as_it_is"}]), (2, [{"code": "E_LOGIC_SEX", "release": "as_it_is"}]),
    ]  # fmt: skip

    def decide(act: str, **told: Any) -> Any:
        document = {"receipt": sent.receipt_number, "act": act, **told}
        return client.post("/v1/held/decisions", json=document, headers=headers)

    assert (decide("preview", rows=[1]).status_code, decide("refuse", rows=[3]).status_code) == (202, 400)
    released = decide("release", code="E_LOGIC_SEX").json()
    assert (released["rows"], released["left_out"]) == (2, 0)
    assert decide("refuse", rows=[3], reason="查无此人").json() == {"refused": 1}
    assert decide("release", rows=[3]).json()["type"] == "urn:hub:problem:rows-decided"
    assert decide("release", rows=[9]).status_code == 404
    hub.work()
    assert client.get("/v1/held", headers=headers).json()["data"] == []


def key_that_decides(hub: Hub) -> dict[str, str]:
    may = ROLES["integrator"] | {Right.DECIDE_HELD}
    with hub.served.begin() as connection:
        key = api_keys.issue_key(connection, SYSTEM_ACTOR, organisation="public_security", title="待核", scopes=may)
    return {"Authorization": f"Bearer {key.text}"}


def test_decisions_are_in_the_audit_by_count_and_never_by_value(hub: Hub, catalogue: Catalogue) -> None:
    sent = send(hub, catalogue, csv_of(move_in(1, **WRONG_SEX)))
    refuse_rows(hub.served, DECIDER, Chosen(submission_id=sent.submission_id), f"号码 {identity_number(1)} 不对")
    with hub.worker.begin() as connection:
        lines = connection.execute(select(audit.c.facts).where(audit.c.act == "decide-held")).scalars().all()
    assert [facts["refused"] for facts in lines] == [1]
    assert identity_number(1) not in json.dumps(lines, default=str)
    assert identity_number(1) not in str(read(hub, "SELECT reason FROM {d}.held_row"))
    assert waiting(hub)[1][0] == "refused"
