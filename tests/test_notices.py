"""Units are told of what is due: once each stage, in the hub, by mail and by short message; nothing personal leaves."""

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
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, insert

from adapters.mail import MailFailed, send_mail
from hub.casework.contacts import add_contact, list_contacts, remove_contact
from hub.casework.notice_sending import CLAIM, FIRST_PAUSE, MOST_ATTEMPTS, Ran, send_waiting, try_failed_again
from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted, count_unread, list_notices, make_notices, mark_read, reminded
from hub.casework.reminders import make_due_notices
from hub.casework.sending_ways import mail_problem, mail_server, sms_problem
from hub.database import Database, new_uuid, run_sql
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.settings import MailPolicy, Settings, SmsPolicy
from hub.tables import challenge, monthly_round, round_item, round_town
from tests.district import BAILU, QINGXI, QINGXI_OFFICE, actor, enter, found
from tests.gateways import Asked, Gateway, MailServer, standing_gateway, standing_mail_server

DUE = date(2026, 12, 10)
BAILU_TOWN = "999001100"
PHONE, MAIL = "10000000001", "jingban@qingxi.test"
TOWN, LEADER = actor(QINGXI_OFFICE, "town_officer"), actor("bureau", "bureau_leader")
BUREAU = actor("bureau", "bureau_operator")


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 4, tzinfo=UTC)


OPENED = noon(date(2026, 12, 1))
LONG_AGO = noon(date(2026, 1, 1))  # for senders in other processes, by the clock on the wall


@pytest.fixture
def district(database: Database) -> Database:
    with database.begin() as connection:
        found(connection)
        enter(connection, BAILU_TOWN, "town", BAILU)
    return database


def open_round(connection: Connection, lines: int = 2, month: str = "2026-11", due_on: date = DUE) -> None:
    one = {"round_id": new_uuid(), "month": month, "epoch": "1", "after_seq": 0, "up_to_seq": 9, "due_on": due_on}
    connection.execute(insert(monthly_round), [one | {"opened_at": OPENED, "opened_by": "job"}])
    towns = ((QINGXI, QINGXI_OFFICE), (BAILU, BAILU_TOWN))
    rows = [{"round_id": one["round_id"], "town": town, "organisation": code} for town, code in towns]
    connection.execute(insert(round_town), rows)
    for number in range(1, lines + 1):
        enter_line(connection, number=number, due_on=due_on)


def enter_line(connection: Connection, **facts: object) -> None:
    round_id = run_sql(connection, "SELECT round_id FROM {d}.monthly_round")[0][0]
    line = {
        "item_id": new_uuid(), "round_id": round_id, "town": QINGXI, "number": 1, "record_type": "hukou_move_in",
        "record_id": new_uuid(), "version": 1, "seq": 1, "change": "enter", "source": "public_security", "due_on": DUE,
    }  # fmt: skip
    connection.execute(insert(round_item), [line | facts])


def raise_one(connection: Connection, **facts: object) -> None:
    one = {
        "challenge_id": new_uuid(), "kind": "untrue", "record_type": "hukou_move_in", "record_id": new_uuid(),
        "raised_by": QINGXI_OFFICE, "raised_by_name": "qingxi", "raised_at": OPENED, "against": "public_security",
        "due_on": DUE,
    }  # fmt: skip
    connection.execute(insert(challenge), [one | facts])


def told(database: Database, organisation: str = "") -> list[tuple[str, str, int]]:
    """Organisation, kind and how many it says, oldest first."""
    with database.begin() as connection:
        rows = run_sql(
            connection,
            "SELECT organisation, kind, coalesce((facts ->> 'items')::integer, 0) FROM {d}.notice"
            " WHERE organisation = :one OR :one = '' ORDER BY made_at, organisation, kind",
            one=organisation,
        )
    return [(str(unit), str(kind), int(str(items))) for unit, kind, items in rows]


def remind(database: Database, settings: Settings, day: date) -> int:
    with database.begin() as connection:
        return make_due_notices(connection, settings, noon(day))


