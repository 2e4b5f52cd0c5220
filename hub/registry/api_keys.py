"""Keys for department systems: secrets, client certificates and SSH keys, issued, renewed, revoked and listed.

A secret is ``hub_<prefix>_<secret>``; only the prefix and the secret's digest are kept. Two usable keys of one
organisation, kind and title may exist at a time: the new one is brought into use before the old one is revoked.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, insert, or_, select, update

from hub import audit
from hub.database import new_uuid, utc_now
from hub.errors import BadRequest, Conflict, NotFound
from hub.registry.machine_identity import ApiKey, KeyKind, digest_of, key_of, rights_a_key_may_have
from hub.registry.machine_identity import actor_of_key as actor_of_key
from hub.registry.network_addresses import read_networks
from hub.registry.organisations import load_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.public_keys import PublicKey, read_certificate, read_ssh_key
from hub.registry.rights import require
from hub.tables import api_key

_PREFIX_BYTES, _SECRET_BYTES = 5, 32
_USABLE_AT_ONCE = 2


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key in full: shown once, to whoever asked for it."""

    text: str
    key: ApiKey


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is for: whose, called what, for which rights, until when, from where."""

    organisation: str
    title: str
    scopes: Collection[Right]
    expires_at: datetime | None
    allowed_addresses: Collection[str]


def issue_key(
    connection: Connection,
    actor: Actor,
    *,
    organisation: str,
    title: str,
    scopes: Collection[Right],
    expires_at: datetime | None = None,
    allowed_addresses: Collection[str] = (),
) -> IssuedKey:
    """A new secret for an organisation's system; ``allowed_addresses`` are networks (CIDR), none: from anywhere."""
    terms = Terms(
        organisation=organisation,
        title=title,
        scopes=scopes,
        expires_at=expires_at,
        allowed_addresses=allowed_addresses,
    )
    return _issue(connection, actor, terms, how="issue")


def register_certificate(
    connection: Connection,
    actor: Actor,
    organisation: str,
    title: str,
    pem_or_der: bytes,
    scopes: Collection[Right],
    *,
    expires_at: datetime | None = None,
    allowed_addresses: Collection[str] = (),
) -> ApiKey:
    """Let a system in by its client certificate, until it expires at the latest."""
    certificate = read_certificate(pem_or_der)
    ends = [each for each in (expires_at, certificate.not_after) if each]
    terms = Terms(
        organisation=organisation,
        title=title,
        scopes=scopes,
        expires_at=min(ends),
        allowed_addresses=allowed_addresses,
    )
    return _register(connection, actor, "certificate", certificate, terms)


def register_ssh_key(
    connection: Connection,
    actor: Actor,
    organisation: str,
    title: str,
    public_key_line: str,
    scopes: Collection[Right] = (Right.SUBMIT, Right.READ_SUBMISSION),
    *,
    expires_at: datetime | None = None,
    allowed_addresses: Collection[str] = (),
) -> ApiKey:
    """Let a system in by its SSH key."""
    terms = Terms(
        organisation=organisation,
        title=title,
        scopes=scopes,
        expires_at=expires_at,
        allowed_addresses=allowed_addresses,
    )
    return _register(connection, actor, "ssh", read_ssh_key(public_key_line), terms)


def renew_key(connection: Connection, actor: Actor, prefix: str, *, expires_at: datetime | None = None) -> IssuedKey:
    """A second secret on the terms of this one, which stays good until it is revoked."""
    old = load_key(connection, prefix)
    if old.kind != "secret":
        raise BadRequest(
            f"{old.name} 不是密钥：请以相同名称登记新证书或新公钥，启用后撤销旧的。"
            " Not a secret: register the new certificate or public key under the same title, then revoke the old one."
        )
    terms = Terms(
        organisation=old.organisation,
        title=old.title,
        scopes=tuple(map(Right, old.scopes)),
        expires_at=expires_at,
        allowed_addresses=old.allowed_addresses,
    )
    return _issue(connection, actor, terms, how="renew")


