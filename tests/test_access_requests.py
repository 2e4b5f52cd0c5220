"""What needs a second person happens when the security administrator confirms it, and not before."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from hub.database import Database, new_uuid, utc_now
from hub.errors import BadRequest, Conflict, HubError, NotAllowed, NotFound
from hub.registry import accounts, requests
from hub.registry.api_keys import actor_of_key
from hub.registry.organisations import find_organisation, load_organisation, set_enabled
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.tables import access_request
from hub.tables import audit as audit_table
from tests import district
from tests.staff import POLICY, acting, come_in, create

NEW = {"name": "李某", "organisation": "labour", "roles": ["department_clerk"]}


@pytest.fixture
def hub(database: Database, app_database: Database) -> Database:
    """The district seen from the web door: its two administrators, and labour's data officer."""
    with database.begin() as connection:
        district.found(connection)
    create(app_database, "xi", "information_centre", "system_administrator")
    create(app_database, "an", "information_centre", "security_administrator")
    create(app_database, "shu", "labour", "data_officer")
    return app_database


def ask(hub: Database, who: str, act: str, object: str, content: dict[str, Any] | None = None) -> requests.Request:
    with hub.begin() as connection:
        return requests.ask(connection, acting(hub, who), act, object, content or {}, "工作需要")


def confirm(hub: Database, request_id: UUID, who: str = "an", **more: Any) -> requests.Confirmed:
    actor = acting(hub, who)
    with hub.begin() as connection:
        return requests.confirm(connection, actor, request_id, policy=POLICY, **more)


def test_an_account_is_opened_when_a_second_person_confirms(hub: Database) -> None:
    asked = ask(hub, "xi", "open_account", "li", NEW)
    with hub.begin() as connection:
        assert accounts.find_account(connection, "li") is None
    done = confirm(hub, asked.request_id)
    assert (done.request.state, done.request.asked_by, done.request.decided_by) == ("confirmed", "xi", "an")
    signed_in = come_in(hub, "li", done.secret)
    assert signed_in is not None and signed_in.must_change_password
    assert acting(hub, "li").rights == {Right.SIGNED_IN}


def test_who_confirms_decides_the_roles(hub: Database) -> None:
    asked = ask(hub, "xi", "open_account", "li", NEW)
    confirm(hub, asked.request_id, roles=("integrator",))
    with hub.begin() as connection:
        assert accounts.load_account(connection, "li").roles == ("integrator",)
    other = ask(hub, "xi", "reset_password", "li")
    with pytest.raises(BadRequest):
        confirm(hub, other.request_id, roles=("integrator",))


def test_the_one_time_password_is_kept_nowhere(hub: Database, owner_database: Database) -> None:
    done = confirm(hub, ask(hub, "xi", "open_account", "li", NEW).request_id)
    with owner_database.read() as connection:
        kept = [*connection.execute(select(access_request)), *connection.execute(select(audit_table))]
    assert len(done.secret) >= 16
    assert done.secret not in str(kept)


def test_a_password_is_reset_and_an_account_enabled_by_request(hub: Database) -> None:
    create(hub, "li")
    with hub.begin() as connection:
        accounts.set_disabled(connection, SYSTEM_ACTOR, "li", True)
    confirm(hub, ask(hub, "xi", "enable_account", "li").request_id)
    done = confirm(hub, ask(hub, "shu", "reset_password", "li").request_id)
    assert come_in(hub, "li") is None
    assert come_in(hub, "li", done.secret) is not None


def test_organisations_are_saved_enabled_and_disabled_by_request(hub: Database) -> None:
    content = {"name": "云岭区教育局", "kind": "department"}
    confirm(hub, ask(hub, "xi", "save_organisation", "education", content).request_id)
    confirm(hub, ask(hub, "xi", "disable_organisation", "education").request_id)
    confirm(hub, ask(hub, "xi", "save_organisation", "education", content | {"name": "教育局"}).request_id)
    with hub.begin() as connection:
        its = load_organisation(connection, "education")
    assert (its.name, its.enabled, its.district) == ("教育局", False, "d999001")
    confirm(hub, ask(hub, "xi", "enable_organisation", "education").request_id)
    with hub.begin() as connection:
        assert load_organisation(connection, "education").enabled


