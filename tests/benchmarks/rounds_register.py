"""A register to open a round over: people with names and numbers, what was sent of them, and the log that tells it.

As many people as asked for, with a log of as many changes that earlier rounds had; the changes of the month come last.
"""

from __future__ import annotations

import io

from sqlalchemy import Connection

from hub.database import driver, new_uuid, run_sql, utc_now
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import SYSTEM_ACTOR
from tests.benchmarks import people_file

MONTH, BEFORE = "2026-10", "2026-09"
TOWNS = tuple(f"999001{100 + town}" for town in range(1, people_file.TOWNS + 1))
_ID = "lpad(to_hex({i}), 32, '0')::uuid"
_RECORD = "md5('{code}' || i)::uuid"
_HIS, _HERS = "male_", "female_"
# type -> (which people i have one, their columns, op, whether it begins in the month): moves and marriages are told one
# by one, employments only follow somebody who moved
TYPES: dict[str, tuple[str, dict[str, str], str]] = {
    "hukou_move_in": (
        "true",
        {"move_date": "date '2026-10-05'", "person_ref": _ID, "person_area": "b.village", "name": "name", "id_no": "id_no"},
        "new",
    ),
    "marriage": (
        "i % 5 = 0",
        {
            "cert_no": "'J' || i", "registered_on": "date '2026-10-06'", "male_ref": _ID, "female_ref": _ID,
            f"{_HIS}name": "name", f"{_HIS}id_no": "id_no", f"{_HERS}name": "name", f"{_HERS}id_no": "id_no",
        },
        "update",
    ),
    "employment": (
        "i % 4 = 0",
        {
            "employer": "'厂' || i % 500", "start_date": "date '2020-01-01'", "person_ref": _ID, "name": "name",
            "id_no": "id_no",
        },
        "reroute",
    ),
}  # fmt: skip
_SHARES = (
    ("hukou_move_in", 2, 1),
    ("marriage", 4, 5),
    ("employment", 4, 4),
)  # of the changes; of every how many people


def fill_register(connection: Connection, people: int, changes: int) -> None:
    """People live in 240 villages; the log tells each move, and those of the month a second time."""
    run_sql(connection, _VILLAGES)
    for code in TOWNS:
        area = run_sql(connection, "SELECT area_id FROM {d}.area_version WHERE code = :code", code=f"{code}000")[0][0]
        one = Organisation(code=code, district="d999001", name=code, kind="town", area_id=int(str(area)))
        save_organisation(connection, SYSTEM_ACTOR, one)
    _fill_people(connection, people)
    for code in TYPES:
        _fill_type(connection, code)
    _fill_log(connection, people, changes)


_VILLAGES = """
CREATE TEMPORARY TABLE bench_village AS
SELECT row_number() OVER (ORDER BY area_id) - 1 AS place, area_id AS village, parent_id AS town
  FROM {d}.area WHERE kind = 'village'
"""


def _fill_people(connection: Connection, people: int) -> None:
    run_sql(connection, "CREATE TEMPORARY TABLE bench_person (i integer, name text, id_no text)")
    written = io.BytesIO()
    named = people_file.people(1, people, 1).select("name", "id_no").with_row_index("i", offset=1)
    named.write_csv(written, include_header=False)
    with driver(connection).cursor() as cursor, cursor.copy(b"COPY bench_person FROM STDIN (FORMAT csv)") as copy:
        copy.write(written.getvalue())
    its = _ID.format(i="i")
    run_sql(
        connection,
        f"INSERT INTO {{d}}.person (person_id, home_area, created_at) SELECT {its}, b.village, :now"
        " FROM bench_person JOIN bench_village b ON b.place = i % 240",
        now=utc_now(),
    )
    run_sql(
        connection,
        f"INSERT INTO {{d}}.person_identifier (kind, value, person_id) SELECT 'id_no', id_no, {its} FROM bench_person",
    )