def _issue(connection: Connection, actor: Actor, terms: Terms, how: str) -> IssuedKey:
    prefix, secret = secrets.token_hex(_PREFIX_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    kept = PublicKey(fingerprint=prefix, digest=digest_of(secret.encode()), text="")
    key = _enter(connection, actor, "secret", kept, terms, how)
    return IssuedKey(text=f"hub_{prefix}_{secret}", key=key)


def _register(connection: Connection, actor: Actor, kind: KeyKind, its: PublicKey, terms: Terms) -> ApiKey:
    """A certificate or SSH key is registered once: who revoked it meant it."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    if connection.execute(select(api_key.c.key_id).where(api_key.c.prefix == its.fingerprint)).first():
        raise Conflict(
            f"{its.fingerprint} 已经登记过，请换新的证书或公钥。"
            " It was registered before, perhaps revoked: use a new certificate or key.",
            prefix=its.fingerprint,
        )
    return _enter(connection, actor, kind, its, terms, how="register")


def _enter(connection: Connection, actor: Actor, kind: KeyKind, its: PublicKey, terms: Terms, how: str) -> ApiKey:
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    now = utc_now()
    _refuse_terms(connection, kind, terms, now)
    row = {
        "key_id": new_uuid(),
        "kind": kind,
        "prefix": its.fingerprint,
        "secret_digest": its.digest,
        "public_text": its.text,
        "created_at": now,
        **msgspec.structs.asdict(terms),
        "scopes": sorted(terms.scopes),
        "allowed_addresses": [str(network) for network in read_networks(terms.allowed_addresses)],
    }
    connection.execute(insert(api_key), [row])
    facts = {"organisation": terms.organisation, "kind": kind, "scopes": row["scopes"], "how": how}
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, f"key/{its.fingerprint}", **facts)
    return load_key(connection, its.fingerprint)


def _refuse_terms(connection: Connection, kind: KeyKind, terms: Terms, now: datetime) -> None:
    if not terms.title.strip():
        raise BadRequest("请写明密钥用于哪个系统。 Say which system the key is for (title).", title="")
    if terms.expires_at is not None and terms.expires_at <= now:
        raise BadRequest(f"有效期 {terms.expires_at:%Y-%m-%d} 已过。 That expiry is in the past.", expires_on="")
    _refuse_scopes(connection, terms)
    _refuse_third(connection, kind, terms, now)


def _refuse_scopes(connection: Connection, terms: Terms) -> None:
    its = load_organisation(connection, terms.organisation)
    beyond = sorted({*terms.scopes} - rights_a_key_may_have(its))
    if beyond or not terms.scopes:
        raise BadRequest(f"密钥不能有权限：{beyond}。 A key of {its.code} cannot have these rights.", scopes=beyond)


def _refuse_third(connection: Connection, kind: KeyKind, terms: Terms, now: datetime) -> None:
    alike = f"api_key/{terms.organisation}/{kind}/{terms.title}"
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(alike))))  # two at once must see each other
    usable = [key for key in _alike(connection, kind, terms) if key.usable(now)]
    if len(usable) >= _USABLE_AT_ONCE:
        names = [key.name for key in usable]
        raise Conflict(
            f"“{terms.title}”已有 {len(usable)} 个有效密钥：{'、'.join(names)}。请先撤销不再使用的一个（最早的是 {names[0]}）。"
            f" There are {len(usable)} usable ones already; revoke the one no longer used first (the oldest is {names[0]}).",
            keys=names,
        )


def _alike(connection: Connection, kind: KeyKind, terms: Terms) -> list[ApiKey]:
    same = (api_key.c.organisation == terms.organisation, api_key.c.kind == kind, api_key.c.title == terms.title)
    return [key_of(row) for row in connection.execute(select(api_key).where(*same).order_by(api_key.c.created_at))]


def revoke_key(connection: Connection, actor: Actor, prefix: str) -> None:
    """End a key now, and every token issued for it; revoking it again changes nothing."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    key = load_key(connection, prefix)
    in_use = (api_key.c.key_id == key.key_id, api_key.c.revoked_at.is_(None))
    connection.execute(update(api_key).where(*in_use).values(revoked_at=utc_now()))
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, f"key/{key.prefix}", how="revoke")


def load_key(connection: Connection, name: str) -> ApiKey:
    """The key of this prefix or name (``hub_<prefix>``), without its secret; NotFound if there is none."""
    wanted = or_(api_key.c.prefix == name, api_key.c.prefix == name.removeprefix("hub_"))
    row = connection.execute(select(api_key).where(wanted)).one_or_none()
    if row is None:
        raise _no_key(name)
    return key_of(row)


def see_key(connection: Connection, actor: Actor, name: str) -> ApiKey:
    """One key; for a data officer, another organisation's is as good as none: NotFound."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE, Right.ASK_OWN_ACCESS)
    key = load_key(connection, name)
    if not _reads_all(actor) and key.organisation != actor.organisation:
        raise _no_key(name)
    return key


def _reads_all(actor: Actor) -> bool:
    return actor.may(Right.MANAGE_ACCOUNTS) or actor.may(Right.OPERATE)


def _no_key(name: str) -> NotFound:
    return NotFound(f"没有密钥 {name}。 No key {name}.", prefix=name)


def list_keys(connection: Connection, actor: Actor, organisation: str | None = None) -> list[ApiKey]:
    """Every key, newest first; of one organisation if given. A data officer's list is that of their own."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE, Right.ASK_OWN_ACCESS)
    query = select(api_key).order_by(api_key.c.created_at.desc())
    of = organisation if _reads_all(actor) else actor.organisation
    wanted = query.where(api_key.c.organisation == of) if of else query
    return [key_of(row) for row in connection.execute(wanted)]
