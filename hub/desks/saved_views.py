"""Ways of looking at a list that somebody saved under a name: kept, shared with colleagues, made one's first, dropped.

A view is kept as filters, columns and order under the names its list knows: never an address, and nothing personal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import new_uuid, run_sql, utc_now
from hub.errors import BadRequest, Conflict, HubError, NotFound
from hub.registry.masking import mask_within
from hub.registry.permissions import ROLES, Actor, Right
from hub.registry.rights import require

MOST_VIEWS, LONGEST_NAME, LONGEST_QUERY = 50, 40, 2000
_PLAIN = re.compile(r"[0-9A-Za-z_.,:/@=~+ -]*")
_ONE_PERSON = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|\d{15}", re.I)


class BadViewName(BadRequest):
    """请给视图起一个 1 至 40 个字的名称，不要写号码。 Name the view in 1 to 40 characters, without anybody's number."""

    problem = "bad-view-name"


class PersonalView(BadRequest):
    """筛选中有姓名、号码等文字，不能存入视图，请先清空。 Names and numbers are not kept in a view: clear them first."""

    problem = "personal-view"


class TooManyViews(Conflict):
    """最多保存 50 个视图，请先删除不用的。 50 views at most: delete one first."""

    problem = "too-many-views"


class LongView(BadRequest):
    """筛选条件过长，不能存为视图，请先减少。 These filters are too long to be kept: narrow less first."""

    problem = "long-view"


REFUSALS: Mapping[str, type[HubError]] = {
    one.problem: one for one in (BadViewName, PersonalView, TooManyViews, LongView)
}


class ViewedList(msgspec.Struct, frozen=True, kw_only=True):
    """A list as far as its views go: who may read it, the names a view may keep, and those that may hold a person."""

    code: str
    rights: tuple[Right, ...]
    names: frozenset[str]
    personal: frozenset[str] = frozenset()


class SavedView(msgspec.Struct, frozen=True, kw_only=True):
    """One view as its reader sees it; ``by`` is the account that shares it, "" for one's own."""

    view_id: UUID
    page: str
    name: str
    query: dict[str, str]
    by: str
    shared: bool
    is_default: bool


def list_views(connection: Connection, actor: Actor, page: str) -> list[SavedView]:
    """One's own by name, then those that colleagues of one's role share."""
    rows = run_sql(
        connection,
        "SELECT view_id, page, name, query, login, role, is_default FROM {d}.saved_view"
        " WHERE page = :page AND organisation = :organisation AND (login = :login OR role = ANY(:roles))"
        " ORDER BY login <> :login, name, login",
        page=page, organisation=actor.organisation, login=actor.name, roles=_roles_of(connection, actor),
    )  # fmt: skip
    return [_view(actor, row) for row in rows]


def default_view(views: list[SavedView]) -> SavedView | None:
    """The one that opens first: one's own choice."""
    return next((one for one in views if one.is_default), None)


def save_view(connection: Connection, actor: Actor, listed: ViewedList, name: str, query: Mapping[str, str]) -> UUID:
    """Under a name of one's own; under one that is there already it takes its place."""
    require(actor, *listed.rights)
    called, kept = _named(name), _kept_query(listed, query)
    _refuse_too_many(connection, actor, listed.code, called)
    view_id = run_sql(
        connection,
        "INSERT INTO {d}.saved_view (view_id, login, organisation, page, name, query, created_at)"
        " VALUES (:view_id, :login, :organisation, :page, :name, :query, :now)"
        " ON CONFLICT (login, page, name) DO UPDATE SET query = excluded.query RETURNING view_id",
        view_id=new_uuid(), login=actor.name, organisation=actor.organisation, page=listed.code, name=called,
        query=kept, now=utc_now(),
    )[0][0]  # fmt: skip
    _note(connection, actor, view_id, "save-view", page=listed.code)
    return UUID(str(view_id))


def share_view(connection: Connection, actor: Actor, listed: ViewedList, view_id: UUID, *, shared: bool) -> None:
    """With one's own unit's accounts of the role that this list is read with; or with nobody any more."""
    require(actor, *listed.rights)
    _own_view(connection, actor, listed, view_id)
    role = _sharing_role(connection, actor, listed) if shared else ""
    run_sql(connection, "UPDATE {d}.saved_view SET role = :role WHERE view_id = :view_id", role=role, view_id=view_id)
    _note(connection, actor, view_id, "share-view", page=listed.code, shared=shared)


