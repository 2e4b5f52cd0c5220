"""What goes out packed, to whom, and how long a browser may keep it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from admin.assets import STATIC, vendor_paths
from hub.database import Database
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.doors import founded_hub

OWN = {"Sec-Fetch-Site": "same-origin", "Accept-Encoding": "gzip, br", "Accept": "text/html"}


@pytest.fixture
def client(
    database: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> Iterator[TestClient[Litestar]]:
    with (
        founded_hub(database, app_database, settings, catalogue) as hub,
        TestClient(hub.app, base_url="https://hub.test") as client,
    ):
        yield client


def raw(client: TestClient[Litestar], path: str, **headers: str) -> tuple[str, bytes]:
    """How it was packed, and the bytes as they went over the line."""
    with client.stream(
        "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ) as answer:
        return answer.headers.get("content-encoding", ""), b"".join(answer.iter_raw())


def test_a_page_is_packed_for_its_own_reader_and_never_for_another_site(client: TestClient[Litestar]) -> None:
    """BREACH: a stranger who can make a browser ask must learn nothing from the length of the answer."""
    how, body = raw(client, "/sign-in", **OWN)
    assert how == "gzip" and "登录" in gzip.decompress(body).decode()
    assert raw(client, "/sign-in", **OWN | {"Sec-Fetch-Site": "none"})[0] == "gzip"
    for other in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""}):
        how, body = raw(client, "/sign-in", **OWN | other)
        assert (how, "登录" in body.decode()) == ("", True)
    for not_taken in ("br", "gzip;q=0", "identity"):
        assert raw(client, "/sign-in", **OWN | {"Accept-Encoding": not_taken})[0] == ""


def test_static_files_are_packed_and_kept_as_long_as_their_name_stands_for_them(client: TestClient[Litestar]) -> None:
    vendor = vendor_paths()["bootstrap"]
    for name, keep in (("panel.css", "public, no-cache"), (vendor, "public, max-age=31536000, immutable")):
        plain = (STATIC / name).read_bytes()
        how, body = raw(client, f"/static/{name}", Accept_Encoding="gzip")
        assert how == "gzip" and gzip.decompress(body) == plain and len(body) < len(plain) / 2
        assert raw(client, f"/static/{name}", Accept_Encoding="identity") == ("", plain)
        answer = client.get(f"/static/{name}")
        assert answer.headers["cache-control"] == keep and answer.headers["content-type"].startswith("text/css")
        again = client.get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(f"/static/{name}", headers={"If-None-Match": 'W/"older"'}).status_code == 200
        assert client.head(f"/static/{name}").content == b""
    assert client.get("/static/../routes.py").status_code == 404