def _fill_type(connection: Connection, code: str) -> None:
    who, fields, _ = TYPES[code]
    values = {
        "record_id": _RECORD.format(code=code), "version": "2", "source": "'public_security'", "record_key": "i::text",
        "voided": "false", "submission_id": _ID.format(i="1"), "row_no": "1", "recorded_at": "now()",
        "content_digest": r"'\x00'::bytea", "areas": "ARRAY[b.town, b.village]",
        **{name: value.replace("{i}", "i") for name, value in fields.items()},
    }  # fmt: skip
    for table, version in ((f"rec_{code}", "2"), (f"rec_{code}_history", "1")):
        told = ", ".join((values | {"version": version}).values())
        run_sql(
            connection,
            f"INSERT INTO {{d}}.{table} ({', '.join(values)}) SELECT {told}"
            f" FROM bench_person JOIN bench_village b ON b.place = i % 240 WHERE {who}",
        )


def _fill_log(connection: Connection, people: int, changes: int) -> None:
    """The month's: half moves, the rest marriages and employments that went from the village before to this one."""
    run_sql(connection, _SUBMISSION, id=_ONE, now=utc_now())
    run_sql(connection, _OLD, people=people, id=_ONE)
    place = people
    for code, share, step in _SHARES:
        op, many = TYPES[code][2], changes // share
        run_sql(connection, _NEW.format(code=code, op=op, d="{d}"), before=place, many=many, step=step, id=_ONE)
        place += many
    for batch, first, last in ((1, 1, people), (2, people + 1, place)):
        run_sql(connection, _BATCH, batch=batch, first=first, last=last, id=_ONE, now=utc_now())
    run_sql(connection, "UPDATE {d}.feed_head SET last_seq = :last, last_batch = 2", last=place)
    run_sql(connection, _ROUND, id=new_uuid(), month=BEFORE, people=people, now=utc_now())


_ONE = "00000000-0000-0000-0000-000000000001"
_SUBMISSION = """
INSERT INTO {d}.submission (submission_id, receipt_number, operation_id, organisation, record_type, kind, door, actor,
                            file_name, file_size, file_sha256, stored_as, state, received_at)
VALUES (:id, 'R-1', 'x', 'public_security', 'hukou_move_in', 'regular', 'api', 'x', 'x.csv', 1, 'x', 'x', 'merged', :now)
"""
_OLD = """
INSERT INTO {d}.change_log (seq, batch, record_type, record_id, version, op, areas_after, submission_id, recorded_at)
SELECT i, 1, 'hukou_move_in', md5('hukou_move_in' || i)::uuid, 1, 'new', ARRAY[b.town, b.village], :id, now()
  FROM generate_series(1, :people) i JOIN bench_village b ON b.place = i % 240
"""
_NEW = """
INSERT INTO {d}.change_log (seq, batch, record_type, record_id, version, op, areas_before, areas_after, submission_id,
                            recorded_at)
SELECT :before + row_number() OVER (ORDER BY i), 2, '{code}', md5('{code}' || i)::uuid, 2, '{op}',
       CASE WHEN '{op}' <> 'new' THEN ARRAY[o.town, o.village] END, ARRAY[b.town, b.village], :id, now()
  FROM generate_series(CAST(:step AS integer), CAST(:step AS integer) * CAST(:many AS integer), CAST(:step AS integer)) i
  JOIN bench_village b ON b.place = i % 240 JOIN bench_village o ON o.place = (i + 20) % 240
"""
_BATCH = """
INSERT INTO {d}.feed_batch (batch, from_seq, to_seq, submission_id, content, link, recorded_at)
VALUES (:batch, :first, :last, :id, '', '', :now)
"""
_ROUND = """
INSERT INTO {d}.monthly_round (round_id, month, epoch, after_seq, up_to_seq, opened_at, opened_by, due_on, state)
VALUES (:id, :month, 'x', 0, :people, :now, 'bench', date '2026-10-10', 'closed')
"""
