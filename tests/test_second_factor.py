"""The second factor: enrolled with the password, a code good once, wrong codes counted, nothing before it is given."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyotp
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select, update

from hub.database import Database, utc_now
from hub.errors import BadRequest, NotAllowed
from hub.keyring import Keyring, SealedElsewhere
from hub.registry import accounts, second_factor
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.registry.second_factor import StaleEnrolment, begin_enrolment, check_code, enrol
from hub.registry.sign_in import Attempt
from hub.settings import AccountPolicy, Settings
from hub.tables import account, web_session
from mappings.catalogue import Catalogue
from tests import district, doors
from tests.staff import PASSWORD, POLICY, acting, come_in, create

Client = TestClient[Litestar]
_start = [utc_now()]


@pytest.fixture(autouse=True)
def starting() -> None:
    _start[0] = utc_now()


def moment(step: int) -> datetime:
    """An instant in the middle of a time step, ``step`` steps from the start of this test."""
    at = _start[0]
    return at - timedelta(seconds=at.timestamp() % 30 - 15) + timedelta(seconds=30 * step)


@pytest.fixture
def hub(database: Database, app_database: Database) -> Database:
    """The district with its organisations, seen from the web door; wang of labour has an account."""
    with database.begin() as connection:
        district.found(connection)
    create(app_database)
    return app_database


@pytest.fixture
def keyring(settings: Settings) -> Keyring:
    return Keyring.load(settings.home)


def attempt(step: int = 0, address: str = "", policy: AccountPolicy = POLICY) -> Attempt:
    return Attempt(moment(step), policy, address)


def enrolled(hub: Database, keyring: Keyring, login: str = "wang") -> tuple[pyotp.TOTP, tuple[str, ...]]:
    """The generator on the person's phone, and the recovery codes; enrolled ten steps ago."""
    actor, then = acting(hub, login), attempt(-10)
    offered = begin_enrolment(actor, keyring, then.now)
    phone = pyotp.TOTP(offered.secret)
    with hub.begin() as connection:
        codes = enrol(connection, actor, keyring, offered.sealed, phone.at(then.now), PASSWORD, then)
    assert codes is not None
    return phone, codes


def is_let_in(hub: Database, keyring: Keyring, code: str, at: Attempt | None = None, login: str = "wang") -> bool:
    with hub.begin() as connection:
        its = accounts.load_account(connection, login)
        return check_code(connection, keyring, its.account_id, code, at or attempt())


# ---- codes ----


def test_the_present_code_and_its_neighbours_let_in(hub: Database, keyring: Keyring) -> None:
    phone, _ = enrolled(hub, keyring)
    assert not is_let_in(hub, keyring, phone.at(moment(-2)))
    assert is_let_in(hub, keyring, phone.at(moment(-1)))
    assert is_let_in(hub, keyring, phone.at(moment(1)))
    assert not is_let_in(hub, keyring, phone.at(moment(2)))


def test_a_code_is_good_once(hub: Database, keyring: Keyring) -> None:
    phone, _ = enrolled(hub, keyring)
    code = phone.at(moment(0))
    assert is_let_in(hub, keyring, code)
    assert not is_let_in(hub, keyring, code)
    assert not is_let_in(hub, keyring, phone.at(moment(-1)))


def test_without_the_last_step_a_code_is_good_twice(
    hub: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_factor, "is_later", lambda step, last: True)
    phone, _ = enrolled(hub, keyring)
    code = phone.at(moment(0))
    assert is_let_in(hub, keyring, code) and is_let_in(hub, keyring, code)


def test_two_uses_of_a_code_at_the_same_time_give_one_success(hub: Database, keyring: Keyring) -> None:
    phone, codes = enrolled(hub, keyring)
    for code in (phone.at(moment(0)), codes[0]):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _, code=code: is_let_in(hub, keyring, code), range(8)))
        assert answers.count(True) == 1
        with hub.begin() as connection:
            accounts.reset_password(connection, SYSTEM_ACTOR, "wang", f"Lift-the-lock-{code}")


def test_the_code_that_enrolled_is_used_up(hub: Database, keyring: Keyring) -> None:
    actor, now = acting(hub), attempt()
    offered = begin_enrolment(actor, keyring, now.now)
    code = pyotp.TOTP(offered.secret).at(now.now)
    with hub.begin() as connection:
        assert enrol(connection, actor, keyring, offered.sealed, code, PASSWORD, now)
    assert not is_let_in(hub, keyring, code)


def test_a_recovery_code_is_good_once_however_it_is_typed(hub: Database, keyring: Keyring) -> None:
    _, codes = enrolled(hub, keyring)
    assert len({*codes}) == 10
    assert all(len(base64.b32decode(code.replace("-", "").upper())) * 8 >= 112 for code in codes)
    assert is_let_in(hub, keyring, f" {codes[3].upper().replace('-', ' ')} ")
    assert not is_let_in(hub, keyring, codes[3])
    assert is_let_in(hub, keyring, codes[4])
    with hub.begin() as connection:
        assert accounts.load_account(connection, "wang").recovery_codes == 8


