"""The API, over HTTP: what a department's system sends, asks and pulls."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.database import Database, run_sql
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.doors import THIS_MONTH, VILLAGE, Hub, csv_of, founded_hub, identity_number, move_in

CSV = {"Content-Type": "text/csv"}
SEND = "/v1/submissions?type=hukou_move_in&period=" + THIS_MONTH


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app) as client:
        yield client


def send(client: TestClient[Litestar], hub: Hub, body: bytes, key: str = "first", **headers: str) -> Any:
    return client.post(
        SEND, content=body, headers={**hub.key_of("public_security"), **CSV, "Idempotency-Key": key, **headers}
    )


def test_a_sent_file_is_answered_with_its_receipt_and_where_to_look(client: TestClient[Litestar], hub: Hub) -> None:
    answer = send(client, hub, csv_of(move_in(1)))
    assert answer.status_code == 202
    assert answer.json()["state"] == "received"
    assert answer.headers["location"] == f"/v1/submissions/{answer.json()['submission_id']}"
    assert client.get(answer.headers["location"], headers=hub.key_of("public_security")).status_code == 200


def test_every_row_is_accounted_for_and_errors_name_the_sheets_own_row(client: TestClient[Litestar], hub: Hub) -> None:
    sent = send(client, hub, csv_of(move_in(1), move_in(2, 公民身份号码="999001199003070000"), move_in(3)))
    hub.work()
    receipt = client.get(f"/v1/receipts/{sent.json()['receipt']}", headers=hub.key_of("public_security")).json()
    counts = receipt["counts"]
    assert counts["received"] == 3 == counts["accepted"] + counts["unchanged"] + counts["held"] + counts["refused"]
    assert counts["accepted"] == 2
    assert [(issue["row"], issue["column"], issue["level"]) for issue in receipt["issues"]] == [(3, "B", "hold")]


def test_waiting_answers_with_the_final_receipt(client: TestClient[Litestar], hub: Hub) -> None:
    with ThreadPoolExecutor(1) as others:
        headers = {**hub.key_of("public_security"), **CSV, "Idempotency-Key": "w"}
        waiting = others.submit(client.post, f"{SEND}&wait=true", content=csv_of(move_in(1)), headers=headers)
        while not waiting.done():
            hub.work()
    assert waiting.result().status_code == 200
    assert waiting.result().json()["state"] == "merged"


def test_rows_in_json_go_through_the_same_gate(client: TestClient[Litestar], hub: Hub) -> None:
    row = {"name": "王小明", "id_no": identity_number(5), "sex": "1", "birth_date": "1990-03-07"}
    row |= {"live_div": VILLAGE, "move_date": f"{THIS_MONTH}-01"}
    body = {"type": "hukou_move_in", "period": THIS_MONTH, "rows": [row]}
    headers = {**hub.key_of("public_security"), "Idempotency-Key": "rows"}
    sent = client.post("/v1/submissions", json=body, headers=headers)
    assert sent.status_code == 202
    hub.work()
    read = client.get(sent.headers["location"], headers=headers).json()
    assert (read["state"], read["counts"]["received"], read["counts"]["accepted"]) == ("merged", 1, 1)


def test_the_same_key_and_body_give_the_same_submission(client: TestClient[Litestar], hub: Hub) -> None:
    first, again = send(client, hub, csv_of(move_in(1))), send(client, hub, csv_of(move_in(1)))
    assert first.json()["submission_id"] == again.json()["submission_id"]


def test_the_same_key_with_another_body_is_refused(client: TestClient[Litestar], hub: Hub) -> None:
    send(client, hub, csv_of(move_in(1)))
    answer = send(client, hub, csv_of(move_in(2)))
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:hub:problem:idempotency-key-reused")


def test_sending_without_an_idempotency_key_is_refused(client: TestClient[Litestar], hub: Hub) -> None:
    answer = client.post(SEND, content=csv_of(move_in(1)), headers={**hub.key_of("public_security"), **CSV})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_that_differs_from_its_digest_is_refused(client: TestClient[Litestar], hub: Hub) -> None:
    right = base64.b64encode(hashlib.sha256(csv_of(move_in(1))).digest()).decode()
    assert send(client, hub, csv_of(move_in(2)), **{"Content-Digest": f"sha-256=:{right}:"}).status_code == 400
    assert send(client, hub, csv_of(move_in(1)), **{"Content-Digest": f"sha-256=:{right}:"}).status_code == 202


def test_a_type_one_may_not_send_is_refused(client: TestClient[Litestar], hub: Hub) -> None:
    headers = {**hub.key_of("labour"), **CSV, "Idempotency-Key": "foreign"}
    assert client.post(SEND, content=csv_of(move_in(1)), headers=headers).status_code == 403


def test_nobody_gets_in_without_a_key_or_with_a_wrong_one(client: TestClient[Litestar], hub: Hub) -> None:
    for headers in ({}, {"Authorization": "Bearer hub_0123456789_wrong"}, {"Authorization": "Basic eDp5"}):
        answer = client.get("/v1/whoami", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="hub"')


def test_another_organisations_submission_is_not_there(client: TestClient[Litestar], hub: Hub) -> None:
    sent = send(client, hub, csv_of(move_in(1))).json()
    for path in (f"/v1/submissions/{sent['submission_id']}", f"/v1/receipts/{sent['receipt']}"):
        assert client.get(path, headers=hub.key_of("labour")).status_code == 404
    assert client.get("/v1/submissions", headers=hub.key_of("labour")).json()["data"] == []


def test_the_list_goes_on_from_its_cursor_without_gap_or_repetition(client: TestClient[Litestar], hub: Hub) -> None:
    sent = [send(client, hub, csv_of(move_in(serial)), key=f"k{serial}").json()["receipt"] for serial in range(5)]
    path, seen = "/v1/submissions?limit=2", []
    while path:
        page = client.get(path, headers=hub.key_of("public_security"))
        seen += [one["receipt"] for one in page.json()["data"]]
        path = page.links["next"]["url"] if page.json()["next"] else ""
    assert seen == sent[::-1]


def test_a_cursor_nobody_made_is_a_bad_request(client: TestClient[Litestar], hub: Hub) -> None:
    assert client.get("/v1/submissions?cursor=abc", headers=hub.key_of("public_security")).status_code == 400


def test_problems_speak_the_callers_language(client: TestClient[Litestar]) -> None:
    chinese = client.get("/v1/whoami").json()
    english = client.get("/v1/whoami", headers={"Accept-Language": "en-GB,en;q=0.9"}).json()
    assert chinese["title"] == "请先登录或提供有效的接口密钥。"
    assert english["title"] == "Sign in, or send a valid API key."
    assert chinese["type"] == english["type"] == "urn:hub:problem:not-signed-in"


def test_only_sending_takes_a_large_body(client: TestClient[Litestar], hub: Hub) -> None:
    large = b'{"to_delivery_no":1,"digest":"' + b"x" * 100_000 + b'"}'
    headers = {**hub.key_of("labour"), "Content-Type": "application/json"}
    assert client.post("/v1/subscriptions/any/acks", content=large, headers=headers).status_code == 413
    assert send(client, hub, csv_of(*(move_in(serial) for serial in range(900)))).status_code == 202


def test_record_types_say_what_one_may_send(client: TestClient[Litestar], hub: Hub) -> None:
    listed = client.get("/v1/record-types", headers=hub.key_of("labour")).json()["data"]
    mine = {one["code"] for one in listed if one["may_send"]}
    assert "employment" in mine
    assert "hukou_move_in" not in mine
    fields = client.get("/v1/record-types/employment", headers=hub.key_of("labour")).json()["fields"]
    assert {"name", "id_no"} <= {field["name"] for field in fields}


# ---- slices ----


@pytest.fixture
def subscription(app_database: Database, catalogue: Catalogue, hub: Hub) -> str:
    definition = SliceDefinition((SliceType("hukou_move_in", ("name", "id_no", "move_date")),))
    terms = Terms(purpose="就业服务", legal_basis="政务数据共享条例第二十条")
    with app_database.begin(reach_of(SYSTEM_ACTOR)) as connection:
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue,
            code="labour-moves", organisation="labour", title="迁入人员", definition=definition, terms=terms,
        )  # fmt: skip
    return "/v1/subscriptions/labour-moves"


def test_changes_are_pulled_page_by_page_and_acknowledged(
    client: TestClient[Litestar], hub: Hub, subscription: str
) -> None:
    send(client, hub, csv_of(move_in(1), move_in(2), move_in(3)))
    hub.work()
    headers = hub.key_of("labour")
    first = client.get(f"{subscription}/changes?limit=2", headers=headers)
    second = client.get(first.links["next"]["url"], headers=headers).json()
    changes = [*first.json()["data"], *second["data"]]
    assert [(one["delivery_no"], one["op"]) for one in changes] == [(1, "enter"), (2, "enter"), (3, "enter")]
    assert all(set(one["after"]) == {"name", "id_no", "move_date"} for one in changes)
    ack = {"to_delivery_no": 3, "digest": second["meta"]["digest"]}
    assert client.post(f"{subscription}/acks", json=ack, headers=headers).json()["matches"] is True


def test_a_snapshot_ends_with_the_cursor_to_go_on_from(
    client: TestClient[Litestar], hub: Hub, subscription: str
) -> None:
    send(client, hub, csv_of(move_in(1), move_in(2)))
    hub.work()
    answer = client.get(f"{subscription}/snapshot", headers=hub.key_of("labour"))
    *records, closing = [msgspec.json.decode(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [one["op"] for one in records] == ["enter", "enter"]
    send(client, hub, csv_of(move_in(3)), key="later")
    hub.work()
    after = client.get(
        f"{subscription}/changes?cursor={closing['snapshot']['next']}", headers=hub.key_of("labour")
    ).json()
    assert len(after["data"]) == 1
    assert list((hub.settings.files / "tmp").glob("snapshot-*")) == []


def test_a_cursor_of_another_epoch_is_gone_and_says_where_the_snapshot_is(
    client: TestClient[Litestar], hub: Hub, subscription: str, owner_database: Database
) -> None:
    following = client.get(f"{subscription}/changes", headers=hub.key_of("labour")).json()["next"]
    with owner_database.begin() as connection:
        connection.exec_driver_sql("UPDATE d999001.feed_head SET epoch = 'restored'")
    answer = client.get(f"{subscription}/changes?cursor={following}", headers=hub.key_of("labour"))
    assert (answer.status_code, answer.json()["snapshot_url"]) == (410, f"{subscription}/snapshot")


def test_another_organisations_slice_cannot_be_pulled(
    client: TestClient[Litestar], hub: Hub, subscription: str
) -> None:
    for path in ("changes", "snapshot"):
        assert client.get(f"{subscription}/{path}", headers=hub.key_of("health")).status_code in (403, 404)
    assert client.get("/v1/subscriptions", headers=hub.key_of("health")).json()["data"] == []
    assert [one["id"] for one in client.get("/v1/subscriptions", headers=hub.key_of("labour")).json()["data"]] == [
        "labour-moves"
    ]


# ---- beside it ----


def test_health_and_metrics_are_open_and_count_only(client: TestClient[Litestar], hub: Hub) -> None:
    send(client, hub, csv_of(move_in(1)))
    assert client.get("/healthz").json() == {"status": "ok"}
    metrics = client.get("/metrics").text
    assert 'hub_submissions{state="received"} 1.0' in metrics
    assert "hub_feed_last_seq 0.0" in metrics


def test_the_api_describes_itself(client: TestClient[Litestar]) -> None:
    described = client.get("/schema/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert {"/v1/submissions", "/v1/receipts/{number}", "/v1/whoami", "/v1/subscriptions/{code}/changes"} <= set(
        described["paths"]
    )
    assert not [path for path in described["paths"] if path.startswith(("/sign", "/board", "/static"))]


def test_every_answer_carries_the_security_headers(client: TestClient[Litestar]) -> None:
    for path in ("/healthz", "/v1/whoami", "/sign-in", "/nothing-here", "/static/panel.css"):
        headers = client.get(path, follow_redirects=False).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"


def test_reading_row_errors_is_noted_by_where_they_stand(client: TestClient[Litestar], hub: Hub) -> None:
    body = csv_of(move_in(1), move_in(2, 公民身份号码="123"))
    sent = send(client, hub, body).json()
    hub.work()
    headers = hub.key_of("public_security")
    for path in (f"/v1/submissions/{sent['submission_id']}", sent["receipt_url"]):
        assert client.get(path, headers=headers).json()["issues"]
    with hub.worker.begin() as connection:
        noted = run_sql(connection, "SELECT facts FROM {d}.audit WHERE act = 'read-submission' AND outcome = 'done'")
    assert len(noted) == 2
    assert all(facts["rows"] >= 1 and len(facts["digest"]) == 64 for (facts,) in noted)  # type: ignore[index, call-overload]
