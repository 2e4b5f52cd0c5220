"""A cursor is opaque and signed: which subscription, which epoch, how far."""

from __future__ import annotations

import base64
import hashlib
import hmac
from uuid import UUID

import msgspec

from hub.errors import BadRequest

_MAC_BYTES = 12


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a reader stands: everything up to ``seq`` is theirs."""

    subscription: str
    epoch: str
    seq: int


def encode_cursor(key: bytes, subscription_id: UUID, epoch: str, seq: int) -> str:
    content = msgspec.json.encode(Position(str(subscription_id), epoch, seq))
    return base64.urlsafe_b64encode(_mac(key, content) + content).decode().rstrip("=")


def decode_cursor(key: bytes, cursor: str) -> Position:
    """Raises BadRequest for anything this hub did not hand out."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, _mac(key, content)):
            raise ValueError("signature")
        return msgspec.json.decode(content, type=Position)
    except (ValueError, msgspec.DecodeError) as wrong:
        raise BadRequest("游标不是本枢纽发出的。 This cursor was not made by this hub.") from wrong


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, b"cursor:" + content, hashlib.sha256).digest()[:_MAC_BYTES]
