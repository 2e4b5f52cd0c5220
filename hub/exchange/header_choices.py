"""What people of an organisation said unknown headers mean: asked once, remembered for the next file."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from hub import audit
from hub.database import utc_now
from hub.errors import NotFound
from hub.exchange.layout import normalise
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.tables import header_choice


def load_choices(connection: Connection, organisation: str, record_type: str) -> dict[str, str]:
    """Normalised header -> field; "" where the column is not wanted."""
    asked = select(header_choice.c.header, header_choice.c.field).where(
        header_choice.c.organisation == organisation, header_choice.c.record_type == record_type
    )
    return {str(header): str(field) for header, field in connection.execute(asked)}


def save_choices(
    connection: Connection, actor: Actor, organisation: str, record_type: str, choices: Mapping[str, str]
) -> None:
    """Keep what a person said: header as shown -> field. A header said again takes its new meaning."""
    require(actor, Right.SUBMIT, Right.OPERATE)
    said = {"organisation": organisation, "record_type": record_type, "confirmed_by": actor.name}
    rows = [
        said | {"header": normalise(shown), "shown": shown, "field": field, "confirmed_at": utc_now()}
        for shown, field in choices.items()
    ]
    if rows:
        entered = insert(header_choice).values(rows)
        renewed = {name: entered.excluded[name] for name in ("shown", "field", "confirmed_by", "confirmed_at")}
        keys = ["organisation", "record_type", "header"]
        connection.execute(entered.on_conflict_do_update(index_elements=keys, set_=renewed))
    fields = sorted(field for field in choices.values() if field)
    audit.record(connection, actor, Right.SUBMIT, f"columns/{organisation}/{record_type}", fields=fields)


def forget_choice(connection: Connection, actor: Actor, organisation: str, record_type: str, header: str) -> str:
    """The header is unknown again, and asked about the next time; the field it meant. NotFound."""
    require(actor, Right.SUBMIT, Right.OPERATE)
    forgotten = connection.scalar(
        delete(header_choice)
        .where(
            header_choice.c.organisation == organisation,
            header_choice.c.record_type == record_type,
            header_choice.c.header == normalise(header),
        )
        .returning(header_choice.c.field)
    )
    if forgotten is None:
        raise NotFound(header)
    audit.record(connection, actor, Right.SUBMIT, f"columns/{organisation}/{record_type}", forgotten=forgotten)
    return str(forgotten)
