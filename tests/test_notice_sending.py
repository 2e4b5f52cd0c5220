"""Notices leave by mail and by short message: at least once, never before somebody took them, never to a stranger."""

from __future__ import annotations

import email
import email.policy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.mail import MailFailed, send_mail
from hub.casework.contacts import add_contact, list_contacts, remove_contact
from hub.casework.notice_sending import CLAIM, FIRST_PAUSE, MOST_ATTEMPTS, Ran, send_waiting, try_failed_again
from hub.casework.sending_ways import mail_problem, mail_server, sms_problem
from hub.database import Database, run_sql
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import MailPolicy, Settings, SmsPolicy
from tests.district import QINGXI_OFFICE
from tests.gateways import Asked, Gateway, MailServer, standing_gateway, standing_mail_server
from tests.noticed import BAILU_TOWN, LONG_AGO, MAIL, OPENED, PHONE, TOWN, found_towns, tell


@pytest.fixture
def district(database: Database) -> Database:
    return found_towns(database)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with standing_gateway() as one:
        yield one


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailServer]:
    with standing_mail_server(tmp_path / "mail") as one:
        yield one


def by_sms(settings: Settings, gateway: Gateway) -> Settings:
    body = '{"to": "{phone}", "content": "{text}", "key": "{id}"}'
    return _with(
        settings, "sms", "Bearer open", sms=SmsPolicy(url=gateway.url, body=body, accepted='"code": 0'),
        outbound_hosts=(f"http://127.0.0.1:{gateway.port}",), outbound_networks=("127.0.0.0/8",),
    )  # fmt: skip


def by_mail(settings: Settings, mail: MailServer, **changes: Any) -> Settings:
    policy = {"host": "localhost", "port": mail.port, "account": "hub", "sender": "hub@quju.test"} | changes
    found = _with(settings, "mail", "a-word", mail=msgspec.convert(policy, MailPolicy))
    (settings.keys / "authorities.pem").write_bytes(mail.authority)
    return found


def _with(settings: Settings, secret: str, text: str, **changes: Any) -> Settings:
    settings.keys.mkdir(parents=True, exist_ok=True)
    (settings.keys / secret).write_text(text + "\n")
    (settings.keys / secret).chmod(0o600)
    return msgspec.structs.replace(settings, **changes)


def told_to_contact(
    database: Database, settings: Settings, *, mail: str = "", phone: str = "", at: datetime = OPENED
) -> None:
    with database.begin() as connection:
        add_contact(connection, TOWN, name="李明", mail=mail, phone=phone)
        tell(connection, settings, at=at)


def sendings(database: Database) -> list[tuple[str, int, str]]:
    with database.begin() as connection:
        rows = run_sql(connection, "SELECT state, attempts, problem FROM {d}.notice_sending ORDER BY address")
    return [(str(state), int(str(attempts)), str(problem)) for state, attempts, problem in rows]


def send(database: Database, settings: Settings, later: timedelta = timedelta(0)) -> Ran:
    return send_waiting(database, settings, SYSTEM_ACTOR, now=OPENED + later)


def test_a_gateway_that_was_down_gets_the_message_once_when_it_is_up(
    district: Database, settings: Settings, gateway: Gateway
) -> None:
    ours = by_sms(settings, gateway)
    told_to_contact(district, ours, phone=PHONE)
    gateway.answer = lambda asked: (503, b"")
    assert send(district, ours) == Ran(later=1)
    assert sendings(district) == [("waiting", 1, "HTTP 503")]
    gateway.answer = lambda asked: (200, b'{"code": 0}')
    assert send(district, ours, FIRST_PAUSE / 2) == Ran()  # it is left alone for a while
    assert send(district, ours, FIRST_PAUSE) == Ran(sent=1)
    assert send(district, ours, timedelta(days=9)) == Ran()
    assert sendings(district) == [("sent", 2, "")]
    first, second = (json.loads(asked.body) for asked in gateway.asked)
    assert (first["key"], first["to"]) == (second["key"], PHONE)
    assert second["content"] == (
        f"单位{QINGXI_OFFICE}：2026-11 月度核对还有 25 项未回报，2026-12-10 到期。请登录区级数据交换枢纽办理。"
    )
    assert gateway.asked[0].token == "Bearer open"


