"""Styles, scripts and pictures, packed once, and how long a browser may keep them.

What bears its version in its address never changes: kept for a year. Our own are asked about at each page, and where
nothing has changed the answer is empty.
"""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from admin.assets import STATIC, VENDOR
from admin.packing import pack_file, takes_gzip
from hub.errors import NotFound
from hub.registry.permissions import Right

_FOR_EVER, _ASK_AGAIN = "public, max-age=31536000, immutable", "public, no-cache"
_READING = ("GET", "HEAD")


class StaticFile(msgspec.Struct, frozen=True):
    """One file as it is sent."""

    plain: bytes
    packed: bytes
    media_type: str
    mark: str  # ETag
    keep: str  # Cache-Control


def static_files() -> ASGIRouteHandler:
    return asgi("/static", is_mount=True, opt={"right": Right.PUBLIC}, copy_scope=True)(_send_file)


async def _send_file(scope: Scope, receive: Receive, send: Send) -> None:
    name = scope["path"].strip("/")
    if scope["method"] not in _READING or name not in _names():  # type: ignore[typeddict-item]
        raise NotFound(name)
    request = Request[Any, Any, Any](scope)
    answer = _answer(request, _read_file(name, (STATIC / name).stat().st_mtime_ns))
    await answer.to_asgi_response(None, request, is_head_response=request.method == "HEAD")(scope, receive, send)


def _answer(request: Request[Any, Any, Any], file: StaticFile) -> Response[bytes]:
    headers = {"ETag": file.mark, "Cache-Control": file.keep, "Vary": "Accept-Encoding"}
    if file.mark in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    if takes_gzip(request.headers):
        headers["Content-Encoding"] = "gzip"
        return Response(file.packed, media_type=file.media_type, headers=headers)
    return Response(file.plain, media_type=file.media_type, headers=headers)


@cache
def _names() -> frozenset[str]:
    """Whatever is asked for by another name is not there: no path is ever put together from a request."""
    return frozenset(one.relative_to(STATIC).as_posix() for one in STATIC.rglob("*") if one.is_file())


@cache
def _read_file(name: str, changed: int) -> StaticFile:
    """``changed``: when it was last written; an edited file is read again."""
    path = STATIC / name
    content = path.read_bytes()
    mark = f'W/"{hashlib.sha256(content).hexdigest()[:20]}"'
    keep = _FOR_EVER if path.is_relative_to(VENDOR) else _ASK_AGAIN
    return StaticFile(content, pack_file(content), _media_type(path), mark, keep)


def _media_type(path: Path) -> str:
    found = mimetypes.guess_type(path.name)[0] or "text/plain"
    return f"{found}; charset=utf-8" if found.startswith("text/") or found.endswith("javascript") else found
