"""Keys for department systems: `hub_<prefix>_<secret>`; only the prefix and the secret's digest are kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from hub import audit
from hub.database import new_uuid, utc_now
from hub.errors import BadRequest, NotFound
from hub.registry.organisations import Organisation, find_organisation, load_organisation
from hub.registry.permissions import ROLES, Actor, Right
from hub.registry.rights import require
from hub.tables import api_key

_NO_DIGEST = bytes(32)
_PREFIX_BYTES, _SECRET_BYTES = 5, 32  # 256 random bits need no slow hash


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as it may be shown: never its secret."""

    key_id: UUID
    prefix: str
    organisation: str
    title: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime

    def usable(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key in full: shown once, to whoever asked for it."""

    text: str
    key: ApiKey


def rights_a_key_may_have(its: Organisation) -> frozenset[Right]:
    """What a system of this organisation may do; a key's scopes are a part of it."""
    if its.kind in ("bureau", "information_centre"):
        return frozenset({Right.SIGNED_IN, Right.READ_REGISTRY})
    towns = {Right.READ_CHANGE_LIST} if its.kind in ("town", "village") else frozenset[Right]()
    return ROLES["integrator"] | towns


def issue_key(
    connection: Connection,
    actor: Actor,
    *,
    organisation: str,
    title: str,
    scopes: Collection[Right],
    expires_at: datetime | None = None,
) -> IssuedKey:
    """A new key for an organisation's system. Two keys at once are allowed: that is how they are renewed."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_scopes(scopes, load_organisation(connection, organisation))
    prefix, secret = secrets.token_hex(_PREFIX_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    row = {
        "key_id": new_uuid(),
        "prefix": prefix,
        "secret_digest": _digest(secret),
        "organisation": organisation,
        "title": title,
        "scopes": sorted(scopes),
        "expires_at": expires_at,
        "created_at": utc_now(),
    }
    connection.execute(insert(api_key), [row])
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, f"key/{prefix}", organisation=organisation, how="issue")
    return IssuedKey(text=f"hub_{prefix}_{secret}", key=load_key(connection, prefix))


def _refuse_scopes(scopes: Collection[Right], its: Organisation) -> None:
    beyond = sorted({*scopes} - rights_a_key_may_have(its))
    if beyond or not scopes:
        raise BadRequest(f"密钥不能有权限：{beyond}。 A key of {its.code} cannot have these rights.", scopes=beyond)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def actor_of_key(connection: Connection, text: str, *, now: datetime, door: str = "api") -> Actor | None:
    """Who sends this key; None for any reason whatever. Unknown prefixes are compared like known ones."""
    prefix, secret = _parts(text)
    row = connection.execute(select(api_key).where(api_key.c.prefix == prefix)).one_or_none()
    right = hmac.compare_digest(bytes(row.secret_digest) if row else _NO_DIGEST, _digest(secret))
    if row is None or not right or not _key(row).usable(now):
        return None
    its = find_organisation(connection, row.organisation)
    return _actor(_key(row), its, door) if its and its.enabled else None


def _parts(text: str) -> tuple[str, str]:
    parts = text.split("_", 2)
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "hub" else ("", "")


def _actor(key: ApiKey, its: Organisation, door: str) -> Actor:
    """Scopes are cut down to what the organisation may have today, whatever it had when the key was issued."""
    allowed = {str(right) for right in rights_a_key_may_have(its)}
    return Actor(
        name=f"hub_{key.prefix}",
        organisation=its.code,
        kind=its.kind,
        door=door,
        rights=frozenset(Right(scope) for scope in key.scopes if scope in allowed) | {Right.SIGNED_IN},
        area_id=its.area_id,
    )


def revoke_key(connection: Connection, actor: Actor, prefix: str) -> None:
    """End a key now; revoking it again changes nothing."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    load_key(connection, prefix)
    in_use = (api_key.c.prefix == prefix, api_key.c.revoked_at.is_(None))
    connection.execute(update(api_key).where(*in_use).values(revoked_at=utc_now()))
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, f"key/{prefix}", how="revoke")


def load_key(connection: Connection, prefix: str) -> ApiKey:
    """The key of this prefix, without its secret; NotFound if there is none."""
    row = connection.execute(select(api_key).where(api_key.c.prefix == prefix)).one_or_none()
    if row is None:
        raise NotFound(f"没有密钥 hub_{prefix}。 No key hub_{prefix}.", prefix=prefix)
    return _key(row)


def list_keys(connection: Connection, actor: Actor, organisation: str | None = None) -> list[ApiKey]:
    """Every key, newest first; of one organisation if given."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    query = select(api_key).order_by(api_key.c.created_at.desc())
    wanted = query.where(api_key.c.organisation == organisation) if organisation else query
    return [_key(row) for row in connection.execute(wanted)]


def _key(row: Row[Any]) -> ApiKey:
    return msgspec.convert(row, ApiKey, from_attributes=True)
