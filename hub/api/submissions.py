"""Send files and rows, and ask what became of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, cast
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter
from sqlalchemy import Connection, Row

from hub import audit, jobs
from hub.api.bodies import Arrived, arrived_body
from hub.api.paging import answer_page, read_cursor, write_cursor
from hub.api.running_keys import running
from hub.database import Database
from hub.errors import BadRequest, KeyReused
from hub.exchange import listing, receipts, receive
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_LONGEST_WAIT_SECONDS = 30.0
_ENDINGS = {
    "text/csv": "csv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-excel": "xls",
    "application/x-ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/octet-stream": "",
}
_ROWS = "application/json"

Limit = Annotated[int, QueryParameter(ge=1, le=500, description="至多多少条 / at most how many")]
Key = Annotated[str, HeaderParameter(name="Idempotency-Key", min_length=1, max_length=200)]
Kind = Literal["regular", "backfill"]
TypeCode = Annotated[str | None, QueryParameter(name="type", description="信息类别代码 / record type code")]


class PostedRows(msgspec.Struct, frozen=True, kw_only=True):
    """A single row or a few, as JSON instead of a file."""

    type: str
    rows: list[dict[str, Any]]
    period: str | None = None


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """What was posted, whichever way: the bytes to take and what they are."""

    stream: BinaryIO
    record_type: str
    period: str | None
    file_name: str


class SubmissionController(Controller):
    """/v1/submissions and /v1/receipts."""

    @post(
        "/submissions",
        opt={"right": Right.SUBMIT},
        dependencies={"arrived": Provide(arrived_body)},
        status_code=202,
        sync_to_thread=True,
        summary="报送文件或数据行 / Send a file or rows",
    )
    def send(
        self,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        arrived: NamedDependency[Arrived],
        idempotency_key: Key,
        record_type: TypeCode = None,
        period: FromQuery[str | None] = None,
        file_name: FromQuery[str | None] = None,
        dry_run: FromQuery[bool] = False,
        kind: FromQuery[Kind] = "regular",
        wait: FromQuery[bool] = False,
    ) -> Response[dict[str, Any]]:
        with running(actor.organisation, idempotency_key):
            submission_id = _already_sent(database, actor, idempotency_key, arrived)
            if submission_id is None:
                posted = _read_posted(arrived, record_type, period, file_name)
                submission_id = _accept(database, settings, actor, posted, idempotency_key, arrived, dry_run, kind)
        row = _wait(database, actor, submission_id) if wait else _look(database, actor, submission_id)
        return _answer_sent(row, whole=_describe_whole(database, actor, catalogue, row) if wait else None)

    @get("/submissions", opt={"right": (Right.READ_SUBMISSION, Right.READ_ALL_SUBMISSIONS)}, sync_to_thread=True)
    def list_own(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        record_type: TypeCode = None,
        period: FromQuery[str | None] = None,
        submission_state: Annotated[str | None, QueryParameter(name="state")] = None,
        cursor: FromQuery[str | None] = None,
        limit: Limit = 50,
    ) -> Response[dict[str, Any]]:
        wanted = listing.Wanted(period=period, record_type=record_type, state=submission_state)
        with database.begin(reach_of(actor)) as connection:
            rows = listing.list_submissions(connection, actor, wanted, read_cursor(cursor), limit)
        following = write_cursor((rows[-1].received_at, rows[-1].submission_id)) if len(rows) == limit else None
        kept = {"type": record_type, "period": period, "state": submission_state, "limit": limit}
        return answer_page("/v1/submissions", [_describe(row) for row in rows], following, **kept)

    @get(
        "/submissions/{submission_id:uuid}",
        opt={"right": (Right.READ_SUBMISSION, Right.READ_ALL_SUBMISSIONS)},
        sync_to_thread=True,
    )
    def read(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        submission_id: FromPath[UUID],
    ) -> dict[str, Any]:
        return _describe_whole(database, actor, catalogue, _look(database, actor, submission_id))

    @get(
        "/receipts/{number:str}",
        opt={"right": (Right.READ_SUBMISSION, Right.READ_ALL_SUBMISSIONS)},
        sync_to_thread=True,
    )
    def read_receipt(
        self,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        number: FromPath[str],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            row = listing.find_submission(connection, actor, receipts.find(connection, number).submission_id)
            whole = receipts.read_receipt(connection, number, catalogue=catalogue)
            _note_reading(connection, actor, row, whole)
        return whole


def _already_sent(database: Database, actor: Actor, key: str, arrived: Arrived) -> UUID | None:
    """The submission this Idempotency-Key already made; another body under it is refused."""
    with database.begin(reach_of(actor)) as connection:
        bound = receive.find_key(connection, actor.organisation, key)
    if bound is None:
        return None
    if bound.body_sha256 != arrived.sha256:
        raise KeyReused(key)
    return cast(UUID, bound.submission_id)


def _read_posted(arrived: Arrived, record_type: str | None, period: str | None, file_name: str | None) -> Posted:
    if arrived.media_type == _ROWS:
        return _read_rows(arrived.path)
    if record_type is None:
        raise BadRequest("type")
    if arrived.media_type not in _ENDINGS:
        raise BadRequest(f"Content-Type: {', '.join([*_ENDINGS, _ROWS])}")
    name = file_name or f"{record_type}.{_ENDINGS[arrived.media_type] or 'bin'}"
    return Posted(stream=arrived.path.open("rb"), record_type=record_type, period=period, file_name=name)


def _read_rows(path: Path) -> Posted:
    """Rows in JSON become the lines of a file, so that one gate sees them all."""
    try:
        posted = msgspec.json.decode(path.read_bytes(), type=PostedRows)
    except msgspec.DecodeError as wrong:
        raise BadRequest(str(wrong)) from wrong
    lines = msgspec.json.Encoder().encode_lines(posted.rows)
    return Posted(
        stream=io.BytesIO(lines), record_type=posted.type, period=posted.period, file_name=f"{posted.type}.ndjson"
    )


def _accept(
    database: Database,
    settings: Settings,
    actor: Actor,
    posted: Posted,
    key: str,
    arrived: Arrived,
    dry_run: bool,
    kind: Kind,
) -> UUID:
    with posted.stream:
        accepted = jobs.accept(
            database,
            settings,
            actor,
            stream=posted.stream,
            file_name=posted.file_name,
            record_type=posted.record_type,
            organisation=actor.organisation,
            period=posted.period,
            door="api",
            dry_run=dry_run,
            kind=kind,
        )
    with database.begin(reach_of(actor)) as connection:
        return receive.claim_key(connection, actor.organisation, key, arrived.sha256, accepted.submission_id)


def _look(database: Database, actor: Actor, submission_id: UUID) -> Row[Any]:
    with database.begin(reach_of(actor)) as connection:
        return listing.find_submission(connection, actor, submission_id)


def _wait(database: Database, actor: Actor, submission_id: UUID) -> Row[Any]:
    """The submission once it is final, or as it is when the longest wait is over."""
    row = _look(database, actor, submission_id)
    jobs.wait_until_final(database, submission_id, _LONGEST_WAIT_SECONDS, reach_of(actor))
    return row if receipts.is_final(row) else _look(database, actor, submission_id)


def _answer_sent(row: Row[Any], whole: dict[str, Any] | None) -> Response[dict[str, Any]]:
    status = 200 if whole is not None and receipts.is_final(row) else 202
    location = f"/v1/submissions/{row.submission_id}"
    return Response(whole or _describe(row), status_code=status, headers={"Location": location})


def _describe(row: Row[Any]) -> dict[str, Any]:
    """A submission as the API shows it: the ledger's columns and the counts."""
    shown = (
        "submission_id",
        "state",
        "organisation",
        "record_type",
        "period",
        "file_name",
        "file_size",
        "dry_run",
        "kind",
    )
    times = ("received_at", "checked_at", "merged_at")
    counts = ("received", "accepted", "unchanged", "held", "refused")
    return {
        **{name: getattr(row, name) for name in shown},
        "receipt": row.receipt_number,
        "sha256": row.file_sha256,
        **{name: getattr(row, name) for name in times},
        "counts": {name: getattr(row, name) for name in counts},
        "thread": row.thread_id,
        "undoes": row.undoes,
        "released_by": row.released_by,
        "receipt_url": f"/v1/receipts/{row.receipt_number}",
    }


def _describe_whole(database: Database, actor: Actor, catalogue: Catalogue, row: Row[Any]) -> dict[str, Any]:
    with database.begin(reach_of(actor)) as connection:
        whole = receipts.read_receipt(connection, row.receipt_number, catalogue=catalogue)
        _note_reading(connection, actor, row, whole)
    waiting = row.waiting if actor.organisation == row.organisation else None
    return {**_describe(row), **whole, "waiting": waiting}


def _note_reading(connection: Connection, actor: Actor, row: Row[Any], whole: dict[str, Any]) -> None:
    """Row errors quote what was sent: that they were read is noted, by the places they stand at."""
    places = [f"{one['sheet'] or ''}/{one['row']}/{one['column']}" for one in whole["issues"]]
    if places:
        read, about = audit.digest_of(places), f"submission/{row.submission_id}"
        audit.record(connection, actor, Right.READ_SUBMISSION, about, rows=len(places), digest=read)
