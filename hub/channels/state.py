"""Where each channel stands: when it worked, what went wrong, how far it has read, what it has already taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select, text, update
from sqlalchemy.dialects.postgresql import insert

from hub import audit
from hub.database import Database, run_sql, utc_now
from hub.registry.permissions import Actor, Right
from hub.tables import channel_item, channel_state

LONGEST_SENTENCE = 500
_ONE_AT_A_TIME = 7_216  # advisory lock: nobody else runs this channel


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's row. ``cursor`` is its kind's own, beside ``since``: when the hub first knew of the channel."""

    channel: str
    last_tried_at: datetime | None = None
    last_succeeded_at: datetime | None = None
    next_at: datetime | None = None
    failures: int = 0
    failure: str = ""
    cursor: dict[str, Any] = {}
    disabled: bool = False
    alarmed_at: datetime | None = None

    @property
    def since(self) -> datetime | None:
        return datetime.fromisoformat(self.cursor["since"]) if "since" in self.cursor else None


def load_state(connection: Connection, name: str) -> State:
    """Its row, made now if it has none."""
    first = {"channel": name, "cursor": {"since": utc_now().isoformat()}}
    connection.execute(insert(channel_state).values(first).on_conflict_do_nothing())
    row = connection.execute(select(channel_state).where(channel_state.c.channel == name)).one()
    return msgspec.convert(row._mapping, State)


def list_states(connection: Connection) -> dict[str, State]:
    rows = connection.execute(select(channel_state))
    return {row.channel: msgspec.convert(row._mapping, State) for row in rows}


def save(connection: Connection, name: str, **values: object) -> None:
    """Some of its columns."""
    connection.execute(update(channel_state).where(channel_state.c.channel == name).values(values))


def keep_cursor(database: Database, name: str, **places: object) -> None:
    """Some places of its cursor, durably, now; the others stay."""
    with database.begin() as connection:
        state = load_state(connection, name)
        save(connection, name, cursor={**state.cursor, **places})


def taken(connection: Connection, name: str) -> set[str]:
    """The keys of everything this channel has taken."""
    wanted = select(channel_item.c.item).where(channel_item.c.channel == name)
    return set(connection.execute(wanted).scalars())


def enter_item(connection: Connection, name: str, item: str, sha256: str, receipt: str) -> None:
    """It is taken; again is the same."""
    values = {"channel": name, "item": item, "sha256": sha256, "receipt": receipt, "at": utc_now()}
    entered = insert(channel_item).values(values)
    connection.execute(
        entered.on_conflict_do_update(
            index_elements=["channel", "item"], set_={"sha256": sha256, "receipt": receipt, "at": values["at"]}
        )
    )


def alarm(connection: Connection, actor: Actor, name: str, why: str) -> None:
    """Somebody must look: said once, until the channel works again."""
    save(connection, name, alarmed_at=utc_now())
    audit.record(connection, actor, Right.SYSTEM, f"channel/{name}", "failed", alarm=why[:LONGEST_SENTENCE])


def disable(connection: Connection, actor: Actor, name: str) -> None:
    """The other side wants no more."""
    save(connection, name, disabled=True)
    audit.record(connection, actor, Right.SYSTEM, f"channel/{name}", "done", how="disabled")


def enable(connection: Connection, actor: Actor, name: str) -> None:
    """A person has seen to it: from the beginning, at once."""
    load_state(connection, name)
    save(connection, name, disabled=False, failures=0, failure="", alarmed_at=None, next_at=None)
    audit.record(connection, actor, Right.OPERATE, f"channel/{name}", "done", how="enabled")


def feed_head(connection: Connection) -> int:
    return int(str(run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0]))


@contextmanager
def alone(database: Database, name: str) -> Iterator[bool]:
    """Hold the channel's own lock for a whole run, without a transaction; False when another process has it."""
    asked = {"a": _ONE_AT_A_TIME, "b": f"{database.district}/{name}"}
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        held = connection.execute(text("SELECT pg_try_advisory_lock(:a, hashtext(:b))"), asked).scalar_one()
        try:
            yield bool(held)
        finally:
            if held:
                connection.execute(text("SELECT pg_advisory_unlock(:a, hashtext(:b))"), asked)
