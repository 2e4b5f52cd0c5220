"""What OWASP ASVS 5.0 asks of passwords, second factors and sessions, and what is written down of them: on an empty hub."""

from __future__ import annotations

import base64
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select

from hub.database import Database, utc_now
from hub.keyring import Keyring
from hub.registry import accounts, second_factor, sessions, sign_in
from hub.registry.passwords import LONGEST_PASSWORD
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.settings import AccountPolicy, Settings
from hub.tables import audit as audit_table
from tests import district
from tests.staff import PASSWORD, POLICY, acting, come_in, create


@pytest.fixture
def hub(database: Database, app_database: Database) -> Database:
    """The district with its organisations, seen from the web door."""
    with database.begin() as connection:
        district.found(connection)
    return app_database


@pytest.fixture
def keyring(settings: Settings) -> Keyring:
    return Keyring.load(settings.home)


# ---- chapter 6: passwords and factors ----


LONG = "静水流深-Kq7 " + "a" * 4 + "Zebra/lamp;ö😀 " * 9


def test_a_password_is_taken_as_typed_to_its_last_character(hub: Database) -> None:
    create(hub, "typed")
    typed = f" {LONG[: LONGEST_PASSWORD - 3]} "
    assert len(typed) > 120
    with hub.begin() as connection:
        accounts.reset_password(connection, SYSTEM_ACTOR, "typed", typed, policy=POLICY)
    others = [
        typed[:-1], typed[:-1] + "x", typed + "x", typed[:72] + typed[73:], typed.swapcase(), typed.strip(),
        typed.replace("ö", "o\u0308"),
    ]  # fmt: skip
    assert typed not in others
    for other in others:
        assert come_in(hub, "typed", other, policy=AccountPolicy(free_attempts=100)) is None
    assert come_in(hub, "typed", typed) is not None


def test_a_password_stays_good_until_somebody_changes_it(hub: Database) -> None:
    create(hub, "lasting")
    usual = AccountPolicy(second_factor_roles=())
    years_later = come_in(hub, "lasting", later=timedelta(days=1500), policy=usual)
    assert years_later is not None and not years_later.must_change_password


def test_a_site_can_ask_everybody_for_a_second_factor(hub: Database, keyring: Keyring) -> None:
    create(hub, "clerk")
    everybody = AccountPolicy(second_factor_roles=("department_clerk",))
    assert acting(hub, "clerk", everybody).rights == {Right.SIGNED_IN}
    enrol(hub, keyring, "clerk")
    assert acting(hub, "clerk", everybody).may(Right.SUBMIT)


def enrol(hub: Database, keyring: Keyring, login: str) -> tuple[str, ...]:
    """Recovery codes of a factor enrolled now."""
    actor, now = acting(hub, login), utc_now()
    offered = second_factor.begin_enrolment(actor, keyring, now)
    code = pyotp.TOTP(offered.secret).at(now)
    with hub.begin() as connection:
        codes = second_factor.enrol(
            connection,
            actor,
            keyring,
            offered.sealed,
            code,
            PASSWORD,
            sign_in.Attempt(now, POLICY, ""),
        )
    assert codes
    return codes


def test_a_reset_password_takes_nobodys_second_factor_away(hub: Database, keyring: Keyring) -> None:
    create(hub, "forgetful")
    enrol(hub, keyring, "forgetful")
    with hub.begin() as connection:
        first = accounts.give_new_password(connection, SYSTEM_ACTOR, "forgetful", POLICY)
    came = come_in(hub, "forgetful", first)
    assert came is not None and came.has_second_factor


# ---- chapter 7: sessions ----


def test_session_values_have_256_bits_and_never_repeat(hub: Database) -> None:
    its = create(hub, "often")
    with hub.begin() as connection:
        values = {sessions.open_session(connection, its.account_id, utc_now()) for _ in range(100)}
    assert len(values) == 100
    assert {len(base64.urlsafe_b64decode(value + "=")) for value in values} == {32}


# ---- chapter 16: what is written down ----


def test_coming_in_and_failing_to_are_in_the_audit_with_the_factor(
    hub: Database, owner_database: Database, keyring: Keyring
) -> None:
    its = create(hub, "watched")
    come_in(hub, "watched")
    come_in(hub, "watched", "wrong-password")
    codes = enrol(hub, keyring, "watched")
    come_in(hub, "watched")
    for code in ("000000", codes[0]):
        with hub.begin() as connection:
            attempt = sign_in.Attempt(utc_now(), POLICY, "10.1.2.3")
            second_factor.check_code(connection, keyring, its.account_id, code, attempt)
    with owner_database.begin() as connection:
        wanted = (audit_table.c.object == "account/watched", audit_table.c.act == "signed-in")
        lines = connection.execute(select(audit_table).where(*wanted).order_by(audit_table.c.audit_id)).all()
    assert [(line.outcome, line.facts.get("how") or line.facts["why"]) for line in lines] == [
        ("done", "sign-in"), ("refused", "password"), ("done", "enrol-second-factor"), ("done", "password"),
        ("refused", "code"), ("done", "recovery-code"),
    ]  # fmt: skip
    assert {line.at.utcoffset() for line in lines} == {timedelta()}
    assert lines[-1].address == "10.1.2.3"
