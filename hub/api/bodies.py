"""A request's body goes to disk as it arrives, never whole into memory, and is checked against its own digest."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers.base import BaseRouteHandler

from hub.errors import BadRequest
from hub.settings import Settings

_SHA256_OF_HEADER = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):")


class DigestMismatch(BadRequest):
    """内容与 Content-Digest 不符，请重新发送。 The body does not match its Content-Digest: send it again."""

    problem = "digest-mismatch"


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """A body on disk, gone when the request is over."""

    path: Path
    sha256: str
    size: int
    media_type: str


class NotJson(BadRequest):
    """请以 Content-Type: application/json 发送。 Send it as Content-Type: application/json."""

    status, problem = 415, "not-json"


def require_json(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard of handlers with a JSON body: a form of a foreign page can send text, but not this without being asked."""
    if connection.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise NotJson()


async def arrived_body(
    request: Request[Any, Any, Any], settings: NamedDependency[Settings]
) -> AsyncGenerator[Arrived, None]:
    """Dependency: the body, in a file of the home folder so that it is on the same disk as what is kept."""
    folder = settings.files / "tmp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix="arriving-") as file:
        sha256, size = await _write_stream(request, file)
        _compare_digest(request.headers.get("content-digest", ""), sha256)
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        yield Arrived(path=Path(file.name), sha256=sha256, size=size, media_type=media_type)


async def _write_stream(request: Request[Any, Any, Any], file: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += file.write(chunk)
    file.flush()
    return digest.hexdigest(), size


def _compare_digest(header: str, sha256: str) -> None:
    """RFC 9530; other algorithms than sha-256 are left unread."""
    stated = _SHA256_OF_HEADER.search(header)
    if stated and stated.group(1) != base64.b64encode(bytes.fromhex(sha256)).decode():
        raise DigestMismatch()
