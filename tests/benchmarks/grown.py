"""A district grown to the wanted size: each row of a small one that lived a year is repeated, every copy with its own keys.

So every table holds what the hub itself wrote, in the proportions it wrote it in. A copy's keys are the first one's with
its last digits replaced by the copy's number; what a person is called and goes by is theirs alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from sqlalchemy import Connection

from hub.database import Database, district_of, run_sql
from hub.exchange.receipt_number import new_receipt_number
from mappings.catalogue import Catalogue
from tests.benchmarks.grown_cases import CASES, USUAL

_PEOPLE = ("person", "person_identifier", "person_profile", "resident_stock", "balance_movement", "comparison_item")
_CHANGES = ("change_log", "feed_batch", "round_change", "round_item", "delivery")
_WAITING = ("held_row", "held_candidate", "row_error", "effect_sample")
_SENT = ("submission", "certificate", "licence_request", "licence_answer", "slice_export", "sftp_event", "notice")
_SUBMISSIONS = 100  # a bigger district sends bigger files, not more of them
_SENDERS_ROWS = 10_000  # further rows of the same submission begin here
_OF_SUBMISSION = ("submission_id", "release_id", "undoes", "thread_id")
_ONCE = ("subscription_id", "round_id")  # as many as ever
_UUIDS = "'([0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{7}})[0-9a-f]{{5}}', '\\1' || {place}, 'g'"
_AT = {"submission": "received_at", "audit": "at", "notice": "made_at", "sftp_event": "at", "certificate": "issued_at"}


def grow(owner: Database, catalogue: Catalogue, copies: int, among: Mapping[str, int] = USUAL) -> None:
    """Every person ``copies`` times, and all that is kept of them; then what a year of a small district has too few of."""
    with owner.begin() as connection:
        run_sql(connection, "SET LOCAL synchronous_commit = off")
        for statement in (_SEATS, *(part for one in _SPREAD for part in one.split(";"))):
            run_sql(connection, statement, **({"copies": copies} if ":copies" in statement else {}))
        for table in _grown_tables(connection, catalogue):
            _repeat(connection, catalogue, table, _times(table, copies))
        _number_receipts(connection)
        for statement in CASES:
            run_sql(connection, statement, copies=copies, **{k: v for k, v in among.items() if f":{k} " in statement})
        run_sql(connection, "UPDATE {d}.feed_head SET last_seq = last_seq * :copies", copies=copies)
        run_sql(connection, _ROUNDS, copies=copies)
        run_sql(connection, _BALANCE, copies=copies)
        run_sql(connection, _FILES, times=max(1, copies // _SUBMISSIONS))
        run_sql(connection, _FETCHED)
        _repeat_access(connection, min(copies, 20))
    with owner.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


# Where each change of the log goes: its batch's copies stand side by side, so that ranges of the log stay ranges.
_SEATS = """
CREATE TEMPORARY TABLE bench_seat ON COMMIT DROP AS
SELECT c.seq AS before, (b.from_seq - 1) * :copies + c.seq - b.from_seq + 1 AS seq, b.to_seq - b.from_seq + 1 AS size
  FROM {d}.change_log c JOIN {d}.feed_batch b ON c.seq BETWEEN b.from_seq AND b.to_seq
"""
_SPREAD = (  # by way of the negative, so that no number is taken twice meanwhile
    *(
        f"UPDATE {{d}}.{table} t SET {move} FROM bench_seat z WHERE z.before = t.seq AND :copies > 0;"
        f" UPDATE {{d}}.{table} SET seq = -seq"
        for table, move in (
            ("change_log", "seq = -z.seq, batch = (t.batch - 1) * :copies + 1"),
            ("round_change", "seq = -z.seq"),
            ("round_item", "seq = -z.seq"),
        )
    ),
    "UPDATE {d}.feed_batch SET batch = -(batch - 1) * :copies - 1, from_seq = (from_seq - 1) * :copies + 1,"
    " to_seq = (from_seq - 1) * :copies + 1 + to_seq - from_seq; UPDATE {d}.feed_batch SET batch = -batch",
    "UPDATE {d}.delivery SET from_seq = from_seq * :copies, to_seq = from_seq * :copies + to_seq - from_seq",
)
_ROUNDS = "UPDATE {d}.monthly_round SET after_seq = after_seq * :copies, up_to_seq = up_to_seq * :copies"
_BEHIND = 2_000  # changes that were not delivered yet: a day's
_FETCHED = f"""
UPDATE {{d}}.delivery e SET to_seq = greatest(e.from_seq, h.last_seq - {_BEHIND}) FROM {{d}}.feed_head h
 WHERE NOT EXISTS (SELECT 1 FROM {{d}}.delivery later WHERE later.subscription_id = e.subscription_id
                      AND later.epoch = e.epoch AND later.page_no > e.page_no)
