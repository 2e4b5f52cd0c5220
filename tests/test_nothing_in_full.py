"""A wrong row's identity number, telephone and address stand in full on no page, in no answer, file, log or audit line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from litestar.testing import TestClient
from sqlalchemy import select

from drops.scan import receipt_text
from hub import jobs
from hub.commands.opening import operator
from hub.database import Database, run_sql
from hub.exchange.receipts import read_receipt
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import audit
from mappings.catalogue import Catalogue
from tests.doors import THIS_MONTH, VILLAGE, Hub, founded_hub, open_account
from tests.factories import row_values
from tests.test_panel import OWN
from tests.test_refusals import workbook_of
from tests.test_unmasking import enter

NUMBER, PHONE, ADDRESS = "99900119900307888X", "13988887777", "白鹭镇松坪村8组88号"
SECRETS = (NUMBER, PHONE, ADDRESS, "999001 19900307 888X", "139-8888-7777", "９９９００１１９９００３０７８８８Ｘ")
LOGINS = ("gongan", "renshe", "fuyou", "qingxi", "bailu", "quju", "lingdao", "shenji")


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        with app_database.begin() as connection:
            open_account(connection, "lingdao", "bureau", "bureau_leader")
        yield hub


def send(hub: Hub, catalogue: Catalogue) -> str:
    """A list of labour transfers: one good row, and rows with every secret in every column that takes any text."""
    good = row_values(catalogue, "labour_transfer", 1) | {"live_div": VILLAGE, "hukou_div": VILLAGE, "period": ""}
    rows = [{name: value for name, value in good.items() if value}]
    for secret in SECRETS:
        for field in catalogue.record_types["labour_transfer"].fields:
            rows.append(rows[0] | {field.name: secret})
    body = io.BytesIO("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode())
    accepted = jobs.accept(
        hub.served, hub.settings, operator("labour"), stream=body, file_name=f"外出{NUMBER}.ndjson",
        record_type="labour_transfer", organisation="labour", period=THIS_MONTH, door="command", catalogue=catalogue,
    )  # fmt: skip
    hub.work()
    return accepted.receipt_number


def shown_in_full(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def pages(hub: Hub, login: str, number: str) -> str:
    with hub.worker.begin() as connection:
        place = f"/submissions/{run_sql(connection, 'SELECT submission_id FROM {d}.submission')[0][0]}"
    paths = ["/submissions", place, f"{place}?level=error", f"{place}?level=hold", f"{place}?level=warning"]
    paths += [f"{place}/rows", f"/receipts/{number}", f"/changes?month={THIS_MONTH}", "/board"]
    with TestClient(hub.app, base_url="https://hub.test") as client:
        client.headers.update(OWN)
        enter(client, login)
        return "\n".join([*(client.get(path).text for path in paths), workbook_of(client)])


def test_no_page_shows_them(hub: Hub, catalogue: Catalogue) -> None:
    number = send(hub, catalogue)
    for login in LOGINS:
        seen = pages(hub, login, number)
        assert shown_in_full(seen) == [], login
        if login == "renshe":
            assert 'class="value"' in seen and "999001********888X" in seen


def test_no_answer_receipt_or_audit_line_has_them(hub: Hub, catalogue: Catalogue, owner_database: Database) -> None:
    number = send(hub, catalogue)
    key = hub.key_of("labour")
    with TestClient(hub.app) as client:
        receipt = client.get(f"/v1/receipts/{number}", headers=key).json()
        listed = client.get("/v1/submissions", headers=key).json()["data"]
        whole = client.get(f"/v1/submissions/{listed[0]['submission_id']}", headers=key).json()
    with hub.served.begin(reach_of(SYSTEM_ACTOR)) as connection:
        english = read_receipt(connection, number, "en", catalogue=catalogue)
    for told in (receipt, whole, english):
        assert len(told["issues"]) > 20
        assert shown_in_full(json.dumps(told["issues"], ensure_ascii=False)) == []
    assert shown_in_full("\n".join(receipt_text(receipt).splitlines()[8:])) == []
    with owner_database.begin() as connection:
        assert shown_in_full(str(connection.execute(select(audit)).all())) == []


def test_a_failing_job_logs_none_of_them(
    hub: Hub, catalogue: Catalogue, owner_database: Database, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with owner_database.begin() as connection:
        run_sql(connection, "ALTER TABLE {d}.stg_labour_transfer ADD CONSTRAINT never CHECK (row_no < 0)")
    send(hub, catalogue)
    logged = capfd.readouterr()
    assert "CheckViolation" in logged.err + caplog.text
    assert shown_in_full(logged.out + logged.err + caplog.text) == []


def test_without_masking_they_would_be_seen(hub: Hub, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    number = send(hub, catalogue)
    monkeypatch.setattr("admin.error_table.mask_field", lambda value, field, view: str(value or ""))
    assert len(shown_in_full(pages(hub, "renshe", number))) > 2