def choose_default(connection: Connection, actor: Actor, listed: ViewedList, view_id: UUID, *, chosen: bool) -> None:
    """What this account sees first when it opens the list."""
    require(actor, *listed.rights)
    _own_view(connection, actor, listed, view_id)
    run_sql(
        connection,
        "UPDATE {d}.saved_view SET is_default = (:chosen AND view_id = :view_id) WHERE login = :login AND page = :page",
        chosen=chosen, view_id=view_id, login=actor.name, page=listed.code,
    )  # fmt: skip
    _note(connection, actor, view_id, "default-view", page=listed.code, chosen=chosen)


def drop_view(connection: Connection, actor: Actor, listed: ViewedList, view_id: UUID) -> None:
    """For colleagues too, where it was shared."""
    require(actor, *listed.rights)
    _own_view(connection, actor, listed, view_id)
    run_sql(connection, "DELETE FROM {d}.saved_view WHERE view_id = :view_id", view_id=view_id)
    _note(connection, actor, view_id, "drop-view", page=listed.code)


# ---- what may be kept ----


def _named(name: str) -> str:
    called = " ".join(name.split())
    if not 1 <= len(called) <= LONGEST_NAME or not called.isprintable() or mask_within(called) != called:
        raise BadViewName(name="")
    return called


def _kept_query(listed: ViewedList, query: Mapping[str, str]) -> str:
    """Known names only, in one order; text that could be a person's is refused, whatever the filter is for."""
    known = {name: value for name, value in query.items() if name in listed.names and value}
    if any(name in listed.personal or _may_be_personal(value) for name, value in known.items()):
        raise PersonalView()
    written = urlencode(sorted(known.items()))
    if len(written) > LONGEST_QUERY:
        raise LongView()
    return written


def _may_be_personal(value: str) -> bool:
    return not _PLAIN.fullmatch(value) or bool(_ONE_PERSON.search(value)) or mask_within(value) != value


def _refuse_too_many(connection: Connection, actor: Actor, page: str, name: str) -> None:
    many = run_sql(
        connection,
        "SELECT count(*) FROM {d}.saved_view WHERE login = :login AND (page, name) <> (:page, :name)",
        login=actor.name, page=page, name=name,
    )  # fmt: skip
    if int(str(many[0][0])) >= MOST_VIEWS:
        raise TooManyViews()


# ---- whose it is ----


def _own_view(connection: Connection, actor: Actor, listed: ViewedList, view_id: UUID) -> None:
    """A view of somebody else, or of another list, is not there."""
    its = "SELECT 1 FROM {d}.saved_view WHERE view_id = :view_id AND login = :login AND page = :page FOR UPDATE"
    if not run_sql(connection, its, view_id=view_id, login=actor.name, page=listed.code):
        raise NotFound()


def _roles_of(connection: Connection, actor: Actor) -> list[str]:
    found = run_sql(connection, "SELECT roles FROM admin.account WHERE login = :login", login=actor.name)
    return list(found[0][0]) if found else []  # type: ignore[call-overload]


def _sharing_role(connection: Connection, actor: Actor, listed: ViewedList) -> str:
    """The first of one's roles that reads this list."""
    for role in _roles_of(connection, actor):
        if ROLES.get(role, frozenset()) & set(listed.rights):
            return role
    raise NotFound()


def _view(actor: Actor, row: Sequence[Any]) -> SavedView:
    view_id, page, name, query, login, role, is_default = row
    own = login == actor.name
    return SavedView(
        view_id=view_id, page=page, name=name, query=dict(parse_qsl(query)), by="" if own else login,
        shared=bool(role), is_default=own and is_default,
    )  # fmt: skip


def _note(connection: Connection, actor: Actor, view_id: object, what: str, **facts: object) -> None:
    audit.record(connection, actor, Right.SIGNED_IN, f"view/{view_id}", "done", what=what, **facts)
