"""An upload of which nobody said what it is: recognised by the hub's own marks, else by its columns, else asked about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select

from hub.database import Database
from hub.exchange.marks import row_mark
from hub.exchange.workbooks.template import make_template
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, visitor
from tests.doors import THIS_MONTH, Hub, csv_of, founded_hub, move_in

EARLIER = "2026-01"


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


def upload(who: Visitor, content: bytes, name: str = "文件.csv", **fields: str) -> Any:
    who.client.cookies.clear()
    form = {"token": who.token, "period": THIS_MONTH, "record_type": ""} | fields
    return who.client.post(
        "/submissions/new", data=form, files={"file": (name, content)}, headers=who.headers, follow_redirects=False
    )


def taken_as(hub: Hub, answer: Any) -> tuple[str, str | None]:
    assert answer.status_code == 303, answer.text
    found = UUID(re.findall(r"[0-9a-f-]{36}", answer.headers["location"])[0])
    with hub.worker.begin() as connection:
        row = connection.execute(select(submission).where(submission.c.submission_id == found)).one()
    return row.record_type, row.period


def test_a_file_is_known_by_its_columns_and_a_returned_one_by_its_number(
    hub: Hub, client: TestClient[Litestar], catalogue: Catalogue
) -> None:
    gongan = visitor(hub, client, "gongan")
    assert taken_as(hub, upload(gongan, csv_of(move_in(1)))) == ("hukou_move_in", THIS_MONTH)
    first = upload(gongan, csv_of(move_in(2)), record_type="hukou_move_in", period=EARLIER)
    number = re.findall(r"HR\d{8}-\w{10}", gongan.get(first.headers["location"]).text)[0]
    header, row = csv_of(move_in(2, 姓名="李改正")).decode().split("\r\n")[:2]
    returned = f"{header},{row_mark(number)}\r\n{row},1\r\n".encode()
    assert taken_as(hub, upload(gongan, returned)) == ("hukou_move_in", EARLIER), "its own month, not today's"
    template = make_template(catalogue, "public_security", "公安", "department", "hukou_move_out", month=None)
    assert taken_as(hub, upload(gongan, template, "模板.xlsx"))[0] == "hukou_move_out"


def test_what_is_not_plain_is_asked_about_and_another_units_number_says_nothing(
    hub: Hub, client: TestClient[Litestar]
) -> None:
    gongan = visitor(hub, client, "gongan")
    for content in ("甲,乙\r\n1,2\r\n".encode(), b"\x00\x01\x02"):
        answer = upload(gongan, content)
        assert answer.status_code == 422
        assert "认不出这份文件是哪一类" in answer.text
        assert "<title>错误：" in answer.text
    own = upload(gongan, csv_of(move_in(1)), record_type="hukou_move_in", period=EARLIER)
    number = re.findall(r"HR\d{8}-\w{10}", gongan.get(own.headers["location"]).text)[0]
    renshe = visitor(hub, client, "renshe")
    assert upload(renshe, f"甲,{row_mark(number)}\r\n1,1\r\n".encode()).status_code == 422
