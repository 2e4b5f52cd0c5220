"""The only room that writes the change log: staged changes are numbered without gaps, last in the transaction."""

from __future__ import annotations

import hashlib
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql, utc_now
from hub.tables.version_sql import CHANGES
from mappings.catalogue import Catalogue

_IN_ORDER = (
    ("row_no > 0", "row_no"),
    ("row_no < 0", "row_no DESC"),
)  # rows as sent, then the records re-routed after them


class Numbered(msgspec.Struct, frozen=True):
    """The numbers one transaction got: ``from_seq`` … ``to_seq``, or nothing when ``count`` is 0."""

    count: int
    from_seq: int
    to_seq: int


def number_changes(connection: Connection, submission_id: UUID) -> Numbered:
    """Take the counter row, write the log, link the batch. Nothing but the receipt may follow in this transaction."""
    count = _count_changes(connection, submission_id)
    if count == 0:
        return Numbered(0, 0, 0)
    content = _content_digest(connection, submission_id)
    last_seq, batch, previous = _take_numbers(connection, count)
    _write_log(connection, submission_id, last_seq - count, batch)
    _link_batch(connection, submission_id, batch, last_seq - count + 1, last_seq, content, previous)
    return Numbered(count, last_seq - count + 1, last_seq)


def _count_changes(connection: Connection, submission_id: UUID) -> int:
    rows = run_sql(
        connection,
        f"SELECT count(*) FROM {{d}}.difference WHERE submission_id = :submission AND outcome IN {CHANGES}",
        submission=submission_id,
    )
    return cast(int, rows[0][0])


def _content_digest(connection: Connection, submission_id: UUID) -> bytes:
    """Digest over the versions' keyed digests, in the order they will be numbered; before the counter is taken."""
    digest = hashlib.sha256()
    for chosen in _IN_ORDER:
        rows = run_sql(
            connection,
            "SELECT string_agg(content_digest, ''::bytea ORDER BY " + chosen[1] + ") FROM {d}.difference"
            f" WHERE submission_id = :submission AND outcome IN {CHANGES} AND {chosen[0]}",
            submission=submission_id,
        )
        digest.update(bytes(cast(bytes, rows[0][0] or b"")))
    return digest.digest()


def _take_numbers(connection: Connection, count: int) -> tuple[int, int, bytes]:
    """From here to COMMIT this transaction holds the counter row: nobody else can number in between."""
    rows = run_sql(
        connection,
        "UPDATE {d}.feed_head SET last_seq = last_seq + :count, last_batch = last_batch + 1"
        " RETURNING last_seq, last_batch, last_link",
        count=count,
    )
    last_seq, batch, link = rows[0]
    return cast(int, last_seq), cast(int, batch), bytes(cast(bytes, link))


def _write_log(connection: Connection, submission_id: UUID, before: int, batch: int) -> None:
    for chosen in _IN_ORDER:
        written = run_sql(
            connection,
            f"""
            WITH written AS (
                INSERT INTO {{d}}.change_log (seq, batch, record_type, record_id, version, op, changed_fields,
                                              areas_before, areas_after, submission_id, recorded_at)
                SELECT :before + row_number() OVER (ORDER BY {chosen[1]}), :batch, record_type, record_id, version,
                       outcome, changed_fields, areas_before, areas_after, submission_id, :now
                FROM {{d}}.difference
                WHERE submission_id = :submission AND outcome IN {CHANGES} AND {chosen[0]}
                RETURNING seq
            )
            SELECT count(*) FROM written
            """,
            submission=submission_id,
            before=before,
            batch=batch,
            now=utc_now(),
        )
        before += cast(int, written[0][0])


def _link_batch(
    connection: Connection, submission_id: UUID, batch: int, first: int, last: int, content: bytes, previous: bytes
) -> None:
    link = batch_link(previous, first, last, content)
    run_sql(
        connection,
        "INSERT INTO {d}.feed_batch (batch, from_seq, to_seq, submission_id, content, link, recorded_at)"
        " VALUES (:batch, :first, :last, :submission, :content, :link, :now)",
        batch=batch,
        first=first,
        last=last,
        submission=submission_id,
        content=content,
        link=link,
        now=utc_now(),
    )
    run_sql(connection, "UPDATE {d}.feed_head SET last_link = :link", link=link)


def batch_link(previous: bytes, first: int, last: int, content: bytes) -> bytes:
    """One link of the chain of batches: over the link before, the range and the content's digest."""
    return hashlib.sha256(previous + f"{first}-{last}:".encode() + content).digest()


def verify_feed(connection: Connection, catalogue: Catalogue) -> list[str]:
    """What is wrong with the feed, in sentences; empty when count = max = head, min = 1 and every link holds."""
    return [*_gaps(connection), *_broken_links(connection), *_wrong_content(connection, catalogue)]


def _gaps(connection: Connection) -> list[str]:
    rows = run_sql(
        connection,
        "SELECT h.last_seq, l.* FROM {d}.feed_head h,"
        " (SELECT count(*), coalesce(min(seq), 0), coalesce(max(seq), 0) FROM {d}.change_log) l",
    )
    head, count, first, last = rows[0]
    expected = (head, 1 if head else 0, head)
    if (count, first, last) != expected:
        return [f"变动日志不连续 the change log has gaps: count {count}, first {first}, last {last}, head {head}"]
    return []


def _broken_links(connection: Connection) -> list[str]:
    wrong, previous, position = [], b"", 0
    for batch, first, last, content, link in run_sql(
        connection, "SELECT batch, from_seq, to_seq, content, link FROM {d}.feed_batch ORDER BY batch"
    ):
        expected = batch_link(previous, cast(int, first), cast(int, last), bytes(cast(bytes, content)))
        if bytes(cast(bytes, link)) != expected or first != position + 1:
            wrong.append(f"批次链断裂 batch {batch} does not follow the one before")
        previous, position = bytes(cast(bytes, link)), cast(int, last)
    head = run_sql(connection, "SELECT last_link FROM {d}.feed_head")[0][0]
    if bytes(cast(bytes, head)) != previous:
        wrong.append("批次链末端不符 the head's link is not the last batch's")
    return wrong


def _wrong_content(connection: Connection, catalogue: Catalogue) -> list[str]:
    """Batches whose versions no longer carry the digests they were linked with."""
    versions = " UNION ALL ".join(
        f"SELECT record_id, version, content_digest FROM {{d}}.ver_{record_type.code}"
        for record_type in catalogue.record_types.values()
        if record_type.enabled
    )
    rows = run_sql(
        connection,
        f"""
        WITH version AS ({versions}), found AS (
            SELECT l.batch, sha256(string_agg(v.content_digest, ''::bytea ORDER BY l.seq)) AS content,
                   count(v.record_id) = count(*) AS whole
            FROM {{d}}.change_log l LEFT JOIN version v USING (record_id, version)
            GROUP BY l.batch
        )
        SELECT b.batch FROM {{d}}.feed_batch b LEFT JOIN found f USING (batch)
        WHERE f.batch IS NULL OR NOT f.whole OR f.content IS DISTINCT FROM b.content
        ORDER BY 1 LIMIT 20
        """,
    )
    return [f"批次内容不符 versions of batch {row[0]} are missing or changed" for row in rows]
