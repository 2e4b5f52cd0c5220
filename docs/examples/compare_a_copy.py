"""Keep a copy of a slice, compare it with the hub, repair exactly what differs.
HUB_URL=https://hub.example HUB_KEY=… python compare_a_copy.py renshe-moves copy.db"""

import os
import sqlite3
import sys
from collections.abc import Iterator

import msgspec

from adapters.client import Change, HubClient
from adapters.copy_check import HeldRecord, compare_copy

TABLES = """CREATE TABLE IF NOT EXISTS record (id TEXT PRIMARY KEY, change TEXT);
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY, cursor TEXT)"""


class Kept(sqlite3.Connection):
    def load(self) -> str | None:
        cursor: str | None = self.execute("SELECT max(cursor) FROM place").fetchone()[0]
        return cursor

    def save(self, cursor: str) -> None:
        self.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", (cursor,))
        self.commit()

    def apply(self, one: Change) -> None:
        self.execute("DELETE FROM record WHERE id = ?", (one.record_id,))
        if one.op != "leave":
            self.execute("INSERT INTO record VALUES (?, ?)", (one.record_id, msgspec.json.encode(one)))

    def records(self) -> Iterator[HeldRecord]:
        for (kept,) in self.execute("SELECT change FROM record"):
            one = msgspec.json.decode(kept, type=Change)
            yield HeldRecord(
                record_type=one.record_type, record_id=one.record_id, version=one.version, fields=one.after or {},
                person_id=one.person_id, disputed=one.disputed,
            )  # fmt: skip


def main(hub: HubClient, subscription: str, file: str) -> int:
    kept = sqlite3.connect(file, factory=Kept)
    kept.executescript(TABLES)
    for page in hub.changes(subscription, kept):
        for one in page.changes:
            kept.apply(one)
        kept.save(page.next)
    repaired = compare_copy(hub, subscription, kept.load(), kept.records()).repair(kept.apply)
    kept.commit()
    return repaired


if __name__ == "__main__":
    print(main(HubClient(os.environ["HUB_URL"], os.environ["HUB_KEY"]), *sys.argv[1:3]))
