"""Sending what waits: claimed, handed to the server, and marked as sent only once the server has taken it.

So nothing is lost and something may come twice: whoever is killed between the server's yes and the mark sends the same
message again when its claim is over. It then carries the same id (Message-ID, the gateway's {id}), by which a double
can be told.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from adapters.mail import Letter, MailDelayed, MailFailed, MailRefused, send_mail
from adapters.outbound import LONGEST_SECONDS
from adapters.short_message import (
    MessageDelayed,
    MessageFailed,
    MessageRefused,
    ShortMessage,
    send_short_message,
)
from hub import audit
from hub.casework.notice_words import Facts, Way, Wording, mail_of, short_message_of, wording_of
from hub.casework.sending_ways import BadSending, mail_server, message_outbound, sms_gateway
from hub.database import Database, run_sql, utc_now
from hub.registry.permissions import Actor, Right
from hub.settings import Settings

CLAIM = timedelta(minutes=10)  # longer than any one sending can take
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)
MOST_ATTEMPTS = 12  # some twenty hours
_RUN_SECONDS = 45.0
_LONGEST_PROBLEM = 300

log = logging.getLogger("hub.notices")
Send = Callable[["Sending"], None]


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one address. ``listed``: the unit still has it among its contacts."""

    notice_id: UUID
    way: Way
    address: str
    attempts: int
    unit: str
    kind: str
    facts: Facts
    listed: bool

    @property
    def id(self) -> str:
        """The same whenever this is sent: of the notice and the address, telling neither."""
        return hashlib.sha256(f"{self.notice_id}/{self.way}/{self.address}".encode()).hexdigest()[:32]

    @property
    def words(self) -> Wording:
        return wording_of(self.kind, self.facts)


class Ran(msgspec.Struct, kw_only=True):
    """What one run did."""

    sent: int = 0
    later: int = 0
    failed: int = 0


def send_waiting(
    database: Database, settings: Settings, actor: Actor, *, now: datetime | None = None, seconds: float = _RUN_SECONDS
) -> Ran:
    """Send everything whose time has come, for so long at most. A server that fails is left alone until the next run."""
    ran, open_ways, until = Ran(), _open_ways(settings), time.monotonic() + seconds
    while open_ways and time.monotonic() < until:
        with database.begin() as connection:
            sending = _claim_sending(connection, actor, list(open_ways), now or utc_now())
        if sending is None:
            break
        if not _carry_out(database, actor, sending, open_ways[sending.way], ran, now):
            del open_ways[sending.way]
    if ran.sent or ran.failed:
        with database.begin() as connection:
            audit.record(connection, actor, Right.SYSTEM, "notices", sent=ran.sent, failed=ran.failed)
    return ran


def _carry_out(database: Database, actor: Actor, sending: Sending, send: Send, ran: Ran, now: datetime | None) -> bool:
    """Send it and note how it went; whether the way is worth trying again in this run."""
    try:
        if not sending.listed:
            raise MailRefused("该单位已不登记此联系人 no longer among the unit's contacts")
        send(sending)
    except (MailRefused, MessageRefused) as refused:
        ran.failed += 1
        _note(database, actor, sending, "failed", str(refused), now)
        return True
    except (MailFailed, MessageFailed) as failed:
        given_up = sending.attempts >= MOST_ATTEMPTS
        ran.failed, ran.later = ran.failed + given_up, ran.later + (not given_up)
        _note(database, actor, sending, "failed" if given_up else "waiting", str(failed), now)
        log.warning("a notice could not be sent by %s (%d): %s", sending.way, sending.attempts, failed)
        return isinstance(failed, MailDelayed | MessageDelayed)
    ran.sent += 1
    _note(database, actor, sending, "sent", "", now)
    return True


# ---- how ----


def _open_ways(settings: Settings) -> dict[Way, Send]:
    """The ways that are set up. What keeps one from being used is in the log; its messages wait."""
    ways: dict[Way, Send] = {}
    openers: tuple[tuple[Way, Callable[[Settings], Send | None]], ...] = (("mail", _by_mail), ("sms", _by_sms))
    for way, opener in openers:
        try:
            if send := opener(settings):
                ways[way] = send
        except BadSending as wrong:
            log.error("notices are not sent by %s: %s", way, wrong)
    return ways