# ---- what is told, and when ----


def test_a_town_is_told_at_each_stage_once_and_the_bureau_when_it_is_late(
    district: Database, settings: Settings
) -> None:
    with district.begin() as connection:
        open_round(connection)
    stages = {}
    for day in range(1, 18):
        for _ in range(2):  # however often it runs
            if made := remind(district, settings, date(2026, 12, day)):
                stages[day] = made
    assert stages == {1: 2, 7: 1, 11: 1, 13: 2}
    assert [kind for _, kind, items in told(district, QINGXI_OFFICE)] == [
        "round_opened", "due_soon", "overdue", "escalated",
    ]  # fmt: skip
    assert told(district, BAILU_TOWN) == [(BAILU_TOWN, "round_opened", 0)]
    assert told(district, "bureau") == [("bureau", "towns_late", 2)]
    with district.begin() as connection:
        assert reminded(connection, "2026-11") == {QINGXI_OFFICE: (3, noon(date(2026, 12, 13)))}
        late = list_notices(connection, BUREAU)[0]
    assert late.facts.organisations == (QINGXI_OFFICE,)


def test_who_answered_is_not_reminded_and_after_days_of_silence_only_the_last_stage_is_told(
    district: Database, settings: Settings
) -> None:
    with district.begin() as connection:
        open_round(connection)
        enter_line(connection, town=BAILU, number=1)
        run_sql(connection, "UPDATE {d}.round_item SET state = 'answered' WHERE town = :town", town=BAILU)
    remind(district, settings, date(2026, 12, 20))
    assert told(district, QINGXI_OFFICE)[-1] == (QINGXI_OFFICE, "round_opened", 2)
    assert sorted(kind for _, kind, _ in told(district, QINGXI_OFFICE)) == ["escalated", "round_opened"]
    assert told(district, BAILU_TOWN) == [(BAILU_TOWN, "round_opened", 1)]


def test_lines_transferred_are_told_as_they_come_and_have_a_day_of_their_own(
    district: Database, settings: Settings
) -> None:
    own_day = date(2026, 12, 15)
    with district.begin() as connection:
        open_round(connection, lines=0)
        enter_line(connection, came="transfer", due_on=own_day)
        enter_line(connection, came="transfer", due_on=own_day)
    assert remind(district, settings, date(2026, 12, 10)) == 3  # both towns' round, and the two lines together
    with district.begin() as connection:  # the newest is answered: no second notice of the one before
        run_sql(
            connection,
            "UPDATE {d}.round_item SET state = 'answered' WHERE item_id = (SELECT item_id FROM {d}.round_item"
            " ORDER BY item_id DESC LIMIT 1)",
        )
    assert remind(district, settings, date(2026, 12, 14)) == 0
    assert remind(district, settings, date(2026, 12, 16)) == 1
    assert remind(district, settings, date(2026, 12, 18)) == 2
    assert [kind for _, kind, _ in told(district, QINGXI_OFFICE)] == [
        "round_opened", "transferred", "overdue", "escalated",
    ]  # fmt: skip
    with district.begin() as connection:
        enter_line(connection, came="transfer", due_on=date(2026, 12, 23))
    assert remind(district, settings, date(2026, 12, 18)) == 1


def test_both_sides_of_a_challenge_are_told_and_the_bureau_of_who_does_not_answer(
    district: Database, settings: Settings
) -> None:
    with district.begin() as connection:
        raise_one(connection)
        raise_one(connection)
    assert remind(district, settings, date(2026, 12, 1)) == 1
    assert remind(district, settings, date(2026, 12, 8)) == 1
    assert remind(district, settings, date(2026, 12, 11)) == 2
    assert remind(district, settings, date(2026, 12, 13)) == 2
    with district.begin() as connection:
        run_sql(connection, "UPDATE {d}.challenge SET state = 'answered', answered_at = :now", now=OPENED)
    assert remind(district, settings, date(2026, 12, 14)) == 1
    kinds = [kind for _, kind, _ in told(district, "public_security")]
    assert kinds == ["challenged", "challenge_due", "challenge_overdue", "challenge_escalated"]
    assert [kind for _, kind, _ in told(district, QINGXI_OFFICE)] == ["challenge_unanswered", "challenge_answered"]
    assert told(district, "bureau") == [("bureau", "sources_late", 2)]


