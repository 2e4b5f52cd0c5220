"""A small fictitious district for tests of the registry: four areas, its organisations, their actors."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection

from hub.registry.areas import AreaRow, import_areas
from hub.registry.organisations import Organisation, OrganisationKind, save_organisation
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor

FOUNDED = date(2020, 1, 1)
AREAS = (
    AreaRow("999001000000", "云岭区", "district"),
    AreaRow("999001001000", "清溪街道", "town", "999001000000"),
    AreaRow("999001001001", "光明社区", "village", "999001001000"),
    AreaRow("999001100000", "白鹭镇", "town", "999001000000"),
)
DISTRICT, QINGXI, GUANGMING, BAILU = range(1, 5)
QINGXI_OFFICE = "999001001"
KINDS: dict[str, OrganisationKind] = {
    "public_security": "department",
    "labour": "department",
    "commerce": "department",
    "health": "department",
    "mch_station": "care",
    "bureau": "bureau",
    "information_centre": "information_centre",
}


def found(connection: Connection) -> None:
    """The areas and the organisations, one town office among them."""
    import_areas(connection, SYSTEM_ACTOR, AREAS, FOUNDED)
    for code, kind in KINDS.items():
        enter(connection, code, kind)
    enter(connection, QINGXI_OFFICE, "town", QINGXI)


def enter(connection: Connection, code: str, kind: OrganisationKind, area_id: int | None = None) -> None:
    one = Organisation(code=code, district="d999001", name=f"单位{code}", kind=kind, area_id=area_id)
    save_organisation(connection, SYSTEM_ACTOR, one)


def actor(organisation: str = "public_security", role: str = "integrator", **facts: object) -> Actor:
    kind = KINDS.get(organisation, "town")
    named = {"name": "someone", "organisation": organisation, "kind": kind, "door": "api", "rights": ROLES[role]}
    return Actor(**(named | facts))  # type: ignore[arg-type]
