"""The auditor's check from the panel: all lines, or the newest from a signed anchor; what was changed is found."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub import audit
from hub.app import create_app
from hub.database import Database, utc_now
from hub.embedded import Urls
from hub.keyring import Keyring
from hub.operations import audit_anchors
from hub.operations.audit_checking import check_audit
from hub.registry.permissions import ROLES, Actor, Right
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.doors import founded_hub
from tests.test_audit_search import AUDITOR, WEB
from tests.test_audit_search import settings as settings
from tests.test_panel import OWN, sign_in, token_of

CLERK = Actor(name="k1", organisation="health", kind="department", door="api", rights=ROLES["department_clerk"])


@pytest.fixture
def keyring(settings: Settings) -> Keyring:
    return Keyring.load(settings.home)


@pytest.fixture
def marked(urls: Urls, settings: Settings, keyring: Keyring) -> Iterator[Database]:
    """The worker's connection: its lines carry the hub's mark, and it seals them."""
    opened = Database(urls.worker, settings.district, audit_key=keyring.audit_key)
    yield opened
    opened.close()


@pytest.fixture
def auditing(urls: Urls, settings: Settings, keyring: Keyring) -> Iterator[Database]:
    opened = Database(urls.audit, settings.district, audit_key=keyring.audit_key)
    yield opened
    opened.close()


def write_and_anchor(marked: Database, settings: Settings, keyring: Keyring, rounds: int) -> None:
    for number in range(rounds):
        with marked.begin() as connection:
            for each in range(4):
                audit.record(connection, CLERK, Right.SUBMIT, f"submission/{number}-{each}")
        audit_anchors.keep(marked, settings, keyring, utc_now())


def edit(urls: Urls, settings: Settings, object: str) -> None:
    """What only a superuser of the database could do."""
    with psycopg.connect(urls.superuser.replace("+psycopg", "")) as connection:
        statement = f"UPDATE {settings.district}.audit SET actor = 'somebody else' WHERE object = %s"
        assert connection.execute(statement, (object,)).rowcount == 1


def test_an_untouched_audit_is_whole_and_the_check_is_noted(
    marked: Database, auditing: Database, settings: Settings, keyring: Keyring
) -> None:
    write_and_anchor(marked, settings, keyring, 3)
    checked = check_audit(auditing, settings, keyring, AUDITOR)
    assert (checked.after_seal, checked.to_seal, checked.lines, checked.findings) == (0, 3, 12, ())
    audit_anchors.keep(marked, settings, keyring, utc_now())
    assert check_audit(auditing, settings, keyring, AUDITOR).lines == 13


def test_a_long_audit_is_checked_from_a_signed_anchor_and_newer_edits_are_found(
    marked: Database, auditing: Database, settings: Settings, keyring: Keyring, urls: Urls
) -> None:
    write_and_anchor(marked, settings, keyring, 5)
    recent = check_audit(auditing, settings, keyring, AUDITOR, at_once=9)
    assert (recent.after_seal, recent.to_seal, recent.lines, recent.findings) == (3, 5, 8, ())
    edit(urls, settings, "submission/4-2")
    assert any("5" in one for one in check_audit(auditing, settings, keyring, AUDITOR, at_once=9).findings)


def test_an_edit_older_than_the_anchor_is_found_only_by_the_whole_walk(
    marked: Database, auditing: Database, settings: Settings, keyring: Keyring, urls: Urls
) -> None:
    write_and_anchor(marked, settings, keyring, 5)
    edit(urls, settings, "submission/0-1")
    assert check_audit(auditing, settings, keyring, AUDITOR, at_once=9).findings == ()
    assert check_audit(auditing, settings, keyring, AUDITOR).findings != ()


def test_the_auditor_presses_the_button_and_reads_what_was_found(
    marked: Database,
    database: Database,
    app_database: Database,
    auditing: Database,
    settings: Settings,
    keyring: Keyring,
    catalogue: Catalogue,
    urls: Urls,
) -> None:
    with founded_hub(database, app_database, settings, catalogue):
        served = Database(urls.app, settings.district, audit_key=keyring.audit_key)
        app = create_app(settings, served, catalogue, keyring, auditing)
        write_and_anchor(marked, settings, keyring, 2)
        with TestClient(app, WEB) as client:
            client.headers.update(OWN)
            sign_in(client, "shenji")
            assert "没有发现问题" in press(client)
            edit(urls, settings, "submission/1-1")
            found = press(client)
            assert "错误：" in found
            assert "发现" in found
        served.close()


def press(client: TestClient[Litestar]) -> str:
    token = token_of(client.get("/audit/verification").text)
    answer = client.post("/audit/verification", data={"token": token})
    assert answer.status_code == 200
    return str(answer.text)
