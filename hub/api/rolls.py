"""A town's roll for its own system: send it, read what differs, decide, take the differences away."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Controller, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import File

from hub.api.bodies import Arrived, arrived_body, require_json
from hub.casework.roll_items import Chosen
from hub.database import Database, new_uuid
from hub.decisions.roll_deciding import Decided, Judgement, decide
from hub.decisions.roll_export import export_differences, shown_items
from hub.decisions.rolls import RollCheck, compare_roll, list_rolls, upload_roll
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_READ, _WORK = {"right": Right.READ_CHANGE_LIST}, {"right": Right.SUBMIT}
_ONE = "/rolls/{roll_id:uuid}"
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="至多多少条 / at most how many")]
After = Annotated[int, QueryParameter(ge=0, description="从这个序号之后 / lines after this number")]
OfState = Annotated[str, QueryParameter(name="state", description="open decided")]
FileName = Annotated[str, QueryParameter(name="file_name", max_length=200)]


class PostedJudgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines (``items``, or all open ones of a kind, village or field), and who is right."""

    decision: Literal["roll", "register", "ask"]
    items: list[int] | None = None
    kind: str = ""
    village: int | None = None
    field: str = ""
    left_as: str = ""
    reason: str = ""
    sure: bool = False


class RollController(Controller):
    """/v1/rolls."""

    @post(
        "/rolls",
        opt=_WORK,
        dependencies={"arrived": Provide(arrived_body)},
        status_code=201,
        sync_to_thread=True,
        summary="上传名册并比对 / Send a roll and compare it",
    )
    def send(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        arrived: NamedDependency[Arrived],
        file_name: FileName = "roll",
        village: FromQuery[str] = "",
        nobody: FromQuery[bool] = False,
    ) -> RollCheck:
        with arrived.path.open("rb") as stream:
            return upload_roll(
                database, settings, catalogue, actor, stream, file_name, village, sure_nobody=nobody
            )  # fmt: skip

    @get("/rolls", opt=_READ, sync_to_thread=True, summary="各份名册 / The unit's rolls")
    def read_all(self, database: NamedDependency[Database], actor: NamedDependency[Actor]) -> list[RollCheck]:
        with database.begin(reach_of(actor)) as connection:
            return list_rolls(connection, actor)

    @get(_ONE, opt=_READ, sync_to_thread=True, summary="一份名册的差异 / What differs, line by line, masked")
    def read_one(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        roll_id: FromPath[UUID],
        kind: FromQuery[str] = "",
        village: FromQuery[int | None] = None,
        field: FromQuery[str] = "",
        item_state: OfState = "",
        after: After = 0,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        chosen = Chosen(kind=kind, village=village, field=field, state=item_state)
        check, items = shown_items(database, catalogue, actor, roll_id, chosen, after, limit)
        following = items[-1].item_no if len(items) == limit else None
        return {"roll": msgspec.to_builtins(check), "items": msgspec.to_builtins(items), "after": following}

    @post(f"{_ONE}/compare", opt=_WORK, status_code=200, sync_to_thread=True, summary="再次比对 / Compare it again")
    def compare(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        roll_id: FromPath[UUID],
        nobody: FromQuery[bool] = False,
    ) -> RollCheck:
        return compare_roll(database, settings, catalogue, actor, roll_id, sure_nobody=nobody)

    @post(
        f"{_ONE}/decide",
        opt=_WORK,
        guards=[require_json],
        status_code=200,
        sync_to_thread=True,
        summary="核定差异 / Decide lines; what the roll is right about is sent",
    )
    def judge(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        roll_id: FromPath[UUID],
        data: JSONBody[PostedJudgement],
    ) -> Decided:
        items = None if data.items is None else tuple(data.items)
        chosen = Chosen(kind=data.kind, village=data.village, field=data.field, items=items)
        judgement = Judgement(decision=data.decision, reason=data.reason, left_as=data.left_as, sure=data.sure)
        return decide(database, settings, catalogue, actor, roll_id, chosen, judgement)

    @get(f"{_ONE}/differences", opt=_READ, sync_to_thread=True, summary="差异清单 / The differences as a workbook")
    def take(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        roll_id: FromPath[UUID],
    ) -> File:
        path = settings.files / "tmp" / f"roll-{new_uuid()}"
        name = export_differences(database, settings, catalogue, actor, roll_id, path)
        return File(path, filename=name, media_type=_XLSX, background=BackgroundTask(path.unlink, missing_ok=True))
