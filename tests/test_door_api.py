"""What a department's system decides and takes away over HTTP: withdrawal, undo, marked workbooks, templates, keys."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections.abc import Iterator
from typing import Any

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub import jobs
from hub.database import Database
from hub.exchange import receipts
from hub.keyring import Keyring, is_signed_by
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.doors import THIS_MONTH, Hub, csv_of, founded_hub, move_in

Client = TestClient[Litestar]
SEND = f"/v1/submissions?type=hukou_move_in&period={THIS_MONTH}"


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app) as client:
        client.headers.update(hub.key_of("public_security"))
        yield client


def send(client: Client, hub: Hub, body: bytes, key: str, query: str = "", **headers: str) -> dict[str, Any]:
    headers = {"Content-Type": "text/csv", "Idempotency-Key": key, **headers}
    answer = client.post(SEND + query, content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    hub.work()
    return read(client, answer.headers["location"])


def read(client: Client, place: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(place).json()
    return found


def place_of(sent: dict[str, Any]) -> str:
    return f"/v1/submissions/{sent['submission_id']}"


def test_the_marked_workbook_comes_back_with_its_digest(client: Client, hub: Hub) -> None:
    sent = send(client, hub, csv_of(move_in(1), move_in(2, 迁入日期="2026-13-45")), "bad")
    for path in ("returned", "errors"):
        answer = client.get(f"{place_of(sent)}/{path}")
        digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
        assert (answer.status_code, answer.headers["content-digest"]) == (200, f"sha-256=:{digest}:")
    assert "2026-13-45" in answer.text
    book = openpyxl.load_workbook(io.BytesIO(client.get(f"{place_of(sent)}/returned").content))
    assert any(cell.value == "2026-13-45" for row in book.worksheets[0] for cell in row)
    for path in ("returned", "errors", "effect"):
        assert client.get(f"{place_of(sent)}/{path}", headers=hub.key_of("labour")).status_code == 404


def test_what_a_column_means_is_for_a_person_to_say(client: Client, hub: Hub) -> None:
    sent = send(client, hub, csv_of(move_in(1)).decode().replace("公民身份号码", "公民身份证号").encode(), "asked")
    assert (sent["state"], [one["header"] for one in sent["waiting"]["headers"]]) == ("asking", ["公民身份证号"])
    assert client.post(f"{place_of(sent)}/columns", json={"choices": {"公民身份证号": "id_no"}}).status_code == 404


def test_earlier_data_waits_for_a_person_and_can_be_withdrawn(client: Client, hub: Hub) -> None:
    sent = send(client, hub, csv_of(move_in(1)), "history", "&kind=backfill")
    assert (sent["kind"], sent["state"]) == ("backfill", "braked")
    effect = read(client, f"{place_of(sent)}/effect")
    assert (effect["effect"]["new"], effect["reasons"][0]["code"]) == (1, "F_BRAKE_BACKFILL")
    assert effect["samples"]["new"][0]["after"]["id_no"].startswith("999001********")
    assert client.post(f"{place_of(sent)}/release", json={}).status_code == 404
    assert client.post(f"{place_of(sent)}/withdraw", json={"reason": "重复"}).status_code == 200
    assert read(client, place_of(sent))["state"] == "refused"


def test_a_submission_is_taken_back_and_the_same_again_is_the_same(client: Client, hub: Hub) -> None:
    sent = send(client, hub, csv_of(move_in(1)), "first")
    assert client.post(f"{place_of(sent)}/undo", json={"reason": ""}).status_code == 400
    first, again = (client.post(f"{place_of(sent)}/undo", json={"reason": "报错"}) for _ in range(2))
    assert (first.status_code, first.headers["location"]) == (202, again.headers["location"])
    hub.work()
    undone = read(client, first.headers["location"])
    assert (undone["kind"], undone["state"], undone["undoes"]) == ("undo", "merged", sent["submission_id"])
    form = client.post(f"{place_of(sent)}/undo", data={"reason": "报错"})
    assert form.status_code == 415


def test_nothing_to_report_has_its_receipt(client: Client, hub: Hub) -> None:
    body = {"type": "hukou_move_in", "period": THIS_MONTH}
    first, again = client.post("/v1/nil-returns", json=body), client.post("/v1/nil-returns", json=body)
    assert (first.status_code, first.json()["repeated"], again.json()["repeated"]) == (200, False, True)
    assert read(client, f"/v1/receipts/{first.json()['receipt']}")["kind"] == "nil"
    assert client.post("/v1/nil-returns", json=body, headers=hub.key_of("labour")).status_code == 403
    assert client.post("/v1/nil-returns", json=body | {"period": "2026-13"}).status_code == 400


def test_the_template_is_that_of_the_keys_own_unit(client: Client, hub: Hub) -> None:
    answer = client.get(f"/v1/record-types/hukou_move_in/template?period={THIS_MONTH}&fill=codes")
    cells = [cell.value for row in openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0] for cell in row]
    assert any(str(cell).startswith("hub:template:hukou_move_in:") for cell in cells)
    assert "sha-256=:" in answer.headers["content-digest"]
    assert client.get("/v1/record-types/employment/template").status_code == 404
    assert client.get("/v1/record-types/hukou_move_in/template?period=x").status_code == 400


def test_a_key_still_at_work_is_told_so(client: Client, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, go_on, accept = threading.Event(), threading.Event(), jobs.accept

    def slowly(*arguments: Any, **options: Any) -> Any:
        entered.set()
        assert go_on.wait(20)
        return accept(*arguments, **options)

    monkeypatch.setattr(jobs, "accept", slowly)
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "same"}
    first = threading.Thread(target=lambda: client.post(SEND, content=csv_of(move_in(1)), headers=headers))
    first.start()
    assert entered.wait(20)
    meanwhile = client.post(SEND, content=csv_of(move_in(1)), headers=headers)
    go_on.set()
    first.join(20)
    assert (meanwhile.status_code, meanwhile.json()["type"]) == (409, "urn:hub:problem:idempotency-key-running")
    assert client.post(SEND, content=csv_of(move_in(1)), headers=headers).status_code == 202


def test_anybody_can_check_a_signature_with_the_published_keys(client: Client, hub: Hub) -> None:
    published = client.get("/v1/keys", headers={"Authorization": ""}).json()["data"]
    keys = {one["kid"]: base64.b64decode(one["public_key"]) for one in published}
    keyring = Keyring.load(hub.settings.home)
    assert [one["kid"] for one in published if one["current"]] == [keyring.signing_key_id]
    assert is_signed_by(keys, keyring.signing_key_id, b"a webhook", keyring.sign(b"a webhook"))
    receipt = send(client, hub, csv_of(move_in(1)), "signed")["signed"]
    assert receipts.verify(receipt, keys)
