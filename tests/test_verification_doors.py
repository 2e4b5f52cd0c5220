"""Verification through its doors: the interface, the page and the command say three words and no more."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub.__main__ import app
from hub.database import Database, run_sql
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, visitor
from tests.doors import Hub, csv_of, founded_hub, identity_number, move_in

KNOWN, OTHER, NOBODY = identity_number(3), identity_number(5), identity_number(77)
PURPOSE = "办理养老待遇核对"
PATH = "/v1/people/verifications"


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        body = csv_of(move_in(3, 姓名="李已知"), move_in(5, 姓名="王已知"))
        headers = {**hub.key_of("public_security"), "Content-Type": "text/csv", "Idempotency-Key": "1"}
        assert client.post("/v1/submissions?type=hukou_move_in", content=body, headers=headers).status_code == 202
        hub.work()
        yield client


def ask(client: TestClient[Litestar], hub: Hub, body: dict[str, Any]) -> Any:
    return client.post(PATH, json=body, headers=hub.key_of("labour"))


def row(name: str, number: str) -> dict[str, str]:
    return {"name": name, "id_no": number}


ASKED = [row("李已知", KNOWN), row("王已知", KNOWN), row("李已知", NOBODY)]


def test_the_interface_answers_three_words_in_the_order_of_the_rows(client: TestClient[Litestar], hub: Hub) -> None:
    answer = ask(client, hub, {"purpose": PURPOSE, "rows": ASKED})
    told = answer.json()
    assert answer.status_code == 200
    assert told["answers"] == ["match", "mismatch", "not_found"]
    assert told["counts"] == {"match": 1, "mismatch": 1, "not_found": 1}
    assert set(told) == {"verification_id", "counts", "answers"}
    with hub.worker.begin() as connection:
        people = {str(person) for (person,) in run_sql(connection, "SELECT person_id FROM {d}.person")}
    hidden = {"李已知", "王已知", KNOWN, OTHER, NOBODY, *people}
    assert people and not [value for value in hidden if value in answer.text]


def test_the_described_answer_has_no_room_for_anything_else(client: TestClient[Litestar]) -> None:
    described = client.get("/schema/openapi.json").json()
    act, shapes = described["paths"][PATH]["post"], described["components"]["schemas"]
    answered = shapes[act["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]]
    asked = shapes[act["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]]
    assert set(answered["properties"]) == {"verification_id", "counts", "answers"}
    assert set(answered["properties"]["answers"]["items"]["enum"]) == {"match", "mismatch", "not_found"}
    counts = shapes[answered["properties"]["counts"]["$ref"].rsplit("/", 1)[1]]
    assert {name: one["type"] for name, one in counts["properties"].items()} == dict.fromkeys(
        ("match", "mismatch", "not_found"), "integer"
    )
    assert set(asked["properties"]) == {"purpose", "rows"}


@pytest.mark.parametrize(("body", "status", "problem"), [
    ({"purpose": "", "rows": ASKED}, 400, "purpose-missing"),
    ({"purpose": PURPOSE, "rows": []}, 400, "nothing-to-verify"),
    ({"purpose": PURPOSE, "rows": [*ASKED, row("a", KNOWN), row("b", KNOWN)]}, 422, "tries-out-names"),
    ({"purpose": PURPOSE, "rows": [row("李已知", KNOWN)] * 100_001}, 413, "too-many-rows"),
])  # fmt: skip
def test_what_is_refused_says_why(
    client: TestClient[Litestar], hub: Hub, body: dict[str, Any], status: int, problem: str
) -> None:
    answer = ask(client, hub, body)
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[-1].rsplit(":", 1)[-1]) == (status, problem)
    assert KNOWN not in answer.text


def test_a_field_too_many_is_refused(client: TestClient[Litestar], hub: Hub) -> None:
    body = {"purpose": PURPOSE, "rows": [{**ASKED[0], "phone": "19900000000"}]}
    assert ask(client, hub, body).status_code == 400
    assert ask(client, hub, {**{"purpose": PURPOSE, "rows": ASKED}, "want": "address"}).status_code == 400


def sheet(*rows: tuple[str, ...]) -> bytes:
    book, kept = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    for one in rows:
        book.active.append(one)
    book.save(kept)
    return kept.getvalue()


ROWS = (
    ("核验名单",), ("序号", "姓名", "身份证号码", "电话"), ("1", "李已知", KNOWN, "19900000001"), (),
    ("2", "王已知", KNOWN, ""), ("3", "李已知", NOBODY, ""),
)  # fmt: skip


def upload(who: Visitor, body: bytes, name: str, **fields: str) -> Any:
    who.client.cookies.clear()
    form = {"token": who.token, "purpose": PURPOSE, **fields}
    return who.client.post("/verify", data=form, files={"file": (name, body)}, headers=who.headers)


def test_the_page_takes_a_sheet_and_gives_back_row_numbers_and_answers(client: TestClient[Litestar], hub: Hub) -> None:
    clerk = visitor(hub, client, "renshe")
    answer = upload(clerk, sheet(*ROWS), "名单.xlsx")
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    assert list(book["核验结果"].values) == [("行号", "核验结果"), (3, "一致"), (5, "不一致"), (6, "查无此号")]
    assert list(book["汇总"].values)[1:] == [("一致", 1), ("不一致", 1), ("查无此号", 1)]
    lines = upload(clerk, csv_sheet(*ROWS[1:]), "名单.csv", format="csv")
    told = list(csv.reader(io.StringIO(lines.content.decode("utf-8-sig"))))
    assert [line[1] for line in told] == ["核验结果", "一致", "不一致", "查无此号"]
    assert not [value for value in ("已知", KNOWN, NOBODY, "199") if value in lines.text]
    assert not list((hub.settings.files / "tmp").glob("answers-*"))


def csv_sheet(*rows: tuple[str, ...]) -> bytes:
    return "\r\n".join(",".join(one) for one in rows).encode()


@pytest.mark.parametrize(("body", "fields", "said"), [
    (csv_sheet(("姓名", "电话"), ("李已知", "1")), {}, "两列"),
    (csv_sheet(("姓名", "公民身份号码"), ("李已知", KNOWN)), {"purpose": "核"}, "核验目的"),
    (b"", {}, "请选择要核验的文件"),
    (b"PK\x03\x04broken", {}, "无法读取"),
])  # fmt: skip
def test_the_page_says_what_is_wrong(
    client: TestClient[Litestar], hub: Hub, body: bytes, fields: dict[str, str], said: str
) -> None:
    answer = upload(visitor(hub, client, "renshe"), body, "名单.csv", **fields)
    assert answer.status_code == 422 and said in answer.text


def test_the_bureau_has_no_such_page(client: TestClient[Litestar], hub: Hub) -> None:
    assert visitor(hub, client, "quju").get("/verify").status_code == 403


def test_the_command_writes_answers_and_erases_with_a_confirmation(
    client: TestClient[Litestar], hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("database_url", "owner_url", "worker_url"):
        monkeypatch.setenv(f"HUB_{name.upper()}", str(getattr(hub.settings, name)))
    (hub.settings.home / "hub.toml").write_text('fictitious_prefixes = ["999001"]\ndemo = true\n')
    asked, told = tmp_path / "名单.xlsx", tmp_path / "结果.csv"
    asked.write_bytes(sheet(*ROWS))
    home = ["--home", str(hub.settings.home)]
    done = CliRunner().invoke(
        app, ["people", "verify", str(asked), "-o", str(told), "--purpose", PURPOSE, "--json", *home]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["counts"] == {"match": 1, "mismatch": 1, "not_found": 1}
    assert told.read_text("utf-8-sig").splitlines()[1:] == ["3,一致", "5,不一致", "6,查无此号"]
    erase = ["people", "erase", "-", "--basis", "个人信息保护法第四十七条", "--reason", "本人申请删除", *home]
    assert CliRunner().invoke(app, erase, input=f"{KNOWN}\nno\n").exit_code == 4
    done = CliRunner().invoke(app, [*erase, "--json"], input=f"{KNOWN}\nERASE\n")
    assert done.exit_code == 0 and json.loads(done.stdout[done.stdout.index("{") :])["voided"] == 1
    assert CliRunner().invoke(app, [*erase, "--yes"], input=f"{KNOWN}\n").exit_code == 4
