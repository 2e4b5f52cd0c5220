"""Acts that need a second person: one asks, the security administrator confirms, and only then it happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from hub import audit
from hub.database import district_of, new_uuid, utc_now
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.registry import accounts
from hub.registry.api_keys import issue_key
from hub.registry.list_order import in_order
from hub.registry.organisations import (
    Organisation,
    OrganisationKind,
    find_organisation,
    load_organisation,
    save_organisation,
    set_enabled,
)
from hub.registry.passwords import new_password
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import AccountPolicy
from hub.tables import access_request

_LONGEST_TEXT = 500
_USUAL = AccountPolicy()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One act somebody asked for, and what became of it."""

    request_id: UUID
    act: str
    object: str
    content: dict[str, Any]
    reason: str
    state: str
    asked_by: str
    asked_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    answer: str


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """A confirmed request, and the password or key it made: shown once, to whoever confirmed it."""

    request: Request
    secret: str = ""


class SamePerson(NotAllowed):
    """申请人不能审批自己的申请。 Nobody decides what they asked for themselves."""


# ---- what may be asked for: the content of each act, and nothing beside it ----


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The act says all."""


class _OpenAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    organisation: str
    roles: tuple[str, ...]  # wished for; the security administrator decides
    language: str = "zh"


class _SaveOrganisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    kind: OrganisationKind
    name_en: str = ""
    area_id: int | None = None


class _IssueKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    scopes: tuple[Right, ...]
    expires_at: datetime | None = None


class Confirming(NamedTuple):
    """What an applier works with: the confirming actor, and what was confirmed."""

    connection: Connection
    actor: Actor
    object: str
    content: Any
    policy: AccountPolicy


class Act(NamedTuple):
    """One kind of request: its content, whose organisation it concerns, how it is done, who may ask for it."""

    content: type[msgspec.Struct]
    concerns: Callable[[Connection, str, Any], str | None]
    apply: Callable[[Confirming], str]  # the secret it made, if it made one
    asked_with: tuple[Right, ...]


def ask(connection: Connection, actor: Actor, act: str, object: str, content: dict[str, Any], reason: str) -> Request:
    """Put an act before the security administrator. A request that could never be confirmed is refused at once."""
    require(actor, Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)
    kind = _act(act)
    require(actor, *kind.asked_with)
    _refuse_text(reason, "申请理由", "reason")
    wanted = _content(kind, content)
    _refuse_foreign(actor, kind.concerns(connection, object, wanted))
    _refuse_twice(connection, act, object)
    request_id = new_uuid()
    row = {
        "request_id": request_id,
        "act": act,
        "object": object,
        "content": msgspec.to_builtins(wanted),
        "reason": reason.strip(),
        "asked_by": actor.name,
        "asked_at": utc_now(),
    }
    connection.execute(insert(access_request), [row])
    right = Right.ASK_ACCESS if actor.may(Right.ASK_ACCESS) else Right.ASK_OWN_ACCESS
    audit.record(connection, actor, right, f"request/{request_id}", asked=act, concerning=object, how="ask")
    return _load(connection, request_id)


REQUEST_ORDERS: dict[str, ColumnElement[Any]] = {
    name: access_request.c[name] for name in ("asked_at", "act", "asked_by")
}


def list_requests(
    connection: Connection, actor: Actor, state: str | None = None, *,
    sort: str = "-asked_at", after: UUID | None = None, limit: int | None = None,
) -> list[Request]:  # fmt: skip
    """Those waiting and decided, newest first or in another of REQUEST_ORDERS: all for who confirms, one's own for who asks.

    ``after``: the last one that was seen.
    """
    require(actor, Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)
    seen = select(access_request)
    if not actor.may(Right.MANAGE_ACCOUNTS):
        seen = seen.where(access_request.c.asked_by == actor.name)
    query = seen.where(access_request.c.state == state) if state else seen
    query = in_order(query, REQUEST_ORDERS, sort, access_request.c.request_id, after, seen)
    return [_request(row) for row in connection.execute(query.limit(limit))]


def see_request(connection: Connection, actor: Actor, request_id: UUID) -> Request:
    """One request, for whoever confirms and whoever asked; for others there is none: NotFound."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)
    asked = _load(connection, request_id)
    if not actor.may(Right.MANAGE_ACCOUNTS) and asked.asked_by != actor.name:
        raise _no_such(request_id)
    return asked


