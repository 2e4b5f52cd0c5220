"""Pages by cursor: an opaque place to go on from, in the body as ``next`` and as a Link header."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Response

from hub.errors import BadRequest

Place = tuple[datetime, UUID]


class BadCursor(BadRequest):
    """游标无法识别，请使用上一页给出的 next。 That cursor is not one of ours: use the page's own next."""

    problem = "bad-cursor"


def write_cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        place: Place = msgspec.json.decode(content, type=Place)
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError) as wrong:
        raise BadCursor() from wrong
    return place


def answer_page(path: str, rows: Sequence[Any], following: str | None, **query: object) -> Response[dict[str, Any]]:
    """One page in the usual envelope; ``query`` is repeated in the address of the next one."""
    document = {"data": rows, "next": following, "meta": {"count": len(rows)}}
    if following is None:
        return Response(document)
    kept = {name: value for name, value in query.items() if value is not None}
    address = f"{path}?{urlencode({**kept, 'cursor': following})}"
    return Response(document, headers={"Link": f'<{address}>; rel="next"'})