def test_a_data_officer_asks_for_a_key_of_their_own_organisation(hub: Database) -> None:
    asked = ask(hub, "shu", "issue_key", "labour", {"title": "业务系统", "scopes": ["submit"]})
    done = confirm(hub, asked.request_id)
    with hub.begin() as connection:
        who = actor_of_key(connection, done.secret, now=utc_now())
    assert who is not None and who.organisation == "labour" and who.may(Right.SUBMIT)


@pytest.mark.parametrize(
    ("act", "object", "content"),
    [
        ("open_account", "li", NEW | {"organisation": "health"}),
        ("reset_password", "an", {}),
        ("enable_account", "nobody", {}),
        ("issue_key", "health", {"title": "业务系统", "scopes": ["submit"]}),
    ],
)
def test_a_data_officer_asks_for_nothing_of_others(hub: Database, act: str, object: str, content: Any) -> None:
    with pytest.raises(NotFound):
        ask(hub, "shu", act, object, content)


def test_anothers_account_and_no_account_are_answered_alike(hub: Database) -> None:
    said = set()
    for login in ("an", "nobody"):
        with pytest.raises(NotFound) as refused:
            ask(hub, "shu", "reset_password", login)
        said.add(str(refused.value))
    assert len(said) == 1


@pytest.mark.parametrize(
    ("who", "act"),
    [("shu", "disable_organisation"), ("shu", "save_organisation"), ("xi", "issue_key"), ("an", "open_account")],
)
def test_nobody_asks_beyond_their_right(hub: Database, who: str, act: str) -> None:
    with pytest.raises(NotAllowed):
        ask(hub, who, act, "labour")


@pytest.mark.parametrize(
    ("act", "object", "content"),
    [
        ("drop_tables", "labour", {}),
        ("open_account", "li", NEW | {"password_hash": "x"}),
        ("open_account", "li", NEW | {"must_change_password": False}),
        ("open_account", "li", {"name": "李某"}),
        ("open_account", "li", NEW | {"roles": ["auditor", "integrator"]}),
        ("open_account", "an", NEW),
        ("open_account", "a b", NEW),
        ("reset_password", "shu", {"password": "chosen"}),
        ("enable_account", "nobody", {}),
        ("save_organisation", "x/../y", {"name": "某局", "kind": "department"}),
        ("save_organisation", "education", {"name": "某局", "kind": "department", "district": "d999002"}),
        ("save_organisation", "education", {"name": "某局", "kind": "secret service"}),
    ],
)
def test_what_could_never_be_confirmed_is_refused_at_once(
    hub: Database, act: str, object: str, content: dict[str, Any]
) -> None:
    with pytest.raises(HubError) as refused:
        ask(hub, "xi", act, object, content)
    assert refused.value.status in (400, 404, 409)
    with hub.begin() as connection:
        assert connection.execute(select(access_request)).all() == []


def test_a_reason_is_needed_and_the_same_request_waits_once(hub: Database) -> None:
    with hub.begin() as connection, pytest.raises(BadRequest):
        requests.ask(connection, acting(hub, "xi"), "open_account", "li", NEW, "  ")
    ask(hub, "xi", "open_account", "li", NEW)
    with pytest.raises(Conflict):
        ask(hub, "shu", "open_account", "li", NEW)


def test_nobody_decides_what_they_asked_for(hub: Database) -> None:
    asked = ask(hub, "xi", "open_account", "li", NEW)
    with pytest.raises(NotAllowed):
        confirm(hub, asked.request_id, "xi")
    both = Actor(name="xi", organisation="information_centre", kind="", door="panel", rights=frozenset(Right))
    with hub.begin() as connection, pytest.raises(requests.SamePerson):
        requests.confirm(connection, both, asked.request_id)
    with hub.begin() as connection, pytest.raises(requests.SamePerson):
        requests.refuse(connection, both, asked.request_id, "不同意")


def test_the_table_itself_refuses_one_person_as_two(hub: Database) -> None:
    asked = ask(hub, "xi", "open_account", "li", NEW)
    its = access_request.c.request_id == asked.request_id
    with pytest.raises(IntegrityError, match="second_person"), hub.begin() as connection:
        connection.execute(update(access_request).where(its).values(state="confirmed", decided_by="xi"))