def confirm(
    connection: Connection,
    actor: Actor,
    request_id: UUID,
    *,
    roles: tuple[str, ...] | None = None,
    policy: AccountPolicy = _USUAL,
) -> Confirmed:
    """Do what was asked, in this transaction. ``roles`` are those of a new account, if others than wished for."""
    require(actor, Right.MANAGE_ACCOUNTS)
    asked = _hold_waiting(connection, actor, request_id)
    kind = _act(asked.act)
    content = _content(kind, asked.content)
    if roles is not None:
        content = _with_roles(content, roles)
    _decide(connection, actor, asked, "confirmed", "")
    acting = msgspec.structs.replace(actor, rights=actor.rights | {Right.MANAGE_REGISTRY})
    secret = kind.apply(Confirming(connection, acting, asked.object, content, policy))
    return Confirmed(request=_load(connection, request_id), secret=secret)


def refuse(connection: Connection, actor: Actor, request_id: UUID, answer: str) -> Request:
    """Turn a request down, saying why."""
    require(actor, Right.MANAGE_ACCOUNTS)
    _refuse_text(answer, "答复", "answer")
    asked = _hold_waiting(connection, actor, request_id)
    return _decide(connection, actor, asked, "refused", answer.strip())


def withdraw(connection: Connection, actor: Actor, request_id: UUID) -> Request:
    """Take back what one asked for oneself; anybody else's is as good as none: NotFound."""
    require(actor, Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)
    asked = _load(connection, request_id, hold=True)
    if asked.asked_by != actor.name:
        raise _no_such(request_id)
    _refuse_decided(asked)
    return _decide(connection, actor, asked, "withdrawn", "")


def _hold_waiting(connection: Connection, actor: Actor, request_id: UUID) -> Request:
    asked = _load(connection, request_id, hold=True)
    _refuse_decided(asked)
    if asked.asked_by == actor.name:
        raise SamePerson()
    return asked


def _refuse_decided(asked: Request) -> None:
    if asked.state != "waiting":
        raise Conflict(f"该申请已处理（{asked.state}）。 This request is {asked.state} already.")


def _decide(connection: Connection, actor: Actor, asked: Request, state: str, answer: str) -> Request:
    by = None if state == "withdrawn" else actor.name
    kept = {"state": state, "decided_by": by, "decided_at": utc_now(), "answer": answer}
    its = access_request.c.request_id == asked.request_id
    connection.execute(update(access_request).where(its).values(kept))
    right = Right.MANAGE_ACCOUNTS if by else Right.ASK_OWN_ACCESS
    facts = {"asked": asked.act, "concerning": asked.object, "asked_by": asked.asked_by, "how": state}
    audit.record(connection, actor, right, f"request/{asked.request_id}", **facts)
    return _load(connection, asked.request_id)


# ---- what is refused when it is asked for ----


def _act(name: str) -> Act:
    if name not in ACTS:
        raise BadRequest(f"没有这种申请：{name[:40]}。 There is no such request; one of: {', '.join(ACTS)}.")
    return ACTS[name]


def _content(kind: Act, content: dict[str, Any]) -> Any:
    try:
        return msgspec.convert(content, kind.content)
    except msgspec.ValidationError as wrong:
        raise BadRequest(f"申请内容有误：{wrong}。 The request's content is wrong: {wrong}.") from wrong


def _refuse_text(text: str, chinese: str, english: str) -> None:
    if not 0 < len(text.strip()) <= _LONGEST_TEXT:
        raise BadRequest(
            f"{chinese}必填，不超过 {_LONGEST_TEXT} 字。 Give the {english}, {_LONGEST_TEXT} characters at most.",
            **{english: ""},
        )


def _refuse_foreign(actor: Actor, organisation: str | None) -> None:
    """A data officer asks for their own organisation alone; whether others exist is not said."""
    if organisation is None or (not actor.may(Right.ASK_ACCESS) and organisation != actor.organisation):
        raise NotFound("没有此账号，或不属于本单位。 There is no such account, or not in your organisation.", login="")


def _refuse_twice(connection: Connection, act: str, object: str) -> None:
    its = access_request.c
    query = select(its.request_id).where(its.act == act, its.object == object, its.state == "waiting").limit(1)
    if connection.execute(query).first() is not None:
        raise Conflict(f"同样的申请正在等待审批：{act} {object}。 The same request is waiting already.")


def _with_roles(content: Any, roles: tuple[str, ...]) -> Any:
    if not isinstance(content, _OpenAccount):
        raise BadRequest("只有开户申请可指定角色。 Only a new account's roles are decided here.")
    return msgspec.structs.replace(content, roles=roles)


