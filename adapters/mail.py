"""Mail over SMTP: one message at a time, over TLS unless the site says otherwise; no word of the server's is repeated.

Refused means this one address, for good. Failed means the server: the same message may be sent again later.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Literal, NamedTuple

LONGEST_SECONDS = 20.0
_FOR_GOOD = 500


class MailRefused(Exception):
    """邮件服务器拒收此地址。 The mail server does not take this address."""


class MailFailed(Exception):
    """邮件未能发出。 The mail could not be sent."""


class MailDelayed(MailFailed):
    """邮件服务器暂不收此地址。 The mail server does not take this address just now."""


class MailServer(NamedTuple):
    """Where mail is handed in; ``authorities``: a file of certificate authorities instead of the usual ones."""

    host: str
    port: int
    security: Literal["none", "starttls", "tls"]
    account: str = ""
    password: str = ""
    authorities: str | None = None


class Letter(NamedTuple):
    """One message to one address. ``message_id`` stays the same when it is sent again."""

    message_id: str
    sender: str
    address: str
    subject: str
    text: str


def is_mail_address(text: str) -> bool:
    """A plain address in ASCII, as every server takes it."""
    try:
        parts = Address(addr_spec=text)
    except (ValueError, IndexError, HeaderParseError):
        return False
    return text.isascii() and text.isprintable() and " " not in text and bool(parts.username and parts.domain)


def send_mail(server: MailServer, letter: Letter, seconds: float = LONGEST_SECONDS) -> None:
    """Hand it in; back once the server has taken it. MailRefused, MailFailed."""
    try:
        with _greeted(server, seconds) as session:
            session.send_message(_message_of(letter), letter.sender, [letter.address])
    except smtplib.SMTPRecipientsRefused as refused:
        code = next(iter(refused.recipients.values()))[0]
        raise (MailRefused if code >= _FOR_GOOD else MailDelayed)(_named(refused, code)) from None
    except smtplib.SMTPResponseException as refused:
        raise MailFailed(_named(refused, refused.smtp_code)) from None
    except (smtplib.SMTPException, OSError, ValueError) as wrong:
        raise MailFailed(_named(wrong)) from None


def greet_mail_server(server: MailServer, seconds: float = LONGEST_SECONDS) -> None:
    """Connect, agree on TLS and sign in, and send nothing. MailFailed."""
    try:
        with _greeted(server, seconds):
            return
    except smtplib.SMTPResponseException as refused:
        raise MailFailed(_named(refused, refused.smtp_code)) from None
    except (smtplib.SMTPException, OSError) as wrong:
        raise MailFailed(_named(wrong)) from None


@contextlib.contextmanager
def _greeted(server: MailServer, seconds: float) -> Iterator[smtplib.SMTP]:
    """A session that is encrypted and signed in. What happens at the goodbye undoes nothing that was taken."""
    session = _connected(server, seconds)
    try:
        if server.security == "starttls":
            session.starttls(context=_context(server))
        if server.account:
            _sign_in(session, server)
        yield session
    finally:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            session.quit()
        session.close()


def _connected(server: MailServer, seconds: float) -> smtplib.SMTP:
    if server.security == "tls":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=seconds, context=_context(server))
    return smtplib.SMTP(server.host, server.port, timeout=seconds)


def _context(server: MailServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.authorities)


def _sign_in(session: smtplib.SMTP, server: MailServer) -> None:
    """A password is never sent in the clear."""
    if server.security == "none":
        raise smtplib.SMTPException("a password needs TLS")
    session.login(server.account, server.password)


def _message_of(letter: Letter) -> EmailMessage:
    message = EmailMessage()
    message["Message-ID"] = letter.message_id
    message["From"], message["To"], message["Subject"] = letter.sender, letter.address, letter.subject
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence notes come back
    message.set_content(letter.text)
    return message


def _named(wrong: Exception, code: int | None = None) -> str:
    """What kind of failure; the server's own words may repeat an address."""
    reason = f" {wrong.verify_message}" if isinstance(wrong, ssl.SSLCertVerificationError) else ""
    return " ".join(str(part) for part in (type(wrong).__name__, code) if part) + reason
