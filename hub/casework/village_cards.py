"""Cards for the visit: one a household, with what changed there, who is known to live there, and room to write.

Who lives there is what the register says of the town's or village's own area, names and relations alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text

from hub import audit
from hub.casework.item_list import ListedItem, RoundList
from hub.casework.list_lines import place_name
from hub.database import district_of
from hub.registry.areas import AreaIndex
from hub.registry.masking import mask_within
from hub.registry.permissions import Right
from hub.registry.rights import require
from hub.registry.scope import Scope
from mappings.catalogue import Catalogue


class KnownMember(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody the register has in the household."""

    name: str
    relation: str  # to its head, in words


class VisitCard(msgspec.Struct, frozen=True, kw_only=True):
    """One household to visit. Without a number it is one person's dwelling, as the record says it."""

    village: str
    household_no: str
    address: str
    members: tuple[KnownMember, ...]
    items: tuple[ListedItem, ...]


class _Household(msgspec.Struct, frozen=True):
    source: str  # organisations number households each in its own way
    number: str


def read_cards(
    connection: Connection, catalogue: Catalogue, scope: Scope, areas: AreaIndex, listed: RoundList, *, purpose: str
) -> list[VisitCard]:
    """A card a household with lines still open, by village; that the households were read is noted."""
    require(scope.actor, Right.READ_CHANGE_LIST)
    items = [item for item in listed.items if item.state == "open"]
    homes = _homes(connection, catalogue, scope, {person for item in items for person in _people(item)})
    gathered: dict[tuple[int | None, object], list[ListedItem]] = {}
    for item in items:
        home = _home_of(item, homes)
        gathered.setdefault((item.village, home or item.person_id or item.item_id), []).append(item)
    members = _members(connection, catalogue, scope, {home for _, home in gathered if isinstance(home, _Household)})
    _note(connection, scope, listed, purpose, members)
    return [
        _card(
            catalogue, areas, listed, village, home, members.get(home, []) if isinstance(home, _Household) else [], own
        )
        for (village, home), own in gathered.items()
    ]


def _people(item: ListedItem) -> list[UUID]:
    """Whose home it may be: the person's own; a child that is in no roll yet lives with its parents."""
    return [one for one in (item.person_id, *(each.person_id for each in item.involved)) if one is not None]


def _home_of(item: ListedItem, homes: Mapping[UUID, _Household]) -> _Household | None:
    return next((homes[person] for person in _people(item) if person in homes), None)


def _homes(
    connection: Connection, catalogue: Catalogue, scope: Scope, people: Iterable[UUID]
) -> dict[UUID, _Household]:
    rule = catalogue.timeline.household
    if rule is None:
        return {}
    rows = _select(
        connection,
        f"SELECT v.person_ref, v.source, v.{rule.field} AS number FROM {{d}}.rec_{rule.record_type} v"
        f" WHERE v.person_ref = ANY (:people) AND v.{rule.field} IS NOT NULL AND NOT v.voided"
        " AND v.areas && CAST(:own AS integer[]) ORDER BY v.recorded_at",
        people=list(people),
        own=list(scope.own_areas),
    )
    return {row.person_ref: _Household(row.source, row.number) for row in rows}


def _members(
    connection: Connection, catalogue: Catalogue, scope: Scope, homes: Iterable[_Household]
) -> dict[_Household, list[Row[Any]]]:
    rule, wanted = catalogue.timeline.household, list(homes)
    if rule is None or not wanted:
        return {}
    rows = _select(
        connection,
        f"SELECT v.source, v.{rule.field} AS number, v.record_id, v.name, v.relation, v.live_addr"
        f" FROM unnest(CAST(:sources AS text[]), CAST(:numbers AS text[])) h (source, number)"
        f" JOIN {{d}}.rec_{rule.record_type} v ON v.{rule.field} = h.number AND v.source = h.source"
        " WHERE NOT v.voided AND v.areas && CAST(:own AS integer[]) ORDER BY v.relation, v.record_id",
        sources=[home.source for home in wanted],
        numbers=[home.number for home in wanted],
        own=list(scope.own_areas),
    )
    found: dict[_Household, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(_Household(row.source, row.number), []).append(row)
    return found


def _card(
    catalogue: Catalogue,
    areas: AreaIndex,
    listed: RoundList,
    village: int | None,
    home: object,
    members: Sequence[Row[Any]],
    items: Sequence[ListedItem],
) -> VisitCard:
    relations = {code.value: code.title for code in catalogue.code_sets["relation"].codes}
    addresses = [*(row.live_addr for row in members), *(item.address for item in items)]
    return VisitCard(
        village=place_name(areas, listed, village),
        household_no=home.number if isinstance(home, _Household) else "",
        address=next(filter(None, addresses), ""),
        members=tuple(
            KnownMember(name=mask_within(row.name), relation=relations.get(row.relation or "", "")) for row in members
        ),
        items=tuple(items),
    )


def _note(
    connection: Connection,
    scope: Scope,
    listed: RoundList,
    purpose: str,
    members: Mapping[_Household, Sequence[Row[Any]]],
) -> None:
    shown = [row.record_id for rows in members.values() for row in rows]
    audit.record(
        connection,
        scope.actor,
        Right.READ_CHANGE_LIST,
        f"round/{listed.month}/{listed.organisation}/households",
        purpose=purpose,
        count=len(shown),
        digest=audit.digest_of(shown),
    )


def _select(connection: Connection, statement: str, **values: object) -> Sequence[Row[Any]]:
    return connection.execute(text(statement.replace("{d}", district_of(connection))), values).all()
