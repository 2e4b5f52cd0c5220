"""A thin, signed push: "this slice has reached number N" (Standard Webhooks 1.0.0, asymmetric signatures)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime

import msgspec

from adapters.channels.http_pull import seconds_of
from adapters.outbound import Outbound

LARGEST_BODY = 20_000
GONE = 410
# When to send again after a failure; the table of the standard, 75 hours in all.
RETRY_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)

Sign = Callable[[bytes], bytes]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is said; the same id and body however often it has to be said."""

    id: str
    body: bytes


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the other side answered: only 2xx is a yes."""

    status: int
    retry_after: float | None = None

    @property
    def heard(self) -> bool:
        return 200 <= self.status < 300


def reached(message_id: str, subscription: str, seq: int, at: datetime) -> Message:
    """The message: no person, no record, no count of a slice; who may know more pulls it."""
    what = {"subscription": subscription, "seq": seq}
    body = msgspec.json.encode({"type": "slice.reached", "timestamp": at.isoformat(), "data": what})
    if len(body) >= LARGEST_BODY:
        raise ValueError(len(body))
    return Message(id=message_id, body=body)


def signed(message: Message, sign: Sign, at: datetime) -> dict[str, str]:
    """The three headers; the time is that of this attempt, so that an old message cannot be played again."""
    seconds = int(at.timestamp())
    signature = sign(f"{message.id}.{seconds}.".encode() + message.body)
    return {
        "webhook-id": message.id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1a,{base64.b64encode(signature).decode()}",
        "Content-Type": "application/json",
    }


def tell(outbound: Outbound, url: str, message: Message, sign: Sign, at: datetime) -> Told:
    """Say it once. CallRefused and CallFailed are Outbound's."""
    reply = outbound.ask("POST", url, message.body, signed(message, sign, at))
    return Told(status=reply.status, retry_after=seconds_of(reply.headers.get("retry-after", ""), at))
