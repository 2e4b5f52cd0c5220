"""Files that came over SFTP in part are on the page of one's own doors until they go on; nobody else's are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from drops.sftp.uploads import Uploads
from hub.database import Database, utc_now
from hub.desks.stopped_uploads import list_stopped_uploads
from hub.errors import NotAllowed
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import visitor
from tests.district import actor
from tests.doors import THIS_MONTH, Hub, founded_hub
from tests.stopped import leave_upload

POLICE = actor("public_security", "department_clerk")


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


def test_what_is_being_written_or_was_resumed_is_not_among_them(settings: Settings) -> None:
    now = utc_now()
    assert list_stopped_uploads(settings, POLICE, now) == []
    leave_upload(settings, "public_security", "cut.csv", "cut", now - timedelta(hours=2))
    leave_upload(settings, "public_security", "no-end.csv", "closed", now - timedelta(hours=1))
    leave_upload(settings, "public_security", "now.csv", "cut", now)
    leave_upload(settings, "public_security", "crash.csv", "open", now - timedelta(hours=3))
    leave_upload(settings, "labour", "others.csv", "cut", now - timedelta(hours=2))
    found = list_stopped_uploads(settings, POLICE, now)
    assert [(one.name, one.is_cut) for one in found] == [("no-end.csv", False), ("cut.csv", True), ("crash.csv", True)]
    assert {(one.record_type, one.period, one.size) for one in found} == {("hukou_move_in", THIS_MONTH, 11)}
    assert found[1].removed_at == found[1].stopped_at + timedelta(days=settings.sftp.incomplete_days)
    uploads = Uploads(settings.drops, "public_security")
    for upload in uploads.waiting():
        uploads.remove(upload.place)
    assert list_stopped_uploads(settings, POLICE, now) == []
    with pytest.raises(NotAllowed):
        list_stopped_uploads(settings, actor("bureau", "auditor"), now)


def test_the_page_names_them_first_and_says_what_to_do(hub: Hub) -> None:
    then = utc_now() - timedelta(days=1)
    leave_upload(hub.settings, "public_security", "999001199003070007.csv", "cut", then)
    leave_upload(hub.settings, "public_security", "看不出.xlsx", "closed", then)
    client: TestClient[Litestar]
    with TestClient(hub.app, base_url="https://hub.test") as client:
        page = visitor(hub, client, "gongan").get("/doors").text
        other = visitor(hub, client, "renshe").get("/doors").text
    assert "2 个 SFTP 文件没有传完" in page.split('role="alert"')[1].split("</div>")[0]
    assert page.count('class="stopped-upload"') == 2
    assert "请续传（put -a）或重新上传" in page and "同名 .ok 文件" in page and "看不出.xlsx" in page
    assert "999001199003070007" not in page
    assert "stopped-upload" not in other and "密钥和通道都正常" in other
