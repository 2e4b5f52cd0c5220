"""What a password may be: the site's rules, common words, earlier ones; and that it is taken as typed."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from sqlalchemy import update

from hub.database import Database, utc_now
from hub.registry import accounts, passwords, sign_in
from hub.registry.passwords import UnfitPassword, is_common, new_password, refuse_unfit
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.settings import AccountPolicy
from hub.tables import account
from tests import district
from tests.staff import PASSWORD, POLICY, acting, come_in, create, refusals


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


def test_nothing_may_follow_the_longest_password() -> None:
    longest = "Aa-1" * 32
    kept = passwords.hash_password(longest)
    assert passwords.matches(kept, longest) and not passwords.matches(kept, longest + "x")


@pytest.mark.usefixtures("real_hashes")
def test_a_hash_is_argon2id_at_its_recommended_cost() -> None:
    assert passwords.hash_password("Sh0rt-enough").startswith(
        "$argon2id$v=19$m=65536,t=3,p=4$"
    )  # RFC 9106, second choice
