"""Checked rows and row errors go into their tables by COPY, inside the caller's transaction."""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

import polars as pl
from sqlalchemy import Connection

from hub.database import district_of, driver, run_sql

WORTH_ANALYSING = 20_000  # rows; fewer are looked up by index and need no new statistics
FEW = WORTH_ANALYSING
ERROR_COLUMNS = (
    "row_no", "error_no", "sheet", "sheet_row", "column_letter", "header", "field", "code", "level", "value", "params",
)  # fmt: skip


class Writing:
    """Writes one batch while the next is being checked: PostgreSQL and the check each have a processor of their own."""

    def __init__(self, connection: Connection, submission_id: UUID, record_type: str) -> None:
        self._target = (connection, submission_id, record_type)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: Future[None] | None = None

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._settle()
        finally:
            self._thread.shutdown(wait=True)

    def put(self, staged: pl.DataFrame, errors: pl.DataFrame) -> None:
        """Take a batch; waits until the one before is written, so that at most two are in memory."""
        self._settle()
        self._pending = self._thread.submit(self._write, staged, errors)

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()

    def _write(self, staged: pl.DataFrame, errors: pl.DataFrame) -> None:
        connection, submission_id, record_type = self._target
        copy_staged(connection, submission_id, record_type, staged)
        copy_errors(connection, submission_id, errors)


def copy_staged(connection: Connection, submission_id: UUID, record_type: str, staged: pl.DataFrame) -> None:
    """Checked rows, in the column order the check stage gave them."""
    _copy(connection, submission_id, f"{district_of(connection)}.stg_{record_type}", staged)


def copy_errors(connection: Connection, submission_id: UUID, errors: pl.DataFrame) -> None:
    """Row errors of a batch; COPY is refused on a table with row security, so they arrive in one of this transaction."""
    if errors.height:
        chosen, columns = errors.select(ERROR_COLUMNS), ", ".join(["submission_id", *ERROR_COLUMNS])
        run_sql(
            connection,
            f"CREATE TEMPORARY TABLE IF NOT EXISTS arriving_error ON COMMIT DROP AS SELECT {columns} FROM {{d}}.row_error LIMIT 0",
        )
        _copy(connection, submission_id, "pg_temp.arriving_error", chosen)
        run_sql(connection, f"INSERT INTO {{d}}.row_error ({columns}) SELECT {columns} FROM arriving_error")
        run_sql(connection, "TRUNCATE arriving_error")


def _copy(connection: Connection, submission_id: UUID, table: str, frame: pl.DataFrame) -> None:
    columns = ", ".join(["submission_id", *frame.columns])
    body = io.BytesIO()
    frame.select(pl.lit(str(submission_id)), pl.all()).write_csv(body, include_header=False)
    statement = f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)"
    with driver(connection).cursor().copy(statement.encode()) as copy:
        copy.write(body.getbuffer())


def refresh_statistics(connection: Connection, *tables: str) -> None:
    """Tell the planner what this transaction has just written: without it one merge took 186 s instead of 0.86 s."""
    for table in tables:
        run_sql(connection, "SELECT {d}.refresh_statistics(:table)", table=table)


def plan_for(connection: Connection, rows: int) -> None:
    """Few rows: by index, whatever old statistics say of staging. Many rows: by hash, with memory for it."""
    if rows > FEW:
        run_sql(connection, "SET LOCAL work_mem = '128MB'")
    else:
        for way in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_material", "enable_bitmapscan"):
            run_sql(connection, f"SET LOCAL {way} = off")


def drop_staged(connection: Connection, submission_id: UUID, record_type: str) -> None:
    """Forget what was staged; held rows wait for their human."""
    run_sql(
        connection,
        f"DELETE FROM {{d}}.stg_{record_type} s WHERE s.submission_id = :submission AND NOT s.held AND s.row_no NOT IN ("
        "SELECT d.row_no FROM {d}.difference d WHERE d.submission_id = :submission AND d.outcome = 'hold')",
        submission=submission_id,
    )
    run_sql(
        connection,
        "DELETE FROM {d}.difference WHERE submission_id = :submission AND outcome <> 'hold'",
        submission=submission_id,
    )