def test_what_the_gateway_has_not_said_yes_to_is_not_sent(
    district: Database, settings: Settings, gateway: Gateway
) -> None:
    ours = by_sms(settings, gateway)
    told_to_contact(district, ours, phone=PHONE)
    gateway.answer = lambda asked: (200, b'{"code": 7, "message": "no credit"}')
    for attempt in range(MOST_ATTEMPTS):
        send(district, ours, timedelta(days=attempt))
    state, attempts, problem = sendings(district)[0]
    assert (state, attempts) == ("failed", MOST_ATTEMPTS) and '"code": 0' in problem
    gateway.answer = lambda asked: (200, b'{"code": 0}')
    with district.begin() as connection:
        assert try_failed_again(connection, SYSTEM_ACTOR, OPENED) == 1
    assert send(district, ours) == Ran(sent=1)


def test_a_refused_address_is_given_up_and_the_next_one_is_sent(
    district: Database, settings: Settings, mail: MailServer
) -> None:
    ours = by_mail(settings, mail)
    mail.codes = {"alt@qingxi.test": 550, "busy@qingxi.test": 450}
    with district.begin() as connection:
        for address in ("alt@qingxi.test", "busy@qingxi.test", MAIL):
            add_contact(connection, TOWN, name="李明", mail=address, phone="")
        tell(connection, ours)
    ran = send(district, ours)
    assert ran == Ran(sent=1, later=1, failed=1)
    states = [(state, problem) for state, _, problem in sendings(district)]
    assert [state for state, _ in states] == ["failed", "waiting", "sent"]
    assert "550" in states[0][1] and "qingxi" not in states[0][1]  # the server's own words name an address
    [(recipient, text)] = mail.taken
    letter = email.message_from_string(text, policy=email.policy.default)
    body = letter.get_content()
    assert (recipient, mail.signed_in) == (MAIL, [("hub", "a-word")] * 3)
    assert "25 项未回报" in body and "25 lines" in body and "://" not in body
    assert letter["Message-ID"].endswith("@quju.test>")


def test_a_contact_taken_off_the_list_gets_nothing_more(
    district: Database, settings: Settings, gateway: Gateway
) -> None:
    ours = by_sms(settings, gateway)
    told_to_contact(district, ours, phone=PHONE)
    with district.begin() as connection:
        remove_contact(connection, TOWN, list_contacts(connection, TOWN)[0].contact_id)
    assert (send(district, ours), gateway.asked) == (Ran(failed=1), [])


def test_mail_goes_to_a_server_that_proves_its_name_or_not_at_all(
    district: Database, settings: Settings, mail: MailServer, tmp_path: Path
) -> None:
    ours = by_mail(settings, mail)
    assert mail_problem(ours) == ""
    with standing_mail_server(tmp_path / "other", name="elsewhere.test") as other:
        wrong = by_mail(settings, other)
        told_to_contact(district, wrong, mail=MAIL)
        assert send(district, wrong) == Ran(later=1)
        assert "SSLCertVerificationError" in sendings(district)[0][2]
        other.offers_tls = False
        assert "SMTPNotSupportedError" in mail_problem(wrong)
        assert (other.signed_in, other.taken) == ([], [])  # the password was not shown
    server = mail_server(by_mail(settings, mail))
    assert server is not None
    with pytest.raises(MailFailed):
        send_mail(server._replace(security="none"), None)  # type: ignore[arg-type]
    assert "明文" in mail_problem(by_mail(settings, mail, security="none"))


def test_a_missing_or_open_secret_keeps_messages_waiting_and_says_so(
    district: Database, settings: Settings, mail: MailServer, gateway: Gateway
) -> None:
    ours = by_mail(by_sms(settings, gateway), mail)
    told_to_contact(district, ours, mail=MAIL)
    (ours.keys / "mail").unlink()
    assert "keys/mail" in mail_problem(ours)
    assert (send(district, ours), sendings(district)) == (Ran(), [("waiting", 0, "")])
    assert sms_problem(ours) == ""
    (ours.keys / "sms").chmod(0o644)
    assert "0644" in sms_problem(ours)
    unlisted = msgspec.structs.replace(by_sms(settings, gateway), outbound_hosts=())
    assert "outbound_hosts" in sms_problem(unlisted)
    from hub.operations.doctor import Patient, _notices_go_out, _towns_can_be_told
    from mappings.catalogue import load_catalogue

    with district.begin() as connection:
        patient = Patient(ours, district, load_catalogue(), connection)
        assert _notices_go_out(patient).state == "warn" and "keys/mail" in _notices_go_out(patient).detail
        assert _towns_can_be_told(patient).detail == BAILU_TOWN


