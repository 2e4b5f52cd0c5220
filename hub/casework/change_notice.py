"""The 变动通知单: what a village is asked about one person, with a 回执联 to tear off and send back."""

from __future__ import annotations

from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.casework.item_list import ListedItem, read_lines_with
from hub.casework.list_lines import place_name
from hub.registry.areas import AreaIndex
from hub.registry.scope import Scope
from mappings.catalogue import Catalogue


class ChangeNotice(msgspec.Struct, frozen=True, kw_only=True):
    """One slip: its number, which village it goes to, the person and every line about them in this round."""

    number: str
    month: str
    organisation: str  # the town's
    village: str
    item: ListedItem  # whose slip it is
    items: tuple[ListedItem, ...]


def read_notice(
    connection: Connection,
    catalogue: Catalogue,
    scope: Scope,
    areas: AreaIndex,
    month: str,
    item_id: UUID,
    *,
    purpose: str,
) -> ChangeNotice:
    """The slip of one line; NotFound if it is not of the scope's own area. The reading is noted."""
    listed = read_lines_with(connection, catalogue, scope, areas, month, item_id, purpose=purpose)
    item = next(one for one in listed.items if one.item_id == item_id)
    return ChangeNotice(
        number=f"{month.replace('-', '')}-{listed.organisation}-{item.number:04d}",
        month=month,
        organisation=listed.organisation,
        village=place_name(areas, listed, item.village),
        item=item,
        items=listed.items,
    )