"""
_FIGURES = (
    "start", "opening", "births", "deaths", "moved_in", "moved_out", "corrected_in", "corrected_out", "adjusted_in",
    "adjusted_out", "excused", "unexplained", "end",
)  # fmt: skip
_BALANCE = "UPDATE {d}.balance SET " + ", ".join(f'"{one}" = "{one}" * :copies' for one in _FIGURES)

_ROWS = ("received", "accepted", "unchanged", "held", "refused")
_FILES = "UPDATE {d}.submission SET " + ", ".join(f"{one} = {one} * CAST(:times AS integer)" for one in _ROWS)


def _grown_tables(connection: Connection, catalogue: Catalogue) -> Iterator[str]:
    known = {str(name) for (name,) in run_sql(connection, _FILLED)}
    records = [f"rec_{code}{tail}" for code in catalogue.record_types for tail in ("", "_history")]
    staged = [f"stg_{code}" for code in catalogue.record_types]
    yield from (one for one in (*_SENT, *_PEOPLE, *_WAITING, *_CHANGES, *records, *staged, "audit") if one in known)


_FILLED = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace('{d}')"


def _times(table: str, copies: int) -> int:
    if table in _SENT:
        return min(copies, _SUBMISSIONS)
    return max(1, copies // 2) if table in ("round_item", "round_change") else copies


def _number_receipts(connection: Connection) -> None:
    """Numbers with the check letter that whoever types one is asked for."""
    copies = [
        row[0]
        for row in run_sql(connection, "SELECT submission_id FROM {d}.submission WHERE length(receipt_number) > 21")
    ]
    numbers = [new_receipt_number(date(2026, 11, 23)) for _ in copies]
    run_sql(
        connection,
        "UPDATE {d}.submission s SET receipt_number = n.number"
        " FROM unnest(CAST(:copies AS uuid[]), CAST(:numbers AS text[])) n(id, number) WHERE n.id = s.submission_id",
        copies=copies, numbers=numbers,
    )  # fmt: skip


# ---- one table ----


def _repeat(connection: Connection, catalogue: Catalogue, table: str, times: int) -> None:
    """All copies in one statement, the indexes built afterwards."""
    columns = _columns(connection, table)
    values = {name: _value(catalogue, table, name, kind) for name, kind in columns.items()}
    seats = "JOIN bench_seat z ON z.seq = t.seq" if _MOVED in values.values() else ""
    written = ", ".join(f'"{name}"' for name in columns)
    told = ", ".join(values.values())
    dropped = _drop_indexes(connection, table)
    run_sql(
        connection,
        f"INSERT INTO {{d}}.{table} ({written}) SELECT {told}"
        f" FROM generate_series(1, CAST(:times AS integer) - 1) k, {{d}}.{table} t {seats}"
        " ON CONFLICT DO NOTHING",
        times=times,
    )
    for statement in dropped:
        connection.exec_driver_sql(statement)


def _columns(connection: Connection, table: str) -> dict[str, str]:
    found = run_sql(
        connection,
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass(:name)"
        " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        name=f"{district_of(connection)}.{table}",
    )
    return {str(name): str(kind) for name, kind in found}


def _drop_indexes(connection: Connection, table: str) -> list[str]:
    """Those that no constraint and no conflict rests on; the statements that make them again."""
    found = run_sql(
        connection,
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        " WHERE i.indrelid = to_regclass(:name) AND NOT i.indisunique",
        name=f"{district_of(connection)}.{table}",
    )
    for name, _ in found:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    return [str(made) for _, made in found]


def _value(catalogue: Catalogue, table: str, name: str, kind: str) -> str:
    column = f't."{name}"'
    special = _special(table, name, column)
    if special:
        return special
    if kind == "uuid":
        return _copied(name, column)
    if kind == "uuid[]":
        return column
    if kind == "timestamp with time zone" and _AT.get(table) == name:
        return f"{column} - k * interval '5 hours'"
    if kind in ("text", "jsonb") and name in ("subject", "sides", "about", "object"):
        return f"regexp_replace({column}::text, {_UUIDS.format(place=_digits('k'))})::{kind}"
    return _field_value(catalogue, table, name, column)


def _field_value(catalogue: Catalogue, table: str, name: str, column: str) -> str:
    """What a person or a certificate is known by is not the same for two copies."""
    code = table.removeprefix("rec_").removeprefix("stg_").removesuffix("_history")
    known = catalogue.record_types[code].by_name if code in catalogue.record_types else {}
    kind = known[name].type if name in known else ""
    if kind == "id_no" or (table, name) == ("person_profile", "id_no"):
        return _number(column)
    if kind == "name" or (table == "person_profile" and name in ("name", "name_key")):
        return f"left({column}, -1) || chr(20000 + k % 997)"
    if kind in ("certificate", "uscc") or (kind == "text" and name.endswith("_no")):
        return f"{column} || k"
    return column


def _special(table: str, name: str, column: str) -> str | None:
    """Keys that are no uuid."""
    if name == "source_record_id":  # a town's verdict is about the copy that stands beside it
        return f"regexp_replace({column}, {_UUIDS.format(place=_digits('k'))})"
    if table == "person_identifier" and name in ("value", "replaced_by"):
        rewritten = f"regexp_replace({column}, {_UUIDS.format(place=_digits('k'))})"
        return f"CASE WHEN t.kind = 'id_no' THEN {_number(column)} ELSE {rewritten} || k END"
    if name == "row_no" and (table in _WAITING or table.startswith("stg_")):
        return f"{column} + k / {_SUBMISSIONS} * {_SENDERS_ROWS}"
    return _SPECIAL.get((table, name)) or (f"{column} || '#' || k" if name == "record_key" else None)


_STEP = "(t.to_seq - t.from_seq + 1)"
_MOVED = "t.seq + k * z.size"
_SPECIAL = {
    ("change_log", "seq"): _MOVED,
    ("change_log", "batch"): "t.batch + k",
    ("round_change", "seq"): _MOVED,
    ("round_item", "seq"): _MOVED,
    ("round_item", "number"): "t.number + k * 1000",
    ("feed_batch", "batch"): "t.batch + k",
    ("feed_batch", "from_seq"): f"t.from_seq + k * {_STEP}",
    ("feed_batch", "to_seq"): f"t.to_seq + k * {_STEP}",
    ("delivery", "page_no"): "t.page_no + k * 10",
    ("delivery", "from_seq"): "t.from_seq + (t.to_seq - t.from_seq) * k",
    ("delivery", "to_seq"): "t.to_seq + (t.to_seq - t.from_seq) * k",
    ("delivery", "first_delivery_no"): "t.first_delivery_no + k * t.count",
    ("submission", "receipt_number"): "t.receipt_number || k",  # until it has one that checks
    ("submission", "operation_id"): "t.operation_id || k",
    ("certificate", "certificate_no"): "left(t.certificate_no, -3) || lpad(upper(to_hex(k)), 3, '0')",
    ("licence_request", "request_no"): "left(t.request_no, -3) || lpad(upper(to_hex(k)), 3, '0')",
    ("slice_export", "export_no"): "left(t.export_no, -3) || lpad(upper(to_hex(k)), 3, '0')",
}


def _copied(name: str, column: str) -> str:
    if name in _ONCE:
        return column
    place = f"k % {_SUBMISSIONS}" if name in _OF_SUBMISSION else "k"
    made = f"overlay({column}::text PLACING {_digits(place)} FROM 32)::uuid"
    return f"CASE WHEN {place} = 0 THEN {column} ELSE {made} END" if name in _OF_SUBMISSION else made


def _digits(place: str) -> str:
    return f"lpad(to_hex({place}), 5, '0')"


def _number(column: str) -> str:
    """Of nobody: no place has a code that begins with 999."""
    return f"overlay({column} PLACING lpad(((k + 1) % 1000)::text, 3, '0') FROM 4)"


# ---- who may come in ----


def _repeat_access(connection: Connection, times: int) -> None:
    for statement in _ACCESS:
        run_sql(connection, statement, times=times)


_ACCESS: Sequence[str] = (
    """
    INSERT INTO admin.account (account_id, login, name, organisation, roles, password_hash, must_change_password, created_at)
    SELECT gen_random_uuid(), a.login || '-' || k, a.name, a.organisation, a.roles, '', false, a.created_at
      FROM admin.account a, generate_series(1, :times) k
    """,
    """
    INSERT INTO admin.api_key (key_id, kind, prefix, secret_digest, organisation, title, scopes, created_at)
    SELECT gen_random_uuid(), kind, prefix || '-' || k, '', organisation, title, scopes, created_at
      FROM admin.api_key, generate_series(1, :times) k
    """,
)
