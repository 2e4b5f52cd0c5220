"""Short-lived tokens for machines (RFC 6749, 4.4): granted to whoever shows their key or certificate, or refused.

Only a token's digest is kept. It lives a few minutes, and never longer than its key (hub.registry.machine_identity).
Grants and refusals are audited, and neither the secret nor an unknown client's name is written down.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from sqlalchemy import Connection, delete, insert, select

from hub import audit
from hub.registry.machine_identity import (
    TOKEN_START,
    Machine,
    digest_of,
    key_of,
    machine_of_certificate,
    machine_of_secret,
)
from hub.registry.permissions import Actor, Right
from hub.tables import access_token, api_key

_TOKEN_BYTES = 32


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """What a client shows to be believed: its name and secret, or the certificate of its connection."""

    client: str = ""
    secret: str | None = None
    certificate: bytes | None = None
    address: str = ""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """A token, in full: only now."""

    text: str
    scopes: tuple[str, ...]
    lifetime: timedelta


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The reason, as RFC 6749, 5.2 names it."""

    error: Literal["invalid_client", "invalid_scope"]


def grant_token(
    connection: Connection, presented: Presented, scopes: Collection[str], *, lifetime: timedelta, now: datetime
) -> Granted | Refused:
    """A token with these scopes, with all of the key's if none are named. More than the key has: no token at all."""
    machine = _who(connection, presented, now)
    if machine is None:
        return _refuse(connection, _nobody(connection, presented), "invalid_client")
    held = {*machine.key.scopes} & machine.actor.rights
    if not _is_within(scopes, held):
        return _refuse(connection, machine.actor, "invalid_scope")
    return _grant(connection, machine.actor, machine, tuple(sorted(scopes or held)), lifetime, now)


def _who(connection: Connection, presented: Presented, now: datetime) -> Machine | None:
    address = presented.address
    if presented.secret is not None:
        return machine_of_secret(connection, presented.client, presented.secret, now=now, address=address)
    if presented.certificate is None:
        return None
    found = machine_of_certificate(connection, presented.certificate, now, address)
    return found if found and presented.client in ("", found.key.name) else None


def _is_within(scopes: Collection[str], held: Collection[str]) -> bool:
    return set(scopes) <= set(held)


def _nobody(connection: Connection, presented: Presented) -> Actor:
    """Who is refused: the key that was named, if it is one; otherwise a question mark, whatever was sent."""
    named = (api_key.c.prefix == presented.client.removeprefix("hub_"), api_key.c.kind != "ssh")
    row = connection.execute(select(api_key).where(*named)).one_or_none()
    name, organisation = (key_of(row).name, key_of(row).organisation) if row else ("?", "?")
    return Actor(
        name=name, organisation=organisation, kind="?", door="api", rights=frozenset(), address=presented.address
    )


def _refuse(connection: Connection, actor: Actor, error: Literal["invalid_client", "invalid_scope"]) -> Refused:
    _record(connection, actor, "refused", error=error)
    return Refused(error=error)


def _grant(
    connection: Connection,
    actor: Actor,
    machine: Machine,
    scopes: tuple[str, ...],
    lifetime: timedelta,
    now: datetime,
) -> Granted:
    text = TOKEN_START + secrets.token_urlsafe(_TOKEN_BYTES)
    row = {
        "token_digest": digest_of(text.encode()),
        "key_id": machine.key.key_id,
        "scopes": list(scopes),
        "issued_at": now,
        "expires_at": now + lifetime,
    }
    connection.execute(delete(access_token).where(access_token.c.expires_at <= now))
    connection.execute(insert(access_token), [row])
    _record(connection, actor, "done", scopes=scopes)
    return Granted(text=text, scopes=scopes, lifetime=lifetime)


def _record(connection: Connection, actor: Actor, outcome: str, **facts: object) -> None:
    shown = f"key/{actor.name.removeprefix('hub_')}"
    audit.record(connection, actor, Right.SIGNED_IN, shown, outcome, grant="client_credentials", **facts)