def test_neither_secret_nor_recovery_codes_are_kept_in_clear(hub: Database, keyring: Keyring) -> None:
    phone, codes = enrolled(hub, keyring)
    with hub.begin() as connection:
        row = connection.execute(select(account)).one()
    kept = bytes(row.totp_sealed) + b"".join(row.recovery_digests)
    assert phone.byte_secret() not in kept
    assert not any(code.replace("-", "").encode() in kept for code in codes)


def test_a_sealed_secret_copied_to_another_account_opens_nothing(hub: Database, keyring: Keyring) -> None:
    create(hub, "li")
    phone, _ = enrolled(hub, keyring)
    with hub.begin() as connection:
        sealed = connection.execute(select(account.c.totp_sealed).where(account.c.login == "wang")).scalar_one()
        copied = update(account).where(account.c.login == "li")
        connection.execute(copied.values(totp_sealed=sealed, totp_confirmed_at=utc_now()))
    with pytest.raises(SealedElsewhere):
        is_let_in(hub, keyring, phone.at(moment(0)), login="li")


# ---- guessing ----


def test_wrong_codes_lock_the_account_like_wrong_passwords(hub: Database, keyring: Keyring) -> None:
    phone, codes = enrolled(hub, keyring)
    for _ in range(POLICY.free_attempts):
        assert not is_let_in(hub, keyring, "000000")
    assert not is_let_in(hub, keyring, phone.at(moment(0)))
    assert not is_let_in(hub, keyring, codes[0])
    assert come_in(hub) is None


def test_wrong_codes_count_against_the_address(hub: Database, keyring: Keyring) -> None:
    phone, _ = enrolled(hub, keyring)
    narrow = AccountPolicy(address_free_attempts=3, free_attempts=100)
    for _ in range(3):
        is_let_in(hub, keyring, "000000", attempt(address="10.1.1.1", policy=narrow))
    code = phone.at(moment(0))
    assert not is_let_in(hub, keyring, code, attempt(address="10.1.1.1", policy=narrow))
    assert is_let_in(hub, keyring, code, attempt(address="10.1.1.2", policy=narrow))


def test_a_right_password_does_not_forgive_wrong_codes(hub: Database, keyring: Keyring) -> None:
    enrolled(hub, keyring)
    for _ in range(POLICY.free_attempts - 1):
        assert not is_let_in(hub, keyring, "000000")
        assert come_in(hub) is not None
    is_let_in(hub, keyring, "000000")
    assert come_in(hub) is None


# ---- enrolling ----


def test_enrolling_needs_the_password_and_a_wrong_one_is_counted(hub: Database, keyring: Keyring) -> None:
    actor, now = acting(hub), attempt()
    offered = begin_enrolment(actor, keyring, now.now)
    code = pyotp.TOTP(offered.secret).at(now.now)
    with hub.begin() as connection:
        assert enrol(connection, actor, keyring, offered.sealed, code, "wrong-password", now) is None
    with hub.begin() as connection:
        its = accounts.load_account(connection, "wang")
    assert (its.failed_attempts, its.has_second_factor) == (1, False)


def test_a_failed_renewal_keeps_the_factor_one_had(hub: Database, keyring: Keyring) -> None:
    phone, _ = enrolled(hub, keyring)
    actor, now = acting(hub), attempt()
    offered = begin_enrolment(actor, keyring, now.now)
    with hub.begin() as connection:
        assert enrol(connection, actor, keyring, offered.sealed, "000000", PASSWORD, now) is None
    assert is_let_in(hub, keyring, phone.at(moment(0)))


def test_an_offered_secret_is_good_for_its_own_account_and_a_quarter_of_an_hour(
    hub: Database, keyring: Keyring
) -> None:
    create(hub, "li")
    actor, other = acting(hub), acting(hub, "li")
    offered = begin_enrolment(actor, keyring, utc_now() - timedelta(minutes=20))
    foreign = begin_enrolment(other, keyring, utc_now())
    for sealed in (offered.sealed, foreign.sealed, "", "AAAA", "没有"):
        with hub.begin() as connection, pytest.raises(StaleEnrolment):
            enrol(connection, actor, keyring, sealed, "000000", PASSWORD, attempt())


def test_roles_that_need_a_second_factor_may_do_nothing_before(hub: Database, keyring: Keyring) -> None:
    create(hub, "shen", "bureau", "auditor")
    asked = AccountPolicy()
    assert acting(hub, "shen", asked).rights == {Right.SIGNED_IN}
    assert acting(hub, "shen", POLICY).may(Right.READ_AUDIT)
    enrolled(hub, keyring, "shen")
    assert acting(hub, "shen", asked).may(Right.READ_AUDIT)


