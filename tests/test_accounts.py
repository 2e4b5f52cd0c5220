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
from hub.registry.passwords import UnfitPassword, is_common, new_password, refuse_unfit
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.registry.sign_in_addresses import guesser
from hub.settings import AccountPolicy
from hub.tables import account, sign_in_address
from hub.tables import audit as audit_table
from tests import district
from tests.staff import PASSWORD, POLICY, acting, come_in, create


@pytest.fixture
def hub(database: Database, app_database: Database) -> Database:
    """The district with its organisations, seen from the web door."""
    with database.begin() as connection:
        district.found(connection)
    return app_database


# ---- passwords ----


@pytest.mark.parametrize(
    "password",
    [
        "Sh-0rt",
        "xX-1" * 33,
        "nosecondclass",
        "My-wang-7-thing",
        "Password123!",
        "Admin@123456",
        "Qwer1234!@#$",
        "P@ssw0rd",
        "Aa1!Aa1!Aa1!",
    ],
)
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(UnfitPassword):
        refuse_unfit(password, "wang", POLICY)


@pytest.mark.parametrize("password", ["秋水长天-1638", "春江花月夜-1638", PASSWORD, "tR7#kw9-qz", "Mixed古诗文字"])
def test_good_passwords_are_taken(password: str) -> None:
    refuse_unfit(password, "wang", POLICY)


def test_a_refusal_names_every_reason_in_both_languages() -> None:
    with pytest.raises(UnfitPassword) as refused:
        refuse_unfit("wang", "wang", POLICY)
    assert len(refused.value.reasons) == 4
    assert "不含登录名" in refused.value.detail and "does not contain the login" in refused.value.detail


THIS_YEAR = utc_now().year


@pytest.mark.parametrize(
    "password",
    ["Blue-hUb-river-77", "大江枢纽-Kq7-东去", "river-Qwer-blue-77", f"Blue-river-{THIS_YEAR}", f"秋水长天-{THIS_YEAR + 1}",
     "Blue-lAbour-river-7", "欧阳-Kq7-river-blue", "Blue-yunling-river-7"],
)  # fmt: skip
def test_words_of_this_place_are_not_in_a_password(password: str) -> None:
    policy = AccountPolicy(forbidden_words=("Yunling",))
    with pytest.raises(UnfitPassword) as refused:
        refuse_unfit(password, "wang", policy, about=("欧阳", "labour"))
    assert [reason.english.startswith("does not contain a word") for reason in refused.value.reasons] == [True]


def test_short_words_and_the_words_of_others_do_no_harm() -> None:
    refuse_unfit("Blue-wu-river-7-李", "wang", POLICY, about=("李", "wu", "health"))


def test_without_the_words_of_the_place_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "CONTEXT_WORDS", ())
    refuse_unfit("Blue-hUb-river-77", "wang", POLICY)


def test_the_names_that_go_with_an_account_are_not_in_its_password(hub: Database) -> None:
    create(hub)
    for chosen in ("Blue-labour-river-7", "Blue-王某-river-7"):
        with hub.begin() as connection, pytest.raises(UnfitPassword):
            accounts.reset_password(connection, SYSTEM_ACTOR, "wang", chosen)


def test_a_new_password_fits_the_site_the_person_and_the_organisation() -> None:
    policy = AccountPolicy(forbidden_words=tuple(f"{letter}{digit}{digit}" for letter in "abc" for digit in "234"))
    for _ in range(50):
        made = new_password(policy, ["auditor"], "abc", ("王某", "labour"))
        refuse_unfit(made, "abc", policy, roles=["auditor"], about=("王某", "labour"))


def test_an_administrators_password_is_longer() -> None:
    refuse_unfit("tR7#kw9-qz", "an", POLICY, roles=["department_clerk"])
    with pytest.raises(UnfitPassword):
        refuse_unfit("tR7#kw9-qz", "an", POLICY, roles=["auditor"])