def _by_mail(settings: Settings) -> Send | None:
    server = mail_server(settings)
    return None if server is None else lambda one: send_mail(server, letter_of(settings, one))


def letter_of(settings: Settings, sending: Sending) -> Letter:
    subject, text = mail_of(sending.unit, sending.words)
    sender = settings.mail.sender
    message_id = f"<{sending.id}@{sender.rpartition('@')[2]}>"
    return Letter(message_id=message_id, sender=sender, address=sending.address, subject=subject, text=text)


def _by_sms(settings: Settings) -> Send | None:
    gateway = sms_gateway(settings)
    if gateway is None:
        return None
    outbound = message_outbound(settings, LONGEST_SECONDS)
    return lambda one: send_short_message(outbound, gateway, message_of(one))


def message_of(sending: Sending) -> ShortMessage:
    return ShortMessage(id=sending.id, phone=sending.address, text=short_message_of(sending.unit, sending.words))


# ---- what is written down of it ----


def _claim_sending(connection: Connection, actor: Actor, ways: list[Way], now: datetime) -> Sending | None:
    """The one that has waited longest, ours alone until its claim is over."""
    rows = run_sql(connection, _CLAIMED, ways=ways, now=now, until=now + CLAIM)
    if not rows:
        return None
    names = ("notice_id", "way", "address", "attempts")
    notice_id, way, address, _ = rows[0]
    told = run_sql(connection, _TOLD, notice_id=notice_id, way=way, address=address)[0]
    claimed = dict(zip(names, rows[0], strict=True)) | dict(zip(("unit", "kind", "facts", "listed"), told, strict=True))
    return msgspec.convert(claimed, Sending, strict=False)


_CLAIMED = """
UPDATE {d}.notice_sending s SET attempts = s.attempts + 1, next_at = :until
 WHERE (s.notice_id, s.way, s.address) = (
       SELECT w.notice_id, w.way, w.address FROM {d}.notice_sending w
        WHERE w.state = 'waiting' AND w.next_at <= :now AND w.way = ANY (:ways)
        ORDER BY w.next_at, w.notice_id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING s.notice_id, s.way, s.address, s.attempts
"""
_TOLD = """
SELECT coalesce(o.name, n.organisation), n.kind, n.facts,
       EXISTS (SELECT 1 FROM {d}.contact c WHERE c.organisation = n.organisation
                  AND :address = CASE :way WHEN 'mail' THEN c.mail ELSE c.phone END)
  FROM {d}.notice n LEFT JOIN shared.organisation o ON o.code = n.organisation
 WHERE n.notice_id = :notice_id
"""


def _note(database: Database, actor: Actor, sending: Sending, state: str, problem: str, now: datetime | None) -> None:
    moment = now or utc_now()
    with database.begin() as connection:
        run_sql(
            connection,
            _NOTED,
            notice_id=sending.notice_id,
            way=sending.way,
            address=sending.address,
            state=state,
            problem=problem[:_LONGEST_PROBLEM],
            sent_at=moment if state == "sent" else None,
            next_at=moment + pause_after(sending.attempts),
        )


_NOTED = """
UPDATE {d}.notice_sending SET state = :state, problem = :problem, sent_at = :sent_at, next_at = :next_at
 WHERE notice_id = :notice_id AND way = :way AND address = :address
"""


def pause_after(attempts: int) -> timedelta:
    """Doubled with every attempt, within bounds."""
    return min(FIRST_PAUSE * (1 << min(attempts - 1, 20)), LONGEST_PAUSE)


def try_failed_again(connection: Connection, actor: Actor, now: datetime) -> int:
    """What was given up waits again, and what waits need wait no longer; how many."""
    again = run_sql(
        connection,
        "UPDATE {d}.notice_sending SET state = 'waiting', attempts = 0, next_at = :now"
        " WHERE state = 'failed' OR (state = 'waiting' AND next_at > :now AND problem <> '') RETURNING way",
        now=now,
    )
    audit.record(connection, actor, Right.OPERATE, "notices", tried_again=len(again))
    return len(again)


def count_failed(connection: Connection, since: datetime) -> int:
    """Sendings given up lately."""
    rows = run_sql(
        connection,
        "SELECT count(*) FROM {d}.notice_sending WHERE state = 'failed' AND next_at > :since",
        since=since,
    )
    return int(str(rows[0][0]))
