"""Follow a slice into a local database: killed anywhere, nothing is lost and nothing doubled.
HUB_URL=https://hub.example HUB_KEY=… python follow_a_slice.py renshe-moves slice.db"""

import json
import os
import sqlite3
import sys

from adapters.client import HubClient

TABLES = """CREATE TABLE IF NOT EXISTS record (id TEXT PRIMARY KEY, fields TEXT);
CREATE TABLE IF NOT EXISTS history (delivery_no INTEGER, op TEXT, id TEXT);
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY, cursor TEXT, delivery_no INTEGER, digest TEXT)"""


class Kept(sqlite3.Connection):
    def load(self) -> str | None:
        return self.execute("SELECT max(cursor) FROM place").fetchone()[0]

    def save(self, cursor: str) -> None:
        self.execute(
            "INSERT INTO place (one, cursor) VALUES (1, ?) ON CONFLICT DO UPDATE SET cursor = ?", (cursor, cursor)
        )
        self.commit()  # what was written since the last commit, and the cursor: one transaction


hub, kept = HubClient(os.environ["HUB_URL"], os.environ["HUB_KEY"]), sqlite3.connect(sys.argv[2], factory=Kept)
kept.executescript(TABLES)
for delivery_no, digest in kept.execute("SELECT delivery_no, digest FROM place WHERE digest IS NOT NULL").fetchall():
    hub.acknowledge_to(sys.argv[1], delivery_no, digest)  # should it have died before it could
for page in hub.changes(sys.argv[1], kept):
    for one in page.changes:
        kept.execute("INSERT INTO history VALUES (?, ?, ?)", (one.delivery_no, one.op, one.record_id))
        kept.execute("DELETE FROM record WHERE id = ?", (one.record_id,))
        if one.op != "leave":
            kept.execute("INSERT INTO record VALUES (?, ?)", (one.record_id, json.dumps(one.after)))
    last = page.changes[-1].delivery_no
    kept.execute("INSERT OR REPLACE INTO place VALUES (1, ?, ?, ?)", (page.next, last, page.digest))
    kept.save(page.next)
    hub.acknowledge(page)
