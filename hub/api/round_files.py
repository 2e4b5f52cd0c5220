"""A town's change list of a month as the workbook to fill in, for the town's own system."""

from __future__ import annotations

from urllib.parse import quote

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from hub.api.files import XLSX
from hub.casework.round_papers import list_paper
from hub.database import Database
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue


class RoundFileController(Controller):
    """/v1/rounds/{month}/list.xlsx."""

    @get(
        "/rounds/{month:str}/list.xlsx",
        opt={"right": Right.READ_CHANGE_LIST},
        sync_to_thread=True,
        summary="变动清单 Excel / One's own change list as the workbook to fill in and send back",
    )
    def list_workbook(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        month: FromPath[str],
    ) -> Response[bytes]:
        with database.begin(reach_of(actor)) as connection:
            paper = list_paper(connection, settings, catalogue, actor, month)
        named = f"attachment; filename=\"list.xlsx\"; filename*=UTF-8''{quote(paper.name)}"
        return Response(paper.content, media_type=XLSX, headers={"Content-Disposition": named})
