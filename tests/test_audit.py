"""What was done cannot be undone unseen: lines, seals, and what their verification finds."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert, select, update

from hub import audit
from hub.audit import seals
from hub.database import Database, utc_now
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.tables import audit as audit_table
from hub.tables import audit_seal


def write_lines(database: Database, count: int = 3) -> None:
    with database.begin() as connection:
        for number in range(count):
            audit.record(connection, SYSTEM_ACTOR, Right.SUBMIT, f"submission/{number}", count=number)


def seal(database: Database) -> int:
    with database.begin() as connection:
        return audit.seal(connection, utc_now())


def findings(database: Database, anchor: audit.Anchor | None = None) -> list[str]:
    with database.read() as connection:
        return audit.verify(connection, anchor)


def test_a_line_says_who_did_what_to_which(database: Database) -> None:
    write_lines(database, 1)
    with database.read() as connection:
        line = connection.execute(select(audit_table)).one()
    assert (line.actor, line.organisation, line.door) == ("job", "hub", "job")
    assert (line.act, line.object, line.outcome, line.facts) == ("submit", "submission/0", "done", {"count": 0})
    assert line.audit_id.version == 7


def test_the_web_door_can_write_lines_and_read_none(app_database: Database) -> None:
    write_lines(app_database)
    with app_database.begin() as connection, pytest.raises(Exception, match="permission denied"):
        connection.execute(select(audit_table))


@pytest.mark.parametrize("number", ["999001199001011237", "99900119900101123X", "99900119900101123x"])
def test_an_identity_number_is_never_written(database: Database, number: str) -> None:
    with database.begin() as connection:
        with pytest.raises(AssertionError):
            audit.record(connection, SYSTEM_ACTOR, Right.SUBMIT, "person", filter={"id_no": [number]})
        with pytest.raises(AssertionError):
            audit.record(connection, SYSTEM_ACTOR, Right.SUBMIT, f"person/{number}")
        assert connection.execute(select(audit_table)).all() == []


def test_digests_and_receipt_numbers_are_no_identity_numbers(database: Database) -> None:
    with database.begin() as connection:
        audit.record(connection, SYSTEM_ACTOR, Right.SUBMIT, str(uuid4()), sha256="1" * 17 + "a" + "2" * 46)


def test_a_line_is_rolled_back_with_its_act(database: Database) -> None:
    with pytest.raises(RuntimeError), database.begin() as connection:
        audit.record(connection, SYSTEM_ACTOR, Right.SUBMIT, "submission/1")
        raise RuntimeError("the act failed")
    with database.read() as connection:
        assert connection.execute(select(audit_table)).all() == []


def test_every_line_is_sealed_once(database: Database) -> None:
    write_lines(database)
    assert seal(database) == 3
    assert seal(database) == 0
    write_lines(database, 2)
    assert seal(database) == 2
    assert findings(database) == []
    with database.read() as connection:
        made = connection.execute(select(audit_seal).order_by(audit_seal.c.seal_no)).all()
    assert [len(one.audit_ids) for one in made] == [3, 2]


def test_a_long_backlog_is_sealed_in_several_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "ROWS_PER_SEAL", 2)
    write_lines(database, 5)
    assert seal(database) == 5
    assert findings(database) == []
    with database.read() as connection:
        head = audit.head(connection)
    assert head is not None and head[0] == 3


def test_a_line_committed_after_a_later_one_was_sealed_is_sealed_next(database: Database) -> None:
    with database.begin() as slow:
        audit.record(slow, SYSTEM_ACTOR, Right.SUBMIT, "submission/slow")
        write_lines(database, 2)
        assert seal(database) == 2
    assert seal(database) == 1
    assert findings(database) == []


def test_an_edited_line_is_found(database: Database, owner_database: Database) -> None:
    write_lines(database)
    seal(database)
    with owner_database.begin() as connection:
        connection.execute(update(audit_table).where(audit_table.c.object == "submission/1").values(actor="another"))
    assert len(findings(database)) == 1
    assert "edited" in findings(database)[0]


def test_a_deleted_line_is_found(database: Database, owner_database: Database) -> None:
    write_lines(database)
    seal(database)
    with owner_database.begin() as connection:
        connection.execute(delete(audit_table).where(audit_table.c.object == "submission/1"))
    assert [("deleted" in each) for each in findings(database)] == [True]


def test_a_line_inserted_into_sealed_time_is_found_and_never_sealed(
    database: Database, owner_database: Database
) -> None:
    write_lines(database)
    seal(database)
    line = {"audit_id": uuid4(), "at": utc_now() - timedelta(days=3), "actor": "job", "organisation": "hub"}
    with owner_database.begin() as connection:
        connection.execute(insert(audit_table), [line | {"door": "job", "act": "submit", "object": "x", "facts": {}}])
    assert [("inserted" in each) for each in findings(database)] == [True]
    assert seal(database) == 0


def test_a_removed_seal_is_found(database: Database, owner_database: Database) -> None:
    for _ in range(3):
        write_lines(database, 1)
        seal(database)
    with owner_database.begin() as connection:
        connection.execute(delete(audit_seal).where(audit_seal.c.seal_no == 2))
    assert any("Seal 2 is missing" in each for each in findings(database))


def test_a_seal_rewritten_with_its_lines_no_longer_follows(database: Database, owner_database: Database) -> None:
    for _ in range(2):
        write_lines(database, 1)
        seal(database)
    with owner_database.begin() as connection:
        forged = update(audit_seal).where(audit_seal.c.seal_no == 1)
        connection.execute(forged.values(link=audit.link_of(audit.FIRST_LINK, 1, b"forged"), content=b"forged"))
    found = findings(database)
    assert any("Seal 2 does not follow" in each for each in found)
    assert any("edited" in each for each in found)


def test_a_cut_off_end_is_found_by_what_was_published(database: Database, owner_database: Database) -> None:
    write_lines(database, 1)
    seal(database)
    with database.read() as connection:
        published = audit.head(connection)
    assert findings(database, published) == []
    with owner_database.begin() as connection:
        connection.execute(delete(audit_seal))
        connection.execute(delete(audit_table))
    assert findings(database) == []
    assert [("published" in each) for each in findings(database, published)] == [True]


def test_an_exported_audit_is_verified_away_from_the_hub(database: Database) -> None:
    write_lines(database)
    seal(database)
