"""A superuser of the database without the hub's keys: whatever is done to the audit by hand is found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import msgspec
import psycopg
import pytest
from sqlalchemy import select, update

from hub import audit
from hub.database import Database, utc_now
from hub.embedded import Urls
from hub.keyring import Keyring
from hub.operations import audit_anchors
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from hub.tables import audit_seal

Superuser = psycopg.Connection[tuple[object, ...]]

SEED, ATTACKS = 20261122, 100
EDITS = {
    "audit_id": "gen_random_uuid()",
    "at": "at + random() * interval '400 days' - interval '200 days'",
    "actor": "actor || 'x'",
    "organisation": "'labour'",
    "door": "'sftp'",
    "act": "'pull-slice'",
    "object": "object || '0'",
    "outcome": "CASE outcome WHEN 'done' THEN 'refused' ELSE 'done' END",
    "facts": "(ARRAY['{}', '[1]', 'null', '{\"count\": 70}']::jsonb[])[1 + floor(random() * 4)]",
    "address": "'10.9.9.' || floor(random() * 200)",
    "mac": "(ARRAY[NULL, '\\x00', sha256('x')])[1 + floor(random() * 3)]",
}
SEAL_EDITS = {
    "seal_no": "seal_no + 1000",
    "audit_ids": "audit_ids[2:] || audit_ids[1:1]",
    "content": "sha256(content)",
    "link": "sha256(link)",
    "sealed_at": "sealed_at + interval '1 microsecond'",
}
WHENEVER = "now() - interval '3 years' + random() * interval '4 years'"


@pytest.fixture
def key(settings: Settings) -> bytes:
    return Keyring.load(settings.home).audit_key


@pytest.fixture
def marked(urls: Urls, settings: Settings, key: bytes) -> Iterator[Database]:
    """The worker's database, as the hub itself opens it: its lines carry the hub's mark."""
    opened = Database(urls.worker, settings.district, audit_key=key)
    yield opened
    opened.close()


@pytest.fixture
def superuser(urls: Urls, settings: Settings) -> Iterator[Superuser]:
    with psycopg.connect(urls.superuser.replace("+psycopg", "")) as connection:
        connection.execute(f"SET search_path = {settings.district}")
        connection.commit()
        yield connection
        connection.rollback()


def write(database: Database, count: int = 5) -> None:
    who = Actor(name="k1", organisation="health", kind="department", door="api", rights=frozenset(), address="10.0.0.1")
    with database.begin() as connection:
        for number in range(count):
            audit.record(connection, who, Right.SUBMIT, f"submission/{number}", count=number, share=0.25)


def keep(database: Database, settings: Settings) -> None:
    audit_anchors.keep(database, settings, Keyring.load(settings.home), utc_now())


def findings(database: Database, settings: Settings, key: bytes | None) -> list[str]:
    public = Keyring.load(settings.home).public_keys
    anchors, found = audit.read_anchors(audit_anchors.written_anchors(settings), public)
    with database.read() as connection:
        return found + audit.verify(connection, key=key, published=anchors)


def attacks() -> list[str]:
    """One statement each, at a row of its own choosing; deletions only where a seal already names the line."""
    chance = random.Random(SEED)
    row = "ctid = (SELECT ctid FROM audit ORDER BY md5(audit_id::text || '{}') LIMIT 1)"
    sealed = "audit_id = (SELECT unnest(audit_ids) AS i FROM audit_seal ORDER BY md5('{}' || seal_no) LIMIT 1)"
    a_seal = "seal_no = (SELECT seal_no FROM audit_seal ORDER BY md5('{}' || seal_no) LIMIT 1)"
    made = [f"UPDATE audit SET {name} = {how} WHERE {row}" for name, how in EDITS.items()]
    made += [f"UPDATE audit_seal SET {name} = {how} WHERE {a_seal}" for name, how in SEAL_EDITS.items()]
    made += [f"DELETE FROM audit WHERE {sealed}", f"DELETE FROM audit_seal WHERE {a_seal}"]
    copied = "actor, organisation, door, act, object, outcome, facts, address"
    for at, mac in (
        (WHENEVER, "mac"),
        ("now()", "mac"),
        (WHENEVER, "NULL"),
        ("now()", "NULL"),
        ("now()", "sha256('{}')"),
    ):
        line = f"SELECT gen_random_uuid(), {at}, {copied}, {mac} FROM audit WHERE {row}"
        made.append(f"INSERT INTO audit (audit_id, at, {copied}, mac) {line}")
    made.append(
        "INSERT INTO audit_seal SELECT max(seal_no) + 1, ARRAY[gen_random_uuid()], sha256('{}'), sha256('x'), now() FROM audit_seal"
    )
    return [made[number % len(made)].replace("'{}'", f"'{chance.random()}'") for number in range(ATTACKS)]


def prepare(marked: Database, settings: Settings) -> None:
    """Four seals, the last of them anchored, and lines that wait for one."""
    for _ in range(4):
        write(marked)
        keep(marked, settings)
    write(marked, 3)


def test_every_one_of_a_hundred_attacks_is_found(
    marked: Database, settings: Settings, key: bytes, superuser: Superuser
) -> None:
    prepare(marked, settings)
    assert findings(marked, settings, key) == []
    unseen = []
    for attack in attacks():
        save(superuser)
        touched = superuser.execute(attack).rowcount
        superuser.commit()
        if touched != 1 or findings(marked, settings, key) == []:
            unseen.append((touched, attack))
        restore(superuser)
    assert unseen == []
    assert findings(marked, settings, key) == []


def save(superuser: Superuser) -> None:
    for table in ("audit", "audit_seal"):
        superuser.execute(f"CREATE TEMPORARY TABLE saved_{table} AS TABLE {table}")


def restore(superuser: Superuser) -> None:
    for table in ("audit", "audit_seal"):
        superuser.execute(f"DELETE FROM {table}")
        superuser.execute(f"INSERT INTO {table} TABLE saved_{table}")
        superuser.execute(f"DROP TABLE saved_{table}")
    superuser.commit()


def test_without_marks_a_line_smuggled_in_before_its_seal_is_not_found(
    marked: Database, settings: Settings, key: bytes, superuser: Superuser
) -> None:
    """The mark is what finds it: without the key, a line written by hand is sealed like any other."""
    write(marked)
    superuser.execute(
        "INSERT INTO audit (audit_id, at, actor, organisation, door, act) VALUES (gen_random_uuid(), now(), 'a', 'b', 'c', 'd')"
    )
    superuser.commit()
    assert len(findings(marked, settings, key)) == 1
    keep(marked, settings)
    assert findings(marked, settings, None) == []
    assert [("not written by the hub" in each) for each in findings(marked, settings, key)] == [True]


def forge_everything(superuser: Superuser) -> None:
    """Edit one line and compute content and links anew, as the hub itself would."""
    superuser.execute("UPDATE audit SET actor = 'another' WHERE object = 'submission/1'")
    link = audit.FIRST_LINK
    seals = superuser.execute("SELECT seal_no, audit_ids, sealed_at FROM audit_seal ORDER BY seal_no").fetchall()
    for seal_no, ids, sealed_at in seals:
        assert isinstance(ids, list)
        content = audit.content_of(_written(superuser, each) for each in ids)
        assert isinstance(seal_no, int) and isinstance(sealed_at, datetime)
        link = audit.link_of(link, seal_no, content, sealed_at)
        superuser.execute("UPDATE audit_seal SET content = %s, link = %s WHERE seal_no = %s", (content, link, seal_no))
    superuser.commit()


def _written(superuser: Superuser, audit_id: object) -> bytes:
    names = audit.AuditLine.__struct_fields__
    row = superuser.execute(f"SELECT {', '.join(names)} FROM audit WHERE audit_id = %s", (audit_id,)).fetchone()
    assert row is not None
    return audit.canonical(msgspec.convert(dict(zip(names, row, strict=True)), audit.AuditLine))


def test_a_chain_computed_anew_is_found_by_the_marks_and_by_the_anchors(
    marked: Database, settings: Settings, key: bytes, superuser: Superuser
) -> None:
    prepare(marked, settings)
    superuser.execute("SET timezone = 'UTC'")
    forge_everything(superuser)
    with marked.read() as connection:
        assert audit.verify(connection) == []  # the chain alone is deceived
        by_mark = audit.verify(connection, key=key)
    assert by_mark and all("not written by the hub" in each for each in by_mark)
    by_anchor = findings(marked, settings, None)
    assert by_anchor and all("published seal" in each for each in by_anchor)


def test_an_audit_cut_back_to_an_earlier_seal_is_found_by_the_anchors(
    marked: Database, settings: Settings, key: bytes, superuser: Superuser
) -> None:
    prepare(marked, settings)
    superuser.execute(
        "DELETE FROM audit WHERE audit_id NOT IN (SELECT unnest(audit_ids) FROM audit_seal WHERE seal_no < 3)"
    )
    superuser.execute("DELETE FROM audit_seal WHERE seal_no >= 3")
    superuser.commit()
    with marked.read() as connection:
        assert audit.verify(connection, key=key) == []
    assert [("published seal 3" in each, "published seal 4" in each) for each in findings(marked, settings, key)] == [
        (True, False),
        (False, True),
    ]


def test_an_anchor_written_by_hand_is_found(marked: Database, settings: Settings, key: bytes) -> None:
    prepare(marked, settings)
    path = audit_anchors.anchors_file(settings)
    path.write_bytes(path.read_bytes().replace(b'"lines":5,', b'"lines":6,'))
    assert [("Line 1 of the anchors" in each) for each in findings(marked, settings, key)] == [True]


def test_an_instant_no_calendar_has_is_a_finding_and_no_crash(
    marked: Database, settings: Settings, key: bytes, superuser: Superuser
) -> None:
    prepare(marked, settings)
    superuser.execute("UPDATE audit SET at = 'infinity' WHERE ctid = (SELECT min(ctid) FROM audit)")
    superuser.execute(
        "UPDATE audit_seal SET sealed_at = '-infinity', audit_ids = ARRAY[audit_ids, audit_ids] WHERE seal_no = 2"
    )
    superuser.commit()
    assert len(findings(marked, settings, key)) >= 2


def test_lines_from_before_there_were_marks_keep_their_digest_and_are_exempt_when_sealed(
    marked: Database, database: Database, owner_database: Database, settings: Settings, key: bytes
) -> None:
    old = audit.AuditLine(
        audit_id=UUID("01930000-0000-7000-8000-000000000001"),
        at=datetime.fromisoformat("2026-01-02T03:04:05+00:00"), actor="job", organisation="hub", door="job",
        act="submit", object="submission/1", outcome="done", facts={"count": 1},
    )  # fmt: skip
    assert (
        audit.content_of([audit.canonical(old)]).hex()
        == "c93298ad71353a8502231f39ffc7755377403e44c54e0bda2e936b46af3fe1d7"
    )
    write(database)  # opened without a key: as the hub wrote before
    assert len(findings(database, settings, key)) == 5
    with database.begin() as connection:
        audit.seal(connection, utc_now())
    link_as_before(owner_database)
    write(marked)
    assert findings(marked, settings, key) == []
    write(database, 1)
    keep(marked, settings)
    assert len(findings(marked, settings, key)) == 1


def link_as_before(owner_database: Database) -> None:
    """The first hubs did not link the instant of sealing."""
    with owner_database.begin() as connection:
        content = connection.execute(select(audit_seal.c.content)).scalar_one()
        link = audit.link_of(audit.FIRST_LINK, 1, content)
        connection.execute(update(audit_seal).values(link=link))
