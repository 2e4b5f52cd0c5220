"""Two persons who may be one, for whoever judges them: the list, and the two side by side with what speaks for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, exists, func, select, true

from hub import audit
from hub.errors import NotFound
from hub.people.matching import Explained, explain
from hub.people.purposes import checked_purpose, oversees
from hub.registry.list_order import Order, behind, place_of_row
from hub.registry.masking import View, mask_field
from hub.registry.organisations import AREA_KINDS
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import open_persons
from hub.tables import person_decision, person_pair, person_profile
from mappings.catalogue import Catalogue
from mappings.catalogue import Field as CatalogueField

SHOWN = ("name", "id_no", "sex", "birth_date", "household_no", "live_div", "live_addr", "hukou_div", "phone", "died_on")


class ListedPair(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list: nobody is named in it."""

    first: UUID
    second: UUID
    score: float
    organisation: str
    found_at: datetime
    reasons: list[Explained]


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute of both, masked; ``same`` compares what lies under the masks."""

    title: str
    title_en: str
    first: str
    second: str
    same: bool


class ReadPair(msgspec.Struct, frozen=True, kw_only=True):
    """The two side by side."""

    first: UUID
    second: UUID
    score: float
    state: str
    facts: list[Fact]
    reasons: list[Explained]
    numbered: tuple[bool, bool]  # which of them has a number


_ITS = person_pair.c
PAIR_ORDERS: dict[str, Order] = {
    "score": (_ITS.score, _ITS.first_id),
    "found_at": (_ITS.found_at, _ITS.first_id),
    "organisation": (_ITS.organisation, _ITS.score, _ITS.first_id),
}


def list_pairs(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    limit: int = 100,
    *,
    sort: str = "-score",
    after: tuple[UUID, UUID] | None = None,
) -> list[ListedPair]:
    """Open pairs one may judge, the likeliest first unless another of PAIR_ORDERS is asked for; behind the pair ``after``.

    A town has its own, the bureau all.
    """
    require(actor, Right.JUDGE_PERSON, Right.OPERATE)
    place = place_of_row(find_pair(connection, actor, *after), PAIR_ORDERS, sort, _ITS.second_id) if after else None
    asked = behind(_open_pairs(actor), PAIR_ORDERS, sort, _ITS.second_id, place).limit(limit)
    rows = connection.execute(asked).all()
    audit.record(connection, actor, Right.JUDGE_PERSON, "pairs", what="list", pairs=len(rows))
    return [
        ListedPair(
            first=row.first_id, second=row.second_id, score=row.score, organisation=row.organisation,
            found_at=row.found_at, reasons=explain(row.features, catalogue.matching),
        )
        for row in rows
    ]  # fmt: skip


def count_pairs(connection: Connection, actor: Actor, limit: int = 100) -> tuple[int, datetime | None]:
    """How many are open, up to ``limit``, and since when the oldest of them is; nobody is named."""
    require(actor, Right.JUDGE_PERSON, Right.OPERATE)
    its = _open_pairs(actor).limit(limit).subquery().c
    many, oldest = connection.execute(select(func.count(), func.min(its.found_at))).one()
    return many, oldest


def _open_pairs(actor: Actor) -> Select[Any]:
    return select(person_pair).where(person_pair.c.state == "open", mine(actor), ~under_way())


def mine(actor: Actor) -> ColumnElement[bool]:
    """The pairs an actor may judge."""
    return true() if oversees(actor) else person_pair.c.organisation == actor.organisation


def under_way() -> ColumnElement[bool]:
    """Somebody has said it, and it is being carried out; refused there, the pair is asked about again."""
    its = person_decision.c
    return exists().where(its.decision_id == person_pair.c.decision_id, its.state == "asked")


def read_pair(
    connection: Connection, actor: Actor, catalogue: Catalogue, first: UUID, second: UUID, reason: str
) -> ReadPair:
    """Both, masked as the actor may read them; who read it and why is noted. NotFound for a pair of another town."""
    require(actor, Right.JUDGE_PERSON, Right.OPERATE)
    purpose = checked_purpose(actor, "verify", reason)
    pair = find_pair(connection, actor, first, second)
    audit.record(
        connection,
        actor,
        Right.JUDGE_PERSON,
        f"pair/{first}/{second}",
        what="read",
        purpose=purpose.code,
        reason=purpose.text,
    )
    if oversees(actor):
        open_persons(connection, [first, second])
    profiles = {
        row.person_id: row
        for row in connection.execute(select(person_profile).where(person_profile.c.person_id.in_([first, second])))
    }
    both = profiles.get(first), profiles.get(second)
    return ReadPair(
        first=first, second=second, score=pair.score, state=pair.state,
        facts=_facts(catalogue, _view_of(actor), both), reasons=explain(pair.features, catalogue.matching),
        numbered=(bool(both[0] and both[0].id_no), bool(both[1] and both[1].id_no)),
    )  # fmt: skip


def find_pair(
    connection: Connection, actor: Actor, first: UUID, second: UUID, *, lock: bool = False
) -> Row[tuple[object, ...]]:
    its = person_pair.c
    asked = select(person_pair).where(its.first_id == first, its.second_id == second, mine(actor))
    row = connection.execute(asked.with_for_update() if lock else asked).one_or_none()
    if row is None:
        raise NotFound()
    return row


def _facts(catalogue: Catalogue, view: View, both: tuple[Row[tuple[object, ...]] | None, ...]) -> list[Fact]:
    facts = []
    for name in SHOWN:
        attribute = catalogue.attributes.get(name)
        values = [_value(one, name) for one in both]
        if attribute is None or not any(values):
            continue
        field = CatalogueField(
            name=name, title=attribute.title, type=attribute.type, sensitivity=attribute.sensitivity,  # type: ignore[arg-type]
        )  # fmt: skip
        shown = [mask_field(value, field, view) for value in values]
        facts.append(
            Fact(
                title=attribute.title, title_en=attribute.title_en, first=shown[0], second=shown[1],
                same=values[0] == values[1],
            )
        )  # fmt: skip
    return facts


def _value(profile: Row[tuple[object, ...]] | None, name: str) -> str:
    known = cast(dict[str, list[object]], profile.attributes).get(name) if profile is not None else None
    return str(known[0]) if known and known[0] is not None else ""


def _view_of(actor: Actor) -> View:
    if oversees(actor):
        return "oversight"
    return "town" if actor.kind in AREA_KINDS else "own"
