"""The change list for a town's own system: which months are on offer, the workbook made as it is asked for.

Nothing of it lies in a folder: what is read is the list as it stands, marked with who took it, and gone with the round.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from sqlalchemy import Connection

from hub.casework.item_list import RoundList, read_list, stamp_download
from hub.casework.list_workbook import write_list
from hub.casework.round_papers import paper_context
from hub.database import run_sql
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from mappings.catalogue import Catalogue

_PURPOSE = "monthly-check/sftp"


class DeliveredList(msgspec.Struct, frozen=True, kw_only=True):
    """One month's workbook, as it was made."""

    listed: RoundList
    content: bytes


def offered_months(connection: Connection, actor: Actor) -> list[str]:
    """The open rounds that ask the actor's own town."""
    if not actor.may(Right.READ_CHANGE_LIST):
        return []
    rows = run_sql(
        connection,
        "SELECT r.month FROM {d}.monthly_round r JOIN {d}.round_town t USING (round_id)"
        " WHERE r.state = 'open' AND t.organisation = :organisation ORDER BY r.month",
        organisation=actor.organisation,
    )
    return [str(month) for (month,) in rows]


def make_list(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, month: str
) -> DeliveredList:
    """The workbook as the list stands now; that its lines were read is noted."""
    context = paper_context(connection, settings, catalogue, actor)
    listed = read_list(connection, catalogue, context.scope, context.areas, month, purpose=_PURPOSE)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list.xlsx"
        write_list(path, catalogue, context.areas, listed, context.printing)
        return DeliveredList(listed=listed, content=path.read_bytes())


def hand_out(connection: Connection, actor: Actor, delivered: DeliveredList) -> None:
    """The town begins to read it: its first download is remembered."""
    stamp_download(connection, actor, delivered.listed)
