"""查找: a word, a number or a page's initials lead to its page; names and numbers of persons are looked for elsewhere."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from admin.desk_forms import Asking
from admin.language import N_, translator
from admin.navigation import pages_of
from admin.pages import go, show
from hub.database import Database, utc_now
from hub.desks.finding import A_GROUP, Group, Hit, find, names_a_person, only_hit, tidy
from hub.desks.initials import initials
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

FOUND_KINDS = {
    "page": N_("页面"),
    "receipt": N_("报送与回执"),
    "month": N_("月份"),
    "record_type": N_("信息类别"),
    "organisation": N_("单位"),
    "area": N_("区划"),
    "subscription": N_("数据订阅"),
    "request": N_("订阅申请"),
    "certificate": N_("完整性证明"),
    "account": N_("账号"),
    "key": N_("系统密钥"),
}
FOUND_ACTS = {
    "sent": N_("报送记录"),
    "upload": N_("上传报送"),
    "entry": N_("数据目录"),
    "month": N_("本月报送"),
    "board": N_("月度总览"),
    "round": N_("月度核对"),
}
_ABOUT_A_PERSON = "/search?person=true"


class SearchController(Controller):
    """GET /search."""

    @get("/search", opt={"right": Right.SIGNED_IN}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        q: FromQuery[str] = "",
        person: FromQuery[bool] = False,
    ) -> Response[Any]:
        typed = tidy(q)
        if names_a_person(typed):
            return go(request, _ABOUT_A_PERSON)
        with database.begin(reach_of(request.user)) as connection:
            found = find(connection, settings, catalogue, request.user, typed, utc_now())
        meant = only_hit(found)
        if meant is not None:
            return go(request, meant.path)
        page: dict[str, Any] = {"typed": typed, "person": person, "groups": [*_pages(request.user, typed), *found]}
        page |= {"may_find_people": request.user.may(Right.READ_PERSON), "a_group": A_GROUP}
        return show(request, "search.html", kinds=FOUND_KINDS, acts=FOUND_ACTS, **page)


def _pages(actor: Actor, typed: str) -> list[Group]:
    """Pages of one's own by their title in either language, or by its initials."""
    wanted, english = typed.casefold(), translator("en")
    titles = [(page, page.title, english(page.title)) for page in pages_of(actor)] if wanted else []
    hits = tuple(
        Hit(kind="page", title=title, title_en=title_en, path=page.path)
        for page, title, title_en in titles
        if wanted in title or wanted in title_en.casefold() or initials(title).startswith(wanted)
    )
    return [Group(kind="page", hits=hits[:A_GROUP])] if hits else []
