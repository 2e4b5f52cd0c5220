"""The second factor: time-based codes (RFC 6238) and recovery codes, each good once.

The secret is sealed with the hub's key together with the account it belongs to, so that a row copied to another
account opens nothing. While it is being enrolled it travels sealed with the form: nothing half-made is kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pyotp
from sqlalchemy import Connection, Row, update

from hub import audit
from hub.errors import BadRequest
from hub.keyring import Keyring, SealedElsewhere
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.sessions import close_sessions_of
from hub.registry.sign_in import Attempt, hold, note_arrival, note_failure, prove_password, why_barred
from hub.tables import account

STEP_SECONDS = 30
WINDOW = 1  # steps a clock may be off, either way
RECOVERY_CODES = 10
_SECRET_BYTES, _RECOVERY_BYTES = 20, 15  # 160 bits (RFC 4226); 120 bits: enough for a plain digest (ASVS 6.5.2)
_ENROLMENT = timedelta(minutes=15)
_ISSUER = "District exchange hub"


class StaleEnrolment(BadRequest):
    """登记页面已过期，请重新打开。 This enrolment is out of date: open the page again."""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A secret offered to somebody: as text to type, as an address for a QR code, and sealed for the way back."""

    secret: str  # base32
    uri: str  # otpauth://
    sealed: str


def begin_enrolment(actor: Actor, keyring: Keyring, now: datetime) -> Enrolment:
    """A new secret; nothing is kept until ``enrol`` sees a code made with it."""
    require(actor, Right.SIGNED_IN)
    secret = secrets.token_bytes(_SECRET_BYTES)
    text = base64.b32encode(secret).decode()
    sealed = _seal(keyring, UUID(actor.account_id), int(now.timestamp()).to_bytes(8) + secret)
    uri = pyotp.TOTP(text).provisioning_uri(name=actor.name, issuer_name=_ISSUER)
    return Enrolment(secret=text, uri=uri, sealed=base64.urlsafe_b64encode(sealed).decode())


def resume_enrolment(actor: Actor, keyring: Keyring, sealed: str, now: datetime) -> Enrolment:
    """The same secret again, after a mistyped code."""
    text = base64.b32encode(_offered(actor, keyring, sealed, now)).decode()
    uri = pyotp.TOTP(text).provisioning_uri(name=actor.name, issuer_name=_ISSUER)
    return Enrolment(secret=text, uri=uri, sealed=sealed)


def enrol(
    connection: Connection, actor: Actor, keyring: Keyring, sealed: str, code: str, password: str, attempt: Attempt
) -> tuple[str, ...] | None:
    """Ten recovery codes, shown once; None when password or code is wrong (commit: a wrong password is counted).

    It replaces the factor one had. The code that proved it is used up with it.
    """
    require(actor, Right.SIGNED_IN)
    secret = _offered(actor, keyring, sealed, attempt.now)
    row = prove_password(connection, actor.name, password, attempt)
    step = _matching_step(secret, code, attempt.now, None)
    if row is None or step is None:
        return None
    codes = tuple(_new_recovery_code() for _ in range(RECOVERY_CODES))
    kept = {
        "totp_sealed": _seal(keyring, row.account_id, secret),
        "totp_confirmed_at": attempt.now,
        "totp_last_step": step,
        "recovery_digests": [_digest(each) for each in codes],
    }
    connection.execute(update(account).where(account.c.account_id == row.account_id).values(kept))
    close_sessions_of(connection, row.account_id)  # they were opened without it
    audit.record(connection, actor, Right.SIGNED_IN, f"account/{actor.name}", how="enrol-second-factor")
    return codes


def check_code(connection: Connection, keyring: Keyring, account_id: UUID, code: str, attempt: Attempt) -> bool:
    """Whether this code, or recovery code, lets the account in; it is used up. A wrong one counts like a password."""
    waiting, row = hold(connection, account.c.account_id == account_id, attempt)
    why = why_barred(connection, row, attempt.now, waiting)
    used = _use(row, keyring, code, attempt.now) if row and not why else None
    if row is None or used is None:
        note_failure(connection, row, why or "code", attempt)
        return False
    note_arrival(connection, row, attempt, "recovery-code" if "recovery_digests" in used else "second-factor", used)
    return True


def _use(row: Row[Any], keyring: Keyring, code: str, now: datetime) -> dict[str, object] | None:
    """What changes in the row when this code is used; None if it is good for nothing."""
    if row.totp_sealed is None or row.totp_confirmed_at is None:
        return None
    step = _matching_step(_unseal(keyring, row.account_id, row.totp_sealed), code, now, row.totp_last_step)
    left = _without(row.recovery_digests, _digest(code))
    if step is not None:
        return {"totp_last_step": step}
    return {"recovery_digests": left} if len(left) < len(row.recovery_digests) else None


def _matching_step(secret: bytes, code: str, now: datetime, last: int | None) -> int | None:
    """The time step this code belongs to, later than the last one used; every step is compared."""
    made = pyotp.HOTP(base64.b32encode(secret).decode())
    typed = "".join(code.split()).encode()
    present = int(now.timestamp()) // STEP_SECONDS
    steps = range(present - WINDOW, present + WINDOW + 1)
    fitting = [step for step in steps if hmac.compare_digest(made.at(step).encode(), typed)]
    return next((step for step in fitting if is_later(step, last)), None)


def is_later(step: int, last: int | None) -> bool:
    """A step already used, or passed over, is not taken again: who looks over a shoulder comes too late."""
    return last is None or step > last


def _without(digests: Sequence[bytes], used: bytes) -> list[bytes]:
    """All digests but this one; every one is compared, so that the time tells nothing."""
    return [bytes(each) for each in digests if not hmac.compare_digest(bytes(each), used)]


def _new_recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _digest(code: str) -> bytes:
    plain = "".join(each for each in code.lower() if each.isalnum())
    return hashlib.sha256(plain.encode()).digest()


def _seal(keyring: Keyring, account_id: UUID, content: bytes) -> bytes:
    return keyring.seal([account_id.bytes + content])[0]


def _unseal(keyring: Keyring, account_id: UUID, sealed: bytes) -> bytes:
    content = keyring.unseal([bytes(sealed)])[0]
    if content[:16] != account_id.bytes:
        raise SealedElsewhere("account")
    return content[16:]


def _offered(actor: Actor, keyring: Keyring, sealed: str, now: datetime) -> bytes:
    try:
        content = _unseal(keyring, UUID(actor.account_id), base64.urlsafe_b64decode(sealed))
    except (SealedElsewhere, ValueError) as wrong:
        raise StaleEnrolment() from wrong
    offered_at, secret = int.from_bytes(content[:8]), content[8:]
    if len(secret) != _SECRET_BYTES or now.timestamp() - offered_at > _ENROLMENT.total_seconds():
        raise StaleEnrolment()
    return secret