# ---- who reads it ----


def tell(
    connection: Connection,
    settings: Settings,
    organisation: str = QINGXI_OFFICE,
    at: datetime = OPENED,
) -> None:
    facts = Facts(month="2026-11", items=25, due_on=DUE)
    one = Wanted(organisation=organisation, kind="due_soon", about="round/2026-11", level=1, facts=facts)
    make_notices(connection, settings, SYSTEM_ACTOR, [one], at)


def test_a_unit_reads_its_own_notices_alone_and_one_tick_counts_for_the_unit(
    district: Database, app_database: Database, settings: Settings
) -> None:
    with district.begin() as connection:
        tell(connection, settings)
        tell(connection, settings, BAILU_TOWN)
        tell(connection, settings, "bureau")
    with app_database.begin(reach_of(TOWN)) as connection:
        seen = list_notices(connection, TOWN)
        other = run_sql(connection, "SELECT count(*) FROM {d}.notice WHERE organisation = :one", one=BAILU_TOWN)[0][0]
        assert ([one.organisation for one in seen], other, count_unread(connection, TOWN)) == ([QINGXI_OFFICE], 0, 1)
        assert mark_read(connection, TOWN, seen[0].notice_id) == 1
        assert (mark_read(connection, TOWN, seen[0].notice_id), count_unread(connection, TOWN)) == (0, 0)
        with pytest.raises(NotFound):
            mark_read(connection, TOWN, new_uuid())
    with app_database.begin(reach_of(LEADER)) as connection:
        assert count_unread(connection, LEADER) == 1
        with pytest.raises(NotAllowed):  # a look of the leader's hides nothing from who works
            mark_read(connection, LEADER)
    with app_database.begin(reach_of(BUREAU)) as connection:
        assert mark_read(connection, BUREAU) == 1


def test_a_notice_has_no_place_for_a_person() -> None:
    """Counts, dates and codes alone: there is no field a name could go into."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"month": "2026-11", "name": "王小明"}, Facts)
    kinds = {field.name: str(field.type) for field in msgspec.structs.fields(Facts)}
    assert sorted(kinds) == ["due_on", "items", "month", "organisations"]


@pytest.mark.parametrize(
    ("name", "mail", "phone", "field"),
    [
        ("", MAIL, "", "name"),
        ("李明", "", "", "mail"),
        ("李明", "no address", "", "mail"),
        ("李明", "a@b.test\r\nBcc: c@d.test", "", "mail"),
        ("李明", "", "12345", "phone"),
    ],
)
def test_a_contact_that_cannot_be_told_is_not_entered(
    district: Database, name: str, mail: str, phone: str, field: str
) -> None:
    with district.begin() as connection, pytest.raises(BadRequest) as refused:
        add_contact(connection, TOWN, name=name, mail=mail, phone=phone)
    assert field in refused.value.facts


def test_a_unit_keeps_its_own_contacts(district: Database, app_database: Database) -> None:
    other = actor(BAILU_TOWN, "town_officer")
    with app_database.begin(reach_of(TOWN)) as connection:
        one = add_contact(connection, TOWN, name="李明", mail=MAIL, phone=PHONE)
        with pytest.raises(Conflict):
            add_contact(connection, TOWN, name="李二", mail=MAIL, phone="")
    with app_database.begin(reach_of(other)) as connection:
        assert list_contacts(connection, other) == []
        with pytest.raises(NotFound):
            remove_contact(connection, other, one)
    with app_database.begin(reach_of(TOWN)) as connection:
        remove_contact(connection, TOWN, one)
        assert list_contacts(connection, TOWN) == []


# ---- sending ----


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
