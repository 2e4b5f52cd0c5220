"""What each role may do, and where it may be held: for everybody to read."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get

from admin.access_words import KINDS, RIGHTS
from admin.desk_forms import Asking
from admin.pages import show
from admin.words import ROLES
from hub.registry.accounts import ROLE_KINDS
from hub.registry.permissions import ROLES as RIGHTS_OF
from hub.registry.permissions import Right


class RolesController(Controller):
    """/roles"""

    @get("/roles", opt={"right": Right.SIGNED_IN}, sync_to_thread=True)
    def read(self, request: Asking) -> Response[Any]:
        return show(
            request,
            "roles.html",
            roles=ROLES,
            rights=RIGHTS,
            kinds=KINDS,
            rights_of=RIGHTS_OF,
            kinds_of=ROLE_KINDS,
        )
