"""Bulk verification: names and numbers in, one word a row out."""

from __future__ import annotations

from typing import Annotated

import msgspec
import polars as pl
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from hub.api.bodies import require_json
from hub.database import Database
from hub.people.verification import Pairs, Verified, verify
from hub.registry.permissions import Actor, Right
from hub.settings import Settings

LARGEST_BODY = 32 * 1024 * 1024  # 100,000 rows with room to spare
Text = Annotated[str, msgspec.Meta(max_length=200)]


class PostedPair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name and the identity number it is said to go with."""

    name: Text
    id_no: Text


class PostedPairs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be verified, and what for."""

    purpose: str
    rows: list[PostedPair]


class VerificationController(Controller):
    """/v1/people/verifications."""

    @post(
        "/people/verifications",
        opt={"right": Right.VERIFY_PEOPLE},
        guards=[require_json],
        status_code=200,
        sync_to_thread=True,
        summary="批量核验姓名与号码 / Verify names and numbers",
    )
    def verify_pairs(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        actor: NamedDependency[Actor],
        data: JSONBody[PostedPairs],
    ) -> Verified:
        return verify(database, settings, actor, _as_columns(data.rows), data.purpose)


def _as_columns(rows: list[PostedPair]) -> Pairs:
    names = pl.Series([row.name for row in rows], dtype=pl.String)
    return Pairs(names=names, numbers=pl.Series([row.id_no for row in rows], dtype=pl.String))
