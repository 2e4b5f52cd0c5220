"""The data catalogue for systems: what may be asked for, from whom, how it is shared; every published version; exports."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from hub.api.files import XLSX
from hub.database import Database, utc_now
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.sharing.entries import list_entries, list_versions, read_entry
from hub.sharing.entry_export import as_json, as_workbook, described

_RIGHT = {"right": Right.READ_REGISTRY}
_ONE = "/catalogue/{record_type:str}"


class DataCatalogueController(Controller):
    """/v1/catalogue."""

    @get("/catalogue", opt=_RIGHT, sync_to_thread=True, summary="数据目录 / Every published entry")
    def read_all(self, database: NamedDependency[Database], actor: NamedDependency[Actor]) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            found = list_entries(connection, actor)
        return {"data": [described(one) for one in found], "next": None, "meta": {"count": len(found)}}

    @get(
        "/catalogue/export.xlsx",
        opt=_RIGHT,
        sync_to_thread=True,
        summary="数据目录工作簿 / The catalogue as a workbook",
    )
    def workbook(self, database: NamedDependency[Database], actor: NamedDependency[Actor]) -> Response[bytes]:
        with database.begin(reach_of(actor)) as connection:
            written = as_workbook(list_entries(connection, actor), utc_now())
        return Response(written, media_type=XLSX, headers=_attached("xlsx"))

    @get("/catalogue/export.json", opt=_RIGHT, sync_to_thread=True, summary="数据目录 JSON / The catalogue as JSON")
    def plain(self, database: NamedDependency[Database], actor: NamedDependency[Actor]) -> Response[bytes]:
        with database.begin(reach_of(actor)) as connection:
            written = as_json(list_entries(connection, actor))
        return Response(written, media_type="application/json", headers=_attached("json"))

    @get(_ONE, opt=_RIGHT, sync_to_thread=True, summary="一个目录条目 / One entry")
    def read_one(
        self, database: NamedDependency[Database], actor: NamedDependency[Actor], record_type: FromPath[str]
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            return described(read_entry(connection, actor, record_type))

    @get(f"{_ONE}/versions", opt=_RIGHT, sync_to_thread=True, summary="历次版本 / Its versions, newest first")
    def versions(
        self, database: NamedDependency[Database], actor: NamedDependency[Actor], record_type: FromPath[str]
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            found = list_versions(connection, actor, record_type)
        return {"data": msgspec.to_builtins(found), "next": None, "meta": {"count": len(found)}}


def _attached(ending: str) -> dict[str, str]:
    """Saved under its own name."""
    return {"Content-Disposition": f'attachment; filename="data-catalogue.{ending}"'}