# ---- whose organisation an act concerns; what could never be confirmed is refused here ----


def _of_new_account(connection: Connection, login: str, wanted: _OpenAccount) -> str | None:
    its = find_organisation(connection, wanted.organisation)
    if its is None:
        raise NotFound(f"没有单位 {wanted.organisation}。 No organisation {wanted.organisation}.", organisation="")
    _refuse_text(wanted.name, "姓名", "name")
    accounts.refuse_roles(wanted.roles, its)
    accounts.refuse_login(connection, login)
    return its.code


def _of_account(connection: Connection, login: str, wanted: _Nothing) -> str | None:
    its = accounts.find_account(connection, login)
    if its is not None:
        accounts.refuse_closed(its)
    return its.organisation if its else None


def _of_organisation(connection: Connection, code: str, wanted: object) -> str | None:
    return load_organisation(connection, code).code


def _of_saved(connection: Connection, code: str, wanted: _SaveOrganisation) -> str | None:
    _refuse_text(wanted.name, "单位名称", "name")
    if not code.isascii() or not code.replace("_", "").isalnum() or len(code) > 40:
        raise BadRequest("单位代码为 1–40 位字母、数字或下划线。 A code has 1 to 40 letters, digits or _.", code="")
    return code


# ---- what happens when it is confirmed ----


def _open_account(of: Confirming) -> str:
    about = (of.content.name, of.content.organisation)
    password = new_password(of.policy, of.content.roles, of.object, about)
    facts = msgspec.structs.asdict(of.content)
    accounts.create_account(of.connection, of.actor, login=of.object, password=password, policy=of.policy, **facts)
    return password


def _reset_password(of: Confirming) -> str:
    return accounts.give_new_password(of.connection, of.actor, of.object, of.policy)


def _enable_account(of: Confirming) -> str:
    accounts.set_disabled(of.connection, of.actor, of.object, False)
    return ""


def _save_organisation(of: Confirming) -> str:
    """A disabled organisation stays so: what is renewed is its name and area."""
    known = find_organisation(of.connection, of.object)
    one = Organisation(
        code=of.object,
        district=district_of(of.connection).strip('"'),
        enabled=known.enabled if known else True,
        **msgspec.structs.asdict(of.content),
    )
    save_organisation(of.connection, of.actor, one)
    return ""


def _enable_organisation(of: Confirming) -> str:
    set_enabled(of.connection, of.actor, of.object, True)
    return ""


def _disable_organisation(of: Confirming) -> str:
    set_enabled(of.connection, of.actor, of.object, False)
    return ""


def _issue_key(of: Confirming) -> str:
    wanted: _IssueKey = of.content
    issued = issue_key(
        of.connection,
        of.actor,
        organisation=of.object,
        title=wanted.title,
        scopes=wanted.scopes,
        expires_at=wanted.expires_at,
    )
    return issued.text


_ANY, _SYSTEM = (Right.ASK_ACCESS, Right.ASK_OWN_ACCESS), (Right.ASK_ACCESS,)
ACTS: dict[str, Act] = {
    "open_account": Act(_OpenAccount, _of_new_account, _open_account, _ANY),
    "enable_account": Act(_Nothing, _of_account, _enable_account, _ANY),
    "reset_password": Act(_Nothing, _of_account, _reset_password, _ANY),
    "save_organisation": Act(_SaveOrganisation, _of_saved, _save_organisation, _SYSTEM),
    "enable_organisation": Act(_Nothing, _of_organisation, _enable_organisation, _SYSTEM),
    "disable_organisation": Act(_Nothing, _of_organisation, _disable_organisation, _SYSTEM),
    "issue_key": Act(_IssueKey, _of_organisation, _issue_key, (Right.ASK_OWN_ACCESS,)),
}


# ---- looking ----


def _load(connection: Connection, request_id: UUID, *, hold: bool = False) -> Request:
    query = select(access_request).where(access_request.c.request_id == request_id)
    row = connection.execute(query.with_for_update() if hold else query).one_or_none()
    if row is None:
        raise _no_such(request_id)
    return _request(row)


def _no_such(request_id: UUID) -> NotFound:
    return NotFound(f"没有申请 {request_id}。 No request {request_id}.")


def _request(row: Row[Any]) -> Request:
    return msgspec.convert(row, Request, from_attributes=True)
