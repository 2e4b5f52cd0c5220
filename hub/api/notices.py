"""What one's own unit was told, for its system: counts and dates, newest first; reading here ticks nothing off."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from hub.casework.notice_words import wording_of
from hub.casework.notices import READERS, Notice, list_notices
from hub.database import Database
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of

Unread = Annotated[bool, QueryParameter(description="只看未读 / those nobody has read alone")]
Before = Annotated[UUID | None, QueryParameter(description="早于这一条 / older than this one")]
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="至多多少条 / at most how many")]


class NoticeController(Controller):
    """/v1/notices."""

    @get(
        "/notices",
        opt={"right": READERS},
        sync_to_thread=True,
        summary="本单位的提醒 / What one's own unit was told",
    )
    def read(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        unread: Unread = False,
        before: Before = None,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            found = list_notices(connection, actor, unread=unread, before=before, limit=limit + 1)
        following = found[limit - 1].notice_id if len(found) > limit else None
        shown = [_described(one) for one in found[:limit]]
        return {"data": shown, "next": following, "meta": {"count": len(shown)}}


def _described(one: Notice) -> dict[str, Any]:
    words = wording_of(one.kind, one.facts)
    facts: dict[str, Any] = msgspec.to_builtins(one)
    facts.pop("read_by")
    return facts | {"text": words.text, "text_en": words.text_en}
