"""The month's account for a unit's own system: a town its own lines, the bureau all. Counts, nobody's name."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from hub.casework.balance_reading import read_account
from hub.database import Database
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of


class BalanceController(Controller):
    """/v1/balance/{month}."""

    @get(
        "/balance/{month:str}",
        opt={"right": (Right.READ_ROUND, Right.READ_CHANGE_LIST)},
        sync_to_thread=True,
        summary="一个月的人口变动平衡表 / The account of a statistical month, as far as the caller may see it",
    )
    def read_balance(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        month: FromPath[str],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            account = read_account(connection, actor, load_area_index(connection), month)
        told: dict[str, Any] = msgspec.to_builtins(account)
        for line, counted in zip(told["lines"], account.lines, strict=True):
            line["missing"] = counted.missing
        return {**told, "data": told.pop("lines"), "meta": {"count": len(account.lines)}}
