"""How the declared channels stand, for a page: what the serving role may read of them, and no address, key or cursor."""

from __future__ import annotations

from sqlalchemy import Connection

from hub.channels.declarations import load_channels
from hub.channels.loop import Shown, as_shown
from hub.channels.state import State
from hub.database import run_sql
from hub.settings import Settings
from mappings.catalogue import Catalogue

_COLUMNS = (
    "channel", "last_tried_at", "last_succeeded_at", "next_at", "failures", "failure", "disabled", "alarmed_at",
)  # fmt: skip


def channels_standing(
    connection: Connection, settings: Settings, catalogue: Catalogue, organisation: str | None = None
) -> list[Shown]:
    """Every declared channel by name, or one organisation's; BadChannel where the declarations are wrong."""
    declared = load_channels(settings, catalogue)
    rows = run_sql(connection, f"SELECT {', '.join(_COLUMNS)} FROM {{d}}.channel_state")
    states = {str(row[0]): State(**dict(zip(_COLUMNS, row, strict=True))) for row in rows}  # type: ignore[arg-type]
    return [
        as_shown(name, one, states.get(name) or State(channel=name))
        for name, one in declared.items()
        if organisation in (None, one.organisation)
    ]