def test_anothers_second_factor_is_reset_by_the_security_administrator_and_never_ones_own(
    hub: Database, keyring: Keyring
) -> None:
    create(hub, "an", "bureau", "security_administrator")
    enrolled(hub, keyring)
    keeper = acting(hub, "an")
    with hub.begin() as connection:
        accounts.reset_second_factor(connection, keeper, "wang")
        assert not accounts.load_account(connection, "wang").has_second_factor
    with hub.begin() as connection, pytest.raises(BadRequest):
        accounts.reset_second_factor(connection, keeper, "an")
    with hub.begin() as connection, pytest.raises(NotAllowed):
        accounts.reset_second_factor(connection, acting(hub), "an")


# ---- at the door ----


@pytest.fixture
def client(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Client]:
    strict = msgspec.structs.replace(settings, accounts=AccountPolicy())
    with (
        doors.founded_hub(database, app_database, strict, catalogue) as hub,
        TestClient(hub.app, base_url="https://hub.test") as client,
    ):
        client.headers.update({"Sec-Fetch-Site": "same-origin", "Accept": "text/html"})
        yield client


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    assert found
    return html.unescape(found.group(1))


def give_password(client: Client, login: str = "gongan") -> Any:
    form = {"token": hidden(client.get("/sign-in").text, "token"), "login": login, "password": doors.PASSWORD}
    return client.post("/sign-in", data=form | {"next": "/account"}, follow_redirects=False)


def give_code(client: Client, code: str) -> Any:
    form = {"token": hidden(client.get("/second-factor").text, "token"), "code": code, "next": "/account"}
    return client.post("/second-factor", data=form, follow_redirects=False)


def enrol_at_the_door(client: Client) -> tuple[pyotp.TOTP, list[str], str]:
    page = client.get("/account/second-factor").text
    assert 'src="data:image/svg+xml' in page
    shown = re.search(r"<code data-text>([A-Z2-7 ]+)</code>", page)
    assert shown
    phone = pyotp.TOTP(shown.group(1).replace(" ", ""))
    form = {"token": hidden(page, "token"), "sealed": hidden(page, "sealed"), "password": doors.PASSWORD}
    answer = client.post("/account/second-factor", data=form | {"code": phone.now()})
    assert answer.status_code == 200
    return phone, re.findall(r"<code data-text>([a-z2-7-]{29})</code>", answer.text), answer.text


def test_one_enrols_and_comes_in_by_two_steps_each_with_a_new_session(client: Client, app_database: Database) -> None:
    give_password(client)
    values = [client.cookies["__Host-sid"]]
    phone, codes, page = enrol_at_the_door(client)
    assert len(codes) == 10
    values.append(client.cookies["__Host-sid"])
    client.post("/sign-out", data={"token": hidden(page, "token")})
    assert give_password(client).headers["location"] == "/second-factor?next=%2Faccount"
    values.append(client.cookies["__Host-sid"])
    assert give_code(client, phone.at(utc_now(), counter_offset=1)).headers["location"] == "/account"
    values.append(client.cookies["__Host-sid"])
    assert len({*values}) == 4
    assert client.get("/account").status_code == 200
    with app_database.begin() as connection:
        assert connection.execute(select(web_session.c.level)).scalars().all() == ["full"]


def test_a_password_alone_opens_no_page_but_that_of_the_code(client: Client) -> None:
    give_password(client)
    _, codes, page = enrol_at_the_door(client)
    client.post("/sign-out", data={"token": hidden(page, "token")})
    give_password(client)
    before = client.cookies["__Host-sid"]
    for path in ("/", "/account", "/submissions", "/password", "/account/second-factor"):
        assert client.get(path, follow_redirects=False).headers["location"].startswith("/sign-in")
    token = hidden(client.get("/second-factor").text, "token")
    for path in ("/password", "/account/second-factor", "/account/sessions/end-others"):
        assert client.post(path, data={"token": token}, follow_redirects=False).status_code == 303
    assert give_code(client, "000000").status_code == 401
    assert give_code(client, codes[0]).status_code == 303
    after = client.cookies["__Host-sid"]
    client.cookies.set("__Host-sid", before)
    assert client.get("/account", follow_redirects=False).headers["location"].startswith("/sign-in")
    client.cookies.set("__Host-sid", after)
    assert client.get("/account").status_code == 200


def test_a_password_alone_is_remembered_for_minutes_only(client: Client, app_database: Database) -> None:
    give_password(client)
    _, _, page = enrol_at_the_door(client)
    client.post("/sign-out", data={"token": hidden(page, "token")})
    give_password(client)
    with app_database.begin() as connection:
        row = connection.execute(select(web_session)).one()
    assert (row.level, row.expires_at - row.created_at) == ("password", timedelta(minutes=5))


def test_an_auditor_is_led_to_enrol_first(client: Client) -> None:
    give_password(client, "shenji")
    assert client.get("/", follow_redirects=False).headers["location"] == "/account/second-factor"
    enrol_at_the_door(client)
    assert client.get("/", follow_redirects=False).headers.get("location") != "/account/second-factor"


def test_nobody_gives_a_code_before_the_password(client: Client) -> None:
    token = hidden(client.get("/sign-in").text, "token")
    answer = client.post("/second-factor", data={"token": token, "code": "000000"}, follow_redirects=False)
    assert answer.headers["location"] == "/sign-in"
