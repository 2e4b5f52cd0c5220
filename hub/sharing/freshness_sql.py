"""What freshness is read from: where readers stand, when sources spoke, how channels run. Every statement by an index."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.settings import Settings

READER = "freshness/"  # feed_reader: how far a subscription's part of the log is known to hold nothing unfetched
_EPOCH = "h.epoch || '.' || s.epoch"


def watch_alone(connection: Connection) -> None:
    """One watch at a time: whoever comes second finds everything done."""
    run_sql(connection, "SELECT pg_advisory_xact_lock(hashtext('freshness'))")


class Standing(msgspec.Struct, frozen=True):
    """Where the reader of a subscription stands in its present epoch."""

    subscription_id: UUID
    epoch: str
    fetched_to: int  # everything up to here is fetched
    fetched_at: datetime | None
    acknowledged_to: int
    acknowledged_at: datetime | None


def standings(connection: Connection, subscription_ids: Iterable[UUID]) -> dict[UUID, Standing]:
    """By subscription; the newest delivery that was fetched, and the newest that was acknowledged, close all before them."""
    rows = run_sql(connection, _STANDINGS, those=list(subscription_ids))
    return {cast(UUID, row[0]): Standing(*row) for row in rows}  # type: ignore[arg-type]


def _newest(column: str) -> str:
    return (
        f"LEFT JOIN LATERAL (SELECT e.to_seq, e.{column} AS at FROM {{d}}.delivery e"
        f" WHERE e.subscription_id = s.subscription_id AND e.epoch = {_EPOCH} AND e.{column} IS NOT NULL"
        " ORDER BY e.page_no DESC LIMIT 1)"
    )


_STANDINGS = f"""
SELECT s.subscription_id, {_EPOCH}, greatest(s.start_seq, coalesce(f.to_seq, 0), coalesce(a.to_seq, 0)), f.at,
       greatest(s.start_seq, coalesce(a.to_seq, 0)), a.at
  FROM {{d}}.subscription s CROSS JOIN {{d}}.feed_head h
  {_newest("fetched_at")} f ON true
  {_newest("acknowledged_at")} a ON true
 WHERE s.subscription_id = ANY(CAST(:those AS uuid[]))
"""


def looked_at(connection: Connection) -> dict[str, int]:
    """Reader's name and epoch -> up to where the watch has found nothing unfetched."""
    rows = run_sql(
        connection, "SELECT name || ' ' || epoch, position FROM {d}.feed_reader WHERE starts_with(name, :of)", of=READER
    )
    return {str(name): cast(int, position) for name, position in rows}


def note_looked_at(connection: Connection, name: str, epoch: str, position: int, now: datetime) -> None:
    """Remember how far a reader inside the hub has looked; never back within an epoch."""
    run_sql(connection, _LOOKED, name=name, epoch=epoch, position=position, now=now)


_LOOKED = """
INSERT INTO {d}.feed_reader AS r (name, epoch, position, updated_at) VALUES (:name, :epoch, :position, :now)
ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, updated_at = excluded.updated_at,
   position = CASE WHEN r.epoch = excluded.epoch THEN greatest(r.position, excluded.position) ELSE excluded.position END
"""


def reader_position(connection: Connection, name: str) -> int:
    """How far one reader inside the hub has looked; in a new epoch it begins where the epoch did."""
    rows = run_sql(
        connection,
        "SELECT coalesce(r.position, h.epoch_start) FROM {d}.feed_head h"
        " LEFT JOIN {d}.feed_reader r ON r.name = :name AND r.epoch = h.epoch",
        name=name,
    )
    return cast(int, rows[0][0]) if rows else 0


def seq_until(connection: Connection, moment: datetime) -> int:
    """The last number of the log that was given by this moment; 0 before the first."""
    rows = run_sql(
        connection,
        "SELECT to_seq FROM {d}.feed_batch WHERE recorded_at <= :moment ORDER BY recorded_at DESC, batch DESC LIMIT 1",
        moment=moment,
    )
    return cast(int, rows[0][0]) if rows else 0


def head(connection: Connection) -> tuple[str, int]:
    """The feed's epoch and the log's last number."""
    return cast(tuple[str, int], run_sql(connection, "SELECT epoch, last_seq FROM {d}.feed_head")[0])


def mismatches(connection: Connection) -> dict[UUID, tuple[int, datetime]]:
    """Deliveries of the present epochs whose acknowledgement differs: how many, since when, by subscription."""
    rows = run_sql(connection, _MISMATCHES)
    return {cast(UUID, one): (cast(int, count), cast(datetime, since)) for one, count, since in rows}


_MISMATCHES = f"""
SELECT e.subscription_id, count(*), min(e.delivered_at)
  FROM {{d}}.delivery e JOIN {{d}}.subscription s USING (subscription_id) CROSS JOIN {{d}}.feed_head h
 WHERE e.acknowledged_at IS NULL AND e.count > 0 AND e.mismatch AND e.epoch = {_EPOCH} GROUP BY e.subscription_id
"""


def heard_since(connection: Connection, moment: datetime) -> dict[tuple[str, str], datetime]:
    """Organisation and record type -> when it last spoke, of those who did since; a nil return is speaking."""
    rows = run_sql(connection, _HEARD.format(d="{d}", which="received_at >= :moment"), moment=moment)
    return {(str(who), str(what)): cast(datetime, last) for who, what, last in rows}


def heard_ever(connection: Connection, sources: Collection[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
    """The same of these sources alone, however long ago they spoke."""
    if not sources:
        return {}
    which = (
        "(organisation, record_type) IN (SELECT * FROM unnest(CAST(:units AS text[]), CAST(:record_types AS text[])))"
    )
    units, record_types = zip(*sources, strict=True)
    rows = run_sql(connection, _HEARD.format(d="{d}", which=which), units=[*units], record_types=[*record_types])
    return {(str(who), str(what)): cast(datetime, last) for who, what, last in rows}


_HEARD = """
SELECT organisation, record_type, max(received_at) FROM {d}.submission
 WHERE {which} AND NOT dry_run AND kind IN ('regular', 'nil') AND state NOT IN ('refused', 'failed')
 GROUP BY organisation, record_type
"""


class ChannelStand(msgspec.Struct, frozen=True):
    """A declared channel as it stands: folder, SFTP, interface, webhook."""

    name: str
    organisation: str
    last_succeeded_at: datetime | None
    last_tried_at: datetime | None
    failures: int
    alarmed_at: datetime | None
    disabled: bool


def channel_stands(connection: Connection, settings: Settings) -> list[ChannelStand]:
    """Every channel that is declared, switched on and was tried; whose it is says its file."""
    owners = {path.stem: _owner_of(path.read_text("utf-8")) for path in sorted(settings.channels.glob("*.toml"))}
    rows = run_sql(
        connection,
        "SELECT channel, last_succeeded_at, last_tried_at, failures, alarmed_at, disabled FROM {d}.channel_state"
        " WHERE channel = ANY(CAST(:those AS text[])) ORDER BY channel",
        those=[name for name, owner in owners.items() if owner],
    )
    return [ChannelStand(str(name), owners[str(name)], *rest) for name, *rest in rows]  # type: ignore[arg-type]


def _owner_of(declared: str) -> str:
    """The organisation of a channel's file; "" where it is switched off or cannot be read (the channels say so)."""
    try:
        said = tomllib.loads(declared)
    except tomllib.TOMLDecodeError:
        return ""
    return str(said.get("organisation", "")) if said.get("enabled", True) else ""
