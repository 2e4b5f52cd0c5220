"""A hub with full lists: many submissions of two units, laid down at once; and what a list's page and file say."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from httpx import Response as Answer
from litestar import Litestar
from litestar.testing import TestClient
from openpyxl import load_workbook
from sqlalchemy import insert

from hub.database import Database, new_uuid
from hub.embedded import Cluster
from hub.settings import load_settings
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.doors import TOWN, Hub, founded_hub
from tests.matrix_hub import Asking, new_asking

MOMENT = datetime(2026, 9, 1, 8, tzinfo=UTC)
ROLES_HERE = (
    ("wang", "department_clerk", "labour", "department"),
    ("zhao", "department_clerk", "labour", "department"),
    ("lan", "data_officer", "labour", "department"),
    ("jing", "department_clerk", "public_security", "department"),
    ("zhen", "town_officer", TOWN, "town"),
    ("qu", "bureau_operator", "bureau", "bureau"),
    ("shen", "auditor", "bureau", "bureau"),
    ("anquan", "security_administrator", "bureau", "bureau"),
)


@dataclass
class Lists:
    """The hub, who may be asked as, and the way in."""

    hub: Hub
    staff: dict[str, Asking]
    client: TestClient[Litestar]

    def get(self, login: str, address: str, **headers: str) -> Answer:
        self.client.cookies.clear()
        return self.client.get(address, headers=self.staff[login].headers | headers, follow_redirects=False)

    def post(self, login: str, address: str, **fields: str) -> Answer:
        who, sent = self.staff[login], {name.replace("__", "-"): value for name, value in fields.items()}
        self.client.cookies.clear()
        data = {"token": who.token, **sent}
        return self.client.post(address, headers=who.headers, data=data, follow_redirects=False)


@pytest.fixture(scope="module")
def lists(
    cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Lists]:
    name = f"lists_{request.module.__name__.rpartition('_')[2]}"
    with (
        _hub_named(cluster, catalogue, tmp_path_factory, name) as hub,
        TestClient(hub.app, base_url="https://hub.test") as client,
    ):
        with hub.served.begin() as connection:
            staff = {who[0]: new_asking(connection, *who) for who in ROLES_HERE}
        yield Lists(hub, staff, client)


@contextmanager
def _hub_named(
    cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory, name: str
) -> Iterator[Hub]:
    clone_template(cluster, name)
    urls = cluster.urls(name)
    settings = load_settings(
        tmp_path_factory.mktemp(name), database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker,
        audit_url=urls.audit, fictitious_prefixes=("999001",), demo=True, requests_per_minute=10_000_000,
        accounts={"second_factor_roles": []},
    )  # fmt: skip
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub:
        yield hub
    worker.close()
    served.close()
    execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")


def lay_submissions(hub: Hub, organisation: str, many: int, **changes: Any) -> None:
    """As if they had been sent one a minute; every third with errors."""
    rows = [_sent(organisation, number) | changes for number in range(many)]
    with hub.worker.begin() as connection:
        connection.execute(insert(submission), rows)


def _sent(organisation: str, number: int) -> dict[str, Any]:
    wrong = 4 if number % 3 == 0 else 0
    return {
        "submission_id": new_uuid(), "receipt_number": f"R-{organisation}-{number:04d}", "operation_id": str(new_uuid()),
        "organisation": organisation, "record_type": "employment" if organisation == "labour" else "hukou_move_in",
        "period": "2026-08" if number % 2 else "2026-09", "kind": "regular", "door": "upload", "actor": "somebody",
        "file_name": f"{organisation}-{number}.csv", "file_size": 10, "file_sha256": "0" * 64, "stored_as": "",
        "state": "refused" if number % 5 == 0 else "merged", "received": 1000 + number,
        "accepted": 1000 + number - wrong, "held": 0,
        "refused": wrong, "received_at": MOMENT + timedelta(minutes=number),
    }  # fmt: skip


def body_rows(page: str) -> list[list[str]]:
    """What stands in the cells of a page's list, row by row."""
    table = re.search(r'<table class="dense list">.*?<tbody>(.*?)</tbody>', page, re.S)
    rows = re.findall(r"<tr>(.*?)</tr>", table.group(1), re.S) if table else []
    return [[_plain(cell) for cell in re.findall(r"<t[dh](?: [^>]*)?>(.*?)</t[dh]>", row, re.S)] for row in rows]


def heads(page: str) -> list[str]:
    head = re.search(r'<table class="dense list">.*?<thead>(.*?)</thead>', page, re.S)
    found = re.findall(r"<th [^>]*>(.*?)</th>", head.group(1), re.S) if head else []
    return [re.sub(r" [↑↓↕]$", "", _plain(one)) for one in found]


def every_page(lists: Lists, login: str, address: str) -> list[list[str]]:
    """The rows of all pages, following the pager."""
    rows: list[list[str]] = []
    while address:
        page = lists.get(login, address).text
        rows += body_rows(page)
        following = re.search(r'<a href="([^"]+)" rel="next">', page)
        address = unescape(following.group(1)) if following else ""
    return rows


def _plain(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", "", markup)).split())


@dataclass
class File:
    """An export read back: its cover by label, its head and its rows."""

    cover: dict[str, str]
    head: list[str]
    rows: list[list[Any]]

    def digest(self) -> str:
        """Made again from the sheet, as the cover says how."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([self.head, *self.rows])
        return hashlib.sha256(text.getvalue().encode()).hexdigest()


def read_file(answer: Answer) -> File:
    assert answer.status_code == 200, answer.text
    book = load_workbook(io.BytesIO(answer.content))
    cover, sheet = book.worksheets
    told = {str(label): str(value or "") for label, value in cover.iter_rows(min_row=3, max_col=2, values_only=True)}
    head, *rows = [["" if cell is None else cell for cell in row] for row in sheet.iter_rows(values_only=True)]
    return File(told, [str(one) for one in head], rows)
