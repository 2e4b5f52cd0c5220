"""A machine comes with a key, a certificate, an SSH key or a token: whose it is, as an Actor, or nobody.

Unknown, wrong, revoked, expired, of a disabled organisation, or from an address outside its list: the answer is the
same None, and nobody learns which. Scopes are cut down to what the organisation may have today.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, select, update

from hub.registry.network_addresses import is_within
from hub.registry.organisations import Organisation, find_organisation
from hub.registry.permissions import ROLES, Actor, Right
from hub.tables import access_token, api_key

KeyKind = Literal["secret", "certificate", "ssh"]
TOKEN_START = "hubt_"  # noqa: S105 — how a token begins, not one
_NO_DIGEST = bytes(32)
_NOTE_USE_EVERY = timedelta(minutes=1)  # otherwise every request would write


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as it may be shown: never its secret."""

    key_id: UUID
    kind: KeyKind
    prefix: str  # of a certificate or an SSH key, its fingerprint
    public_text: str  # the certificate's subject or the SSH public key
    organisation: str
    title: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    allowed_addresses: tuple[str, ...]  # CIDR; none: from anywhere
    last_used_at: datetime | None

    @property
    def name(self) -> str:
        """How the audit and the OAuth client call it."""
        return f"hub_{self.prefix}" if self.kind == "secret" else self.prefix

    def usable(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def usable_from(self, address: str) -> bool:
        return not self.allowed_addresses or is_within(address, self.allowed_addresses)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that has shown who it is: its key, and what it may do with it."""

    key: ApiKey
    actor: Actor


_DESK_OF_A_SYSTEM = {
    Right.DECIDE_HELD, Right.READ_PERSON, Right.WORK_COMPARISON, Right.WORK_CHALLENGE, Right.ASK_SLICE,
}  # fmt: skip


def rights_a_key_may_have(its: Organisation) -> frozenset[Right]:
    """What a system of this organisation may do at most; a key has the scopes it was given.

    People work in such systems too: a key may carry their decisions on held rows, their comparisons,
    their challenges, their lookups and what they ask for. Who may have a slice, and who looks where somebody's data
    went, is a person with an account.
    """
    if its.kind in ("bureau", "information_centre"):
        return frozenset({Right.SIGNED_IN, Right.READ_REGISTRY})
    towns = {Right.READ_CHANGE_LIST, Right.READ_ROUND} if its.kind in ("town", "village") else frozenset[Right]()
    return ROLES["integrator"] | towns | _DESK_OF_A_SYSTEM


def actor_of_bearer(
    connection: Connection, text: str, *, now: datetime, address: str = "", certificate: bytes | None = None
) -> Actor | None:
    """Who sends this after ``Authorization: Bearer``: an API key, or a token issued for one."""
    if text.startswith(TOKEN_START):
        return actor_of_token(connection, text, now=now, address=address, certificate=certificate)
    return actor_of_key(connection, text, now=now, address=address)


def actor_of_key(
    connection: Connection, text: str, *, now: datetime, door: str = "api", address: str = ""
) -> Actor | None:
    """Who sends the key ``hub_<prefix>_<secret>``."""
    parts = text.split("_", 2)
    if len(parts) != 3 or parts[0] != "hub":
        return None
    found = machine_of_secret(connection, f"hub_{parts[1]}", parts[2], now=now, door=door, address=address)
    return found.actor if found else None


def machine_of_secret(
    connection: Connection, name: str, secret: str, *, now: datetime, door: str = "api", address: str = ""
) -> Machine | None:
    """The machine of the key ``hub_<prefix>``. Unknown names are compared like known ones."""
    row = _find(connection, api_key.c.kind == "secret", api_key.c.prefix == name.removeprefix("hub_"))
    right = hmac.compare_digest(bytes(row.secret_digest) if row else _NO_DIGEST, digest_of(secret.encode()))
    return _admit(connection, row, now, door, address) if right and name.startswith("hub_") else None


def actor_of_certificate(
    connection: Connection, der: bytes, now: datetime, address: str = "", door: str = "api"
) -> Actor | None:
    """Who holds this client certificate. Only a TLS server that checked the holder's key may say so (hub.origins)."""
    found = machine_of_certificate(connection, der, now, address, door)
    return found.actor if found else None


def machine_of_certificate(
    connection: Connection, der: bytes, now: datetime, address: str = "", door: str = "api"
) -> Machine | None:
    row = _find(connection, api_key.c.kind == "certificate", api_key.c.secret_digest == digest_of(der))
    return _admit(connection, row, now, door, address)


def actor_of_ssh_key(
    connection: Connection, key_blob: bytes, now: datetime, address: str = "", door: str = "sftp"
) -> Actor | None:
    """Who has this SSH key (the blob of RFC 4253, 6.6). The SSH server has checked that they do."""
    row = _find(connection, api_key.c.kind == "ssh", api_key.c.secret_digest == digest_of(key_blob))
    found = _admit(connection, row, now, door, address)
    return found.actor if found else None


def actor_of_token(
    connection: Connection, text: str, *, now: datetime, address: str = "", certificate: bytes | None = None
) -> Actor | None:
    """Who sends a token: the machine of its key, as long as that key lives, within what was asked for.

    A token issued to a certificate is good only together with it (RFC 8705, 3).
    """
    wanted = (access_token.c.token_digest == digest_of(text.encode()), access_token.c.expires_at > now)
    query = select(api_key, access_token.c.scopes.label("token_scopes")).join(
        access_token, access_token.c.key_id == api_key.c.key_id
    )
    row = connection.execute(query.where(*wanted)).one_or_none()
    if row is None or (row.kind == "certificate" and not _is_held(row, certificate)):
        return None
    found = _admit(connection, row, now, "api", address)
    return _narrowed(found.actor, row.token_scopes) if found else None


def _is_held(row: Row[Any], certificate: bytes | None) -> bool:
    return certificate is not None and hmac.compare_digest(bytes(row.secret_digest), digest_of(certificate))


def _narrowed(actor: Actor, scopes: list[str]) -> Actor:
    kept = frozenset(right for right in actor.rights if right in scopes)
    return msgspec.structs.replace(actor, rights=kept | {Right.SIGNED_IN})


def digest_of(content: bytes) -> bytes:
    """256 random bits need no slow hash; certificates and SSH keys are not secret."""
    return hashlib.sha256(content).digest()


def _find(connection: Connection, *conditions: ColumnElement[bool]) -> Row[Any] | None:
    return connection.execute(select(api_key).where(*conditions)).one_or_none()


def _admit(connection: Connection, row: Row[Any] | None, now: datetime, door: str, address: str) -> Machine | None:
    """The one place where a key is found good."""
    if row is None:
        return None
    key = key_of(row)
    if not key.usable(now) or not key.usable_from(address):
        return None
    its = find_organisation(connection, key.organisation)
    if its is None or not its.enabled:
        return None
    _note_use(connection, key, now)
    return Machine(key=key, actor=_actor(key, its, door, address))


def _note_use(connection: Connection, key: ApiKey, now: datetime) -> None:
    if key.last_used_at is None or now - key.last_used_at >= _NOTE_USE_EVERY:
        connection.execute(update(api_key).where(api_key.c.key_id == key.key_id).values(last_used_at=now))


def _actor(key: ApiKey, its: Organisation, door: str, address: str) -> Actor:
    """Scopes are cut down to what the organisation may have today, whatever it had when the key was issued."""
    allowed = {str(right) for right in rights_a_key_may_have(its)}
    return Actor(
        name=key.name,
        organisation=its.code,
        kind=its.kind,
        door=door,
        rights=frozenset(Right(scope) for scope in key.scopes if scope in allowed) | {Right.SIGNED_IN},
        area_id=its.area_id,
        address=address,
    )


def key_of(row: Row[Any]) -> ApiKey:
    return msgspec.convert(row, ApiKey, from_attributes=True)
