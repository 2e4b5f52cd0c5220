"""Help: the handbooks, open to everybody, also before they have signed in."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, get
from litestar.params import FromPath
from litestar.response import File

from admin.handbooks import HANDBOOKS, PLACE, handbook_of, read_handbook
from admin.pages import go, show
from admin.visits import Visit
from hub.errors import NotFound
from hub.registry.permissions import Actor, Right

Visiting = Request[Actor | None, Visit, Any]


class HelpController(Controller):
    """/help: there is nothing of anybody in it."""

    path = "/help"
    opt = {"right": Right.PUBLIC}  # noqa: RUF012 -- Litestar reads it from the class

    @get("/", sync_to_thread=True)
    def begin(self, request: Visiting) -> Response[Any]:
        return go(request, f"/help/{handbook_of(request.user)}")

    @get("/{code:str}", sync_to_thread=True)
    def read(self, request: Visiting, code: FromPath[str]) -> Response[Any]:
        return show(request, "help.html", handbook=read_handbook(code), handbooks=HANDBOOKS)

    @get("/pictures/{file:str}", sync_to_thread=True)
    def picture(self, file: FromPath[str]) -> File:
        known = {one.name: one for one in (PLACE / "pictures").glob("*.png")}
        if file not in known:
            raise NotFound(file)
        return File(known[file], media_type="image/png", content_disposition_type="inline")
