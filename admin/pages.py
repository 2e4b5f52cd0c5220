"""A page is a template filled in for one visit: its language, its session's token, its navigation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.response import Redirect

from admin.assets import vendor_paths
from admin.handbooks import help_path
from admin.language import Language, titled, translator
from admin.navigation import bar_for
from admin.visits import Visit, session_cookie
from admin.words import KINDS, LEVELS, STATES
from hub.database import utc_now
from hub.registry.masking import mask_identifier, mask_within
from hub.settings import Settings

TEMPLATES = Path(__file__).parent / "templates"
_GRACE_SECONDS = 5
_ZONE = ZoneInfo("Asia/Shanghai")


def show(request: Request[Any, Visit, Any], template: str, *, status: int = 200, **values: object) -> Response[str]:
    """Fill in a template for this visit."""
    visit, actor = request.auth, request.user
    bar = bar_for(actor, request.url.path) if actor else []
    common = {"visit": visit, "actor": actor, "bar": bar, "here": _here(request)}
    common["help"] = help_path(request.url.path, actor)
    text = environment(visit.language).get_template(template).render(**common, **values)
    cookies = [session_cookie(visit.value)] if visit.is_new else []
    headers = _leave_when_idle(request) if actor else {}
    return Response(text, media_type=MediaType.HTML, status_code=status, cookies=cookies, headers=headers)


def _leave_when_idle(request: Request[Any, Visit, Any]) -> dict[str, str]:
    """A page left open does not outlive its session on the screen; without scripts, by the browser itself.

    Where the session was kept alive elsewhere, the sign-in page leads straight back.
    """
    settings: Settings = request.app.state.settings
    session = request.auth.session
    idle = int((utc_now() - session.last_seen_at).total_seconds()) if session else 0
    seconds = max(settings.accounts.idle_minutes * 60 - idle, 0) + _GRACE_SECONDS
    back = quote(_here(request), safe="/") if request.method == "GET" else "/"
    return {"Refresh": f"{seconds}; url=/sign-in?next={back}&idle=true"}


def go(request: Request[Any, Visit, Any], path: str) -> Response[Any]:
    """On to another page, after something was done (303: the browser GETs it)."""
    if request.headers.get("hx-request"):
        return Response(None, status_code=204, headers={"HX-Redirect": path})
    return Redirect(path, status_code=303)


@cache
def environment(language: Language) -> Environment:
    """Jinja for one language: everything escaped, nothing undefined."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    translate = translator(language)
    made.install_gettext_callables(translate, lambda one, many, count: translate(one), newstyle=True)  # type: ignore[attr-defined]
    made.filters.update(_filters(language))
    made.globals.update(assets=vendor_paths(), language=language)
    return made


def _filters(language: Language) -> dict[str, Any]:
    translate = translator(language)
    return {
        "moment": _moment,
        "month": lambda value: _month(value, language),
        "count": lambda value: f"{value:,}",
        "title": lambda one: titled(one.title, one.title_en, language),
        "organisation": lambda one: titled(one.name, one.name_en, language),
        "state": lambda value: translate(STATES[value]),
        "kind": lambda value: translate(KINDS[value]),
        "level": lambda value: translate(LEVELS[value]),
        "translate": translate,
        "mask_identifier": mask_identifier,
        "mask_within": mask_within,
        "size": _size,
        "query": _query,
    }


def _moment(value: datetime | None) -> str:
    """An instant, on the district's clock."""
    return value.astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S") if value else ""


def _month(value: str | None, language: Language) -> str:
    if not value:
        return "—"
    year, month = value.split("-")
    return f"{year}-{month}" if language == "en" else f"{year}年{int(month)}月"


def _size(value: int) -> str:
    return f"{value / 1024:,.1f} KB" if value < 1024 * 1024 else f"{value / 1024 / 1024:,.1f} MB"


def _query(values: Mapping[str, object]) -> str:
    return urlencode({name: value for name, value in values.items() if value})


def _here(request: Request[Any, Visit, Any]) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