def test_a_refused_request_says_why_and_does_nothing(hub: Database) -> None:
    asked = ask(hub, "xi", "open_account", "li", NEW)
    keeper = acting(hub, "an")
    with hub.begin() as connection:
        answered = requests.refuse(connection, keeper, asked.request_id, "人员已调离")
        assert (answered.state, answered.answer) == ("refused", "人员已调离")
        assert accounts.find_account(connection, "li") is None
    with pytest.raises(Conflict):
        confirm(hub, asked.request_id)


def test_a_request_is_decided_once(hub: Database) -> None:
    asked = ask(hub, "xi", "open_account", "li", NEW)
    confirm(hub, asked.request_id)
    with pytest.raises(Conflict):
        confirm(hub, asked.request_id)


def test_only_who_asked_withdraws(hub: Database) -> None:
    asked = ask(hub, "xi", "open_account", "li", NEW)
    with hub.begin() as connection, pytest.raises(NotFound):
        requests.withdraw(connection, acting(hub, "shu"), asked.request_id)
    with hub.begin() as connection:
        assert requests.withdraw(connection, acting(hub, "xi"), asked.request_id).state == "withdrawn"
    with pytest.raises(Conflict):
        confirm(hub, asked.request_id)


def test_one_sees_what_one_asked_for_and_the_keeper_sees_all(hub: Database) -> None:
    ask(hub, "xi", "open_account", "li", NEW)
    ask(hub, "shu", "reset_password", "shu")
    with hub.begin() as connection:
        seen = {who: requests.list_requests(connection, acting(hub, who)) for who in ("xi", "shu", "an")}
        waiting = requests.list_requests(connection, acting(hub, "an"), "confirmed")
    assert {who: [each.asked_by for each in found] for who, found in seen.items()} == {
        "xi": ["xi"],
        "shu": ["shu"],
        "an": ["shu", "xi"],
    }
    assert waiting == []


def test_the_keeper_cannot_have_their_own_password_reset_by_confirming_it(hub: Database) -> None:
    asked = ask(hub, "xi", "reset_password", "an")
    with pytest.raises(BadRequest):
        confirm(hub, asked.request_id)
    with hub.begin() as connection:
        assert requests.list_requests(connection, acting(hub, "an"))[0].state == "waiting"


def test_a_leavers_waiting_requests_are_withdrawn(hub: Database) -> None:
    asked = ask(hub, "shu", "reset_password", "shu")
    with hub.begin() as connection:
        accounts.close_account(connection, acting(hub, "an"), "shu")
    with pytest.raises(Conflict):
        confirm(hub, asked.request_id)


def test_the_confirmed_right_ends_with_the_request(hub: Database) -> None:
    confirm(hub, ask(hub, "xi", "disable_organisation", "commerce").request_id)
    with hub.begin() as connection, pytest.raises(NotAllowed):
        set_enabled(connection, acting(hub, "an"), "commerce", True)
    with hub.begin() as connection:
        its = find_organisation(connection, "commerce")
    assert its is not None and not its.enabled


def test_an_unknown_act_in_the_table_is_refused_at_confirmation(hub: Database) -> None:
    row = {"request_id": new_uuid(), "act": "anything", "object": "x", "content": {}, "reason": "r", "asked_by": "xi"}
    with hub.begin() as connection:
        connection.execute(insert(access_request), [row | {"asked_at": utc_now()}])
    with pytest.raises(BadRequest):
        confirm(hub, row["request_id"])  # type: ignore[arg-type]


def test_asking_and_deciding_leave_audit_lines(hub: Database, owner_database: Database) -> None:
    asked = ask(hub, "xi", "open_account", "li", NEW)
    confirm(hub, asked.request_id)
    with owner_database.read() as connection:
        its = audit_table.c.object == f"request/{asked.request_id}"
        lines = connection.execute(select(audit_table).where(its).order_by(audit_table.c.audit_id)).all()
    assert [(line.actor, line.facts["how"], line.address) for line in lines] == [
        ("xi", "ask", "10.9.8.7"),
        ("an", "confirmed", "10.9.8.7"),
    ]
