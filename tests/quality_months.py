"""Small months of several senders, planted by the line itself, and the quality figures of them counted by hand.

The count knows nothing of SQL, versions or history tables: it walks over what was planted, in the order it was.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert

from hub.database import new_uuid, run_sql, utc_now
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.oversight.quality import MEASURES, Measure
from hub.tables import row_error, submission
from mappings.catalogue import Catalogue
from tests.doors import OTHER_TOWN, TOWN, identity_number
from tests.staged import stage

ZONE = "Asia/Shanghai"
MONTHS = ("2026-08", "2026-09")
SENDERS = (
    ("resident_roll", TOWN), ("resident_roll", "public_security"), ("hukou_move_in", "public_security"),
    ("employment", "labour"),
)  # fmt: skip
LOGIC, OTHER_CODES = ("E_LOGIC_SEX", "E_DATE_ORDER"), ("E_AREA", "W_PHONE")
_FILLED = {"name": "李伟", "sex": "1", "ethnicity": "01", "reason": "01", "employer": "清溪机械厂", "education": "20"}

Key = tuple[str, str, str]  # organisation, record type, month


@dataclass
class Sent:
    """One submission as it was planted."""

    submission_id: UUID
    organisation: str
    record_type: str
    month: str
    kind: str
    rows: list[dict[str, Any]]
    wrong: set[int] = field(default_factory=set)
    stands: bool = True

    @property
    def key(self) -> Key:
        return self.organisation, self.record_type, self.month


@dataclass
class Months:
    """What was planted so far."""

    catalogue: Catalogue
    sent: list[Sent] = field(default_factory=list)
    verdicts: dict[UUID, str] = field(default_factory=dict)  # record -> the latest by somebody else

    def send(
        self, connection: Connection, organisation: str, code: str, month: str, *rows: dict[str, Any], **facts: Any
    ) -> Sent:
        """Rows go down the line; ``wrong``: row number -> codes of its errors."""
        kind, wrong = facts.get("kind", "regular"), facts.get("wrong", {})
        record_type = self.catalogue.record_types[code]
        submission_id = stage(connection, record_type, list(rows))
        _enter(connection, submission_id, organisation, code, month, kind, len(rows))
        apply_staged(connection, submission_id, organisation, record_type, self.catalogue)
        number_changes(connection, submission_id)
        _note_errors(connection, submission_id, wrong)
        logical = {row_no for row_no, codes in wrong.items() if set(codes) & set(self.catalogue.quality.logic)}
        one = Sent(submission_id, organisation, code, month, kind, list(rows), logical)
        self.sent.append(one)
        return one

    def take_back(self, connection: Connection, one: Sent) -> None:
        """The ledger says so; the figures ask nothing more."""
        undo = new_uuid()
        _enter(connection, undo, one.organisation, one.record_type, one.month, "undo", 0, undoes=one.submission_id)
        one.stands = False

    def verify(self, connection: Connection, town: str, about: dict[UUID, str], day: str) -> None:
        """A town's verdicts; on what it sent itself they do not count."""
        rows = [
            {"name": "李伟", "source_record_id": str(record), "round": day[:7], "result": result, "verified_on": day}
            for record, result in about.items()
        ]
        self.send(connection, town, "town_verification", "2026-12", *rows)


def plant(connection: Connection, catalogue: Catalogue, seed: int) -> Months:
    """Files of all senders over two months: records come again fuller, files are taken back, towns give verdicts."""
    chance, months = random.Random(seed), Months(catalogue)
    for _ in range(14):
        code, organisation = chance.choice(SENDERS)
        rows = [_row(chance, catalogue, code, serial) for serial in chance.sample(range(1, 7), chance.randint(1, 4))]
        wrong = {
            number: chance.sample(LOGIC + OTHER_CODES, 2) for number in range(1, len(rows) + 1) if chance.random() < 0.4
        }
        kind = "backfill" if chance.random() < 0.2 else "regular"
        months.send(connection, organisation, code, chance.choice(MONTHS), *rows, kind=kind, wrong=wrong)
    for one in chance.sample(months.sent, 3):
        months.take_back(connection, one)
    _plant_verdicts(connection, months, chance)
    return months


def _plant_verdicts(connection: Connection, months: Months, chance: random.Random) -> None:
    known = [(record, source) for code, _ in SENDERS for record, source in records_of(connection, code)]
    for day, town in (("2026-09-20", TOWN), ("2026-10-20", OTHER_TOWN), ("2026-11-20", TOWN)):
        about = {record: chance.choice("12345") for record, _ in known if chance.random() < 0.5}
        months.verify(connection, town, about, day)
        said = {record: about[record] for record, source in known if record in about and source != town}
        months.verdicts |= {record: result for record, result in said.items() if result in "123"}


def records_of(connection: Connection, code: str) -> list[tuple[UUID, str]]:
    rows = run_sql(connection, f"SELECT DISTINCT record_id, source FROM {{d}}.rec_{code}")
    return sorted(rows, key=str)  # type: ignore[arg-type]


