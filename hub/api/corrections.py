"""Corrections for a unit's own system: those it has to acknowledge, those of its own records and who has them."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from hub.api.paging import answer_page
from hub.database import Database
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.sharing.corrections_reading import ShownCorrection, Side, read_correction, read_corrections
from mappings.catalogue import Catalogue

_RIGHT = {"right": Right.READ_SHARING}
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="至多多少条 / at most how many")]
Before = Annotated[
    int | None, QueryParameter(name="cursor", ge=1, description="上一页给出的 next / the page's own next")
]


class CorrectionController(Controller):
    """/v1/corrections."""

    @get(
        "/corrections", opt=_RIGHT, sync_to_thread=True, summary="更正与存疑 / Corrections and who has to know of them"
    )
    def read_all(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        side: FromQuery[Side] = "",
        everything: FromQuery[bool] = False,
        before: Before = None,
        limit: Limit = 50,
    ) -> Response[dict[str, Any]]:
        with database.begin(reach_of(actor)) as connection:
            found = read_corrections(
                connection, actor, catalogue, purpose="corrections/api", side=side, before=before, everything=everything,
                most=limit,
            )  # fmt: skip
        kept = {"side": side or None, "everything": everything or None, "limit": limit}
        return answer_page("/v1/corrections", found.lines, str(found.before) if found.before else None, **kept)

    @get(
        "/corrections/{seq:int}", opt=_RIGHT, sync_to_thread=True, summary="一项更正 / One correction and its receivers"
    )
    def read_one(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        seq: FromPath[int],
    ) -> ShownCorrection:
        with database.begin(reach_of(actor)) as connection:
            return read_correction(connection, actor, catalogue, seq, purpose="correction/api")