# ---- killed between the gateway's yes and the mark ----

_SEND = """
import sys
from pathlib import Path
import msgspec
from hub.casework.notice_sending import send_waiting
from hub.database import Database
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
settings = msgspec.convert(msgspec.json.decode(sys.stdin.buffer.read()), Settings, dec_hook=lambda kind, text: Path(text))
database = Database(settings.worker_url, settings.district)
{broken}
send_waiting(database, settings, SYSTEM_ACTOR)
"""
_MARKS_FIRST = """
from hub.casework import notice_sending
carry_out = notice_sending._carry_out
def marked_first(database, actor, sending, send, ran, now):
    notice_sending._note(database, actor, sending, "sent", "", now)
    return carry_out(database, actor, sending, send, ran, now)
notice_sending._carry_out = marked_first
"""


def send_elsewhere(settings: Settings, broken: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _SEND.format(broken=broken)]
    sender = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parent.parent)
    assert sender.stdin is not None
    sender.stdin.write(msgspec.json.encode(settings, enc_hook=str))
    sender.stdin.close()
    return sender


@contextmanager
def killed_by(gateway: Gateway, settings: Settings, broken: str = "") -> Iterator[None]:
    """The gateway has the message, and its sender is dead before it hears so."""
    sender = send_elsewhere(settings, broken)

    def kill(asked: Asked) -> tuple[int, bytes]:
        os.kill(sender.pid, signal.SIGKILL)
        sender.wait()
        return 200, b'{"code": 0}'

    gateway.answer = kill
    assert sender.wait(20) == -signal.SIGKILL
    gateway.answer = lambda asked: (200, b'{"code": 0}')
    yield


def test_a_sender_killed_after_the_gateways_yes_sends_the_same_message_again_under_the_same_id(
    district: Database, settings: Settings, gateway: Gateway
) -> None:
    """At least once, and the gateway can tell: that is the honest order."""
    ours = by_sms(settings, gateway)
    told_to_contact(district, ours, phone=PHONE, at=LONG_AGO)
    with killed_by(gateway, ours):
        assert sendings(district) == [("waiting", 1, "")]
        assert send_waiting(district, ours, SYSTEM_ACTOR) == Ran()  # somebody may be at it still
        assert send_waiting(district, ours, SYSTEM_ACTOR, now=datetime.now(UTC) + CLAIM) == Ran(sent=1)
    first, second = (json.loads(asked.body) for asked in gateway.asked)
    assert first == second and sendings(district) == [("sent", 2, "")]


def test_a_sender_that_marked_first_would_lose_what_it_was_killed_with(
    district: Database, settings: Settings, gateway: Gateway
) -> None:
    """The other order, to show what the test above guards: the gateway never said yes, and the hub believes it did."""
    ours = by_sms(settings, gateway)
    told_to_contact(district, ours, phone=PHONE, at=LONG_AGO)
    with killed_by(gateway, ours, _MARKS_FIRST):
        assert sendings(district)[0][0] == "sent"


def test_two_senders_at_once_send_each_message_once(district: Database, settings: Settings, gateway: Gateway) -> None:
    ours = by_sms(settings, gateway)
    with district.begin() as connection:
        for number in range(5):
            add_contact(connection, TOWN, name="李明", mail="", phone=f"1000000000{number}")
        tell(connection, ours, at=LONG_AGO)

    def slow(asked: Asked) -> tuple[int, bytes]:
        time.sleep(0.1)
        return 200, b'{"code": 0}'

    gateway.answer = slow
    other = send_elsewhere(ours)
    while not gateway.asked:
        time.sleep(0.01)
    send_waiting(district, ours, SYSTEM_ACTOR)
    assert other.wait(20) == 0
    assert sorted(json.loads(asked.body)["to"] for asked in gateway.asked) == [f"1000000000{n}" for n in range(5)]


def test_a_mail_server_that_takes_a_message_and_falls_silent_gets_it_again_with_the_same_message_id(
    district: Database, settings: Settings, mail: MailServer
) -> None:
    ours = by_mail(settings, mail)
    told_to_contact(district, ours, mail=MAIL)
    mail.goes_silent = True
    assert send(district, ours) == Ran(later=1)
    mail.goes_silent = False
    assert send(district, ours, FIRST_PAUSE) == Ran(sent=1)
    ids = [email.message_from_string(text)["Message-ID"] for _, text in mail.taken]
    assert len(ids) == 2 and len({*ids}) == 1
