"""Who takes part and who comes in: organisations, accounts, API keys."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import select

from hub.database import Database, utc_now
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.registry import accounts
from hub.registry.api_keys import actor_of_key, issue_key, list_keys, revoke_key
from hub.registry.areas import load_area_index
from hub.registry.lockout import FIRST_LOCK, lock_after
from hub.registry.organisations import list_organisations, load_organisation, set_enabled
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.registry.rights import declared_right, declares, require
from hub.registry.sign_in import change_password
from hub.registry.sign_in import sign_in as come_in
from hub.settings import AccountPolicy
from hub.tables import account, api_key
from hub.tables import audit as audit_table
from tests import district
from tests.district import GUANGMING, KINDS, QINGXI, actor, enter

PASSWORD = "Correct-7-horse-battery"


@pytest.fixture
def hub(database: Database, app_database: Database) -> Database:
    """The district with its organisations, seen from the web door."""
    with database.begin() as connection:
        district.found(connection)
    return app_database


# ---- rights ----


def test_an_actor_without_the_right_is_refused() -> None:
    require(actor(), Right.SUBMIT, Right.OPERATE)
    with pytest.raises(NotAllowed):
        require(actor(), Right.OPERATE)


def test_a_command_declares_its_right() -> None:
    @declares(Right.OPERATE)
    def verb() -> None: ...

    assert declared_right(verb) is Right.OPERATE
    assert declared_right(len) is None


# ---- organisations ----


def test_an_organisation_is_entered_once_and_renewed(hub: Database, database: Database) -> None:
    with database.begin() as connection:
        before = list_organisations(connection, "d999001")
        enter(connection, "labour", "department")
        assert list_organisations(connection, "d999001") == before
        assert len(before) == len(KINDS) + 1
        assert list_organisations(connection, "d999002") == []


def test_an_organisation_never_becomes_another_kind(hub: Database, database: Database) -> None:
    with database.begin() as connection, pytest.raises(BadRequest):
        enter(connection, "labour", "care")
    with database.begin() as connection, pytest.raises(BadRequest):
        enter(connection, "999001100", "town")
    with database.begin() as connection, pytest.raises(NotFound):
        load_organisation(connection, "999001100")


def test_a_town_reaches_its_own_area_and_below(hub: Database) -> None:
    with hub.begin() as connection:
        areas = load_area_index(connection)
        assert load_organisation(connection, "999001001").area_ids(areas) == (QINGXI, GUANGMING)
        assert load_organisation(connection, "labour").area_ids(areas) is None


# ---- accounts ----


def create(database: Database, login: str = "wang", organisation: str = "labour", *roles: str) -> accounts.Account:
    with database.begin() as connection:
        return accounts.create_account(
            connection,
            SYSTEM_ACTOR,
            login=login,
            name="王某",
            organisation=organisation,
            roles=roles or ("department_clerk",),
            password=PASSWORD,
            must_change_password=False,
        )


def sign_in(database: Database, login: str, password: str, later: timedelta = timedelta()) -> accounts.Account | None:
    with database.begin() as connection:
        return come_in(connection, login, password, now=utc_now() + later)


def test_an_account_signs_in_and_acts_with_its_roles(hub: Database) -> None:
    create(hub)
    signed_in = sign_in(hub, "wang", PASSWORD)
    assert signed_in is not None
    with hub.begin() as connection:
        who = accounts.actor_of(connection, signed_in.account_id, "panel")
        kept = connection.execute(select(account.c.password_hash)).scalar_one()
    assert who is not None and who.rights == ROLES["department_clerk"]
    assert (who.organisation, who.kind, who.account_id) == ("labour", "department", str(signed_in.account_id))
    assert kept.startswith("$argon2id$")


def test_a_first_password_lets_nobody_do_anything_but_change_it(hub: Database) -> None:
    create(hub)
    new, first = "Another-long-river-2", "Given-first-river-1"
    with hub.begin() as connection:
        accounts.reset_password(connection, SYSTEM_ACTOR, "wang", first)
        its = accounts.load_account(connection, "wang")
        who = accounts.actor_of(connection, its.account_id, "panel")
        assert who is not None and who.rights == {Right.SIGNED_IN}
        assert not change_password(connection, who, "wang", "wrong-password", new, now=utc_now())
        assert change_password(connection, who, "wang", first, new, now=utc_now())
        who = accounts.actor_of(connection, its.account_id, "panel")
        assert who is not None and who.may(Right.SUBMIT)
    assert sign_in(hub, "wang", first) is None
    assert sign_in(hub, "wang", new) is not None


def test_wrong_passwords_lock_for_a_while_and_never_for_good(hub: Database) -> None:
    create(hub)
    policy = AccountPolicy()
    for _ in range(policy.free_attempts):
        assert sign_in(hub, "wang", "wrong-password") is None
    assert sign_in(hub, "wang", PASSWORD) is None
    assert sign_in(hub, "wang", PASSWORD, FIRST_LOCK + timedelta(seconds=1)) is not None
    assert sign_in(hub, "wang", PASSWORD) is not None
    now = utc_now()
    assert lock_after(policy.free_attempts - 1, now, policy) is None
    assert lock_after(policy.free_attempts + 2, now, policy) == now + 4 * FIRST_LOCK
    assert lock_after(100_000, now, policy) == now + timedelta(minutes=policy.longest_lock_minutes)


@pytest.mark.usefixtures("real_hashes")
def test_an_unknown_login_takes_as_long_as_a_wrong_password(hub: Database) -> None:
    create(hub)

    def seconds(login: str) -> float:
        started = time.perf_counter()
        sign_in(hub, login, "wrong-password")
        return time.perf_counter() - started

    unknown, known = (min(seconds(login) for _ in range(4)) for login in ("nobody", "wang"))
    assert 0.4 < unknown / known < 2.5


def test_a_disabled_account_and_a_disabled_organisation_are_out_at_once(hub: Database, database: Database) -> None:
    its = create(hub)
    with hub.begin() as connection:
        accounts.set_disabled(connection, SYSTEM_ACTOR, "wang", True)
        assert accounts.actor_of(connection, its.account_id, "panel") is None
    assert sign_in(hub, "wang", PASSWORD) is None
    with hub.begin() as connection:
        accounts.set_disabled(connection, SYSTEM_ACTOR, "wang", False)
        set_enabled(connection, SYSTEM_ACTOR, "labour", False)
        assert accounts.actor_of(connection, its.account_id, "panel") is None
    assert sign_in(hub, "wang", PASSWORD) is None


@pytest.mark.parametrize(
    ("organisation", "roles"),
    [
        ("bureau", ("system_administrator", "auditor")),
        ("bureau", ("security_administrator", "system_administrator")),
        ("bureau", ("auditor", "bureau_operator")),
        ("labour", ("auditor",)),
        ("labour", ("town_officer",)),
        ("health", ("care_worker",)),
        ("labour", ("almighty",)),
    ],
)
def test_roles_exclude_each_other_and_fit_the_organisation(
    hub: Database, organisation: str, roles: tuple[str, ...]
) -> None:
    with pytest.raises(BadRequest):
        create(hub, "li", organisation, *roles)


@pytest.mark.parametrize("password", ["Sh-0rt", "xX-1" * 33, "My-wang-password-1"])
def test_weak_passwords_are_refused(hub: Database, password: str) -> None:
    create(hub)
    with hub.begin() as connection, pytest.raises(BadRequest):
        accounts.reset_password(connection, SYSTEM_ACTOR, "wang", password)


def test_a_login_is_given_once_and_nobody_raises_themselves(hub: Database) -> None:
    create(hub)
    with pytest.raises(Conflict):
        create(hub)
    create(hub, "an", "bureau", "security_administrator")
    administrator = actor("bureau", "security_administrator", name="an")
    with hub.begin() as connection, pytest.raises(BadRequest):
        accounts.set_roles(connection, administrator, "an", ["bureau_operator"])
    with hub.begin() as connection, pytest.raises(NotAllowed):
        accounts.set_roles(connection, actor("bureau", "system_administrator"), "wang", ["integrator"])


def test_every_sign_in_and_every_change_has_its_audit_line(hub: Database, database: Database) -> None:
    create(hub)
    sign_in(hub, "wang", PASSWORD)
    sign_in(hub, "wang", "wrong-password")
    with database.read() as connection:
        wanted = audit_table.c.object == "account/wang"
        columns = (audit_table.c.act, audit_table.c.outcome)
        lines = connection.execute(select(*columns).where(wanted).order_by(audit_table.c.audit_id)).all()
    assert [tuple(line) for line in lines] == [
        ("manage-accounts", "done"),
        ("signed-in", "done"),
        ("signed-in", "refused"),
    ]


# ---- API keys ----


def issue(database: Database, organisation: str = "labour", *scopes: Right, **facts: object) -> str:
    with database.begin() as connection:
        wanted = scopes or (Right.SUBMIT, Right.PULL_SLICE)
        issued = issue_key(
            connection,
            SYSTEM_ACTOR,
            organisation=organisation,
            title="业务系统",
            scopes=wanted,
            **facts,  # type: ignore[arg-type]
        )
        return issued.text


def who_sends(database: Database, text: str, later: timedelta = timedelta()) -> Actor | None:
    with database.begin() as connection:
        return actor_of_key(connection, text, now=utc_now() + later)


def test_a_key_acts_for_its_organisation_within_its_scopes(hub: Database) -> None:
    text = issue(hub)
    who = who_sends(hub, text)
    assert who is not None
    assert who.rights == {Right.SUBMIT, Right.PULL_SLICE, Right.SIGNED_IN}
    assert (who.organisation, who.kind, who.door) == ("labour", "department", "api")
    assert text.startswith(who.name) and who.name.startswith("hub_")


def test_the_secret_of_a_key_is_not_kept(hub: Database) -> None:
    text = issue(hub)
    secret = text.split("_", 2)[2]
    with hub.begin() as connection:
        kept = str(connection.execute(select(api_key)).one()._asdict())
        shown = str(list_keys(connection, SYSTEM_ACTOR, "labour"))
    assert len(secret) >= 43
    assert secret not in kept and secret not in shown


def test_a_wrong_expired_or_revoked_key_is_nobody(hub: Database) -> None:
    text = issue(hub, expires_at=utc_now() + timedelta(days=1))
    for wrong in (
        "",
        "hub_",
        "hub__",
        text[:-1],
        text + "x",
        text.replace("hub_", "HUB_"),
        "hub_0123456789_x",
        "密钥_a_b",
    ):
        assert who_sends(hub, wrong) is None
    assert who_sends(hub, text, timedelta(days=2)) is None
    assert who_sends(hub, text) is not None
    with hub.begin() as connection:
        revoke_key(connection, SYSTEM_ACTOR, text.split("_")[1])
    assert who_sends(hub, text) is None


def test_a_key_of_a_disabled_organisation_is_nobody(hub: Database) -> None:
    text = issue(hub)
    with hub.begin() as connection:
        set_enabled(connection, SYSTEM_ACTOR, "labour", False)
    assert who_sends(hub, text) is None


@pytest.mark.parametrize(
    ("organisation", "scope"),
    [
        ("labour", Right.READ_CHANGE_LIST),
        ("labour", Right.MANAGE_ACCOUNTS),
        ("labour", Right.OPERATE),
        ("labour", Right.SYSTEM),
        ("bureau", Right.PULL_SLICE),
        ("bureau", Right.READ_ALL_SUBMISSIONS),
    ],
)
def test_a_key_never_has_more_than_its_organisation(hub: Database, organisation: str, scope: Right) -> None:
    with pytest.raises(BadRequest):
        issue(hub, organisation, scope)
