"""One hub whose processes are killed: what was sent to it, how it is killed and brought back, and what must then be true."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import Connection, insert, select

from hub import audit, jobs
from hub.database import Database, run_sql, utc_now
from hub.embedded import Urls
from hub.exchange import receipts, receive
from hub.exchange.changelog import verify_feed
from hub.keyring import Keyring
from hub.settings import Settings, load_settings
from hub.tables import organisation, submission
from mappings.catalogue import Catalogue
from tests.factories import distinct_name
from tests.faults.forks import Forks, submit
from tests.sheets import identity_number

ROWS = 20
KILLED = -9
LONGEST_RECOVERY_SECONDS = 60.0
HEADERS = "卡片编号,死者姓名,性别,有效身份证件类别,证件号码,出生日期,死亡日期"
CLIENT_POINTS = (
    "receive.first_bytes", "receive.mid_stream", "receive.before_fsync", "receive.after_fsync", "receive.before_rename",
    "receive.after_rename", "receive.before_ledger", "receive.after_ledger", "accept.before_enqueue", "accept.before_commit",
    "accept.after_commit",
)  # fmt: skip
WORKER_POINTS = (
    "job.started", "pipeline.start", "parse.before", "check.batch", "staging.copied", "staging.before_commit",
    "staging.after_commit", "link.before", "link.after", "merge.before", "merge.after", "receipt.before", "receipt.after",
    "changelog.before_counter", "changelog.after_counter", "pipeline.before_commit", "pipeline.after_commit", "job.done",
)  # fmt: skip
_LARGE = 1_200_000  # bytes: more than one chunk, so that the stream has a middle


@dataclass
class Sent:
    """A file and what its sender was told: every receipt number the command printed."""

    path: Path
    sha256: str
    keys: frozenset[str]
    told: list[str] = field(default_factory=list)


class KilledHub:
    """A founded hub in its own database and home."""

    def __init__(self, urls: Urls, home: Path, forks: Forks, catalogue: Catalogue) -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "hub.toml").write_text('fictitious_prefixes = ["999001"]\ndemo = true\n')
        self.urls, self.home, self.forks, self.catalogue = urls, home, forks, catalogue
        self.environment = {
            "HUB_HOME": str(home), "HUB_DATABASE_URL": urls.app, "HUB_OWNER_URL": urls.owner, "HUB_WORKER_URL": urls.worker,
        }  # fmt: skip
        self.settings: Settings = load_settings(
            home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, fictitious_prefixes=("999001",)
        )
        self.database = Database(urls.owner, self.settings.district)
        self.worker = Database(urls.worker, self.settings.district)
        self.sent: list[Sent] = []
        self.output = home / "output"
        with self.database.begin() as connection:
            health = {"code": "health", "district": self.settings.district, "name": "卫健局", "kind": "department"}
            connection.execute(insert(organisation), [health])

    def write(self, *, large: bool = False) -> Sent:
        """Another file of new deaths; nobody in it is in a file before."""
        number = len(self.sent)
        lines = [_death_line(number * ROWS + place) for place in range(ROWS)]
        padding = (" " * 999 + "\n") * (_LARGE // 1000) if large else ""
        content = "\n".join([HEADERS, *lines, padding]).encode("utf-8-sig")
        path = self.home / f"deaths-{number}.csv"
        path.write_bytes(content)
        sent = Sent(path, hashlib.sha256(content).hexdigest(), frozenset(line.split(",")[0] for line in lines))
        self.sent.append(sent)
        return sent

    def submit(self, sent: Sent, fault: str = "", *, broken: str = "", die_after: float = 0.0) -> int:
        """Send the file from a process of its own; what it told its sender is kept, even if it died afterwards."""
        status = self._run(["submit", str(sent.path)], fault, broken, die_after)
        sent.told += re.findall(r'"receipt": ?"([^"]+)"', self.output.read_text("utf-8", "replace"))
        return status

    def submit_here(self, sent: Sent) -> None:
        """Send the file from this process, which nothing kills."""
        sent.told.append(submit(self.worker, self.settings, sent.path, self.catalogue).receipt_number)

    def work(self, fault: str = "", *, broken: str = "", die_after: float = 0.0) -> int:
        """Do what is queued in a process of its own, then end."""
        return self._run(["work"], fault, broken, die_after)

    def recover(self) -> float:
        """Work until every submission is final, as the worker started next would; how many seconds that took."""
        started = time.monotonic()
        while self._unfinished():
            assert time.monotonic() < started + LONGEST_RECOVERY_SECONDS, "stuck"
            jobs.work(self.worker, self.settings, wait=False)
            time.sleep(0.02)  # the dead worker's connection, or a retry's moment
        return time.monotonic() - started

    def _unfinished(self) -> bool:
        with self.database.begin() as connection:
            waiting = "SELECT 1 FROM jobs.procrastinate_jobs WHERE status IN ('todo', 'doing')"
            return bool(
                run_sql(connection, f"SELECT 1 FROM {{d}}.submission WHERE state <> 'merged' UNION ALL {waiting}")
            )

    def _run(self, arguments: list[str], fault: str, broken: str, die_after: float) -> int:
        environment = {**self.environment, "HUB_FAULT": fault}
        return self.forks.run(arguments, environment, self.output, broken=broken, die_after=die_after)

    def damage(self) -> list[str]:
        """Everything that is not as it must be after all files were sent and worked; empty when nothing is wrong."""
        with self.database.begin() as connection:
            receive.remove_orphans(connection, self.settings, older_than_seconds=-1.0)
            return [
                *self._in_the_ledger(connection),
                *self._in_the_register(connection),
                *self._in_the_feed(connection),
            ]

    def _in_the_ledger(self, connection: Connection) -> list[str]:
        rows = connection.execute(select(submission)).all()
        keys = Keyring.load(self.home).public_keys
        found = [
            f"{count} submissions of one file"
            for count in Counter(row.file_sha256 for row in rows).values()
            if count != 1
        ]
        if {row.file_sha256 for row in rows} != {sent.sha256 for sent in self.sent}:
            found.append("the ledger's files are not those that were sent")
        numbers = {row.file_sha256: row.receipt_number for row in rows}
        found += [f"told {told}, lost" for sent in self.sent for told in sent.told if numbers.get(sent.sha256) != told]
        for row in rows:
            counts = (row.received, row.accepted, row.unchanged, row.held, row.refused)
            if row.state != "merged" or counts != (ROWS, ROWS, 0, 0, 0):
                found.append(f"state {row.state}, counts {counts}")
            if not row.receipt or not receipts.verify(row.receipt, keys):
                found.append("a receipt is missing or false")
            if hashlib.sha256((self.settings.files / row.stored_as).read_bytes()).hexdigest() != row.file_sha256:
                found.append("stored bytes differ")
        stored = [path for path in self.settings.files.rglob("*") if path.is_file()]
        if len(stored) != len(rows):
            found.append(f"{len(stored)} files for {len(rows)} submissions")
        audit.seal(connection, utc_now())  # no later: a job of the timetable may write a line after us
        return found + audit.verify(connection)

    def _in_the_register(self, connection: Connection) -> list[str]:
        expected = {key for sent in self.sent for key in sent.keys}
        records = run_sql(connection, "SELECT cert_no, version FROM {d}.rec_death_certificate")
        found = [f"record in version {version}" for _, version in records if version != 1]
        if Counter(str(key) for key, _ in records) != Counter(expected):
            found.append(f"{len(records)} records for {len(expected)} sent rows")
        leftovers = {
            "rec_death_certificate_history": 0, "stg_death_certificate": 0, "difference": 0,
            "person": len(expected), "person_identifier": len(expected), "operation": len(self.sent),
        }  # fmt: skip
        for table, wanted in leftovers.items():
            (count,) = run_sql(connection, f"SELECT count(*) FROM {{d}}.{table}")[0]
            if count != wanted:
                found.append(f"{table}: {count} rows instead of {wanted}")
        waiting = run_sql(
            connection, "SELECT count(*) FROM jobs.procrastinate_jobs WHERE status IN ('todo', 'doing', 'failed')"
        )
        return found + ([f"{waiting[0][0]} jobs left"] if waiting[0][0] else [])

    def _in_the_feed(self, connection: Connection) -> list[str]:
        found = verify_feed(connection, self.catalogue)
        changes = run_sql(
            connection, "SELECT count(*), count(DISTINCT record_id) FROM {d}.change_log WHERE op = 'new'"
        )[0]
        if changes != (len(self.sent) * ROWS, len(self.sent) * ROWS):
            found.append(f"changes {changes} for {len(self.sent)} files")
        batches = run_sql(connection, "SELECT count(*), count(DISTINCT submission_id) FROM {d}.feed_batch")[0]
        if batches != (len(self.sent), len(self.sent)):
            found.append(f"batches {batches} for {len(self.sent)} files")
        return found

    def close(self) -> None:
        self.database.close()
        self.worker.close()


def _death_line(number: int) -> str:
    born = date(1930, 1, 1) + timedelta(days=number // 400)
    order = 2 * (number % 400) + 1
    return f"SW{number:06d},{distinct_name(number)},1,01,{identity_number(f'{born:%Y%m%d}', order)},{born},2026-11-03"


def kill_worker(hub: KilledHub, point: str) -> tuple[int, float]:
    """One trial: a new file is received, its worker dies at ``point``, others go on. How it ended; seconds to recover."""
    sent = hub.write()
    hub.submit_here(sent)
    return hub.work(f"{point}:1"), hub.recover()


def kill_sender(hub: KilledHub, point: str) -> int:
    """One trial: the sender dies at ``point``, then sends the same bytes again. How it ended."""
    sent = hub.write(large=point == "receive.mid_stream")
    killed = hub.submit(sent, f"{point}:1")
    hub.submit_here(sent)
    return killed
