"""Who takes part: the organisations of the district, shared by all its doors."""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from hub import audit
from hub.errors import BadRequest, NotFound
from hub.registry.areas import AreaIndex
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.sessions import close_sessions_at
from hub.tables import organisation

OrganisationKind = Literal["department", "care", "town", "village", "bureau", "information_centre", "upper"]
AREA_KINDS = frozenset({"town", "village"})


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
    """One organisation; ``district`` is the schema it takes part in, ``area_id`` a town's or village's own area."""

    code: str
    district: str
    name: str
    kind: OrganisationKind
    name_en: str = ""
    area_id: int | None = None
    enabled: bool = True

    def area_ids(self, areas: AreaIndex) -> tuple[int, ...] | None:
        """Its own area and all below; None for an organisation of the whole district."""
        if self.kind not in AREA_KINDS:
            return None
        return areas.expand(self.area_id) if self.area_id is not None else ()


def save_organisation(connection: Connection, actor: Actor, one: Organisation) -> None:
    """Enter an organisation, or replace what is known of it. Its kind never changes: rights hang on it."""
    require(actor, Right.MANAGE_REGISTRY, Right.OPERATE)
    _refuse_wrong(connection, one)
    entered = insert(organisation).values(msgspec.structs.asdict(one))
    renewed = {name: entered.excluded[name] for name in ("name", "name_en", "area_id", "enabled")}
    connection.execute(entered.on_conflict_do_update(index_elements=["code"], set_=renewed))
    if not one.enabled:
        close_sessions_at(connection, one.code)
    audit.record(connection, actor, Right.MANAGE_REGISTRY, f"organisation/{one.code}", kind=one.kind)


def _refuse_wrong(connection: Connection, one: Organisation) -> None:
    if not one.code or not one.name.strip():
        raise BadRequest("单位代码和名称必填。 An organisation has a code and a name.")
    if (one.area_id is None) == (one.kind in AREA_KINDS):
        raise BadRequest("镇街、村居须指明区划，其他单位不指明。 Towns and villages have an area, others have none.")
    known = find_organisation(connection, one.code)
    if known and (known.kind, known.district) != (one.kind, one.district):
        raise BadRequest(f"{one.code} 的类别和所属区县不可更改。 Its kind and district cannot change.")


def set_enabled(connection: Connection, actor: Actor, code: str, enabled: bool) -> None:
    """Let an organisation take part, or not: its accounts, keys and subscriptions stop at once."""
    require(actor, Right.MANAGE_REGISTRY, Right.OPERATE)
    load_organisation(connection, code)
    connection.execute(update(organisation).where(organisation.c.code == code).values(enabled=enabled))
    if not enabled:
        close_sessions_at(connection, code)
    audit.record(connection, actor, Right.MANAGE_REGISTRY, f"organisation/{code}", enabled=enabled)


_OF_CODE = select(organisation).where(organisation.c.code == bindparam("sought"))  # written once: every page asks it


def find_organisation(connection: Connection, code: str) -> Organisation | None:
    """The organisation of this code, if there is one."""
    row = connection.execute(_OF_CODE, {"sought": code}).one_or_none()
    return msgspec.convert(row, Organisation, from_attributes=True) if row else None


def load_organisation(connection: Connection, code: str) -> Organisation:
    """The organisation of this code; NotFound if there is none."""
    found = find_organisation(connection, code)
    if found is None:
        raise NotFound(f"没有单位 {code}。 No organisation {code}.", organisation=code)
    return found


def list_organisations(connection: Connection, district: str) -> list[Organisation]:
    """Every organisation of the district, by kind and code."""
    query = select(organisation).where(organisation.c.district == district)
    rows = connection.execute(query.order_by(organisation.c.kind, organisation.c.code))
    return [msgspec.convert(row, Organisation, from_attributes=True) for row in rows]
