"""Saving a list's look under a name, and what is done with it; how close together the rows of every list stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from sqlalchemy import Connection

from admin.desk_forms import FORM, Form
from admin.lists.answering import DENSITY_COOKIE, UNSAVED_COOKIE, Asking
from admin.lists.asked import Asked, fresh, kept_of
from admin.lists.declared import ListPage
from admin.lists.every import EVERY
from admin.pages import go
from admin.sign_in import own_path
from hub.database import Database
from hub.desks.saved_views import ViewedList, choose_default, drop_view, save_view, share_view
from hub.errors import BadRequest, Conflict, HubError, NotFound
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of

_OWN = {"right": Right.SIGNED_IN}
_KEPT = "q-"
_A_YEAR = 365 * 24 * 3600
_A_MOMENT = 60
_LONGEST_TYPED = 200
Act = Callable[[Connection, Actor, ViewedList, UUID], None]
_ACTS: dict[str, Act] = {
    "share": lambda connection, actor, its, one: share_view(connection, actor, its, one, shared=True),
    "keep": lambda connection, actor, its, one: share_view(connection, actor, its, one, shared=False),
    "first": lambda connection, actor, its, one: choose_default(connection, actor, its, one, chosen=True),
    "not-first": lambda connection, actor, its, one: choose_default(connection, actor, its, one, chosen=False),
    "drop": drop_view,
}


class ViewsController(Controller):
    """/views and /density."""

    @post("/views/{page:str}", opt=_OWN, dependencies=FORM, status_code=200, sync_to_thread=True)
    def save(
        self, request: Asking, database: NamedDependency[Database], form: Form, page: FromPath[str]
    ) -> Response[Any]:
        its, asked = _page(page), _sent(_page(page), form)
        try:
            with database.begin(reach_of(request.user)) as connection:
                save_view(connection, request.user, its.viewed, form.get("name", ""), asked.query())
        except (BadRequest, Conflict) as refused:
            return _not_saved(request, asked, refused, form.get("name", ""))
        return go(request, asked.link())

    @post("/views/{page:str}/{view_id:uuid}", opt=_OWN, dependencies=FORM, status_code=200, sync_to_thread=True)
    def work(
        self,
        request: Asking,
        database: NamedDependency[Database],
        form: Form,
        page: FromPath[str],
        view_id: FromPath[UUID],
    ) -> Response[Any]:
        its, act = _page(page), _ACTS.get(form.get("act", ""))
        if act is None:
            raise NotFound()
        with database.begin(reach_of(request.user)) as connection:
            act(connection, request.user, its.viewed, view_id)
        return go(request, fresh(its).link())

    @get("/density/{density:str}", opt=_OWN, sync_to_thread=False)
    def space(self, density: FromPath[str], back: FromQuery[str] = "/") -> Response[Any]:
        if density not in ("compact", "roomy"):
            raise NotFound()
        answer = Redirect(own_path(back), status_code=303)
        answer.set_cookie(_cookie(DENSITY_COOKIE, density, _A_YEAR))
        return answer


def _not_saved(request: Asking, asked: Asked, refused: HubError, name: str) -> Response[Any]:
    """Back to the list as it was, which says why at the form; what was typed goes along beside the address, not in it."""
    answer = go(request, f"{asked.link()}&unsaved={refused.problem}")
    typed = "".join(each for each in name.strip()[:_LONGEST_TYPED] if each.isprintable())
    answer.set_cookie(_cookie(UNSAVED_COOKIE, quote(typed), _A_MOMENT))
    return answer


def _cookie(key: str, value: str, seconds: int) -> Cookie:
    return Cookie(key=key, value=value, path="/", secure=True, httponly=True, samesite="strict", max_age=seconds)


def _page(code: str) -> ListPage:
    page = EVERY.get(code)
    if page is None or not page.keeps_views:
        raise NotFound()
    return page


def _sent(page: ListPage, form: dict[str, str]) -> Asked:
    """The look that was sent along, read as an address is."""
    return kept_of(page, {name.removeprefix(_KEPT): value for name, value in form.items() if name.startswith(_KEPT)})
