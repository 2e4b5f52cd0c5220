"""The hub as one web application: the API and the panel behind one gate."""

from __future__ import annotations

import gc
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import MutableScopeHeaders, State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from admin.errors import answer_page
from admin.routes import panel_router
from admin.static_files import static_files
from hub.api.routes import api_routers
from hub.database import Database
from hub.errors import HubError
from hub.gate import require_right
from hub.keyring import Keyring
from hub.limits import Limits
from hub.origins import refuse_wrong_host, refuse_wrong_settings
from hub.problems import answer_problem
from hub.refusals import note_refusal
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from mappings.catalogue import Catalogue

_COLLECTED_AFTER = (10_000, 20, 50)  # what a page leaves behind goes without one: it holds itself together nowhere
_FOR_PROGRAMS = ("/v1/", "/healthz", "/metrics", "/schema/")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Cache-Control": "no-store",
}


def settle() -> None:
    """Garbage collections pass over what is built once and stays, and the full ones are rare: each cost some page 0.2 s."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)


def create_app(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    keyring: Keyring,
    audit_database: Database | None = None,
) -> Litestar:
    """Everything the hub answers over HTTP. The caller owns the databases and closes them.

    ``audit_database`` is the audit role's: the serving role writes the audit and cannot read it.
    """
    parts: dict[str, object] = {
        "settings": settings,
        "database": database,
        "catalogue": catalogue,
        "keyring": keyring,
        "audit_database": audit_database,
        "limits": Limits(settings.requests_per_minute),
    }
    refuse_wrong_settings(settings)
    app = Litestar(
        route_handlers=[*api_routers(settings.max_file_bytes), panel_router(settings.max_file_bytes), static_files()],
        dependencies={
            **{name: _provide(name) for name in parts},
            "actor": Provide(_actor, sync_to_thread=False),
        },
        guards=[require_right],
        exception_handlers={Exception: _answer_error, HTTPException: _answer_error, HubError: _answer_error},
        before_send=[_add_headers],
        state=State(parts),
        openapi_config=_openapi(),
        logging_config=None,  # the process decides where its log goes, not the application
        request_max_body_size=64 * 1024,
    )
    app.asgi_handler = _behind_edge(app.asgi_handler, app.state)
    return app


def _behind_edge(inside: ASGIApp, state: State) -> ASGIApp:
    """Before any route is looked for: whom the request takes us for, and whether it is one too many."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request, limits = Request[Any, Any, Any](scope), state.limits
        try:
            refuse_wrong_host(request)
            limits.count(request)
        except HubError as refused:
            nameless = _without_host(scope)
            refusal = _answer_error(nameless, refused).to_asgi_response(None, nameless)
            await refusal(scope, receive, send)
            return
        await inside(scope, receive, send)
        limits.learn(request)

    return answer


def _without_host(scope: Scope) -> Request[Any, Any, Any]:
    """A refusal is written without the name it may be about: a broken one would break the answer too."""
    nameless = scope.copy()
    nameless["headers"] = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return Request(nameless)


def _provide(name: str) -> Provide:
    def provide(state: State) -> object:
        return state[name]

    return Provide(provide, sync_to_thread=False)


def _actor(request: Request[Actor, Any, Any]) -> Actor:
    return request.user


def _answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A problem document for programs, a page for people; a refusal is noted once it is answered."""
    wants_page = "text/html" in request.headers.get("accept", "")
    if wants_page and not request.url.path.startswith(_FOR_PROGRAMS):
        answer = answer_page(request, error)
    else:
        answer = answer_problem(request, error)
    answer.background = note_refusal(request, error)
    return answer


async def _add_headers(message: Message, scope: Scope) -> None:
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders.from_message(message)
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="区级数据交换枢纽 District exchange hub",
        version="1.0.0",
        path="/schema",
        render_plugins=[JsonRenderPlugin()],
        openapi_router=Router(path="/schema", route_handlers=[], opt={"right": Right.PUBLIC}),
    )
