"""Accounts hold against guessing, and leave nothing behind when their people leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from statistics import median
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from hub.database import Database, utc_now
from hub.errors import BadRequest, Conflict, NotAllowed
from hub.registry import accounts, passwords, sessions, sign_in
from hub.registry.organisations import Organisation, load_organisation, save_organisation, set_enabled
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.sign_in_addresses import guesser
from hub.settings import AccountPolicy
from hub.tables import account, sign_in_address
from tests import district
from tests.staff import POLICY, acting, come_in, create, refusals


@pytest.fixture
def hub(database: Database, app_database: Database) -> Database:
    """The district with its organisations, seen from the web door."""
    with database.begin() as connection:
        district.found(connection)
    return app_database


# ---- guessing ----


def test_an_address_that_guesses_at_many_accounts_must_wait(hub: Database) -> None:
    create(hub)
    policy = AccountPolicy(address_free_attempts=4)
    for number in range(4):
        assert come_in(hub, f"nobody{number}", "wrong", address="10.1.1.1", policy=policy) is None
    assert come_in(hub, address="10.1.1.1", policy=policy) is None
    assert come_in(hub, address="10.1.1.2", policy=policy) is not None
    assert come_in(hub, address="10.1.1.1", policy=policy, later=timedelta(minutes=16)) is not None


def test_without_the_count_by_address_the_guessing_goes_on(hub: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    create(hub)
    monkeypatch.setattr("hub.registry.sign_in_addresses.is_locked", lambda *_: False)
    policy = AccountPolicy(address_free_attempts=1)
    for number in range(3):
        come_in(hub, f"nobody{number}", "wrong", address="10.1.1.1", policy=policy)
    assert come_in(hub, address="10.1.1.1", policy=policy) is not None


def test_signing_in_does_not_clear_the_count_of_the_address(hub: Database) -> None:
    create(hub)
    policy = AccountPolicy(address_free_attempts=4)
    for number in range(3):
        come_in(hub, f"nobody{number}", "wrong", address="10.1.1.1", policy=policy)
    assert come_in(hub, address="10.1.1.1", policy=policy) is not None
    come_in(hub, "nobody", "wrong", address="10.1.1.1", policy=policy)
    assert come_in(hub, address="10.1.1.1", policy=policy) is None


def test_the_count_of_an_address_falls_and_is_forgotten_after_a_day(hub: Database) -> None:
    for _ in range(3):
        come_in(hub, "nobody", "wrong", address="10.1.1.1")
    come_in(hub, "nobody", "wrong", address="10.1.1.1", later=timedelta(minutes=25))
    with hub.begin() as connection:
        assert connection.execute(select(sign_in_address.c.failed_attempts)).scalar_one() == 2
    come_in(hub, "nobody", "wrong", address="10.1.1.2", later=timedelta(days=2))
    with hub.begin() as connection:
        assert connection.execute(select(sign_in_address.c.address)).scalars().all() == ["10.1.1.2"]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.1.1.1", "10.1.1.1"),
        ("::ffff:10.1.1.1", "10.1.1.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("socket", "socket"),
    ],
)
def test_a_network_of_ipv6_counts_as_one_guesser(address: str, counted: str) -> None:
    assert guesser(address) == counted


def lock_out(hub: Database, login: str) -> None:
    for number in range(POLICY.free_attempts + 2):
        assert come_in(hub, login, "wrong-password", address=f"10.2.0.{number}") is None


def test_nobody_can_lock_out_the_only_security_administrator(hub: Database) -> None:
    create(hub, "an", "bureau", "security_administrator")
    lock_out(hub, "an")
    assert come_in(hub, "an", address="10.3.0.1") is not None
    create(hub, "bao", "bureau", "security_administrator")
    lock_out(hub, "an")
    assert come_in(hub, "an", address="10.3.0.1") is None


def test_without_the_exception_anybody_locks_the_keeper_out(hub: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "is_only_keeper", lambda *_: False)
    create(hub, "an", "bureau", "security_administrator")
    lock_out(hub, "an")
    assert come_in(hub, "an", address="10.3.0.1") is None


def test_the_address_alone_still_holds_who_guesses_at_the_keeper(hub: Database) -> None:
    create(hub, "an", "bureau", "security_administrator")
    policy = AccountPolicy(address_free_attempts=5)
    for _ in range(5):
        come_in(hub, "an", "wrong-password", address="10.2.0.1", policy=policy)
    assert come_in(hub, "an", address="10.2.0.1", policy=policy) is None


def seconds_of(hub: Database, login: str) -> float:
    def one() -> float:
        started = time.perf_counter()
        come_in(hub, login, "wrong-password", later=timedelta(days=1), policy=AccountPolicy(free_attempts=10_000))
        return time.perf_counter() - started

    return median(one() for _ in range(9))


@pytest.mark.usefixtures("real_hashes")
def test_an_unknown_login_takes_as_long_as_a_known_one(hub: Database) -> None:
    create(hub)
    assert 0.4 < seconds_of(hub, "nobody") / seconds_of(hub, "wang") < 2.5


@pytest.mark.usefixtures("real_hashes")
def test_without_the_hash_for_nobody_the_time_tells(hub: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    create(hub)
    really: Callable[[Any, str], bool] = passwords.matches
    monkeypatch.setattr(sign_in, "matches", lambda kept, typed: kept is not None and really(kept, typed))
    assert seconds_of(hub, "nobody") / seconds_of(hub, "wang") < 0.4


def test_a_failure_is_audited_alike_and_never_with_what_was_typed(hub: Database, owner_database: Database) -> None:
    create(hub)
    come_in(hub, "wang", "wrong-password", address="10.4.0.1")
    come_in(hub, "my-secret-typed-too-early", "wrong-password", address="10.4.0.2")
    known, unknown = refusals(owner_database)
    assert known.facts.keys() == unknown.facts.keys()
    assert (known.act, known.object, known.address) == ("signed-in", "account/wang", "10.4.0.1")
    assert (unknown.act, unknown.object, unknown.address) == ("signed-in", "account/-", "10.4.0.2")
    assert "my-secret" not in str(unknown)


def test_a_barred_attempt_is_audited_with_its_reason(hub: Database, owner_database: Database) -> None:
    create(hub)
    with hub.begin() as connection:
        accounts.set_disabled(connection, SYSTEM_ACTOR, "wang", True)
    assert come_in(hub) is None
    assert [line.facts["why"] for line in refusals(owner_database)] == ["disabled"]


@pytest.mark.parametrize("login", ["", " wang", "wang ", "a/b", "13800000000", "x" * 65])
def test_what_is_no_login_is_refused(hub: Database, login: str) -> None:
    with pytest.raises(BadRequest):
        create(hub, login)


# ---- sessions end with what they stood on ----


def without_labour(connection: Any) -> Organisation:
    return msgspec.structs.replace(load_organisation(connection, "labour"), enabled=False)


def open_session(hub: Database, login: str = "wang") -> str:
    with hub.begin() as connection:
        its = accounts.load_account(connection, login)
        return sessions.open_session(connection, its.account_id, utc_now())


@pytest.mark.parametrize(
    "act",
    [
        lambda connection: accounts.set_disabled(connection, SYSTEM_ACTOR, "wang", True),
        lambda connection: accounts.set_roles(connection, SYSTEM_ACTOR, "wang", ["data_officer"]),
        lambda connection: accounts.reset_password(connection, SYSTEM_ACTOR, "wang", "Quite-another-9-one"),
        lambda connection: accounts.reset_second_factor(connection, SYSTEM_ACTOR, "wang"),
        lambda connection: accounts.end_sessions(connection, SYSTEM_ACTOR, "wang"),
        lambda connection: accounts.close_account(connection, SYSTEM_ACTOR, "wang"),
        lambda connection: set_enabled(connection, SYSTEM_ACTOR, "labour", False),
        lambda connection: save_organisation(connection, SYSTEM_ACTOR, without_labour(connection)),
    ],
    ids=["disabled", "roles", "password", "second factor", "ended", "closed", "organisation disabled", "saved so"],
)
def test_a_session_ends_at_once(hub: Database, act: Callable[[Any], None]) -> None:
    create(hub)
    value = open_session(hub)
    with hub.begin() as connection:
        assert sessions.find_session(connection, value, utc_now()) is not None
        act(connection)
        assert sessions.find_session(connection, value, utc_now()) is None


def test_idle_and_longest_time_and_one_session_are_the_sites_choice(hub: Database) -> None:
    its = create(hub)
    policy = AccountPolicy(idle_minutes=5, session_hours=1, one_session=True)
    now = utc_now()
    with hub.begin() as connection:
        first = sessions.open_session(connection, its.account_id, now, policy=policy)
        assert sessions.find_session(connection, first, now + timedelta(minutes=4), policy) is not None
        assert sessions.find_session(connection, first, now + timedelta(minutes=10), policy) is None
        second = sessions.open_session(connection, its.account_id, now, policy=policy)
        assert sessions.find_session(connection, first, now, policy) is None
        assert sessions.find_session(connection, second, now, policy) is not None
        assert sessions.remove_dead_sessions(connection, now + timedelta(minutes=61)) == 1


# ---- administrators, leavers ----


def test_the_table_itself_refuses_two_administrators_in_one(hub: Database) -> None:
    create(hub, "an", "bureau", "security_administrator")
    with pytest.raises(IntegrityError, match="administrators_exclusive"), hub.begin() as connection:
        connection.execute(update(account).values(roles=["security_administrator", "auditor"]))


def test_a_system_administrator_cuts_off_at_once_but_lets_nobody_in(hub: Database) -> None:
    create(hub)
    create(hub, "xi", "bureau", "system_administrator")
    system = acting(hub, "xi")
    with hub.begin() as connection:
        accounts.set_disabled(connection, system, "wang", True)
    with hub.begin() as connection, pytest.raises(NotAllowed):
        accounts.set_disabled(connection, system, "wang", False)


def test_the_last_security_administrator_is_not_cut_off(hub: Database) -> None:
    create(hub, "xi", "bureau", "system_administrator")
    create(hub, "an", "bureau", "security_administrator")
    system = acting(hub, "xi")
    with hub.begin() as connection, pytest.raises(Conflict):
        accounts.set_disabled(connection, system, "an", True)
    create(hub, "bao", "bureau", "security_administrator")
    with hub.begin() as connection:
        accounts.set_disabled(connection, system, "an", True)
    with hub.begin() as connection, pytest.raises(Conflict):
        accounts.set_disabled(connection, system, "bao", True)


def test_who_becomes_an_administrator_chooses_a_longer_password(hub: Database) -> None:
    create(hub, "gu", "bureau", "bureau_operator")
    with hub.begin() as connection:
        accounts.set_roles(connection, SYSTEM_ACTOR, "gu", ["auditor"])
        assert accounts.load_account(connection, "gu").must_change_password


def test_a_leaver_leaves_nothing_but_the_login(hub: Database) -> None:
    create(hub, "li", "labour", "data_officer")
    with hub.begin() as connection:
        connection.execute(
            update(account).values(totp_sealed=b"x", totp_confirmed_at=utc_now(), recovery_digests=[b"y"])
        )
        accounts.close_account(connection, SYSTEM_ACTOR, "li")
        row = connection.execute(select(account)).one()
    assert (row.password_hash, row.roles, row.disabled, row.password_history) == ("!", [], True, [])
    assert (row.totp_sealed, row.totp_confirmed_at, row.recovery_digests) == (None, None, [])
    assert come_in(hub, "li") is None
    with pytest.raises(Conflict):
        create(hub, "li")


@pytest.mark.parametrize(
    "act",
    [
        lambda connection: accounts.set_disabled(connection, SYSTEM_ACTOR, "wang", False),
        lambda connection: accounts.set_roles(connection, SYSTEM_ACTOR, "wang", ["integrator"]),
        lambda connection: accounts.reset_password(connection, SYSTEM_ACTOR, "wang", "Quite-another-9-one"),
    ],
)
def test_a_closed_account_is_never_opened_again(hub: Database, act: Callable[[Any], None]) -> None:
    create(hub)
    with hub.begin() as connection:
        accounts.close_account(connection, SYSTEM_ACTOR, "wang")
    with hub.begin() as connection, pytest.raises(Conflict):
        act(connection)


def test_an_administrator_comes_from_where_the_site_says(hub: Database) -> None:
    create(hub, "keeper", "information_centre", "security_administrator")
    policy = msgspec.structs.replace(POLICY, administrator_addresses=("10.1.2.0/24",))
    assert come_in(hub, "keeper", address="10.9.9.9", policy=policy) is None
    assert come_in(hub, "keeper", address="10.1.2.7", policy=policy) is not None
    assert come_in(hub, create(hub).login, address="10.9.9.9", policy=policy) is not None
    assert come_in(hub, "keeper", address="10.9.9.9") is not None
