"""What cannot be written to the audit is not done; and no role of the hub can undo what was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import ProgrammingError

from hub import audit
from hub.audit import AuditUnavailable
from hub.audit import lines as audit_lines
from hub.database import Database
from hub.embedded import Urls
from hub.exchange.receive import remove_orphans
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import AccountPolicy, Settings
from hub.tables import delivery, submission, web_session
from mappings.catalogue import Catalogue
from tests.doors import THIS_MONTH, Hub, csv_of, founded_hub, move_in
from tests.test_panel import OWN, sign_in

SENTENCE = "无法写入审计，操作未执行"
SEND = "/v1/submissions?type=hukou_move_in&period=" + THIS_MONTH
PULL = "/v1/subscriptions/labour-moves/changes"
TABLES = ("audit", "audit_seal", "audit_archive")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, accounts=AccountPolicy(second_factor_roles=()))


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        with app_database.begin(reach_of(SYSTEM_ACTOR)) as connection:
            create_subscription(
                connection, SYSTEM_ACTOR, catalogue, code="labour-moves", organisation="labour", title="迁入人员",
                definition=SliceDefinition((SliceType("hukou_move_in", ("name", "id_no", "move_date")),)),
                terms=Terms(purpose="就业服务", legal_basis="政务数据共享条例第二十条"),
            )  # fmt: skip
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


def send(client: TestClient[Litestar], hub: Hub, serial: int) -> Any:
    headers = {**hub.key_of("public_security"), "Content-Type": "text/csv", "Idempotency-Key": f"key-{serial}"}
    return client.post(SEND, content=csv_of(move_in(serial)), headers=headers)


def let_write(urls: Urls, settings: Settings, *, allowed: bool) -> None:
    how = "GRANT INSERT ON {}.audit TO" if allowed else "REVOKE INSERT ON {}.audit FROM"
    with psycopg.connect(urls.superuser.replace("+psycopg", ""), autocommit=True) as superuser:
        superuser.execute(f"{how.format(settings.district)} hub_app, hub_worker, hub_care")


def counted(owner_database: Database) -> tuple[int, ...]:
    with owner_database.begin() as connection:
        tables = (submission, delivery)
        return tuple(connection.execute(select(func.count()).select_from(each)).scalar_one() for each in tables)


def stored_files(settings: Settings) -> int:
    return sum(1 for path in settings.files.rglob("*") if path.is_file())


def test_nothing_is_sent_pulled_read_or_entered_while_the_audit_cannot_be_written(
    client: TestClient[Litestar], hub: Hub, urls: Urls, settings: Settings, owner_database: Database
) -> None:
    assert send(client, hub, 1).status_code == 202
    hub.work()
    with TestClient(hub.app, base_url="https://hub.test") as town:
        town.headers.update(OWN)
        sign_in(town, "qingxi")
        assert "王小明" in town.get("/changes").text
        before = counted(owner_database), stored_files(settings)
        let_write(urls, settings, allowed=False)
        page = town.get("/changes")
        assert (page.status_code, SENTENCE in page.text, "王小明" in page.text) == (503, True, False)
        workbook = town.get("/changes.xlsx", params={"month": THIS_MONTH})
        assert (workbook.status_code, SENTENCE in workbook.text) == (503, True)
    sent, pulled = send(client, hub, 2), client.get(PULL, headers=hub.key_of("labour"))
    for answer in (sent, pulled):
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:hub:problem:audit-unavailable")
        assert SENTENCE in answer.json()["title"]
    assert "data" not in pulled.json()
    with owner_database.begin() as connection:
        remove_orphans(connection, settings, older_than_seconds=-1)  # the hourly tidying: bytes without a ledger row
    assert (counted(owner_database), stored_files(settings)) == before
    let_write(urls, settings, allowed=True)
    assert len(client.get(PULL, headers=hub.key_of("labour")).json()["data"]) == 1


def test_nobody_signs_in_unrecorded(
    client: TestClient[Litestar], urls: Urls, settings: Settings, owner_database: Database
) -> None:
    client.headers.update(OWN)
    let_write(urls, settings, allowed=False)
    for password in ("秋水长天-2026", "wrong"):
        answer = sign_in(client, "gongan", password)
        assert (answer.status_code, SENTENCE in answer.text) == (503, True)
    assert client.get("/submissions", follow_redirects=False).status_code == 303
    with owner_database.begin() as connection:
        assert connection.execute(select(web_session).where(web_session.c.account_id.is_not(None))).all() == []


def test_without_this_refusal_the_pull_would_go_on(
    client: TestClient[Litestar], hub: Hub, urls: Urls, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defence is the insert itself: swallowed, the data flows."""
    send(client, hub, 1)
    hub.work()
    let_write(urls, settings, allowed=False)
    monkeypatch.setattr(audit_lines, "_insert", lambda connection, line: None)
    assert len(client.get(PULL, headers=hub.key_of("labour")).json()["data"]) == 1


def test_an_act_is_undone_with_its_line(app_database: Database, urls: Urls, settings: Settings) -> None:
    let_write(urls, settings, allowed=False)
    with pytest.raises(AuditUnavailable), app_database.begin() as connection:
        audit.record(connection, SYSTEM_ACTOR, Right.SUBMIT, "submission/1")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", ["app", "worker", "read", "audit"])
def test_no_role_of_the_hub_can_change_or_delete_a_line(urls: Urls, settings: Settings, role: str, table: str) -> None:
    column = {"audit": "actor", "audit_seal": "seal_no", "audit_archive": "file_name"}[table]
    engine = create_engine(getattr(urls, role))
    for statement in (f"UPDATE {{}} SET {column} = {column}", "DELETE FROM {}", "TRUNCATE {}"):
        with engine.begin() as connection, pytest.raises(ProgrammingError, match="permission denied"):
            connection.execute(text(statement.format(f"{settings.district}.{table}")))
    engine.dispose()


@pytest.mark.parametrize("table", TABLES)
def test_the_web_door_reads_no_audit(app_database: Database, settings: Settings, table: str) -> None:
    with app_database.begin() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text(f"SELECT FROM {settings.district}.{table}"))