def _row(chance: random.Random, catalogue: Catalogue, code: str, serial: int) -> dict[str, Any]:
    items = catalogue.quality.of(code).items
    row = {name: value for name, value in _FILLED.items() if name in items and chance.random() < 0.6}
    row |= {"name": "李伟", "id_no": identity_number(serial)}
    own = {"hukou_move_in": {"move_date": _days_ago(serial * 12)}, "employment": {"start_date": _days_ago(serial * 20)}}
    return row | own.get(code, {}) | ({"employer": "清溪机械厂"} if code == "employment" else {})


def _days_ago(days: int) -> str:
    return str((datetime.now(ZoneInfo(ZONE)) - timedelta(days=days)).date())


def _enter(
    connection: Connection,
    submission_id: UUID,
    organisation: str,
    code: str,
    month: str,
    kind: str,
    rows: int,
    **more: Any,
) -> None:
    name, now = submission_id.hex, utc_now()
    facts = {"file_size": 1, "file_sha256": name, "stored_as": name, "received_at": now, "merged_at": now, "facts": {}}
    line = {
        "submission_id": submission_id, "receipt_number": f"HR{name}", "operation_id": name, "organisation": organisation,
        "record_type": code, "period": month, "kind": kind, "door": "command", "actor": "x", "file_name": "x.csv",
        "state": "merged", "received": rows, "accepted": rows,
    }  # fmt: skip
    connection.execute(insert(submission).values(line | facts | more))


def _note_errors(connection: Connection, submission_id: UUID, wrong: dict[int, list[str]]) -> None:
    errors = [
        {"submission_id": submission_id, "row_no": row_no, "error_no": nth, "sheet_row": row_no + 1, "code": code,
         "level": "hold", "field": "sex"}
        for row_no, codes in wrong.items() for nth, code in enumerate(codes)
    ]  # fmt: skip
    if errors:
        connection.execute(insert(row_error), errors)


# ---- the same again, by hand ----


def count_by_hand(connection: Connection, months: Months) -> dict[Key, dict[Measure, tuple[int, int]]]:
    """Organisation, record type, month -> measure -> how many of how many."""
    counted: dict[Key, dict[Measure, list[int]]] = defaultdict(lambda: {measure: [0, 0] for measure in MEASURES})
    for one in months.sent:
        if one.stands:
            logic = counted[one.key]["logic"]
            logic[0], logic[1] = logic[0] + len(one.rows) - len(one.wrong), logic[1] + len(one.rows)
    for (code, organisation, number), versions in _versions(months).items():
        standing = [version for version in versions if version[0].stands]
        if standing:
            record = _record_of(connection, code, organisation, number)
            _count_record(months, counted[standing[0][0].key], *standing[0], versions[-1][1], record)
    return {key: {name: (pair[0], pair[1]) for name, pair in of.items()} for key, of in counted.items()}


def _versions(months: Months) -> dict[tuple[str, str, str], list[tuple[Sent, dict[str, Any]]]]:
    """What was new when it came: the same again, or what was said before, is no version."""
    found: dict[tuple[str, str, str], list[tuple[Sent, dict[str, Any]]]] = defaultdict(list)
    for one in months.sent:
        for row in one.rows if one.record_type != "town_verification" else ():
            record = (one.record_type, one.organisation, f"{row['id_no']}{row.get('start_date')}{row.get('move_date')}")
            if row not in [known for _, known in found[record]]:
                found[record].append((one, row))
    return found


def _record_of(connection: Connection, code: str, organisation: str, number: str) -> UUID:
    day = {"hukou_move_in": "move_date::text", "employment": "start_date::text"}.get(code)
    key = f"id_no || {f'{day} || $$None$$' if day == 'start_date::text' else f'$$None$$ || {day}' if day else '$$NoneNone$$'}"
    found = run_sql(
        connection, f"SELECT record_id FROM {{d}}.rec_{code} WHERE source = :source AND {key} = :number",
        source=organisation, number=number,
    )  # fmt: skip
    return found[0][0]  # type: ignore[return-value]


def _count_record(
    months: Months, of: dict[Measure, list[int]], first: Sent, row: dict[str, Any], now: dict[str, Any], record: UUID
) -> None:
    rules = months.catalogue.quality.of(first.record_type)
    for measure, version in (("completeness", row), ("completed", now)):
        _add(of[measure], sum(1 for item in rules.items if version.get(item)), len(rules.items))  # type: ignore[index]
    day = row.get("move_date") or row.get("start_date")
    if day and first.kind == "regular":
        passed = (datetime.now(ZoneInfo(ZONE)).date() - datetime.fromisoformat(day).date()).days
        _add(of["timeliness"], int(passed <= (rules.days or 0)), 1)
    if record in months.verdicts:
        _add(of["accuracy"], int(months.verdicts[record] == "1"), 1)


def _add(pair: list[int], good: int, all_of_them: int) -> None:
    pair[0], pair[1] = pair[0] + good, pair[1] + all_of_them