@pytest.mark.parametrize("classes", [1, 3, 4, 5])
def test_a_new_password_always_fits(classes: int) -> None:
    policy = AccountPolicy(password_least_classes=classes, administrator_password_least_length=20)
    for _ in range(50):
        refuse_unfit(new_password(policy, ["auditor"], "abc"), "abc", policy, roles=["auditor"])


def test_an_endless_password_is_looked_at_quickly() -> None:
    started = time.perf_counter()
    is_common("aB3$dE6&" * 4000)
    assert time.perf_counter() - started < 2


def test_an_earlier_password_is_not_taken_again(hub: Database) -> None:
    create(hub)
    policy = AccountPolicy(password_history=2)
    given = [f"Given-{number}-blue-river" for number in range(3)]
    with hub.begin() as connection:
        for each in given:
            accounts.reset_password(connection, SYSTEM_ACTOR, "wang", each, policy=policy)
        for remembered in given:
            with pytest.raises(UnfitPassword):
                accounts.reset_password(connection, SYSTEM_ACTOR, "wang", remembered, policy=policy)
        accounts.reset_password(connection, SYSTEM_ACTOR, "wang", PASSWORD, policy=policy)


def test_a_password_past_its_days_must_be_changed(hub: Database) -> None:
    create(hub)
    policy = AccountPolicy(password_days=90, second_factor_roles=())
    fresh = come_in(hub, later=timedelta(days=89), policy=policy)
    assert fresh is not None and not fresh.must_change_password
    stale = come_in(hub, later=timedelta(days=91), policy=policy)
    assert stale is not None and stale.must_change_password
    assert acting(hub).rights == {Right.SIGNED_IN}


def reset(hub: Database, policy: AccountPolicy) -> str:
    with hub.begin() as connection:
        return accounts.give_new_password(connection, SYSTEM_ACTOR, "wang", policy)


def test_a_first_password_not_changed_in_time_fails_like_a_wrong_one(hub: Database, owner_database: Database) -> None:
    create(hub)
    first = reset(hub, POLICY)
    assert come_in(hub, password=first, later=timedelta(days=6)) is not None
    assert come_in(hub, password=first, later=timedelta(days=7, seconds=1)) is None
    assert [line.facts["why"] for line in refusals(owner_database)] == ["first-password-expired"]
    renewed = reset(hub, POLICY)
    assert come_in(hub, password=renewed, later=timedelta(days=1)) is not None


def test_a_password_of_ones_own_never_expires_as_a_first_one(hub: Database) -> None:
    create(hub)
    first = reset(hub, POLICY)
    with hub.begin() as connection:
        own = "Quite-another-9-one"
        changed = sign_in.change_password(connection, acting(hub), "wang", first, own, now=utc_now(), policy=POLICY)
    assert changed
    assert come_in(hub, password=own, later=timedelta(days=400)) is not None
    with hub.begin() as connection:
        connection.execute(update(account).values(must_change_password=True))
    assert come_in(hub, password=own, later=timedelta(days=400)) is not None


def test_a_site_may_let_first_passwords_stay_good(hub: Database) -> None:
    create(hub)
    policy = AccountPolicy(first_password_days=0)
    assert come_in(hub, password=reset(hub, policy), later=timedelta(days=400), policy=policy) is not None


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


def test_an_unknown_login_takes_as_long_as_a_known_one(hub: Database) -> None:
    create(hub)
    assert 0.4 < seconds_of(hub, "nobody") / seconds_of(hub, "wang") < 2.5


def test_without_the_hash_for_nobody_the_time_tells(hub: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    create(hub)
    really: Callable[[Any, str], bool] = passwords.matches
    monkeypatch.setattr(sign_in, "matches", lambda kept, typed: kept is not None and really(kept, typed))
    assert seconds_of(hub, "nobody") / seconds_of(hub, "wang") < 0.4


def refusals(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(audit_table).where(audit_table.c.outcome == "refused")))


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
        assert sessions.remove_dead_sessions(connection, now + timedelta(minutes=59), policy) == 1


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
