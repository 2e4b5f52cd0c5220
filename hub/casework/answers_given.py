"""What a town has answered to lines of its list: its own records of a month, as they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.registry.masking import mask_identifier
from hub.registry.permissions import Actor
from hub.registry.scope import Scope

# What makes it another answer.
_SAID = ("result", "right_village", "right_name", "right_id_no", "right_date", "to_town")


class GivenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it stands, by the codes and names of its record type; "" for nothing said."""

    record_id: UUID  # of the line
    result: str
    actual: str
    right_village: str
    right_name: str
    right_id_no: str
    right_date: str
    to_town: str
    verifier: str
    method: str
    verified_on: str
    recorded_at: datetime

    def masked(self) -> GivenAnswer:
        """As it may be shown."""
        return msgspec.structs.replace(self, right_id_no=mask_identifier(self.right_id_no))

    def says(self, answer: Mapping[str, object]) -> bool:
        """Whether another answer says the same."""
        return all(answer[name] == getattr(self, name) for name in _SAID)


def read_answers(
    connection: Connection, actor: Actor, month: str, record_ids: Sequence[UUID]
) -> dict[UUID, GivenAnswer]:
    """The unit's own answers to these lines of the month, by line; a line without one is not in it."""
    if not record_ids or not Scope(actor=actor).stored_file(actor.organisation):
        return {}
    names = GivenAnswer.__struct_fields__
    columns = ", ".join(f"coalesce({name}::text, '')" for name in names[1:-1])
    rows = run_sql(
        connection,
        f"SELECT CAST(source_record_id AS uuid), {columns}, recorded_at FROM {{d}}.rec_town_verification"
        " WHERE record_key = ANY(CAST(:keys AS text[])) AND source = :source AND NOT voided",
        keys=[f"{record_id}|{month}" for record_id in record_ids],
        source=actor.organisation,
    )
    given = [GivenAnswer(**dict(zip(names, row, strict=True))) for row in rows]  # type: ignore[arg-type]
    return {one.record_id: one for one in given}


def last_habits(connection: Connection, actor: Actor) -> tuple[str, str]:
    """Who verified and how in this account's latest answer, of the two latest rounds; "" for none."""
    rows = run_sql(
        connection,
        "SELECT coalesce(v.verifier, ''), coalesce(v.method, '') FROM {d}.round_item i"
        " JOIN (SELECT round_id, month FROM {d}.monthly_round ORDER BY month DESC LIMIT 2) m USING (round_id)"
        " JOIN {d}.rec_town_verification v ON v.record_key = i.record_id || '|' || m.month AND v.source = :source"
        " WHERE i.answered_by = :name AND i.town = :town ORDER BY i.answered_at DESC LIMIT 1",
        name=actor.name,
        town=actor.area_id,
        source=actor.organisation,
    )
    return (str(rows[0][0]), str(rows[0][1])) if rows else ("", "")
